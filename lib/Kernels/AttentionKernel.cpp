// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/AttentionKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/AttentionScore.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

namespace {

/// Where the keys of one program are: keys in [begin, end) are seen by some
/// query, those in [wholeBegin, wholeEnd) by all, in blocks of
/// `AttentionSchedule::keys`.
struct KeyRange {
  Value begin, wholeBegin, wholeEnd, end;
};

class AttentionKernel {
public:
  AttentionKernel(LaunchBuilder &launch, const AttentionShape &shape,
                  const AttentionSchedule &schedule, KernelBuilder &kernel)
      : launch(launch), shape(shape), schedule(schedule), kernel(kernel),
        b(kernel.getBuilder()), op(shape.op), score(createAttentionScore(op)) {}

  LogicalResult build();

private:
  void findPosition();
  KeyRange getKeyRange();
  KeyRange getWindowRange(graph::WindowAttr window);
  Value loadQuery();
  SmallVector<Value> buildBlocks(Value begin, Value end, int64_t size,
                                 bool isEdge, SmallVector<Value> state);
  bool buildBlock(Value key, Value end, int64_t size, bool isEdge,
                  MutableArrayRef<Value> state);
  Value hideKeys(Value logits, Value key, Value end, bool isEdge, Value mask);
  Value getVisible(Value key, Value end, RankedTensorType type);
  LogicalResult buildEpilogue(Value output);

  FailureOr<Value> evaluate(Value value, const graph::Access &access,
                            ArrayRef<Value> bases,
                            ArrayRef<TileWindow::Extent> extents) {
    TileWindow window;
    window.bases.assign(bases.begin(), bases.end());
    window.extents.assign(extents.begin(), extents.end());
    return TileEvaluator(kernel, launch.getGroup(), launch.getContext(), window)
        .evaluate(value, access);
  }
  Value toI32(Value index) {
    return arith::IndexCastOp::create(b, b.getI32Type(), index);
  }
  /// `value` limited to [low, high].
  Value clamp(Value value, Value low, Value high) {
    value = arith::MaxSIOp::create(b, value, low);
    return arith::MinSIOp::create(b, value, high);
  }
  bool isAdditive(Value mask) const {
    return isa<FloatType>(
        cast<RankedTensorType>(mask.getType()).getElementType());
  }
  bool queriesInBounds() const {
    auto queries = dyn_cast<AffineConstantExpr>(shape.queries);
    return queries && queries.getValue() % schedule.lanes == 0;
  }

  LaunchBuilder &launch;
  const AttentionShape &shape;
  const AttentionSchedule &schedule;
  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;
  graph::AttentionOp op;
  std::unique_ptr<AttentionScore> score;

  Value batch, head, keyHead, query; ///< `query` is the first of the block.
  Value transposedQuery;
};

} // namespace

void AttentionKernel::findPosition() {
  query = kernel.mul(kernel.getProgramId(0), kernel.getIndex(schedule.lanes));
  head = kernel.getProgramId(1);
  batch = kernel.getProgramId(2);
  keyHead = head;
  if (shape.headsPerKey > 1)
    keyHead =
        arith::DivUIOp::create(b, head, kernel.getIndex(shape.headsPerKey));
}

//===----------------------------------------------------------------------===//
// Which keys
//===----------------------------------------------------------------------===//

/// Positions are aligned at the end: query i stands at key i + keys - queries.
KeyRange AttentionKernel::getWindowRange(graph::WindowAttr window) {
  Value zero = kernel.getIndex(0), keys = kernel.getSize(shape.keys);
  Value first = kernel.add(query, kernel.getSize(graph::canonicalizeSize(
                                      shape.keys - shape.queries)));
  Value last = kernel.add(first, kernel.getIndex(schedule.lanes - 1));
  KeyRange range{zero, zero, zero, keys};
  Value wholeEnd = keys;
  if (window.getRight() >= 0) {
    Value right = kernel.getIndex(window.getRight() + 1);
    range.end = clamp(kernel.add(last, right), zero, keys);
    wholeEnd = clamp(kernel.add(first, right), zero, range.end);
  }
  if (window.getLeft() >= 0) {
    Value left = kernel.getIndex(window.getLeft());
    range.begin = clamp(arith::SubIOp::create(b, first, left), zero, range.end);
    range.wholeBegin =
        clamp(arith::SubIOp::create(b, last, left), range.begin, range.end);
    wholeEnd = arith::MaxSIOp::create(b, wholeEnd, range.wholeBegin);
  }
  Value size = kernel.getIndex(schedule.keys);
  Value count = arith::DivUIOp::create(
      b, arith::SubIOp::create(b, wholeEnd, range.wholeBegin), size);
  range.wholeEnd = kernel.add(range.wholeBegin, kernel.mul(count, size));
  return range;
}

