// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --x86-lower-math
//
//   %y = math.exp %x : vector<16xf32>
//
// becomes multiplications, additions and integer ops (MathFunctions.h), so that
// no call of libm is left. What remains of `math` (sqrt, fma, floor, ...) has
// an instruction.

#include "lib/Target/X86/Interleave.h"
#include "lib/Target/X86/MathFunctions.h"
#include "lib/Target/X86/Passes.h"
#include "llvm/ADT/SetVector.h"

namespace lathe::x86 {
#define GEN_PASS_DEF_X86LOWERMATHPASS
#include "lib/Target/X86/Passes.h.inc"
} // namespace lathe::x86

using namespace mlir;
using namespace lathe::x86;

using Unary = Value (MathFunctions::*)(Value);
using Binary = Value (MathFunctions::*)(Value, Value);

namespace {
/// How one op is computed; one of the two functions is set.
struct Lowering {
  StringRef name;
  Unary unary;
  Binary binary;
  bool hasSingle; ///< There is an f32 form.
};
} // namespace

static constexpr Lowering kLowerings[] = {
    {"math.exp", &MathFunctions::exp, nullptr, true},
    {"math.exp2", &MathFunctions::exp2, nullptr, true},
    {"math.log", &MathFunctions::log, nullptr, true},
    {"math.tanh", &MathFunctions::tanh, nullptr, true},
    {"math.erf", &MathFunctions::erf, nullptr, true},
    {"math.sin", &MathFunctions::sin, nullptr, false},
    {"math.cos", &MathFunctions::cos, nullptr, false},
    {"math.tan", &MathFunctions::tan, nullptr, false},
    {"math.asin", &MathFunctions::asin, nullptr, false},
    {"math.acos", &MathFunctions::acos, nullptr, false},
    {"math.atan", &MathFunctions::atan, nullptr, false},
    {"math.atan2", nullptr, &MathFunctions::atan2, false},
    {"math.sinh", &MathFunctions::sinh, nullptr, false},
    {"math.cosh", &MathFunctions::cosh, nullptr, false},
    {"math.asinh", &MathFunctions::asinh, nullptr, false},
    {"math.acosh", &MathFunctions::acosh, nullptr, false},
    {"math.atanh", &MathFunctions::atanh, nullptr, false},
    {"math.expm1", &MathFunctions::expm1, nullptr, false},
    {"math.log1p", &MathFunctions::log1p, nullptr, false},
    {"math.cbrt", &MathFunctions::cbrt, nullptr, false},
    {"math.powf", nullptr, &MathFunctions::pow, false},
    {"arith.divf", nullptr, &MathFunctions::divide, true},
    {"arith.remf", nullptr, &MathFunctions::rem, false},
};

/// Ops of `math` that instructions, or short sequences of them, implement.
static bool hasInstruction(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp,
             math::CountLeadingZerosOp, math::CountTrailingZerosOp,
             math::CtPopOp, math::FloorOp, math::FmaOp, math::RoundEvenOp,
             math::RoundOp, math::RsqrtOp, math::SqrtOp, math::TruncOp,
             math::IsFiniteOp, math::IsInfOp, math::IsNaNOp, math::IsNormalOp>(
      op);
}

static bool isNarrowQuotient(Operation *op) {
  return isa<arith::DivFOp>(op) && op->hasAttr(kNarrowAttr);
}

static Type withElement(Type type, Type element) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? Type(vector.clone(element)) : element;
}

/// The op that computes the result, null after an error.
static Operation *lower(Operation *op, const Lowering &lowering, bool avx512) {
  ImplicitLocOpBuilder b(op->getLoc(), op);
  Type type = op->getResult(0).getType();
  Type element = getElementTypeOrSelf(type);
  if (!element.isF32() && !element.isF64()) {
    op->emitOpError("on ") << type << " has no x86 lowering";
    return nullptr;
  }
  if (lowering.name == "math.erf" && element.isF64()) {
    op->emitOpError("on f64 has no x86 lowering; f32 has");
    return nullptr;
  }

  bool isWidened = element.isF32() && !lowering.hasSingle;
  Type computed = isWidened ? withElement(type, b.getF64Type()) : type;
  SmallVector<Value> operands(op->getOperands());
  if (isWidened)
    for (Value &operand : operands)
      operand = arith::ExtFOp::create(b, computed, operand);
  auto flagged = dyn_cast<arith::ArithFastMathInterface>(op);
  bool isRough =
      flagged && element.isF32() &&
      arith::bitEnumContainsAll(flagged.getFastMathFlagsAttr().getValue(),
                                arith::FastMathFlags::afn);
  MathFunctions functions(b, computed, avx512, isRough,
                          op->hasAttr(kNarrowAttr));
  Value result = lowering.unary
                     ? (functions.*lowering.unary)(operands[0])
                     : (functions.*lowering.binary)(operands[0], operands[1]);
  if (isWidened)
    result = arith::TruncFOp::create(b, type, result);
  op->getResult(0).replaceAllUsesWith(result);
  op->erase();
  return result.getDefiningOp();
}

/// Conversions round to nearest even by themselves. What is outside of i32 was
/// undefined before, too.
static void fuseRounding(arith::FPToSIOp op, bool avx512) {
  auto round = op.getIn().getDefiningOp<math::RoundEvenOp>();
  auto type = dyn_cast<VectorType>(op.getType());
  if (!round || !type || type.getRank() != 1 ||
      !type.getElementType().isInteger(32) ||
      !getElementTypeOrSelf(op.getIn()).isF32())
    return;
  ImplicitLocOpBuilder b(op.getLoc(), op);
  SmallVector<Value> operands{round.getOperand()};
  StringRef name = "llvm.x86.avx.cvt.ps2dq.256";
  if (type.getDimSize(0) == 16 && avx512) {
    constexpr int32_t nearestEven = 8;
    name = "llvm.x86.avx512.mask.cvtps2dq.512";
    operands.push_back(arith::ConstantOp::create(b, b.getZeroAttr(type)));
    operands.push_back(LLVM::ConstantOp::create(b, b.getI16IntegerAttr(-1)));
    operands.push_back(
        LLVM::ConstantOp::create(b, b.getI32IntegerAttr(nearestEven)));
  } else if (type.getDimSize(0) != 8) {
    return;
  }
  auto call =
      LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), operands);
  op.replaceAllUsesWith(call->getResult(0));
  op.erase();
  if (round->use_empty())
    round.erase();
}

namespace {
struct X86LowerMathPass
    : lathe::x86::impl::X86LowerMathPassBase<X86LowerMathPass> {
  using X86LowerMathPassBase::X86LowerMathPassBase;

  void runOnOperation() override {
    getOperation().walk([&](arith::FPToSIOp op) { fuseRounding(op, avx512); });
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<arith::RemFOp>(op) || isNarrowQuotient(op) ||
          op->getDialect()->getNamespace() == "math")
        ops.push_back(op);
    });
    llvm::SetVector<Block *> blocks;
    llvm::DenseSet<Operation *> results;
    for (Operation *op : ops) {
      StringRef name = op->getName().getStringRef();
      const Lowering *found =
          llvm::find_if(kLowerings, [&](const Lowering &entry) {
            return entry.name == name;
          });
      if (found == std::end(kLowerings)) {
        if (hasInstruction(op))
          continue;
        op->emitOpError("has no x86 lowering");
        return signalPassFailure();
      }
      blocks.insert(op->getBlock());
      Operation *result = lower(op, *found, avx512);
      if (!result)
        return signalPassFailure();
      results.insert(result);
    }
    for (Block *block : blocks)
      interleaveChains(*block, results);
  }
};
} // namespace
