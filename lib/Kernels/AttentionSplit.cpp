// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/AttentionSplit.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/AttentionScore.h"
#include "lib/Kernels/ContractAnalysis.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <numeric>

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::ViewStep;

/// More queries are not few, and fewer keys are not many.
static constexpr int64_t kMostQueries = 16, kLeastKeys = 256;
/// Keys of a part are a multiple of this.
static constexpr int64_t kPartStep = 64;
/// Programs for each processor: as many as run there at once. More would find
/// no better balance, and write more states.
static constexpr int64_t kProgramsEach = 4;

static constexpr ScoreForm kForm{/*keepsQuery=*/true, /*isRows=*/true};

tile::ScheduleAttr SplitSchedule::getAttr(MLIRContext *context) const {
  return tile::ScheduleAttr::get(context, "attention", {rows, keys}, stages,
                                 warps);
}

//===----------------------------------------------------------------------===//
// Whether, and how
//===----------------------------------------------------------------------===//

/// Three blocks of keys and values of 16 KiB are on their way for each warp of
/// 16 rows, which is all that a program has: it needs no barrier for others. A
/// whole head's programs, of which there are fewer, have four warps and blocks
/// of 32 KiB, for two on each processor.
static SmallVector<SplitSchedule, 3> listSchedules(const AttentionShape &shape,
                                                   int64_t rows, bool isWhole) {
  constexpr int64_t fewest = 16;
  int64_t blockElements = isWhole ? 16384 : 8192;
  int64_t longest = std::max(shape.size, shape.valueSize);
  int64_t keys = blockElements / 2 / llvm::PowerOf2Ceil(longest);
  keys = std::clamp(keys, fewest, kPartStep);
  int64_t warps = std::max<int64_t>(rows / 16, isWhole ? 4 : 1);
  SmallVector<SplitSchedule, 3> schedules{{rows, keys, 3, warps},
                                          {rows, keys, 4, warps}};
  if (keys > fewest)
    schedules.push_back({rows, keys / 2, 4, warps});
  return schedules;
}

/// Requires `expr >= 0`. False if it never is.
static bool require(AttentionSplit &split, AffineExpr expr) {
  expr = graph::canonicalizeSize(expr);
  if (auto known = dyn_cast<AffineConstantExpr>(expr))
    return known.getValue() >= 0;
  split.conditions.push_back(expr);
  return true;
}

/// `size`, or 1 for 0.
static AffineExpr atLeastOne(AffineExpr size) {
  AffineExpr one = getAffineConstantExpr(1, size.getContext());
  return size + one.floorDiv(size + 1);
}

/// 1 where so many programs, one at a time on each processor, keep nearly all
/// of them busy in every turn; else 0.
static AffineExpr isBusy(AffineExpr programs, int64_t processors) {
  AffineExpr turns = programs.ceilDiv(processors);
  return (programs * 10).floorDiv(atLeastOne(turns * (9 * processors)));
}

/// As many parts as give all programs a place at once, but at least one; one
/// where programs of whole heads are enough.
static void setParts(const AttentionShape &shape, int64_t processors,
                     AttentionSplit &split) {
  AffineExpr programs = shape.batch * shape.keyHeads;
  if (split.areHeads)
    programs = programs * split.queries;
  AffineExpr places =
      getAffineConstantExpr(kProgramsEach * processors, shape.op->getContext());
  AffineExpr wanted = graph::canonicalizeSize(
      atLeastOne(places.floorDiv(atLeastOne(programs))));
  AffineExpr busy = isBusy(programs, processors);
  wanted = graph::canonicalizeSize(wanted - (wanted - 1) * busy);
  AffineExpr steps = shape.keys.ceilDiv(wanted * kPartStep);
  split.partKeys = graph::canonicalizeSize(atLeastOne(steps) * kPartStep);
  split.parts = graph::canonicalizeSize(shape.keys.ceilDiv(split.partKeys));
}

static void setTemporaries(const AttentionShape &shape, AttentionSplit &split) {
  MLIRContext *context = shape.op->getContext();
  graph::Dims dims{shape.batch, shape.heads, split.queries, split.parts};
  Type f32 = Float32Type::get(context);
  auto score = createAttentionScore(shape.op, kForm);
  split.temporaries.assign(score->getNumStatistics(), {f32, dims});
  dims.push_back(getAffineConstantExpr(shape.valueSize, context));
  split.temporaries.push_back({f32, dims});
}

