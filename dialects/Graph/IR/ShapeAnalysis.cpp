// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/IR/ShapeFunctions.h"

using namespace mlir;
using namespace lathe::graph;

static constexpr llvm::StringLiteral kBindsAttr = "binds";

ShapeAnalysis::ShapeAnalysis(FunctionOpInterface function)
    : function(function), context(function.getContext()) {
  if (auto names = function->getAttrOfType<ArrayAttr>(kSymbolsAttr))
    for (StringAttr name : names.getAsRange<StringAttr>())
      symbols.push_back(name.str());
  readArguments();
}

unsigned ShapeAnalysis::addSymbol(StringRef wanted) {
  std::string name = wanted.str();
  for (unsigned i = 1; llvm::is_contained(symbols, name); ++i)
    name = (wanted + "." + Twine(i)).str();
  symbols.push_back(name);
  return symbols.size() - 1;
}

AffineExpr ShapeAnalysis::getSymbol(StringRef name) {
  auto it = llvm::find(symbols, name);
  unsigned position =
      it == symbols.end() ? addSymbol(name) : it - symbols.begin();
  return getAffineSymbolExpr(position, context);
}

void ShapeAnalysis::readArguments() {
  if (function.isExternal())
    return;
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type)
      continue;
    unsigned number = argument.getArgNumber();
    auto map = function.getArgAttrOfType<AffineMapAttr>(number, kDimsAttr);
    auto name = function.getArgAttrOfType<StringAttr>(number, kNameAttr);
    std::string label = name ? name.str() : ("input" + Twine(number)).str();
    Dims &sizes = dims[argument];
    for (int64_t i = 0; i < type.getRank(); ++i)
      if (!type.isDynamicDim(i))
        sizes.push_back(getAffineConstantExpr(type.getDimSize(i), context));
      else if (map)
        sizes.push_back(canonicalizeSize(map.getValue().getResult(i)));
      else
        sizes.push_back(getAffineSymbolExpr(
            addSymbol((label + ".dim" + Twine(i)).str()), context));
  }
}

LogicalResult ShapeAnalysis::run() {
  if (!function.isExternal())
    for (BlockArgument argument : function.getArguments())
      if (auto type = dyn_cast<RankedTensorType>(argument.getType());
          type && !isAddressable(getDims(argument), type.getElementType()))
        return function.emitError("argument ")
               << argument.getArgNumber() << " of type " << type
               << " has more than 2^62 bytes";
  for (Block &block : function.getFunctionBody())
    for (Operation &op : block)
      if (failed(visit(&op)))
        return failure();
  return success();
}

LogicalResult ShapeAnalysis::visit(Operation *op) {
  current = op;
  if (auto group = dyn_cast<GroupOp>(op))
    return visitGroup(group);
  auto shaped = dyn_cast<ShapeOpInterface>(op);
  if (!shaped) {
    if (llvm::none_of(op->getResultTypes(), llvm::IsaPred<TensorType>))
      return success();
    return op->emitOpError("has no shape function");
  }
  SmallVector<Dims> operands, results;
  for (Value operand : op->getOperands())
    operands.emplace_back(getDims(operand));
  if (failed(shaped.inferDims(*this, operands, results)) ||
      failed(checkSizes(op, results)))
    return failure();
  for (auto [value, sizes] : llvm::zip_equal(op->getResults(), results)) {
    for (AffineExpr &size : sizes)
      size = canonicalizeSize(size);
    dims[value] = std::move(sizes);
  }
  return success();
}

LogicalResult ShapeAnalysis::visitGroup(GroupOp group) {
  Block &body = group.getBody().front();
  for (auto [argument, input] :
       llvm::zip_equal(body.getArguments(), group.getInputs()))
    dims[argument] = Dims(getDims(input));
  for (Operation &op : body.without_terminator())
    if (failed(visit(&op)))
      return failure();
  for (auto [result, value] :
       llvm::zip_equal(group.getResults(), group.getYield().getValues()))
    dims[result] = Dims(getDims(value));
  return success();
}

ArrayRef<AffineExpr> ShapeAnalysis::getDims(Value value) const {
  auto found = dims.find(value);
  return found == dims.end() ? ArrayRef<AffineExpr>() : found->second;
}

//===-- Fresh symbols and requirements ------------------------------------===//

AffineExpr ShapeAnalysis::getFreshSymbol(Operation *op, unsigned index) {
  for (const FreshSymbol &known : fresh)
    if (known.op == op && known.index == index)
      return getAffineSymbolExpr(known.symbol, context);
  unsigned symbol;
  auto binds = op->getAttrOfType<DenseI64ArrayAttr>(kBindsAttr);
  if (binds && index < static_cast<unsigned>(binds.size()))
    symbol = binds[index];
  else
    symbol = addSymbol(
        (op->getName().stripDialect() + "." + Twine(symbols.size())).str());
  fresh.push_back({op, index, symbol});
  return getAffineSymbolExpr(symbol, context);
}

void ShapeAnalysis::requireZero(AffineExpr expr, StringRef message) {
  require(expr, /*isEquality=*/true, message);
}

void ShapeAnalysis::requireNonNegative(AffineExpr expr, StringRef message) {
  require(expr, /*isEquality=*/false, message);
}

void ShapeAnalysis::require(AffineExpr expr, bool isEquality,
                            StringRef message) {
  expr = canonicalizeSize(expr);
  if (isEquality ? expr == getAffineConstantExpr(0, context)
                 : isSizeAtLeast(expr, 0))
    return;
  for (const Requirement &requirement : requirements)
    if (requirement.expr == expr && requirement.isEquality == isEquality)
      return;
  Location loc = current ? current->getLoc() : function.getLoc();
  requirements.push_back({expr, isEquality, message.str(), loc});
}

//===-- Writing back ------------------------------------------------------===//

static void setShape(Value value, ArrayRef<AffineExpr> sizes) {
  auto type = cast<RankedTensorType>(value.getType());
  value.setType(RankedTensorType::get(
      toStaticShape(sizes), type.getElementType(), type.getEncoding()));
}

void ShapeAnalysis::annotate(Operation *op) {
  if (!isa<ShapeOpInterface>(op))
    return;
  if (auto group = dyn_cast<GroupOp>(op)) {
    for (BlockArgument argument : group.getBody().getArguments())
      setShape(argument, getDims(argument));
    for (Operation &inner : group.getBody().front().without_terminator())
      annotate(&inner);
  }
  for (Value result : op->getResults())
    setShape(result, getDims(result));
  SmallVector<int64_t> binds;
  for (const FreshSymbol &symbol : fresh)
    if (symbol.op == op)
      binds.push_back(symbol.symbol);
  if (binds.empty())
    return;
  op->setAttr(kBindsAttr, DenseI64ArrayAttr::get(context, binds));
  annotateFunction();
}

void ShapeAnalysis::annotateFunction() {
  auto names = llvm::map_to_vector(symbols, [&](const std::string &name) {
    return Attribute(StringAttr::get(context, name));
  });
  if (!names.empty())
    function->setAttr(kSymbolsAttr, ArrayAttr::get(context, names));
  if (function.isExternal())
    return;
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || type.hasStaticShape())
      continue;
    auto map = AffineMap::get(0, symbols.size(), getDims(argument), context);
    function.setArgAttr(argument.getArgNumber(), kDimsAttr,
                        AffineMapAttr::get(map));
  }
}
