// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-decompose
//
//   %y = graph.conv %x, %w strides [4, 4] ...    %x: [n, c, 4h, 4w], no padding
// becomes                                        %w: [m, c, 4, 4]
//   %p = graph.reshape %x                        [n, c, h, 4, w, 4]
//   %q = graph.transpose %p                      [n, h, w, c, 4, 4]
//   %z = graph.contract (graph.reshape %q), ...  [n, h, w, m]
//   %y = graph.transpose %z                      [n, m, h, w]
//
// Windows that overlap are gathered: for convolutions of integers and for pools
// that no kernel computes.

#include "dialects/Graph/IR/GraphBuilder.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace lathe::graph {
#define GEN_PASS_DEF_DECOMPOSEPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

//===-- Windows -----------------------------------------------------------===//

namespace {
/// The windows of a convolution or a pool along one axis: element k of window o
/// is input element `o * stride + k * dilation - low`.
struct Window {
  AffineExpr count; ///< Windows.
  int64_t kernel, stride, dilation, low, high;

  bool isPatch() const {
    return stride == kernel && dilation == 1 && low == 0 && high == 0;
  }
};

/// Windows over consecutive spatial dims.
struct Windows {
  SmallVector<Window> axes;
  unsigned first; ///< The first spatial dim of input and result.
  /// Counts are rounded up: the last window may reach past the padding.
  bool isCeil = false;

  bool arePatches() const {
    return !isCeil &&
           llvm::all_of(axes, [](const Window &w) { return w.isPatch(); });
  }
  /// After `open`, the dims that count windows, or run inside of them.
  SmallVector<int64_t> getDims(unsigned offset) const {
    SmallVector<int64_t> dims;
    for (size_t i = 0; i < axes.size(); ++i)
      dims.push_back(first + 2 * i + offset);
    return dims;
  }
};
} // namespace

template <typename Op>
static Windows getWindows(GraphBuilder &b, Op op, ArrayRef<int64_t> kernel) {
  Dims result = b.getDims(op.getResult());
  size_t rank = kernel.size();
  Windows windows;
  windows.first = op.getChannelsLast() ? 1 : 2;
  for (size_t i = 0; i < rank; ++i)
    windows.axes.push_back({result[windows.first + i], kernel[i],
                            op.getStrides()[i], op.getDilations()[i],
                            op.getPads()[i], op.getPads()[rank + i]});
  return windows;
}

/// `value` with `fill` around it: the padding, and `more` behind it.
static Value pad(GraphBuilder &b, Value value, const Windows &windows,
                 double fill, int64_t more) {
  SmallVector<int64_t> low(b.getRank(value), 0), high = low;
  for (auto [i, axis] : llvm::enumerate(windows.axes)) {
    low[windows.first + i] = axis.low;
    high[windows.first + i] = axis.high + more;
  }
  return b.create<PadOp>(b.getElementType(value), value,
                         b.scalarLike(value, fill), low, high,
                         PadMode::constant);
}

/// Splits each spatial dim of `value` into windows and the place inside of one.
static Value open(GraphBuilder &b, Value value, const Windows &windows,
                  double fill) {
  bool arePatches = windows.arePatches();
  // A count that was rounded up reaches less than a stride further.
  int64_t more = 0;
  for (const Window &axis : windows.axes)
    more = std::max(more, windows.isCeil ? axis.stride - 1 : 0);
  if (!arePatches)
    value = pad(b, value, windows, fill, more);
  // From the last axis on, so that those before keep their place.
  for (size_t i = windows.axes.size(); i-- > 0;) {
    const Window &axis = windows.axes[i];
    unsigned dim = windows.first + i;
    if (arePatches) {
      // What is left over after the last patch is not read.
      value = b.slice(value, dim, b.size(0), axis.count * axis.kernel);
      Dims dims = b.getDims(value);
      dims[dim] = axis.count;
      dims.insert(dims.begin() + dim + 1, b.size(axis.kernel));
      value = b.reshape(value, dims);
      continue;
    }
    Type i64 = b.getI64Type();
    Value starts = b.mul(b.iota(axis.count, 0, 2), b.scalar(i64, axis.stride));
    Value offsets =
        b.mul(b.iota(b.size(axis.kernel), 1, 2), b.scalar(i64, axis.dilation));
    value =
        b.create<GatherOp>(b.getElementType(value), value,
                           b.add(starts, offsets), b.getI64IntegerAttr(dim));
  }
  return value;
}

//===-- Convolutions ------------------------------------------------------===//

