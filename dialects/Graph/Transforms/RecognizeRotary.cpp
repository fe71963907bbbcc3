// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-recognize-rotary
//
//   %a = graph.slice %x ...                  the halves of the last dim, 2h
//   %b = graph.slice %x ...
//   %r = graph.concat (graph.neg %b), %a axis 3
//   %y = graph.add (graph.mul %x, %cos), (graph.mul %r, %sin)
// becomes, with the last dim as [2, h],
//   %p = graph.reshape %x
//   %q = graph.slice %p ... step [1, 1, 1, -1, 1]        the halves exchanged
//   %s = graph.mul %q, dense<[[-1.0], [1.0]]>
//   %y = graph.reshape (graph.add (graph.mul %p, %cos), (graph.mul %s, %sin))
//
// and so does graph.concat (a * cos - b * sin), (a * sin + b * cos). What moves
// elements is then a view, so that one kernel computes all of it.

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/GraphBuilder.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace lathe::graph {
#define GEN_PASS_DEF_RECOGNIZEROTARYPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

namespace {
/// One half of a value along its last dim.
struct Half {
  Value source;
  int64_t size;
  bool isSecond;
};

class RotaryMatcher {
public:
  explicit RotaryMatcher(ShapeAnalysis &shapes) : shapes(shapes) {}

  /// The rotation in its new form; null where there is none.
  Value rewrite(AddOp op);
  Value rewrite(ConcatOp op);

private:
  std::optional<Half> matchHalf(Value value);
  bool isHalf(Value value, Value source, bool isSecond);
  std::optional<Half> matchRotated(Value value);
  /// `value` as half * factor, with the given half of `source`.
  std::optional<Value> matchTerm(Value value, Value source, bool isSecond);
  bool isSplittable(Value factor, int64_t size);
  Value split(GraphBuilder &b, Value value, int64_t size, bool isHalfWide);
  Value build(Operation *op, const Half &half, Value cosine, Value sine,
              bool isHalfWide);

  ShapeAnalysis &shapes;
};
} // namespace

static bool isNumber(AffineExpr expr, int64_t value) {
  auto constant = dyn_cast<AffineConstantExpr>(expr);
  return constant && constant.getValue() == value;
}

//===-- Matching ----------------------------------------------------------===//

std::optional<Half> RotaryMatcher::matchHalf(Value value) {
  auto slice = value.getDefiningOp<SliceOp>();
  if (!slice ||
      llvm::any_of(slice.getSteps(), [](int64_t s) { return s != 1; }))
    return std::nullopt;
  ArrayRef<AffineExpr> from = shapes.getDims(slice.getInput());
  ArrayRef<AffineExpr> to = shapes.getDims(value);
  ArrayRef<AffineExpr> starts = slice.getStarts().getResults();
  auto whole = dyn_cast<AffineConstantExpr>(from.back());
  auto half = dyn_cast<AffineConstantExpr>(to.back());
  if (!areSameSizes(from.drop_back(), to.drop_back()) || !whole || !half ||
      whole.getValue() != 2 * half.getValue() || half.getValue() == 0)
    return std::nullopt;
  bool isSecond = isNumber(starts.back(), half.getValue());
  if (!isSecond && !isNumber(starts.back(), 0))
    return std::nullopt;
  return Half{slice.getInput(), half.getValue(), isSecond};
}

bool RotaryMatcher::isHalf(Value value, Value source, bool isSecond) {
  auto half = matchHalf(value);
  return half && half->source == source && half->isSecond == isSecond;
}

/// What is negated: `-x`, or `x * -1`.
static Value getNegated(Value value) {
  if (auto neg = value.getDefiningOp<NegOp>())
    return neg.getInput();
  if (auto mul = value.getDefiningOp<MulOp>())
    for (unsigned i : {0, 1})
      if (getSplatNumber(mul->getOperand(1 - i)) == -1.0 &&
          mul->getOperand(i).getType() == value.getType())
        return mul->getOperand(i);
  return Value();
}

static bool isLastAxis(ConcatOp op) {
  return static_cast<int64_t>(op.getAxis()) + 1 ==
             cast<RankedTensorType>(op.getType()).getRank() &&
         op.getInputs().size() == 2;
}

/// concat(-second, first): the halves that it is made of.
std::optional<Half> RotaryMatcher::matchRotated(Value value) {
  auto concat = value.getDefiningOp<ConcatOp>();
  if (!concat || !isLastAxis(concat))
    return std::nullopt;
  auto first = matchHalf(concat.getInputs()[1]);
  Value negated = getNegated(concat.getInputs()[0]);
  if (!first || first->isSecond || !negated ||
      !isHalf(negated, first->source, /*isSecond=*/true))
    return std::nullopt;
  return first;
}

std::optional<Value> RotaryMatcher::matchTerm(Value value, Value source,
                                              bool isSecond) {
  auto mul = value.getDefiningOp<MulOp>();
  if (!mul)
    return std::nullopt;
  for (unsigned i : {0, 1})
    if (isHalf(mul->getOperand(i), source, isSecond))
      return mul->getOperand(1 - i);
  return std::nullopt;
}

/// Whether the last dim of `factor` can be split as the rotated value's is.
bool RotaryMatcher::isSplittable(Value factor, int64_t size) {
  ArrayRef<AffineExpr> dims = shapes.getDims(factor);
  return dims.empty() || isNumber(dims.back(), 1) ||
         isNumber(dims.back(), size);
}

//===-- Rewriting ---------------------------------------------------------===//

/// [.., 2h] as [.., 2, h], or [.., h] as [.., 1, h].
Value RotaryMatcher::split(GraphBuilder &b, Value value, int64_t size,
                           bool isHalfWide) {
  Dims dims = b.getDims(value);
  if (dims.empty())
    return value;
  bool isWhole = !isHalfWide && !isNumber(dims.back(), 1);
  if (isWhole)
    dims.back() = b.size(size);
  dims.insert(dims.end() - 1, b.size(isWhole ? 2 : 1));
  return b.reshape(value, dims);
}

Value RotaryMatcher::build(Operation *op, const Half &half, Value cosine,
                           Value sine, bool isHalfWide) {
  GraphBuilder b(op, shapes);
  Dims result = b.getDims(op->getResult(0));
  Value x = split(b, half.source, half.size, /*isHalfWide=*/false);
  int64_t axis = b.getRank(x) - 2;
  Value exchanged = b.slice(x, axis, b.size(1), b.size(2), -1);
  Type element = b.getElementType(x);
  SmallVector<Attribute> factors = {b.getFloatAttr(element, -1.0),
                                    b.getFloatAttr(element, 1.0)};
  Value signs = b.constant(DenseElementsAttr::get(
      RankedTensorType::get({2, 1}, element), ArrayRef<Attribute>(factors)));
  Value straight = b.mul(x, split(b, cosine, half.size, isHalfWide));
  Value crossed =
      b.mul(b.mul(exchanged, signs), split(b, sine, half.size, isHalfWide));
  return b.reshape(b.add(straight, crossed), result);
}

/// x * cos + concat(-b, a) * sin
Value RotaryMatcher::rewrite(AddOp op) {
  for (unsigned i : {0, 1}) {
    auto straight = op->getOperand(i).getDefiningOp<MulOp>();
    auto crossed = op->getOperand(1 - i).getDefiningOp<MulOp>();
    if (!straight || !crossed)
      return Value();
    for (unsigned j : {0, 1}) {
      auto half = matchRotated(crossed->getOperand(j));
      if (!half)
        continue;
      Value sine = crossed->getOperand(1 - j);
      for (unsigned k : {0, 1}) {
        Value cosine = straight->getOperand(1 - k);
        if (straight->getOperand(k) == half->source &&
            isSplittable(cosine, 2 * half->size) &&
            isSplittable(sine, 2 * half->size))
          return build(op, *half, cosine, sine, /*isHalfWide=*/false);
      }
    }
  }
  return Value();
}

/// concat(a * cos - b * sin, a * sin + b * cos)
Value RotaryMatcher::rewrite(ConcatOp op) {
  if (!isLastAxis(op))
    return Value();
  auto real = op.getInputs()[0].getDefiningOp<SubOp>();
  auto imaginary = op.getInputs()[1].getDefiningOp<AddOp>();
  auto product = real ? real.getLhs().getDefiningOp<MulOp>() : MulOp();
  if (!product || !imaginary)
    return Value();
  for (Value operand : product->getOperands()) {
    auto half = matchHalf(operand);
    if (!half || half->isSecond)
      continue;
    auto cosine = matchTerm(real.getLhs(), half->source, false);
    auto sine = matchTerm(real.getRhs(), half->source, true);
    for (unsigned i : {0, 1}) {
      Value first = imaginary->getOperand(i);
      Value second = imaginary->getOperand(1 - i);
      if (cosine && sine && isSplittable(*cosine, half->size) &&
          isSplittable(*sine, half->size) &&
          matchTerm(first, half->source, false) == sine &&
          matchTerm(second, half->source, true) == cosine)
        return build(op, *half, *cosine, *sine, /*isHalfWide=*/true);
    }
  }
  return Value();
}

namespace {
struct RecognizeRotaryPass
    : lathe::graph::impl::RecognizeRotaryPassBase<RecognizeRotaryPass> {
  using Base::Base;

  void runOnOperation() override {
    auto recognize = [&](ShapeAnalysis &shapes, Operation *op) {
      if (op->getNumResults() != 1 ||
          !isa<FloatType>(getElementTypeOrSelf(op->getResult(0))))
        return Value();
      RotaryMatcher matcher(shapes);
      Value result = llvm::TypeSwitch<Operation *, Value>(op)
                         .Case<AddOp, ConcatOp>(
                             [&](auto op) { return matcher.rewrite(op); })
                         .Default([](Operation *) { return Value(); });
      if (result) {
        remarkPassed(getArgument(), op, "is a rotary embedding");
        ++numRotations;
      }
      return result;
    };
    if (failed(rewriteOps(getOperation(), recognize)))
      signalPassFailure();
  }
};
} // namespace
