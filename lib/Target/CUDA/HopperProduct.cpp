// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/HopperProduct.h"
#include "lib/Target/CUDA/DemandOrder.h"
#include "lib/Target/CUDA/HopperSkeleton.h"
#include "lib/Target/CUDA/HopperStore.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// Registers of a thread: of one that loads, of one that multiplies. Together
/// what three warpgroups are launched with.
static constexpr int64_t kLoaderRegisters = 40, kProductRegisters = 232;
/// Rows of a group of programs that run before the next columns.
static constexpr int64_t kRasterRows = 1024;
/// Barriers by number: of the block; from 1 on, whose turn it is; of programs;
/// of warpgroups.
static constexpr int64_t kTurnBarriers = 1, kProgramBarriers = 3,
                         kWarpgroupBarriers = 5;

//===----------------------------------------------------------------------===//
// Lowering
//===----------------------------------------------------------------------===//

namespace {

class ProductLowering : public HopperSkeleton {
public:
  ProductLowering(const ProductLoop &product, const Level &level)
      : HopperSkeleton(product.kernel, level), product(product) {}

  /// How many bytes of shared memory the function takes.
  FailureOr<int64_t> lower();

private:
  struct Position {
    Value x, y, z;
  };

  void emitEntry();
  void emitBarriers();
  void mapPosition(Emitter &emitter, Value turn);
  Position getPosition(Value turn);
  /// This cluster's number, that of all, and the block's in its own. Read again
  /// wherever they are wanted, they take no registers.
  Value getCluster() {
    if (product.cluster == 1)
      return NVVM::BlockIdXOp::create(b, b.getI32Type());
    return NVVM::ClusterIdXOp::create(b, b.getI32Type());
  }
  Value getClusters() {
    if (product.cluster == 1)
      return NVVM::GridDimXOp::create(b, b.getI32Type());
    return NVVM::ClusterDimXOp::create(b, b.getI32Type());
  }
  Value getRank() {
    return NVVM::BlockInClusterIdXOp::create(b, b.getI32Type());
  }
  Value getFull(Value stage);
  Value getEmpty(Value stage);
  Value getCoordinate(Emitter &emitter, Value index, int64_t offset);

  void emitLoader(Emitter &emitter);
  void emitStage(Emitter &emitter, Value stage);
  void emitLoads(Emitter &emitter, const TileBoxes &boxes, Value map, Value to,
                 Value barrier, int64_t blocks);
  void emitPrograms(Emitter &emitter);
  Registers multiplyStage(Value stage, Registers sums);
  void freeStage(Value stage);
  LogicalResult emitProducts(Emitter &emitter, Value turn);
  Registers emitSteps(RingPosition position, Value &last);
  Registers toLayout(const Registers &sums);
  Registers fromLayout(const Registers &values);
  LinearLayout getLayout() const {
    return getWarpgroupSums({product.getRows(), product.getColumns()},
                            product.warpgroups);
  }
  Value getResidualBarrier();
  void loadResidual(Emitter &emitter);
  void readResidual(Emitter &emitter, Value turn);
  StoreGroup getStoreGroup();
  SmallVector<Value> getStart(Emitter &emitter, const TileBoxes &boxes);
  LogicalResult emitStoreOf(Emitter &emitter, unsigned number);

  int64_t getProductThreads() const {
    return product.programs * product.warpgroups * kWarpgroupSize;
  }
  SharedMatrix getA() const { return product.a.getMatrix(1); }
  SharedMatrix getB() const { return product.b.getMatrix(0); }

  const ProductLoop &product;

  // Values of the entry.
  Value program; ///< Which of the block's programs at once.
  Value maps[2];
  SmallVector<Value> storeMaps;
  Value residualMap;   ///< If there is one.
  Value rows, columns; ///< Programs along the grid's first two axes.
  Value units;         ///< Clusters' programs along the first one.
  Value turns;         ///< Programs of this block.
  Value steps;         ///< Of k, at least one.
  Value hasSteps;      ///< Whether there are any; null if it is known.
  Value threadInWarpgroup, warpgroup;
  arith::ConstantOp epilogueBytes; ///< Of one program; known at the end.
  Value firstA, firstB;            ///< Descriptors of the first stage.
};

} // namespace

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

