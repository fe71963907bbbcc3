// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Plan/IR/Plan.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/InterleavedRange.h"

using namespace mlir;
using namespace lathe::plan;

#define GET_OP_CLASSES
#include "dialects/Plan/IR/PlanOps.cpp.inc"

//===----------------------------------------------------------------------===//
// ProgramOp
//===----------------------------------------------------------------------===//

/// Parses `["a", "b"]` after `keyword` into the attribute `name`.
static ParseResult parseNames(OpAsmParser &parser, StringRef keyword,
                              StringAttr name, OperationState &state) {
  SmallVector<Attribute> names;
  auto parseName = [&]() -> ParseResult {
    std::string text;
    if (parser.parseString(&text))
      return failure();
    names.push_back(parser.getBuilder().getStringAttr(text));
    return success();
  };
  if (parser.parseKeyword(keyword) ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseName))
    return failure();
  state.addAttribute(name, parser.getBuilder().getArrayAttr(names));
  return success();
}

ParseResult ProgramOp::parse(OpAsmParser &parser, OperationState &state) {
  StringAttr name;
  SmallVector<OpAsmParser::Argument> arguments;
  if (parser.parseSymbolName(name, SymbolTable::getSymbolAttrName(),
                             state.attributes) ||
      parseNames(parser, "symbols", getSymbolsAttrName(state.name), state) ||
      parseNames(parser, "inputs", getInputsAttrName(state.name), state) ||
      parseNames(parser, "outputs", getOutputsAttrName(state.name), state) ||
      parser.parseArgumentList(arguments, OpAsmParser::Delimiter::Paren,
                               /*allowType=*/true) ||
      parser.parseOptionalAttrDictWithKeyword(state.attributes))
    return failure();
  return parser.parseRegion(*state.addRegion(), arguments);
}

void ProgramOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  printer.printSymbolName(getSymName());
  printer << " symbols " << getSymbols() << " inputs " << getInputs()
          << " outputs " << getOutputs() << " (";
  llvm::interleaveComma(
      getBody().getArguments(), printer,
      [&](BlockArgument argument) { printer.printRegionArgument(argument); });
  printer << ')';
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(), {getSymNameAttrName(), getSymbolsAttrName(),
                            getInputsAttrName(), getOutputsAttrName()});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

/// Checks that `map` has no dims and at most `symbols` symbols.
static LogicalResult verifyMap(Operation *op, AffineMap map, unsigned symbols,
                               const Twine &what) {
  if (map.getNumDims() == 0 && map.getNumSymbols() <= symbols)
    return success();
  return op->emitOpError(what)
         << " must be over at most the " << symbols
         << " symbols of the program, and without dims; got "
         << AffineMapAttr::get(map);
}