/// The shape of a convolution; dims of the weight are in the order of `op`.
namespace {
struct ConvShape {
  SmallVector<int64_t> kernel;
  AffineExpr channels, columns; ///< Of one group; of all.
};
} // namespace

static std::optional<ConvShape> getShape(GraphBuilder &b, ConvOp op) {
  Dims weight = b.getDims(op.getWeight());
  size_t rank = weight.size() - 2;
  bool last = op.getChannelsLast();
  ConvShape shape;
  for (AffineExpr size : ArrayRef(weight).slice(last ? 0 : 2, rank)) {
    auto known = dyn_cast<AffineConstantExpr>(size);
    if (!known)
      return std::nullopt;
    shape.kernel.push_back(known.getValue());
  }
  shape.channels = weight[last ? rank : 1];
  shape.columns = weight[last ? rank + 1 : 0];
  return shape;
}

/// Opened windows as [n, windows.., groups, channels of a group * kernel], or
/// with the kernel before the channels if those are last.
static Value toRows(GraphBuilder &b, ConvOp op, Value opened,
                    const Windows &windows, const ConvShape &shape) {
  bool last = op.getChannelsLast();
  int64_t channelDim = last ? 1 + 2 * windows.axes.size() : 1;
  Dims dims = b.getDims(opened);
  dims[channelDim] = b.size(op.getGroups());
  dims.insert(dims.begin() + channelDim + 1, shape.channels);
  opened = b.reshape(opened, dims);

  Windows moved = windows; // Behind the groups, if channels are first.
  moved.first += last ? 0 : 1;
  SmallVector<int64_t> order = {0};
  llvm::append_range(order, moved.getDims(0));
  order.push_back(channelDim);
  if (!last)
    order.push_back(channelDim + 1);
  llvm::append_range(order, moved.getDims(1));
  if (last)
    order.push_back(channelDim + 1);
  Value ordered = b.transpose(opened, order);
  Dims rows = b.getDims(ordered);
  size_t kept = 2 + windows.axes.size();
  AffineExpr depth = b.product(ArrayRef(rows).drop_front(kept));
  rows.truncate(kept);
  rows.push_back(depth);
  return b.reshape(ordered, rows);
}

/// The weight as [channels of a group * kernel, columns], in the order of the
/// rows.
static Value toMatrix(GraphBuilder &b, ConvOp op, AffineExpr depth,
                      AffineExpr columns) {
  if (op.getChannelsLast())
    return b.reshape(op.getWeight(), {depth, columns});
  return b.transpose(b.reshape(op.getWeight(), {columns, depth}), {1, 0});
}

static Value buildProduct(GraphBuilder &b, ConvOp op, const Windows &windows,
                          const ConvShape &shape) {
  Value rows =
      toRows(b, op, open(b, op.getInput(), windows, 0.0), windows, shape);
  Type element = b.getElementType(op.getResult());
  int64_t groups = op.getGroups(), spatial = windows.axes.size();
  if (!rows)
    return Value();
  Dims dims = b.getDims(rows);
  AffineExpr depth = dims.back();
  Value matrix = toMatrix(b, op, depth, shape.columns);
  if (groups == 1) {
    dims.erase(dims.end() - 2);
    return b.create<MatmulOp>(element, b.reshape(rows, dims), matrix);
  }
  // [n, groups, windows, depth] times [groups, depth, columns of a group]
  AffineExpr each = canonicalizeSize(shape.columns.floorDiv(groups));
  Value split =
      b.transpose(b.reshape(matrix, {depth, b.size(groups), each}), {1, 0, 2});
  AffineExpr points = b.product(ArrayRef(dims).slice(1, spatial));
  rows = b.transpose(b.reshape(rows, {dims[0], points, b.size(groups), depth}),
                     {0, 2, 1, 3});
  Value product =
      b.transpose(b.create<MatmulOp>(element, rows, split), {0, 2, 1, 3});
  dims.truncate(1 + spatial);
  dims.push_back(shape.columns);
  return b.reshape(product, dims);
}

static Value decompose(GraphBuilder &b, ConvOp op) {
  std::optional<ConvShape> shape = getShape(b, op);
  if (!shape)
    return Value();
  Windows windows = getWindows(b, op, shape->kernel);
  bool isFloat = isa<FloatType>(b.getElementType(op.getResult()));
  bool isPoint =
      llvm::all_of(shape->kernel, [](int64_t size) { return size == 1; });
  if (isFloat && (isPoint || op.getGroups() != 1 || !windows.arePatches()))
    return Value();
  Value product = buildProduct(b, op, windows, *shape);
  if (op.getChannelsLast())
    return product;
  SmallVector<int64_t> order = {0, b.getRank(product) - 1};
  for (size_t i = 0; i < windows.axes.size(); ++i)
    order.push_back(1 + i);
  return product ? b.transpose(product, order) : Value();
}

