// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The target "cuda".

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/CUDA/Codegen.h"
#include "lib/Target/CUDA/Launch.h"
#include "lib/Target/CUDA/Passes.h"
#include "lib/Target/Float8.h"
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
  bool gainsOver(const TargetLevel &lower, const TargetLevel &level,
                 mlir::ModuleOp module) const override;
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

/// Only products of floats of 16 and 8 bits come out differently, on tensor
/// cores that each generation of devices has instructions of its own for.
bool CUDATarget::gainsOver(const TargetLevel &, const TargetLevel &,
                           mlir::ModuleOp module) const {
  return module
      .walk([](tile::MmaOp op) {
        mlir::Type type = op.getA().getType().getElementType();
        return type.isF16() || type.isBF16() || isFloat8(type)
                   ? mlir::WalkResult::interrupt()
                   : mlir::WalkResult::advance();
      })
      .wasInterrupted();
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
  for (auto function : module.getOps<mlir::LLVM::LLVMFuncOp>())
    if (auto needs = cuda::takeNeeds(function))
      object.needs[function.getSymName()] = std::move(*needs);
  cuda::Toolkit toolkit = cuda::Toolkit::find(options.toolkits);
  auto ptx = cuda::emitPTX(module, *known, toolkit, options);
  if (!ptx)
    return ptx.takeError();
  // PTX serves all later devices, too; the driver assembles it for them. ptxas
  // sees to it that it is right.
  object.code.assign(ptx->begin(), ptx->end());
  if (toolkit.ptxas.empty()) {
    module.emitRemark("no ptxas: the PTX was not checked; ")
        << cuda::Toolkit::getSearched();
    return object;
  }
  auto cubin = cuda::assemble(*ptx, *known, toolkit, options);
  if (!cubin)
    return cubin.takeError();
  if (known->isExact)
    object.code = std::move(*cubin);
  return object;
}

void lathe::registerCUDATarget(TargetRegistry &registry) {
  registry.add(std::make_unique<CUDATarget>());
}
