// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elementwise graph ops as arith and math on tiles.

#include "lib/Kernels/TileEvaluator.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

Type lathe::kernels::getComputeType(Type graphType) {
  if (isa<FloatType>(graphType) && graphType.getIntOrFloatBitWidth() < 32)
    return Float32Type::get(graphType.getContext());
  return getTileElementType(graphType);
}

/// The type of `tile` with other elements. Scalars are tiles as well.
static Type withElement(Value tile, Type elementType) {
  auto type = dyn_cast<RankedTensorType>(tile.getType());
  return type ? Type(type.clone(elementType)) : elementType;
}

static Type getElement(Value tile) {
  return getElementTypeOrSelf(tile.getType());
}

Value lathe::kernels::toComputeType(ImplicitLocOpBuilder &b, Value tile) {
  Type compute = getComputeType(getElement(tile));
  if (compute == getElement(tile))
    return tile;
  return arith::ExtFOp::create(b, withElement(tile, compute), tile);
}

Value lathe::kernels::fromComputeType(ImplicitLocOpBuilder &b, Value tile,
                                      Type elementType) {
  Type type = getTileElementType(elementType);
  if (type == getElement(tile))
    return tile;
  return arith::TruncFOp::create(b, withElement(tile, type), tile);
}

namespace {
/// Emits one op. `type` is the first operand's type in the graph, which knows
/// signs; tiles are signless.
class Emitter {
public:
  Emitter(ImplicitLocOpBuilder &b, Operation *op, ValueRange tiles)
      : b(b), op(op), tiles(tiles),
        type(getElementTypeOrSelf(op->getOperand(0))) {}

  Value emit();

private:
  bool isFloat() const { return isa<FloatType>(type); }
  bool isBool() const { return type.isInteger(1); }
  bool isUnsigned() const { return type.isUnsignedInteger() || isBool(); }

  Value constant(Value like, double value);
  Value constantInt(Value like, const APInt &value);
  Value constantOf(Value like, TypedAttr value);
  template <typename OpT> Value unary() { return OpT::create(b, tiles[0]); }
  template <typename OpT> Value binary() {
    return OpT::create(b, tiles[0], tiles[1]);
  }
  template <typename FloatOp, typename SignedOp, typename UnsignedOp = SignedOp>
  Value arithmetic() {
    if (isFloat())
      return binary<FloatOp>();
    return isUnsigned() ? binary<UnsignedOp>() : binary<SignedOp>();
  }
  Value select(Value condition, Value a, Value other) {
    return arith::SelectOp::create(b, condition, a, other);
  }
  Value cmpf(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, predicate, x, y);
  }
  Value cmpi(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, predicate, x, y);
  }

  Value emitUnary();
  Value emitActivation();
  Value emitBinary();
  Value emitNeg();
  Value emitAbs();
  Value emitSign();
  Value emitLogistic(Value x);
  Value emitGeluTanh(Value x);
  Value emitIntegerDivision(bool remainder);
  Value emitMod();
  Value emitShift(bool isLeft);
  Value emitIntegerPow();
  Value emitCompare(graph::Compare kind);
  Value emitCast(Type to);
  Value emitToInteger(Value x, IntegerType to);

  ImplicitLocOpBuilder &b;
  Operation *op;
  ValueRange tiles;
  Type type;
};
} // namespace

Value Emitter::constantOf(Value like, TypedAttr value) {
  if (auto tileType = dyn_cast<RankedTensorType>(like.getType()))
    value = DenseElementsAttr::get(tileType, value);
  return arith::ConstantOp::create(b, value);
}

Value Emitter::constant(Value like, double value) {
  Type element = getElement(like);
  if (isa<FloatType>(element))
    return constantOf(like, b.getFloatAttr(element, value));
  return constantInt(like, APInt(element.getIntOrFloatBitWidth(),
                                 static_cast<int64_t>(value),
                                 /*isSigned=*/true, /*implicitTrunc=*/true));
}

Value Emitter::constantInt(Value like, const APInt &value) {
  return constantOf(like, b.getIntegerAttr(getElement(like), value));
}

//===----------------------------------------------------------------------===//
// One operand
//===----------------------------------------------------------------------===//

