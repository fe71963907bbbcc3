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

/// One block of keys while it is computed.
struct KeyBlock {
  Value first;
  int64_t size;
  bool isMasked = false;  ///< Some query may not see all of it.
  Value end = nullptr;    ///< Its keys end here; null: it is whole.
  Value groups = nullptr; ///< Which groups of queries see it; null: all.
};

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
        b(kernel.getBuilder()), op(shape.op),
        form{schedule.isNarrow, schedule.isRows},
        score(createAttentionScore(op, form)) {}

  LogicalResult build();

private:
  void findPosition();
  KeyRange getKeyRange();
  KeyRange getWindowRange(graph::WindowAttr window);
  Value loadQuery();
  Value loadValues(const KeyBlock &block);
  /// What is multiplied: rounded where the schedule says so.
  Value toOperand(Value tile) {
    return schedule.isNarrow ? toNarrow(b, tile, shape.narrow) : tile;
  }
  /// Extents along queries or keys and along another dim, or along both, in the
  /// order of the kernel's form.
  SmallVector<TileWindow::Extent, 2> inOrder(TileWindow::Extent first,
                                             TileWindow::Extent second) const {
    if (form.isRows)
      std::swap(first, second);
    return {first, second};
  }
  Value multiply(Value keySide, Value querySide, Value start) {
    return form.isRows ? tile::MmaOp::create(b, querySide, keySide, start)
                       : tile::MmaOp::create(b, keySide, querySide, start);
  }
  bool mayPassEnd(bool isEdge) const;
  SmallVector<Value> buildAll(SmallVector<Value> state);
  SmallVector<Value> buildRange(Value begin, Value end, int64_t size,
                                bool isEdge, SmallVector<Value> state);
  SmallVector<Value> buildListed(SmallVector<Value> state);
  SmallVector<Value> buildEntries(Value begin, Value end, bool isMasked,
                                  SmallVector<Value> state);
  bool buildBlock(const KeyBlock &block, MutableArrayRef<Value> state);
  Value hideKeys(Value logits, const KeyBlock &block, Value mask);
  Value getVisible(const KeyBlock &block, RankedTensorType type);
  Value getGroupVisible(Value groups, RankedTensorType type);
  std::pair<int64_t, int64_t> getWindow();
  Value loadTable(DenseElementsAttr table, Value row, int64_t column);
  Value loadPlace(DenseElementsAttr table, Value row, int64_t column,
                  Value most);
  KeyBlock loadBlock(Value entry, bool isMasked);
  /// Whether there are so many keys, which whole blocks of a list need.
  bool hasBlock(int64_t size) const {
    auto keys =
        dyn_cast<AffineConstantExpr>(graph::canonicalizeSize(shape.keys));
    return keys && keys.getValue() >= size;
  }
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
  Value roundDown(Value value, int64_t step) {
    return kernel.mul(kernel.div(value, step), kernel.getIndex(step));
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
  ScoreForm form;
  std::unique_ptr<AttentionScore> score;
  AttentionBlocks blocks; ///< If there is a block list.

  Value batch, head, keyHead, query; ///< `query` is the first of the block.
  Value queryTile;                   ///< As it is multiplied.
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
    if (schedule.valueBlock || form.isRows) {
      range.begin = roundDown(range.begin, schedule.edgeKeys);
      Value up =
          kernel.add(range.wholeBegin, kernel.getIndex(schedule.keys - 1));
      range.wholeBegin =
          clamp(roundDown(up, schedule.keys), range.begin, range.end);
    }
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
  Value zero = kernel.getIndex(0), all = kernel.getSize(shape.keys);
  AffineExpr whole = graph::canonicalizeSize(
      shape.keys.floorDiv(schedule.keys) * schedule.keys);
  if (!form.isRows)
    return {zero, zero, kernel.getSize(whole), all};
  // Loops stay loops, which a target may have a form for, even of one block.
  AffineExpr keys = graph::canonicalizeSize(shape.keys);
  all = kernel.getArgument(keys);
  if (!score->hidesBeyond() || whole == keys)
    return {zero, zero, all, all};
  auto none = dyn_cast<AffineConstantExpr>(whole);
  if (none && none.getValue() == 0)
    return {zero, zero, zero, all};
  return {zero, zero, kernel.getArgument(whole), all};
}

/// How far before and after its own key a query sees; negative: no limit.
std::pair<int64_t, int64_t> AttentionKernel::getWindow() {
  if (auto window = dyn_cast<graph::WindowAttr>(op.getSelection()))
    return {window.getLeft(), window.getRight()};
  if (shape.list)
    return {shape.list.getLeft(), shape.list.getRight()};
  return {-1, -1};
}

