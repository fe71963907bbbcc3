// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/MathFunctions.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;
using namespace lathe::x86;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
static constexpr double kLog2E = 1.4426950408889634;
static constexpr double kHalfPi = 1.5707963267948966;

//===----------------------------------------------------------------------===//
// Building blocks
//===----------------------------------------------------------------------===//

bool MathFunctions::isDouble() const {
  return getElementTypeOrSelf(type).isF64();
}

Type MathFunctions::bitsType() const {
  Type element = b.getIntegerType(isDouble() ? 64 : 32);
  auto vector = dyn_cast<VectorType>(type);
  return vector ? Type(vector.clone(element)) : element;
}

static Value splatConstant(OpBuilder &b, Location loc, Type type,
                           TypedAttr value) {
  if (auto vector = dyn_cast<VectorType>(type))
    value = cast<TypedAttr>(DenseElementsAttr::get(vector, Attribute(value)));
  return arith::ConstantOp::create(b, loc, value);
}

Value MathFunctions::constant(double value) {
  return splatConstant(b, b.getLoc(), type,
                       b.getFloatAttr(getElementTypeOrSelf(type), value));
}

Value MathFunctions::bits(int64_t value) {
  Type integer = bitsType();
  return splatConstant(b, b.getLoc(), integer,
                       b.getIntegerAttr(getElementTypeOrSelf(integer), value));
}

Value MathFunctions::add(Value x, Value y) {
  return arith::AddFOp::create(b, x, y);
}
Value MathFunctions::sub(Value x, Value y) {
  return arith::SubFOp::create(b, x, y);
}
Value MathFunctions::mul(Value x, Value y) {
  return arith::MulFOp::create(b, x, y);
}
Value MathFunctions::div(Value x, Value y) {
  return arith::DivFOp::create(b, x, y);
}
Value MathFunctions::sqrt(Value x) { return math::SqrtOp::create(b, x); }
Value MathFunctions::fma(Value x, Value y, Value z) {
  return math::FmaOp::create(b, x, y, z);
}
Value MathFunctions::abs(Value x) { return math::AbsFOp::create(b, x); }
Value MathFunctions::copySign(Value x, Value sign) {
  return math::CopySignOp::create(b, x, sign);
}
Value MathFunctions::roundEven(Value x) {
  return math::RoundEvenOp::create(b, x);
}
Value MathFunctions::test(arith::CmpFPredicate predicate, Value x, Value y) {
  return arith::CmpFOp::create(b, predicate, x, y);
}
Value MathFunctions::select(Value condition, Value x, Value y) {
  return arith::SelectOp::create(b, condition, x, y);
}

Value MathFunctions::clamp(Value x, double low, double high) {
  Value least = constant(low), most = constant(high);
  x = select(test(arith::CmpFPredicate::OLT, x, least), least, x);
  return select(test(arith::CmpFPredicate::OGT, x, most), most, x);
}

Value MathFunctions::polynomial(Value x, ArrayRef<double> coefficients) {
  Value sum = constant(coefficients.front());
  for (double coefficient : coefficients.drop_front())
    sum = fma(sum, x, constant(coefficient));
  return sum;
}

bool MathFunctions::isFullRegister() const {
  auto vector = dyn_cast<VectorType>(type);
  return hasAvx512 && vector && vector.getRank() == 1 &&
         vector.getNumElements() == 16 && !isDouble();
}

/// An instruction on all lanes, under the current rounding mode where it asks.
Value MathFunctions::call(StringRef name, Type result, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name),
                                       operands)
      ->getResult(0);
}

Value MathFunctions::allLanes() {
  return arith::ConstantOp::create(b, b.getI16IntegerAttr(-1));
}

Value MathFunctions::number(int32_t value) {
  return LLVM::ConstantOp::create(b, b.getI32Type(), value);
}

/// The immediate operand for the rounding mode that is set.
static constexpr int32_t kCurrentRounding = 4;

/// y * 2^floor(n).
Value MathFunctions::scaleByFloor(Value y, Value n) {
  Value lanes = allLanes(), others = y;
  if (isRough) {
    // NaN stays NaN.
    Value isNormal = test(arith::CmpFPredicate::UGE, n, constant(-126));
    auto word = VectorType::get({1}, b.getI16Type());
    lanes = vector::ExtractOp::create(
        b, vector::BitCastOp::create(b, word, isNormal), 0);
    others = constant(0);
  }
  return call("llvm.x86.avx512.mask.scalef.ps.512", type,
              {y, n, others, lanes, number(kCurrentRounding)});
}

