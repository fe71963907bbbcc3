// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shape functions of the ops whose result shape is itself computed. Where the
// contents of their shape operands are known as expressions, they resolve to
// the static forms.

#include "dialects/Graph/IR/ShapeFunctions.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe::graph;

/// One symbol per result dim, defined by `op` at run time.
static Dims getFreshDims(Operation *op, ShapeScope &scope, int64_t rank) {
  Dims dims;
  for (int64_t i = 0; i < rank; ++i)
    dims.push_back(scope.getFreshSymbol(op, i));
  return dims;
}

/// The static size of a 1-D shape operand, or failure with an error.
static FailureOr<int64_t> getRankOf(Operation *op, ArrayRef<AffineExpr> shape) {
  auto size = shape.size() == 1 ? dyn_cast<AffineConstantExpr>(shape[0])
                                : AffineConstantExpr();
  if (!size)
    return op->emitOpError("the shape operand must be 1-D of static size");
  return size.getValue();
}

static std::optional<int64_t> asConstant(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  return std::nullopt;
}

//===-- dynamic_reshape ---------------------------------------------------===//

FailureOr<MaybeDims> lathe::graph::resolveReshape(DynamicReshapeOp op,
                                                  ShapeScope &scope,
                                                  ArrayRef<AffineExpr> in) {
  MaybeDims sizes = scope.getContents(op.getShape());
  if (!sizes)
    return MaybeDims();
  MLIRContext *context = op.getContext();
  int64_t open = -1;
  for (auto [i, size] : llvm::enumerate(*sizes)) {
    std::optional<int64_t> known = asConstant(size);
    if (known == 0 && !op.getAllowZero()) {
      if (i >= in.size())
        return op.emitOpError("entry ")
               << i << " of the shape copies a dim that the input of rank "
               << in.size() << " does not have";
      size = in[i];
    } else if (known && *known < 0) {
      if (*known != -1 || open >= 0)
        return op.emitOpError("the shape may hold -1 once and nothing else "
                              "below 0, got ")
               << *known << " at entry " << i;
      open = i;
      size = getAffineConstantExpr(1, context);
    }
  }
  if (open < 0)
    return MaybeDims(sizes);
  AffineExpr total = getProduct(context, in);
  AffineExpr others = getProduct(context, *sizes);
  if (AffineExpr rest = divideExactly(total, others)) {
    (*sizes)[open] = rest;
    return MaybeDims(sizes);
  }
  std::optional<int64_t> count = asConstant(total), part = asConstant(others);
  if (part == 0 || (count && part))
    return op.emitOpError("cannot infer the -1 of the shape: ")
           << toString(total) << " elements do not divide into parts of "
           << toString(others);
  scope.requireZero(total % others,
                    "graph.dynamic_reshape: the -1 of the shape must divide");
  (*sizes)[open] = canonicalizeSize(total.floorDiv(others));
  return MaybeDims(sizes);
}

LogicalResult DynamicReshapeOp::inferDims(ShapeScope &scope,
                                          ArrayRef<Dims> operands,
                                          SmallVectorImpl<Dims> &results) {
  FailureOr<int64_t> rank = getRankOf(*this, operands[1]);
  if (failed(rank))
    return failure();
  FailureOr<MaybeDims> sizes = resolveReshape(*this, scope, operands[0]);
  if (failed(sizes))
    return failure();
  results.push_back(*sizes ? std::move(**sizes)
                           : getFreshDims(*this, scope, *rank));
  return success();
}

//===-- dynamic_broadcast -------------------------------------------------===//

FailureOr<MaybeDims> lathe::graph::resolveBroadcast(DynamicBroadcastOp op,
                                                    ShapeScope &scope,
                                                    ArrayRef<AffineExpr> in) {
  MaybeDims sizes = scope.getContents(op.getShape());
  if (!sizes)
    return MaybeDims();
  Dims joined;
  if (failed(broadcastDims(op, scope, in, *sizes, joined)))
    return failure();
  return MaybeDims(std::move(joined));
}

LogicalResult DynamicBroadcastOp::inferDims(ShapeScope &scope,
                                            ArrayRef<Dims> operands,
                                            SmallVectorImpl<Dims> &results) {
  FailureOr<int64_t> rank = getRankOf(*this, operands[1]);
  if (failed(rank))
    return failure();
  FailureOr<MaybeDims> sizes = resolveBroadcast(*this, scope, operands[0]);
  if (failed(sizes))
    return failure();
  int64_t joined = std::max(*rank, static_cast<int64_t>(operands[0].size()));
  results.push_back(*sizes ? std::move(**sizes)
                           : getFreshDims(*this, scope, joined));
  return success();
}

//===-- dynamic_slice -----------------------------------------------------===//

