// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stage 1: a model file to the graph dialect.

#include "dialects/Graph/Transforms/Passes.h"
#include "lib/Bundle/Writer.h"
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
  OnnxImportOptions options;
  options.hasBuiltin = bundle::isKnownCallee;
  Expected<OwningOpRef<ModuleOp>> module =
      importOnnx(context, path, options, unsupported);
  for (const OnnxUnsupported &item : unsupported) {
    std::string op = item.op;
    // Inputs and tensors have no opset, nor have domains that are not imported.
    if (item.opset || !item.domain.empty())
      op += " (" + (item.domain.empty() ? "ai.onnx" : item.domain) +
            (item.opset ? " opset " + std::to_string(item.opset)
                        : ", no opset imported") +
            ")";
    findings.push_back({item.node, op, item.reason});
  }
  return module;
}

void lathe::buildImportPipeline(OpPassManager &passes) {
  OpPassManager &functions = passes.nest<func::FuncOp>();
  functions.addPass(graph::createInferShapesPass());
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
}