Value Emitter::emitNeg() {
  if (isFloat())
    return unary<arith::NegFOp>();
  return arith::SubIOp::create(b, constant(tiles[0], 0), tiles[0]);
}

Value Emitter::emitAbs() {
  if (isFloat())
    return unary<math::AbsFOp>();
  return isUnsigned() ? tiles[0] : unary<math::AbsIOp>();
}

Value Emitter::emitSign() {
  Value x = tiles[0], zero = constant(x, 0), one = constant(x, 1);
  if (isFloat()) {
    // Zeros and NaN stay as they are.
    Value negative =
        select(cmpf(arith::CmpFPredicate::OLT, x, zero), constant(x, -1), x);
    return select(cmpf(arith::CmpFPredicate::OGT, x, zero), one, negative);
  }
  Value nonZero = select(cmpi(arith::CmpIPredicate::ne, x, zero), one, zero);
  if (isUnsigned())
    return nonZero;
  return select(cmpi(arith::CmpIPredicate::slt, x, zero), constant(x, -1),
                nonZero);
}

/// 1 + e^-x, of which the logistic function is the reciprocal.
Value Emitter::emitLogistic(Value x) {
  Value e = math::ExpOp::create(b, arith::NegFOp::create(b, x));
  return arith::AddFOp::create(b, constant(x, 1), e);
}

Value Emitter::emitGeluTanh(Value x) {
  Value x3 = arith::MulFOp::create(b, arith::MulFOp::create(b, x, x), x);
  Value inner = arith::AddFOp::create(
      b, x, arith::MulFOp::create(b, x3, constant(x, 0.044715)));
  Value scaled =
      arith::MulFOp::create(b, inner, constant(x, std::sqrt(2.0 / M_PI)));
  Value factor =
      arith::AddFOp::create(b, constant(x, 1), math::TanhOp::create(b, scaled));
  return arith::MulFOp::create(b, arith::MulFOp::create(b, x, constant(x, 0.5)),
                               factor);
}

Value Emitter::emitActivation() {
  Value x = tiles[0];
  auto gelu = [&] {
    Value e = math::ErfOp::create(
        b, arith::MulFOp::create(b, x, constant(x, M_SQRT1_2)));
    Value half = arith::MulFOp::create(b, x, constant(x, 0.5));
    return arith::MulFOp::create(b, half,
                                 arith::AddFOp::create(b, constant(x, 1), e));
  };
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](graph::SigmoidOp) {
        return arith::DivFOp::create(b, constant(x, 1), emitLogistic(x));
      })
      .Case([&](graph::SiluOp) {
        return arith::DivFOp::create(b, x, emitLogistic(x));
      })
      .Case([&](graph::ReluOp) -> Value {
        if (isFloat())
          return arith::MaximumFOp::create(b, x, constant(x, 0));
        return isUnsigned() ? x : arith::MaxSIOp::create(b, x, constant(x, 0));
      })
      .Case([&](graph::GeluOp) { return gelu(); })
      .Case([&](graph::GeluTanhOp) { return emitGeluTanh(x); })
      .Default(Value());
}

