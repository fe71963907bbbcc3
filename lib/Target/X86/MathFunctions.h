// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elementary functions as code on scalars or vectors of f32 or f64, straight
// but for angles beyond 2^40 and for the remainder, with infinities, NaN, zeros
// and subnormal numbers as the C library has them. `exp`, `log`, `tanh` and
// `erf` have an f32 form of their own, at most 2 ulp off; the others are
// computed in f64 whatever their type, which rounds an f32 result to within
// 1 ulp.
//
// `isRough` (the flag `afn`) allows less of two of them, in f32: results of
// `exp2` that are subnormal are zero, which spares Intel's processors a trap
// to microcode; `erf` is off by 3.1e-4 at most, x * erf(x / sqrt(2)) / 2 by
// 9.1e-5, which rounding to bf16 hides. `isNarrow` (the attribute `narrow`)
// says that it does: then `exp2` is off by 7.6e-5 of its value, a quotient by
// 2^-14.

#ifndef LATHE_LIB_TARGET_X86_MATHFUNCTIONS_H
#define LATHE_LIB_TARGET_X86_MATHFUNCTIONS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace lathe::x86 {

/// On ops whose result only counts as far as rounding to bf16 leaves it.
inline constexpr llvm::StringLiteral kNarrowAttr = "narrow";

/// Builds expressions of one type: a float, or a vector of floats.
class MathFunctions {
public:
  /// With `avx512` set, its instructions for exponents are used on types that
  /// fill one of its registers.
  MathFunctions(mlir::ImplicitLocOpBuilder &builder, mlir::Type type,
                bool avx512 = false, bool isRough = false,
                bool isNarrow = false)
      : b(builder), type(type), hasAvx512(avx512), isRough(isRough),
        isNarrow(isNarrow) {}

  mlir::Value exp(mlir::Value x);
  mlir::Value exp2(mlir::Value x);
  mlir::Value log(mlir::Value x);
  mlir::Value tanh(mlir::Value x);
  mlir::Value divide(mlir::Value x, mlir::Value y);
  /// f32 only.
  mlir::Value erf(mlir::Value x);

  // The following want f64.
  mlir::Value sin(mlir::Value x);
  mlir::Value cos(mlir::Value x);
  mlir::Value tan(mlir::Value x);
  mlir::Value asin(mlir::Value x);
  mlir::Value acos(mlir::Value x);
  mlir::Value atan(mlir::Value x);
  mlir::Value atan2(mlir::Value y, mlir::Value x);
  mlir::Value sinh(mlir::Value x);
  mlir::Value cosh(mlir::Value x);
  mlir::Value asinh(mlir::Value x);
  mlir::Value acosh(mlir::Value x);
  mlir::Value atanh(mlir::Value x);
  mlir::Value expm1(mlir::Value x);
  mlir::Value log1p(mlir::Value x);
  mlir::Value cbrt(mlir::Value x);
  mlir::Value pow(mlir::Value x, mlir::Value y);
  /// The remainder of x / y, with the sign of x.
  mlir::Value rem(mlir::Value x, mlir::Value y);

  mlir::Value constant(double value);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value sqrt(mlir::Value x);

private:
  bool isDouble() const;
  /// The integer type of the same width (and lanes).
  mlir::Type bitsType() const;
  mlir::Value bits(int64_t value);
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value abs(mlir::Value x);
  mlir::Value copySign(mlir::Value x, mlir::Value sign);
  mlir::Value roundEven(mlir::Value x);
  mlir::Value test(mlir::arith::CmpFPredicate predicate, mlir::Value x,
                   mlir::Value y);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  /// NaN stays NaN.
  mlir::Value clamp(mlir::Value x, double low, double high);
  /// Coefficients from the highest power down.
  mlir::Value polynomial(mlir::Value x, llvm::ArrayRef<double> coefficients);
  bool isFullRegister() const;
  mlir::Value call(llvm::StringRef name, mlir::Type result,
                   mlir::ValueRange operands);
  mlir::Value allLanes();
  mlir::Value number(int32_t value);
  mlir::Value scaleByFloor(mlir::Value y, mlir::Value n);
  mlir::Value erfRoughly(mlir::Value x);
  mlir::Value exp2ByFloor(mlir::Value x);
  /// y * 2^n for a whole n.
  mlir::Value scaleBy(mlir::Value y, mlir::Value n);
  /// e^r * 2^n for |r| <= ln(2) / 2.
  mlir::Value expReduced(mlir::Value r, mlir::Value n);

  /// An angle of quarters * pi / 2 + rest, with |rest| <= pi / 4.
  struct Angle {
    mlir::Value quarters, rest;
  };
  Angle reduceAngle(mlir::Value x);
  /// sin(angle + quarter * pi / 2).
  mlir::Value sinOf(const Angle &angle, int64_t quarter);
  mlir::Value isLargeAngle(mlir::Value x);
  llvm::SmallVector<mlir::Value> reduceLargeAngle(mlir::Value x);
  llvm::SmallVector<mlir::Value> reduceEachLarge(mlir::Value x,
                                                 mlir::ValueRange values);
  mlir::Value remainderStep(mlir::Value r, mlir::Value t);
  /// Whether a condition holds in any lane.
  mlir::Value any(mlir::Value condition);

  /// `small(x)` where |x| < bound, else `large`.
  mlir::Value nearZero(mlir::Value x, double bound, double cubic,
                       mlir::Value large);

  mlir::ImplicitLocOpBuilder &b;
  mlir::Type type;
  bool hasAvx512, isRough, isNarrow;
};

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_MATHFUNCTIONS_H
