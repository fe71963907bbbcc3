// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/Float8.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"
#include <cmath>

using namespace mlir;
using namespace lathe;

static constexpr int kBitsOfF32 = 23, kBiasOfF32 = 127;
static constexpr int kSign = 0x80, kMagnitude = 0x7f;

namespace {

/// Builds on numbers or on vectors, as `like` is.
class Builder8 {
public:
  Builder8(ImplicitLocOpBuilder &b, Type element, Type like)
      : b(b), like(like), bits(isa<Float8E4M3FNType>(element) ? 3 : 2),
        bias(isa<Float8E4M3FNType>(element) ? 7 : 15) {}

  Value widen(Value x);
  Value round(Value x, Type element);

private:
  Type as(Type element) const {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(vector.clone(element)) : element;
  }
  Type i32() const { return as(b.getI32Type()); }
  Type f32() const { return as(b.getF32Type()); }
  Value constant(Type type, Attribute value) {
    if (auto vector = dyn_cast<VectorType>(type))
      value = DenseElementsAttr::get(vector, value);
    return arith::ConstantOp::create(b, cast<TypedAttr>(value));
  }
  Value number(int64_t value) {
    return constant(i32(), b.getI32IntegerAttr(int32_t(value)));
  }
  Value real(double value) {
    return constant(f32(), b.getF32FloatAttr(float(value)));
  }
  Value isLess(Value x, int64_t y) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, x, number(y));
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, condition, x, y);
  }

  /// The first code that is no finite number.
  int getEnd() const { return bits == 3 ? kMagnitude : 0x7c; }
  /// By which subnormal numbers are multiples of one.
  double getScale() const { return std::ldexp(1.0, bias - 1 + bits); }

  ImplicitLocOpBuilder &b;
  Type like;
  int bits, bias;
};

} // namespace

Value Builder8::widen(Value x) {
  Value code = arith::BitcastOp::create(b, as(b.getI8Type()), x);
  code = arith::ExtUIOp::create(b, i32(), code);
  Value magnitude = arith::AndIOp::create(b, code, number(kMagnitude));
  Value sign = arith::AndIOp::create(b, code, number(kSign));
  sign = arith::ShLIOp::create(b, sign, number(24));
  // Other places of exponent and mantissa, another bias.
  Value moved = arith::ShLIOp::create(b, magnitude, number(kBitsOfF32 - bits));
  Value normal = arith::AddIOp::create(
      b, moved, number(int64_t(kBiasOfF32 - bias) << kBitsOfF32));
  Value small = arith::UIToFPOp::create(b, f32(), magnitude);
  small = arith::MulFOp::create(b, small, real(1 / getScale()));
  small = arith::BitcastOp::create(b, i32(), small);
  // Infinity, and NaN of all kinds.
  Value special = arith::OrIOp::create(b, moved, number(0x7f800000));
  Value result = select(isLess(magnitude, int64_t(1) << bits), small, normal);
  result = select(isLess(magnitude, getEnd()), result, special);
  result = arith::OrIOp::create(b, result, sign);
  return arith::BitcastOp::create(b, f32(), result);
}

Value Builder8::round(Value x, Type element) {
  Value word = arith::BitcastOp::create(b, i32(), x);
  Value magnitude = arith::AndIOp::create(b, word, number(0x7fffffff));
  Value sign = arith::ShRUIOp::create(b, word, number(24));
  sign = arith::AndIOp::create(b, sign, number(kSign));
  // Half of the last bit that stays, or just less where that one is even.
  int shift = kBitsOfF32 - bits;
  Value odd = arith::ShRUIOp::create(b, magnitude, number(shift));
  odd = arith::AndIOp::create(b, odd, number(1));
  Value rounded = arith::AddIOp::create(
      b, magnitude, number((int64_t(1) << (shift - 1)) - 1));
  rounded = arith::AddIOp::create(b, rounded, odd);
  rounded = arith::ShRUIOp::create(b, rounded, number(shift));
  Value normal = arith::SubIOp::create(
      b, rounded, number(int64_t(kBiasOfF32 - bias) << bits));
  // Adding 2^23 rounds to an integer, which is in the low bits then.
  Value small = arith::BitcastOp::create(b, f32(), magnitude);
  small = arith::MulFOp::create(b, small, real(getScale()));
  small = arith::AddFOp::create(b, small, real(std::ldexp(1.0, kBitsOfF32)));
  small = arith::BitcastOp::create(b, i32(), small);
  small = arith::AndIOp::create(b, small, number(kMagnitude));
  int64_t leastNormal = int64_t(kBiasOfF32 + 1 - bias) << kBitsOfF32;
  Value code = select(isLess(magnitude, leastNormal), small, normal);
  code = arith::MinUIOp::create(b, code, number(getEnd()));
  Value isNumber = isLess(magnitude, 0x7f800001);
  code = select(isNumber, code, number(kMagnitude));
  code = arith::OrIOp::create(b, code, sign);
  code = arith::TruncIOp::create(b, as(b.getI8Type()), code);
  return arith::BitcastOp::create(b, as(element), code);
}

bool lathe::isFloat8(Type element) {
  return isa<Float8E4M3FNType, Float8E5M2Type>(element);
}

Value lathe::widenFloat8(ImplicitLocOpBuilder &b, Value x) {
  return Builder8(b, getElementTypeOrSelf(x), x.getType()).widen(x);
}

Value lathe::roundToFloat8(ImplicitLocOpBuilder &b, Value x, Type element) {
  return Builder8(b, element, x.getType()).round(x, element);
}
