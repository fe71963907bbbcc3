// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/HopperFlat.h"
#include "lib/Target/CUDA/DemandOrder.h"
#include "lib/Target/CUDA/HopperSkeleton.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// k of one stage: a line.
static constexpr int64_t kDepth = SharedMatrix::kLineElements;
static constexpr int64_t kSumBytes = 4;
/// The barrier of the threads that multiply; 0 is the block's.
static constexpr int64_t kProductBarrier = 1;
/// Elements that a thread stores in a row.
static constexpr int64_t kRun = 4;

//===----------------------------------------------------------------------===//
// Lowering
//===----------------------------------------------------------------------===//

namespace {

class FlatLowering : public HopperSkeleton {
public:
  FlatLowering(const FlatProduct &flat, const Level &level)
      : HopperSkeleton(flat.kernel, level), flat(flat) {}

  /// How many bytes of shared memory the function takes.
  FailureOr<int64_t> lower();

private:
  void emitEntry();
  void emitSteps();
  void emitBarriers();
  Value getBarrier(int64_t first, Value number);
  Value getFull(Value stage) { return getBarrier(memory.full, stage); }
  Value getEmpty(Value stage) { return getBarrier(memory.empty, stage); }
  Value mapPosition(Emitter &emitter, Value turn, Value member);
  LogicalResult emitTurn(Emitter &emitter, Value turn);

  void emitLoader(Emitter &emitter);
  void emitStage(Emitter &emitter, RingPosition at);
  void emitLoads(Emitter &emitter, const TileBoxes &boxes, Value map, Value to,
                 Value barrier);
  void emitInputs(Emitter &emitter, Value to, Value barrier);
  SmallVector<Value> getCoordinates(Emitter &emitter, ArrayRef<Value> indices);
  WgmmaShape getShape() const;
  Registers multiplyStage(Value stage, const Registers &sums);
  void anchorInputs(Emitter &emitter, Value stage);
  Registers multiplyDecoded(Emitter &emitter, Value stage,
                            const Registers &sums);
  void freeStage(Value stage);
  Registers emitProducts(Emitter &emitter, Value turn);
  Registers emitPlain(RingPosition first);
  Registers emitDecoded(Emitter &emitter, Value done);
  RingPosition getPosition(Value step);
  void emitSends(Value turn, const Registers &sums);
  Registers emitReceived(Value turn, const LinearLayout &layout);
  LinearLayout getLayout() const;

  Value bits(Value x, unsigned from, unsigned count) {
    Value shifted = arith::ShRUIOp::create(b, x, h.constant(from));
    return arith::AndIOp::create(b, shifted, h.constant((1 << count) - 1));
  }
  int64_t getProductThreads() const { return flat.warpgroups * kWarpgroupSize; }
  SharedMatrix getX() const { return flat.x.front().getMatrix(1); }
  SharedMatrix getW() const { return flat.w->getMatrix(0); }
  int64_t getSumsOfBlock() const { return flat.getRows() / 2; }

  const FlatProduct &flat;
  FlatProduct::Memory memory = flat.getMemory();

  // Values of the entry.
  Value warpgroup, mapX;
  Value columnGroup, member;     ///< The warpgroup's columns, and its turn.
  SmallVector<Value> maps;       ///< Of the weight, or of its inputs.
  Value rank, cluster, clusters; ///< Of the block, of its cluster, of all.
  Value rows, columns;           ///< Programs along the grid's first two axes.
  Value groups;                  ///< Of programs along the columns.
  Value turns;                   ///< Groups of this cluster.
  Value firstStep, steps;        ///< Of k, of this block.
  Value firstX, firstW;          ///< Descriptors of the first stage.
};

} // namespace

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

/// The block's share of k.
void FlatLowering::emitSteps() {
  scf::ForOp loop = flat.loop;
  int64_t depth = *getConstantIntValue(loop.getUpperBound());
  Value all = h.constant(llvm::divideCeil(depth, flat.getDepth()));
  Value split = h.constant(flat.split);
  firstStep = div(mul(all, rank), split);
  steps = sub(div(mul(all, h.add(rank, h.constant(1))), split), firstStep);
}