Value Emitter::emitUnary() {
  using namespace graph;
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](NegOp) { return emitNeg(); })
      .Case([&](AbsOp) { return emitAbs(); })
      .Case([&](SignOp) { return emitSign(); })
      .Case([&](ExpOp) { return unary<math::ExpOp>(); })
      .Case([&](LogOp) { return unary<math::LogOp>(); })
      .Case([&](SqrtOp) { return unary<math::SqrtOp>(); })
      .Case([&](RsqrtOp) {
        Value root = math::SqrtOp::create(b, tiles[0]);
        return arith::DivFOp::create(b, constant(root, 1), root);
      })
      .Case([&](SinOp) { return unary<math::SinOp>(); })
      .Case([&](CosOp) { return unary<math::CosOp>(); })
      .Case([&](TanOp) { return unary<math::TanOp>(); })
      .Case([&](AsinOp) { return unary<math::AsinOp>(); })
      .Case([&](AcosOp) { return unary<math::AcosOp>(); })
      .Case([&](AtanOp) { return unary<math::AtanOp>(); })
      .Case([&](SinhOp) { return unary<math::SinhOp>(); })
      .Case([&](CoshOp) { return unary<math::CoshOp>(); })
      .Case([&](AsinhOp) { return unary<math::AsinhOp>(); })
      .Case([&](AcoshOp) { return unary<math::AcoshOp>(); })
      .Case([&](AtanhOp) { return unary<math::AtanhOp>(); })
      .Case([&](TanhOp) { return unary<math::TanhOp>(); })
      .Case([&](ErfOp) { return unary<math::ErfOp>(); })
      .Case([&](FloorOp) {
        return isFloat() ? unary<math::FloorOp>() : tiles[0];
      })
      .Case(
          [&](CeilOp) { return isFloat() ? unary<math::CeilOp>() : tiles[0]; })
      .Case([&](RoundOp) {
        return isFloat() ? unary<math::RoundEvenOp>() : tiles[0];
      })
      .Case([&](NotOp) {
        return arith::XOrIOp::create(b, tiles[0], constant(tiles[0], -1));
      })
      .Case([&](IsNanOp) {
        return cmpf(arith::CmpFPredicate::UNO, tiles[0], tiles[0]);
      })
      .Case([&](IsInfOp) {
        Value magnitude = math::AbsFOp::create(b, tiles[0]);
        return cmpf(arith::CmpFPredicate::OEQ, magnitude,
                    constant(magnitude, INFINITY));
      })
      .Case([&](CastOp cast) {
        return emitCast(cast.getType().getElementType());
      })
      .Default([&](Operation *) { return emitActivation(); });
}

//===----------------------------------------------------------------------===//
// Two operands
//===----------------------------------------------------------------------===//

/// Truncating division or remainder that cannot trap: a divisor of 0 acts as
/// 1, and the smallest integer divided by -1 is itself.
Value Emitter::emitIntegerDivision(bool remainder) {
  Value x = tiles[0], y = tiles[1], one = constant(x, 1), zero = constant(x, 0);
  Value isZero = cmpi(arith::CmpIPredicate::eq, y, zero);
  if (isUnsigned()) {
    Value divisor = select(isZero, one, y);
    return remainder ? Value(arith::RemUIOp::create(b, x, divisor))
                     : arith::DivUIOp::create(b, x, divisor);
  }
  Value isMinusOne = cmpi(arith::CmpIPredicate::eq, y, constant(y, -1));
  Value divisor = select(arith::OrIOp::create(b, isZero, isMinusOne), one, y);
  if (remainder)
    return arith::RemSIOp::create(b, x, divisor);
  return select(isMinusOne, arith::SubIOp::create(b, zero, x),
                arith::DivSIOp::create(b, x, divisor));
}

Value Emitter::emitMod() {
  Value y = tiles[1];
  if (isUnsigned())
    return emitIntegerDivision(/*remainder=*/true);
  Value zero = constant(y, 0), r, hasOtherSign, moved;
  if (isFloat()) {
    r = binary<arith::RemFOp>();
    Value nonZero = cmpf(arith::CmpFPredicate::ONE, r, zero);
    Value differs =
        arith::XOrIOp::create(b, cmpf(arith::CmpFPredicate::OLT, r, zero),
                              cmpf(arith::CmpFPredicate::OLT, y, zero));
    hasOtherSign = arith::AndIOp::create(b, nonZero, differs);
    moved = arith::AddFOp::create(b, r, y);
  } else {
    r = emitIntegerDivision(/*remainder=*/true);
    Value nonZero = cmpi(arith::CmpIPredicate::ne, r, zero);
    Value differs =
        cmpi(arith::CmpIPredicate::slt, arith::XOrIOp::create(b, r, y), zero);
    hasOtherSign = arith::AndIOp::create(b, nonZero, differs);
    moved = arith::AddIOp::create(b, r, y);
  }
  return select(hasOtherSign, moved, r);
}