LogicalResult ProgramOp::verify() {
  Block &body = getBody().front();
  if (body.getNumArguments() != getInputs().size())
    return emitOpError("has ") << body.getNumArguments() << " arguments and "
                               << getInputs().size() << " names in 'inputs'";
  auto result = dyn_cast<ReturnOp>(body.getTerminator());
  if (!result || result.getValues().size() != getOutputs().size())
    return emitOpError("must end in 'plan.return' with one buffer for each of "
                       "the ")
           << getOutputs().size() << " names in 'outputs'";
  unsigned symbols = getSymbols().size();
  auto check = [&](Operation *op, Value value) -> LogicalResult {
    auto type = dyn_cast<BufferType>(value.getType());
    if (!type)
      return op->emitOpError("takes and gives buffers only, got ")
             << value.getType();
    return verifyMap(op, type.getDims(), symbols, "dims of a buffer");
  };
  for (BlockArgument argument : body.getArguments())
    if (failed(check(*this, argument)))
      return failure();
  for (Operation &op : body)
    for (Value value : op.getResults())
      if (failed(check(&op, value)))
        return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

/// Checks the filters that Winograd's filtering samples; the rank is right.
static LogicalResult verifyFilters(ConstantOp op, PackAttr pack) {
  ShapedType type = op.getValue().getShapedType();
  if (op.getEncoding() || !type.getElementType().isF32())
    return op.emitOpError(
               "'winograd' samples f32 values without encoding, got ")
           << type << (op.getEncoding() ? " with an encoding" : "");
  for (int64_t dim : pack.getWinograd().drop_front())
    if (type.getDimSize(dim) != 3)
      return op.emitOpError("'winograd' samples filters of 3x3, dim ")
             << dim << " of the value is " << type.getDimSize(dim) << " long";
  return success();
}

LogicalResult ConstantOp::verify() {
  if (getEncoding().has_value() != getEncodedBuffer().has_value())
    return emitOpError("'encoding' and 'buffer' go together");
  ArrayRef<int64_t> logical = getValue().getShapedType().getShape();
  if (getPack() && getPack()->getBlocks().size() != logical.size() &&
      !getEncoding())
    return emitOpError("'pack' has ") << getPack()->getBlocks().size()
                                      << " dims, the value " << logical.size();
  if (getPack() && !getPack()->getWinograd().empty() &&
      failed(verifyFilters(*this, *getPack())))
    return failure();
  if (!llvm::all_of(getType().getDims().getResults(),
                    llvm::IsaPred<AffineConstantExpr>))
    return emitOpError("must have constant dims, got ") << getType();
  return success();
}

/// What `plan.call` and `plan.loop` check of a program that they run.
static LogicalResult verifyCallee(Operation *op, FlatSymbolRefAttr name,
                                  AffineMap symbols, unsigned inputs,
                                  unsigned outputs) {
  auto caller = op->getParentOfType<ProgramOp>();
  if (failed(verifyMap(op, symbols, caller.getSymbols().size(), "'symbols'")))
    return failure();
  auto callee = SymbolTable::lookupNearestSymbolFrom<ProgramOp>(
      caller->getParentOp(), name);
  if (!callee || !callee.getGiven())
    return op->emitOpError("needs an internal program called ") << name;
  if (callee->getBlock() == caller->getBlock() &&
      !caller->isBeforeInBlock(callee))
    return op->emitOpError("must stand before the program it runs, ") << name;
  if (*callee.getGiven() != static_cast<int64_t>(symbols.getNumResults()))
    return op->emitOpError("gives ")
           << symbols.getNumResults() << " symbols, " << name << " is given "
           << *callee.getGiven();
  if (callee.getInputs().size() != inputs ||
      callee.getOutputs().size() != outputs)
    return op->emitOpError("passes ")
           << inputs << " inputs and " << outputs << " outputs, " << name
           << " has " << callee.getInputs().size() << " and "
           << callee.getOutputs().size();
  return success();
}

LogicalResult CallOp::verify() {
  if (getCallees().empty())
    return emitOpError("needs at least one callee");
  unsigned symbols = (*this)->getParentOfType<ProgramOp>().getSymbols().size();
  for (Attribute attr : getCallees()) {
    auto callee = cast<CalleeAttr>(attr);
    if (failed(verifyCallee(*this, callee.getProgram(), getSymbols(),
                            getReads().size(), getWrites().size())))
      return failure();
    if (IntegerSetAttr when = callee.getWhen();
        when && (when.getValue().getNumDims() != 0 ||
                 when.getValue().getNumSymbols() > symbols))
      return emitOpError("'when' must be over at most the ")
             << symbols << " symbols of the program";
  }
  return success();
}

LogicalResult LoopOp::verify() {
  if (getWrites().size() < getCarried().size())
    return emitOpError("writes ")
           << getWrites().size() << " buffers, fewer than the "
           << getCarried().size() << " carried ones";
  return verifyCallee(*this, getBodyAttr(), getSymbols(),
                      1 + getCarried().size() + getReads().size(),
                      1 + getWrites().size());
}

LogicalResult LaunchOp::verify() {
  unsigned symbols = (*this)->getParentOfType<ProgramOp>().getSymbols().size();
  if (getChoices().empty())
    return emitOpError("needs at least one choice of kernel");
  if (failed(verifyMap(*this, getScalars(), symbols, "'scalars'")))
    return failure();
  if (getFlops() && failed(verifyMap(*this, *getFlops(), symbols, "'flops'")))
    return failure();
  for (Attribute attr : getChoices()) {
    auto choice = cast<ChoiceAttr>(attr);
    if (choice.getGrid().getNumResults() != 3)
      return emitOpError("a grid has three dims, got ")
             << AffineMapAttr::get(choice.getGrid());
    if (failed(verifyMap(*this, choice.getGrid(), symbols, "the grid")))
      return failure();
    if (IntegerSetAttr when = choice.getWhen();
        when && (when.getValue().getNumDims() != 0 ||
                 when.getValue().getNumSymbols() > symbols))
      return emitOpError("'when' must be over at most the ")
             << symbols << " symbols of the program";
  }
  return success();
}
