// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The pipeline from tile kernels to the LLVM dialect.

#include "lib/Target/X86/Levels.h"
#include "lib/Target/X86/Passes.h"
#include "mlir/Dialect/Vector/Transforms/VectorTransforms.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace mlir {
#define GEN_PASS_DECL_ARITHTOLLVMCONVERSIONPASS
#define GEN_PASS_DECL_CONVERTCONTROLFLOWTOLLVMPASS
#define GEN_PASS_DECL_CONVERTFUNCTOLLVMPASS
#define GEN_PASS_DECL_CONVERTMATHTOLLVMPASS
#define GEN_PASS_DECL_CONVERTVECTORTOLLVMPASS
#define GEN_PASS_DECL_RECONCILEUNREALIZEDCASTSPASS
#define GEN_PASS_DECL_SCFTOCONTROLFLOWPASS
#define GEN_PASS_DECL_UBTOLLVMCONVERSIONPASS
#include "mlir/Conversion/Passes.h.inc"
} // namespace mlir

using namespace mlir;
using namespace lathe;

void x86::buildToLLVMPipeline(OpPassManager &manager, StringRef level) {
  X86LowerTilePassOptions options;
  options.level = level.str();
  manager.addPass(createX86LowerTilePass(options));
  // The lowering repeats addresses and constants instead of tracking them.
  manager.addPass(createCSEPass());
  manager.addPass(createCanonicalizerPass());
  X86LowerMathPassOptions math;
  const Level *found = lookupLevel(level); // An unknown one is refused above.
  math.avx512 = found && found->record.capabilities.vectorBits == 512;
  manager.addPass(createX86LowerMathPass(math));
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createCSEPass());
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createUBToLLVMConversionPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
}

namespace {
struct ToLLVMOptions : PassPipelineOptions<ToLLVMOptions> {
  Option<std::string> level{
      *this, "level", llvm::cl::desc("x86-64-v3, avx512-vnni or avx512-bf16"),
      llvm::cl::init("avx512-vnni")};
};
} // namespace

void x86::registerX86Pipelines() {
  registerX86Passes();
  PassPipelineRegistration<ToLLVMOptions>(
      "x86-to-llvm", "Lowers tile kernels to the LLVM dialect",
      [](OpPassManager &manager, const ToLLVMOptions &options) {
        buildToLLVMPipeline(manager, options.level);
      });
}
