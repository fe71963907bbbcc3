// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Normalizations. Statistics are computed in f32 at least, as the standard's
// `stash_type` asks.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "llvm/ADT/Sequence.h"
#include <cmath>

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// f64 stays, everything narrower is widened to f32.
static Type getStatisticsType(GraphBuilder &b, Value x) {
  return b.getElementType(x).isF64() ? Type(b.getF64Type())
                                     : Type(b.getF32Type());
}

namespace {
struct Moments {
  Value centered;   ///< x - mean
  Value mean;       ///< Over the axes, which stay as dims of one.
  Value inverseStd; ///< 1 / sqrt(var + epsilon)
};
} // namespace

static Moments getMoments(GraphBuilder &b, Value x, ArrayRef<int64_t> axes,
                          double epsilon) {
  Moments m;
  m.mean = b.reduce(Reduction::mean, x, axes, true);
  m.centered = b.sub(x, m.mean);
  Value variance =
      b.reduce(Reduction::mean, b.mul(m.centered, m.centered), axes, true);
  m.inverseStd =
      b.unary<graph::RsqrtOp>(b.add(variance, b.scalarLike(variance, epsilon)));
  return m;
}

/// Broadcasts scale or bias to the normalized dims: graph.layer_norm wants
/// their exact shape.
static Value toNormalizedShape(GraphBuilder &b, Value x, Value parameter,
                               int64_t axis) {
  if (!parameter)
    return {};
  Dims dims = b.getDims(x);
  return b.broadcast(parameter, ArrayRef(dims).drop_front(axis));
}

static LogicalResult importLayerNorm(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  auto axis = node.getAxis(node.getInt("axis", -1), b.getRank(x));
  double epsilon = node.getFloat("epsilon", 1e-5);
  node.ignore({"stash_type"});
  if (!axis)
    return failure();
  Value scale = toNormalizedShape(b, x, node.in(1), *axis);
  Value bias = toNormalizedShape(b, x, node.in(2), *axis);
  SmallVector<Value> results = {b.create<graph::LayerNormOp>(
      b.getElementType(x), x, scale, bias, b.getI64IntegerAttr(*axis),
      b.getF64FloatAttr(epsilon))};
  if (node.usesOutput(1) || node.usesOutput(2)) {
    Moments m = getMoments(
        b, b.cast(x, getStatisticsType(b, x)),
        llvm::to_vector(llvm::seq<int64_t>(*axis, b.getRank(x))), epsilon);
    results.append({m.mean, m.inverseStd});
  }
  return node.set(results);
}

static LogicalResult importRmsNorm(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  auto axis = node.getAxis(node.getInt("axis", -1), b.getRank(x));
  node.ignore({"stash_type"});
  if (!axis)
    return failure();
  return node.set(b.create<graph::RmsNormOp>(
      b.getElementType(x), x, toNormalizedShape(b, x, node.in(1), *axis),
      b.getI64IntegerAttr(*axis),
      b.getF64FloatAttr(node.getFloat("epsilon", 1e-5))));
}

/// In inference a scale and a shift per channel, both computed once.
static LogicalResult importBatchNorm(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  node.ignore({"momentum", "spatial"});
  if (node.opset >= 14 && node.getInt("training_mode", 0) != 0)
    return node.unsupported("attribute 'training_mode' is not 0");
  for (unsigned i = 1; i < 5; ++i)
    if (failed(node.checkRank(i, 1, 1)))
      return failure();
  Type type = getStatisticsType(b, x);
  auto wide = [&](unsigned i) { return b.cast(node.in(i), type); };
  Value variance =
      b.add(wide(4), b.scalar(type, node.getFloat("epsilon", 1e-5)));
  Value scale = b.mul(wide(1), b.unary<graph::RsqrtOp>(variance));
  Value shift = b.sub(wide(2), b.mul(wide(3), scale));
  int64_t rank = b.getRank(x);
  Value scaled = b.mul(b.cast(x, type), b.alongChannels(scale, rank));
  Value y = b.add(scaled, b.alongChannels(shift, rank));
  return node.set(b.cast(y, b.getElementType(x)));
}

/// Normalizes `x`, seen as [N, groups, rest], over the rest.
static Value normalizeGroups(GraphBuilder &b, Value x, AffineExpr groups,
                             double epsilon) {
  Dims dims = b.getDims(x);
  AffineExpr rest = b.product(ArrayRef(dims).drop_front(1));
  if (AffineExpr exact = graph::divideExactly(rest, groups))
    rest = exact;
  else
    rest = rest.floorDiv(groups);
  Value rows =
      b.reshape(b.cast(x, getStatisticsType(b, x)), {dims[0], groups, rest});
  Moments m = getMoments(b, rows, 2, epsilon);
  return b.reshape(b.mul(m.centered, m.inverseStd), dims);
}

static LogicalResult importInstanceNorm(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  if (failed(node.checkRank(0, 2, kAnyCount)) ||
      failed(node.checkRank(1, 1, 1)) || failed(node.checkRank(2, 1, 1)))
    return failure();
  int64_t rank = b.getRank(x);
  Value y =
      normalizeGroups(b, x, b.getDim(x, 1), node.getFloat("epsilon", 1e-5));
  Type type = b.getElementType(y);
  Value scale = b.alongChannels(b.cast(node.in(1), type), rank);
  Value bias = b.alongChannels(b.cast(node.in(2), type), rank);
  return node.set(b.cast(b.add(b.mul(y, scale), bias), b.getElementType(x)));
}

