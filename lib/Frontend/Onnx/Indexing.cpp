// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Gathers, scatters and what is written with them.

#include "lib/Frontend/Onnx/NodeImporter.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// Indices of any integer type as i64.
static Value getIndices(NodeImporter &node, unsigned input) {
  return node.b.cast(node.in(input), node.b.getI64Type());
}

static LogicalResult importGather(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axis = node.getAxis(node.getInt("axis", 0), b.getRank(node.in(0)));
  if (!axis)
    return failure();
  return node.set(b.create<graph::GatherOp>(
      b.getElementType(node.in(0)), node.in(0), getIndices(node, 1), *axis));
}

static LogicalResult importGatherElements(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t rank = b.getRank(node.in(0));
  auto axis = node.getAxis(node.getInt("axis", 0), rank);
  if (!axis || failed(node.checkRank(1, rank, rank)))
    return failure();
  return node.set(b.takeAlong(node.in(0), getIndices(node, 1), *axis));
}

static LogicalResult importGatherNd(NodeImporter &node) {
  GraphBuilder &b = node.b;
  return node.set(b.create<graph::GatherNdOp>(
      b.getElementType(node.in(0)), node.in(0), getIndices(node, 1),
      node.opset < 12 ? 0 : node.getInt("batch_dims", 0)));
}

static std::optional<graph::ScatterMode> getMode(NodeImporter &node) {
  std::string name = node.getString("reduction", "none");
  if (name == "none")
    return graph::ScatterMode::set;
  auto mode = graph::symbolizeScatterMode(name);
  if (!mode || *mode == graph::ScatterMode::set)
    (void)node.invalid("attribute 'reduction' is '" + name +
                       "'; allowed are none, add, mul, max and min");
  return mode;
}

static LogicalResult importScatterElements(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axis = node.getAxis(node.getInt("axis", 0), b.getRank(node.in(0)));
  auto mode = getMode(node);
  if (!axis || !mode)
    return failure();
  return node.set(b.create<graph::ScatterElementsOp>(
      b.getElementType(node.in(0)), node.in(0), getIndices(node, 1), node.in(2),
      *axis, *mode));
}

static LogicalResult importScatterNd(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto mode = getMode(node);
  if (!mode)
    return failure();
  return node.set(b.create<graph::ScatterNdOp>(b.getElementType(node.in(0)),
                                               node.in(0), getIndices(node, 1),
                                               node.in(2), *mode));
}

/// Compares each index with 0, 1, ... along the new axis.
static LogicalResult importOneHot(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t rank = b.getRank(node.in(0)) + 1;
  auto axis = node.getAxis(node.getInt("axis", -1), rank);
  std::optional<Dims> depth = b.getContents(node.in(1));
  if (!axis)
    return failure();
  if (!depth && !b.hasFailed())
    if (std::optional<double> value = b.getScalar(node.in(1)))
      depth = Dims{b.size(int64_t(*value))};
  if (!depth || depth->size() != 1)
    return node.unsupported("depth must be known at compile time or follow "
                            "from named dims");
  Value indices = getIndices(node, 0);
  Value count = b.sizeValue(depth->front());
  Value zero = b.scalar(b.getI64Type(), 0);
  Value wrapped = b.select(b.compare(Compare::lt, indices, zero),
                           b.add(indices, count), indices);
  Value hit = b.compare(Compare::eq, b.unsqueeze(wrapped, *axis),
                        b.iota(depth->front(), *axis, rank));
  Value off = b.slice(node.in(2), 0, b.size(0), b.size(1));
  Value on = b.slice(node.in(2), 0, b.size(1), b.size(1));
  return node.set(b.select(hit, b.reshape(on, {}), b.reshape(off, {})));
}

