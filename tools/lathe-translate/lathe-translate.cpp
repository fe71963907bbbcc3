// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Models to IR, for tests and for looking at what an importer makes:
//
//   lathe-translate --import-onnx model.onnx
//   lathe-translate --import-huggingface folder/config.json

#include "lib/Frontend/HuggingFace/HuggingFaceImport.h"
#include "lib/Frontend/Onnx/OnnxImport.h"
#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

/// Importers map files themselves, so that weights are not copied; all they
/// take from the driver is the name.
static StringRef getPath(llvm::SourceMgr &sources) {
  return sources.getMemoryBuffer(sources.getMainFileID())
      ->getBufferIdentifier();
}

static OwningOpRef<Operation *>
takeModule(llvm::Expected<OwningOpRef<ModuleOp>> module, MLIRContext *context) {
  if (module)
    return OwningOpRef<Operation *>(module->release());
  emitError(UnknownLoc::get(context), llvm::toString(module.takeError()));
  return {};
}

static OwningOpRef<Operation *> importOnnxFile(llvm::SourceMgr &sources,
                                               MLIRContext *context) {
  llvm::SmallVector<lathe::OnnxUnsupported> unsupported;
  return takeModule(
      lathe::importOnnx(*context, getPath(sources), {}, unsupported), context);
}

static OwningOpRef<Operation *> importFolder(llvm::SourceMgr &sources,
                                             MLIRContext *context) {
  StringRef folder = llvm::sys::path::parent_path(getPath(sources));
  return takeModule(
      lathe::importHuggingFace(*context, folder.empty() ? "." : folder),
      context);
}

int main(int argc, char **argv) {
  TranslateToMLIRRegistration onnx(
      "import-onnx", "ONNX file to the dialect graph", importOnnxFile);
  TranslateToMLIRRegistration huggingFace(
      "import-huggingface",
      "Hugging Face folder, by its config.json, to the dialect graph",
      importFolder);
  return failed(mlirTranslateMain(argc, argv, "Lathe's importers\n"));
}