/// Two factors, so that results may be subnormal and n as large as 2 * 127.
Value MathFunctions::scaleBy(Value y, Value n) {
  if (isFullRegister())
    return scaleByFloor(y, n);
  int64_t mantissa = isDouble() ? 52 : 23, bias = isDouble() ? 1023 : 127;
  // The sum's lowest bits are n; of NaN they are any, not poison.
  Value middle = constant(isDouble() ? 0x1.8p52 : 0x1.8p23);
  auto toBits = [&](Value value) -> Value {
    return arith::BitcastOp::create(b, bitsType(), value);
  };
  Value whole =
      arith::SubIOp::create(b, toBits(add(n, middle)), toBits(middle));
  Value half = arith::ShRSIOp::create(b, whole, bits(1));
  Value rest = arith::SubIOp::create(b, whole, half);
  for (Value exponent : {half, rest}) {
    exponent = arith::AddIOp::create(b, exponent, bits(bias));
    exponent = arith::ShLIOp::create(b, exponent, bits(mantissa));
    y = mul(y, arith::BitcastOp::create(b, type, exponent));
  }
  return y;
}

//===----------------------------------------------------------------------===//
// exp, log, tanh, erf
//===----------------------------------------------------------------------===//

Value MathFunctions::expReduced(Value r, Value n) {
  Value p;
  if (isDouble()) {
    // Taylor; the next term is below 1e-17.
    SmallVector<double> terms;
    double factorial = 1;
    for (int k = 0; k <= 13; ++k) {
      terms.insert(terms.begin(), 1 / factorial);
      factorial *= k + 1;
    }
    p = polynomial(r, terms);
  } else {
    // Minimax, from Cephes' expf.
    p = polynomial(r, {1.9875691500E-4, 1.3981999507E-3, 8.3334519073E-3,
                       4.1665795894E-2, 1.6666665459E-1, 5.0000001201E-1});
    p = add(fma(p, mul(r, r), r), constant(1));
  }
  return scaleBy(p, n);
}

Value MathFunctions::exp(Value x) {
  // Beyond these, results are zero or infinite; ln(2) is exact in two parts.
  x = isDouble() ? clamp(x, -750, 710) : clamp(x, -104, 89);
  Value n = roundEven(mul(x, constant(kLog2E)));
  double high = isDouble() ? 6.93147180369123816490e-01 : 0.693359375;
  double low = isDouble() ? 1.90821492927058770002e-10 : -2.12194440e-4;
  Value r = fma(n, constant(-high), x);
  r = fma(n, constant(-low), r);
  return expReduced(r, n);
}

/// x - floor(x) needs no test for infinities, which scaling takes as they are.
/// The polynomial is minimax for 2^r on [0, 1], relative, to 2.1e-9.
Value MathFunctions::exp2ByFloor(Value x) {
  constexpr int32_t toFloor = 9; // without a precision exception
  Value r = call("llvm.x86.avx512.mask.reduce.ps.512", type,
                 {x, number(toFloor), x, allLanes(), number(kCurrentRounding)});
  if (isNarrow)
    return scaleByFloor(polynomial(r, {7.8024522640e-02, 2.2606715543e-01,
                                       6.9583354049e-01, 9.9992521856e-01}),
                        x);
  Value p = polynomial(r, {2.1612914970e-04, 1.2467846441e-03, 9.6754515676e-03,
                           5.5485280618e-02, 2.4022930555e-01, 6.9314704444e-01,
                           1.0});
  return scaleByFloor(p, x);
}

Value MathFunctions::exp2(Value x) {
  if (isFullRegister())
    return exp2ByFloor(x);
  x = isDouble() ? clamp(x, -1080, 1025) : clamp(x, -152, 129);
  Value n = roundEven(x);
  return expReduced(mul(sub(x, n), constant(0.6931471805599453)), n);
}

Value MathFunctions::divide(Value x, Value y) {
  if (!isNarrow || !isFullRegister())
    return div(x, y);
  return mul(x, call("llvm.x86.avx512.rcp14.ps.512", type, {y, y, allLanes()}));
}