//===-- Pools -------------------------------------------------------------===//

/// What padding holds so that no maximum takes it.
static double getLowest(Type type) {
  if (isa<FloatType>(type))
    return -std::numeric_limits<double>::infinity();
  if (type.isUnsignedInteger())
    return 0.0;
  return -std::ldexp(1.0, type.getIntOrFloatBitWidth() - 1);
}

static Value decompose(GraphBuilder &b, PoolOp op) {
  Type element = b.getElementType(op.getResult());
  bool isMax = op.getKind() == Reduction::max,
       isFloat = isa<FloatType>(element);
  bool isDilated =
      llvm::any_of(op.getDilations(), [](int64_t step) { return step != 1; });
  if (isFloat && (isMax || !isDilated))
    return Value();
  Windows windows = getWindows(b, op, op.getKernel());
  windows.isCeil = op.getCeil();
  auto reduce = [&](Reduction kind, Value value, const Windows &windows) {
    double fill = kind == Reduction::max ? getLowest(element) : 0.0;
    return b.reduce(kind, open(b, value, windows, fill), windows.getDims(1),
                    /*keepDims=*/false);
  };
  if (isMax)
    return reduce(Reduction::max, op.getInput(), windows);
  // The sum over how many elements count: those inside, or the padding too.
  Value ones = b.broadcast(b.scalar(element, 1.0), b.getDims(op.getInput()));
  Windows counted = windows;
  if (op.getIncludePad()) {
    ones = pad(b, ones, windows, 1.0, 0);
    for (Window &axis : counted.axes)
      axis.low = axis.high = 0;
  }
  return b.div(reduce(Reduction::sum, op.getInput(), windows),
               reduce(Reduction::sum, ones, counted));
}

//===-- Gathers -----------------------------------------------------------===//

/// Elements of the flattened input at positions that are computed: an index
/// with dims of its own moves along all of them.
static Value decompose(GraphBuilder &b, GatherElementsOp op) {
  // Positions may exceed what the type of the indices holds.
  Type type = b.getI64Type();
  Value value = op.getInput(), indices = b.cast(op.getIndices(), type);
  Dims dims = b.getDims(value), wanted = b.getDims(indices);
  int64_t rank = dims.size();
  // A slice says at run time that there are more indices than elements.
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim != static_cast<int64_t>(op.getAxis()) &&
        !isSizeAtLeast(dims[dim] - wanted[dim], 0))
      value = b.slice(value, dim, b.size(0), wanted[dim]);
  dims = b.getDims(value);
  Value isNegative = b.compare(Compare::lt, indices, b.scalar(type, 0));
  Value place = b.select(
      isNegative, b.add(indices, b.sizeValue(dims[op.getAxis()])), indices);
  Value flat;
  for (int64_t dim = 0; dim < rank; ++dim) {
    Value index = dim == static_cast<int64_t>(op.getAxis())
                      ? place
                      : b.iota(wanted[dim], dim, rank);
    AffineExpr stride = b.product(ArrayRef(dims).drop_front(dim + 1));
    if (stride != b.size(1))
      index = b.mul(index, b.sizeValue(stride));
    flat = flat ? b.add(flat, index) : index;
  }
  return b.create<GatherOp>(b.getElementType(value),
                            b.reshape(value, b.product(dims)), flat,
                            b.getI64IntegerAttr(0));
}

//===-- The pass ----------------------------------------------------------===//

namespace {
struct DecomposePass : lathe::graph::impl::DecomposePassBase<DecomposePass> {
  using Base::Base;

  void runOnOperation() override {
    bool hasFailed = false;
    auto rewrite = [&](ShapeAnalysis &shapes, Operation *op) {
      GraphBuilder b(op, shapes);
      Value result = llvm::TypeSwitch<Operation *, Value>(op)
                         .Case<ConvOp, PoolOp, GatherElementsOp>(
                             [&](auto op) { return decompose(b, op); })
                         .Default([](Operation *) { return Value(); });
      hasFailed |= b.hasFailed();
      numDecomposed += result ? 1 : 0;
      return result;
    };
    if (failed(rewriteOps(getOperation(), rewrite)) || hasFailed)
      signalPassFailure();
  }
};
} // namespace
