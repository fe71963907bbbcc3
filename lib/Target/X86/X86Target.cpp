// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The target "x86".

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/Target.h"
#include "lib/Target/X86/Codegen.h"
#include "lib/Target/X86/Levels.h"
#include "lib/Target/X86/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

using namespace lathe;

namespace {
class X86Target final : public Target {
public:
  X86Target() {
    for (const x86::Level &level : x86::getLevels())
      records.push_back(level.record);
  }

  llvm::StringRef getName() const override { return "x86"; }
  llvm::ArrayRef<TargetLevel> getLevels() const override { return records; }
  llvm::Expected<const TargetLevel &> getNativeLevel() const override;
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

llvm::Expected<const TargetLevel &> X86Target::getNativeLevel() const {
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  for (const TargetLevel &level : llvm::reverse(records))
    if (llvm::all_of(level.features, [&](const std::string &feature) {
          return host.lookup(feature);
        }))
      return level;
  return llvm::createStringError("x86: this machine lacks AVX2 and FMA");
}

void X86Target::registerDialects(mlir::DialectRegistry &registry) const {
  registry.insert<tile::TileDialect, mlir::arith::ArithDialect,
                  mlir::cf::ControlFlowDialect, mlir::func::FuncDialect,
                  mlir::LLVM::LLVMDialect, mlir::math::MathDialect,
                  mlir::scf::SCFDialect, mlir::ub::UBDialect,
                  mlir::vector::VectorDialect>();
}

/// Wider vectors and dot products of bytes show in the kernels that strategies
/// build, as does a matrix unit; dot products and conversions of bf16 do not.
bool X86Target::gainsOver(const TargetLevel &lower, const TargetLevel &level,
                          mlir::ModuleOp module) const {
  if (lower.capabilities.bf16Dot || !level.capabilities.bf16Dot)
    return false;
  auto isNarrow = [](mlir::Value value) {
    return mlir::getElementTypeOrSelf(value).isBF16();
  };
  return module
      .walk([&](mlir::Operation *op) {
        bool gains =
            mlir::isa<mlir::arith::TruncFOp>(op)
                ? isNarrow(op->getResult(0))
                : mlir::isa<tile::MmaOp>(op) && isNarrow(op->getOperand(0));
        return gains ? mlir::WalkResult::interrupt()
                     : mlir::WalkResult::advance();
      })
      .wasInterrupted();
}

llvm::Expected<TargetObject>
X86Target::compile(mlir::ModuleOp module, const TargetLevel &level,
                   const TargetOptions &options) const {
  const x86::Level *known = x86::lookupLevel(level.name);
  if (!known)
    return llvm::createStringError("x86: no level '" + level.name + "'");
  mlir::PassManager manager(module.getContext(),
                            mlir::ModuleOp::getOperationName());
#ifdef NDEBUG
  // The kernels were verified; doing so after each pass costs as much as the
  // passes do. lathe-opt and Debug builds verify.
  manager.enableVerifier(false);
#endif
  x86::buildToLLVMPipeline(manager, level.name);
  if (mlir::failed(manager.run(module)))
    return llvm::createStringError("x86: a kernel could not be lowered");
  auto object = x86::emitObject(module, *known, options);
  if (!object)
    return object.takeError();
  auto code = x86::linkShared(*object);
  if (!code)
    return code.takeError();
  return TargetObject{std::move(*code), {}};
}

void lathe::registerX86Target(TargetRegistry &registry) {
  registry.add(std::make_unique<X86Target>());
}
