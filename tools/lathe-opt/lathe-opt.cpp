// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// lathe-opt: runs our passes and pipelines on textual IR.

#include "tools/lathe-opt/UpstreamDialects.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

#if LATHE_HAVE_GRAPH
#include "dialects/Graph/IR/Graph.h"
#endif
#if LATHE_HAVE_GRAPHTRANSFORMS
#include "dialects/Graph/Transforms/Passes.h"
#endif
#if LATHE_HAVE_TILE
#include "dialects/Tile/IR/Tile.h"
#endif
#if LATHE_HAVE_TILETRANSFORMS
#include "dialects/Tile/Transforms/Passes.h"
#endif
#if LATHE_HAVE_PLAN
#include "dialects/Plan/IR/Plan.h"
#endif
#if LATHE_HAVE_PLANTRANSFORMS
#include "dialects/Plan/Transforms/Passes.h"
#endif
#if LATHE_HAVE_GRAPHTOPLAN
#include "lib/Conversion/GraphToPlan/Passes.h"
#endif
#if LATHE_HAVE_X86LOWERING
#include "lib/Target/X86/Passes.h"
#endif

static void registerDialects(mlir::DialectRegistry &registry) {
  lathe::registerUpstreamDialects(registry);
#if LATHE_HAVE_GRAPH
  registry.insert<lathe::graph::GraphDialect>();
#endif
#if LATHE_HAVE_TILE
  registry.insert<lathe::tile::TileDialect>();
#endif
#if LATHE_HAVE_PLAN
  registry.insert<lathe::plan::PlanDialect>();
#endif
}

// Only what we use: registerAllPasses() would link every LLVM back end.
static void registerPasses() {
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  mlir::registerInlinerPass();
  mlir::registerSymbolDCEPass();
#if LATHE_HAVE_GRAPHTRANSFORMS
  lathe::graph::registerGraphPasses();
#endif
#if LATHE_HAVE_TILETRANSFORMS
  lathe::tile::registerTilePasses();
#endif
#if LATHE_HAVE_PLANTRANSFORMS
  lathe::plan::registerPlanPasses();
#endif
#if LATHE_HAVE_GRAPHTOPLAN
  lathe::registerGraphToPlanPasses();
#endif
#if LATHE_HAVE_X86LOWERING
  lathe::x86::registerX86Passes();
  lathe::x86::registerX86Pipelines();
#endif
}

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  registerPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Lathe optimizer driver\n", registry));
}
