// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The ops of `arith` and `math`, element by element.

#include "lib/Target/Reference/Interpreter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;
using namespace lathe::reference;

static constexpr unsigned kIndexBits = 64;

static unsigned getWidth(Type type) {
  return type.isIndex() ? kIndexBits : type.getIntOrFloatBitWidth();
}

double lathe::reference::roundTo(Type type, double value) {
  if (type.isF64())
    return value;
  if (type.isF32())
    return static_cast<float>(value);
  bool loses;
  llvm::APFloat number(value);
  number.convert(cast<FloatType>(type).getFloatSemantics(),
                 llvm::APFloat::rmNearestTiesToEven, &loses);
  return number.convertToDouble();
}

int64_t lathe::reference::wrapTo(Type type, int64_t value) {
  unsigned width = getWidth(type);
  return width == 1 ? value & 1 : llvm::SignExtend64(value, width);
}

/// The value of an integer that is read as unsigned.
static uint64_t getUnsigned(Type type, int64_t value) {
  unsigned width = getWidth(type);
  return width == 64 ? value : value & ((uint64_t(1) << width) - 1);
}

//===----------------------------------------------------------------------===//
// Kinds of functions
//===----------------------------------------------------------------------===//

namespace {
using FloatFunction = double (*)(ArrayRef<double>);
using IntegerFunction = std::optional<int64_t> (*)(int64_t, int64_t, Type);
} // namespace

static double propagateNaN(double a, double b, double result) {
  return std::isnan(a) ? a : std::isnan(b) ? b : result;
}

/// erf and the like are computed in double and rounded by the caller.
static FloatFunction getFloatFunction(Operation *op) {
#define F(Op, expression)                                                      \
  .Case([](Op) -> FloatFunction {                                              \
    return [](ArrayRef<double> x) -> double { return expression; };            \
  })
  return llvm::TypeSwitch<Operation *, FloatFunction>(op) F(
             arith::AddFOp, x[0] + x[1]) F(arith::SubFOp,
                                           x[0] - x[1]) F(arith::MulFOp,
                                                          x[0] * x[1])
      F(arith::DivFOp, x[0] / x[1]) F(arith::RemFOp, std::fmod(x[0], x[1])) F(
             arith::NegFOp, -x[0]) F(arith::MaxNumFOp, std::fmax(x[0], x[1]))
          F(arith::MinNumFOp, std::fmin(x[0], x[1])) F(
              arith::MaximumFOp,
              propagateNaN(x[0], x[1], std::fmax(x[0], x[1])))
              F(arith::MinimumFOp,
                propagateNaN(x[0], x[1],
                             std::fmin(x[0], x[1]))) F(arith::ExtFOp, x[0])
                  F(arith::TruncFOp, x[0]) F(math::AbsFOp, std::fabs(x[0])) F(
                      math::Atan2Op,
                      std::atan2(x[0], x[1])) F(math::AtanOp, std::atan(x[0]))
                      F(math::CeilOp, std::ceil(x[0])) F(
                          math::CopySignOp,
                          std::copysign(
                              x[0],
                              x[1])) F(math::CosOp,
                                       std::cos(
                                           x[0])) F(math::ErfOp, std::erf(x[0]))
                          F(math::Exp2Op, std::exp2(x[0])) F(
                              math::ExpM1Op,
                              std::expm1(x[0])) F(math::ExpOp, std::exp(x[0]))
                              F(math::FloorOp, std::floor(x[0])) F(
                                  math::FmaOp, std::fma(x[0], x[1], x[2]))
                                  F(math::Log1pOp, std::log1p(x[0])) F(
                                      math::Log2Op,
                                      std::log2(
                                          x[0])) F(math::LogOp, std::log(x[0]))
                                      F(math::PowFOp, std::pow(x[0], x[1])) F(
                                          math::RoundEvenOp,
                                          std::nearbyint(x[0]))
                                          F(math::RoundOp, std::round(x[0])) F(
                                              math::RsqrtOp,
                                              1 / std::sqrt(x[0]))
                                              F(math::SinOp, std::sin(x[0])) F(
                                                  math::SqrtOp,
                                                  std::sqrt(
                                                      x[0])) F(math::TanOp,
                                                               std::tan(x[0]))
                                                  F(math::TanhOp,
                                                    std::tanh(x[0]))
                                                      F(math::TruncOp,
                                                        std::trunc(x[0]))
                                                          .Default(
                                                              [](Operation *) {
                                                                return nullptr;
                                                              });
#undef F
}

/// Nothing where the result is undefined.
static IntegerFunction getIntegerFunction(Operation *op) {
#define I(Op, expression)                                                      \
  .Case([](Op) -> IntegerFunction {                                            \
    return [](int64_t a, int64_t b, Type t) -> std::optional<int64_t> {        \
      [[maybe_unused]] uint64_t u = getUnsigned(t, a), v = getUnsigned(t, b);  \
      return expression;                                                       \
    };                                                                         \
  })
#define UNLESS_ZERO(expression)                                                \
  b == 0 ? std::nullopt : std::optional<int64_t>(expression)
  return llvm::TypeSwitch<Operation *, IntegerFunction>(op) I(
             arith::AddIOp, int64_t(u + v)) I(arith::SubIOp, int64_t(u - v))
      I(arith::MulIOp, int64_t(u * v)) I(arith::DivSIOp, UNLESS_ZERO(a / b)) I(
             arith::RemSIOp, UNLESS_ZERO(a % b)) I(arith::DivUIOp,
                                                   UNLESS_ZERO(int64_t(u / v)))
          I(arith::RemUIOp, UNLESS_ZERO(int64_t(u % v))) I(
              arith::FloorDivSIOp, UNLESS_ZERO(llvm::divideFloorSigned(a, b)))
              I(arith::CeilDivSIOp, UNLESS_ZERO(llvm::divideCeilSigned(a, b)))
                  I(arith::AndIOp, a & b) I(arith::OrIOp, a | b)
                      I(arith::XOrIOp, a ^ b) I(arith::ShLIOp, int64_t(u << v))
                          I(arith::ShRSIOp, a >> b) I(arith::ShRUIOp,
                                                      int64_t(u >> v))
                              I(arith::MaxSIOp, std::max(a, b))
                                  I(arith::MinSIOp, std::min(a, b)) I(
                                      arith::MaxUIOp, int64_t(std::max(u, v)))
                                      I(arith::MinUIOp, int64_t(std::min(u, v)))
                                          .Default([](Operation *) {
                                            return nullptr;
                                          });
#undef I
#undef UNLESS_ZERO
}

