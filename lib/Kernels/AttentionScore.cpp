// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/AttentionScore.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
static constexpr double kLowest = std::numeric_limits<float>::lowest();

static constexpr double kLog2E = 1.4426950408889634;

static RankedTensorType typeOf(Value tile) {
  return cast<RankedTensorType>(tile.getType());
}

static Value splatLike(KernelBuilder &kernel, Value tile, double value) {
  return kernel.getSplat(typeOf(tile).getShape(), typeOf(tile).getElementType(),
                         value);
}

/// 2^x. Beside weights of a sum to one, subnormal ones are nothing.
static Value powerOfTwo(ImplicitLocOpBuilder &b, Value x) {
  return math::Exp2Op::create(b, x, arith::FastMathFlags::afn);
}

Value AttentionScore::repeat(KernelBuilder &kernel, Value queries,
                             Value like) const {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  return tile::BroadcastOp::create(b, like.getType(), queries,
                                   b.getDenseI64ArrayAttr(form.getQueryAxis()));
}

SmallVector<int64_t, 2> AttentionScore::getOutputShape(int64_t queries,
                                                       int64_t size) const {
  if (form.isRows)
    return {queries, size};
  return {size, queries};
}

Value AttentionScore::finishLogits(KernelBuilder &, Value product,
                                   Value) const {
  return product;
}

/// The axis of parts in what is merged.
static constexpr int64_t kPartAxis = 1;

static Value sumParts(ImplicitLocOpBuilder &b, Value parts) {
  return tile::ReduceOp::create(b, tile::Combine::Add, parts, kPartAxis);
}

void AttentionScore::merge(KernelBuilder &kernel, ArrayRef<Value> parts,
                           MutableArrayRef<Value> state) const {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  state[0] = arith::AddFOp::create(b, state[0], sumParts(b, parts[0]));
}

namespace {

/// State: running maximum, running sum, output. Where logits are only products,
/// they are taken times log2(e), for powers of two. Added masks stay as they
/// are: the largest negative number would become infinite.
///
/// `exponentScale` is 1, or what logits are multiplied with where the largest
/// is subtracted, in one step: then they are products of the query as it is.
/// Rows of products that may not be are scaled as they are done.
class SoftmaxScore : public AttentionScore {
public:
  SoftmaxScore(graph::SoftmaxAttr attr, bool isAdditive, ScoreForm form)
      : AttentionScore(form), scale(attr.getScale()), cap(attr.getCap()),
        isBinary(cap == 0.0 && !isAdditive),
        exponentScale(
            form.keepsQuery && isBinary && scale > 0.0 ? scale * kLog2E : 1.0) {
  }

  double getQueryScale() const override {
    return form.isRows ? 1.0 : getProductScale();
  }

  Value getStart(KernelBuilder &kernel, RankedTensorType type,
                 Value mask) const override {
    if (mask && cap == 0.0 && !form.isRows)
      return mask;
    return kernel.getSplat(type.getShape(), type.getElementType(), 0);
  }

  Value finishLogits(KernelBuilder &kernel, Value product,
                     Value mask) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    bool isScaled = !form.isRows || getProductScale() == 1.0;
    Value factor =
        isScaled ? Value() : splatLike(kernel, product, getProductScale());
    if (cap == 0.0) {
      if (!form.isRows)
        return product;
      if (mask && factor)
        return math::FmaOp::create(b, product, factor, mask);
      if (mask)
        return arith::AddFOp::create(b, product, mask);
      return factor ? arith::MulFOp::create(b, product, factor) : product;
    }
    if (factor)
      product = arith::MulFOp::create(b, product, factor);
    Value bent = math::TanhOp::create(b, product);
    bent = arith::MulFOp::create(b, bent, splatLike(kernel, product, cap));
    if (!mask)
      return bent;
    return arith::AddFOp::create(b, bent, mask);
  }

  double getHidden() const override { return -kInfinity; }
  bool hidesBeyond() const override { return true; }

  unsigned getNumStatistics() const override { return 2; }

  // The maximum starts at the lowest finite number, so that rows that see no
  // key subtract it instead of making NaN of two infinities; at a power of two
  // where it is scaled, so that the product is finite and exact.
  SmallVector<Value> getInitialState(KernelBuilder &kernel, int64_t lanes,
                                     int64_t size) const override {
    Type f32 = kernel.getBuilder().getF32Type();
    double lowest = kLowest;
    if (exponentScale != 1.0)
      lowest = -std::ldexp(1.0, 126 - std::max(std::ilogb(exponentScale), 0));
    return {kernel.getSplat({lanes}, f32, lowest),
            kernel.getSplat({lanes}, f32, 0),
            kernel.getSplat(getOutputShape(lanes, size), f32, 0)};
  }

