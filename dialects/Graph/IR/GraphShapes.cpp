// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shape functions: what they share, elementwise ops, reductions, norms.

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/IR/ShapeFunctions.h"

using namespace mlir;
using namespace lathe::graph;

SmallVector<int64_t> lathe::graph::toStaticShape(ArrayRef<AffineExpr> dims) {
  return llvm::map_to_vector(dims, [](AffineExpr dim) {
    auto constant = dyn_cast<AffineConstantExpr>(dim);
    return constant ? constant.getValue() : ShapedType::kDynamic;
  });
}

std::string lathe::graph::toString(AffineExpr expr) {
  std::string text;
  llvm::raw_string_ostream(text) << expr;
  return text;
}

bool lathe::graph::mayBeEqual(AffineExpr a, AffineExpr b) {
  std::optional<int64_t> difference =
      (Polynomial::get(a) - Polynomial::get(b)).getConstant();
  return !difference || *difference == 0;
}

FailureOr<AffineExpr> lathe::graph::unifySizes(Operation *op, ShapeScope &scope,
                                               AffineExpr a, AffineExpr b,
                                               const Twine &what,
                                               StringRef hint) {
  if (isSameSize(a, b))
    return a;
  if (!mayBeEqual(a, b))
    return op->emitOpError("sizes of ")
           << what << " must be equal, got " << toString(a) << " and "
           << toString(b);
  scope.requireZero(a - b, (op->getName().getStringRef() + ": sizes of " +
                            what + " must be equal" + hint)
                               .str());
  return isa<AffineConstantExpr>(b) ? b : a;
}

static bool isOne(AffineExpr expr) {
  auto constant = dyn_cast<AffineConstantExpr>(expr);
  return constant && constant.getValue() == 1;
}

LogicalResult lathe::graph::broadcastDims(Operation *op, ShapeScope &scope,
                                          ArrayRef<AffineExpr> a,
                                          ArrayRef<AffineExpr> b,
                                          Dims &result) {
  if (a.size() < b.size())
    std::swap(a, b);
  size_t extra = a.size() - b.size();
  result.assign(a.begin(), a.begin() + extra);
  for (size_t i = extra; i < a.size(); ++i) {
    AffineExpr left = a[i], right = b[i - extra];
    if (isOne(left) || isOne(right)) {
      result.push_back(isOne(left) ? right : left);
      continue;
    }
    // ONNX lets either be 1 at run time. Kernels take one case: where neither
    // is known to be 1, that they are equal.
    FailureOr<AffineExpr> size = unifySizes(
        op, scope, left, right, "broadcast dim " + Twine(i) + " of the result",
        "; for a dim that is 1, compile with --specialize NAME=1");
    if (failed(size))
      return failure();
    result.push_back(*size);
  }
  return success();
}

LogicalResult lathe::graph::checkAxis(Operation *op, int64_t axis,
                                      size_t rank) {
  if (axis >= 0 && axis < static_cast<int64_t>(rank))
    return success();
  return op->emitOpError("axis ")
         << axis << " is out of range; allowed are 0 to "
         << static_cast<int64_t>(rank) - 1;
}

LogicalResult lathe::graph::checkRank(Operation *op, unsigned operand,
                                      ArrayRef<Dims> dims, size_t allowed) {
  if (dims[operand].size() == allowed)
    return success();
  return op->emitOpError("operand ") << operand << " must have rank " << allowed
                                     << ", got " << dims[operand].size();
}

Dims lathe::graph::getSizes(AffineMap map) {
  Dims sizes;
  for (AffineExpr size : map.getResults())
    sizes.push_back(canonicalizeSize(size));
  return sizes;
}

Dims lathe::graph::getDimsOfType(Type type, unsigned &unknowns) {
  Dims dims;
  for (int64_t size : cast<RankedTensorType>(type).getShape())
    dims.push_back(ShapedType::isDynamic(size)
                       ? getAffineDimExpr(unknowns++, type.getContext())
                       : getAffineConstantExpr(size, type.getContext()));
  return dims;
}