/// fdlibm's: with x = 2^k (1 + f), s = f / (2 + f), a series in s^2.
Value MathFunctions::log(Value x) {
  int64_t mantissa = isDouble() ? 52 : 23;
  double smallest = isDouble() ? 0x1p-1022 : 0x1p-126;
  Value isTiny = test(arith::CmpFPredicate::OLT, x, constant(smallest));
  Value normal =
      select(isTiny, mul(x, constant(isDouble() ? 0x1p54 : 0x1p25)), x);
  // Subtracting the bits of sqrt(1/2) leaves k in the exponent's place.
  Value pattern = arith::BitcastOp::create(b, bitsType(), normal);
  Value middle = bits(isDouble() ? 0x3fe6a09e667f3bcd : 0x3f3504f3);
  Value shifted = arith::SubIOp::create(b, pattern, middle);
  Value k = arith::ShRSIOp::create(b, shifted, bits(mantissa));
  Value m = arith::SubIOp::create(b, pattern,
                                  arith::ShLIOp::create(b, k, bits(mantissa)));
  Value f = sub(arith::BitcastOp::create(b, type, m), constant(1));
  Value exponent = arith::SIToFPOp::create(b, type, k);
  exponent = sub(exponent,
                 select(isTiny, constant(isDouble() ? 54 : 25), constant(0)));

  Value s = div(f, add(f, constant(2)));
  Value z = mul(s, s);
  Value series =
      isDouble()
          ? polynomial(z, {1.479819860511658591e-01, 1.531383769920937332e-01,
                           1.818357216161805012e-01, 2.222219843214978396e-01,
                           2.857142874366239149e-01, 3.999999999940941908e-01,
                           6.666666666666735130e-01})
          : polynomial(z, {0.24279078841, 0.28498786688, 0.40000972152,
                           0.66666662693});
  Value halfSquare = mul(constant(0.5), mul(f, f));
  Value tail = mul(s, fma(series, z, halfSquare));
  double high = isDouble() ? 6.93147180369123816490e-01 : 6.9313812256e-01;
  double low = isDouble() ? 1.90821492927058770002e-10 : 9.0580006145e-06;
  tail = fma(exponent, constant(low), tail);
  Value result = fma(exponent, constant(high), add(sub(tail, halfSquare), f));

  result = select(test(arith::CmpFPredicate::OEQ, x, constant(kInfinity)), x,
                  result);
  result = select(test(arith::CmpFPredicate::OEQ, x, constant(0)),
                  constant(-kInfinity), result);
  return select(test(arith::CmpFPredicate::UGE, x, constant(0)), // or NaN
                select(test(arith::CmpFPredicate::UNO, x, x), x, result),
                constant(kNaN));
}

Value MathFunctions::tanh(Value x) {
  Value t = abs(x);
  Value e = exp(add(t, t));
  Value large = sub(constant(1), div(constant(2), add(e, constant(1))));
  // Near zero the difference cancels.
  Value z = mul(x, x);
  Value small, limit;
  if (isDouble()) {
    limit = constant(0.01);
    small = polynomial(
        z, {-1382.0 / 155925, 62.0 / 2835, -17.0 / 315, 2.0 / 15, -1.0 / 3});
  } else {
    // From Cephes' tanhf.
    limit = constant(0.625);
    small =
        polynomial(z, {-5.70498872745E-3, 2.06390887954E-2, -5.37397155531E-2,
                       1.33314422036E-1, -3.33332819422E-1});
  }
  small = fma(mul(small, z), x, x);
  return select(test(arith::CmpFPredicate::OLT, t, limit), small,
                copySign(large, x));
}

/// Odd, fitted on [0, 2.9] to reach one at its end, with errors weighted as
/// GELU takes them: by max(x, 0.3).
Value MathFunctions::erfRoughly(Value x) {
  Value y = clamp(x, -2.9, 2.9);
  Value p = polynomial(mul(y, y),
                       {-3.010210179e-07, 1.355510805e-05, -2.642942039e-04,
                        2.955575216e-03, -2.124888743e-02, 1.046886408e-01,
                        -3.702204730e-01, 1.126891425e+00});
  return mul(y, p);
}

/// Two ranges; the polynomials are minimax, of Norbert Juffa's erff.
Value MathFunctions::erf(Value x) {
  if (isRough)
    return erfRoughly(x);
  Value t = abs(x), s = mul(x, x);
  // As a power of two the complement needs no reduction of its own.
  double unit = isFullRegister() ? kLog2E : 1.0;
  auto term = [&](double coefficient) { return constant(coefficient * unit); };
  Value r = fma(term(-1.72853470e-5), t, term(3.83197126e-4));
  Value u = fma(term(-3.88396438e-3), t, term(2.42546219e-2));
  r = fma(r, s, u);
  for (double coefficient : {-1.06777877e-1, -6.34846687e-1, -1.128717512})
    r = fma(r, t, term(coefficient));
  r = mul(r, t);
  Value rest = isFullRegister() ? exp2ByFloor(r) : exp(r);
  Value large = copySign(sub(constant(1), rest), x);
  Value small = polynomial(s, {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2,
                               1.12819925e-1, -3.76125336e-1, 1.28379166e-1});
  small = fma(small, x, x);
  return select(test(arith::CmpFPredicate::OGT, t, constant(0.927734375)),
                large, small);
}

