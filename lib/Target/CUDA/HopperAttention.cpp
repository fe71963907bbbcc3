// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/HopperAttention.h"
#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/CUDA/Launch.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

static constexpr int64_t kStages = AttentionChain::kStages;
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

class AttentionLowering {
public:
  AttentionLowering(const AttentionChain &chain, const Level &level)
      : chain(chain), level(level), kernel(chain.kernel),
        b(kernel.getLoc(), kernel.getContext()), h(b),
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

  enum Ring { Queries, Keys, Values };

  // The block.
  void emitEntry();
  void emitBarriers();
  void mapArguments(Emitter &emitter) {
    emitter.getMapping().map(kernel.getBody().getArguments(), arguments);
  }
  int64_t getStages(Ring ring) const {
    return ring == Queries ? chain.queryStages : kStages;
  }
  int64_t getBytes(Ring ring) const;
  int64_t getOffset(Ring ring) const;
  Value getBarrier(Ring ring, bool isFull, Value stage);
  RingPosition getPosition(Ring ring, Value count);
  void waitFull(Ring ring, Value count);
  void free(Ring ring, Value count);
  /// Runs `body` for each of the block's programs; it takes and gives what is
  /// carried.
  void
  emitPrograms(Emitter &emitter, ArrayRef<Value> carried,
               llvm::function_ref<SmallVector<Value>(ValueRange carried)> body);

  // Loads.
  void emitLoader(Emitter &emitter);
  void emitLoad(Emitter &emitter, Ring ring, const TileBoxes &box, Value count);

  // Products.
  void emitConsumer(Emitter &emitter);
  LogicalResult emitChain(Emitter &emitter);
  State emitLoops(Emitter &emitter, const Ranges &ranges, Value &count);
  void anchorResults(Emitter &emitter, const State &state);
  Ranges getRanges(Emitter &emitter);
  Registers multiplyScores(Value count);
  Registers multiplyValues(const Registers &sums, const Registers &words,
                           Value count);
  State emitFirstOf(Emitter &emitter, size_t number, Registers scores,
                    const Ranges &ranges);
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
  Value div(Value x, Value y) { return arith::DivUIOp::create(b, x, y); }
  Value rem(Value x, Value y) { return arith::RemUIOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value compare(arith::CmpIPredicate how, Value x, Value y) {
    return arith::CmpIOp::create(b, how, x, y);
  }
  Value isEqual(Value x, int64_t y) {
    return compare(arith::CmpIPredicate::eq, x, h.constant(y));
  }
  Value select(Value which, Value x, Value y) {
    return arith::SelectOp::create(b, which, x, y);
  }
  Value toI32(Value number) {
    if (number.getType().isIndex())
      return arith::IndexCastOp::create(b, b.getI32Type(), number);
    return arith::TruncIOp::create(b, b.getI32Type(), number);
  }
  Value toIndex(Value number) {
    return arith::IndexCastUIOp::create(b, b.getIndexType(), number);
  }

  const AttentionChain &chain;
  const Level &level;
  tile::KernelOp kernel;
  ImplicitLocOpBuilder b;
  HopperEmitter h;
  LinearLayout scoreLayout, sumLayout, rowLayout;
  LLVM::LLVMFuncOp function;
  LogicalResult result = success();

  // Values of the entry.
  Value thread, warp, shared, maps[3], resultMap;
  Value threadInWarpgroup, warpgroup;
  Value rows, heads; ///< Programs along x, and along y and z.
  Value batches;     ///< Along y alone.
  SmallVector<Value> arguments;
  Value first[3]; ///< Descriptors of the first stages.

  // Of the program that is emitted.
  Value queryCount, keyCount; ///< Programs and blocks of keys before.
  Value queryDescriptor;
};

} // namespace

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

int64_t AttentionLowering::getBytes(Ring ring) const {
  const AttentionLoop &its = chain.loops.front();
  return ring == Queries ? chain.queries.getBytes()
         : ring == Keys  ? its.keys.getBytes()
                         : its.values.getBytes();
}

int64_t AttentionLowering::getOffset(Ring ring) const {
  int64_t offset = 0;
  for (Ring its : {Queries, Keys, Values}) {
    if (its == ring)
      break;
    offset += getStages(its) * getBytes(its);
  }
  return offset;
}

Value AttentionLowering::getBarrier(Ring ring, bool isFull, Value stage) {
  int64_t offset = getOffset(Values) + kStages * getBytes(Values);
  offset += (2 * ring + isFull) * kStages * kBarrierBytes;
  return h.getAddress(h.getAddress(shared, offset),
                      h.mul(stage, kBarrierBytes));
}

