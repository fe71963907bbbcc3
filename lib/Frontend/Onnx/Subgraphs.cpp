// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Graphs in nodes become internal functions. Their first symbols are those of
// the function around them, so that dims mean the same on both sides; what else
// a graph reads from outside is an argument, a copy of a constant, or numbers
// that follow from dims.

#include "lib/Frontend/Onnx/ModelImporter.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

Value ModelImporter::addArgument(Frame &to, StringRef name, Type elementType,
                                 ArrayRef<AffineExpr> dims) {
  auto type = RankedTensorType::get(graph::toStaticShape(dims), elementType);
  unsigned index = to.function.getNumArguments();
  auto label = StringAttr::get(&context, name);
  if (failed(to.function.insertArgument(index, type, {}, NameLoc::get(label))))
    return {};
  to.function.setArgAttr(index, graph::kNameAttr, label);
  Value argument = to.function.getArgument(index);
  to.analysis->setDims(argument, dims);
  return argument;
}

/// Small tensors of sizes are computed again rather than passed: what depends
/// on them stays known.
static Value makeContents(GraphBuilder &b, ArrayRef<AffineExpr> contents,
                          RankedTensorType type) {
  if (type.getRank() > 1 || contents.empty())
    return {};
  SmallVector<Value> parts;
  for (AffineExpr element : contents) {
    if (!isa<AffineConstantExpr>(element) && !graph::isSizeAtLeast(element, 0))
      return {};
    Value part = b.sizeValue(element);
    parts.push_back(type.getRank() == 0 ? part : b.reshape(part, b.size(1)));
  }
  Value whole = parts.size() == 1 ? parts.front() : b.concat(parts, 0);
  return b.cast(whole, type.getElementType());
}

Value ModelImporter::bring(Value value, Frame &to) {
  if (!value || value.getParentRegion() == &to.function.getBody())
    return value;
  Value outer = bring(value, *to.parent);
  auto [it, isNew] = to.brought.try_emplace(outer);
  if (!isNew)
    return it->second;
  GraphBuilder &b = *to.builder;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&to.function.front());
  Value here;
  if (auto constant = outer.getDefiningOp<graph::ConstantOp>())
    here = b.constant(constant.getValue());
  else if (auto contents = to.parent->analysis->getContents(outer))
    here = makeContents(b, *contents, cast<RankedTensorType>(outer.getType()));
  if (!here) {
    here = addArgument(to, "capture" + std::to_string(to.captures.size()),
                       getElementTypeOrSelf(outer.getType()),
                       graph::Dims(to.parent->analysis->getDims(outer)));
    to.captures.push_back(outer);
  }
  return to.brought[outer] = here;
}

void ModelImporter::capture(Frame &to, ArrayRef<Value> captures) {
  for (Value outer : captures) {
    if (llvm::is_contained(to.captures, outer))
      continue;
    Value here = addArgument(to, "capture" + std::to_string(to.captures.size()),
                             getElementTypeOrSelf(outer.getType()),
                             graph::Dims(to.parent->analysis->getDims(outer)));
    to.captures.push_back(outer);
    to.brought[outer] = here;
  }
}

std::optional<ImportedGraph>
ModelImporter::importFunction(const ::onnx::GraphProto &graph, Scope &outer,
                              StringRef kind, ArrayRef<Value> captures,
                              Declare declare) {
  ImportedGraph result;
  result.frame = std::make_unique<Frame>();
  Frame &inner = *result.frame;
  inner.parent = frame;
  Location loc = frame->builder->loc;
  std::string name =
      (frame->function.getSymName() + "." + kind + "." + Twine(functionCount++))
          .str();
  OpBuilder b = OpBuilder::atBlockEnd(module->getBody());
  inner.function =
      func::FuncOp::create(b, loc, name, b.getFunctionType({}, {}));
  inner.function.setPrivate();
  inner.function.addEntryBlock();
  ArrayRef<std::string> known = frame->analysis->getSymbols();
  SmallVector<StringRef> symbols(known.begin(), known.end());
  inner.function->setAttr(graph::kSymbolsAttr, b.getStrArrayAttr(symbols));
  inner.function->setAttr(graph::kGivenAttr,
                          b.getI64IntegerAttr(symbols.size()));
  inner.analysis = std::make_unique<graph::ShapeAnalysis>(inner.function);
  inner.builder =
      std::make_unique<GraphBuilder>(inner.function, *inner.analysis);
  inner.builder->loc = loc;

  Scope scope;
  scope.parent = &outer;
  scope.opsets = outer.opsets;
  scope.arguments = outer.arguments;
  scope.depth = outer.depth + 1;
  frame = &inner;
  bool isImported = succeeded(declare(inner, scope));
  capture(inner, captures);
  isImported =
      isImported && succeeded(importBody(graph, scope, result.results));
  // Outputs may be values of the functions around.
  for (Value &value : result.results)
    value = bring(value, inner);
  frame = inner.parent;
  isImported &= !inner.builder->hasFailed() &&
                !llvm::is_contained(result.results, Value());
  if (isImported)
    return result;
  inner.function.erase();
  return std::nullopt;
}

void ModelImporter::finish(ImportedGraph &graph, ArrayRef<Value> results) {
  Frame &inner = *graph.frame;
  func::ReturnOp::create(*inner.builder, inner.function.getLoc(), results);
  SmallVector<Type> types;
  for (Value value : results)
    types.push_back(value.getType());
  inner.function.setType(
      FunctionType::get(&context, inner.function.getArgumentTypes(), types));
  inner.analysis->annotateFunction();
}
