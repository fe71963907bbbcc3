// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions that bring large arguments into the range of a polynomial: angles
// to a quarter of a turn, dividends to less than the divisor. What few lanes
// need stands behind a test of all lanes.

#include "lib/Target/X86/MathFunctions.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;
using namespace lathe::x86;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
static constexpr double kHalfPi = 1.5707963267948966;

/// 2 / pi behind 64 zeros, from the binary point on: as many bits as the
/// largest f64 shifts out, and 192 more.
static constexpr uint64_t kTwoOverPi[] = {
    0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0,
    0xdb6295993c439041, 0xfe5163abdebbc561, 0xb7246e3a424dd2e0,
    0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484,
    0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b,
    0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea,
    0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab};

static constexpr char kReduceName[] = "lathe_reduce_angle";
static constexpr char kTableName[] = "lathe_two_over_pi";

Value MathFunctions::any(Value condition) {
  if (!isa<VectorType>(condition.getType()))
    return condition;
  return vector::ReductionOp::create(b, vector::CombiningKind::OR, condition);
}

//===----------------------------------------------------------------------===//
// Angles
//===----------------------------------------------------------------------===//

namespace {
/// Builds a function of one f64, at least kLargeAngle and finite: Payne and
/// Hanek's reduction ("Radian reduction for trigonometric functions", 1983)
/// with 192 bits of 2 / pi, those above being whole turns.
class AngleFunction {
public:
  AngleFunction(OpBuilder &builder, Location loc) : b(loc, builder) {}

  func::FuncOp build(ModuleOp module);

private:
  Value word(int64_t value) {
    return arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
  }
  Value shl(Value x, Value y) { return arith::ShLIOp::create(b, x, y); }
  Value shr(Value x, Value y) { return arith::ShRUIOp::create(b, x, y); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, condition, x, y);
  }
  /// The upper 64 bits of (high, low) << count, for 0 <= count < 64.
  Value funnel(Value high, Value low, Value count) {
    Value rest = shr(shr(low, word(1)), sub(word(63), count));
    return arith::OrIOp::create(b, shl(high, count), rest);
  }
  /// 64 bits of the table each, the first ones at bit `place`.
  SmallVector<Value> loadWindow(Value place);
  /// The upper 128 of the lower 192 bits of `m` times the window.
  std::pair<Value, Value> multiply(Value m, ValueRange window);
  void createTable(ModuleOp module);
  void buildBody(Value x);

  ImplicitLocOpBuilder b;
};
} // namespace

void AngleFunction::createTable(ModuleOp module) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(module.getBody());
  constexpr int64_t size = std::size(kTwoOverPi);
  auto type = RankedTensorType::get({size}, b.getI64Type());
  LLVM::GlobalOp::create(
      b, LLVM::LLVMArrayType::get(b.getI64Type(), size), /*isConstant=*/true,
      LLVM::Linkage::Internal, kTableName,
      DenseElementsAttr::get(type, ArrayRef<uint64_t>(kTwoOverPi)));
}

SmallVector<Value> AngleFunction::loadWindow(Value place) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value table = LLVM::AddressOfOp::create(b, pointer, kTableName);
  Value first = shr(place, word(6));
  Value shift = arith::AndIOp::create(b, place, word(63));
  SmallVector<Value> words, window;
  for (int64_t i = 0; i < 4; ++i) {
    Value at =
        LLVM::GEPOp::create(b, pointer, b.getI64Type(), table,
                            ArrayRef<LLVM::GEPArg>{Value(add(first, word(i)))});
    words.push_back(LLVM::LoadOp::create(b, b.getI64Type(), at));
  }
  for (int64_t i = 0; i < 3; ++i)
    window.push_back(funnel(words[i], words[i + 1], shift));
  return window;
}