/// Bit n of `groups` says whether the n-th group of queries sees the block.
Value AttentionKernel::getGroupVisible(Value groups, RankedTensorType type) {
  auto splat = [&](int64_t value) {
    return kernel.getSplat(type.getShape(), b.getI32Type(), value);
  };
  Value group = tile::IotaOp::create(b, type, form.getQueryAxis());
  if (llvm::isPowerOf2_64(blocks.groupLanes))
    group = arith::ShRUIOp::create(b, group,
                                   splat(llvm::Log2_64(blocks.groupLanes)));
  else
    group = arith::DivUIOp::create(b, group, splat(blocks.groupLanes));
  Value all = tile::SplatOp::create(b, type, groups);
  Value bit =
      arith::AndIOp::create(b, arith::ShRUIOp::create(b, all, group), splat(1));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bit, splat(0));
}

/// Which keys of a masked block each query sees, by position; null: all.
Value AttentionKernel::getVisible(const KeyBlock &block,
                                  RankedTensorType type) {
  auto positions = type.clone(b.getI32Type());
  auto splat = [&](Value scalar) -> Value {
    return tile::SplatOp::create(b, positions, scalar);
  };
  Value key = tile::IotaOp::create(b, positions, form.getKeyAxis());
  Value visible;
  auto conjoin = [&](Value condition) {
    visible = visible ? arith::AndIOp::create(b, visible, condition).getResult()
                      : condition;
  };
  // Threads of a GPU tell what they share from what their registers add.
  auto flags = form.isRows ? arith::IntegerOverflowFlags::nsw
                           : arith::IntegerOverflowFlags::none;
  if (form.isRows && block.end && score->hidesBeyond()) {
    Value beyond = toI32(arith::SubIOp::create(b, block.first, block.end));
    Value place = arith::AddIOp::create(b, key, splat(beyond), flags);
    Value zero = kernel.getSplat(type.getShape(), b.getI32Type(), 0);
    conjoin(arith::CmpIOp::create(b, arith::CmpIPredicate::slt, place, zero));
  } else if (block.end && score->hidesBeyond()) {
    Value left = toI32(arith::SubIOp::create(b, block.end, block.first));
    conjoin(
        arith::CmpIOp::create(b, arith::CmpIPredicate::slt, key, splat(left)));
  }
  if (block.groups)
    conjoin(getGroupVisible(block.groups, positions));
  auto [before, after] = getWindow();
  if (before < 0 && after < 0)
    return visible;
  // The distance from query to key.
  Value first = kernel.add(query, kernel.getSize(graph::canonicalizeSize(
                                      shape.keys - shape.queries)));
  Value base = toI32(arith::SubIOp::create(b, block.first, first));
  Value its = tile::IotaOp::create(b, positions, form.getQueryAxis());
  Value distance = arith::SubIOp::create(b, key, its, flags);
  distance = arith::AddIOp::create(b, distance, splat(base), flags);
  auto require = [&](arith::CmpIPredicate predicate, int64_t bound) {
    Value limit = kernel.getSplat(type.getShape(), b.getI32Type(), bound);
    conjoin(arith::CmpIOp::create(b, predicate, distance, limit));
  };
  if (after >= 0)
    require(arith::CmpIPredicate::sle, after);
  if (before >= 0)
    require(arith::CmpIPredicate::sge, -before);
  return visible;
}