/// (batch, key heads, heads of a group, ..).
static graph::Dims getGroupedDims(const AttentionShape &shape,
                                  ArrayRef<AffineExpr> last) {
  graph::Dims dims{
      shape.batch, shape.keyHeads,
      getAffineConstantExpr(shape.headsPerKey, shape.op->getContext())};
  llvm::append_range(dims, last);
  return dims;
}

/// A view of (batch, heads, queries, `last`) over the heads of groups.
static ViewStep getGrouped(const AttentionShape &shape, AffineExpr queries,
                           AffineExpr last) {
  return ViewStep::getReshape(getGroupedDims(shape, {queries, last}));
}

/// False if what follows the outputs is not strided over the heads of groups.
static bool setGroupedAccesses(const AttentionShape &shape,
                               graph::DimsOf dimsOf, AttentionSplit &split) {
  AffineExpr size =
      getAffineConstantExpr(shape.valueSize, shape.op->getContext());
  graph::AttentionOp op = shape.op;
  std::string reason;
  auto accesses = getEpilogueAccesses(
      op->getParentOfType<graph::GroupOp>(), op.getResult(),
      {getGrouped(shape, shape.queries, size)}, dimsOf, reason);
  if (accesses)
    split.groupedAccesses = std::move(*accesses);
  return accesses.has_value();
}

std::optional<AttentionSplit>
lathe::kernels::getAttentionSplit(const Capability &capability,
                                  const AttentionShape &shape,
                                  graph::DimsOf dimsOf) {
  constexpr int64_t mostRows = 128;
  if (!takesRows(capability, shape) || shape.list ||
      shape.headsPerKey > mostRows)
    return std::nullopt;
  AttentionSplit split;
  AffineExpr fewQueries = kMostQueries - shape.queries,
             manyKeys = shape.keys - kLeastKeys;
  if (!require(split, fewQueries) || !require(split, manyKeys))
    return std::nullopt;
  // Attention of a sequence to itself never has both.
  if (graph::isSizeAtLeast(-(fewQueries + manyKeys), 1))
    return std::nullopt;
  split.areHeads = shape.headsPerKey > 1;
  split.queries = shape.queries;
  if (!isa<AffineConstantExpr>(shape.queries))
    split.queries = shape.queries % (kMostQueries + 1);
  int64_t rows = kMostQueries;
  if (split.areHeads)
    rows = std::max<int64_t>(rows, llvm::PowerOf2Ceil(shape.headsPerKey));
  setParts(shape, capability.processors, split);
  setTemporaries(shape, split);
  split.severalParts = graph::canonicalizeSize(split.parts - 2);
  auto known = dyn_cast<AffineConstantExpr>(split.severalParts);
  bool mayMerge = !known || known.getValue() >= 0;
  if (mayMerge)
    split.schedules = listSchedules(shape, rows, /*isWhole=*/false);
  if (mayMerge && known)
    return split;
  split.wholeSchedules = listSchedules(shape, rows, /*isWhole=*/true);
  if (!setGroupedAccesses(shape, dimsOf, split))
    return std::nullopt;
  return split;
}

void AttentionSplit::addConditions(KernelBuilder &kernel, bool isWhole) const {
  for (AffineExpr condition : conditions)
    kernel.addCondition(condition);
  if (!isWhole && !isa<AffineConstantExpr>(severalParts))
    kernel.addCondition(severalParts);
}

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

namespace {

/// The first launch. Queries and results are seen over (batch, key head, head
/// of the group, query, ..), of which `rowDim` is the rows'.
class PartKernel {
public:
  PartKernel(LaunchBuilder &launch, const AttentionShape &shape,
             const AttentionSplit &split, const SplitSchedule &schedule,
             bool isWhole, KernelBuilder &kernel)
      : launch(launch), shape(shape), split(split), schedule(schedule),
        isWhole(isWhole), kernel(kernel), b(kernel.getBuilder()), op(shape.op),
        score(createAttentionScore(shape.op, kForm)),
        rowDim(split.areHeads ? 2 : 3) {}

