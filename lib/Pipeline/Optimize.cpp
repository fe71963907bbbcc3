// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stage 2: what exporters spell out becomes what it means, and ops become
// groups, each one kernel.

#include "dialects/Graph/Transforms/Passes.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace lathe;

void lathe::buildOptimizePipeline(OpPassManager &passes, StringRef weights,
                                  StringRef precision) {
  OpPassManager &functions = passes.nest<func::FuncOp>();
  auto cleanUp = [&] {
    functions.addPass(createCanonicalizerPass());
    functions.addPass(createCSEPass());
  };
  functions.addPass(graph::createInferShapesPass());
  functions.addPass(graph::createFoldConstantsPass());
  cleanUp();
  functions.addPass(graph::createSimplifyIndexingPass());
  cleanUp();
  functions.addPass(graph::createRecognizeNormsPass());
  functions.addPass(graph::createRecognizeActivationsPass());
  functions.addPass(graph::createRecognizeAttentionPass());
  cleanUp();
  // After attention, whose products are not linear layers.
  functions.addPass(graph::createLinearToContractPass());
  functions.addPass(graph::createPropagateLayoutPass());
  functions.addPass(graph::createPropagateTransposesPass());
  cleanUp();
  if (!weights.empty()) {
    graph::QuantizeWeightsPassOptions options;
    options.encoding = weights.str();
    functions.addPass(graph::createQuantizeWeightsPass(options));
  }
  bool isNarrow = precision == "bf16" || precision == "f16";
  if (isNarrow)
    functions.addPass(graph::createNarrowWeightsPass({precision.str()}));
  cleanUp();
  // Everything above matches single ops.
  functions.addPass(graph::createFormGroupsPass());
  if (isNarrow)
    functions.addPass(graph::createNarrowActivationsPass({precision.str()}));
}
