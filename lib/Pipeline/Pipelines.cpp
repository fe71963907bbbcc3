// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The stages as pipelines of lathe-opt, and the dialects they need.

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Plan/IR/Plan.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Encodings/Encodings.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;
using namespace lathe;

void lathe::registerPipelineDialects(DialectRegistry &registry) {
  registry.insert<func::FuncDialect, graph::GraphDialect, plan::PlanDialect,
                  tile::TileDialect>();
  registerEncodings(registry);
  for (const std::unique_ptr<Target> &target : getTargets().getTargets())
    target->registerDialects(registry);
}

namespace {
struct OptimizeStageOptions : PassPipelineOptions<OptimizeStageOptions> {
  Option<std::string> weights{*this, "weights",
                              llvm::cl::desc("Encoding of linear weights")};
  Option<std::string> precision{
      *this, "precision", llvm::cl::desc("Type of weights and activations"),
      llvm::cl::init("keep")};
  Option<std::string> attentionPattern{
      *this, "attention-pattern",
      llvm::cl::desc("Sparse pattern of self-attention")};
  Option<bool> narrowsConvolutions{
      *this, "narrow-convolutions",
      llvm::cl::desc("The precision is that of convolutions, too")};
};

struct KernelsStageOptions : PassPipelineOptions<KernelsStageOptions> {
  Option<std::string> target{*this, "target", llvm::cl::desc("Target's name"),
                             llvm::cl::init("x86")};
  Option<std::string> level{
      *this, "level",
      llvm::cl::desc("Level of the target (default: the most demanding)")};
};
} // namespace

/// The level that options name; null (and said) if there is none.
static const TargetLevel *findLevel(const KernelsStageOptions &options) {
  const Target *target = getTargets().lookup(options.target);
  if (!target) {
    llvm::errs() << "target '" << options.target << "' is not built in\n";
    return nullptr;
  }
  if (options.level.empty())
    return &target->getLevels().back();
  llvm::Expected<const TargetLevel &> level = target->getLevel(options.level);
  if (level)
    return &*level;
  llvm::errs() << toString(level.takeError()) << '\n';
  return nullptr;
}

void lathe::registerStagePipelines() {
  PassPipelineRegistration<>("lathe-import",
                             "Stage 1: what follows every importer",
                             buildImportPipeline);
  PassPipelineRegistration<OptimizeStageOptions>(
      "lathe-optimize", "Stage 2: graph to groups, each one kernel",
      [](OpPassManager &passes, const OptimizeStageOptions &options) {
        buildOptimizePipeline(passes, {options.weights, options.precision,
                                       options.attentionPattern,
                                       /*uncheckedIndices=*/false,
                                       options.narrowsConvolutions});
      });
  PassPipelineRegistration<KernelsStageOptions>(
      "lathe-kernels", "Stage 3: groups to tile kernels and a plan",
      [](OpPassManager &passes, const KernelsStageOptions &options) {
        if (const TargetLevel *level = findLevel(options))
          buildKernelsPipeline(passes, level->capabilities);
      });
}