  Value apply(KernelBuilder &kernel, Value logits,
              MutableArrayRef<Value> state) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value blockMax = tile::ReduceOp::create(b, tile::Combine::Max, logits,
                                            form.getKeyAxis());
    Value newMax = arith::MaximumFOp::create(b, state[0], blockMax);
    Value weights = power(kernel, subtract(kernel, logits, newMax));
    Value factor = power(kernel, subtract(kernel, state[0], newMax));
    Value sum = tile::ReduceOp::create(b, tile::Combine::Add, weights,
                                       form.getKeyAxis());
    state[0] = newMax;
    state[1] = arith::AddFOp::create(
        b, arith::MulFOp::create(b, state[1], factor), sum);
    state[2] =
        arith::MulFOp::create(b, state[2], repeat(kernel, factor, state[2]));
    return weights;
  }

  // As a block of keys, whose logits are the parts' maxima.
  void merge(KernelBuilder &kernel, ArrayRef<Value> parts,
             MutableArrayRef<Value> state) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value sum = state[1], output = state[2];
    Value most =
        tile::ReduceOp::create(b, tile::Combine::Max, parts[0], kPartAxis);
    Value newMax = arith::MaximumFOp::create(b, state[0], most);
    Value weights = power(kernel, subtract(kernel, parts[0], newMax));
    Value factor = power(kernel, subtract(kernel, state[0], newMax));
    auto add = [&](Value old, Value scale, Value its, Value weight) -> Value {
      its = sumParts(b, arith::MulFOp::create(b, its, weight));
      return math::FmaOp::create(b, old, scale, its);
    };
    Value each = tile::BroadcastOp::create(b, parts[2].getType(), weights,
                                           b.getDenseI64ArrayAttr({0, 1}));
    state[0] = newMax;
    state[1] = add(sum, factor, parts[1], weights);
    state[2] = add(output, repeat(kernel, factor, output), parts[2], each);
  }

  Value finish(KernelBuilder &kernel, ArrayRef<Value> state) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value one = splatLike(kernel, state[1], 1),
          zero = splatLike(kernel, state[1], 0);
    Value isEmpty =
        arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, state[1], zero);
    Value sum = arith::SelectOp::create(b, isEmpty, one, state[1]);
    Value inverse = arith::DivFOp::create(b, one, sum);
    return arith::MulFOp::create(b, state[2],
                                 repeat(kernel, inverse, state[2]));
  }

private:
  /// What products of the query as it is are multiplied with to be logits.
  double getProductScale() const {
    if (isBinary)
      return scale * kLog2E / exponentScale;
    return cap == 0.0 ? scale : scale / cap;
  }

  /// Exponents of `logits` less those of `most`, [queries].
  Value subtract(KernelBuilder &kernel, Value logits, Value most) const {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    bool isScaled = exponentScale != 1.0;
    if (isScaled)
      most = arith::MulFOp::create(b, most,
                                   splatLike(kernel, most, -exponentScale));
    if (typeOf(logits) != typeOf(most))
      most = repeat(kernel, most, logits);
    if (!isScaled)
      return arith::SubFOp::create(b, logits, most);
    Value factor = splatLike(kernel, logits, exponentScale);
    return math::FmaOp::create(b, logits, factor, most);
  }

  /// e^x for a logit that is not positive. A product rounds x to 24 bits: the
  /// error of e^x is |x| e^x 2^-24 then, less than that of e^0.
  Value power(KernelBuilder &kernel, Value x) const {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    if (!isBinary)
      x = arith::MulFOp::create(b, x, splatLike(kernel, x, kLog2E));
    return powerOfTwo(b, x);
  }

  double scale, cap;
  bool isBinary;
  double exponentScale;
};

/// State: output. Logits are negated, and for powers of two: the weight is
/// 1 / (1 + 2^logit). Products of the query as it is are scaled when they are
/// done, with the bias in the same step.
class SigmoidScore : public AttentionScore {
public:
  SigmoidScore(graph::SigmoidAttr attr, bool isAdditive, ScoreForm form)
      : AttentionScore(form), scale(attr.getScale()), bias(attr.getBias()),
        isScaledLater(form.keepsQuery && !isAdditive) {}

