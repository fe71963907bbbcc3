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

/// Repeats [lanes] down the rows of a tile of `like`'s type.
static Value repeatDown(KernelBuilder &kernel, Value lanes, Value like) {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  return tile::BroadcastOp::create(b, like.getType(), lanes,
                                   b.getDenseI64ArrayAttr(1));
}

Value AttentionScore::finishLogits(KernelBuilder &, Value product,
                                   Value) const {
  return product;
}

namespace {

/// State: running maximum, running sum, output. Where logits are only products,
/// they are taken times log2(e), for powers of two. Added masks stay as they
/// are: the largest negative number would become infinite.
class SoftmaxScore : public AttentionScore {
public:
  SoftmaxScore(graph::SoftmaxAttr attr, bool isAdditive)
      : scale(attr.getScale()), cap(attr.getCap()),
        isBinary(cap == 0.0 && !isAdditive) {}

  double getQueryScale() const override {
    if (isBinary)
      return scale * kLog2E;
    return cap == 0.0 ? scale : scale / cap;
  }

  Value getStart(KernelBuilder &kernel, RankedTensorType type,
                 Value mask) const override {
    if (mask && cap == 0.0)
      return mask;
    return kernel.getSplat(type.getShape(), type.getElementType(), 0);
  }

  Value finishLogits(KernelBuilder &kernel, Value product,
                     Value mask) const override {
    if (cap == 0.0)
      return product;
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value bent = math::TanhOp::create(b, product);
    bent = arith::MulFOp::create(b, bent, splatLike(kernel, product, cap));
    if (!mask)
      return bent;
    return arith::AddFOp::create(b, bent, mask);
  }

  double getHidden() const override { return -kInfinity; }

  // The maximum starts at the lowest finite number, so that rows that see no
  // key subtract it instead of making NaN of two infinities.
  SmallVector<Value> getInitialState(KernelBuilder &kernel, int64_t lanes,
                                     int64_t size) const override {
    Type f32 = kernel.getBuilder().getF32Type();
    return {kernel.getSplat({lanes}, f32, kLowest),
            kernel.getSplat({lanes}, f32, 0),
            kernel.getSplat({size, lanes}, f32, 0)};
  }

  Value apply(KernelBuilder &kernel, Value logits,
              MutableArrayRef<Value> state) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value blockMax = tile::ReduceOp::create(b, tile::Combine::Max, logits, 0);
    Value newMax = arith::MaximumFOp::create(b, state[0], blockMax);
    Value shifted =
        arith::SubFOp::create(b, logits, repeatDown(kernel, newMax, logits));
    Value weights = power(kernel, shifted);
    Value factor = power(kernel, arith::SubFOp::create(b, state[0], newMax));
    Value sum = tile::ReduceOp::create(b, tile::Combine::Add, weights, 0);
    state[0] = newMax;
    state[1] = arith::AddFOp::create(
        b, arith::MulFOp::create(b, state[1], factor), sum);
    state[2] = arith::MulFOp::create(b, state[2],
                                     repeatDown(kernel, factor, state[2]));
    return weights;
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
                                 repeatDown(kernel, inverse, state[2]));
  }

private:
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
};

/// State: output. Logits are negated, and for powers of two: the weight is
/// 1 / (1 + 2^logit).
class SigmoidScore : public AttentionScore {
public:
  explicit SigmoidScore(graph::SigmoidAttr attr)
      : scale(attr.getScale()), bias(attr.getBias()) {}

  double getQueryScale() const override { return -scale * kLog2E; }

  Value getStart(KernelBuilder &kernel, RankedTensorType type,
                 Value mask) const override {
    Value start =
        kernel.getSplat(type.getShape(), type.getElementType(), -bias * kLog2E);
    if (!mask)
      return start;
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    mask = arith::MulFOp::create(b, mask, splatLike(kernel, mask, kLog2E));
    return arith::SubFOp::create(b, start, mask);
  }

  double getHidden() const override { return kInfinity; }

  SmallVector<Value> getInitialState(KernelBuilder &kernel, int64_t lanes,
                                     int64_t size) const override {
    return {
        kernel.getSplat({size, lanes}, kernel.getBuilder().getF32Type(), 0)};
  }

  Value apply(KernelBuilder &kernel, Value logits,
              MutableArrayRef<Value>) const override {
    ImplicitLocOpBuilder &b = kernel.getBuilder();
    Value one = splatLike(kernel, logits, 1);
    Value power = powerOfTwo(b, logits);
    return arith::DivFOp::create(b, one, arith::AddFOp::create(b, power, one));
  }

  Value finish(KernelBuilder &, ArrayRef<Value> state) const override {
    return state[0];
  }

private:
  double scale, bias;
};

} // namespace

std::unique_ptr<AttentionScore>
lathe::kernels::createAttentionScore(graph::AttentionOp op) {
  Attribute score = op.getScore();
  if (auto softmax = dyn_cast<graph::SoftmaxAttr>(score))
    return std::make_unique<SoftmaxScore>(
        softmax, op.getMask() && isa<FloatType>(getElementTypeOrSelf(
                                     op.getMask().getType())));
  if (auto sigmoid = dyn_cast<graph::SigmoidAttr>(score))
    return std::make_unique<SigmoidScore>(sigmoid);
  return nullptr;
}