  LogicalResult build();

private:
  void findPosition();
  Value getOwnKey();
  std::pair<Value, Value> getRange();
  FailureOr<Value> loadQuery();
  bool buildBlock(Value key, MutableArrayRef<Value> state);
  Value hide(Value logits, Value key, Value mask);
  Value getDistance(Value key, RankedTensorType positions);
  void storeState(ArrayRef<Value> state);
  LogicalResult buildEpilogue(Value output);
  AffineExpr getParts() const {
    return isWhole ? b.getAffineConstantExpr(1) : split.parts;
  }

  std::pair<int64_t, int64_t> getWindow() {
    auto window = dyn_cast<graph::WindowAttr>(op.getSelection());
    return window ? std::pair(window.getLeft(), window.getRight())
                  : std::pair<int64_t, int64_t>(-1, -1);
  }
  TileWindow::Extent getRows() const { return {rowDim, schedule.rows, false}; }
  FailureOr<Value> evaluate(Value value, const graph::Access &access,
                            const TileWindow &window) {
    return TileEvaluator(kernel, launch.getGroup(), launch.getContext(), window)
        .evaluate(value, access);
  }
  Value toOperand(Value tile) { return toNarrow(b, tile, shape.narrow); }
  Value toI32(Value index) {
    return arith::IndexCastOp::create(b, b.getI32Type(), index);
  }

  LaunchBuilder &launch;
  const AttentionShape &shape;
  const AttentionSplit &split;
  const SplitSchedule &schedule;
  bool isWhole; ///< All keys of a head are its one part.
  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;
  graph::AttentionOp op;
  std::unique_ptr<AttentionScore> score;
  unsigned rowDim;

  Value batch, keyHead, query, part; ///< `query` is the first one.
  Value queryTile;
};

} // namespace

void PartKernel::findPosition() {
  AffineExpr one = b.getAffineConstantExpr(1);
  SmallVector<Value> places =
      kernel.delinearize(kernel.getProgramId(0),
                         {getParts(), split.areHeads ? split.queries : one});
  part = places[0];
  query = places[1];
  keyHead = kernel.getProgramId(1);
  batch = kernel.getProgramId(2);
}

/// Positions are aligned at the end: query i stands at key i + keys - queries.
Value PartKernel::getOwnKey() {
  return kernel.add(query, kernel.getSize(graph::canonicalizeSize(
                               shape.keys - shape.queries)));
}

/// The part's keys, in whole blocks, but for those that no query sees.
std::pair<Value, Value> PartKernel::getRange() {
  Value zero = kernel.getIndex(0);
  Value begin = zero, end = kernel.getSize(shape.keys);
  if (!isWhole) {
    Value size = kernel.getSize(split.partKeys);
    begin = kernel.mul(part, size);
    end = arith::MinSIOp::create(b, kernel.add(begin, size), end);
  }
  auto [before, after] = getWindow();
  if (before >= 0) {
    Value first = arith::MaxSIOp::create(
        b, arith::SubIOp::create(b, getOwnKey(), kernel.getIndex(before)),
        zero);
    first = kernel.mul(kernel.div(first, schedule.keys),
                       kernel.getIndex(schedule.keys));
    begin = arith::MaxSIOp::create(b, begin, first);
  }
  if (after >= 0) {
    int64_t others = split.areHeads ? 0 : schedule.rows - 1;
    Value last = kernel.add(getOwnKey(), kernel.getIndex(others + after + 1));
    end = arith::MinSIOp::create(b, end, arith::MaxSIOp::create(b, last, zero));
  }
  return {begin, end};
}

FailureOr<Value> PartKernel::loadQuery() {
  AffineExpr size = b.getAffineConstantExpr(shape.size);
  graph::Access access{getGrouped(shape, shape.queries, size)};
  Value zero = kernel.getIndex(0);
  TileWindow window;
  window.bases = {batch, keyHead, zero, query, zero};
  window.extents = {getRows(), {4, shape.size, true}};
  FailureOr<Value> tile = evaluate(op.getQuery(), access, window);
  if (failed(tile))
    return failure();
  return toOperand(*tile);
}

/// How far `key` and those after it are from each row's query.
Value PartKernel::getDistance(Value key, RankedTensorType positions) {
  constexpr auto flags = arith::IntegerOverflowFlags::nsw;
  Value base = toI32(arith::SubIOp::create(b, key, getOwnKey()));
  Value distance = tile::IotaOp::create(b, positions, kForm.getKeyAxis());
  if (!split.areHeads)
    distance = arith::SubIOp::create(
        b, distance, tile::IotaOp::create(b, positions, kForm.getQueryAxis()),
        flags);
  return arith::AddIOp::create(
      b, distance, tile::SplatOp::create(b, positions, base), flags);
}