void ProductLowering::emitEntry() {
  int64_t threads = getProductThreads() + kWarpgroupSize;
  function = createFunction(kernel, threads);
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    b.getI32IntegerAttr(1));
  arguments = createEntry(b, function);
  maps[0] = addTensorMap(function, product.a.map);
  maps[1] = addTensorMap(function, product.b.map);
  for (const auto &store : product.stores)
    storeMaps.push_back(addTensorMap(function, store.second.map));
  if (product.residual)
    residualMap = addTensorMap(function, product.residual->second.map);
  thread = NVVM::ThreadIdXOp::create(b, b.getI32Type());
  warp = h.getWarp(thread);
  program = div(warp, h.constant(kWarpgroupWarps * product.warpgroups));
  threadInWarpgroup =
      arith::AndIOp::create(b, thread, h.constant(kWarpgroupSize - 1));
  warpgroup = div(warp, h.constant(kWarpgroupWarps));
  shared = LLVM::AddressOfOp::create(
      b, LLVM::LLVMPointerType::get(b.getContext(), 3),
      ModuleSymbols::shared.str());

  auto grid = getGrid(function, LaunchGrid::Persistent);
  rows = truncate(grid[0]);
  columns = truncate(grid[1]);
  units = rows;
  if (product.cluster > 1) {
    setCluster(function, product.cluster);
    units = div(h.add(rows, h.constant(product.cluster - 1)),
                h.constant(product.cluster));
  }
  Value count = mul(mul(units, columns), truncate(grid[2]));
  Value clusters = getClusters();
  turns = div(sub(h.add(sub(count, getCluster()), clusters), h.constant(1)),
              clusters);

  scf::ForOp loop = product.loop;
  Value bound = loop.getUpperBound();
  if (auto constant = getConstantIntValue(bound)) {
    steps = h.constant(
        std::max<int64_t>(llvm::divideCeil(*constant, product.getDepth()), 1));
    if (*constant == 0)
      hasSteps = arith::ConstantOp::create(b, b.getBoolAttr(false));
  } else {
    Value depth = arith::IndexCastOp::create(
        b, b.getI32Type(),
        arguments[cast<BlockArgument>(bound).getArgNumber()]);
    steps = div(h.add(depth, h.constant(product.getDepth() - 1)),
                h.constant(product.getDepth()));
    hasSteps = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, steps,
                                     h.constant(0));
    steps = arith::MaxUIOp::create(b, steps, h.constant(1));
  }
}

Value ProductLowering::getFull(Value stage) {
  Value first = h.getAddress(shared, product.getMemory().full);
  return h.getAddress(first, h.mul(stage, kBarrierBytes));
}

Value ProductLowering::getEmpty(Value stage) {
  Value first = h.getAddress(shared, product.getMemory().empty);
  return h.getAddress(first, h.mul(stage, kBarrierBytes));
}

void ProductLowering::emitBarriers() {
  h.when(isEqual(thread, 0), [&] {
    for (int64_t stage = 0; stage < product.stages; ++stage) {
      h.initBarrier(getFull(h.constant(stage)), 1);
      h.initBarrier(getEmpty(h.constant(stage)),
                    product.warpgroups * product.cluster);
    }
    for (Value map : llvm::concat<Value>(maps, storeMaps))
      h.prefetchMap(map);
    if (product.residual) {
      h.prefetchMap(residualMap);
      for (int64_t i = 0; i < product.programs * product.warpgroups; ++i)
        h.initBarrier(h.getAddress(shared, product.getMemory().residual +
                                               i * kBarrierBytes),
                      1);
    }
    h.fenceBarrierInit();
  });
  if (product.cluster > 1)
    h.syncCluster();
  else
    NVVM::Barrier0Op::create(b);
  if (level.overlaps)
    createOverlap(b, function);
}