std::pair<Value, Value> AngleFunction::multiply(Value m, ValueRange window) {
  auto low = arith::MulUIExtendedOp::create(b, m, window[2]);
  auto middle = arith::MulUIExtendedOp::create(b, m, window[1]);
  Value lower = add(middle.getLow(), low.getHigh());
  Value carry =
      arith::ExtUIOp::create(b, b.getI64Type(),
                             arith::CmpIOp::create(b, arith::CmpIPredicate::ult,
                                                   lower, middle.getLow()));
  Value upper = arith::MulIOp::create(b, m, window[0]);
  return {add(add(upper, middle.getHigh()), carry), lower};
}

void AngleFunction::buildBody(Value x) {
  auto compare = [&](arith::CmpIPredicate predicate, Value left, Value right) {
    return arith::CmpIOp::create(b, predicate, left, right);
  };
  // |x| = m 2^e: what 2^(2 - e) and more contribute is whole turns.
  Type f64 = b.getF64Type(), i64 = b.getI64Type();
  Value magnitude = math::AbsFOp::create(b, x);
  Value pattern = arith::BitcastOp::create(b, i64, magnitude);
  Value m = arith::OrIOp::create(
      b, arith::AndIOp::create(b, pattern, word((1ll << 52) - 1)),
      word(1ll << 52));
  Value place = sub(shr(pattern, word(52)), word(1075 - 62));
  auto [high, low] = multiply(m, loadWindow(place));

  // Two bits of quarters, and a fraction: to the nearest quarter.
  Value quarters = shr(high, word(62));
  Value upper = funnel(high, low, word(2)), lower = shl(low, word(2));
  Value isBelow = compare(arith::CmpIPredicate::slt, upper, word(0));
  quarters = add(quarters, arith::ExtUIOp::create(b, i64, isBelow));
  Value borrow = arith::ExtUIOp::create(
      b, i64, compare(arith::CmpIPredicate::ne, lower, word(0)));
  upper = select(isBelow, sub(sub(word(0), upper), borrow), upper);
  lower = select(isBelow, sub(word(0), lower), lower);

  // No f64 comes closer than 2^-62 to a multiple: `upper` is not zero.
  Value zeros = math::CountLeadingZerosOp::create(b, upper);
  Value leading = arith::UIToFPOp::create(b, f64, funnel(upper, lower, zeros));
  Value scale = arith::BitcastOp::create(
      b, f64, shl(sub(word(1023 - 64), zeros), word(52)));
  Value rest = arith::MulFOp::create(b, leading, scale);
  rest = arith::MulFOp::create(
      b, rest, arith::ConstantOp::create(b, b.getF64FloatAttr(kHalfPi)));
  rest = select(isBelow, arith::NegFOp::create(b, rest), rest);
  Value whole = arith::SIToFPOp::create(b, f64, quarters);
  Value isNegative =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x,
                            arith::ConstantOp::create(b, b.getF64FloatAttr(0)));
  auto withSign = [&](Value value) {
    return select(isNegative, arith::NegFOp::create(b, value), value);
  };
  func::ReturnOp::create(b, ValueRange{withSign(whole), withSign(rest)});
}

func::FuncOp AngleFunction::build(ModuleOp module) {
  createTable(module);
  b.setInsertionPointToEnd(module.getBody());
  Type f64 = b.getF64Type();
  auto function = func::FuncOp::create(b, kReduceName,
                                       b.getFunctionType({f64}, {f64, f64}));
  function.setPrivate();
  function->setAttr(
      "llvm.linkage",
      LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal));
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  buildBody(body->getArgument(0));
  return function;
}

/// Calls the module's function for angles on one number.
SmallVector<Value> MathFunctions::reduceLargeAngle(Value x) {
  Operation *parent = b.getInsertionBlock()->getParentOp();
  auto module = parent->getParentOfType<ModuleOp>();
  auto function = module.lookupSymbol<func::FuncOp>(kReduceName);
  if (!function) {
    OpBuilder::InsertionGuard guard(b);
    function = AngleFunction(b, b.getLoc()).build(module);
  }
  return func::CallOp::create(b, function, x)->getResults();
}

