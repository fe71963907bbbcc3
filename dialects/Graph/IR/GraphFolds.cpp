// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Folders and canonicalization: rewrites that are exact and always better.

#include "dialects/Graph/IR/Graph.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe::graph;

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

/// Whether `attr` is a splat of the number `value`.
static bool isSplatOf(Attribute attr, double value) {
  auto splat = dyn_cast_or_null<SplatElementsAttr>(attr);
  if (!splat)
    return false;
  if (isa<FloatType>(splat.getElementType()))
    return splat.getSplatValue<APFloat>().isExactlyValue(value);
  if (auto type = dyn_cast<IntegerType>(splat.getElementType()))
    return type.getWidth() > 1 &&
           splat.getSplatValue<APInt>() ==
               APInt(type.getWidth(), static_cast<int64_t>(value), true);
  return false;
}

/// `value` if it already has the type of `result`, so that it can replace it.
static OpFoldResult replaceIfSameType(Value value, Value result) {
  return value.getType() == result.getType() ? OpFoldResult(value) : nullptr;
}

OpFoldResult AddOp::fold(FoldAdaptor adaptor) {
  // x + 0 keeps x for integers; for floats it would turn -0 into 0.
  if (isSplatOf(adaptor.getRhs(), 0.0) &&
      isa<IntegerType>(getElementTypeOrSelf(getType())))
    return replaceIfSameType(getLhs(), getResult());
  return nullptr;
}

OpFoldResult SubOp::fold(FoldAdaptor adaptor) {
  if (isSplatOf(adaptor.getRhs(), 0.0))
    return replaceIfSameType(getLhs(), getResult());
  return nullptr;
}

OpFoldResult MulOp::fold(FoldAdaptor adaptor) {
  if (isSplatOf(adaptor.getRhs(), 1.0))
    return replaceIfSameType(getLhs(), getResult());
  if (isSplatOf(adaptor.getLhs(), 1.0))
    return replaceIfSameType(getRhs(), getResult());
  return nullptr;
}

OpFoldResult DivOp::fold(FoldAdaptor adaptor) {
  if (isSplatOf(adaptor.getRhs(), 1.0))
    return replaceIfSameType(getLhs(), getResult());
  return nullptr;
}

OpFoldResult CastOp::fold(FoldAdaptor) {
  return replaceIfSameType(getInput(), getResult());
}

OpFoldResult DimOp::fold(FoldAdaptor) {
  auto type = cast<RankedTensorType>(getInput().getType());
  if (type.isDynamicDim(getAxis()))
    return nullptr;
  return DenseElementsAttr::get(
      cast<ShapedType>(getType()),
      static_cast<int64_t>(type.getDimSize(getAxis())));
}

OpFoldResult ReshapeOp::fold(FoldAdaptor adaptor) {
  auto type = cast<RankedTensorType>(getType());
  if (type.hasStaticShape() || type.getRank() == 1)
    if (OpFoldResult same = replaceIfSameType(getInput(), getResult()))
      return same;
  auto dense = dyn_cast_or_null<DenseElementsAttr>(adaptor.getInput());
  if (dense && type.hasStaticShape())
    return dense.reshape(type);
  // The same blob under another type.
  auto resource =
      dyn_cast_or_null<DenseResourceElementsAttr>(adaptor.getInput());
  if (resource && type.hasStaticShape() && !type.getEncoding())
    return DenseResourceElementsAttr::get(type, resource.getRawHandle());
  return nullptr;
}

namespace {
/// reshape(reshape(x)) is the outer reshape of x.
struct MergeReshapes : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<ReshapeOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "input is not a reshape");
    rewriter.modifyOpInPlace(
        op, [&] { op.getInputMutable().assign(inner.getInput()); });
    return success();
  }
};

/// transpose(transpose(x)) is one transpose of x.
struct MergeTransposes : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<TransposeOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "input is not a transpose");
    SmallVector<int64_t> permutation;
    for (int64_t dim : op.getPermutation())
      permutation.push_back(inner.getPermutation()[dim]);
    rewriter.replaceOpWithNewOp<TransposeOp>(op, op.getType(), inner.getInput(),
                                             permutation);
    return success();
  }
};
} // namespace

void ReshapeOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                            MLIRContext *context) {
  patterns.add<MergeReshapes>(context);
}

OpFoldResult BroadcastOp::fold(FoldAdaptor) {
  auto type = cast<RankedTensorType>(getType());
  return type.hasStaticShape() ? replaceIfSameType(getInput(), getResult())
                               : nullptr;
}

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  for (auto [i, dim] : llvm::enumerate(getPermutation()))
    if (static_cast<int64_t>(i) != dim)
      return nullptr;
  return replaceIfSameType(getInput(), getResult());
}

void TransposeOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<MergeTransposes>(context);
}

OpFoldResult SliceOp::fold(FoldAdaptor) {
  // A static window of the whole tensor with unit steps is the tensor.
  auto type = cast<RankedTensorType>(getType());
  bool whole = type.hasStaticShape() &&
               llvm::all_of(getSteps(), [](int64_t s) { return s == 1; });
  return whole ? replaceIfSameType(getInput(), getResult()) : nullptr;
}

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  if (getInputs().size() == 1)
    return replaceIfSameType(getInputs().front(), getResult());
  return nullptr;
}