/// Logits of keys that are not there, or not seen, become the hidden one.
Value PartKernel::hide(Value logits, Value key, Value mask) {
  auto type = cast<RankedTensorType>(logits.getType());
  auto positions = type.clone(b.getI32Type());
  Value visible = mask;
  auto require = [&](arith::CmpIPredicate predicate, Value its, int64_t bound) {
    Value limit = kernel.getSplat(type.getShape(), b.getI32Type(), bound);
    its = arith::CmpIOp::create(b, predicate, its, limit);
    visible = visible ? arith::AndIOp::create(b, visible, its) : its;
  };
  auto keys = dyn_cast<AffineConstantExpr>(shape.keys);
  bool isWhole = keys && keys.getValue() % schedule.keys == 0;
  auto [before, after] = getWindow();
  if (!isWhole && score->hidesBeyond()) {
    Value beyond = arith::SubIOp::create(b, key, kernel.getSize(shape.keys));
    Value place = arith::AddIOp::create(
        b, tile::IotaOp::create(b, positions, kForm.getKeyAxis()),
        tile::SplatOp::create(b, positions, toI32(beyond)),
        arith::IntegerOverflowFlags::nsw);
    require(arith::CmpIPredicate::slt, place, 0);
  }
  Value distance =
      before >= 0 || after >= 0 ? getDistance(key, positions) : Value();
  if (before >= 0)
    require(arith::CmpIPredicate::sge, distance, -before);
  if (after >= 0)
    require(arith::CmpIPredicate::sle, distance, after);
  if (!visible)
    return logits;
  Value hidden = kernel.getSplat(type.getShape(), type.getElementType(),
                                 score->getHidden());
  return arith::SelectOp::create(b, visible, logits, hidden);
}

/// False after an error.
bool PartKernel::buildBlock(Value key, MutableArrayRef<Value> state) {
  auto keys = dyn_cast<AffineConstantExpr>(shape.keys);
  bool isInside = keys && keys.getValue() % schedule.keys == 0;
  FailureOr<Value> mask = Value();
  if (op.getMask()) {
    graph::Access access = shape.maskAccess;
    access.push_back(getGrouped(shape, shape.queries, shape.keys));
    TileWindow window{{batch, keyHead, kernel.getIndex(0), query, key},
                      {getRows(), {4, schedule.keys, isInside}}};
    mask = evaluate(op.getMask(), access, window);
  }
  TileWindow window{{batch, keyHead, key, kernel.getIndex(0)},
                    {{3, shape.size, true}, {2, schedule.keys, isInside}}};
  FailureOr<Value> transposed = evaluate(op.getKey(), {}, window);
  window.extents = {{2, schedule.keys, isInside}, {3, shape.valueSize, true}};
  FailureOr<Value> values = evaluate(op.getValue(), {}, window);
  if (failed(mask) || failed(transposed) || failed(values))
    return false;
  Value condition, added;
  if (*mask)
    (getElementTypeOrSelf(*mask).isInteger(1) ? condition : added) = *mask;
  auto type =
      RankedTensorType::get({schedule.rows, schedule.keys}, b.getF32Type());
  Value logits = tile::MmaOp::create(b, queryTile, toOperand(*transposed),
                                     score->getStart(kernel, type, added));
  logits = score->finishLogits(kernel, logits, added);
  logits = hide(logits, key, condition);
  Value weights = score->apply(kernel, logits, state);
  state.back() = tile::MmaOp::create(b, toOperand(weights), toOperand(*values),
                                     state.back());
  return true;
}

/// Where a part's state is among all parts'.
static graph::StridedView getStateView(const Temporary &temporary,
                                       ArrayRef<AffineExpr> dims) {
  graph::Dims all(dims);
  llvm::append_range(all, ArrayRef(temporary.dims).drop_front(dims.size() - 1));
  return graph::StridedView::getContiguous(temporary.elementType.getContext(),
                                           all);
}

