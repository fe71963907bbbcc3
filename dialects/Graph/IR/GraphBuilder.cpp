// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/IR/GraphBuilder.h"
#include "dialects/Graph/IR/ConstantValues.h"
#include "mlir/IR/Verifier.h"

using namespace lathe::graph;
using namespace mlir;

GraphBuilder::GraphBuilder(func::FuncOp function, ShapeAnalysis &analysis)
    : OpBuilder(function.getBody()), loc(function.getLoc()),
      analysis(analysis) {
  setInsertionPointToEnd(&function.getBody().front());
}

GraphBuilder::GraphBuilder(Operation *op, ShapeAnalysis &analysis)
    : OpBuilder(op), loc(op->getLoc()), analysis(analysis) {}

bool GraphBuilder::finish(Operation *op) {
  if (succeeded(analysis.visit(op))) {
    analysis.annotate(op);
    if (succeeded(verify(op, /*verifyRecursively=*/false)))
      return true;
  }
  failed = true;
  op->erase();
  return false;
}

//===-- What is known of a value ------------------------------------------===//

Type GraphBuilder::getElementType(Value value) {
  return value ? getElementTypeOrSelf(value.getType()) : getF32Type();
}

int64_t GraphBuilder::getRank(Value value) {
  return value ? llvm::cast<RankedTensorType>(value.getType()).getRank() : 0;
}

Dims GraphBuilder::getDims(Value value) {
  return value ? Dims(analysis.getDims(value)) : Dims();
}

AffineExpr GraphBuilder::getDim(Value value, int64_t axis) {
  Dims dims = getDims(value);
  return axis >= 0 && axis < int64_t(dims.size()) ? dims[axis] : size(1);
}

std::optional<Dims> GraphBuilder::getContents(Value value) {
  return value ? analysis.getContents(value) : std::nullopt;
}

std::optional<SmallVector<int64_t>> GraphBuilder::getIntegers(Value value) {
  std::optional<Dims> contents = getContents(value);
  if (!contents)
    return std::nullopt;
  SmallVector<int64_t> result;
  for (AffineExpr element : *contents) {
    auto constant = dyn_cast<AffineConstantExpr>(element);
    if (!constant)
      return std::nullopt;
    result.push_back(constant.getValue());
  }
  return result;
}

std::optional<double> GraphBuilder::getScalar(Value value) {
  if (auto integers = getIntegers(value); integers && integers->size() == 1)
    return integers->front();
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : nullptr;
  if (!type || !type.hasStaticShape() || type.getNumElements() != 1)
    return std::nullopt;
  return getSplatNumber(value);
}

//===-- Sizes -------------------------------------------------------------===//

AffineExpr GraphBuilder::size(int64_t value) {
  return getAffineConstantExpr(value);
}

SmallVector<AffineExpr> GraphBuilder::sizes(ArrayRef<int64_t> values) {
  return llvm::map_to_vector(values, [&](int64_t v) { return size(v); });
}

AffineExpr GraphBuilder::product(ArrayRef<AffineExpr> dims) {
  return getProduct(getContext(), dims);
}

AffineMapAttr GraphBuilder::map(ArrayRef<AffineExpr> dims) {
  return AffineMapAttr::get(
      AffineMap::get(0, analysis.getSymbols().size(), dims, getContext()));
}

//===-- Constants ---------------------------------------------------------===//

Value GraphBuilder::constant(ElementsAttr value) {
  return create<ConstantOp>(value.getElementType(), value);
}

Value GraphBuilder::scalar(Type elementType, double value) {
  auto type = RankedTensorType::get({}, elementType);
  if (auto integer = dyn_cast<IntegerType>(elementType)) {
    APInt bits(64, static_cast<uint64_t>(static_cast<int64_t>(value)),
               /*isSigned=*/true);
    return constant(
        DenseElementsAttr::get(type, bits.trunc(integer.getWidth())));
  }
  return constant(
      DenseElementsAttr::get(type, getFloatAttr(elementType, value)));
}

Value GraphBuilder::integers(ArrayRef<int64_t> values) {
  int64_t count = values.size();
  return constant(DenseElementsAttr::get(
      RankedTensorType::get(count, getI64Type()), values));
}

Value GraphBuilder::sizeValue(AffineExpr size) {
  if (auto known = dyn_cast<AffineConstantExpr>(size))
    return scalar(getI64Type(), known.getValue());
  // The iota is never computed: only its size is asked for.
  return create<DimOp>(getI64Type(), iota(size), getI64IntegerAttr(0));
}

//===-- Ops with more convenient arguments --------------------------------===//

Value GraphBuilder::compare(Compare kind, Value a, Value b) {
  return create<CompareOp>(getI1Type(), kind, a, b);
}

Value GraphBuilder::select(Value condition, Value a, Value b) {
  return create<SelectOp>(getElementType(a), condition, a, b);
}