/// `mask` is a tile of i1 or f32, or null; only booleans hide keys.
Value AttentionKernel::hideKeys(Value logits, const KeyBlock &block,
                                Value mask) {
  auto type = cast<RankedTensorType>(logits.getType());
  Value visible;
  if (block.isMasked)
    visible = getVisible(block, type);
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

/// Q^T, or rows of Q, scaled; null after an error.
Value AttentionKernel::loadQuery() {
  FailureOr<Value> tile = evaluate(
      op.getQuery(), {}, {batch, head, query, kernel.getIndex(0)},
      inOrder({3, shape.size, true}, {2, schedule.lanes, queriesInBounds()}));
  if (failed(tile))
    return nullptr;
  if (score->getQueryScale() == 1.0)
    return toOperand(*tile);
  Value scale =
      kernel.getSplat(cast<RankedTensorType>(tile->getType()).getShape(),
                      b.getF32Type(), score->getQueryScale());
  return toOperand(arith::MulFOp::create(b, *tile, scale));
}

/// V^T of one block, or V; null after an error.
Value AttentionKernel::loadValues(const KeyBlock &block) {
  if (!schedule.valueBlock) {
    FailureOr<Value> tile = evaluate(
        op.getValue(), {}, {batch, keyHead, block.first, kernel.getIndex(0)},
        inOrder({3, shape.valueSize, true}, {2, block.size, !block.end}));
    return failed(tile) ? Value() : toOperand(*tile);
  }
  Temporary all = getTransposedValues(shape, schedule.valueBlock);
  TileWindow window = getTransposedWindow(kernel, schedule.valueBlock, batch,
                                          keyHead, block.first);
  // Which is inside, and can be seen to be.
  Value last = kernel.add(kernel.getSize(all.dims[2]), kernel.getIndex(-1));
  window.bases[2] = clamp(window.bases[2], kernel.getIndex(0), last);
  window.extents = {{3, shape.valueSize, true}, {4, block.size, true}};
  return kernel.load(
      kernel.getBuffer(BufferRef::temporary(0)),
      graph::StridedView::getContiguous(b.getContext(), all.dims), window);
}

/// One block of keys; false after an error.
bool AttentionKernel::buildBlock(const KeyBlock &block,
                                 MutableArrayRef<Value> state) {
  SmallVector<int64_t, 2> scores{block.size, schedule.lanes};
  if (form.isRows)
    std::swap(scores[0], scores[1]);
  auto type = RankedTensorType::get(scores, b.getF32Type());
  TileWindow::Extent rows{2, block.size, !block.end};
  FailureOr<Value> mask = Value();
  if (op.getMask())
    mask = evaluate(op.getMask(), shape.maskAccess,
                    {batch, head, query, block.first},
                    inOrder({3, block.size, !block.end},
                            {2, schedule.lanes, queriesInBounds()}));
  SmallVector<Value> keyBases{batch, keyHead, block.first, kernel.getIndex(0)};
  FailureOr<Value> keys =
      evaluate(op.getKey(), {}, keyBases, inOrder(rows, {3, shape.size, true}));
  if (failed(mask) || failed(keys))
    return false;
  Value added = *mask && isAdditive(*mask) ? *mask : Value();
  Value logits = multiply(toOperand(*keys), queryTile,
                          score->getStart(kernel, type, added));
  logits = score->finishLogits(kernel, logits, added);
  logits = hideKeys(logits, block, *mask);
  Value weights = score->apply(kernel, logits, state);
  Value values = loadValues(block);
  if (!values)
    return false;
  state.back() = multiply(values, toOperand(weights), state.back());
  return true;
}

/// Whether blocks may have keys beyond the last one, which read as zeros.
bool AttentionKernel::mayPassEnd(bool isEdge) const {
  if (!form.isRows)
    return isEdge;
  auto keys = dyn_cast<AffineConstantExpr>(shape.keys);
  bool isCovered = keys && keys.getValue() % schedule.keys == 0;
  return !isCovered && (isEdge || !score->hidesBeyond());
}

/// Blocks of `size` keys in [begin, end). An empty result is an error.
SmallVector<Value> AttentionKernel::buildRange(Value begin, Value end,
                                               int64_t size, bool isEdge,
                                               SmallVector<Value> state) {
  auto first = getConstantIntValue(begin), last = getConstantIntValue(end);
  if (begin == end || (first && last && *first >= *last))
    return state;
  bool succeeded = true;
  Value limit = mayPassEnd(isEdge) ? end : Value();
  auto body = [&](Value key, ValueRange carried) {
    SmallVector<Value> next(carried);
    succeeded = buildBlock({key, size, isEdge, limit}, next);
    return next;
  };
  if (first && last && *last - *first <= size)
    state = body(begin, state);
  else
    state = kernel.forEach(begin, end, kernel.getIndex(size), state, body);
  return succeeded ? state : SmallVector<Value>();
}

Value AttentionKernel::loadTable(DenseElementsAttr table, Value row,
                                 int64_t column) {
  graph::Dims dims;
  for (int64_t size : table.getType().getShape())
    dims.push_back(b.getAffineConstantExpr(size));
  auto view = graph::StridedView::getContiguous(b.getContext(), dims);
  return kernel.load(kernel.getBuffer(BufferRef::makeConstant(table)), view,
                     {{row, kernel.getIndex(column)}, {}});
}

/// Number `column` of `row`, brought into [0, `most`]: a table may be damaged.
Value AttentionKernel::loadPlace(DenseElementsAttr table, Value row,
                                 int64_t column, Value most) {
  Value place = arith::IndexCastOp::create(b, b.getIndexType(),
                                           loadTable(table, row, column));
  return clamp(place, kernel.getIndex(0), most);
}

/// Block `entry` of the list, inside whatever the table says.
KeyBlock AttentionKernel::loadBlock(Value entry, bool isMasked) {
  KeyBlock block;
  block.size = isMasked ? schedule.edgeKeys : schedule.keys;
  block.isMasked = isMasked;
  Value most = kernel.getSize(shape.keys);
  if (isMasked && !(blocks.isInside && hasBlock(block.size)))
    block.end = most;
  else
    most = kernel.getSize(shape.keys - block.size);
  block.first = loadPlace(blocks.entries, entry, 0, most);
  if (schedule.valueBlock)
    block.first = roundDown(block.first, block.size);
  if (isMasked && blocks.groupLanes < schedule.lanes)
    block.groups = loadTable(blocks.entries, entry, 1);
  return block;
}

/// The entries in [begin, end) of the block list. An empty result is an error.
SmallVector<Value> AttentionKernel::buildEntries(Value begin, Value end,
                                                 bool isMasked,
                                                 SmallVector<Value> state) {
  bool succeeded = true;
  auto body = [&](Value entry, ValueRange carried) {
    SmallVector<Value> next(carried);
    succeeded = buildBlock(loadBlock(entry, isMasked), next);
    return next;
  };
  state = kernel.forEach(begin, end, kernel.getIndex(1), state, body);
  return succeeded ? state : SmallVector<Value>();
}

/// Rows of the table beyond its last are as the last one, which is empty.
SmallVector<Value> AttentionKernel::buildListed(SmallVector<Value> state) {
  Value list = head;
  if (shape.headsPerList > 1)
    list = arith::DivUIOp::create(b, head, kernel.getIndex(shape.headsPerList));
  Value tile = arith::MinSIOp::create(b, kernel.getProgramId(0),
                                      kernel.getIndex(blocks.tiles));
  Value row = tile;
  if (shape.list.getHeads() > 1)
    row = kernel.add(tile, kernel.mul(list, kernel.getIndex(blocks.tiles + 1)));
  Value bounds[3];
  Value entries = kernel.getIndex(blocks.entries.getType().getDimSize(0));
  for (int64_t i = 0; i < 3; ++i)
    bounds[i] = loadPlace(blocks.rows, row, i, entries);
  if (hasBlock(schedule.keys))
    state = buildEntries(bounds[0], bounds[1], /*isMasked=*/false, state);
  if (!state.empty())
    state = buildEntries(bounds[1], bounds[2], /*isMasked=*/true, state);
  return state;
}

/// All keys that the queries see.
SmallVector<Value> AttentionKernel::buildAll(SmallVector<Value> state) {
  if (shape.list)
    return buildListed(state);
  KeyRange range = getKeyRange();
  state = buildRange(range.begin, range.wholeBegin, schedule.edgeKeys,
                     /*isEdge=*/true, state);
  if (!state.empty())
    state = buildRange(range.wholeBegin, range.wholeEnd, schedule.keys,
                       /*isEdge=*/false, state);
  if (!state.empty())
    state = buildRange(range.wholeEnd, range.end, schedule.edgeKeys,
                       /*isEdge=*/true, state);
  return state;
}

LogicalResult AttentionKernel::buildEpilogue(Value output) {
  TileWindow window;
  window.bases = {batch, head, query, kernel.getIndex(0)};
  window.extents = inOrder({3, shape.valueSize, true},
                           {2, schedule.lanes, queriesInBounds()});
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
  queryTile = loadQuery();
  if (!queryTile)
    return failure();
  if (shape.list)
    blocks = getAttentionBlocks(shape, schedule);
  SmallVector<Value> state =
      buildAll(score->getInitialState(kernel, schedule.lanes, shape.valueSize));
  if (state.empty() || failed(buildEpilogue(score->finish(kernel, state))))
    return failure();
  kernel.setGrid(
      {shape.queries.ceilDiv(schedule.lanes), shape.heads, shape.batch});
  return success();
}

AttentionBlocks
lathe::kernels::getAttentionBlocks(const AttentionShape &shape,
                                   const AttentionSchedule &schedule) {
  auto toNumber = [](AffineExpr size) -> std::optional<int64_t> {
    auto constant = dyn_cast<AffineConstantExpr>(graph::canonicalizeSize(size));
    return constant ? std::optional(constant.getValue()) : std::nullopt;
  };
  return makeAttentionBlocks({shape.list, schedule.lanes, schedule.keys,
                              schedule.edgeKeys, schedule.valueBlock != 0,
                              toNumber(shape.keys),
                              toNumber(shape.keys - shape.queries)});
}

LogicalResult lathe::kernels::buildAttentionKernel(
    LaunchBuilder &launch, const AttentionShape &shape,
    const AttentionSchedule &schedule, KernelBuilder &kernel) {
  return AttentionKernel(launch, shape, schedule, kernel).build();
}