KeyRange AttentionKernel::getKeyRange() {
  if (auto window = dyn_cast<graph::WindowAttr>(op.getSelection()))
    return getWindowRange(window);
  Value zero = kernel.getIndex(0);
  AffineExpr whole = shape.keys.floorDiv(schedule.keys) * schedule.keys;
  return {zero, zero, kernel.getSize(whole), kernel.getSize(shape.keys)};
}

/// Which keys of a block at the edge each query sees, by position.
Value AttentionKernel::getVisible(Value key, Value end, RankedTensorType type) {
  auto positions = type.clone(b.getI32Type());
  auto splat = [&](Value scalar) -> Value {
    return tile::SplatOp::create(b, positions, scalar);
  };
  Value row = tile::IotaOp::create(b, positions, 0);
  Value left = toI32(arith::SubIOp::create(b, end, key));
  Value visible =
      arith::CmpIOp::create(b, arith::CmpIPredicate::slt, row, splat(left));
  auto window = dyn_cast<graph::WindowAttr>(op.getSelection());
  if (!window)
    return visible;
  // The distance from query to key.
  Value first = kernel.add(query, kernel.getSize(graph::canonicalizeSize(
                                      shape.keys - shape.queries)));
  Value base = toI32(arith::SubIOp::create(b, key, first));
  Value lane = tile::IotaOp::create(b, positions, 1);
  Value distance = arith::SubIOp::create(b, row, lane);
  distance = arith::AddIOp::create(b, distance, splat(base));
  auto require = [&](arith::CmpIPredicate predicate, int64_t bound) {
    Value limit = kernel.getSplat(type.getShape(), b.getI32Type(), bound);
    Value holds = arith::CmpIOp::create(b, predicate, distance, limit);
    visible = arith::AndIOp::create(b, visible, holds);
  };
  if (window.getRight() >= 0)
    require(arith::CmpIPredicate::sle, window.getRight());
  if (window.getLeft() >= 0)
    require(arith::CmpIPredicate::sge, -window.getLeft());
  return visible;
}

