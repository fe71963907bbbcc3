// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/HopperAttention.h"
#include "lib/Target/CUDA/HopperSkeleton.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// Warpgroups that pass the token meet in pairs.
static constexpr int64_t kPair = 2 * kWarpgroupSize;

namespace {

/// Where the loops of a program begin and end, and which have a block: numbers
/// of 32 bits, since registers are few.
struct Ranges {
  SmallVector<Value, 3> begins, ends, has;
  Value isAny;
};

/// What one iteration leaves to the next.
struct State {
  Registers sums;       ///< Outputs without the last block's.
  Registers words;      ///< The last block's weights, two in an i32.
  Registers statistics; ///< Of rows, one carried tile after the other.
};

class AttentionLowering : HopperSkeleton {
public:
  AttentionLowering(const AttentionChain &chain, const Level &level)
      : HopperSkeleton(chain.kernel, level), chain(chain),
        scoreLayout(getSums(chain.getKeys())),
        sumLayout(getSums(chain.getValueSize())) {
    SmallVector<int64_t> source;
    rowLayout = scoreLayout.project({0}).withoutRepeatedRegisters(source);
  }

  FailureOr<bool> lower(std::string &reason);

private:
  /// Of a power of two of warpgroups, as rows are counted; there may be fewer.
  LinearLayout getSums(int64_t columns) const {
    int64_t rows = llvm::PowerOf2Ceil(chain.getRows());
    return getWarpgroupSums({rows, columns}, rows / kWgmmaRows);
  }

  // The block.
  void emitEntry();
  void emitBarriers();
  void freeOf(const CopyRing &ring, Value count);
  /// Runs `body` for each of the block's programs; it takes and gives what is
  /// carried.
  void
  emitPrograms(Emitter &emitter, ArrayRef<Value> carried,
               llvm::function_ref<SmallVector<Value>(ValueRange carried)> body);

  // Loads.
  void emitLoader(Emitter &emitter);
  SmallVector<Value> getCoordinates(Emitter &emitter, ArrayRef<Value> indices);
  void emitLoad(Emitter &emitter, const CopyRing &ring, const TileBoxes &box,
                Value map, Value count);
  void emitMasks(Emitter &emitter, const AttentionLoop &its, Value count);

  // Products.
  void emitConsumer(Emitter &emitter);
  LogicalResult emitChain(Emitter &emitter);
  State emitLoops(Emitter &emitter, const Ranges &ranges, Value &count);
  void anchorResults(Emitter &emitter, const State &state);
  Ranges getRanges(Emitter &emitter);
  void readMasks(Emitter &emitter, const AttentionLoop &its, Value count);
  Registers multiplyScores(Value count);
  Registers multiplyValues(const Registers &sums, const Registers &words,
                           Value count);
  State emitFirstOf(Emitter &emitter, size_t number, Registers scores,
                    const Ranges &ranges, Value count);
  State emitLoop(Emitter &emitter, const AttentionLoop &its, Value begin,
                 Value end, State state, Value &count);
  State getInitial(Emitter &emitter);
  /// The body of a loop on sums of scores; `wait` says when the sums of outputs
  /// and the weights, which pass through it, may be touched.
  State emitBody(Emitter &emitter, const AttentionLoop &its, Value place,
                 const Registers &scores, const Registers &statistics,
                 llvm::function_ref<Registers(Registers &weights)> wait);
  Registers toLayout(const Registers &sums, int64_t columns);

  SmallVector<Value> flatten(const State &state) const {
    SmallVector<Value> flat(state.sums);
    llvm::append_range(flat, state.words);
    llvm::append_range(flat, state.statistics);
    return flat;
  }
  State unflatten(ValueRange flat) const {
    int64_t words = chain.getKeys() / 4, sums = countSums();
    return {Registers(flat.take_front(sums)),
            Registers(flat.slice(sums, words)),
            Registers(flat.drop_front(sums + words))};
  }
  int64_t countSums() const { return chain.getValueSize() / 2; }
  int64_t countScores() const { return chain.getKeys() / 2; }
  int64_t getConsumerThreads() const {
    return chain.warpgroups * kWarpgroupSize;
  }