/// 1 if `x >= bound`, else 0, for `x` and `bound` of at least 0: sizes have no
/// comparison, but quotients that round.
static AffineExpr isAtLeast(AffineExpr x, AffineExpr bound) {
  AffineExpr times = (x + 1).floorDiv(bound + 1);
  return times.ceilDiv(times + 1);
}

/// The smaller of two that are at least 0.
static AffineExpr getMin(AffineExpr a, AffineExpr b) {
  if (isSizeAtLeast(b - a, 0))
    return a;
  if (isSizeAtLeast(a - b, 0))
    return b;
  return a + isAtLeast(a, b) * (b - a);
}

/// The larger of 0 and `x`, which is at least `-lowest`.
static AffineExpr getPositive(AffineExpr x, AffineExpr lowest) {
  if (isSizeAtLeast(x, 0))
    return x;
  return x * isAtLeast(x + lowest, lowest);
}

namespace {
/// Bounds of one dim of an ONNX slice, made absolute.
struct BoundResolver {
  ShapeScope &scope;
  AffineExpr size;
  MLIRContext *context;
  bool isClamped = false; ///< Whether a bound depends on a clamp.

  /// Constants beyond this mean "to the end", as exporters write it; that the
  /// dim is not longer is checked.
  static constexpr int64_t kFar = int64_t(1) << 20;
  static constexpr int64_t kNear = 16;

  AffineExpr constant(int64_t value) const {
    return getAffineConstantExpr(value, context);
  }

  /// `bound` counted from the front and clamped to [low, size + high], both
  /// 0 or -1; null where that cannot be said before run time.
  AffineExpr resolve(AffineExpr bound, int64_t low, int64_t high) {
    std::optional<int64_t> known = asConstant(bound), extent = asConstant(size);
    AffineExpr top = canonicalizeSize(size + high);
    if (known && *known >= std::numeric_limits<int32_t>::max())
      return top;
    if (known && *known <= -std::numeric_limits<int32_t>::max())
      return constant(low);
    bool isFromEnd = isSizeAtLeast(-bound, 1);
    if (!isFromEnd && !isSizeAtLeast(bound, 0))
      return AffineExpr();
    AffineExpr place = canonicalizeSize(isFromEnd ? bound + size : bound);
    if (std::optional<int64_t> absolute = asConstant(place); absolute && extent)
      return constant(
          std::clamp(*absolute, low, std::max(low, *extent + high)));
    if (known && *known >= kFar) {
      scope.requireNonNegative(bound - size,
                               "graph.dynamic_slice: the dim is longer than "
                               "the slice's far bound");
      return top;
    }
    // A table of constant length, and a position near either end, are taken
    // to be there: sizes stay simple, and a call where they are not fails with
    // a message. Another bound is a limit; so is one near an end of a dim
    // that has a name, unless one element is all that lies between them.
    bool isNear = isFromEnd || (known && *known <= kNear);
    if (isNear && known && std::abs(*known) > 1 &&
        isa<AffineSymbolExpr>(size)) {
      isClamped = true;
      AffineExpr far = isFromEnd ? getPositive(place - low, low - bound)
                                 : getMin(place - low, top - low);
      return canonicalizeSize(far + low);
    }
    if (extent || isNear) {
      require(place - low, "a slice bound lies before the tensor");
      require(top - place, "a slice bound lies after the tensor");
      return place;
    }
    isClamped = true;
    return canonicalizeSize(getMin(place - low, top - low) + low);
  }

  void require(AffineExpr expr, StringRef what) const {
    if (!isSizeAtLeast(expr, 0))
      scope.requireNonNegative(canonicalizeSize(expr),
                               ("graph.dynamic_slice: " + what).str());
  }

  /// How many elements lie from `start` to `end`, `step` apart.
  AffineExpr count(AffineExpr start, AffineExpr end, int64_t step) {
    AffineExpr span = canonicalizeSize(step > 0 ? end - start : start - end);
    bool isFromZero = step > 0 && start == constant(0);
    if (isClamped && !isFromZero) // Both lie in the dim, or one before it.
      span = canonicalizeSize(getPositive(span, size + 1));
    else if (!isFromZero && !isa<AffineConstantExpr>(span))
      require(span, "the end lies before the start");
    AffineExpr result = canonicalizeSize(span.ceilDiv(std::abs(step)));
    std::optional<int64_t> known = asConstant(result);
    return known ? constant(std::max<int64_t>(*known, 0)) : result;
  }
};
} // namespace

/// The contents of an optional operand; `missing` where it is absent.
static MaybeDims getContentsOr(ShapeScope &scope, Value value,
                               const Dims &missing) {
  return value ? scope.getContents(value) : missing;
}