//===----------------------------------------------------------------------===//
// Comparisons and conversions
//===----------------------------------------------------------------------===//

static bool compare(arith::CmpFPredicate predicate, double a, double b) {
  using P = arith::CmpFPredicate;
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (predicate) {
  case P::AlwaysFalse:
    return false;
  case P::OEQ:
    return a == b;
  case P::OGT:
    return a > b;
  case P::OGE:
    return a >= b;
  case P::OLT:
    return a < b;
  case P::OLE:
    return a <= b;
  case P::ONE:
    return !unordered && a != b;
  case P::ORD:
    return !unordered;
  case P::UEQ:
    return unordered || a == b;
  case P::UGT:
    return !(a <= b);
  case P::UGE:
    return !(a < b);
  case P::ULT:
    return !(a >= b);
  case P::ULE:
    return !(a > b);
  case P::UNE:
    return a != b;
  case P::UNO:
    return unordered;
  case P::AlwaysTrue:
    return true;
  }
  llvm_unreachable("a predicate");
}

/// Saturates, as compiled code may: what does not fit has no defined result.
static int64_t toInteger(double value) {
  if (std::isnan(value))
    return 0;
  return value >= 0x1p63   ? INT64_MAX
         : value < -0x1p63 ? INT64_MIN
                           : static_cast<int64_t>(value);
}

/// One element of a comparison, selection or conversion; false if `op` is none.
static bool convert(Operation *op, ArrayRef<const Elements *> x, size_t i,
                    Elements &result) {
  auto at = [&](unsigned operand) {
    return x[operand]->size() == 1 ? size_t(0) : i;
  };
  auto number = [&](unsigned operand) {
    return x[operand]->floats[at(operand)];
  };
  auto integer = [&](unsigned operand) {
    return x[operand]->integers[at(operand)];
  };
  Type from = x[0]->type;
  auto setInteger = [&](int64_t value) {
    result.integers[i] = wrapTo(result.type, value);
  };
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([&](arith::CmpFOp cmp) {
        setInteger(compare(cmp.getPredicate(), number(0), number(1)));
        return true;
      })
      .Case([&](arith::CmpIOp cmp) {
        unsigned width = getWidth(from);
        auto bits = [&](int64_t value) {
          return llvm::APInt(64, value).trunc(width);
        };
        setInteger(arith::applyCmpPredicate(
            cmp.getPredicate(), bits(integer(0)), bits(integer(1))));
        return true;
      })
      .Case([&](arith::SelectOp) {
        unsigned chosen = integer(0) ? 1 : 2;
        result.set(i, *x[chosen], at(chosen));
        return true;
      })
      .Case<arith::ExtSIOp, arith::IndexCastOp>([&](Operation *) {
        // The sign of an i1 that is set is minus.
        setInteger(getWidth(from) == 1 ? -integer(0) : integer(0));
        return true;
      })
      .Case([&](arith::TruncIOp) { return setInteger(integer(0)), true; })
      .Case<arith::ExtUIOp, arith::IndexCastUIOp>([&](Operation *) {
        setInteger(int64_t(getUnsigned(from, integer(0))));
        return true;
      })
      .Case([&](arith::SIToFPOp) {
        int64_t value = getWidth(from) == 1 ? -integer(0) : integer(0);
        result.floats[i] = roundTo(
            result.type, result.type.isF32() ? float(value) : double(value));
        return true;
      })
      .Case([&](arith::UIToFPOp) {
        uint64_t value = getUnsigned(from, integer(0));
        result.floats[i] = roundTo(
            result.type, result.type.isF32() ? float(value) : double(value));
        return true;
      })
      .Case<arith::FPToSIOp, arith::FPToUIOp>([&](Operation *) {
        setInteger(toInteger(number(0)));
        return true;
      })
      .Case(
          [&](math::AbsIOp) { return setInteger(std::abs(integer(0))), true; })
      .Default([](Operation *) { return false; });
}

llvm::FailureOr<Elements>
lathe::reference::computeElements(Operation *op,
                                  ArrayRef<const Elements *> operands) {
  Elements result = Elements::get(op->getResult(0).getType());
  FloatFunction onFloats = getFloatFunction(op);
  IntegerFunction onIntegers = getIntegerFunction(op);
  for (size_t i = 0; i < result.size(); ++i) {
    if (onFloats) {
      SmallVector<double, 3> x;
      for (const Elements *operand : operands)
        x.push_back(operand->floats[i]);
      result.floats[i] = roundTo(result.type, onFloats(x));
    } else if (onIntegers) {
      std::optional<int64_t> value = onIntegers(
          operands[0]->integers[i], operands[1]->integers[i], result.type);
      if (!value)
        return op->emitError("divides by zero"), failure();
      result.integers[i] = wrapTo(result.type, *value);
    } else if (!convert(op, operands, i, result)) {
      return op->emitError("is no op that kernels have"), failure();
    }
  }
  return result;
}