  // Results.
  LogicalResult emitResults(Emitter &emitter);

  // Scalars.
  Value compare(arith::CmpIPredicate how, Value x, Value y) {
    return arith::CmpIOp::create(b, how, x, y);
  }
  Value select(Value which, Value x, Value y) {
    return arith::SelectOp::create(b, which, x, y);
  }
  Value toI32(Value number) {
    if (number.getType().isIndex())
      return arith::IndexCastOp::create(b, b.getI32Type(), number);
    return arith::TruncIOp::create(b, b.getI32Type(), number);
  }

  const AttentionChain &chain;
  AttentionChain::Memory memory = chain.getMemory();
  LinearLayout scoreLayout, sumLayout, rowLayout;
  LogicalResult result = success();

  // Values of the entry.
  CopyRing queries, keys, values, masks;
  Value queryMap, keyMap, valueMap, resultMap;
  SmallVector<Value> maskMaps;
  Value threadInWarpgroup, warpgroup;
  Value rows, heads; ///< Programs along x, and along y and z.
  Value batches;     ///< Along y alone.
  Value firstQueries, firstKeys, firstValues; ///< Descriptors of first stages.

  // Of the program that is emitted.
  Value queryCount, keyCount; ///< Programs and blocks of keys before.
  Value queryDescriptor;
};

} // namespace

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

/// A thread speaks for its warpgroup, whose products have read the stage.
void AttentionLowering::freeOf(const CopyRing &ring, Value count) {
  h.when(isEqual(threadInWarpgroup, 0), [&] { ring.free(count); });
}

void AttentionLowering::emitEntry() {
  function = createFunction(kernel, getConsumerThreads() + kWarpgroupSize);
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    b.getI32IntegerAttr(1));
  arguments = createEntry(b, function);
  const AttentionLoop &its = chain.loops.front();
  queryMap = addTensorMap(function, chain.queries.map);
  keyMap = addTensorMap(function, its.keys.map);
  valueMap = addTensorMap(function, its.values.map);
  for (const MaskBox &mask : its.masks)
    maskMaps.push_back(addTensorMap(function, mask.map));
  if (chain.store)
    resultMap = addTensorMap(function, chain.results.map);
  thread = NVVM::ThreadIdXOp::create(b, b.getI32Type());
  warp = h.getWarp(thread);
  warpgroup = div(warp, h.constant(kWarpgroupWarps));
  threadInWarpgroup =
      arith::AndIOp::create(b, thread, h.constant(kWarpgroupSize - 1));
  shared = LLVM::AddressOfOp::create(
      b, LLVM::LLVMPointerType::get(b.getContext(), 3),
      ModuleSymbols::shared.str());
  queries = {b, shared, memory.queries};
  keys = {b, shared, memory.keys};
  values = {b, shared, memory.values};
  masks = {b, shared, memory.masks};
  auto grid = getGrid(function, LaunchGrid::Persistent);
  rows = toI32(grid[0]);
  batches = toI32(grid[1]);
  heads = mul(batches, toI32(grid[2]));
}

void AttentionLowering::emitBarriers() {
  h.when(isEqual(thread, 0), [&] {
    for (const CopyRing &ring : {queries, keys, values})
      ring.init(chain.warpgroups);
    for (Value map : {queryMap, keyMap, valueMap})
      h.prefetchMap(map);
    if (!maskMaps.empty())
      masks.init(chain.warpgroups * kWarpgroupWarps);
    for (Value map : maskMaps)
      h.prefetchMap(map);
    if (resultMap)
      h.prefetchMap(resultMap);
    h.fenceBarrierInit();
  });
  NVVM::Barrier0Op::create(b);
}