void FlatLowering::emitEntry() {
  function = createFunction(kernel, getProductThreads() + kWarpgroupSize);
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    b.getI32IntegerAttr(1));
  if (flat.split > 1)
    setCluster(function, flat.split);
  arguments = createEntry(b, function);
  mapX = addTensorMap(function, flat.x.front().map);
  if (flat.w)
    maps.push_back(addTensorMap(function, flat.w->map));
  for (const FlatInput &input : flat.inputs)
    maps.push_back(addTensorMap(function, input.map));
  thread = NVVM::ThreadIdXOp::create(b, b.getI32Type());
  warp = h.getWarp(thread);
  warpgroup = div(warp, h.constant(kWarpgroupWarps));
  columnGroup = rem(warpgroup, h.constant(flat.getColumnGroups()));
  member = div(warpgroup, h.constant(flat.getColumnGroups()));
  shared = LLVM::AddressOfOp::create(
      b, LLVM::LLVMPointerType::get(b.getContext(), 3),
      ModuleSymbols::shared.str());

  auto grid = getGrid(function, LaunchGrid::Persistent);
  rows = truncate(grid[0]);
  columns = truncate(grid[1]);
  Value split = h.constant(flat.split);
  Value block = NVVM::BlockIdXOp::create(b, b.getI32Type());
  rank = h.getClusterRank();
  cluster = div(block, split);
  clusters = div(NVVM::GridDimXOp::create(b, b.getI32Type()), split);
  groups = div(h.add(columns, h.constant(flat.split - 1)), split);
  Value count = mul(mul(rows, groups), truncate(grid[2]));
  turns =
      div(sub(h.add(sub(count, cluster), clusters), h.constant(1)), clusters);
  emitSteps();
}

Value FlatLowering::getBarrier(int64_t first, Value number) {
  return h.getAddress(h.getAddress(shared, first),
                      h.mul(number, kBarrierBytes));
}

void FlatLowering::emitBarriers() {
  h.when(isEqual(thread, 0), [&] {
    for (int64_t stage = 0; stage < flat.stages; ++stage) {
      h.initBarrier(getFull(h.constant(stage)), 1);
      h.initBarrier(getEmpty(h.constant(stage)), flat.getColumnGroups());
    }
    for (int64_t buffer = 0; buffer < flat.getBuffers(); ++buffer)
      h.initBarrier(getBarrier(memory.come, h.constant(buffer)), 1);
    h.prefetchMap(mapX);
    for (Value map : maps)
      h.prefetchMap(map);
    h.fenceBarrierInit();
  });
  // Others send to the block, too.
  if (flat.split > 1)
    h.syncCluster();
  else
    NVVM::Barrier0Op::create(b);
  if (level.overlaps)
    createOverlap(b, function);
}