/// Keeps one triangle: `column - row` against k.
static LogicalResult importTrilu(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  int64_t rank = b.getRank(x);
  if (failed(node.checkRank(0, 2, kAnyCount)))
    return failure();
  Value row = b.iota(b.getDim(x, rank - 2), 0, 2);
  Value column = b.iota(b.getDim(x, rank - 1), 1, 2);
  Value k = node.hasInput(1) ? b.reshape(node.in(1), {})
                             : b.scalar(b.getI64Type(), 0);
  bool upper = node.getInt("upper", 1) != 0;
  Value keep = b.compare(upper ? Compare::ge : Compare::le, b.sub(column, row),
                         b.cast(k, b.getI64Type()));
  return node.set(b.select(keep, x, b.scalarLike(x, 0.0)));
}

/// Element t of batch n comes from `length[n] - 1 - t` where t < length[n].
static LogicalResult importReverseSequence(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  int64_t time = node.getInt("time_axis", 0);
  int64_t batch = node.getInt("batch_axis", 1);
  int64_t rank = b.getRank(x);
  if (rank < 2 || time < 0 || time > 1 || batch != 1 - time ||
      failed(node.checkRank(1, 1, 1)))
    return node.invalid("'time_axis' and 'batch_axis' must be 0 and 1 in some "
                        "order, the input of rank 2 at least");
  Dims dims = b.getDims(x), along(rank, b.size(1));
  along[batch] = dims[batch];
  Value length = b.reshape(getIndices(node, 1), along);
  Value step = b.iota(dims[time], time, rank);
  Value one = b.scalar(b.getI64Type(), 1);
  Value from = b.select(b.compare(Compare::lt, step, length),
                        b.sub(b.sub(length, one), step), step);
  return node.set(b.takeAlong(x, b.broadcast(from, dims), time));
}

/// A copy of the cache with `update` written at one position per batch.
static LogicalResult importTensorScatter(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value cache = node.in(0), update = node.in(1);
  int64_t rank = b.getRank(cache);
  auto axis = node.getAxis(node.getInt("axis", -2), rank);
  std::string mode = node.getString("mode", "linear");
  if (!axis || *axis == 0 || b.getRank(update) != rank)
    return node.invalid("'axis' must not be the batch axis, and update must "
                        "have the cache's rank");
  if (mode != "linear" && mode != "circular")
    return node.invalid("attribute 'mode' is '" + mode +
                        "'; allowed are linear and circular");
  Dims dims = b.getDims(update), along(rank, b.size(1));
  along[0] = dims[0];
  Value position = b.iota(dims[*axis], *axis, rank);
  if (node.hasInput(2))
    position = b.add(position, b.reshape(getIndices(node, 2), along));
  if (mode == "circular")
    position =
        b.binary<graph::RemOp>(position, b.sizeValue(b.getDim(cache, *axis)));
  return node.set(b.create<graph::ScatterElementsOp>(
      b.getElementType(cache), cache, b.broadcast(position, dims), update,
      *axis, graph::ScatterMode::set));
}

ArrayRef<OpEntry> lathe::onnx::getIndexingOps() {
  static constexpr OpEntry ops[] = {
      {"Gather", 1, kNewest, 2, 2, Types::Any, importGather},
      {"GatherElements", 11, kNewest, 2, 2, Types::Any, importGatherElements},
      {"GatherND", 11, kNewest, 2, 2, Types::Any, importGatherNd},
      {"OneHot", 9, kNewest, 3, 3, Types::Any, importOneHot},
      {"ReverseSequence", 10, kNewest, 2, 2, Types::Any, importReverseSequence},
      {"Scatter", 9, 10, 3, 3, Types::Any, importScatterElements},
      {"ScatterElements", 11, kNewest, 3, 3, Types::Any, importScatterElements},
      {"ScatterND", 11, kNewest, 3, 3, Types::Any, importScatterNd},
      {"TensorScatter", 24, kNewest, 2, 3, Types::Any, importTensorScatter},
      {"Trilu", 14, kNewest, 1, 2, Types::Any, importTrilu},
  };
  return ops;
}
