// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that run functions: verifiers and shape functions.

#include "dialects/Graph/IR/ShapeFunctions.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace lathe::graph;

//===-- Shape functions ---------------------------------------------------===//

/// Dims as `shapes` says; a dim of -1 is the next symbol of `op`, from the
/// `fresh`th on.
static void inferFromShapes(Operation *op, ArrayAttr shapes, unsigned fresh,
                            ShapeScope &scope, SmallVectorImpl<Dims> &results) {
  AffineExpr open = getAffineConstantExpr(-1, op->getContext());
  for (AffineMap map : shapes.getAsValueRange<AffineMapAttr>()) {
    Dims &dims = results.emplace_back(getSizes(map));
    for (AffineExpr &dim : dims)
      if (dim == open)
        dim = scope.getFreshSymbol(op, fresh++);
  }
}

LogicalResult IfOp::inferDims(ShapeScope &scope, ArrayRef<Dims>,
                              SmallVectorImpl<Dims> &results) {
  scope.getFreshSymbol(*this, 0); // The condition.
  inferFromShapes(*this, getShapes(), 1, scope, results);
  return success();
}

LogicalResult CallOp::inferDims(ShapeScope &scope, ArrayRef<Dims>,
                                SmallVectorImpl<Dims> &results) {
  inferFromShapes(*this, getShapes(), 0, scope, results);
  return success();
}

LogicalResult LoopOp::inferDims(ShapeScope &scope, ArrayRef<Dims>,
                                SmallVectorImpl<Dims> &results) {
  inferFromShapes(*this, getShapes(), 0, scope, results);
  return success();
}

LogicalResult BindOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                SmallVectorImpl<Dims> &results) {
  int64_t count = 1;
  for (int64_t size : toStaticShape(operands[1])) {
    if (ShapedType::isDynamic(size))
      return emitOpError("the sizes must be of static shape, got ")
             << getSizes().getType();
    count *= size;
  }
  for (int64_t i = 0; i < count; ++i)
    scope.getFreshSymbol(*this, i);
  results.push_back(operands[0]);
  return success();
}

//===-- Verifiers ---------------------------------------------------------===//

static LogicalResult verifyResultShapes(Operation *op, ArrayAttr shapes) {
  if (shapes.size() != op->getNumResults())
    return op->emitOpError("'shapes' must hold one map for each of the ")
           << op->getNumResults() << " results, got " << shapes.size();
  for (auto [i, map] :
       llvm::enumerate(shapes.getAsValueRange<AffineMapAttr>())) {
    auto type = cast<RankedTensorType>(op->getResult(i).getType());
    if (map.getNumDims() != 0 ||
        static_cast<int64_t>(map.getNumResults()) != type.getRank())
      return op->emitOpError("map ")
             << i << " of 'shapes' must have no dims and " << type.getRank()
             << " results";
  }
  return success();
}

LogicalResult IfOp::verify() { return verifyResultShapes(*this, getShapes()); }

LogicalResult CallOp::verify() {
  size_t callees = getCallees().size(), conditions = getConditions().size();
  if (callees == 0 || conditions > callees || conditions + 1 < callees)
    return emitOpError("needs a condition for each callee but the last, got ")
           << callees << " callees and " << conditions << " conditions";
  return verifyResultShapes(*this, getShapes());
}

LogicalResult LoopOp::verify() {
  if (getNumResults() < getCarried().size())
    return emitOpError("has fewer results than carried values");
  return verifyResultShapes(*this, getShapes());
}

/// Checks that `name` is an internal function with these element types and
/// ranks. (Sizes are checked when it runs.)
static LogicalResult verifyFunction(Operation *op, SymbolTableCollection &table,
                                    FlatSymbolRefAttr name,
                                    ArrayRef<Type> inputs,
                                    ArrayRef<Type> results) {
  auto function = table.lookupNearestSymbolFrom<FunctionOpInterface>(op, name);
  if (!function || !function->hasAttr(kGivenAttr))
    return op->emitOpError("needs an internal function called ") << name;
  auto check = [&](ArrayRef<Type> found, ArrayRef<Type> wanted,
                   StringRef what) -> LogicalResult {
    if (found.size() != wanted.size())
      return op->emitOpError("passes ") << wanted.size() << " " << what << "s, "
                                        << name << " has " << found.size();
    for (auto [i, a, b] : llvm::enumerate(found, wanted)) {
      auto x = cast<RankedTensorType>(a), y = cast<RankedTensorType>(b);
      if (x.getElementType() != y.getElementType() ||
          x.getRank() != y.getRank())
        return op->emitOpError(what)
               << " " << i << " is " << y << ", that of " << name << " " << x;
    }
    return success();
  };
  if (failed(check(function.getArgumentTypes(), inputs, "input")))
    return failure();
  return check(function.getResultTypes(), results, "result");
}

LogicalResult IfOp::verifySymbolUses(SymbolTableCollection &table) {
  SmallVector<Type> inputs(getInputs().getTypes());
  SmallVector<Type> results(getResultTypes());
  if (failed(
          verifyFunction(*this, table, getThenFunctionAttr(), inputs, results)))
    return failure();
  return verifyFunction(*this, table, getElseFunctionAttr(), inputs, results);
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &table) {
  SmallVector<Type> inputs(getInputs().getTypes());
  SmallVector<Type> results(getResultTypes());
  for (auto callee : getCallees().getAsRange<FlatSymbolRefAttr>())
    if (failed(verifyFunction(*this, table, callee, inputs, results)))
      return failure();
  return success();
}

LogicalResult LoopOp::verifySymbolUses(SymbolTableCollection &table) {
  Builder builder(getContext());
  SmallVector<Type> inputs = {RankedTensorType::get({}, builder.getI64Type())};
  llvm::append_range(inputs, getCarried().getTypes());
  llvm::append_range(inputs, getInputs().getTypes());
  SmallVector<Type> results = {RankedTensorType::get({}, builder.getI1Type())};
  for (auto [i, type] : llvm::enumerate(getResultTypes())) {
    auto tensor = cast<RankedTensorType>(type);
    bool isCollected = i >= getCarried().size();
    if (isCollected && tensor.getRank() == 0)
      return emitOpError("result ") << i << " is collected and has no dim";
    results.push_back(RankedTensorType::get(
        tensor.getShape().drop_front(isCollected), tensor.getElementType()));
  }
  return verifyFunction(*this, table, getBodyAttr(), inputs, results);
}
