// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/OptimizeLLVM.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

using namespace lathe;

void lathe::optimizeLLVM(llvm::Module &module, llvm::TargetMachine &machine,
                         llvm::PipelineTuningOptions tuning, unsigned level,
                         llvm::ArrayRef<llvm::StringRef> without) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::PassInstrumentationCallbacks callbacks;
  callbacks.registerShouldRunOptionalPassCallback(
      [&](llvm::StringRef pass, llvm::Any) {
        return !llvm::is_contained(without, pass);
      });
  llvm::PassBuilder builder(&machine, tuning, std::nullopt, &callbacks);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  const llvm::OptimizationLevel levels[] = {
      llvm::OptimizationLevel::O0, llvm::OptimizationLevel::O1,
      llvm::OptimizationLevel::O2, llvm::OptimizationLevel::O3};
  auto chosen = levels[std::min(level, 3u)];
  auto manager = chosen == llvm::OptimizationLevel::O0
                     ? builder.buildO0DefaultPipeline(chosen)
                     : builder.buildPerModuleDefaultPipeline(chosen);
  manager.run(module, modules);
}
