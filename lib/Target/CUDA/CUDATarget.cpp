// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The target "cuda".

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/CUDA/Codegen.h"
#include "lib/Target/CUDA/Passes.h"
#include "lib/Target/Target.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Pass/PassManager.h"

using namespace lathe;

namespace {
class CUDATarget final : public Target {
public:
  CUDATarget() {
    for (const cuda::Level &level : cuda::getLevels())
      records.push_back(level.record);
  }

  llvm::StringRef getName() const override { return "cuda"; }
  llvm::ArrayRef<TargetLevel> getLevels() const override { return records; }
  llvm::Expected<const TargetLevel &> getNativeLevel() const override {
    return llvm::createStringError(
        "cuda: the compiler does not ask a driver which device is here; name a "
        "level, as in cuda:cpu=sm_80");
  }
  void registerDialects(mlir::DialectRegistry &registry) const override;
  bool gainsOver(const TargetLevel &, const TargetLevel &,
                 mlir::ModuleOp) const override {
    return false;
  }
  llvm::Expected<TargetObject>
  compile(mlir::ModuleOp module, const TargetLevel &level,
          const TargetOptions &options) const override;

private:
  std::vector<TargetLevel> records;
};
} // namespace

void CUDATarget::registerDialects(mlir::DialectRegistry &registry) const {
  registry.insert<tile::TileDialect, mlir::arith::ArithDialect,
                  mlir::cf::ControlFlowDialect, mlir::LLVM::LLVMDialect,
                  mlir::NVVM::NVVMDialect, mlir::math::MathDialect,
                  mlir::scf::SCFDialect, mlir::ub::UBDialect>();
}

/// What launches of the lowered kernels need.
static llvm::StringMap<KernelNeeds> getNeeds(mlir::ModuleOp module) {
  llvm::StringMap<KernelNeeds> needs;
  for (auto function : module.getOps<mlir::LLVM::LLVMFuncOp>()) {
    auto threads =
        function->getAttrOfType<mlir::DenseI32ArrayAttr>("nvvm.reqntid");
    if (!threads)
      continue;
    KernelNeeds &its = needs[function.getSymName()];
    its.threads = threads[0];
    its.sharedBytes =
        function->getAttrOfType<mlir::IntegerAttr>(cuda::kSharedBytesAttr)
            .getInt();
    function->removeAttr(cuda::kSharedBytesAttr);
  }
  return needs;
}

llvm::Expected<TargetObject>
CUDATarget::compile(mlir::ModuleOp module, const TargetLevel &level,
                    const TargetOptions &options) const {
  const cuda::Level *known = cuda::lookupLevel(level.name);
  if (!known)
    return llvm::createStringError("cuda: no level '" + level.name + "'");
  mlir::PassManager manager(module.getContext(),
                            mlir::ModuleOp::getOperationName());
#ifdef NDEBUG
  // As for x86: verifying costs as much as the passes do.
  manager.enableVerifier(false);
#endif
  cuda::buildToLLVMPipeline(manager, level.name);
  if (mlir::failed(manager.run(module)))
    return llvm::createStringError("cuda: a kernel could not be lowered");
  TargetObject object;
  object.needs = getNeeds(module);
  cuda::Toolkit toolkit = cuda::Toolkit::find(options.toolkits);
  auto ptx = cuda::emitPTX(module, *known, toolkit, options);
  if (!ptx)
    return ptx.takeError();
  // A cubin serves devices of its major version alone; the driver makes one of
  // PTX for those that are newer, too. ptxas sees to it that it is right.
  if (toolkit.ptxas.empty())
    module.emitRemark("no ptxas: the PTX was not checked; ")
        << cuda::Toolkit::getSearched();
  else if (auto cubin = cuda::assemble(*ptx, *known, toolkit, options); !cubin)
    return cubin.takeError();
  object.code.assign(ptx->begin(), ptx->end());
  return object;
}

void lathe::registerCUDATarget(TargetRegistry &registry) {
  registry.add(std::make_unique<CUDATarget>());
}