//===----------------------------------------------------------------------===//
// In f64
//===----------------------------------------------------------------------===//

Value MathFunctions::nearZero(Value x, double bound, double cubic,
                              Value large) {
  Value small = fma(mul(mul(x, x), constant(cubic)), x, x);
  return select(test(arith::CmpFPredicate::OLT, abs(x), constant(bound)), small,
                large);
}

/// fdlibm's kernels on the rest of a reduction by pi / 2.
Value MathFunctions::sinOf(const Angle &angle, int64_t quarter) {
  Value r = angle.rest, z = mul(r, r);
  Value sine =
      polynomial(z, {1.58969099521155010221e-10, -2.50507602534068634195e-08,
                     2.75573137070700676789e-06, -1.98412698298579493134e-04,
                     8.33333333332248946124e-03, -1.66666666666666324348e-01});
  sine = fma(mul(sine, z), r, r);
  Value cosine =
      polynomial(z, {-1.13596475577881948265e-11, 2.08757232129817482790e-09,
                     -2.75573143513906633035e-07, 2.48015872894767294178e-05,
                     -1.38888888888741095749e-03, 4.16666666666666019037e-02});
  cosine = fma(mul(z, z), cosine, fma(z, constant(-0.5), constant(1)));
  // Whole quarters of a turn, from n mod 4, which is exact.
  Value turn = add(angle.quarters, constant(quarter));
  Value four = math::FloorOp::create(b, mul(turn, constant(0.25)));
  turn = fma(four, constant(-4), turn);
  Value isOdd =
      test(arith::CmpFPredicate::OEQ, abs(sub(turn, constant(2))), constant(1));
  Value result = select(isOdd, cosine, sine);
  Value isUpper = test(arith::CmpFPredicate::OGE, turn, constant(2));
  return select(isUpper, sub(constant(0), result), result);
}

Value MathFunctions::sin(Value x) { return sinOf(reduceAngle(x), 0); }
Value MathFunctions::cos(Value x) { return sinOf(reduceAngle(x), 1); }

Value MathFunctions::tan(Value x) {
  Angle angle = reduceAngle(x);
  return div(sinOf(angle, 0), sinOf(angle, 1));
}

/// Halves the angle twice, then the odd series.
Value MathFunctions::atan(Value x) {
  Value t = abs(x);
  Value isLarge = test(arith::CmpFPredicate::OGT, t, constant(1));
  Value v = select(isLarge, div(constant(1), t), t);
  for (int i = 0; i < 2; ++i)
    v = div(v, add(constant(1), sqrt(fma(v, v, constant(1)))));
  SmallVector<double> terms;
  for (int k = 12; k > 0; --k)
    terms.push_back((k % 2 ? -1.0 : 1.0) / (2 * k + 1));
  Value z = mul(v, v);
  v = fma(mul(polynomial(z, terms), z), v, v);
  v = mul(v, constant(4));
  v = select(isLarge, sub(constant(kHalfPi), v), v);
  return copySign(v, x);
}

Value MathFunctions::atan2(Value y, Value x) {
  Value isSteep = test(arith::CmpFPredicate::OGT, abs(y), abs(x));
  Value low = select(isSteep, abs(x), abs(y));
  Value high = select(isSteep, abs(y), abs(x));
  Value ratio = div(low, high);
  // 0 / 0 and infinity / infinity.
  ratio = select(test(arith::CmpFPredicate::OEQ, high, constant(0)),
                 constant(0), ratio);
  ratio = select(test(arith::CmpFPredicate::OEQ, low, constant(kInfinity)),
                 constant(1), ratio);
  Value angle = atan(ratio);
  angle = select(isSteep, sub(constant(kHalfPi), angle), angle);
  Value isLeft =
      test(arith::CmpFPredicate::OLT, copySign(constant(1), x), constant(0));
  angle = select(isLeft, sub(constant(2 * kHalfPi), angle), angle);
  Value isNaN = test(arith::CmpFPredicate::UNO, x, y);
  return select(isNaN, constant(kNaN), copySign(angle, y));
}