bool lathe::graph::isAddressable(ArrayRef<AffineExpr> dims, Type elementType) {
  int64_t bytes = llvm::divideCeil(elementType.getIntOrFloatBitWidth(), 8);
  bool isEmpty = false, fits = true;
  for (AffineExpr dim : dims)
    if (auto size = dyn_cast<AffineConstantExpr>(dim)) {
      isEmpty |= size.getValue() == 0;
      fits &= !llvm::MulOverflow(bytes, size.getValue(), bytes) &&
              bytes <= int64_t(1) << 62;
    }
  return fits || isEmpty;
}

LogicalResult lathe::graph::checkSizes(Operation *op, ArrayRef<Dims> results) {
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), results))
    if (!isAddressable(dims, getElementTypeOrSelf(value)))
      return op->emitOpError("result ")
             << value.getResultNumber() << " of shape ["
             << llvm::join(llvm::map_range(dims, graph::toString), ", ")
             << "] has more than 2^62 bytes";
  return success();
}

//===-- Verification by shape function ------------------------------------===//

namespace {
/// Knows types only: what depends on run time is neither known nor wrong.
class TypeScope final : public ShapeScope {
public:
  std::optional<Dims> getContents(Value) override { return std::nullopt; }
  AffineExpr getFreshSymbol(Operation *op, unsigned) override {
    return getAffineDimExpr(unknowns++, op->getContext());
  }
  void requireZero(AffineExpr, StringRef) override {}
  void requireNonNegative(AffineExpr, StringRef) override {}

  unsigned unknowns = 0;
};
} // namespace

LogicalResult lathe::graph::verifyShapes(Operation *op) {
  TypeScope scope;
  SmallVector<Dims> operands, results;
  for (Type type : op->getOperandTypes())
    operands.push_back(getDimsOfType(type, scope.unknowns));
  if (failed(cast<ShapeOpInterface>(op).inferDims(scope, operands, results)) ||
      failed(checkSizes(op, results)))
    return failure();
  for (auto [i, dims] : llvm::enumerate(results)) {
    auto type = cast<RankedTensorType>(op->getResult(i).getType());
    SmallVector<int64_t> shape = toStaticShape(dims);
    if (failed(verifyCompatibleShape(shape, type.getShape())))
      return op->emitOpError("result ")
             << i << " must have shape "
             << RankedTensorType::get(shape, type.getElementType()) << ", got "
             << type;
  }
  return success();
}

LogicalResult lathe::graph::inferResultTypes(Operation *op, ShapeScope &scope,
                                             ArrayRef<Dims> operands,
                                             SmallVectorImpl<Dims> &results) {
  if (failed(cast<ShapeOpInterface>(op).inferDims(scope, operands, results)) ||
      failed(checkSizes(op, results)))
    return failure();
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), results)) {
    auto type = cast<RankedTensorType>(value.getType());
    value.setType(RankedTensorType::get(
        toStaticShape(dims), type.getElementType(), type.getEncoding()));
  }
  return success();
}

//===-- Elementwise -------------------------------------------------------===//

LogicalResult lathe::graph::inferBroadcastDims(Operation *op, ShapeScope &scope,
                                               ArrayRef<Dims> operands,
                                               SmallVectorImpl<Dims> &results) {
  Dims dims = operands.front();
  for (const Dims &operand : operands.drop_front()) {
    Dims joined;
    if (failed(broadcastDims(op, scope, dims, operand, joined)))
      return failure();
    dims = std::move(joined);
  }
  results.push_back(std::move(dims));
  return success();
}

LogicalResult CompareOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                   SmallVectorImpl<Dims> &results) {
  return inferBroadcastDims(*this, scope, operands, results);
}