RingPosition AttentionLowering::getPosition(Ring ring, Value count) {
  Value stages = h.constant(getStages(ring));
  Value round = div(count, stages);
  return {rem(count, stages), arith::AndIOp::create(b, round, h.constant(1))};
}

void AttentionLowering::waitFull(Ring ring, Value count) {
  RingPosition at = getPosition(ring, count);
  h.waitBarrier(getBarrier(ring, true, at.stage), at.parity);
}

/// A thread speaks for its warpgroup, whose products have read the stage.
void AttentionLowering::free(Ring ring, Value count) {
  RingPosition at = getPosition(ring, count);
  h.when(isEqual(threadInWarpgroup, 0),
         [&] { h.arrive(getBarrier(ring, false, at.stage)); });
}

void AttentionLowering::emitEntry() {
  function = createFunction(kernel, getConsumerThreads() + kWarpgroupSize);
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    b.getI32IntegerAttr(1));
  arguments = createEntry(b, function);
  const AttentionLoop &its = chain.loops.front();
  maps[Queries] = addTensorMap(function, chain.queries.map);
  maps[Keys] = addTensorMap(function, its.keys.map);
  maps[Values] = addTensorMap(function, its.values.map);
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
  auto grid = getGrid(function, LaunchGrid::Persistent);
  rows = toI32(grid[0]);
  batches = toI32(grid[1]);
  heads = mul(batches, toI32(grid[2]));
}