/// Amounts that are negative or not below the width shift everything out:
/// zeros are left, or to the right of a negative number ones.
Value Emitter::emitShift(bool isLeft) {
  Value x = tiles[0], amount = tiles[1];
  unsigned width = getElement(x).getIntOrFloatBitWidth();
  Value last = constant(amount, width - 1);
  Value isInside = cmpi(arith::CmpIPredicate::ule, amount, last);
  amount = arith::MinUIOp::create(b, amount, last);
  if (!isLeft && !isUnsigned())
    return arith::ShRSIOp::create(b, x, amount);
  Value shifted = isLeft ? Value(arith::ShLIOp::create(b, x, amount))
                         : Value(arith::ShRUIOp::create(b, x, amount));
  return select(isInside, shifted, constant(x, 0));
}

/// By squaring; a negative exponent gives 0 for bases other than 1 and -1. From
/// the width on only its parity counts: what has not overflowed by then is 0, 1
/// or -1.
Value Emitter::emitIntegerPow() {
  Value base = tiles[0], exponent = tiles[1];
  Value one = constant(base, 1), zero = constant(base, 0), result = one;
  unsigned width = getElement(base).getIntOrFloatBitWidth();
  Value isNegative = cmpi(arith::CmpIPredicate::slt, exponent, zero);
  Value most = constant(exponent, width);
  Value parity = arith::AndIOp::create(b, exponent, one);
  exponent = select(cmpi(arith::CmpIPredicate::ugt, exponent, most),
                    arith::AddIOp::create(b, most, parity), exponent);
  for (unsigned bit = 0; (1u << bit) <= width; ++bit) {
    Value shifted =
        arith::ShRUIOp::create(b, exponent, constant(exponent, bit));
    Value isSet = cmpi(arith::CmpIPredicate::ne,
                       arith::AndIOp::create(b, shifted, one), zero);
    result = select(isSet, arith::MulIOp::create(b, result, base), result);
    base = arith::MulIOp::create(b, base, base);
  }
  if (isUnsigned())
    return result;
  Value odd = cmpi(arith::CmpIPredicate::ne,
                   arith::AndIOp::create(b, exponent, one), zero);
  Value minusOne = constant(one, -1);
  Value isMinusOne = cmpi(arith::CmpIPredicate::eq, tiles[0], minusOne);
  Value isOne = cmpi(arith::CmpIPredicate::eq, tiles[0], one);
  Value inverse =
      select(isMinusOne, select(odd, minusOne, one), select(isOne, one, zero));
  return select(isNegative, inverse, result);
}

Value Emitter::emitCompare(graph::Compare kind) {
  using arith::CmpFPredicate;
  using arith::CmpIPredicate;
  static constexpr CmpFPredicate floats[] = {
      CmpFPredicate::OEQ, CmpFPredicate::UNE, CmpFPredicate::OLT,
      CmpFPredicate::OLE, CmpFPredicate::OGT, CmpFPredicate::OGE};
  static constexpr CmpIPredicate signedInts[] = {
      CmpIPredicate::eq,  CmpIPredicate::ne,  CmpIPredicate::slt,
      CmpIPredicate::sle, CmpIPredicate::sgt, CmpIPredicate::sge};
  static constexpr CmpIPredicate unsignedInts[] = {
      CmpIPredicate::eq,  CmpIPredicate::ne,  CmpIPredicate::ult,
      CmpIPredicate::ule, CmpIPredicate::ugt, CmpIPredicate::uge};
  auto index = static_cast<unsigned>(kind);
  if (isFloat())
    return cmpf(floats[index], tiles[0], tiles[1]);
  return cmpi(isUnsigned() ? unsignedInts[index] : signedInts[index], tiles[0],
              tiles[1]);
}

