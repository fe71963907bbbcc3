// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-recognize-norms
//
//   %m = graph.reduce mean %x axes [2] keep
//   %d = graph.sub %x, %m
//   %v = graph.reduce mean (graph.mul %d, %d) axes [2] keep
//   %y = graph.div %d, (graph.sqrt (graph.add %v, 1e-5))
//   %z = graph.add (graph.mul %y, %scale), %bias
// becomes
//   %z = graph.layer_norm %x scale %scale bias %bias axis 2 epsilon 1e-5

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace lathe::graph {
#define GEN_PASS_DEF_RECOGNIZENORMSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// A mean over the last dims that keeps them: its input and first axis.
static std::optional<std::pair<Value, int64_t>> matchMean(Value value) {
  auto mean = value.getDefiningOp<ReduceOp>();
  if (!mean || mean.getKind() != Reduction::mean || !mean.getKeepDims() ||
      mean.getAxes().empty())
    return std::nullopt;
  int64_t first = mean.getAxes().front();
  int64_t count = mean.getAxes().size();
  if (first + count != typeOf(mean.getInput()).getRank())
    return std::nullopt;
  return std::pair(mean.getInput(), first);
}

/// What is squared: x * x or x to the power 2.
static Value matchSquare(Value value) {
  if (auto mul = value.getDefiningOp<MulOp>())
    return mul.getLhs() == mul.getRhs() ? mul.getLhs() : Value();
  auto pow = value.getDefiningOp<PowOp>();
  return pow && getSplatNumber(pow.getRhs()) == 2.0 ? pow.getLhs() : Value();
}

namespace {
/// `numerator / sqrt(mean(squared^2) + epsilon)`
struct Normalization {
  Value numerator, squared;
  int64_t axis;
  double epsilon;
};
} // namespace

/// `mean(squared^2) + epsilon`
static bool matchVariance(Value value, Normalization &norm) {
  auto add = value.getDefiningOp<AddOp>();
  if (!add)
    return false;
  for (auto [mean, number] : {std::pair(add.getLhs(), add.getRhs()),
                              std::pair(add.getRhs(), add.getLhs())}) {
    auto epsilon = getSplatNumber(number);
    auto matched = matchMean(mean);
    norm.squared = matched ? matchSquare(matched->first) : Value();
    if (!epsilon || !norm.squared)
      continue;
    norm.axis = matched->second;
    norm.epsilon = *epsilon;
    return true;
  }
  return false;
}

/// 1 / sqrt(x) in its spellings: what the root is taken of.
static Value matchReciprocalRoot(Value value) {
  if (auto rsqrt = value.getDefiningOp<RsqrtOp>())
    return rsqrt.getInput();
  if (auto pow = value.getDefiningOp<PowOp>())
    return getSplatNumber(pow.getRhs()) == -0.5 ? pow.getLhs() : Value();
  auto div = value.getDefiningOp<DivOp>();
  if (!div || getSplatNumber(div.getLhs()) != 1.0)
    return Value();
  auto sqrt = div.getRhs().getDefiningOp<SqrtOp>();
  return sqrt ? sqrt.getInput() : Value();
}

static std::optional<Normalization> matchNormalization(Operation *op) {
  Normalization norm;
  if (auto div = dyn_cast<DivOp>(op)) {
    auto sqrt = div.getRhs().getDefiningOp<SqrtOp>();
    norm.numerator = div.getLhs();
    if (sqrt && matchVariance(sqrt.getInput(), norm))
      return norm;
    return std::nullopt;
  }
  auto mul = cast<MulOp>(op);
  for (auto [numerator, root] : {std::pair(mul.getLhs(), mul.getRhs()),
                                 std::pair(mul.getRhs(), mul.getLhs())}) {
    Value variance = matchReciprocalRoot(root);
    norm.numerator = numerator;
    if (variance && matchVariance(variance, norm))
      return norm;
  }
  return std::nullopt;
}

/// What `value` is the deviation of, from its mean over the dims from `axis`.
static Value matchDeviation(Value value, int64_t axis) {
  auto sub = value.getDefiningOp<SubOp>();
  auto mean = sub ? matchMean(sub.getRhs()) : std::nullopt;
  if (!mean || mean->first != sub.getLhs() || mean->second != axis)
    return Value();
  return sub.getLhs();
}

namespace {
/// The normalization itself, as a division or a multiplication.
template <typename Op> struct RecognizeNorm : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    std::optional<Normalization> norm = matchNormalization(op);
    if (!norm)
      return rewriter.notifyMatchFailure(op, "no division by a root of a mean "
                                             "of squares");
    Attribute epsilon = rewriter.getF64FloatAttr(norm->epsilon);
    Value centered = matchDeviation(norm->numerator, norm->axis);
    Value alsoCentered = matchDeviation(norm->squared, norm->axis);
    if (centered && centered == alsoCentered &&
        centered.getType() == op.getType()) {
      rewriter.replaceOpWithNewOp<LayerNormOp>(
          op, op.getType(), centered, Value(), Value(),
          rewriter.getI64IntegerAttr(norm->axis), cast<FloatAttr>(epsilon));
      return success();
    }
    if (norm->numerator != norm->squared ||
        norm->squared.getType() != op.getType())
      return rewriter.notifyMatchFailure(
          op, "the mean of squares is not that of the numerator");
    rewriter.replaceOpWithNewOp<RmsNormOp>(
        op, op.getType(), norm->squared, Value(),
        rewriter.getI64IntegerAttr(norm->axis), cast<FloatAttr>(epsilon));
    return success();
  }
};