/// Programs of one head follow each other, so that K and V stay in the cache.
/// Uneven ones come in pairs: at its even turns a block takes a long program of
/// one head, at its odd turns the short one of the next head that makes it up;
/// not so where every block has one program.
void AttentionLowering::emitPrograms(
    Emitter &emitter, ArrayRef<Value> carried,
    llvm::function_ref<SmallVector<Value>(ValueRange carried)> body) {
  Value block = NVVM::BlockIdXOp::create(b, b.getI32Type());
  Value blocks = NVVM::GridDimXOp::create(b, b.getI32Type());
  Value one = h.constant(1), count = mul(rows, heads);
  auto turnsOf = [&](Value all) {
    return div(sub(h.add(sub(all, block), blocks), one), blocks);
  };
  Value turns = turnsOf(count), isPaired;
  if (chain.isUneven) {
    isPaired = compare(arith::CmpIPredicate::ugt, count, blocks);
    Value pairs = mul(rows, div(h.add(heads, one), h.constant(2)));
    // Blocks beyond the last pair have none.
    Value some = compare(arith::CmpIPredicate::ult, block, pairs);
    Value twice = select(some, h.mul(turnsOf(pairs), 2), h.constant(0));
    turns = select(isPaired, twice, turns);
  }
  auto loop = scf::ForOp::create(b, h.constant(0), turns, one, carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(loop.getBody());
  Value turn = loop.getInductionVar(), odd;
  Value step = turn;
  if (chain.isUneven) {
    odd = arith::AndIOp::create(b, turn, one);
    step = select(isPaired, div(turn, h.constant(2)), turn);
  }
  Value number = h.add(mul(step, blocks), block);
  Value head = div(number, rows), x = rem(number, rows);
  if (chain.isUneven) {
    head = select(isPaired, h.add(h.mul(head, 2), odd), head);
    Value isLong = compare(arith::CmpIPredicate::eq, odd, h.constant(0));
    isLong = arith::AndIOp::create(b, isLong, isPaired);
    x = select(isLong, sub(sub(rows, one), x), x);
  }
  mapPosition(emitter, x, rem(head, batches), div(head, batches));
  ValueRange before = loop.getRegionIterArgs();
  if (!chain.isUneven) {
    scf::YieldOp::create(b, body(before));
    return;
  }
  Value exists = compare(arith::CmpIPredicate::ult, head, heads);
  SmallVector<Type> types(before.getTypes());
  auto branch = scf::IfOp::create(b, types, exists, /*withElseRegion=*/true);
  b.setInsertionPointToEnd(branch.thenBlock());
  scf::YieldOp::create(b, body(before));
  b.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(b, before);
  b.setInsertionPointAfter(branch);
  scf::YieldOp::create(b, branch.getResults());
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

SmallVector<Value> AttentionLowering::getCoordinates(Emitter &emitter,
                                                     ArrayRef<Value> indices) {
  return llvm::map_to_vector(
      indices, [&](Value index) { return toI32(emitter.getScalar(index)); });
}

void AttentionLowering::emitLoad(Emitter &emitter, const CopyRing &ring,
                                 const TileBoxes &box, Value map, Value count) {
  Value full = ring.beginFill(count), to = ring.getAddress(count);
  for (int64_t i = 0; i < box.getBoxes(); ++i) {
    SmallVector<Value> coordinates = getCoordinates(emitter, box.indices);
    if (i > 0)
      coordinates[0] =
          h.add(coordinates[0], h.constant(i * SharedMatrix::kLineElements));
    h.loadBox(h.getAddress(to, i * box.getLines() * kSwizzleBytes), map,
              coordinates, full);
  }
}

void AttentionLowering::emitMasks(Emitter &emitter, const AttentionLoop &its,
                                  Value count) {
  if (its.masks.empty())
    return;
  Value full = masks.beginFill(count), to = masks.getAddress(count);
  int64_t offset = 0;
  for (auto [mask, map] : llvm::zip_equal(its.masks, maskMaps)) {
    h.loadBox(h.getAddress(to, offset), map,
              getCoordinates(emitter, mask.indices), full);
    offset += mask.bytes;
  }
}

/// One thread loads for all warpgroups.
void AttentionLowering::emitLoader(Emitter &emitter) {
  auto loadProgram = [&](ValueRange carried) -> SmallVector<Value> {
    if (failed(emitter.emitBefore(chain.loops.front().loop)))
      result = failure();
    emitLoad(emitter, queries, chain.queries, queryMap, carried[0]);
    Value count = carried[1];
    for (const AttentionLoop &its : chain.loops) {
      scf::ForOp loop = its.loop;
      auto bound = [&](Value value) { return toI32(emitter.getScalar(value)); };
      auto own = scf::ForOp::create(b, bound(loop.getLowerBound()),
                                    bound(loop.getUpperBound()),
                                    bound(loop.getStep()), count);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToEnd(own.getBody());
      Value at = own.getRegionIterArg(0);
      LogicalResult body = emitter.emitBody(
          loop, toIndex(own.getInductionVar()), /*onlyScalars=*/true, [&] {
            emitLoad(emitter, keys, its.keys, keyMap, at);
            emitMasks(emitter, its, at);
            emitLoad(emitter, values, its.values, valueMap, at);
            return success();
          });
      if (failed(body))
        result = failure();
      scf::YieldOp::create(b, h.add(at, h.constant(1)));
      count = own.getResult(0);
    }
    return {h.add(carried[0], h.constant(1)), count};
  };
  emitPrograms(emitter, {h.constant(0), h.constant(0)}, loadProgram);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// What the loop's masks have for the thread's scores; other threads of its
/// warp have read the stage when it is freed.
void AttentionLowering::readMasks(Emitter &emitter, const AttentionLoop &its,
                                  Value count) {
  if (its.masks.empty())
    return;
  masks.waitFull(count);
  // The emitter counts from the end of what is the skeleton's.
  int64_t offset = memory.masks.first - memory.end;
  Value base = toIndex(masks.getOffset(count));
  for (const MaskBox &mask : its.masks) {
    tile::LoadOp load = mask.load;
    Home home = Home::getBox(load.getType().getElementType(), /*lineDim=*/1,
                             mask.lineBytes);
    home.offset = offset;
    home.base = base;
    emitter.anchorRead(load, home, scoreLayout);
    offset += mask.bytes;
  }
  h.syncWarp();
  h.when(h.elect(), [&] { masks.free(count); });
}

/// Q K^T of a block; in flight.
Registers AttentionLowering::multiplyScores(Value count) {
  WgmmaShape shape;
  shape.element = chain.queries.map.element;
  shape.columns = chain.getKeys();
  SharedMatrix q = chain.queries.getMatrix(1);
  SharedMatrix k = chain.loops.front().keys.getMatrix(0);
  Value right = h.advance(firstKeys, keys.getOffset(count));
  h.fenceProducts();
  Registers sums;
  for (int64_t step = 0; step < chain.getSize(); step += kWgmmaDepth)
    sums = h.multiply(shape, h.advance(queryDescriptor, q.getOffset(0, step)),
                      h.advance(right, k.getOffset(0, step)), sums);
  h.commitProducts();
  return sums;
}

/// Adds P V of a block; in flight.
Registers AttentionLowering::multiplyValues(const Registers &sums,
                                            const Registers &words,
                                            Value count) {
  WgmmaShape shape;
  shape.element = chain.queries.map.element;
  shape.columns = chain.getValueSize();
  shape.isBKMajor = false;
  SharedMatrix v = chain.loops.front().values.getMatrix(0);
  Value right = h.advance(firstValues, values.getOffset(count));
  h.fenceProducts();
  Registers added = sums;
  for (int64_t step = 0; step < chain.getKeys(); step += kWgmmaDepth)
    added = h.multiply(shape, ArrayRef(words).slice(step / 4, 4),
                       h.advance(right, v.getOffset(0, step)), added);
  h.commitProducts();
  return added;
}

/// In the order of the layout, which counts columns in powers of two.
Registers AttentionLowering::toLayout(const Registers &sums, int64_t columns) {
  Registers result = sums;
  int64_t padded = int64_t(llvm::PowerOf2Ceil(columns)) / 2;
  if (padded > int64_t(sums.size()))
    result.append(padded - sums.size(),
                  LLVM::PoisonOp::create(b, b.getF32Type()));
  return result;
}

State AttentionLowering::emitBody(
    Emitter &emitter, const AttentionLoop &its, Value place,
    const Registers &scores, const Registers &statistics,
    llvm::function_ref<Registers(Registers &weights)> wait) {
  scf::ForOp loop = its.loop;
  tile::MmaOp scoresOp = its.scores, outputs = its.outputs;
  emitter.anchor(scoresOp.getResult(), scoreLayout,
                 toLayout(scores, chain.getKeys()));
  int64_t perTile = rowLayout.getSize(LinearLayout::Register), next = 0;
  for (auto [i, tile] : llvm::enumerate(loop.getRegionIterArgs()))
    if (i != chain.sums) {
      emitter.anchor(tile, rowLayout,
                     Registers(ArrayRef(statistics).slice(next, perTile)));
      next += perTile;
    }
  State after;
  LogicalResult body = emitter.emitBody(loop, toIndex(place), false, [&] {
    Registers weights = emitter.get(its.getWeights(), scoreLayout);
    weights.truncate(countScores());
    for (auto [i, tile] : llvm::enumerate(loop.getYieldedValues()))
      if (i != chain.sums)
        llvm::append_range(after.statistics, emitter.get(tile, rowLayout));
    Registers sums = wait(weights);
    emitter.anchor(loop.getRegionIterArg(chain.sums), sumLayout,
                   toLayout(sums, chain.getValueSize()));
    after.sums = emitter.get(outputs.getAcc(), sumLayout);
    after.sums.truncate(countSums());
    for (size_t i = 0; i < weights.size(); i += 2)
      after.words.push_back(
          h.pack(weights[i], weights[i + 1], chain.queries.map.element));
    return success();
  });
  if (failed(body))
    result = failure();
  return after;
}

State AttentionLowering::getInitial(Emitter &emitter) {
  State initial;
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
  Value none = h.constant(0);
  initial.sums.assign(countSums(), zero);
  initial.words.assign(chain.getKeys() / 4, none);
  scf::ForOp loop = chain.loops.front().loop;
  for (auto [i, tile] : llvm::enumerate(loop.getInitArgs()))
    if (i != chain.sums)
      llvm::append_range(initial.statistics, emitter.get(tile, rowLayout));
  return initial;
}

/// The first block of keys: that of the first loop which has one.
State AttentionLowering::emitFirstOf(Emitter &emitter, size_t number,
                                     Registers scores, const Ranges &ranges,
                                     Value count) {
  State initial = getInitial(emitter);
  auto emit = [&] {
    readMasks(emitter, chain.loops[number], count);
    return emitBody(emitter, chain.loops[number], ranges.begins[number], scores,
                    initial.statistics,
                    [&](Registers &) { return initial.sums; });
  };
  if (number + 1 == chain.loops.size())
    return emit();
  SmallVector<Type> types;
  for (Value value : flatten(initial))
    types.push_back(value.getType());
  auto branch = scf::IfOp::create(b, types, ranges.has[number],
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(branch.thenBlock());
  scf::YieldOp::create(b, flatten(emit()));
  b.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(
      b, flatten(emitFirstOf(emitter, number + 1, scores, ranges, count)));
  return unflatten(branch.getResults());
}

/// The rest of a loop's blocks: `count` are before, of which the last one's
/// weights are still to be multiplied.
State AttentionLowering::emitLoop(Emitter &emitter, const AttentionLoop &its,
                                  Value begin, Value end, State state,
                                  Value &count) {
  scf::ForOp source = its.loop;
  SmallVector<Value> carried = flatten(state);
  carried.push_back(count);
  Value step = toI32(emitter.getScalar(source.getStep()));
  auto loop = scf::ForOp::create(b, begin, end, step, carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(loop.getBody());
  State old = unflatten(ValueRange(loop.getRegionIterArgs()).drop_back());
  Value at = loop.getRegionIterArgs().back();
  Value before = sub(at, h.constant(1));
  bool takesTurns = chain.warpgroups > 1;
  Value own = h.add(warpgroup, h.constant(1));
  keys.waitFull(at);
  if (takesTurns)
    h.syncNamed(own, kPair);
  Registers scores = multiplyScores(at);
  values.waitFull(before);
  Registers sums = multiplyValues(old.sums, old.words, before);
  if (takesTurns) {
    Value other = rem(own, h.constant(chain.warpgroups));
    h.arriveNamed(h.add(other, h.constant(1)), kPair);
  }
  readMasks(emitter, its, at);
  scores = h.waitProducts(1, scores);
  freeOf(keys, at);
  auto wait = [&](Registers &weights) {
    // Weights are packed only now: words must not be written in a stage.
    Registers all = sums;
    llvm::append_range(all, weights);
    all = h.waitProducts(0, all, old.words);
    freeOf(values, before);
    weights.assign(all.begin() + sums.size(), all.end());
    all.truncate(sums.size());
    return all;
  };
  State next = emitBody(emitter, its, loop.getInductionVar(), scores,
                        old.statistics, wait);
  SmallVector<Value> yields = flatten(next);
  yields.push_back(h.add(at, h.constant(1)));
  scf::YieldOp::create(b, yields);
  count = loop.getResults().back();
  return unflatten(ValueRange(loop.getResults()).drop_back());
}

/// `emitter` is at the first loop.
Ranges AttentionLowering::getRanges(Emitter &emitter) {
  Ranges ranges;
  for (const AttentionLoop &its : chain.loops) {
    scf::ForOp loop = its.loop;
    Value begin = toI32(emitter.getScalar(loop.getLowerBound()));
    Value end = toI32(emitter.getScalar(loop.getUpperBound()));
    Value has = compare(arith::CmpIPredicate::slt, begin, end);
    ranges.begins.push_back(begin);
    ranges.ends.push_back(end);
    ranges.has.push_back(has);
    ranges.isAny =
        ranges.isAny ? Value(arith::OrIOp::create(b, ranges.isAny, has)) : has;
  }
  return ranges;
}

/// All blocks, of which there is one; `count` are before, and after.
State AttentionLowering::emitLoops(Emitter &emitter, const Ranges &ranges,
                                   Value &count) {
  keys.waitFull(count);
  Registers scores = h.waitProducts(0, multiplyScores(count));
  freeOf(keys, count);
  State state = emitFirstOf(emitter, 0, scores, ranges, count);
  count = h.add(count, h.constant(1));
  Value isDone;
  for (auto [number, its] : llvm::enumerate(chain.loops)) {
    scf::ForOp loop = its.loop;
    Value begin = ranges.begins[number];
    Value second = h.add(begin, toI32(emitter.getScalar(loop.getStep())));
    // Of the first loop that has a block, the first one is done.
    Value start = isDone ? select(isDone, begin, second) : second;
    isDone = isDone ? Value(arith::OrIOp::create(b, isDone, ranges.has[number]))
                    : ranges.has[number];
    state = emitLoop(emitter, its, start, ranges.ends[number], state, count);
  }
  Value last = sub(count, h.constant(1));
  values.waitFull(last);
  Registers sums = multiplyValues(state.sums, state.words, last);
  state.sums = h.waitProducts(0, sums, state.words);
  freeOf(values, last);
  return state;
}

/// All loops; anchors what they result in.
LogicalResult AttentionLowering::emitChain(Emitter &emitter) {
  Ranges ranges = getRanges(emitter);
  queries.waitFull(queryCount);
  queryDescriptor = h.advance(firstQueries, queries.getOffset(queryCount));
  SmallVector<Value> none = flatten(getInitial(emitter));
  none.push_back(keyCount);
  SmallVector<Type> types;
  for (Value value : none)
    types.push_back(value.getType());
  auto branch =
      scf::IfOp::create(b, types, ranges.isAny, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(branch.elseBlock());
    scf::YieldOp::create(b, none);
    b.setInsertionPointToEnd(branch.thenBlock());
    Value count = keyCount;
    SmallVector<Value> yields = flatten(emitLoops(emitter, ranges, count));
    yields.push_back(count);
    scf::YieldOp::create(b, yields);
  }
  if (!chain.store)
    freeOf(queries, queryCount);
  keyCount = branch.getResults().back();
  anchorResults(emitter,
                unflatten(ValueRange(branch.getResults()).drop_back()));
  return success();
}

void AttentionLowering::anchorResults(Emitter &emitter, const State &state) {
  scf::ForOp loop = chain.loops.back().loop;
  int64_t perTile = rowLayout.getSize(LinearLayout::Register), next = 0;
  for (auto [i, tile] : llvm::enumerate(loop.getResults())) {
    if (i == chain.sums) {
      emitter.anchor(tile, sumLayout,
                     toLayout(state.sums, chain.getValueSize()));
      continue;
    }
    Registers own(ArrayRef(state.statistics).slice(next, perTile));
    if (chain.loops.back().totals[i])
      emitter.reduceLanes(tile::Combine::Add, scoreLayout, 1, own);
    emitter.anchor(tile, rowLayout, own);
    next += perTile;
  }
}

/// Each warpgroup writes its rows over its own queries, as the copy engine has
/// boxes, and one of its threads sends them off.
LogicalResult AttentionLowering::emitResults(Emitter &emitter) {
  tile::StoreOp store = chain.store;
  Value wide = store.getTile().getDefiningOp<arith::TruncFOp>().getIn();
  Registers sums = emitter.get(wide, sumLayout);
  SharedMatrix boxes = chain.queries.getMatrix(1);
  Value to = h.getNumber(queries.getAddress(queryCount));
  Value own = h.add(to, h.mul(warpgroup, boxes.getOffset(kWgmmaRows, 0)));
  // Lane 8i + r has row r of the i-th of four matrices of 8x8: two of rows, the
  // same of the next columns. A piece of 16 bytes changes places by its row.
  auto bits = [&](Value from, int64_t shift, int64_t mask) -> Value {
    if (shift)
      from = arith::ShRUIOp::create(b, from, h.constant(shift));
    return arith::AndIOp::create(b, from, h.constant(mask));
  };
  Value warpInGroup = bits(threadInWarpgroup, 5, 3);
  Value row = h.add(h.mul(warpInGroup, 16), bits(thread, 0, 15));
  Value piece =
      arith::XOrIOp::create(b, bits(thread, 0, 7), bits(thread, 4, 1));
  Value at = h.add(h.add(own, h.mul(row, kSwizzleBytes)), h.mul(piece, 16));
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), 3);
  for (int64_t column = 0; column < chain.getValueSize(); column += 16) {
    Value here = h.add(at, h.constant(boxes.getOffset(0, column / 64 * 64)));
    here = arith::XOrIOp::create(b, here, h.constant(column % 64 * 2));
    SmallVector<Value> words;
    for (int64_t i = column / 2; i < column / 2 + 8; i += 2)
      words.push_back(h.pack(sums[i], sums[i + 1], chain.queries.map.element));
    h.storeMatrices(LLVM::IntToPtrOp::create(b, pointer, here), words);
  }
  h.fenceAsync();
  h.syncNamed(h.add(warpgroup, h.constant(chain.warpgroups + 2)),
              kWarpgroupSize);
  h.when(isEqual(threadInWarpgroup, 0), [&] {
    for (int64_t i = 0; i < chain.results.getBoxes(); ++i) {
      SmallVector<Value> coordinates =
          getCoordinates(emitter, chain.results.indices);
      coordinates[0] =
          h.add(coordinates[0], h.constant(i * SharedMatrix::kLineElements));
      coordinates[1] = h.add(coordinates[1], h.mul(warpgroup, kWgmmaRows));
      Value from = h.add(own, h.constant(i * boxes.getBoxBytes()));
      h.storeBox(resultMap, LLVM::IntToPtrOp::create(b, pointer, from),
                 coordinates);
    }
    h.commitStores();
    h.waitStores(0, /*isRead=*/true);
    queries.free(queryCount);
  });
  return success();
}

void AttentionLowering::emitConsumer(Emitter &emitter) {
  Value number = h.getNumber(shared);
  const AttentionLoop &its = chain.loops.front();
  SharedMatrix q = chain.queries.getMatrix(1);
  Value own = h.mul(warpgroup, q.getOffset(kWgmmaRows, 0));
  auto at = [&](const CopyRing::Place &ring) {
    return h.add(number, h.constant(ring.first));
  };
  firstQueries = h.getDescriptor(h.add(number, own), q);
  firstKeys = h.getDescriptor(at(memory.keys), its.keys.getMatrix(0));
  firstValues = h.getDescriptor(at(memory.values), its.values.getMatrix(0));
  // The token starts at the first warpgroup.
  if (chain.warpgroups > 1)
    h.when(isEqual(warpgroup, chain.warpgroups - 1),
           [&] { h.arriveNamed(h.constant(1), kPair); });
  for (const AttentionLoop &each : chain.loops) {
    for (tile::ReduceOp total : each.totals)
      if (total)
        emitter.keepPartial(total);
    bool isFirst = &each == chain.loops.begin();
    emitter.replaceLoop(each.loop, [&, isFirst](scf::ForOp) {
      return isFirst ? emitChain(emitter) : success();
    });
  }
  if (chain.store)
    emitter.replaceStore(chain.store, [&] { return emitResults(emitter); });
  emitPrograms(emitter, {h.constant(0), h.constant(0)},
               [&](ValueRange carried) -> SmallVector<Value> {
                 queryCount = carried[0];
                 keyCount = carried[1];
                 if (failed(emitter.emitProgram(/*isRepeated=*/true)))
                   result = failure();
                 return {h.add(queryCount, h.constant(1)), keyCount};
               });
}

/// Registers of a thread that loads, and of one that multiplies: as many as the
/// launch gave to all of them. Places in three loops, and those of masks, take
/// more to load.
static std::pair<int64_t, int64_t> getRegisters(const AttentionChain &chain) {
  switch (chain.warpgroups) {
  case 2:
    if (chain.loops.size() > 2 || !chain.loops.front().masks.empty())
      return {40, 232};
    return {24, 240};
  case 3:
    return {32, 160};
  case 4:
    return {24, 112};
  default:
    return {0, 0};
  }
}

FailureOr<bool> AttentionLowering::lower(std::string &reason) {
  emitEntry();
  ThreadGroup group;
  group.warps = chain.warpgroups * kWarpgroupWarps;
  group.thread = thread;
  // 0 is the block's, the next ones are those of the turns.
  group.barrier = h.constant(chain.warpgroups + 1);
  group.shared = h.getAddress(shared, memory.end);
  Emitter loader(kernel, group, b), emitter(kernel, group, b);
  mapArguments(loader);
  mapArguments(emitter);
  emitBarriers();
  if (level.overlaps)
    createOverlap(b, function);
  int64_t fewer, more;
  std::tie(fewer, more) = getRegisters(chain);
  auto load = [&] {
    if (fewer)
      h.setRegisters(fewer, /*isMore=*/false);
    Value isFirst = isEqual(warp, getConsumerThreads() / kWarpSize);
    h.when(isFirst, [&] { h.when(h.elect(), [&] { emitLoader(loader); }); });
  };
  auto multiply = [&] {
    if (more)
      h.setRegisters(more, /*isMore=*/true);
    emitConsumer(emitter);
  };
  h.when(isEqual(warpgroup, chain.warpgroups), load, multiply);
  LLVM::ReturnOp::create(b, ValueRange());
  if (failed(result))
    return failure();
  int64_t bytes = memory.end + emitter.getSharedBytes();
  if (bytes > level.getSharedBytes()) {
    function.erase();
    return reason = "what it keeps of tiles leaves no room for its stages",
           false;
  }
  function->setAttr(kSharedBytesAttr, b.getI64IntegerAttr(bytes));
  kernel.erase();
  return true;
}

FailureOr<bool> cuda::lowerAttention(const AttentionChain &chain,
                                     const Level &level, std::string &reason) {
  return AttentionLowering(chain, level).lower(reason);
}