void PartKernel::storeState(ArrayRef<Value> state) {
  for (auto [i, tile] : llvm::enumerate(state)) {
    TileWindow window{{batch, keyHead, kernel.getIndex(0), query, part},
                      {getRows()}};
    if (i + 1 == state.size()) {
      window.bases.push_back(kernel.getIndex(0));
      window.extents.push_back({5, shape.valueSize, true});
    }
    kernel.store(tile, kernel.getWrittenBuffer(BufferRef::temporary(i)),
                 getStateView(split.temporaries[i],
                              getGroupedDims(shape, {split.queries})),
                 window);
  }
}

LogicalResult PartKernel::buildEpilogue(Value output) {
  Value zero = kernel.getIndex(0);
  TileWindow window{{batch, keyHead, zero, query, zero},
                    {getRows(), {4, shape.valueSize, true}}};
  graph::GroupOp group = launch.getGroup();
  TileEvaluator evaluator(kernel, group, launch.getContext(), window);
  evaluator.bind(op.getResult(),
                 {getGrouped(shape, shape.queries,
                             b.getAffineConstantExpr(shape.valueSize))},
                 output);
  for (auto [i, value] : llvm::enumerate(group.getYield().getValues())) {
    const graph::Access &access = split.groupedAccesses[i];
    FailureOr<Value> tile = evaluator.evaluate(value, access);
    if (failed(tile) || failed(evaluator.store(*tile, i, access)))
      return failure();
  }
  return success();
}

LogicalResult PartKernel::build() {
  findPosition();
  FailureOr<Value> loaded = loadQuery();
  if (failed(loaded))
    return failure();
  queryTile = *loaded;
  auto [begin, end] = getRange();
  bool succeeded = true;
  SmallVector<Value> state = kernel.forEach(
      begin, end, kernel.getIndex(schedule.keys),
      score->getInitialState(kernel, schedule.rows, shape.valueSize),
      [&](Value key, ValueRange carried) {
        SmallVector<Value> next(carried);
        succeeded = buildBlock(key, next);
        return next;
      });
  if (!isWhole)
    storeState(state);
  else if (failed(buildEpilogue(score->finish(kernel, state))))
    return failure();
  AffineExpr programs = getParts();
  if (split.areHeads)
    programs = programs * split.queries;
  kernel.setGrid({programs, shape.keyHeads, shape.batch});
  return success(succeeded);
}

LogicalResult lathe::kernels::buildPartKernel(LaunchBuilder &launch,
                                              const AttentionShape &shape,
                                              const AttentionSplit &split,
                                              const SplitSchedule &schedule,
                                              bool isWhole,
                                              KernelBuilder &kernel) {
  return PartKernel(launch, shape, split, schedule, isWhole, kernel).build();
}

//===----------------------------------------------------------------------===//
// Merge
//===----------------------------------------------------------------------===//

namespace {

/// What a program of the second launch computes: some columns of the outputs of
/// some heads, of a step's parts.
struct MergeTile {
  int64_t heads, parts, columns;
};

/// The second launch.
class MergeKernel {
public:
  MergeKernel(LaunchBuilder &launch, const AttentionShape &shape,
              const AttentionSplit &split, const MergeTile &its,
              KernelBuilder &kernel)
      : launch(launch), shape(shape), split(split), its(its), kernel(kernel),
        b(kernel.getBuilder()), op(shape.op),
        score(createAttentionScore(shape.op, kForm)) {}

  LogicalResult build();

private:
  SmallVector<Value> loadParts(Value first, ArrayRef<Value> initial);
  LogicalResult buildEpilogue(Value output);

  LaunchBuilder &launch;
  const AttentionShape &shape;
  const AttentionSplit &split;
  MergeTile its;
  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;
  graph::AttentionOp op;
  std::unique_ptr<AttentionScore> score;
  Value batch, head, query, column;
};

} // namespace