Value Emitter::emitBinary() {
  using namespace graph;
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](AddOp) { return arithmetic<arith::AddFOp, arith::AddIOp>(); })
      .Case([&](SubOp) { return arithmetic<arith::SubFOp, arith::SubIOp>(); })
      .Case([&](MulOp) { return arithmetic<arith::MulFOp, arith::MulIOp>(); })
      .Case([&](DivOp) {
        return isFloat() ? binary<arith::DivFOp>()
                         : emitIntegerDivision(/*remainder=*/false);
      })
      .Case([&](RemOp) {
        return isFloat() ? binary<arith::RemFOp>()
                         : emitIntegerDivision(/*remainder=*/true);
      })
      .Case([&](ModOp) { return emitMod(); })
      .Case([&](PowOp) {
        return isFloat() ? binary<math::PowFOp>() : emitIntegerPow();
      })
      .Case([&](MaxOp) {
        return arithmetic<arith::MaximumFOp, arith::MaxSIOp, arith::MaxUIOp>();
      })
      .Case([&](MinOp) {
        return arithmetic<arith::MinimumFOp, arith::MinSIOp, arith::MinUIOp>();
      })
      .Case([&](AndOp) { return binary<arith::AndIOp>(); })
      .Case([&](OrOp) { return binary<arith::OrIOp>(); })
      .Case([&](XorOp) { return binary<arith::XOrIOp>(); })
      .Case([&](ShlOp) { return emitShift(/*isLeft=*/true); })
      .Case([&](ShrOp) { return emitShift(/*isLeft=*/false); })
      .Case([&](CompareOp compare) { return emitCompare(compare.getKind()); })
      .Default(Value());
}

//===----------------------------------------------------------------------===//
// Casts
//===----------------------------------------------------------------------===//

/// Truncates toward zero and saturates; NaN becomes the smallest integer.
Value Emitter::emitToInteger(Value x, IntegerType to) {
  unsigned width = to.getWidth();
  bool toUnsigned = to.isUnsigned();
  APInt last =
      toUnsigned ? APInt::getMaxValue(width) : APInt::getSignedMaxValue(width);
  double end = std::ldexp(1.0, toUnsigned ? width : width - 1);
  Value low = constant(x, toUnsigned ? 0.0 : -end), high = constant(x, end);
  Value above = select(cmpf(arith::CmpFPredicate::OGT, x, low), x, low);
  Value fits = cmpf(arith::CmpFPredicate::OLT, above, high);
  Value inRange = select(fits, above, low);
  Type tileType = withElement(x, getTileElementType(to));
  Value converted = toUnsigned
                        ? Value(arith::FPToUIOp::create(b, tileType, inRange))
                        : arith::FPToSIOp::create(b, tileType, inRange);
  return select(fits, converted, constantInt(converted, last));
}

Value Emitter::emitCast(Type to) {
  Value x = tiles[0];
  Type compute = getComputeType(to);
  if (to.isInteger(1)) {
    if (isFloat())
      return cmpf(arith::CmpFPredicate::UNE, x, constant(x, 0));
    return isBool() ? x : cmpi(arith::CmpIPredicate::ne, x, constant(x, 0));
  }
  if (isFloat() && isa<IntegerType>(to))
    return emitToInteger(x, cast<IntegerType>(to));
  Type tileType = withElement(x, compute);
  if (auto integer = dyn_cast<IntegerType>(to)) {
    unsigned from = type.getIntOrFloatBitWidth(), width = integer.getWidth();
    if (from == width)
      return x;
    if (from > width)
      return arith::TruncIOp::create(b, tileType, x);
    return isUnsigned() ? Value(arith::ExtUIOp::create(b, tileType, x))
                        : arith::ExtSIOp::create(b, tileType, x);
  }
  if (!isFloat())
    x = isUnsigned() ? Value(arith::UIToFPOp::create(b, tileType, x))
                     : arith::SIToFPOp::create(b, tileType, x);
  // Round to the type that was asked for, then compute in the wider one.
  unsigned width = getElement(x).getIntOrFloatBitWidth();
  if (to == type || width == to.getIntOrFloatBitWidth())
    return x;
  if (width < to.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, tileType, x);
  // By way of f32: no machine converts f64 to a narrower type at once.
  if (width == 64 && to.getIntOrFloatBitWidth() < 32)
    x = arith::TruncFOp::create(b, withElement(x, b.getF32Type()), x);
  return toComputeType(b, arith::TruncFOp::create(b, withElement(x, to), x));
}

Value Emitter::emit() {
  if (isa<graph::SelectOp>(op))
    return select(tiles[0], tiles[1], tiles[2]);
  return tiles.size() == 1 ? emitUnary() : emitBinary();
}

Value lathe::kernels::emitElementwise(ImplicitLocOpBuilder &b, Operation *op,
                                      ValueRange tiles) {
  return Emitter(b, op, tiles).emit();
}