FailureOr<std::optional<SliceWindow>>
lathe::graph::resolveSlice(DynamicSliceOp op, ShapeScope &scope,
                           ArrayRef<AffineExpr> in) {
  std::optional<SliceWindow> unknown;
  MLIRContext *context = op.getContext();
  MaybeDims starts = scope.getContents(op.getStarts());
  MaybeDims ends = scope.getContents(op.getEnds());
  if (!starts || !ends)
    return unknown;
  Dims allAxes, ones;
  for (size_t i = 0; i < starts->size(); ++i) {
    allAxes.push_back(getAffineConstantExpr(i, context));
    ones.push_back(getAffineConstantExpr(1, context));
  }
  MaybeDims axes = getContentsOr(scope, op.getAxes(), allAxes);
  MaybeDims steps = getContentsOr(scope, op.getSteps(), ones);
  if (!axes || !steps)
    return unknown;
  size_t count = starts->size();
  if (ends->size() != count || axes->size() != count || steps->size() != count)
    return op.emitOpError("starts, ends, axes and steps must be equally long");

  SliceWindow window;
  window.starts.assign(in.size(), getAffineConstantExpr(0, context));
  window.sizes.assign(in.begin(), in.end());
  window.steps.assign(in.size(), 1);
  for (size_t i = 0; i < count; ++i) {
    std::optional<int64_t> axis = asConstant((*axes)[i]);
    std::optional<int64_t> step = asConstant((*steps)[i]);
    if (!axis || !step)
      return unknown;
    if (*axis < 0)
      *axis += in.size();
    if (failed(checkAxis(op, *axis, in.size())))
      return failure();
    if (*step == 0)
      return op.emitOpError("step ") << i << " must not be 0";
    BoundResolver bounds = {scope, in[*axis], context};
    bool forward = *step > 0;
    AffineExpr start = forward ? bounds.resolve((*starts)[i], 0, 0)
                               : bounds.resolve((*starts)[i], 0, -1);
    AffineExpr end = forward ? bounds.resolve((*ends)[i], 0, 0)
                             : bounds.resolve((*ends)[i], -1, -1);
    if (!start || !end)
      return unknown;
    window.starts[*axis] = start;
    window.sizes[*axis] = bounds.count(start, end, *step);
    window.steps[*axis] = *step;
  }
  return std::optional<SliceWindow>(std::move(window));
}

LogicalResult DynamicSliceOp::inferDims(ShapeScope &scope,
                                        ArrayRef<Dims> operands,
                                        SmallVectorImpl<Dims> &results) {
  FailureOr<std::optional<SliceWindow>> window =
      resolveSlice(*this, scope, operands[0]);
  if (failed(window))
    return failure();
  results.push_back(*window ? std::move((*window)->sizes)
                            : getFreshDims(*this, scope, operands[0].size()));
  return success();
}

//===-- dynamic_iota ------------------------------------------------------===//

/// The count of a range of float constants.
static std::optional<int64_t> getFloatCount(DynamicIotaOp op) {
  double values[3];
  for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
    DenseFPElementsAttr constant;
    if (!matchPattern(operand, m_Constant(&constant)) ||
        constant.getNumElements() != 1)
      return std::nullopt;
    values[i] = (*constant.begin()).convertToDouble();
  }
  if (values[2] == 0.0)
    return std::nullopt;
  double count = std::ceil((values[1] - values[0]) / values[2]);
  return std::max<int64_t>(0, static_cast<int64_t>(count));
}

MaybeDims lathe::graph::resolveIota(DynamicIotaOp op, ShapeScope &scope) {
  if (std::optional<int64_t> count = getFloatCount(op))
    return Dims{getAffineConstantExpr(*count, op.getContext())};
  MaybeDims start = scope.getContents(op.getStart());
  MaybeDims limit = scope.getContents(op.getLimit());
  MaybeDims delta = scope.getContents(op.getDelta());
  if (!start || !limit || !delta)
    return std::nullopt;
  std::optional<int64_t> step = asConstant(delta->front());
  if (!step || *step == 0)
    return std::nullopt;
  AffineExpr span = *step > 0 ? limit->front() - start->front()
                              : start->front() - limit->front();
  AffineExpr count =
      canonicalizeSize(canonicalizeSize(span).ceilDiv(std::abs(*step)));
  if (std::optional<int64_t> known = asConstant(count))
    count =
        getAffineConstantExpr(std::max<int64_t>(*known, 0), op.getContext());
  else if (!isSizeAtLeast(span, 0))
    scope.requireNonNegative(canonicalizeSize(span),
                             "graph.dynamic_iota: the limit lies before the "
                             "start");
  return Dims{count};
}

LogicalResult DynamicIotaOp::inferDims(ShapeScope &scope, ArrayRef<Dims>,
                                       SmallVectorImpl<Dims> &results) {
  MaybeDims size = resolveIota(*this, scope);
  results.push_back(size ? std::move(*size) : getFreshDims(*this, scope, 1));
  return success();
}
