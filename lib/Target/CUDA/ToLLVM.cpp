// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The pipeline from tile kernels to the LLVM dialect.

#include "lib/Target/CUDA/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace mlir {
#define GEN_PASS_DECL_ARITHTOLLVMCONVERSIONPASS
#define GEN_PASS_DECL_CONVERTCONTROLFLOWTOLLVMPASS
#define GEN_PASS_DECL_CONVERTMATHTOLLVMPASS
#define GEN_PASS_DECL_CONVERTNVVMTOLLVMPASS
#define GEN_PASS_DECL_RECONCILEUNREALIZEDCASTSPASS
#define GEN_PASS_DECL_SCFTOCONTROLFLOWPASS
#define GEN_PASS_DECL_UBTOLLVMCONVERSIONPASS
#include "mlir/Conversion/Passes.h.inc"
} // namespace mlir

using namespace mlir;
using namespace lathe;

void cuda::buildToLLVMPipeline(OpPassManager &manager, StringRef level) {
  CudaLowerTilePassOptions options;
  options.level = level.str();
  manager.addPass(createCudaLowerTilePass(options));
  // The lowering repeats addresses and constants instead of tracking them.
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createCudaLowerMathPass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createCSEPass());
  manager.addPass(createConvertNVVMToLLVMPass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createUBToLLVMConversionPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
}

namespace {
struct ToLLVMOptions : PassPipelineOptions<ToLLVMOptions> {
  Option<std::string> level{*this, "level", llvm::cl::desc("sm_80"),
                            llvm::cl::init("sm_80")};
};
} // namespace

void cuda::registerCUDAPipelines() {
  registerCUDAPasses();
  PassPipelineRegistration<ToLLVMOptions>(
      "cuda-to-llvm", "Lowers tile kernels to the LLVM dialect of a GPU",
      [](OpPassManager &manager, const ToLLVMOptions &options) {
        buildToLLVMPipeline(manager, options.level);
      });
}
