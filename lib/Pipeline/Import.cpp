// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stage 1: a model file to the graph dialect.

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "lib/Frontend/HuggingFace/HuggingFaceImport.h"
#include "lib/Frontend/Onnx/OnnxImport.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace lathe;
using llvm::Error;
using llvm::Expected;

Expected<OwningOpRef<ModuleOp>>
lathe::importModel(MLIRContext &context, StringRef path,
                   std::vector<Finding> &findings) {
  if (llvm::sys::fs::is_directory(path))
    return importHuggingFace(context, path);
  if (!llvm::sys::fs::exists(path))
    return llvm::createStringError("%s: there is no such file",
                                   path.str().c_str());
  if (!path.ends_with_insensitive(".onnx"))
    return llvm::createStringError(
        "%s: is neither an .onnx file nor a folder with config.json",
        path.str().c_str());
  SmallVector<OnnxUnsupported> unsupported;
  Expected<OwningOpRef<ModuleOp>> module =
      importOnnx(context, path, OnnxImportOptions(), unsupported);
  for (const OnnxUnsupported &item : unsupported) {
    std::string domain = item.domain.empty() ? "ai.onnx" : item.domain;
    findings.push_back(
        {item.node,
         item.op + " (" + domain + " opset " + std::to_string(item.opset) + ")",
         item.reason});
  }
  return module;
}

/// Replaces a symbol by `value` in the dims of the arguments.
static Error specializeSymbol(func::FuncOp function, StringRef name,
                              int64_t value) {
  auto symbols = function->getAttrOfType<ArrayAttr>(graph::kSymbolsAttr);
  SmallVector<std::string> names;
  if (symbols)
    for (StringAttr symbol : symbols.getAsRange<StringAttr>())
      names.push_back(symbol.str());
  auto *found = llvm::find(names, name);
  if (found == names.end())
    return llvm::createStringError(
        "no dim of the model is called '%s'; there are: %s", name.str().c_str(),
        llvm::join(names, ", ").c_str());
  MLIRContext *context = function.getContext();
  SmallVector<AffineExpr> values;
  for (size_t i = 0; i < names.size(); ++i)
    values.push_back(names.begin() + i == found
                         ? getAffineConstantExpr(value, context)
                         : getAffineSymbolExpr(i, context));
  SmallVector<Type> inputs(function.getArgumentTypes());
  for (BlockArgument argument : function.getArguments()) {
    unsigned i = argument.getArgNumber();
    auto dims = function.getArgAttrOfType<AffineMapAttr>(i, graph::kDimsAttr);
    if (!dims)
      continue;
    AffineMap map = dims.getValue().replaceDimsAndSymbols(
        {}, ArrayRef(values).take_front(dims.getValue().getNumSymbols()), 0,
        dims.getValue().getNumSymbols());
    auto type = cast<RankedTensorType>(argument.getType());
    inputs[i] = RankedTensorType::get(graph::toStaticShape(map.getResults()),
                                      type.getElementType());
    argument.setType(inputs[i]);
    function.setArgAttr(i, graph::kDimsAttr, AffineMapAttr::get(map));
  }
  function.setType(
      FunctionType::get(context, inputs, function.getResultTypes()));
  return Error::success();
}

Error lathe::specialize(ModuleOp module,
                        ArrayRef<std::pair<std::string, int64_t>> symbols) {
  for (const auto &[name, value] : symbols)
    for (func::FuncOp function : module.getOps<func::FuncOp>())
      if (Error error = specializeSymbol(function, name, value))
        return error;
  return Error::success();
}

void lathe::buildImportPipeline(OpPassManager &passes) {
  OpPassManager &functions = passes.nest<func::FuncOp>();
  functions.addPass(graph::createInferShapesPass());
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
}
