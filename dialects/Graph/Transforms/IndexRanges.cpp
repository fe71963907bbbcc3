// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/IndexRanges.h"
#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/Views.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe::graph;

/// Constants of more elements are not looked into.
static constexpr int64_t kMostElements = int64_t(1) << 20;
/// Sums and products of larger numbers are not computed here.
static constexpr int64_t kLargest = int64_t(1) << 30;

static std::optional<int64_t> asConstant(AffineExpr expr) {
  auto constant = dyn_cast_or_null<AffineConstantExpr>(expr);
  return constant ? std::optional(constant.getValue()) : std::nullopt;
}

static bool isConstant(const IndexRange &range) {
  return asConstant(range.first) && asConstant(range.last);
}

/// Whether the bounds may be computed with: both are known, and numbers among
/// them small.
static bool isSmall(const IndexRange &range) {
  auto isSmall = [](AffineExpr expr) {
    std::optional<int64_t> number = asConstant(expr);
    return expr && (!number || std::abs(*number) <= kLargest);
  };
  return isSmall(range.first) && isSmall(range.last);
}

/// The range of a sum or product before it wraps, if `type` holds all of it.
/// Sizes are those of real tensors: an i64 holds them and what is near them.
static IndexRange unlessWrapped(const IndexRange &range, IntegerType type) {
  if (!isConstant(range))
    return type.getWidth() == 64 && !type.isUnsigned() ? range : IndexRange();
  unsigned width = type.getWidth();
  auto fits = [&](AffineExpr expr) {
    int64_t number = *asConstant(expr);
    return type.isUnsigned() ? number >= 0 && llvm::isUIntN(width, number)
                             : llvm::isIntN(width, number);
  };
  return fits(range.first) && fits(range.last) ? range : IndexRange();
}

static bool isAtLeast(AffineExpr a, AffineExpr b) {
  return a && b && isSizeAtLeast(a - b, 0);
}

/// The smaller one, if that is known.
static AffineExpr least(AffineExpr a, AffineExpr b) {
  if (isAtLeast(b, a))
    return a;
  return isAtLeast(a, b) ? b : AffineExpr();
}

static AffineExpr most(AffineExpr a, AffineExpr b) {
  AffineExpr smaller = least(a, b);
  return !smaller ? AffineExpr() : smaller == a ? b : a;
}

static IndexRange unite(const IndexRange &a, const IndexRange &b) {
  return {least(a.first, b.first), most(a.last, b.last)};
}

static IndexRange add(const IndexRange &a, const IndexRange &b,
                      IntegerType type) {
  if (!isSmall(a) || !isSmall(b) || (!isConstant(a) && !isConstant(b)))
    return {};
  return unlessWrapped({a.first + b.first, a.last + b.last}, type);
}

static IndexRange subtract(const IndexRange &a, const IndexRange &b,
                           IntegerType type) {
  return isSmall(b) ? add(a, {-b.last, -b.first}, type) : IndexRange();
}

static bool isNonNegative(const IndexRange &range) {
  return range.first && isSizeAtLeast(range.first, 0);
}

static IndexRange multiply(const IndexRange &a, const IndexRange &b,
                           IntegerType type) {
  if (!isSmall(a) || !isSmall(b) || !isConstant(a) || !isConstant(b) ||
      !isNonNegative(a) || !isNonNegative(b))
    return {};
  return unlessWrapped({a.first * b.first, a.last * b.last}, type);
}

/// The larger of two is at least either, and at most the larger bound.
static IndexRange getMax(const IndexRange &a, const IndexRange &b) {
  AffineExpr larger = most(a.first, b.first);
  AffineExpr either = a.first ? a.first : b.first;
  return {larger ? larger : either, most(a.last, b.last)};
}

static IndexRange getMin(const IndexRange &a, const IndexRange &b) {
  AffineExpr smaller = least(a.last, b.last);
  AffineExpr either = a.last ? a.last : b.last;
  return {least(a.first, b.first), smaller ? smaller : either};
}

/// The remainder of `x`, which has the sign of the divisor `y`, or (`isC`) of
/// x.
static IndexRange getRemainder(const IndexRange &x, const IndexRange &y,
                               bool isC) {
  if (!y.first || !isSizeAtLeast(y.first, 1) || !y.last ||
      (isC && !isNonNegative(x)))
    return {};
  return {getAffineConstantExpr(0, y.last.getContext()), y.last - 1};
}