LogicalResult SelectOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                  SmallVectorImpl<Dims> &results) {
  return inferBroadcastDims(*this, scope, operands, results);
}

LogicalResult CastOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                SmallVectorImpl<Dims> &results) {
  return inferBroadcastDims(*this, scope, operands, results);
}

LogicalResult ConstantOp::inferDims(ShapeScope &, ArrayRef<Dims>,
                                    SmallVectorImpl<Dims> &results) {
  unsigned unknowns = 0;
  results.push_back(getDimsOfType(getValue().getShapedType(), unknowns));
  return success();
}

LogicalResult DimOp::inferDims(ShapeScope &, ArrayRef<Dims> operands,
                               SmallVectorImpl<Dims> &results) {
  results.emplace_back();
  return checkAxis(*this, getAxis(), operands[0].size());
}

//===-- Reductions and normalizations -------------------------------------===//

/// Dims without those of `axes`, or with them as one.
static Dims dropAxes(ArrayRef<AffineExpr> dims, ArrayRef<int64_t> axes,
                     bool keep, MLIRContext *context) {
  Dims result;
  for (auto [i, dim] : llvm::enumerate(dims))
    if (!llvm::is_contained(axes, static_cast<int64_t>(i)))
      result.push_back(dim);
    else if (keep)
      result.push_back(getAffineConstantExpr(1, context));
  return result;
}

LogicalResult ReduceOp::inferDims(ShapeScope &, ArrayRef<Dims> operands,
                                  SmallVectorImpl<Dims> &results) {
  int64_t previous = -1;
  for (int64_t axis : getAxes()) {
    if (failed(checkAxis(*this, axis, operands[0].size())))
      return failure();
    if (axis <= previous)
      return emitOpError("axes must ascend, got ")
             << axis << " after " << previous;
    previous = axis;
  }
  results.push_back(
      dropAxes(operands[0], getAxes(), getKeepDims(), getContext()));
  return success();
}

LogicalResult ArgReduceOp::inferDims(ShapeScope &, ArrayRef<Dims> operands,
                                     SmallVectorImpl<Dims> &results) {
  int64_t axis = getAxis();
  results.push_back(dropAxes(operands[0], axis, getKeepDims(), getContext()));
  return checkAxis(*this, axis, operands[0].size());
}

LogicalResult SoftmaxOp::inferDims(ShapeScope &, ArrayRef<Dims> operands,
                                   SmallVectorImpl<Dims> &results) {
  results.push_back(operands[0]);
  return checkAxis(*this, getAxis(), operands[0].size());
}

LogicalResult CumulateOp::inferDims(ShapeScope &, ArrayRef<Dims> operands,
                                    SmallVectorImpl<Dims> &results) {
  results.push_back(operands[0]);
  return checkAxis(*this, getAxis(), operands[0].size());
}

/// Input dims; scale and bias must have the dims from `axis` on.
static LogicalResult inferNormDims(Operation *op, int64_t axis,
                                   ShapeScope &scope, ArrayRef<Dims> operands,
                                   SmallVectorImpl<Dims> &results) {
  const Dims &input = operands[0];
  if (failed(checkAxis(op, axis, input.size())))
    return failure();
  for (size_t i = 1; i < operands.size(); ++i) {
    if (failed(checkRank(op, i, operands, input.size() - axis)))
      return failure();
    for (auto [j, size] : llvm::enumerate(operands[i]))
      if (failed(unifySizes(op, scope, input[axis + j], size,
                            "normalized dim " + Twine(j) +
                                " of the input and of operand " + Twine(i))))
        return failure();
  }
  results.push_back(input);
  return success();
}

LogicalResult LayerNormOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                     SmallVectorImpl<Dims> &results) {
  return inferNormDims(*this, getAxis(), scope, operands, results);
}

LogicalResult RmsNormOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                   SmallVectorImpl<Dims> &results) {
  return inferNormDims(*this, getAxis(), scope, operands, results);
}
