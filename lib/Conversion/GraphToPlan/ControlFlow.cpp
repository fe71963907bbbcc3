// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that run functions become steps that run programs.

#include "lib/Conversion/GraphToPlan/ProgramBuilder.h"

using namespace mlir;
using namespace lathe;
using lathe::kernels::getLabel;

plan::CalleeAttr ProgramBuilder::getCallee(FlatSymbolRefAttr name,
                                           IntegerSetAttr when) {
  return plan::CalleeAttr::get(builder.getContext(), name, when);
}

/// The values of the callee's first symbols. One that is not defined by now is
/// none that the callee reads; -1 is no size.
AffineMapAttr ProgramBuilder::getGivenSymbols(Operation *op,
                                              FlatSymbolRefAttr callee) {
  auto target = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(op, callee);
  int64_t given =
      target->getAttrOfType<IntegerAttr>(graph::kGivenAttr).getInt();
  graph::Dims symbols;
  for (int64_t i = 0; i < given; ++i)
    symbols.push_back(isDefined[i] ? builder.getAffineSymbolExpr(i)
                                   : builder.getAffineConstantExpr(-1));
  return AffineMapAttr::get(getMap(symbols));
}

void ProgramBuilder::convertBind(graph::BindOp op) {
  ArrayRef<int64_t> symbols = *op.getBinds();
  Value sizes = getBuffer(op.getSizes());
  for (auto [i, symbol] : llvm::enumerate(symbols))
    plan::BindOp::create(builder, op.getLoc(),
                         builder.getI64IntegerAttr(symbol), sizes,
                         builder.getI64IntegerAttr(i));
  buffers[op.getResult()] = getBuffer(op.getValue());
  define(symbols);
}

static DenseI64ArrayAttr getBinds(OpBuilder &builder,
                                  ArrayRef<int64_t> symbols) {
  return symbols.empty() ? DenseI64ArrayAttr()
                         : builder.getDenseI64ArrayAttr(symbols);
}

void ProgramBuilder::convertIf(graph::IfOp op) {
  ArrayRef<int64_t> symbols = *op.getBinds();
  unsigned numSymbols = shapes.getSymbols().size();
  AffineMapAttr given = getGivenSymbols(op, op.getThenFunctionAttr());
  plan::BindOp::create(
      builder, op.getLoc(), builder.getI64IntegerAttr(symbols.front()),
      getBuffer(op.getCondition()), builder.getI64IntegerAttr(0));
  define(symbols.take_front());
  auto holds = IntegerSetAttr::get(IntegerSet::get(
      0, numSymbols, {builder.getAffineSymbolExpr(symbols.front()) - 1},
      {true}));
  SmallVector<Attribute> callees = {
      getCallee(op.getThenFunctionAttr(), holds),
      getCallee(op.getElseFunctionAttr(), IntegerSetAttr())};
  SmallVector<Value> reads = getBuffers(op.getInputs());
  plan::CallOp::create(builder, op.getLoc(), builder.getArrayAttr(callees),
                       given, reads, createResults(op),
                       getBinds(builder, symbols.drop_front()),
                       builder.getStringAttr(getLabel(op.getLoc())));
  define(symbols.drop_front());
}

void ProgramBuilder::convertCall(graph::CallOp op) {
  ArrayRef<int64_t> symbols = op.getBinds().value_or(ArrayRef<int64_t>());
  SmallVector<Attribute> callees;
  for (auto [i, callee] :
       llvm::enumerate(op.getCallees().getAsRange<FlatSymbolRefAttr>()))
    callees.push_back(
        getCallee(callee, i < op.getConditions().size()
                              ? cast<IntegerSetAttr>(op.getConditions()[i])
                              : IntegerSetAttr()));
  auto first = cast<FlatSymbolRefAttr>(op.getCallees()[0]);
  SmallVector<Value> reads = getBuffers(op.getInputs());
  plan::CallOp::create(builder, op.getLoc(), builder.getArrayAttr(callees),
                       getGivenSymbols(op, first), reads, createResults(op),
                       getBinds(builder, symbols),
                       builder.getStringAttr(getLabel(op.getLoc())));
  define(symbols);
}

void ProgramBuilder::convertLoop(graph::LoopOp op) {
  ArrayRef<int64_t> symbols = op.getBinds().value_or(ArrayRef<int64_t>());
  auto getOptional = [&](Value value) {
    return value ? getBuffer(value) : Value();
  };
  SmallVector<Value> carried = getBuffers(op.getCarried());
  SmallVector<Value> reads = getBuffers(op.getInputs());
  plan::LoopOp::create(
      builder, op.getLoc(), op.getBodyAttr(),
      getGivenSymbols(op, op.getBodyAttr()), getOptional(op.getCount()),
      getOptional(op.getCondition()), carried, reads, createResults(op),
      getBinds(builder, symbols), builder.getStringAttr(getLabel(op.getLoc())));
  define(symbols);
}