Value GraphBuilder::cast(Value value, Type elementType) {
  if (!value || getElementType(value) == elementType)
    return value;
  return create<CastOp>(elementType, value);
}

Value GraphBuilder::castSaturating(Value value, Type elementType) {
  auto narrow = dyn_cast<FloatType>(elementType);
  if (!value || !narrow || narrow.getWidth() > 8)
    return cast(value, elementType);
  if (!isa<FloatType>(getElementType(value)))
    value = cast(value, getF32Type());
  llvm::APFloat most = llvm::APFloat::getLargest(narrow.getFloatSemantics());
  bool loses;
  most.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven,
               &loses);
  double bound = most.convertToDouble();
  value = max(value, scalarLike(value, -bound));
  return cast(min(value, scalarLike(value, bound)), elementType);
}

Value GraphBuilder::reshape(Value value, ArrayRef<AffineExpr> dims) {
  if (!value || llvm::equal(getDims(value), dims))
    return value;
  return create<ReshapeOp>(getElementType(value), value, map(dims));
}

Value GraphBuilder::unsqueeze(Value value, ArrayRef<int64_t> axes) {
  Dims dims = getDims(value);
  for (int64_t axis : axes) {
    if (axis < 0 || axis > int64_t(dims.size()))
      return {};
    dims.insert(dims.begin() + axis, size(1));
  }
  return reshape(value, dims);
}

Value GraphBuilder::broadcast(Value value, ArrayRef<AffineExpr> dims) {
  if (!value || llvm::equal(getDims(value), dims))
    return value;
  return create<BroadcastOp>(getElementType(value), value, map(dims));
}

Value GraphBuilder::transpose(Value value, ArrayRef<int64_t> permutation) {
  return create<TransposeOp>(getElementType(value), value, permutation);
}

Value GraphBuilder::slice(Value value, int64_t axis, AffineExpr start,
                          AffineExpr count, int64_t step) {
  Dims sizes = getDims(value);
  if (axis < 0 || axis >= int64_t(sizes.size()))
    return {};
  Dims starts(sizes.size(), size(0));
  SmallVector<int64_t> steps(sizes.size(), 1);
  starts[axis] = start;
  sizes[axis] = count;
  steps[axis] = step;
  return create<SliceOp>(getElementType(value), value, map(starts), map(sizes),
                         getDenseI64ArrayAttr(steps));
}

Value GraphBuilder::concat(ValueRange values, int64_t axis) {
  if (values.empty() || llvm::is_contained(values, Value()))
    return {};
  return create<ConcatOp>(getElementType(values.front()), values,
                          getI64IntegerAttr(axis));
}

Value GraphBuilder::reduce(Reduction kind, Value value, ArrayRef<int64_t> axes,
                           bool keepDims) {
  auto kindAttr = ReductionAttr::get(getContext(), kind);
  return create<ReduceOp>(getElementType(value), kindAttr, value,
                          getDenseI64ArrayAttr(axes),
                          keepDims ? getUnitAttr() : UnitAttr());
}

Value GraphBuilder::iota(AffineExpr count, int64_t axis, int64_t rank) {
  Value line = create<IotaOp>(getI64Type(), getI64IntegerAttr(0), map(count));
  Dims dims(rank, size(1));
  dims[axis] = count;
  return reshape(line, dims);
}

Value GraphBuilder::matmul(Value a, Value b) {
  return create<MatmulOp>(getElementType(a), a, b);
}

Value GraphBuilder::takeAlong(Value value, Value indices, int64_t axis) {
  return create<GatherElementsOp>(getElementType(value), value, indices, axis);
}

Value GraphBuilder::alongChannels(Value value, int64_t rank) {
  if (getRank(value) != 1)
    return value;
  Dims dims(std::max<int64_t>(rank, 2), size(1));
  dims[1] = getDim(value, 0);
  return reshape(value, dims);
}

SmallVector<Value> GraphBuilder::builtin(StringRef callee, ValueRange inputs,
                                         ArrayRef<NamedAttribute> options,
                                         ArrayRef<RankedTensorType> types,
                                         ArrayRef<Dims> shapes) {
  SmallVector<Value> results(types.size());
  if (failed || llvm::is_contained(inputs, Value()))
    return results;
  ArrayAttr shapeMaps;
  if (!shapes.empty())
    shapeMaps = getArrayAttr(llvm::map_to_vector(
        shapes, [&](const Dims &dims) -> Attribute { return map(dims); }));
  SmallVector<Type> resultTypes(types.begin(), types.end());
  auto op = BuiltinOp::create(
      *this, loc, resultTypes, getStringAttr(callee), inputs,
      options.empty() ? DictionaryAttr() : getDictionaryAttr(options),
      shapeMaps, DenseI64ArrayAttr());
  if (finish(op))
    llvm::copy(op.getResults(), results.begin());
  return results;
}