/// `mask` is a tile of i1 or f32, or null; only booleans hide keys.
Value AttentionKernel::hideKeys(Value logits, Value key, Value end, bool isEdge,
                                Value mask) {
  auto type = cast<RankedTensorType>(logits.getType());
  Value visible;
  if (isEdge)
    visible = getVisible(key, end, type);
  if (mask && !isAdditive(mask))
    visible = visible ? Value(arith::AndIOp::create(b, visible, mask)) : mask;
  if (!visible)
    return logits;
  Value hidden = kernel.getSplat(type.getShape(), type.getElementType(),
                                 score->getHidden());
  return arith::SelectOp::create(b, visible, logits, hidden);
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

/// Q^T, scaled; null after an error.
Value AttentionKernel::loadQuery() {
  FailureOr<Value> tile =
      evaluate(op.getQuery(), {}, {batch, head, query, kernel.getIndex(0)},
               {{3, shape.size, true}, {2, schedule.lanes, queriesInBounds()}});
  if (failed(tile))
    return nullptr;
  Value scale = kernel.getSplat({shape.size, schedule.lanes}, b.getF32Type(),
                                score->getQueryScale());
  return arith::MulFOp::create(b, *tile, scale);
}

/// One block of `size` keys from `key` on; false after an error.
bool AttentionKernel::buildBlock(Value key, Value end, int64_t size,
                                 bool isEdge, MutableArrayRef<Value> state) {
  auto type = RankedTensorType::get({size, schedule.lanes}, b.getF32Type());
  Value zero = kernel.getIndex(0);
  FailureOr<Value> mask = Value();
  if (op.getMask())
    mask =
        evaluate(op.getMask(), shape.maskAccess, {batch, head, query, key},
                 {{3, size, !isEdge}, {2, schedule.lanes, queriesInBounds()}});
  SmallVector<Value> keyBases{batch, keyHead, key, zero};
  FailureOr<Value> keys = evaluate(op.getKey(), {}, keyBases,
                                   {{2, size, !isEdge}, {3, shape.size, true}});
  if (failed(mask) || failed(keys))
    return false;
  Value added = *mask && isAdditive(*mask) ? *mask : Value();
  Value logits = tile::MmaOp::create(b, *keys, transposedQuery,
                                     score->getStart(kernel, type, added));
  logits = score->finishLogits(kernel, logits, added);
  logits = hideKeys(logits, key, end, isEdge, *mask);
  Value weights = score->apply(kernel, logits, state);
  FailureOr<Value> values =
      evaluate(op.getValue(), {}, keyBases,
               {{3, shape.valueSize, true}, {2, size, !isEdge}});
  if (failed(values))
    return false;
  state.back() = tile::MmaOp::create(b, *values, weights, state.back());
  return true;
}

/// Blocks of `size` keys in [begin, end). An empty result is an error.
SmallVector<Value> AttentionKernel::buildBlocks(Value begin, Value end,
                                                int64_t size, bool isEdge,
                                                SmallVector<Value> state) {
  auto first = getConstantIntValue(begin), last = getConstantIntValue(end);
  if (begin == end || (first && last && *first >= *last))
    return state;
  bool succeeded = true;
  auto body = [&](Value key, ValueRange carried) {
    SmallVector<Value> next(carried);
    succeeded = buildBlock(key, end, size, isEdge, next);
    return next;
  };
  if (first && last && *last - *first <= size)
    state = body(begin, state);
  else
    state = kernel.forEach(begin, end, kernel.getIndex(size), state, body);
  return succeeded ? state : SmallVector<Value>();
}

LogicalResult AttentionKernel::buildEpilogue(Value output) {
  TileWindow window;
  window.bases = {batch, head, query, kernel.getIndex(0)};
  window.extents = {{3, shape.valueSize, true},
                    {2, schedule.lanes, queriesInBounds()}};
  graph::GroupOp group = launch.getGroup();
  TileEvaluator evaluator(kernel, group, launch.getContext(), window);
  evaluator.bind(op.getResult(), {}, output);
  Operation *yield = group.getBody().front().getTerminator();
  for (auto [i, value] : llvm::enumerate(yield->getOperands())) {
    FailureOr<Value> tile = evaluator.evaluate(value, shape.yieldAccesses[i]);
    if (failed(tile) ||
        failed(evaluator.store(*tile, i, shape.yieldAccesses[i])))
      return failure();
  }
  return success();
}

LogicalResult AttentionKernel::build() {
  findPosition();
  transposedQuery = loadQuery();
  if (!transposedQuery)
    return failure();
  KeyRange range = getKeyRange();
  SmallVector<Value> state =
      score->getInitialState(kernel, schedule.lanes, shape.valueSize);
  state = buildBlocks(range.begin, range.wholeBegin, schedule.edgeKeys,
                      /*isEdge=*/true, state);
  if (!state.empty())
    state = buildBlocks(range.wholeBegin, range.wholeEnd, schedule.keys,
                        /*isEdge=*/false, state);
  if (!state.empty())
    state = buildBlocks(range.wholeEnd, range.end, schedule.edgeKeys,
                        /*isEdge=*/true, state);
  if (state.empty() || failed(buildEpilogue(score->finish(kernel, state))))
    return failure();
  kernel.setGrid(
      {shape.queries.ceilDiv(schedule.lanes), shape.heads, shape.batch});
  return success();
}

LogicalResult lathe::kernels::buildAttentionKernel(
    LaunchBuilder &launch, const AttentionShape &shape,
    const AttentionSchedule &schedule, KernelBuilder &kernel) {
  return AttentionKernel(launch, shape, schedule, kernel).build();
}
