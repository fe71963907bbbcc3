// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers: what shape functions do not check, element types above all.

#include "dialects/Graph/IR/Graph.h"

using namespace mlir;
using namespace lathe::graph;

static Type elementOf(Value value) {
  return getElementTypeOrSelf(value.getType());
}

/// Checks that operand `index` has the element type `expected`.
static LogicalResult checkElement(Operation *op, unsigned index,
                                  Type expected) {
  Type found = elementOf(op->getOperand(index));
  if (found == expected)
    return success();
  return op->emitOpError("operand ") << index << " must have element type "
                                     << expected << ", got " << found;
}

/// Checks that all operands and the result have one element type.
static LogicalResult checkElements(Operation *op) {
  Type expected = elementOf(op->getResult(0));
  for (unsigned i = 0; i < op->getNumOperands(); ++i)
    if (failed(checkElement(op, i, expected)))
      return failure();
  return success();
}

static LogicalResult checkIndices(Operation *op, unsigned index) {
  Type found = elementOf(op->getOperand(index));
  if (found.isInteger(32) || found.isInteger(64))
    return success();
  return op->emitOpError("operand ")
         << index << " must have element type i32 or i64, got " << found;
}

LogicalResult lathe::graph::verifyElementwise(Operation *op,
                                              bool sameElementType) {
  if (auto type = cast<RankedTensorType>(op->getResult(0).getType());
      type.getEncoding())
    return op->emitOpError("result must not be encoded, got ") << type;
  return sameElementType ? checkElements(op) : success();
}

LogicalResult ConstantOp::verify() {
  ShapedType content = getValue().getShapedType();
  auto type = cast<RankedTensorType>(getType());
  if (content != getDenseType(type))
    return emitOpError("holds ") << content << " and has result type " << type
                                 << "; only an encoding may differ";
  return success();
}

LogicalResult CompareOp::verify() {
  return checkElement(*this, 1, elementOf(getLhs()));
}

LogicalResult SelectOp::verify() {
  if (failed(checkElement(*this, 1, elementOf(getResult()))))
    return failure();
  return checkElement(*this, 2, elementOf(getResult()));
}

LogicalResult DimOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (type.getRank() != 0)
    return emitOpError("result must have rank 0, got ") << type;
  return success();
}

LogicalResult ReshapeOp::verify() { return checkElements(*this); }
LogicalResult TransposeOp::verify() { return checkElements(*this); }
LogicalResult SliceOp::verify() { return checkElements(*this); }
LogicalResult PitchOp::verify() { return checkElements(*this); }
LogicalResult ConcatOp::verify() { return checkElements(*this); }

LogicalResult PadOp::verify() {
  if (getValue() && cast<RankedTensorType>(getValue().getType()).getRank() != 0)
    return emitOpError("value must be a scalar tensor, got ")
           << getValue().getType();
  return checkElements(*this);
}

/// Checks that all operands but the indices have the result's element type.
static LogicalResult checkIndexed(Operation *op) {
  for (unsigned i = 0; i < op->getNumOperands(); ++i)
    if (i != 1 && failed(checkElement(op, i, elementOf(op->getResult(0)))))
      return failure();
  return checkIndices(op, 1);
}

LogicalResult GatherOp::verify() { return checkIndexed(*this); }
LogicalResult GatherElementsOp::verify() { return checkIndexed(*this); }
LogicalResult GatherNdOp::verify() { return checkIndexed(*this); }
LogicalResult ScatterElementsOp::verify() { return checkIndexed(*this); }
LogicalResult ScatterNdOp::verify() { return checkIndexed(*this); }

LogicalResult DynamicIotaOp::verify() {
  for (auto [i, operand] : llvm::enumerate(getOperands()))
    if (cast<RankedTensorType>(operand.getType()).getRank() > 1)
      return emitOpError("operand ")
             << i << " must be a number, of rank 0 or 1, got "
             << operand.getType();
  return checkElements(*this);
}

LogicalResult CumulateOp::verify() {
  if (!elementOf(getResult()).isInteger(1))
    return success();
  return emitOpError("needs numbers, got truth values; cast them");
}

LogicalResult ReduceOp::verify() { return checkElements(*this); }

LogicalResult ArgReduceOp::verify() {
  if (getKind() == Reduction::max || getKind() == Reduction::min)
    return success();
  return emitOpError("kind must be max or min, got ")
         << stringifyReduction(getKind());
}

LogicalResult SoftmaxOp::verify() {
  if (isa<FloatType>(elementOf(getResult())))
    return success();
  return emitOpError("needs a float element type, got ")
         << elementOf(getResult());
}

LogicalResult LayerNormOp::verify() {
  return checkElement(*this, 0, elementOf(getResult()));
}

LogicalResult RmsNormOp::verify() {
  return checkElement(*this, 0, elementOf(getResult()));
}

LogicalResult MatmulOp::verify() {
  return checkElement(*this, 1, elementOf(getLhs()));
}

LogicalResult ContractOp::verify() {
  if (getWeights().size() == getBranches().size() && !getWeights().empty())
    return success();
  return emitOpError("needs one branch per weight and at least one, got ")
         << getBranches().size() << " branches and " << getWeights().size()
         << " weights";
}

LogicalResult ConvOp::verify() {
  if (getGroups() == 0)
    return emitOpError("groups must be positive");
  return checkElement(*this, 1, elementOf(getInput()));
}

LogicalResult PoolOp::verify() {
  if (getKind() != Reduction::max && getKind() != Reduction::mean)
    return emitOpError("kind must be max or mean, got ")
           << stringifyReduction(getKind());
  return checkElements(*this);
}

LogicalResult AttentionOp::verify() {
  Type type = elementOf(getResult());
  if (!isa<Float32Type, Float16Type, BFloat16Type>(type))
    return emitOpError("needs element type f32, f16 or bf16, got ")
           << type << "; spell other types out";
  for (unsigned i = 0; i < 3; ++i)
    if (failed(checkElement(*this, i, elementOf(getResult()))))
      return failure();
  if (getMask() && !elementOf(getMask()).isInteger(1) &&
      !isa<FloatType>(elementOf(getMask())))
    return emitOpError("mask must hold i1 or floats, got ")
           << elementOf(getMask());
  int64_t heads = getQuery().getType().getDimSize(1);
  auto list = dyn_cast<BlockListAttr>(Attribute(getSelection()));
  if (list && list.getHeads() != 1 &&
      (ShapedType::isDynamic(heads) || heads % list.getHeads() != 0))
    return emitOpError("the block list's 'heads' must be 1 or divide those of "
                       "the query, got ")
           << list.getHeads();
  return success();
}

LogicalResult BuiltinOp::verify() {
  if (!getShapes())
    return success();
  if (getShapes()->size() != getNumResults() ||
      !llvm::all_of(*getShapes(), llvm::IsaPred<AffineMapAttr>))
    return emitOpError("'shapes' must hold one affine map for each of the ")
           << getNumResults() << " results";
  return success();
}