/// Whether `value` has exactly the normalized dims of `norm`, and its type.
template <typename Norm> bool isParameterOf(Value value, Norm norm) {
  auto type = typeOf(norm.getResult());
  ArrayRef<int64_t> normalized = type.getShape().drop_front(norm.getAxis());
  return typeOf(value).hasStaticShape() &&
         typeOf(value).getElementType() == type.getElementType() &&
         typeOf(value).getShape() == normalized;
}

/// norm(x) * scale, where nobody else reads norm(x).
template <typename Norm> struct FoldScale : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op,
                                PatternRewriter &rewriter) const override {
    for (auto [value, scale] : {std::pair(op.getLhs(), op.getRhs()),
                                std::pair(op.getRhs(), op.getLhs())}) {
      auto norm = value.template getDefiningOp<Norm>();
      if (!norm || norm.getScale() || !norm->hasOneUse() || hasBias(norm) ||
          !isParameterOf(scale, norm) || norm.getType() != op.getType())
        continue;
      auto fused = cast<Norm>(rewriter.clone(*norm));
      fused.getScaleMutable().assign(scale);
      rewriter.replaceOp(op, fused->getResults());
      return success();
    }
    return rewriter.notifyMatchFailure(op, "scales no normalization");
  }

private:
  static bool hasBias(LayerNormOp norm) { return norm.getBias() != nullptr; }
  static bool hasBias(RmsNormOp) { return false; }
};

/// layer_norm(x) + bias, where nobody else reads layer_norm(x).
struct FoldBias : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AddOp op,
                                PatternRewriter &rewriter) const override {
    for (auto [value, bias] : {std::pair(op.getLhs(), op.getRhs()),
                               std::pair(op.getRhs(), op.getLhs())}) {
      auto norm = value.getDefiningOp<LayerNormOp>();
      if (!norm || norm.getBias() || !norm->hasOneUse() ||
          !isParameterOf(bias, norm) || norm.getType() != op.getType())
        continue;
      auto fused = cast<LayerNormOp>(rewriter.clone(*norm));
      fused.getBiasMutable().assign(bias);
      rewriter.replaceOp(op, fused->getResults());
      return success();
    }
    return rewriter.notifyMatchFailure(op, "adds to no layer norm");
  }
};

struct RecognizeNormsPass
    : lathe::graph::impl::RecognizeNormsPassBase<RecognizeNormsPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RecognizeNorm<DivOp>, RecognizeNorm<MulOp>,
                 FoldScale<LayerNormOp>, FoldScale<RmsNormOp>, FoldBias>(
        &getContext());
    unsigned before = count();
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    numNorms += count() - before;
  }

  unsigned count() {
    unsigned norms = 0;
    getOperation().walk(
        [&](Operation *op) { norms += isa<LayerNormOp, RmsNormOp>(op); });
    return norms;
  }
};
} // namespace
