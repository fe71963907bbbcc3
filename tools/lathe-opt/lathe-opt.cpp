// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// lathe-opt: runs our passes and pipelines on textual IR.

#include "dialects/Graph/Transforms/Passes.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "lib/Conversion/GraphToPlan/Passes.h"
#include "lib/Pipeline/Stages.h"
#include "lib/Target/CUDA/Passes.h"
#include "lib/Target/X86/Passes.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

namespace lathe {
/// In UpstreamDialects.cpp, apart from this file because of its slow headers.
void registerUpstreamDialects(mlir::DialectRegistry &registry);
} // namespace lathe

// Only what we use: registerAllPasses() would link every LLVM back end.
static void registerPasses() {
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  mlir::registerInlinerPass();
  mlir::registerSymbolDCEPass();
  lathe::graph::registerGraphPasses();
  lathe::registerGraphToPlanPasses();
  lathe::plan::registerPlanPasses();
  lathe::cuda::registerCUDAPasses();
  lathe::cuda::registerCUDAPipelines();
  lathe::x86::registerX86Passes();
  lathe::x86::registerX86Pipelines();
  lathe::registerStagePipelines();
}

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  lathe::registerUpstreamDialects(registry);
  lathe::registerPipelineDialects(registry);
  registerPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Lathe optimizer driver\n", registry));
}