/// The cluster's group of programs in a turn: rows first, so that those that
/// run at once read the same weights. `member`: which of them; returns where
/// that is along the columns.
Value FlatLowering::mapPosition(Emitter &emitter, Value turn, Value member) {
  Value number = h.add(mul(turn, clusters), cluster);
  Value line = div(number, rows);
  Value column = h.add(h.mul(rem(line, groups), flat.split), member);
  HopperSkeleton::mapPosition(emitter, rem(number, rows), column,
                              div(line, groups));
  return column;
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

SmallVector<Value> FlatLowering::getCoordinates(Emitter &emitter,
                                                ArrayRef<Value> indices) {
  SmallVector<Value> coordinates;
  for (Value index : indices)
    coordinates.push_back(arith::IndexCastOp::create(b, b.getI32Type(),
                                                     emitter.getScalar(index)));
  return coordinates;
}

void FlatLowering::emitLoads(Emitter &emitter, const TileBoxes &boxes,
                             Value map, Value to, Value barrier) {
  SmallVector<Value> first = getCoordinates(emitter, boxes.indices);
  for (int64_t i = 0; i < boxes.getBoxes(); ++i) {
    SmallVector<Value> coordinates(first);
    if (i > 0)
      coordinates[0] =
          h.add(first[0], h.constant(i * SharedMatrix::kLineElements));
    int64_t bytes = boxes.getLines() * kSwizzleBytes;
    h.loadBox(h.getAddress(to, i * bytes), map, coordinates, barrier);
  }
}

void FlatLowering::emitInputs(Emitter &emitter, Value to, Value barrier) {
  int64_t offset = 0;
  for (auto [i, input] : llvm::enumerate(flat.inputs)) {
    h.loadBox(h.getAddress(to, offset), maps[i],
              getCoordinates(emitter, input.indices), barrier);
    offset += flat.getBytesOfInput(i);
  }
}

void FlatLowering::emitStage(Emitter &emitter, RingPosition at) {
  h.waitBarrier(getEmpty(at.stage), at.parity);
  h.arriveExpecting(getFull(at.stage), flat.getCopiedBytes());
  Value to = h.getAddress(shared, h.mul(at.stage, flat.getStageBytes()));
  if (flat.w)
    emitLoads(emitter, *flat.w, maps[0], to, getFull(at.stage));
  else
    emitInputs(emitter, to, getFull(at.stage));
  int64_t offset = flat.getBytesOfW();
  for (const TileBoxes &boxes : flat.x) {
    emitLoads(emitter, boxes, mapX, h.getAddress(to, offset),
              getFull(at.stage));
    offset += boxes.getBytes();
  }
}

/// One thread loads the block's share of each turn.
void FlatLowering::emitLoader(Emitter &emitter) {
  auto loadStep = [&](Value step, ValueRange carried) -> SmallVector<Value> {
    RingPosition at{carried[0], carried[1]};
    scf::ForOp loop = flat.loop;
    Value k = h.mul(h.add(firstStep, step), flat.getDepth());
    [[maybe_unused]] LogicalResult scalars =
        emitter.emitBody(loop, toIndex(k), /*onlyScalars=*/true, [&] {
          emitStage(emitter, at);
          return success();
        });
    assert(succeeded(scalars) && "the loop was matched");
    RingPosition next = h.getNext(at, flat.stages);
    return {next.stage, next.parity};
  };
  auto loadTurn = [&](Value turn, ValueRange carried) -> SmallVector<Value> {
    mapPosition(emitter, turn, h.constant(0));
    [[maybe_unused]] LogicalResult scalars = emitter.emitBefore(flat.loop);
    assert(succeeded(scalars) && "the kernel was matched");
    scf::ForOp loop =
        emitLoop(h.constant(0), steps, SmallVector<Value>(carried), loadStep);
    return SmallVector<Value>(loop.getResults());
  };
  // The first round finds all stages empty: the phase before the first one.
  emitLoop(h.constant(0), turns, {h.constant(0), h.constant(1)}, loadTurn);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Sums of the weights' columns as rows, x's rows as columns.
WgmmaShape FlatLowering::getShape() const {
  WgmmaShape shape;
  shape.element = flat.x.front().map.element;
  shape.columns = flat.getRows();
  shape.isAKMajor = !flat.w || getW().isKMajor;
  return shape;
}

/// Adds to `sums`, or to nothing if there are none.
Registers FlatLowering::multiplyStage(Value stage, const Registers &sums) {
  WgmmaShape shape = getShape();
  Value offset = h.mul(stage, flat.getStageBytes());
  Value w = h.advance(firstW, offset), x = h.advance(firstX, offset);
  int64_t blocks = flat.getBlocks(), each = getSumsOfBlock();
  Registers result(sums);
  result.resize(blocks * each);
  h.fenceProducts();
  for (int64_t k = 0; k < kDepth; k += kWgmmaDepth)
    for (int64_t i = 0; i < blocks; ++i) {
      ValueRange before = ArrayRef(result).slice(i * each, each);
      Registers next =
          h.multiply(shape, h.advance(w, getW().getOffset(i * kWgmmaRows, k)),
                     h.advance(x, getX().getOffset(0, k)),
                     k == 0 && sums.empty() ? ValueRange() : before);
      llvm::copy(next, result.begin() + i * each);
    }
  h.commitProducts();
  return result;
}

/// Tells the emitter where in the stage the weight's inputs are.
void FlatLowering::anchorInputs(Emitter &emitter, Value stage) {
  // The emitter counts from the end of what is the skeleton's.
  int64_t offset = -memory.end;
  Value base = toIndex(h.mul(stage, flat.getStageBytes()));
  for (auto [i, input] : llvm::enumerate(flat.inputs)) {
    tile::LoadOp load = input.load;
    Type element = load.getType().getElementType();
    Home home{0, getMemoryType(element), {1}};
    if (input.lineBytes)
      home = Home::getBox(element, /*lineDim=*/0, input.lineBytes);
    home.offset = offset;
    home.base = base;
    emitter.anchorHome(load, home);
    offset += flat.getBytesOfInput(i);
  }
}

/// The weight in fragments, which are complete before the first product:
/// nothing may write registers between products.
Registers FlatLowering::multiplyDecoded(Emitter &emitter, Value stage,
                                        const Registers &sums) {
  LinearLayout fragments =
      getOperandFragments(
          getWarpgroupSums({flat.getAllColumns(), flat.getRows()},
                           flat.getColumnGroups()),
          /*dim=*/0, kDepth, /*perWord=*/2)
          .project({1, 0});
  anchorInputs(emitter, stage);
  Registers words;
  for (tile::MmaOp product : flat.products)
    llvm::append_range(words, emitter.getPairs(product.getB(), 0, fragments));
  words = h.fenceProducts(words);
  Value x = h.advance(firstX, h.mul(stage, flat.getStageBytes()));
  constexpr int64_t perStep = 4;
  Registers result(sums);
  for (auto [i, boxes] : llvm::enumerate(flat.x))
    for (int64_t k = 0; k < kDepth; k += kWgmmaDepth) {
      int64_t step = (int64_t(i) * kDepth + k) / kWgmmaDepth;
      int64_t offset = int64_t(i) * boxes.getBytes() + getX().getOffset(0, k);
      result =
          h.multiply(getShape(), ArrayRef(words).slice(step * perStep, perStep),
                     h.advance(x, offset), result);
    }
  h.commitProducts();
  return h.waitProducts(0, result, words);
}

/// A thread speaks for its warpgroup, whose products have read the stage.
void FlatLowering::freeStage(Value stage) {
  h.when(isEqual(bits(thread, 0, 7), 0), [&] { h.arrive(getEmpty(stage)); });
}

/// The block's share of k in a turn. A block has one step at least.
Registers FlatLowering::emitProducts(Emitter &emitter, Value turn) {
  Value done = mul(turn, steps);
  return flat.w ? emitPlain(getPosition(done)) : emitDecoded(emitter, done);
}

RingPosition FlatLowering::getPosition(Value step) {
  Value stages = h.constant(flat.stages);
  return {rem(step, stages), bits(div(step, stages), 0, 1)};
}

/// Products are in flight while the next stage's begin.
Registers FlatLowering::emitPlain(RingPosition first) {
  h.waitBarrier(getFull(first.stage), first.parity);
  SmallVector<Value> carried(multiplyStage(first.stage, {}));
  size_t count = carried.size();
  RingPosition second = h.getNext(first, flat.stages);
  carried.append({second.stage, second.parity, first.stage});
  auto step = [&](Value, ValueRange old) -> SmallVector<Value> {
    RingPosition at{old[count], old[count + 1]};
    h.waitBarrier(getFull(at.stage), at.parity);
    SmallVector<Value> next(
        multiplyStage(at.stage, Registers(old.take_front(count))));
    h.waitProducts(1);
    freeStage(old[count + 2]);
    RingPosition after = h.getNext(at, flat.stages);
    next.append({after.stage, after.parity, at.stage});
    return next;
  };
  scf::ForOp loop = emitLoop(h.constant(1), steps, carried, step);
  Registers sums = h.waitProducts(0, loop.getResults().take_front(count));
  freeStage(loop.getResults().back());
  return sums;
}

/// Other warpgroups multiply while one decodes. `done`: steps before.
Registers FlatLowering::emitDecoded(Emitter &emitter, Value done) {
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
  SmallVector<Value> carried(getSumsOfBlock(), zero);
  auto step = [&](Value number, ValueRange sums) -> SmallVector<Value> {
    RingPosition at = getPosition(h.add(done, number));
    SmallVector<Value> next;
    h.waitBarrier(getFull(at.stage), at.parity);
    Value k = h.mul(h.add(firstStep, number), flat.getDepth());
    [[maybe_unused]] LogicalResult body =
        emitter.emitBody(flat.loop, toIndex(k), /*onlyScalars=*/false, [&] {
          next.assign(multiplyDecoded(emitter, at.stage, Registers(sums)));
          return success();
        });
    assert(succeeded(body) && "the loop was matched");
    freeStage(at.stage);
    return next;
  };
  scf::ForOp loop = emitLoop(member, steps, carried, step, flat.turns);
  return Registers(loop.getResults());
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

/// Sends each block the sums of its columns, as rows of x. A warp has 16
/// columns of each of its warpgroup's blocks of 64, which go to one block of
/// the cluster.
void FlatLowering::emitSends(Value turn, const Registers &sums) {
  Value threads = h.constant(kProductBarrier);
  // All threads have read what they got in the turn before.
  h.syncNamed(threads, getProductThreads());
  Value buffer = rem(turn, h.constant(flat.getBuffers()));
  Value come = getBarrier(memory.come, buffer);
  int64_t own = kSumBytes * flat.getRows() * flat.columns;
  if (flat.split > 1)
    h.when(isEqual(thread, 0),
           [&] { h.arriveExpecting(come, flat.getShares() * own); });
  Value share = h.add(h.mul(buffer, flat.split), rank);
  share = h.add(h.mul(share, flat.turns), member);
  Value to = h.getAddress(h.getAddress(shared, memory.sums),
                          h.mul(share, flat.getShareBytes()));
  Value warpColumn = h.add(h.mul(columnGroup, flat.getBlocks() * kWgmmaRows),
                           h.mul(bits(thread, 5, 2), 16));
  Value row = h.mul(bits(thread, 0, 2), 2);
  int64_t each = getSumsOfBlock(), pitch = flat.getPitch();
  for (int64_t block = 0; block < flat.getBlocks(); ++block) {
    Value column = h.add(warpColumn, h.constant(block * kWgmmaRows));
    Value owner = div(column, h.constant(flat.columns));
    Value its = rem(column, h.constant(flat.columns));
    Value at = h.add(h.mul(row, pitch), h.add(its, bits(thread, 2, 3)));
    auto getOffset = [&](int64_t i) {
      int64_t x = i / 4 * 8 + i % 2, w = i / 2 % 2 * 8;
      return (x * pitch + w) * kSumBytes;
    };
    Value first = h.getAddress(to, h.mul(at, kSumBytes));
    if (flat.split == 1) {
      for (int64_t i = 0; i < each; ++i)
        LLVM::StoreOp::create(b, sums[block * each + i],
                              h.getAddress(first, getOffset(i)));
      continue;
    }
    Value place = h.getRemote(first, owner), barrier = h.getRemote(come, owner);
    for (int64_t i = 0; i < each; ++i)
      h.storeAsync(h.add(place, h.constant(getOffset(i))),
                   sums[block * each + i], barrier);
  }
}

/// How the rest of the kernel has sums: rows as they are stored.
LinearLayout FlatLowering::getLayout() const {
  SmallVector<int64_t> source;
  return getBlocked({flat.getRows(), flat.columns},
                    flat.warpgroups * kWarpgroupWarps, {1, 0}, kRun)
      .withoutRepeatedRegisters(source);
}

Registers FlatLowering::emitReceived(Value turn, const LinearLayout &layout) {
  Value buffers = h.constant(flat.getBuffers());
  Value buffer = rem(turn, buffers);
  if (flat.split > 1)
    h.waitBarrier(getBarrier(memory.come, buffer),
                  bits(div(turn, buffers), 0, 1));
  else
    h.syncNamed(h.constant(kProductBarrier), getProductThreads());
  int64_t pitch = flat.getPitch();
  LinearLayout::Position lanes;
  Value at = h.mul(buffer, flat.getShares() * flat.getShareBytes());
  unsigned bit = 0;
  for (auto in : {LinearLayout::Lane, LinearLayout::Warp})
    for (const LinearLayout::Position &basis : layout.getBases(in)) {
      int64_t bytes = (basis[0] * pitch + basis[1]) * kSumBytes;
      if (bytes)
        at = h.add(at, h.mul(bits(thread, bit, 1), bytes));
      ++bit;
    }
  Value first = h.getAddress(h.getAddress(shared, memory.sums), at);
  int64_t run = std::min(layout.getRun(1), kRun);
  auto type = VectorType::get({run}, b.getF32Type());
  Registers sums;
  for (int64_t reg = 0; reg < layout.getSize(LinearLayout::Register);
       reg += run) {
    LinearLayout::Position its = layout.applyRegister(reg);
    Value sum;
    for (int64_t share = 0; share < flat.getShares(); ++share) {
      int64_t offset =
          share * flat.getShareBytes() + (its[0] * pitch + its[1]) * kSumBytes;
      Value part = LLVM::LoadOp::create(b, type, h.getAddress(first, offset),
                                        run * kSumBytes);
      sum = sum ? Value(arith::AddFOp::create(b, sum, part)) : part;
    }
    for (int64_t i = 0; i < run; ++i)
      sums.push_back(LLVM::ExtractElementOp::create(b, sum, h.constant(i)));
  }
  return sums;
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

/// The block's part of a cluster's programs, then what follows the loop in its
/// own one: the last cluster may have more blocks than there are programs.
LogicalResult FlatLowering::emitTurn(Emitter &emitter, Value turn) {
  Value column = mapPosition(emitter, turn, rank);
  if (failed(emitter.emitBefore(flat.loop)))
    return failure();
  emitSends(turn, emitProducts(emitter, turn));
  LinearLayout layout = getLayout();
  Registers sums = emitReceived(turn, layout);
  emitter.replaceLoop(flat.loop, [&](scf::ForOp loop) {
    emitter.anchor(loop.getResult(0), layout, sums);
    return success();
  });
  LogicalResult result = success();
  Value exists =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, column, columns);
  h.when(exists, [&] {
    result = emitter.emitProgram(/*isRepeated=*/true);
    computeOnDemand(*b.getInsertionBlock());
  });
  return result;
}

FailureOr<int64_t> FlatLowering::lower() {
  emitEntry();
  ThreadGroup group;
  group.warps = flat.warpgroups * kWarpgroupWarps;
  group.thread = thread;
  group.barrier = h.constant(kProductBarrier);
  group.shared = h.getAddress(shared, memory.end);
  Emitter loader(kernel, group, b), emitter(kernel, group, b);
  mapArguments(loader);
  mapArguments(emitter);
  emitBarriers();
  LogicalResult result = success();
  auto load = [&] {
    Value isFirst = isEqual(warp, group.warps);
    h.when(isFirst, [&] { h.when(h.elect(), [&] { emitLoader(loader); }); });
  };
  auto multiply = [&] {
    Value number = h.getNumber(shared);
    int64_t own = flat.getBlocks() * kWgmmaRows;
    if (flat.w)
      firstW = h.getDescriptor(
          h.add(number, h.mul(columnGroup, getW().getOffset(own, 0))), getW());
    firstX =
        h.getDescriptor(h.add(number, h.constant(flat.getBytesOfW())), getX());
    emitLoop(h.constant(0), turns, {},
             [&](Value turn, ValueRange) -> SmallVector<Value> {
               if (succeeded(result))
                 result = emitTurn(emitter, turn);
               return {};
             });
  };
  h.when(isEqual(warpgroup, flat.warpgroups), load, multiply);
  // No block ends while others may write to its memory.
  if (flat.split > 1)
    h.syncCluster();
  LLVM::ReturnOp::create(b, ValueRange());
  if (failed(result))
    return failure();
  int64_t bytes = memory.end + emitter.getSharedBytes();
  return bytes;
}

FailureOr<bool> cuda::lowerFlatProduct(FlatProduct flat, const Level &level,
                                       std::string &reason) {
  int64_t least = std::max<int64_t>(flat.turns, 2);
  return lowerSkeleton<FlatLowering>(flat, least, level, reason);
}