/// Exchanges what stands for the lanes of `x` in `values` where x is large.
SmallVector<Value> MathFunctions::reduceEachLarge(Value x, ValueRange values) {
  if (!isa<VectorType>(type))
    return reduceLargeAngle(x);
  auto index = [&](int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  };
  int64_t lanes = cast<VectorType>(type).getNumElements();
  auto loop = scf::ForOp::create(b, index(0), index(lanes), index(1), values);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value lane = loop.getInductionVar();
  Value element = vector::ExtractOp::create(b, x, lane);
  MathFunctions scalars(b, element.getType());
  auto branch = scf::IfOp::create(b, TypeRange{type, type},
                                  scalars.isLargeAngle(element), true);
  scf::YieldOp::create(b, branch.getResults());
  b.setInsertionPointToStart(branch.thenBlock());
  SmallVector<Value> reduced = scalars.reduceLargeAngle(element);
  for (auto [value, old] : llvm::zip(reduced, loop.getRegionIterArgs()))
    value = vector::InsertOp::create(b, value, old, lane);
  scf::YieldOp::create(b, reduced);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, loop.getRegionIterArgs());
  return loop.getResults();
}

/// Cody and Waite's reduction leaves no error below 2^40: the products with the
/// first part are exact.
static constexpr double kLargeAngle = 0x1p40;

Value MathFunctions::isLargeAngle(Value x) {
  Value t = abs(x);
  return arith::AndIOp::create(
      b, test(arith::CmpFPredicate::OGE, t, constant(kLargeAngle)),
      test(arith::CmpFPredicate::OLT, t, constant(kInfinity)));
}

MathFunctions::Angle MathFunctions::reduceAngle(Value x) {
  Value n = roundEven(mul(x, constant(1 / kHalfPi)));
  Value r = fma(n, constant(-1.5707963267948966), x);
  r = fma(n, constant(-6.123233995736766e-17), r);
  r = fma(n, constant(1.4973849048591833e-33), r);

  auto branch =
      scf::IfOp::create(b, TypeRange{type, type}, any(isLargeAngle(x)), true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, reduceEachLarge(x, {n, r}));
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, ValueRange{n, r});
  return {branch.getResult(0), branch.getResult(1)};
}

//===----------------------------------------------------------------------===//
// Remainders
//===----------------------------------------------------------------------===//

/// One step of the loop below. r - q t has no more bits than a number, since q
/// is the nearest one to r / t (or next to it, below 2^53): fma is exact. A
/// quotient that overflows is taken from a multiple of t instead.
Value MathFunctions::remainderStep(Value r, Value t) {
  Value divisor = t;
  for (int i = 0; i < 2; ++i) { // The largest over the smallest is 2^2098.
    Value isHuge = test(arith::CmpFPredicate::OEQ, abs(div(r, divisor)),
                        constant(kInfinity));
    divisor = select(isHuge, mul(divisor, constant(0x1p600)), divisor);
  }
  Value quotient = math::TruncOp::create(b, div(r, divisor));
  Value rest = fma(sub(constant(0), quotient), divisor, r);
  return select(test(arith::CmpFPredicate::OGE, abs(r), t), rest, r);
}

Value MathFunctions::rem(Value x, Value y) {
  Value t = abs(y), start = abs(x);
  // No multiple of anything is left of infinity.
  Value isFinite = test(arith::CmpFPredicate::OLT, start, constant(kInfinity));
  start = select(isFinite, start, constant(kNaN));
  auto loop = scf::WhileOp::create(
      b, TypeRange{type}, ValueRange{start},
      [&](OpBuilder &, Location, ValueRange values) {
        Value goesOn = test(arith::CmpFPredicate::OGE, abs(values[0]), t);
        scf::ConditionOp::create(b, any(goesOn), values);
      },
      [&](OpBuilder &, Location, ValueRange values) {
        scf::YieldOp::create(b, remainderStep(values[0], t));
      });
  Value r = loop.getResult(0);
  r = select(test(arith::CmpFPredicate::OLT, r, constant(0)), add(r, t), r);
  // Of zero there is no remainder, of NaN none either.
  Value isValid = test(arith::CmpFPredicate::OGT, t, constant(0));
  return copySign(select(isValid, r, constant(kNaN)), x);
}
