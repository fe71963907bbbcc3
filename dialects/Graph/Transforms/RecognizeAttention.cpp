// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-recognize-attention
//
//   %s = graph.matmul %q, %kt            kt: [batch, heads, d, keys]
//   %t = graph.mul %s, %scale
//   %u = graph.add %t, %mask
//   %p = graph.softmax %u axis 3
//   %o = graph.matmul %p, %v
// becomes
//   %k = graph.transpose %kt [0, 1, 3, 2]
//   %o = graph.attention %q, %k, %v mask %mask
//          score(#graph.softmax<scale = ...>) select(#graph.dense)

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/GraphBuilder.h"
#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/Transforms/AttentionMask.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

namespace lathe::graph {
#define GEN_PASS_DEF_RECOGNIZEATTENTIONPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// More ops between a product and its softmax are not looked at.
static constexpr unsigned kMaxSteps = 64;

/// At most this is what exporters write for a hidden logit.
static constexpr double kFill = -1e4;

/// At most this absorbs any logit: a sum with it is this number, in f32.
static constexpr double kAbsorbing = -1e30;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static bool isFloatCast(Operation *op) {
  auto cast = dyn_cast_or_null<CastOp>(op);
  return cast && isa<FloatType>(typeOf(cast.getInput()).getElementType()) &&
         isa<FloatType>(typeOf(cast.getResult()).getElementType());
}

static Value stripFloatCasts(Value value) {
  while (isFloatCast(value.getDefiningOp()))
    value = value.getDefiningOp<CastOp>().getInput();
  return value;
}

/// A factor that is a number: `value` is `rest * factor`.
static std::optional<std::pair<Value, double>> splitFactor(Value value) {
  if (auto mul = value.getDefiningOp<MulOp>()) {
    if (auto factor = getSplatNumber(mul.getRhs()))
      return std::pair(mul.getLhs(), *factor);
    if (auto factor = getSplatNumber(mul.getLhs()))
      return std::pair(mul.getRhs(), *factor);
  }
  if (auto div = value.getDefiningOp<DivOp>())
    if (auto divisor = getSplatNumber(div.getRhs()); divisor && *divisor != 0.0)
      return std::pair(div.getLhs(), 1.0 / *divisor);
  return std::nullopt;
}

namespace {
/// One spelled-out attention, found from its last matmul.
class AttentionMatcher {
public:
  AttentionMatcher(ShapeAnalysis &shapes, MatmulOp output)
      : shapes(shapes), output(output) {}

  /// On failure `getReason` says why; an empty reason means that this is no
  /// attention at all.
  LogicalResult match();
  const std::string &getReason() const { return reason; }

  Value rewrite();

private:
  LogicalResult fail(const Twine &why) {
    reason = why.str();
    return failure();
  }
  LogicalResult checkSizes();
  LogicalResult checkTypes();
  LogicalResult matchWeights(Value weights);
  LogicalResult matchLogits(Value value);
  LogicalResult matchScaled(Value inner, double factor);
  LogicalResult matchShifted(Value inner, Value other, bool negate);
  LogicalResult matchMasked(SelectOp select);
  LogicalResult matchQueryFactor(Value inner, Value factor);
  bool reachesScores(Value value);
  Value takeFactors(GraphBuilder &b, Value value);
  Value getKeys(GraphBuilder &b);
  Value splitHeads(GraphBuilder &b, Value value);
  Value withoutRepetition(GraphBuilder &b, Value value);
  Attribute getScore();