/// States from part `first` on; those that are not there are as before the
/// first key.
SmallVector<Value> MergeKernel::loadParts(Value first,
                                          ArrayRef<Value> initial) {
  RankedTensorType type =
      RankedTensorType::get({its.heads, its.parts}, b.getF32Type());
  auto positions = type.clone(b.getI32Type());
  Value left = arith::IndexCastOp::create(
      b, b.getI32Type(),
      arith::SubIOp::create(b, kernel.getSize(split.parts), first));
  Value isThere = arith::CmpIOp::create(
      b, arith::CmpIPredicate::slt, tile::IotaOp::create(b, positions, 1),
      tile::SplatOp::create(b, positions, left));
  SmallVector<Value> loaded;
  for (auto [i, temporary] : llvm::enumerate(split.temporaries)) {
    TileWindow window{{batch, head, query, first},
                      {{1, its.heads, true}, {3, its.parts, false}}};
    bool isOutput = i + 1 == split.temporaries.size();
    if (isOutput) {
      window.bases.push_back(column);
      window.extents.push_back({4, its.columns, true});
    }
    Value tile = kernel.load(
        kernel.getBuffer(BufferRef::temporary(i)),
        graph::StridedView::getContiguous(b.getContext(), temporary.dims),
        window);
    if (!isOutput) { // Outputs begin as zeros, which they read as.
      Value none = tile::BroadcastOp::create(b, type, initial[i],
                                             b.getDenseI64ArrayAttr({0}));
      tile = arith::SelectOp::create(b, isThere, tile, none);
    }
    loaded.push_back(tile);
  }
  return loaded;
}

LogicalResult MergeKernel::buildEpilogue(Value output) {
  TileWindow window{{batch, head, query, column},
                    {{1, its.heads, true}, {3, its.columns, true}}};
  graph::GroupOp group = launch.getGroup();
  TileEvaluator evaluator(kernel, group, launch.getContext(), window);
  evaluator.bind(op.getResult(), {}, output);
  for (auto [i, value] : llvm::enumerate(group.getYield().getValues())) {
    FailureOr<Value> tile = evaluator.evaluate(value, shape.yieldAccesses[i]);
    if (failed(tile) ||
        failed(evaluator.store(*tile, i, shape.yieldAccesses[i])))
      return failure();
  }
  return success();
}

LogicalResult MergeKernel::build() {
  int64_t chunks = shape.valueSize / its.columns;
  SmallVector<Value> places = kernel.delinearize(
      kernel.getProgramId(0), {split.queries, b.getAffineConstantExpr(chunks)});
  query = places[0];
  column = kernel.mul(places[1], kernel.getIndex(its.columns));
  head = kernel.mul(kernel.getProgramId(1), kernel.getIndex(its.heads));
  batch = kernel.getProgramId(2);
  SmallVector<Value> initial =
      score->getInitialState(kernel, its.heads, its.columns);
  SmallVector<Value> state =
      kernel.forEach(kernel.getIndex(0), kernel.getSize(split.parts),
                     kernel.getIndex(its.parts), initial,
                     [&](Value first, ValueRange carried) {
                       SmallVector<Value> next(carried);
                       score->merge(kernel, loadParts(first, initial), next);
                       return next;
                     });
  if (failed(buildEpilogue(score->finish(kernel, state))))
    return failure();
  kernel.setGrid({split.queries * chunks,
                  graph::canonicalizeSize(shape.heads.floorDiv(its.heads)),
                  shape.batch});
  return success();
}

LogicalResult lathe::kernels::buildMergeKernel(LaunchBuilder &launch,
                                               const AttentionShape &shape,
                                               const AttentionSplit &split) {
  // One warp, which meets nobody, loads all that it will need at once: 64
  // registers of outputs, of one head's parts, or, where parts are few, of
  // several heads'.
  constexpr int64_t manyParts = 64, fewParts = 8, mostColumns = 32;
  int64_t columns = std::gcd(shape.valueSize, mostColumns);
  auto build = [&](int64_t heads, int64_t parts, AffineExpr fits) {
    KernelBuilder kernel = launch.addKernel(tile::ScheduleAttr::get(
        launch.getGroup().getContext(), "attention", {heads, parts, columns},
        /*stages=*/1, /*warps=*/1));
    split.addConditions(kernel, /*isWhole=*/false);
    if (fits)
      kernel.addCondition(fits);
    return MergeKernel(launch, shape, split, {heads, parts, columns}, kernel)
        .build();
  };
  auto all = getConstantSize(shape.heads);
  int64_t heads = all ? std::gcd(*all, manyParts / fewParts) : 1;
  AffineExpr areFew = graph::canonicalizeSize(fewParts - split.parts);
  auto known = dyn_cast<AffineConstantExpr>(areFew);
  bool isNever = heads == 1 || (known && known.getValue() < 0);
  if (!isNever && failed(build(heads, fewParts, known ? AffineExpr() : areFew)))
    return failure();
  if (!isNever && known)
    return success();
  return build(1, manyParts, AffineExpr());
}