void AttentionLowering::emitBarriers() {
  h.when(isEqual(thread, 0), [&] {
    for (Ring ring : {Queries, Keys, Values})
      for (int64_t stage = 0; stage < getStages(ring); ++stage) {
        h.initBarrier(getBarrier(ring, true, h.constant(stage)), 1);
        h.initBarrier(getBarrier(ring, false, h.constant(stage)),
                      chain.warpgroups);
      }
    for (Value map : maps)
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
  Value axes[] = {toIndex(x), toIndex(rem(head, batches)),
                  toIndex(div(head, batches))};
  kernel.walk([&](tile::ProgramIdOp op) {
    emitter.getMapping().map(op.getResult(), axes[op.getAxis()]);
  });
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

void AttentionLowering::emitLoad(Emitter &emitter, Ring ring,
                                 const TileBoxes &box, Value count) {
  RingPosition at = getPosition(ring, count);
  Value full = getBarrier(ring, true, at.stage);
  // The first round finds all stages empty: the phase before the first one.
  h.waitBarrier(getBarrier(ring, false, at.stage),
                arith::XOrIOp::create(b, at.parity, h.constant(1)));
  h.arriveExpecting(full, box.getBytes());
  Value to = h.getAddress(h.getAddress(shared, getOffset(ring)),
                          h.mul(at.stage, box.getBytes()));
  for (int64_t i = 0; i < box.getBoxes(); ++i) {
    SmallVector<Value> coordinates;
    for (auto [dim, index] : llvm::enumerate(box.indices)) {
      Value at = toI32(emitter.getScalar(index));
      int64_t offset = dim == 0 ? i * SharedMatrix::kLineElements : 0;
      coordinates.push_back(offset ? h.add(at, h.constant(offset)) : at);
    }
    h.loadBox(h.getAddress(to, i * box.getLines() * kSwizzleBytes), maps[ring],
              coordinates, full);
  }
}

/// One thread loads for all warpgroups.
void AttentionLowering::emitLoader(Emitter &emitter) {
  auto loadProgram = [&](ValueRange carried) -> SmallVector<Value> {
    if (failed(emitter.emitBefore(chain.loops.front().loop)))
      result = failure();
    emitLoad(emitter, Queries, chain.queries, carried[0]);
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
            emitLoad(emitter, Keys, its.keys, at);
            emitLoad(emitter, Values, its.values, at);
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

/// Q K^T of a block; in flight.
Registers AttentionLowering::multiplyScores(Value count) {
  WgmmaShape shape;
  shape.element = chain.queries.map.element;
  shape.columns = chain.getKeys();
  SharedMatrix q = chain.queries.getMatrix(1);
  SharedMatrix k = chain.loops.front().keys.getMatrix(0);
  Value stage = getPosition(Keys, count).stage;
  Value keys = h.advance(first[Keys], h.mul(stage, getBytes(Keys)));
  h.fenceProducts();
  Registers sums;
  for (int64_t step = 0; step < chain.getSize(); step += kWgmmaDepth)
    sums = h.multiply(shape, h.advance(queryDescriptor, q.getOffset(0, step)),
                      h.advance(keys, k.getOffset(0, step)), sums);
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
  Value stage = getPosition(Values, count).stage;
  Value values = h.advance(first[Values], h.mul(stage, getBytes(Values)));
  h.fenceProducts();
  Registers added = sums;
  for (int64_t step = 0; step < chain.getKeys(); step += kWgmmaDepth)
    added = h.multiply(shape, ArrayRef(words).slice(step / 4, 4),
                       h.advance(values, v.getOffset(0, step)), added);
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
                                     Registers scores, const Ranges &ranges) {
  State initial = getInitial(emitter);
  auto emit = [&] {
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
      b, flatten(emitFirstOf(emitter, number + 1, scores, ranges)));
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
  waitFull(Keys, at);
  if (takesTurns)
    h.syncNamed(own, kPair);
  Registers scores = multiplyScores(at);
  waitFull(Values, before);
  Registers sums = multiplyValues(old.sums, old.words, before);
  if (takesTurns) {
    Value other = rem(own, h.constant(chain.warpgroups));
    h.arriveNamed(h.add(other, h.constant(1)), kPair);
  }
  scores = h.waitProducts(1, scores);
  free(Keys, at);
  auto wait = [&](Registers &weights) {
    // Weights are packed only now: words must not be written in a stage.
    Registers all = sums;
    llvm::append_range(all, weights);
    all = h.waitProducts(0, all, old.words);
    free(Values, before);
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
  waitFull(Keys, count);
  Registers scores = h.waitProducts(0, multiplyScores(count));
  free(Keys, count);
  State state = emitFirstOf(emitter, 0, scores, ranges);
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
  waitFull(Values, last);
  Registers sums = multiplyValues(state.sums, state.words, last);
  state.sums = h.waitProducts(0, sums, state.words);
  free(Values, last);
  return state;
}

/// All loops; anchors what they result in.
LogicalResult AttentionLowering::emitChain(Emitter &emitter) {
  Ranges ranges = getRanges(emitter);
  waitFull(Queries, queryCount);
  Value stage = getPosition(Queries, queryCount).stage;
  queryDescriptor = h.advance(first[Queries], h.mul(stage, getBytes(Queries)));
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
    free(Queries, queryCount);
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
  Registers values = emitter.get(wide, sumLayout);
  SharedMatrix boxes = chain.queries.getMatrix(1);
  Value stage = getPosition(Queries, queryCount).stage;
  Value to = h.add(h.getNumber(shared), h.mul(stage, getBytes(Queries)));
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
      words.push_back(
          h.pack(values[i], values[i + 1], chain.queries.map.element));
    h.storeMatrices(LLVM::IntToPtrOp::create(b, pointer, here), words);
  }
  h.fenceAsync();
  h.syncNamed(h.add(warpgroup, h.constant(chain.warpgroups + 2)),
              kWarpgroupSize);
  h.when(isEqual(threadInWarpgroup, 0), [&] {
    for (int64_t i = 0; i < chain.results.getBoxes(); ++i) {
      SmallVector<Value> coordinates;
      for (auto [dim, index] : llvm::enumerate(chain.results.indices))
        coordinates.push_back(toI32(emitter.getScalar(index)));
      coordinates[0] =
          h.add(coordinates[0], h.constant(i * SharedMatrix::kLineElements));
      coordinates[1] = h.add(coordinates[1], h.mul(warpgroup, kWgmmaRows));
      Value from = h.add(own, h.constant(i * boxes.getBoxBytes()));
      h.storeBox(resultMap, LLVM::IntToPtrOp::create(b, pointer, from),
                 coordinates);
    }
    h.commitStores();
    h.waitStores(0, /*isRead=*/true);
    RingPosition at = getPosition(Queries, queryCount);
    h.arrive(getBarrier(Queries, false, at.stage));
  });
  return success();
}

void AttentionLowering::emitConsumer(Emitter &emitter) {
  Value number = h.getNumber(shared);
  const AttentionLoop &its = chain.loops.front();
  SharedMatrix q = chain.queries.getMatrix(1);
  Value own = h.mul(warpgroup, q.getOffset(kWgmmaRows, 0));
  first[Queries] = h.getDescriptor(h.add(number, own), q);
  first[Keys] = h.getDescriptor(h.add(number, h.constant(getOffset(Keys))),
                                its.keys.getMatrix(0));
  first[Values] = h.getDescriptor(h.add(number, h.constant(getOffset(Values))),
                                  its.values.getMatrix(0));
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
/// launch gave to all of them. Places in three loops take more to load.
static std::pair<int64_t, int64_t> getRegisters(const AttentionChain &chain) {
  switch (chain.warpgroups) {
  case 2:
    if (chain.loops.size() > 2)
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
  int64_t rings = llvm::alignTo(getRingBytes(chain), kSwizzleBytes);
  group.shared = h.getAddress(shared, rings);
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
  int64_t bytes = rings + emitter.getSharedBytes();
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