  ShapeAnalysis &shapes;
  MatmulOp output, product;
  Operation *normalizer = nullptr; ///< Softmax or logistic.
  std::optional<MaskCollector> mask;
  SmallVector<Value> queryFactors;
  llvm::DenseMap<Value, bool> reaching; ///< Results of `reachesScores`.
  unsigned numSteps = 0;
  double scale = 1.0, bias = 0.0, cap = 0.0;
  /// What hidden logits are replaced by if that does not absorb them.
  std::optional<double> weakFill;
  std::string reason;
};
} // namespace

//===-- Matching ----------------------------------------------------------===//

LogicalResult AttentionMatcher::match() {
  if (typeOf(output.getLhs()).getRank() != 4 ||
      typeOf(output.getRhs()).getRank() != 4)
    return fail("");
  if (failed(matchWeights(stripFloatCasts(output.getLhs()))))
    return failure();
  Value logits = normalizer->getOperand(0);
  mask.emplace(shapes, logits);
  if (failed(matchLogits(logits)))
    return failure();
  if (cap != 0.0 && isa<SigmoidOp>(normalizer))
    return fail("a logistic score has no cap");
  if (typeOf(product.getLhs()).getRank() != 4 ||
      typeOf(product.getRhs()).getRank() != 4)
    return fail("the scores are not of rank 4");
  return success(succeeded(checkSizes()) && succeeded(checkTypes()));
}

/// Sizes that the spelled-out ops broadcast. Where neither is one, they have
/// been required to be equal.
static bool isBroadcast(AffineExpr a, AffineExpr b) {
  AffineExpr one = getAffineConstantExpr(1, a.getContext());
  return !isSameSize(a, b) && (isSameSize(a, one) || isSameSize(b, one));
}

/// Attention broadcasts the heads of keys and values together and its mask,
/// nothing else.
LogicalResult AttentionMatcher::checkSizes() {
  ArrayRef<AffineExpr> query = shapes.getDims(product.getLhs()),
                       key = shapes.getDims(product.getRhs()),
                       value = shapes.getDims(output.getRhs()),
                       logits = shapes.getDims(normalizer->getResult(0));
  if (isBroadcast(query[0], key[0]) || isBroadcast(query[0], value[0]))
    return fail("the batches of query, key and value are not equal");
  if (isBroadcast(key[1], value[1]))
    return fail("the heads of key and value are not equal");
  AffineExpr one = getAffineConstantExpr(1, output.getContext());
  if (isBroadcast(query[1], key[1]) && !isSameSize(key[1], one))
    return fail("the heads of the query are broadcast");
  AffineExpr scores[] = {query[0], query[1], query[2], key[3]};
  for (auto [score, logit] : llvm::zip_equal(scores, logits))
    if (isBroadcast(score, logit))
      return fail("the scores are broadcast to the mask");
  return success();
}

LogicalResult AttentionMatcher::checkTypes() {
  Type element = typeOf(output.getResult()).getElementType();
  Type logits = typeOf(normalizer->getResult(0)).getElementType();
  for (Type type : {element, logits})
    if (type.getIntOrFloatBitWidth() > 32)
      return fail("scores are kept in f32, which is not enough for f64");
  for (Value value : {product.getLhs(), product.getRhs(), output.getRhs()})
    if (typeOf(value).getElementType() != element)
      return fail("query, key and value have different element types");
  for (Value factor : queryFactors)
    if (typeOf(factor).getElementType() != element)
      return fail("logits are multiplied by a tensor of another element type "
                  "than the query's, which would be rounded");
  return success();
}

/// The softmax or logistic; a guard against rows without a visible key goes,
/// as attention gives zeros for them.
LogicalResult AttentionMatcher::matchWeights(Value weights) {
  if (auto guard = weights.getDefiningOp<SelectOp>()) {
    auto isNan = guard.getCondition().getDefiningOp<IsNanOp>();
    if (isNan && isNan.getInput() == guard.getRhs() &&
        getSplatNumber(guard.getLhs()) == 0.0)
      weights = stripFloatCasts(guard.getRhs());
  }
  normalizer = weights.getDefiningOp();
  if (auto softmax = dyn_cast_or_null<SoftmaxOp>(normalizer)) {
    bool isLast = static_cast<int64_t>(softmax.getAxis()) + 1 ==
                  typeOf(softmax.getResult()).getRank();
    return softmax.getLog() || !isLast ? fail("") : success();
  }
  return isa_and_nonnull<SigmoidOp>(normalizer) ? success() : fail("");
}

/// Whether `value` is computed from the product of queries and keys by what
/// `matchLogits` understands. Remembers what it finds; does not recurse.
bool AttentionMatcher::reachesScores(Value value) {
  SmallVector<Value> work = {value};
  while (!work.empty()) {
    Value next = work.back();
    Operation *op = next.getDefiningOp();
    auto [entry, isNew] =
        reaching.try_emplace(next, isa_and_nonnull<MatmulOp>(op));
    bool isStep =
        isa_and_nonnull<AddOp, SubOp, MulOp, DivOp, CastOp, SelectOp, TanhOp>(
            op);
    if (isNew && isStep) {
      llvm::append_range(work, op->getOperands());
      continue;
    }
    if (isStep)
      entry->second = llvm::any_of(op->getOperands(), [&](Value operand) {
        return reaching.lookup(operand);
      });
    work.pop_back();
  }
  return reaching.lookup(value);
}

LogicalResult AttentionMatcher::matchLogits(Value value) {
  if (++numSteps > kMaxSteps)
    return fail("more than " + Twine(kMaxSteps) +
                " ops lie between the product and the softmax");
  value = stripFloatCasts(value);
  Operation *op = value.getDefiningOp();
  if ((product = dyn_cast_or_null<MatmulOp>(op)))
    return success();
  if (!op || !reachesScores(value))
    return fail("");
  if (auto split = splitFactor(value))
    return matchScaled(split->first, split->second);
  if (auto select = dyn_cast<SelectOp>(op))
    return matchMasked(select);
  if (isa<AddOp, MulOp>(op)) {
    bool isLeft = reachesScores(op->getOperand(0));
    Value inner = op->getOperand(isLeft ? 0 : 1);
    Value other = op->getOperand(isLeft ? 1 : 0);
    if (reachesScores(other) && !getSplatNumber(other))
      return fail("both operands of " + op->getName().getStringRef() +
                  " depend on a product");
    return isa<AddOp>(op) ? matchShifted(inner, other, /*negate=*/false)
                          : matchQueryFactor(inner, other);
  }
  if (auto sub = dyn_cast<SubOp>(op))
    return matchShifted(sub.getLhs(), sub.getRhs(), /*negate=*/true);
  return fail("logits are changed by " + op->getName().getStringRef());
}

LogicalResult AttentionMatcher::matchScaled(Value inner, double factor) {
  // cap * tanh(x / cap)
  if (auto tanh = stripFloatCasts(inner).getDefiningOp<TanhOp>()) {
    if (failed(matchLogits(tanh.getInput())))
      return failure();
    if (!mask->isEmpty() || bias != 0.0 || cap != 0.0)
      return fail("logits are capped after masking");
    cap = factor;
    scale *= factor;
    return success();
  }
  if (failed(matchLogits(inner)))
    return failure();
  if (factor != 1.0 && (!mask->isEmpty() || cap != 0.0))
    return fail("logits are scaled after masking or capping");
  scale *= factor;
  bias *= factor;
  return success();
}

LogicalResult AttentionMatcher::matchShifted(Value inner, Value other,
                                             bool negate) {
  if (failed(matchLogits(inner)))
    return failure();
  if (std::optional<double> number = getSplatNumber(other)) {
    bias += negate ? -*number : *number;
    return success();
  }
  if (negate)
    return fail("a mask is subtracted");
  if (weakFill)
    return fail("a mask is added to logits that were replaced by " +
                Twine(static_cast<int64_t>(*weakFill)) +
                ", which does not absorb it");
  mask->addAdditive(other);
  return success();
}

LogicalResult AttentionMatcher::matchMasked(SelectOp select) {
  bool keepsLeft = reachesScores(select.getLhs());
  Value inner = keepsLeft ? select.getLhs() : select.getRhs();
  Value other = keepsLeft ? select.getRhs() : select.getLhs();
  std::optional<double> fill = getSplatNumber(other);
  if (!fill || *fill > kFill)
    return fail("masked logits get neither minus infinity nor a number below " +
                Twine(static_cast<int64_t>(kFill)));
  if (failed(matchLogits(inner)))
    return failure();
  // The operand is added where the model replaces. That is the same if the
  // number absorbs the logit, and a row that sees nothing weighs all keys alike
  // then, by this number or any other.
  bool isWeak = isa<SoftmaxOp>(normalizer) && *fill > kAbsorbing;
  if (weakFill && !std::isinf(*fill))
    return fail("logits are replaced by several numbers");
  if (isWeak)
    weakFill = fill;
  mask->addVisible(select.getCondition(), isWeak ? kAbsorbing : *fill,
                   /*negate=*/!keepsLeft);
  return success();
}

/// A factor per batch or head moves to the queries.
LogicalResult AttentionMatcher::matchQueryFactor(Value inner, Value factor) {
  ArrayRef<int64_t> shape = typeOf(factor).getShape();
  for (int64_t size : shape.take_back(2))
    if (size != 1)
      return fail("logits are multiplied by a tensor");
  if (failed(matchLogits(inner)))
    return failure();
  if (!mask->isEmpty() || bias != 0.0 || cap != 0.0)
    return fail("logits are scaled after masking or capping");
  queryFactors.push_back(factor);
  return success();
}

//===-- Rewriting ---------------------------------------------------------===//

/// `value` without number factors, which go into the scale.
Value AttentionMatcher::takeFactors(GraphBuilder &b, Value value) {
  for (auto split = splitFactor(value);
       split && split->first.getType() == value.getType();
       split = splitFactor(value)) {
    scale *= split->second;
    value = split->first;
  }
  auto transpose = value.getDefiningOp<TransposeOp>();
  if (!transpose)
    return value;
  Value inner = takeFactors(b, transpose.getInput());
  return inner == transpose.getInput()
             ? value
             : b.transpose(inner, transpose.getPermutation());
}

/// The keys as [batch, heads, keys, d].
Value AttentionMatcher::getKeys(GraphBuilder &b) {
  Value value = takeFactors(b, product.getRhs());
  if (Value keys = splitHeads(b, value))
    return keys;
  SmallVector<int64_t> permutation = {0, 1, 3, 2};
  if (auto transpose = value.getDefiningOp<TransposeOp>()) {
    for (int64_t &dim : permutation)
      dim = transpose.getPermutation()[dim];
    value = transpose.getInput();
    if (llvm::is_sorted(permutation))
      return value;
  }
  return b.transpose(value, permutation);
}

/// The keys, where `value` is a transpose of them that was made with batch and
/// heads as one dim, as PyTorch's exporter does:
/// reshape(transpose(reshape(keys) [0, 2, 1])).
Value AttentionMatcher::splitHeads(GraphBuilder &b, Value value) {
  auto split = value.getDefiningOp<ReshapeOp>();
  auto transpose =
      split ? split.getInput().getDefiningOp<TransposeOp>() : TransposeOp();
  if (!transpose || transpose.getPermutation() != ArrayRef<int64_t>{0, 2, 1})
    return Value();
  Value merged = transpose.getInput();
  Dims to = b.getDims(value), from = b.getDims(merged);
  if (!isSameSize(from[1], to[3]) || !isSameSize(from[2], to[2]))
    return Value();
  if (auto merge = merged.getDefiningOp<ReshapeOp>())
    merged = merge.getInput();
  return b.reshape(merged, {to[0], to[1], to[3], to[2]});
}

/// Keys or values that were repeated for groups of heads, before they were:
/// reshape(broadcast([b, h, 1, s, d] to [b, h, g, s, d])) to [b, h * g, s, d].
Value AttentionMatcher::withoutRepetition(GraphBuilder &b, Value value) {
  auto reshape = value.getDefiningOp<ReshapeOp>();
  auto broadcast =
      reshape ? reshape.getInput().getDefiningOp<BroadcastOp>() : BroadcastOp();
  if (!broadcast)
    return value;
  Dims from = b.getDims(broadcast.getInput());
  Dims to = b.getDims(broadcast.getResult());
  if (from.size() != 5 || to.size() != 5 || from[2] != b.size(1))
    return value;
  Dims merged = {to[0], canonicalizeSize(to[1] * to[2]), to[3], to[4]};
  Dims expected = {from[0], from[1], to[2], from[3], from[4]};
  if (!areSameSizes(merged, b.getDims(value)) || !areSameSizes(expected, to))
    return value;
  return b.reshape(broadcast.getInput(), {from[0], from[1], from[3], from[4]});
}

Attribute AttentionMatcher::getScore() {
  MLIRContext *context = output.getContext();
  if (isa<SigmoidOp>(normalizer))
    return SigmoidAttr::get(context, scale, bias);
  // A constant shift of all logits changes no softmax.
  return SoftmaxAttr::get(context, scale, cap);
}

Value AttentionMatcher::rewrite() {
  GraphBuilder b(output, shapes);
  b.loc =
      b.getFusedLoc({product.getLoc(), normalizer->getLoc(), output.getLoc()});
  Value query = takeFactors(b, product.getLhs());
  for (Value factor : queryFactors)
    query = b.mul(query, factor);
  Value key = getKeys(b), value = output.getRhs();
  Value fewKeys = withoutRepetition(b, key);
  Value fewValues = withoutRepetition(b, value);
  // Where only one of them shows its repetition, both stay repeated.
  if (isSameSize(shapes.getDims(fewKeys)[1], shapes.getDims(fewValues)[1])) {
    key = fewKeys;
    value = fewValues;
  }
  Type logits = typeOf(normalizer->getResult(0)).getElementType();
  // Narrower floats lack the number that absorbs.
  Value operand = mask->build(b, b.loc, weakFill ? b.getF32Type() : logits);
  return AttentionOp::create(b, b.loc, output.getType(), query, key, value,
                             operand, cast<ScoreInterface>(getScore()),
                             cast<SelectionInterface>(mask->getSelection()));
}

namespace {
struct RecognizeAttentionPass
    : lathe::graph::impl::RecognizeAttentionPassBase<RecognizeAttentionPass> {
  using Base::Base;

  void runOnOperation() override {
    auto recognize = [&](ShapeAnalysis &shapes, Operation *op) {
      auto output = dyn_cast<MatmulOp>(op);
      if (!output)
        return Value();
      AttentionMatcher matcher(shapes, output);
      if (succeeded(matcher.match())) {
        ++numAttentions;
        return matcher.rewrite();
      }
      if (!matcher.getReason().empty()) {
        remarkMissed(getArgument(), op,
                     "looks like an attention, but " + matcher.getReason());
        ++numMissed;
      }
      return Value();
    };
    if (failed(rewriteOps(getOperation(), recognize)))
      signalPassFailure();
  }
};
} // namespace
