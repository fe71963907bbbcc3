// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// %y = math.tanh %x : f32   ->   %y = llvm.call @__nv_tanhf(%x)

#include "lib/Target/CUDA/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace lathe::cuda {
#define GEN_PASS_DEF_CUDALOWERMATHPASS
#include "lib/Target/CUDA/Passes.h.inc"
} // namespace lathe::cuda

/// What may be rough in f32 is one instruction: 2^x, off by 2 ulp, subnormal
/// results flushed to zero, and tanh, off by 2^-11 of the result.
static StringRef getRoughInstruction(Operation *op) {
  auto mayBeRough = [&](auto math) {
    return math.getType().isF32() &&
           bitEnumContainsAll(math.getFastmath(), arith::FastMathFlags::afn);
  };
  if (auto power = dyn_cast<math::Exp2Op>(op); power && mayBeRough(power))
    return "llvm.nvvm.ex2.approx.ftz.f32";
  if (auto bent = dyn_cast<math::TanhOp>(op); bent && mayBeRough(bent))
    return "llvm.tanh.f32";
  return "";
}

/// The function of libdevice that computes the op, for f64; "" if none has to.
static StringRef getFunction(Operation *op) {
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case([](math::AcosOp) { return "acos"; })
      .Case([](math::AcoshOp) { return "acosh"; })
      .Case([](math::AsinOp) { return "asin"; })
      .Case([](math::AsinhOp) { return "asinh"; })
      .Case([](math::Atan2Op) { return "atan2"; })
      .Case([](math::AtanOp) { return "atan"; })
      .Case([](math::AtanhOp) { return "atanh"; })
      .Case([](math::CbrtOp) { return "cbrt"; })
      .Case([](math::CosOp) { return "cos"; })
      .Case([](math::CoshOp) { return "cosh"; })
      .Case([](math::ErfOp) { return "erf"; })
      .Case([](math::Exp2Op) { return "exp2"; })
      .Case([](math::ExpM1Op) { return "expm1"; })
      .Case([](math::ExpOp) { return "exp"; })
      .Case([](math::Log1pOp) { return "log1p"; })
      .Case([](math::Log2Op) { return "log2"; })
      .Case([](math::LogOp) { return "log"; })
      .Case([](math::PowFOp) { return "pow"; })
      .Case([](math::RoundOp) { return "round"; })
      .Case([](math::RsqrtOp) { return "rsqrt"; })
      .Case([](math::SinOp) { return "sin"; })
      .Case([](math::SinhOp) { return "sinh"; })
      .Case([](math::TanOp) { return "tan"; })
      .Case([](math::TanhOp) { return "tanh"; })
      .Case([](arith::RemFOp) { return "fmod"; })
      .Default([](Operation *) { return ""; });
}

/// Ops of `math` that MLIR's conversion and PTX have.
static bool hasInstruction(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp,
             math::CountLeadingZerosOp, math::CountTrailingZerosOp,
             math::CtPopOp, math::FloorOp, math::FmaOp, math::IsFiniteOp,
             math::IsInfOp, math::IsNaNOp, math::IsNormalOp, math::RoundEvenOp,
             math::SqrtOp, math::TruncOp>(op);
}

static LLVM::LLVMFuncOp declare(ModuleOp module, StringRef name,
                                LLVM::LLVMFunctionType type) {
  if (auto known = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
    return known;
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  return LLVM::LLVMFuncOp::create(b, module.getLoc(), name, type);
}

namespace {
struct CudaLowerMathPass
    : lathe::cuda::impl::CudaLowerMathPassBase<CudaLowerMathPass> {
  using CudaLowerMathPassBase::CudaLowerMathPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    WalkResult walk = module.walk([&](Operation *op) {
      if (StringRef rough = getRoughInstruction(op); !rough.empty()) {
        OpBuilder b(op);
        auto call = LLVM::CallIntrinsicOp::create(
            b, op->getLoc(), op->getResult(0).getType(), b.getStringAttr(rough),
            op->getOperands());
        call.setFastmathFlags(LLVM::FastmathFlags::afn);
        op->replaceAllUsesWith(call);
        op->erase();
        return WalkResult::advance();
      }
      StringRef base = getFunction(op);
      if (base.empty()) {
        if (isa_and_nonnull<math::MathDialect>(op->getDialect()) &&
            !hasInstruction(op)) {
          op->emitOpError("has no CUDA lowering");
          return WalkResult::interrupt();
        }
        return WalkResult::advance();
      }
      Type type = op->getResult(0).getType();
      std::string name = ("__nv_" + base + (type.isF32() ? "f" : "")).str();
      SmallVector<Type> types(op->getOperandTypes());
      auto function =
          declare(module, name, LLVM::LLVMFunctionType::get(type, types));
      OpBuilder b(op);
      auto call =
          LLVM::CallOp::create(b, op->getLoc(), function, op->getOperands());
      op->replaceAllUsesWith(call.getResults());
      op->erase();
      return WalkResult::advance();
    });
    if (walk.wasInterrupted())
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    if (failed(applyPatternsGreedily(module, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
