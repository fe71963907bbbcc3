// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/IndexRanges.h"
#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/Views.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe::graph;

/// Constants of more elements are not looked into.
static constexpr int64_t kMostElements = int64_t(1) << 20;
/// Sums and products of larger numbers might wrap where they are computed.
static constexpr int64_t kLargest = int64_t(1) << 30;

/// Whether a bound may be computed with: symbols are sizes of real tensors.
static bool isSmall(AffineExpr expr) {
  auto constant = dyn_cast_or_null<AffineConstantExpr>(expr);
  return expr && (!constant || (constant.getValue() <= kLargest &&
                                constant.getValue() >= -kLargest));
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

static IndexRange add(const IndexRange &a, const IndexRange &b) {
  IndexRange sum;
  if (isSmall(a.first) && isSmall(b.first))
    sum.first = a.first + b.first;
  if (isSmall(a.last) && isSmall(b.last))
    sum.last = a.last + b.last;
  return sum;
}

static IndexRange subtract(const IndexRange &a, const IndexRange &b) {
  auto negate = [](AffineExpr expr) {
    return isSmall(expr) ? -expr : AffineExpr();
  };
  return add(a, {negate(b.last), negate(b.first)});
}

static bool isNonNegative(const IndexRange &range) {
  return range.first && isSizeAtLeast(range.first, 0);
}

static IndexRange multiply(const IndexRange &a, const IndexRange &b) {
  if (!isNonNegative(a) || !isNonNegative(b))
    return {};
  IndexRange product = {a.first * b.first, {}};
  if (isSmall(a.last) && isSmall(b.last))
    product.last = canonicalizeSize(a.last * b.last);
  return product;
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

IndexRange IndexRanges::compute(Operation *op) {
  auto of = [&](unsigned operand) { return get(op->getOperand(operand)); };
  if (isView(op))
    return of(0);
  return llvm::TypeSwitch<Operation *, IndexRange>(op)
      .Case([&](ConstantOp constant) { return fromConstant(constant); })
      .Case([&](IotaOp iota) -> IndexRange {
        AffineExpr size = shapes.getDims(iota.getResult())[0];
        return {getAffineConstantExpr(iota.getStart(), op->getContext()),
                size + (iota.getStart() - 1)};
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
      .Case([&](AddOp) { return add(of(0), of(1)); })
      .Case([&](SubOp) { return subtract(of(0), of(1)); })
      .Case([&](MulOp) { return multiply(of(0), of(1)); })
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
      range = compute(op);
  }
  return known[value] = range;
}

bool IndexRanges::areInside(Value indices, AffineExpr size) {
  IndexRange range = get(indices);
  return range.first && range.last && isSizeAtLeast(range.first + size, 0) &&
         isSizeAtLeast(size - 1 - range.last, 0);
}
