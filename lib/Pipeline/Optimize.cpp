// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stage 2: what exporters spell out becomes what it means, and ops become
// groups, each one kernel.

#include "dialects/Graph/Transforms/Passes.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace lathe;

void lathe::buildOptimizePipeline(OpPassManager &passes, StringRef weights) {
  OpPassManager &functions = passes.nest<func::FuncOp>();
  functions.addPass(graph::createInferShapesPass());
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
  // After attention, whose products are not linear layers.
  functions.addPass(graph::createLinearToContractPass());
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
  // Last: everything above matches single ops.
  functions.addPass(graph::createFormGroupsPass());
}