Value MathFunctions::asin(Value x) {
  Value one = constant(1);
  return atan(div(x, sqrt(mul(sub(one, x), add(one, x)))));
}

Value MathFunctions::acos(Value x) {
  Value one = constant(1);
  Value half = atan(sqrt(div(sub(one, x), add(one, x))));
  return add(half, half);
}

Value MathFunctions::sinh(Value x) {
  // Half of e^|x| as the square of e^(|x| / 2): no overflow before the result.
  Value e = exp(mul(abs(x), constant(0.5)));
  Value large =
      sub(mul(mul(e, constant(0.5)), e), div(constant(0.5), mul(e, e)));
  return nearZero(x, 1e-4, 1.0 / 6, copySign(large, x));
}

Value MathFunctions::cosh(Value x) {
  Value e = exp(mul(abs(x), constant(0.5)));
  return add(mul(mul(e, constant(0.5)), e), div(constant(0.5), mul(e, e)));
}

Value MathFunctions::asinh(Value x) {
  Value t = abs(x);
  Value large = log(add(t, sqrt(fma(t, t, constant(1)))));
  return nearZero(x, 1e-4, -1.0 / 6, copySign(large, x));
}

Value MathFunctions::acosh(Value x) {
  Value one = constant(1);
  return log(add(x, mul(sqrt(sub(x, one)), sqrt(add(x, one)))));
}

Value MathFunctions::atanh(Value x) {
  Value one = constant(1);
  Value large = mul(constant(0.5), log(div(add(one, x), sub(one, x))));
  return nearZero(x, 1e-4, 1.0 / 3, large);
}

Value MathFunctions::expm1(Value x) {
  // x + x^2 / 2 + x^3 / 6 + x^4 / 24 near zero.
  Value small = polynomial(x, {1.0 / 24, 1.0 / 6, 0.5, 1});
  Value isSmall = test(arith::CmpFPredicate::OLT, abs(x), constant(1e-4));
  return select(isSmall, mul(small, x), sub(exp(x), constant(1)));
}

Value MathFunctions::log1p(Value x) {
  Value small = polynomial(x, {-0.25, 1.0 / 3, -0.5, 1});
  Value isSmall = test(arith::CmpFPredicate::OLT, abs(x), constant(1e-4));
  return select(isSmall, mul(small, x), log(add(x, constant(1))));
}

Value MathFunctions::cbrt(Value x) {
  Value t = abs(x);
  Value root = exp(mul(log(t), constant(1.0 / 3)));
  // One step of Newton's.
  Value square = mul(root, root);
  Value better = sub(root, div(fma(root, square, sub(constant(0), t)),
                               mul(constant(3), square)));
  Value isPlain = test(arith::CmpFPredicate::OGT, square, constant(0));
  Value isFinite = test(arith::CmpFPredicate::OLT, t, constant(kInfinity));
  better = select(arith::AndIOp::create(b, isPlain, isFinite), better, t);
  return copySign(better, x);
}

Value MathFunctions::pow(Value x, Value y) {
  Value size = abs(x), result = exp(mul(y, log(size)));
  Value half = mul(y, constant(0.5));
  Value isWhole =
      test(arith::CmpFPredicate::OEQ, math::FloorOp::create(b, y), y);
  Value isOdd =
      test(arith::CmpFPredicate::UNE, math::FloorOp::create(b, half), half);
  isOdd = arith::AndIOp::create(b, isWhole, isOdd);
  result = select(isOdd, copySign(result, x), result);
  // An infinite base has a power of any exponent.
  Value isNegative = arith::AndIOp::create(
      b, test(arith::CmpFPredicate::OLT, x, constant(0)),
      test(arith::CmpFPredicate::OLT, size, constant(kInfinity)));
  result = select(isNegative, select(isWhole, result, constant(kNaN)), result);
  // 1 to any power, NaN included; -1 to an infinite one; any number, NaN
  // included, to the power of 0.
  Value isUnit = arith::AndIOp::create(
      b, test(arith::CmpFPredicate::OEQ, size, constant(1)),
      test(arith::CmpFPredicate::OEQ, abs(y), constant(kInfinity)));
  Value isOne = arith::OrIOp::create(
      b, isUnit, test(arith::CmpFPredicate::OEQ, x, constant(1)));
  Value isZeroth = test(arith::CmpFPredicate::OEQ, y, constant(0));
  return select(arith::OrIOp::create(b, isOne, isZeroth), constant(1), result);
}
