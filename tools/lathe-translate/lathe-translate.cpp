// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Model files to IR, for tests and for looking at what an importer makes:
//
//   lathe-translate --import-onnx model.onnx

#include "lib/Frontend/Onnx/OnnxImport.h"
#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

/// The importer maps the file itself, so that weights are not copied; all it
/// takes from the driver is the name.
static OwningOpRef<Operation *> importFile(llvm::SourceMgr &sources,
                                           MLIRContext *context) {
  llvm::SmallVector<lathe::OnnxUnsupported> unsupported;
  auto module = lathe::importOnnx(
      *context,
      sources.getMemoryBuffer(sources.getMainFileID())->getBufferIdentifier(),
      {}, unsupported);
  if (module)
    return OwningOpRef<Operation *>(module->release());
  emitError(UnknownLoc::get(context), llvm::toString(module.takeError()));
  return {};
}

int main(int argc, char **argv) {
  TranslateToMLIRRegistration onnx("import-onnx",
                                   "ONNX file to the dialect "
                                   "graph",
                                   importFile);
  return failed(mlirTranslateMain(argc, argv, "Lathe's importers\n"));
}
