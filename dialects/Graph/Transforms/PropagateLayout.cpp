// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-propagate-layout
//
//   %y = graph.conv %x, %w ...                 (%x [N, C, H, W])
// becomes
//   %a = graph.transpose %x [0, 2, 3, 1]
//   %b = graph.transpose %w [2, 3, 1, 0]
//   %c = graph.conv %a, %b ... channels_last
//   %y = graph.transpose %c [0, 3, 1, 2]
//
// and, where the kernel is one element that moves by one,
//
//   %c = graph.contract %a, %b [#graph.branch<>]
//
// The transposes go where --graph-propagate-transposes lets them meet.

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"

namespace lathe::graph {
#define GEN_PASS_DEF_PROPAGATELAYOUTPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// From (N, C, spatial..) to (N, spatial.., C).
static SmallVector<int64_t> getChannelsLast(unsigned rank) {
  SmallVector<int64_t> permutation{0};
  for (unsigned i = 2; i < rank; ++i)
    permutation.push_back(i);
  permutation.push_back(1);
  return permutation;
}

/// From (N, spatial.., C) to (N, C, spatial..).
static SmallVector<int64_t> getChannelsFirst(unsigned rank) {
  SmallVector<int64_t> permutation{0, static_cast<int64_t>(rank) - 1};
  for (unsigned i = 1; i + 1 < rank; ++i)
    permutation.push_back(i);
  return permutation;
}

static bool isAll(ArrayRef<int64_t> numbers, int64_t value) {
  return llvm::all_of(numbers, [&](int64_t n) { return n == value; });
}

/// Whether the convolution is a product of pixels, all or every so many, with
/// one constant matrix.
static bool isLinear(ConvOp op) {
  auto weight = cast<RankedTensorType>(op.getWeight().getType());
  return op.getWeight().getDefiningOp<ConstantOp>() && op.getGroups() == 1 &&
         weight.hasStaticShape() && isAll(weight.getShape().drop_front(2), 1) &&
         isAll(op.getPads(), 0);
}

namespace {
class LayoutRewriter {
public:
  LayoutRewriter(ShapeAnalysis &shapes, OpBuilder &builder)
      : shapes(shapes), builder(builder) {}

  /// The result over (N, C, spatial..), computed with channels last; null after
  /// an error.
  Value rewrite(ConvOp op);
  Value rewrite(PoolOp op);

private:
  Value transpose(Value value, ArrayRef<int64_t> permutation);
  Value takePixels(ConvOp op, Value input);
  Value buildLinear(ConvOp op, Value input);
  Value buildConv(ConvOp op, Value input);

  ShapeAnalysis &shapes;
  OpBuilder &builder;
};
} // namespace

static unsigned getRank(Value value) {
  return cast<RankedTensorType>(value.getType()).getRank();
}

template <typename Op> static Value valueOf(FailureOr<Op> op) {
  return failed(op) ? Value() : Value(op->getResult());
}

Value LayoutRewriter::transpose(Value value, ArrayRef<int64_t> permutation) {
  if (!value)
    return value;
  return valueOf(createInferred<TransposeOp>(
      builder, value.getLoc(), shapes, getElementTypeOrSelf(value), value,
      builder.getDenseI64ArrayAttr(permutation)));
}

/// The pixels that a convolution of one element with strides reads, from
/// `input` with channels last.
Value LayoutRewriter::takePixels(ConvOp op, Value input) {
  if (!input || isAll(op.getStrides(), 1))
    return input;
  Dims sizes(shapes.getDims(input));
  for (auto [i, size] :
       llvm::enumerate(shapes.getDims(op.getResult()).drop_front(2)))
    sizes[1 + i] = size;
  Dims starts(sizes.size(), builder.getAffineConstantExpr(0));
  SmallVector<int64_t> steps(sizes.size(), 1);
  llvm::copy(op.getStrides(), steps.begin() + 1);
  auto map = [&](const Dims &dims) {
    return AffineMapAttr::get(getSizeMap(shapes, op.getContext(), dims));
  };
  return valueOf(createInferred<SliceOp>(
      builder, op.getLoc(), shapes, getElementTypeOrSelf(input), input,
      map(starts), map(sizes), builder.getDenseI64ArrayAttr(steps)));
}

Value LayoutRewriter::buildLinear(ConvOp op, Value input) {
  Location loc = op.getLoc();
  ArrayRef<AffineExpr> dims = shapes.getDims(op.getWeight());
  AffineMap matrix = getSizeMap(shapes, op.getContext(), dims.take_front(2));
  Value weight = valueOf(createInferred<ReshapeOp>(
      builder, loc, shapes, getElementTypeOrSelf(op.getWeight()),
      op.getWeight(), AffineMapAttr::get(matrix)));
  weight = transpose(weight, {1, 0});
  auto branch = BranchAttr::get(op.getContext(), Attribute(), 1.0);
  return valueOf(createInferred<ContractOp>(
      builder, loc, shapes, getElementTypeOrSelf(op), takePixels(op, input),
      ValueRange{weight}, builder.getArrayAttr({branch})));
}

Value LayoutRewriter::buildConv(ConvOp op, Value input) {
  SmallVector<int64_t> permutation;
  for (unsigned i = 2; i < getRank(op.getWeight()); ++i)
    permutation.push_back(i);
  permutation.append({1, 0});
  Value weight = transpose(op.getWeight(), permutation);
  return valueOf(createInferred<ConvOp>(
      builder, op.getLoc(), shapes, getElementTypeOrSelf(op), input, weight,
      op.getStridesAttr(), op.getDilationsAttr(), op.getPadsAttr(),
      op.getGroupsAttr(), builder.getUnitAttr()));
}

Value LayoutRewriter::rewrite(ConvOp op) {
  builder.setInsertionPoint(op);
  unsigned rank = getRank(op.getInput());
  Value input = transpose(op.getInput(), getChannelsLast(rank));
  Value result = isLinear(op) ? buildLinear(op, input) : buildConv(op, input);
  return transpose(result, getChannelsFirst(rank));
}

Value LayoutRewriter::rewrite(PoolOp op) {
  builder.setInsertionPoint(op);
  unsigned rank = getRank(op.getInput());
  Value input = transpose(op.getInput(), getChannelsLast(rank));
  Value result = valueOf(createInferred<PoolOp>(
      builder, op.getLoc(), shapes, getElementTypeOrSelf(op), op.getKindAttr(),
      input, op.getKernelAttr(), op.getStridesAttr(), op.getDilationsAttr(),
      op.getPadsAttr(), op.getCeilAttr(), op.getIncludePadAttr(),
      builder.getUnitAttr()));
  return transpose(result, getChannelsFirst(rank));
}

namespace {
struct PropagateLayoutPass
    : lathe::graph::impl::PropagateLayoutPassBase<PropagateLayoutPass> {
  using Base::Base;

  void runOnOperation() override {
    OpBuilder builder(&getContext());
    bool isBroken = false;
    auto rewrite = [&](ShapeAnalysis &shapes, Operation *op) {
      LayoutRewriter rewriter(shapes, builder);
      auto conv = dyn_cast<ConvOp>(op);
      auto pool = dyn_cast<PoolOp>(op);
      if (!(conv && !conv.getChannelsLast()) &&
          !(pool && !pool.getChannelsLast()))
        return Value();
      Value result = conv ? rewriter.rewrite(conv) : rewriter.rewrite(pool);
      isBroken |= !result;
      numRewritten += result ? 1 : 0;
      return result;
    };
    if (failed(rewriteOps(getOperation(), rewrite)) || isBroken)
      signalPassFailure();
  }
};
} // namespace