static IndexRange fromElements(ArrayRef<AffineExpr> elements) {
  IndexRange range;
  for (auto [i, element] : llvm::enumerate(elements))
    range = i ? unite(range, {element, element}) : IndexRange{element, element};
  return range;
}

static IndexRange fromConstant(ConstantOp op) {
  auto values = getIntegers(op.getValue(), kMostElements);
  if (!values || values->empty())
    return {};
  auto [low, high] = std::minmax_element(values->begin(), values->end());
  return {getAffineConstantExpr(*low, op.getContext()),
          getAffineConstantExpr(*high, op.getContext())};
}

/// Casts between integers keep what fits the result.
static IndexRange getCast(CastOp op, const IndexRange &range) {
  auto from = dyn_cast<IntegerType>(getElementTypeOrSelf(op.getInput()));
  auto to = dyn_cast<IntegerType>(getElementTypeOrSelf(op.getResult()));
  if (!from || !to)
    return {};
  bool isWider =
      to.getWidth() > from.getWidth() || (to.getWidth() == from.getWidth() &&
                                          to.isUnsigned() == from.isUnsigned());
  if (isWider && (!to.isUnsigned() || from.isUnsigned()))
    return range;
  return {};
}

IndexRange IndexRanges::compute(Operation *op, IntegerType type) {
  auto of = [&](unsigned operand) { return get(op->getOperand(operand)); };
  if (isView(op))
    return of(0);
  return llvm::TypeSwitch<Operation *, IndexRange>(op)
      .Case([&](ConstantOp constant) { return fromConstant(constant); })
      .Case([&](IotaOp iota) -> IndexRange {
        AffineExpr size = shapes.getDims(iota.getResult())[0];
        return unlessWrapped(
            {getAffineConstantExpr(iota.getStart(), op->getContext()),
             size + (iota.getStart() - 1)},
            type);
      })
      .Case([&](ArgReduceOp arg) -> IndexRange {
        return {getAffineConstantExpr(0, op->getContext()),
                shapes.getDims(arg.getInput())[arg.getAxis()] - 1};
      })
      .Case([&](CastOp cast) { return getCast(cast, of(0)); })
      .Case<GatherOp, GatherElementsOp, GatherNdOp>([&](auto) { return of(0); })
      .Case([&](SelectOp) { return unite(of(1), of(2)); })
      .Case([&](ConcatOp concat) {
        IndexRange range = of(0);
        for (unsigned i = 1; i < concat.getInputs().size(); ++i)
          range = unite(range, of(i));
        return range;
      })
      .Case([&](AddOp) { return add(of(0), of(1), type); })
      .Case([&](SubOp) { return subtract(of(0), of(1), type); })
      .Case([&](MulOp) { return multiply(of(0), of(1), type); })
      .Case([&](MaxOp) { return getMax(of(0), of(1)); })
      .Case([&](MinOp) { return getMin(of(0), of(1)); })
      .Case([&](ModOp) { return getRemainder(of(0), of(1), false); })
      .Case([&](RemOp) { return getRemainder(of(0), of(1), true); })
      .Default([](Operation *) { return IndexRange(); });
}

IndexRange IndexRanges::get(Value value) {
  if (auto found = known.find(value); found != known.end())
    return found->second;
  auto type = dyn_cast<IntegerType>(getElementTypeOrSelf(value));
  IndexRange range;
  if (type && type.getWidth() == 1) {
    range = {getAffineConstantExpr(0, value.getContext()),
             getAffineConstantExpr(1, value.getContext())};
  } else if (type) {
    known[value] = range;
    if (std::optional<Dims> contents = shapes.getContents(value);
        contents && !contents->empty())
      range = fromElements(*contents);
    else if (Operation *op = value.getDefiningOp())
      range = compute(op, type);
  }
  return known[value] = range;
}

bool IndexRanges::areInside(Value indices, AffineExpr size) {
  IndexRange range = get(indices);
  return range.first && range.last && isSizeAtLeast(range.first + size, 0) &&
         isSizeAtLeast(size - 1 - range.last, 0);
}