  double getQueryScale() const override {
    return isScaledLater ? 1.0 : -scale * kLog2E;
  }

  Value getStart(KernelBuilder &kernel, RankedTensorType type,
                 Value mask) const override {
    Value start = kernel.getSplat(type.getShape(), type.getElementType(),
                                  isScaledLater ? 0.0 : -bias * kLog2E);
    if (!mask)
      return start;
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    mask = arith::MulFOp::create(b, mask, splatLike(kernel, mask, kLog2E));
    return arith::SubFOp::create(b, start, mask);
  }

  Value finishLogits(KernelBuilder &kernel, Value product,
                     Value) const override {
    if (!isScaledLater)
      return product;
    return math::FmaOp::create(kernel.getBuilder(), product,
                               splatLike(kernel, product, -scale * kLog2E),
                               splatLike(kernel, product, -bias * kLog2E));
  }

  double getHidden() const override { return kInfinity; }
  bool hidesBeyond() const override { return true; }

  SmallVector<Value> getInitialState(KernelBuilder &kernel, int64_t lanes,
                                     int64_t size) const override {
    return {kernel.getSplat(getOutputShape(lanes, size),
                            kernel.getBuilder().getF32Type(), 0)};
  }

  Value apply(KernelBuilder &kernel, Value logits,
              MutableArrayRef<Value>) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value one = splatLike(kernel, logits, 1);
    // A test for logits beyond 87, of which powers are subnormal, would cost
    // rough powers, which come with kept queries, one step of ten.
    Value power =
        isScaledLater ? math::Exp2Op::create(b, logits) : powerOfTwo(b, logits);
    return arith::DivFOp::create(b, one, arith::AddFOp::create(b, power, one));
  }

  Value finish(KernelBuilder &, ArrayRef<Value> state) const override {
    return state[0];
  }

private:
  double scale, bias;
  bool isScaledLater;
};

/// The sigmoid of rows of products: half of 1 + tanh(logit), the logits being
/// half of what they are elsewhere. A GPU's rough tanh is one instruction, off
/// by 4e-6 at most there, and exact at infinity.
class SigmoidRowsScore : public AttentionScore {
public:
  SigmoidRowsScore(graph::SigmoidAttr attr, ScoreForm form)
      : AttentionScore(form), scale(attr.getScale()), bias(attr.getBias()) {}

  double getQueryScale() const override { return 1.0; }

  Value getStart(KernelBuilder &kernel, RankedTensorType type,
                 Value) const override {
    return kernel.getSplat(type.getShape(), type.getElementType(), 0);
  }

  Value finishLogits(KernelBuilder &kernel, Value product,
                     Value mask) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value half = splatLike(kernel, product, 0.5);
    Value added = splatLike(kernel, product, bias / 2);
    if (mask)
      added = math::FmaOp::create(b, mask, half, added);
    return math::FmaOp::create(b, product,
                               splatLike(kernel, product, scale / 2), added);
  }

  double getHidden() const override { return -kInfinity; }
  bool hidesBeyond() const override { return false; }

  SmallVector<Value> getInitialState(KernelBuilder &kernel, int64_t queries,
                                     int64_t size) const override {
    return {kernel.getSplat(getOutputShape(queries, size),
                            kernel.getBuilder().getF32Type(), 0)};
  }

  Value apply(KernelBuilder &kernel, Value logits,
              MutableArrayRef<Value>) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value half = splatLike(kernel, logits, 0.5);
    Value bent = math::TanhOp::create(b, logits, arith::FastMathFlags::afn);
    return math::FmaOp::create(b, bent, half, half);
  }

  Value finish(KernelBuilder &, ArrayRef<Value> state) const override {
    return state[0];
  }

private:
  double scale, bias;
};

} // namespace

std::unique_ptr<AttentionScore>
lathe::kernels::createAttentionScore(graph::AttentionOp op, ScoreForm form) {
  Attribute score = op.getScore();
  bool isAdditive =
      op.getMask() &&
      isa<FloatType>(getElementTypeOrSelf(op.getMask().getType()));
  if (auto softmax = dyn_cast<graph::SoftmaxAttr>(score))
    return std::make_unique<SoftmaxScore>(softmax, isAdditive, form);
  auto sigmoid = dyn_cast<graph::SigmoidAttr>(score);
  if (!sigmoid)
    return nullptr;
  if (form.isRows)
    return std::make_unique<SigmoidRowsScore>(sigmoid, form);
  return std::make_unique<SigmoidScore>(sigmoid, isAdditive, form);
}