/// Programs run down groups of rows, then along columns. Where rows do not fill
/// the last cluster, its last block computes what the one before it does.
ProductLowering::Position ProductLowering::getPosition(Value turn) {
  Value number = h.add(mul(turn, getClusters()), getCluster());
  Value area = mul(units, columns);
  Value z = div(number, area);
  number = sub(number, mul(z, area));
  int64_t most =
      std::max<int64_t>(kRasterRows / (product.getRows() * product.cluster), 1);
  Value inGroup = h.mul(columns, most);
  Value group = div(number, inGroup);
  Value first = h.mul(group, most);
  Value height = arith::MinUIOp::create(b, sub(units, first), h.constant(most));
  number = sub(number, mul(group, inGroup));
  Value x = h.add(first, rem(number, height));
  if (product.cluster > 1)
    x = arith::MinUIOp::create(b, h.add(h.mul(x, product.cluster), getRank()),
                               sub(rows, h.constant(1)));
  return {x, div(number, height), z};
}

void ProductLowering::mapPosition(Emitter &emitter, Value turn) {
  Position position = getPosition(turn);
  HopperSkeleton::mapPosition(emitter, position.x, position.y, position.z);
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

Value ProductLowering::getCoordinate(Emitter &emitter, Value index,
                                     int64_t offset) {
  Value number =
      arith::IndexCastOp::create(b, b.getI32Type(), emitter.getScalar(index));
  return offset ? h.add(number, h.constant(offset)) : number;
}

/// A tile's boxes; or, if they are for several `blocks`, this block's share of
/// their lines.
void ProductLowering::emitLoads(Emitter &emitter, const TileBoxes &boxes,
                                Value map, Value to, Value barrier,
                                int64_t blocks) {
  Value line, everyone;
  if (blocks > 1) {
    line = h.mul(getRank(), boxes.map.box[1]);
    to = h.getAddress(to, h.mul(line, kSwizzleBytes));
    everyone = h.constant((int64_t(1) << blocks) - 1, 16);
  }
  for (int64_t i = 0; i < boxes.getBoxes(); ++i) {
    SmallVector<Value> coordinates;
    for (auto [dim, index] : llvm::enumerate(boxes.indices))
      coordinates.push_back(getCoordinate(
          emitter, index, dim == 0 ? i * boxes.getLineElements() : 0));
    if (line)
      coordinates[1] = h.add(coordinates[1], line);
    int64_t bytes = boxes.getLines() * kSwizzleBytes;
    h.loadBox(h.getAddress(to, i * bytes), map, coordinates, barrier, everyone);
  }
}

void ProductLowering::emitStage(Emitter &emitter, Value stage) {
  h.arriveExpecting(getFull(stage),
                    product.a.getBytes() + product.b.getBytes());
  Value to = h.getAddress(shared, h.mul(stage, product.getStageBytes()));
  emitLoads(emitter, product.a, maps[0], to, getFull(stage), 1);
  emitLoads(emitter, product.b, maps[1],
            h.getAddress(to, product.getBytesOfA()), getFull(stage),
            product.cluster);
}

/// One thread loads for all programs of the block, in their order.
void ProductLowering::emitLoader(Emitter &emitter) {
  auto loadStep = [&](Value step, ValueRange carried) -> SmallVector<Value> {
    RingPosition at{carried[0], carried[1]};
    scf::ForOp loop = product.loop;
    Value k = mul(step, h.constant(product.getDepth()));
    emitter.getMapping().map(loop.getInductionVar(), toIndex(k));
    [[maybe_unused]] LogicalResult scalars = emitter.emitBefore(product.mma);
    assert(succeeded(scalars) && "the loop was matched");
    h.waitBarrier(getEmpty(at.stage), at.parity);
    auto load = [&] { emitStage(emitter, at.stage); };
    // What there is nothing of has no tensor to be loaded from.
    if (hasSteps)
      h.when(hasSteps, load, [&] { h.arrive(getFull(at.stage)); });
    else
      load();
    RingPosition next = h.getNext(at, product.stages);
    return {next.stage, next.parity};
  };
  auto loadProgram = [&](Value turn, ValueRange carried) -> SmallVector<Value> {
    mapPosition(emitter, turn);
    [[maybe_unused]] LogicalResult scalars = emitter.emitBefore(product.loop);
    assert(succeeded(scalars) && "the kernel was matched");
    scf::ForOp loop = emitLoop(h.constant(0), steps, Values(carried), loadStep);
    return SmallVector<Value>(loop.getResults());
  };
  // The first round finds all stages empty: the phase before the first one.
  emitLoop(h.constant(0), turns, {h.constant(0), h.constant(1)}, loadProgram);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

Registers ProductLowering::multiplyStage(Value stage, Registers sums) {
  WgmmaShape shape;
  shape.element = product.a.map.element;
  shape.columns = product.getColumns();
  shape.isAKMajor = getA().isKMajor;
  shape.isBKMajor = getB().isKMajor;
  Value offset = h.mul(stage, product.getStageBytes());
  Value a = h.advance(firstA, offset), w = h.advance(firstB, offset);
  int64_t blocks = product.getBlocks();
  SmallVector<Registers> parts(blocks);
  for (int64_t i = 0; i < blocks && !sums.empty(); ++i)
    parts[i].assign(sums.begin() + i * shape.getSums(),
                    sums.begin() + (i + 1) * shape.getSums());
  h.fenceProducts();
  int64_t depth = kWgmmaBytes / product.a.getElementBytes();
  for (int64_t k = 0; k < product.getDepth(); k += depth) {
    Value right = h.advance(w, getB().getOffset(0, k));
    for (int64_t i = 0; i < blocks; ++i)
      parts[i] =
          h.multiply(shape, h.advance(a, getA().getOffset(i * kWgmmaRows, k)),
                     right, parts[i]);
  }
  h.commitProducts();
  Registers result;
  for (const Registers &part : parts)
    llvm::append_range(result, part);
  return result;
}

/// A thread speaks for its warpgroup, whose products have read the stage; one
/// to each block that loads it.
void ProductLowering::freeStage(Value stage) {
  if (product.cluster == 1)
    return h.when(isEqual(threadInWarpgroup, 0),
                  [&] { h.arrive(getEmpty(stage)); });
  Value speaks =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, threadInWarpgroup,
                            h.constant(product.cluster));
  h.when(speaks, [&] { h.arriveRemote(getEmpty(stage), threadInWarpgroup); });
}

/// All steps of k from a place in the ring on; `last` is the last stage, which
/// its products may still read. Sums come out in flight. The first step adds to
/// nothing: ptxas serializes products whose sums begin as zeros of a loop.
Registers ProductLowering::emitSteps(RingPosition position, Value &last) {
  h.waitBarrier(getFull(position.stage), position.parity);
  Registers sums = multiplyStage(position.stage, {});
  RingPosition second = h.getNext(position, product.stages);
  unsigned count = sums.size();
  SmallVector<Value> carried(sums);
  carried.append({second.stage, second.parity, position.stage});
  auto loop =
      scf::ForOp::create(b, h.constant(1), steps, h.constant(1), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(loop.getBody());
  ValueRange old = loop.getRegionIterArgs();
  RingPosition at{old[count], old[count + 1]};
  h.waitBarrier(getFull(at.stage), at.parity);
  SmallVector<Value> next(
      multiplyStage(at.stage, Registers(old.take_front(count))));
  h.waitProducts(1);
  freeStage(old[count + 2]);
  RingPosition after = h.getNext(at, product.stages);
  next.append({after.stage, after.parity, at.stage});
  scf::YieldOp::create(b, next);
  last = loop.getResults().back();
  return Registers(loop.getResults().take_front(count));
}

/// In the order of the layout, which counts columns in powers of two.
Registers ProductLowering::toLayout(const Registers &sums) {
  int64_t own = product.getColumns() / 2;
  int64_t padded = int64_t(llvm::PowerOf2Ceil(own));
  if (own == padded)
    return sums;
  Value none = LLVM::PoisonOp::create(b, sums.front().getType());
  Registers result;
  for (int64_t first = 0; first < int64_t(sums.size()); first += own) {
    result.append(sums.begin() + first, sums.begin() + first + own);
    result.append(padded - own, none);
  }
  return result;
}

LogicalResult ProductLowering::emitProducts(Emitter &emitter, Value turn) {
  int64_t threads = getProductThreads();
  bool takesTurns = product.programs > 1;
  if (product.residual)
    loadResidual(emitter);
  if (takesTurns)
    h.syncNamed(h.add(program, h.constant(kTurnBarriers)), threads);
  Value done = mul(turn, steps), stages = h.constant(product.stages);
  Value parity = arith::AndIOp::create(b, div(done, stages), h.constant(1));
  Value last;
  Registers sums = emitSteps({rem(done, stages), parity}, last);
  if (takesTurns)
    h.arriveNamed(sub(h.constant(kTurnBarriers + 1), program), threads);
  sums = h.waitProducts(0, sums);
  freeStage(last);
  if (hasSteps)
    for (Value &sum : sums)
      sum = arith::SelectOp::create(
          b, hasSteps, sum, arith::ConstantOp::create(b, b.getF32FloatAttr(0)));
  scf::ForOp loop = product.loop;
  emitter.anchor(loop.getResult(0), getLayout(), toLayout(sums));
  if (product.residual)
    readResidual(emitter, turn);
  return success();
}

//===----------------------------------------------------------------------===//
// Stores
//===----------------------------------------------------------------------===//

Registers ProductLowering::fromLayout(const Registers &values) {
  int64_t own = product.getColumns() / 2;
  int64_t padded = int64_t(llvm::PowerOf2Ceil(own));
  Registers result;
  for (int64_t first = 0; first < int64_t(values.size()); first += padded)
    result.append(values.begin() + first, values.begin() + first + own);
  return result;
}

StoreGroup ProductLowering::getStoreGroup() {
  Value first = h.getAddress(shared, product.getMemory().stores);
  return {threadInWarpgroup, h.add(warpgroup, h.constant(kWarpgroupBarriers)),
          h.getAddress(first, h.mul(warpgroup, product.buffers * kStoreBytes)),
          product.buffers, product.residual.has_value()};
}

SmallVector<Value> ProductLowering::getStart(Emitter &emitter,
                                             const TileBoxes &boxes) {
  SmallVector<Value> start;
  for (Value index : boxes.indices)
    start.push_back(getCoordinate(emitter, index, 0));
  if (product.warpgroups > 1)
    start[1] = h.add(start[1],
                     h.mul(warpgroup, product.getRows() / product.warpgroups));
  return start;
}

LogicalResult ProductLowering::emitStoreOf(Emitter &emitter, unsigned number) {
  auto [store, boxes] = product.stores[number];
  Value tile = store.getTile();
  // What was rounded is rounded on its way, two elements at a time.
  if (auto rounded = tile.getDefiningOp<arith::TruncFOp>();
      rounded && getElementTypeOrSelf(rounded.getIn()).isF32())
    tile = rounded.getIn();
  Registers values = fromLayout(emitter.get(tile, getLayout()));
  for (Value &value : values)
    if (!value.getType().isF32())
      value = arith::ExtFOp::create(b, b.getF32Type(), value);
  emitStore(b, getStoreGroup(), boxes, storeMaps[number],
            getStart(emitter, boxes), values, product.getColumns());
  return success();
}

Value ProductLowering::getResidualBarrier() {
  Value first = h.getAddress(shared, product.getMemory().residual);
  return h.getAddress(first, h.mul(warpgroup, kBarrierBytes));
}

/// The thread that stores sees to it that what it stored last is read.
void ProductLowering::loadResidual(Emitter &emitter) {
  const TileBoxes &boxes = product.residual->second;
  constexpr int64_t line = SharedMatrix::kLineElements;
  SmallVector<Value> start = getStart(emitter, boxes);
  Value to = getStoreGroup().buffers, barrier = getResidualBarrier();
  h.when(isEqual(threadInWarpgroup, 0), [&] {
    h.waitStores(0, /*isRead=*/true);
    h.arriveExpecting(barrier, product.buffers * kStoreBytes);
    int64_t across = product.getColumns() / line;
    for (int64_t i = 0; i < product.buffers; ++i) {
      SmallVector<Value> at(start);
      at[0] = h.add(at[0], h.constant(i % across * line));
      at[1] = h.add(at[1], h.constant(i / across * kStoreLines));
      h.loadBox(h.getAddress(to, i * kStoreBytes), residualMap, at, barrier);
    }
  });
}

/// A barrier's phases are a warpgroup's turns.
void ProductLowering::readResidual(Emitter &emitter, Value turn) {
  const auto &[load, boxes] = *product.residual;
  Value own = div(turn, h.constant(product.programs));
  h.waitBarrier(getResidualBarrier(),
                arith::AndIOp::create(b, own, h.constant(1)));
  Registers values = readBoxes(b, getStoreGroup(), boxes.map.element);
  emitter.anchor(tile::LoadOp(load).getResult(), getLayout(), toLayout(values));
}

/// Each of the block's programs at once takes every so manieth turn.
void ProductLowering::emitPrograms(Emitter &emitter) {
  Value number = h.getNumber(shared);
  Value a = number;
  if (product.warpgroups > 1) {
    int64_t rowsOfEach = product.getRows() / product.warpgroups;
    a = h.add(a, h.mul(warpgroup, getA().getOffset(rowsOfEach, 0)));
  }
  firstA = h.getDescriptor(a, getA());
  firstB =
      h.getDescriptor(h.add(number, h.constant(product.getBytesOfA())), getB());
  if (product.programs > 1)
    h.when(isEqual(program, 1), [&] {
      h.arriveNamed(h.constant(kTurnBarriers), getProductThreads());
    });
}

FailureOr<int64_t> ProductLowering::lower() {
  emitEntry();
  ThreadGroup group;
  group.warps = product.warpgroups * kWarpgroupWarps;
  group.thread = thread;
  group.barrier = h.add(program, h.constant(kProgramBarriers));
  if (product.programs > 1)
    group.thread = threadInWarpgroup;
  epilogueBytes = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  group.shared = h.getAddress(h.getAddress(shared, product.getMemory().end),
                              mul(program, epilogueBytes));
  Emitter loader(kernel, group, b), emitter(kernel, group, b);
  mapArguments(loader);
  mapArguments(emitter);
  emitBarriers();
  LogicalResult result = success();
  auto load = [&] {
    h.setRegisters(kLoaderRegisters, /*isMore=*/false);
    Value isFirst = isEqual(warp, getProductThreads() / kWarpSize);
    h.when(isFirst, [&] { h.when(h.elect(), [&] { emitLoader(loader); }); });
  };
  auto multiply = [&] {
    h.setRegisters(kProductRegisters, /*isMore=*/true);
    emitPrograms(emitter);
    for (unsigned i = 0; i < product.stores.size(); ++i)
      emitter.replaceStore(product.stores[i].first,
                           [&, i] { return emitStoreOf(emitter, i); });
    emitLoop(
        program, turns, {},
        [&](Value turn, ValueRange) -> SmallVector<Value> {
          mapPosition(emitter, turn);
          emitter.replaceLoop(product.loop, [&](scf::ForOp) {
            return emitProducts(emitter, turn);
          });
          result = emitter.emitProgram(/*isRepeated=*/true);
          computeOnDemand(*b.getInsertionBlock());
          return {};
        },
        product.programs);
    if (!product.stores.empty())
      emitStoresDone(b, getStoreGroup());
  };
  h.when(isEqual(program, product.programs), load, multiply);
  if (product.cluster > 1)
    h.syncCluster();
  LLVM::ReturnOp::create(b, ValueRange());
  if (failed(result))
    return failure();
  int64_t own = llvm::alignTo(emitter.getSharedBytes(), kSwizzleBytes);
  epilogueBytes.setValueAttr(b.getI32IntegerAttr(own));
  int64_t bytes = product.getMemory().end + product.programs * own;
  return bytes;
}

FailureOr<bool> cuda::lowerProductLoop(ProductLoop product, const Level &level,
                                       std::string &reason) {
  return lowerSkeleton<ProductLowering>(product, /*leastStages=*/2, level,
                                        reason);
}