static LogicalResult importGroupNorm(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  int64_t groups = node.getInt("num_groups", 0), rank = b.getRank(x);
  node.ignore({"stash_type"});
  if (failed(node.checkRank(0, 2, kAnyCount)) ||
      failed(node.checkRank(1, 1, 1)) || failed(node.checkRank(2, 1, 1)))
    return failure();
  if (groups <= 0)
    return node.invalid("attribute 'num_groups' must be positive");
  Value y =
      normalizeGroups(b, x, b.size(groups), node.getFloat("epsilon", 1e-5));
  Type type = b.getElementType(y);
  Value scale = b.alongChannels(b.cast(node.in(1), type), rank);
  Value bias = b.alongChannels(b.cast(node.in(2), type), rank);
  return node.set(b.cast(b.add(b.mul(y, scale), bias), b.getElementType(x)));
}

static LogicalResult importMeanVarianceNorm(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  auto axes =
      node.getAxes(node.getInts("axes").value_or(SmallVector<int64_t>{0, 2, 3}),
                   b.getRank(x));
  if (!axes)
    return failure();
  // The standard's function body adds 1e-9 to the deviation, not the variance.
  Value centered = b.sub(x, b.reduce(Reduction::mean, x, *axes, true));
  Value deviation = b.unary<graph::SqrtOp>(
      b.reduce(Reduction::mean, b.mul(centered, centered), *axes, true));
  return node.set(b.div(centered, b.add(deviation, b.scalarLike(x, 1e-9))));
}

/// `x / ||x||`, zero where the norm is zero.
static LogicalResult importLpNorm(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  auto axis = node.getAxis(node.getInt("axis", -1), b.getRank(x));
  int64_t p = node.getInt("p", 2);
  if (!axis)
    return failure();
  if (p != 1 && p != 2)
    return node.invalid("attribute 'p' is " + Twine(p) +
                        "; allowed are 1 and 2");
  Value terms = p == 1 ? b.unary<graph::AbsOp>(x) : b.mul(x, x);
  Value norm = b.reduce(Reduction::sum, terms, *axis, true);
  if (p == 2)
    norm = b.unary<graph::SqrtOp>(norm);
  Value isZero = b.compare(Compare::eq, norm, b.scalarLike(x, 0.0));
  Value divisor = b.select(isZero, b.scalarLike(x, 1.0), norm);
  return node.set(b.div(x, divisor));
}

/// Squares are summed over a window of channels: a mean pool of the channels,
/// times their number.
static LogicalResult importLrn(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  int64_t size = node.getInt("size", 0);
  double alpha = node.getFloat("alpha", 1e-4);
  double beta = node.getFloat("beta", 0.75), bias = node.getFloat("bias", 1.0);
  if (failed(node.checkRank(0, 3, kAnyCount)))
    return failure();
  if (size <= 0)
    return node.invalid("attribute 'size' must be positive");
  Dims dims = b.getDims(x);
  Value rows =
      b.reshape(b.mul(x, x), {dims[0], b.size(1), dims[1],
                              b.product(ArrayRef(dims).drop_front(2))});
  int64_t before = (size - 1) / 2, after = size - 1 - before;
  Value mean = b.create<graph::PoolOp>(
      b.getElementType(x),
      graph::ReductionAttr::get(b.getContext(), Reduction::mean), rows,
      b.getDenseI64ArrayAttr({size, 1}), b.getDenseI64ArrayAttr({1, 1}),
      b.getDenseI64ArrayAttr({1, 1}),
      b.getDenseI64ArrayAttr({before, 0, after, 0}), UnitAttr(),
      b.getUnitAttr(), UnitAttr());
  // alpha / size * sum = alpha * mean
  Value base = b.add(b.mul(b.reshape(mean, dims), b.scalarLike(x, alpha)),
                     b.scalarLike(x, bias));
  return node.set(
      b.div(x, b.binary<graph::PowOp>(base, b.scalarLike(x, beta))));
}

ArrayRef<OpEntry> lathe::onnx::getNormalizationOps() {
  static constexpr OpEntry ops[] = {
      {"BatchNormalization", 7, kNewest, 5, 5, Types::Float, importBatchNorm},
      {"GroupNormalization", 21, kNewest, 3, 3, Types::Float, importGroupNorm},
      {"InstanceNormalization", 6, kNewest, 3, 3, Types::Float,
       importInstanceNorm},
      {"LRN", 1, kNewest, 1, 1, Types::Float, importLrn},
      {"LayerNormalization", 17, kNewest, 2, 3, Types::Float, importLayerNorm},
      {"LpNormalization", 1, kNewest, 1, 1, Types::Float, importLpNorm},
      {"MeanVarianceNormalization", 9, kNewest, 1, 1, Types::Float,
       importMeanVarianceNorm},
      {"RMSNormalization", 23, kNewest, 1, 2, Types::Float, importRmsNorm},
  };
  return ops;
}
