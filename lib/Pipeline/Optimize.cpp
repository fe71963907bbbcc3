// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stage 2: what exporters spell out becomes what it means, and ops become
// groups, each one kernel.

#include "dialects/Graph/Transforms/Passes.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace lathe;

static void addCleanUp(OpPassManager &functions) {
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
}

/// From what exporters write to what it means.
static void addRecognition(OpPassManager &functions, bool checksIndices) {
  auto cleanUp = [&] { addCleanUp(functions); };
  functions.addPass(graph::createInferShapesPass());
  functions.addPass(graph::createFoldConstantsPass());
  cleanUp();
  // What is unknown now stays so until run time.
  functions.addPass(graph::createInferShapesPass());
  functions.addPass(graph::createBindSizesPass());
  functions.addPass(graph::createFoldConstantsPass());
  cleanUp();
  functions.addPass(graph::createSimplifyIndexingPass());
  cleanUp();
  functions.addPass(graph::createRecognizeNormsPass());
  functions.addPass(graph::createRecognizeActivationsPass());
  functions.addPass(graph::createRecognizeAttentionPass());
  functions.addPass(graph::createRecognizeRotaryPass());
  if (checksIndices)
    functions.addPass(graph::createCheckIndicesPass());
  functions.addPass(graph::createDecomposePass());
  cleanUp();
}

/// After attention, whose products are not linear layers.
static void addLayout(OpPassManager &functions) {
  functions.addPass(graph::createRecognizeFloat8ProductsPass());
  functions.addPass(graph::createLinearToContractPass());
  functions.addPass(graph::createPropagateLayoutPass());
  functions.addPass(graph::createPropagateTransposesPass());
  addCleanUp(functions);
}

void lathe::buildOptimizePipeline(OpPassManager &passes,
                                  const OptimizeOptions &asked) {
  addRecognition(passes.nest<func::FuncOp>(), !asked.uncheckedIndices);
  if (!asked.attentionPattern.empty()) {
    graph::SparsifyAttentionPassOptions options;
    options.pattern = asked.attentionPattern;
    passes.addPass(graph::createSparsifyAttentionPass(options));
  }
  addLayout(passes.nest<func::FuncOp>());
  if (!asked.weights.empty()) {
    graph::QuantizeWeightsPassOptions options;
    options.weights = asked.weights;
    passes.addPass(graph::createQuantizeWeightsPass(options));
  }
  OpPassManager &functions = passes.nest<func::FuncOp>();
  // After formats, which go by layer: only layers of one format merge.
  functions.addPass(graph::createMergeQkvPass());
  bool isNarrow = asked.precision == "bf16" || asked.precision == "f16";
  if (isNarrow)
    functions.addPass(graph::createNarrowWeightsPass(
        {asked.precision, asked.narrowsConvolutions}));
  addCleanUp(functions);
  // Everything above matches single ops.
  functions.addPass(graph::createFormGroupsPass());
  if (isNarrow)
    functions.addPass(graph::createNarrowActivationsPass(
        {asked.precision, /*onlyQuantized=*/false, asked.narrowsConvolutions}));
  else if (!asked.weights.empty())
    functions.addPass(graph::createNarrowActivationsPass({"bf16", true}));
}
