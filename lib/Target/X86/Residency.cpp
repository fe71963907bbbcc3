// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where tiles live: which are computed where they are defined, and whether
// into registers or into scratch.

#include "lib/Target/X86/Emitter.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// As many vectors are emitted in a row; more become loops.
static constexpr int64_t kUnrolledVectors = 32;
/// As many vectors make up one iteration of such a loop.
static constexpr int64_t kLoopVectors = 4;
/// A value that costs as much, in vector ops, is worth a place of its own.
static constexpr int64_t kExpensive = 4;

//===----------------------------------------------------------------------===//
// Cost and use
//===----------------------------------------------------------------------===//

bool x86::isDeferrable(Operation *op) {
  return isa<tile::LoadOp, tile::SplatOp, tile::IotaOp, tile::BroadcastOp,
             tile::TransposeOp>(op) ||
         (OpTrait::hasElementwiseMappableTraits(op) &&
          op->getNumResults() == 1 &&
          isa<RankedTensorType>(op->getResult(0).getType())) ||
         isa<arith::ConstantOp>(op);
}

/// What computing one vector of `tile` takes; where that is expensive, a part
/// of it, so that a walk through values that are read twice ends.
static int64_t costOf(Value tile) {
  Operation *op = tile.getDefiningOp();
  if (!isa<RankedTensorType>(tile.getType()) || !op || !isDeferrable(op))
    return 0;
  int64_t own =
      llvm::TypeSwitch<Operation *, int64_t>(op)
          .Case<tile::LoadOp>([](Operation *) { return 1; })
          .Case<arith::ConstantOp, tile::SplatOp, tile::IotaOp,
                tile::BroadcastOp, tile::TransposeOp>(
              [](Operation *) { return 0; })
          .Case<arith::DivFOp, arith::DivSIOp, arith::DivUIOp, arith::RemFOp,
                arith::RemSIOp, arith::RemUIOp>([](Operation *) { return 5; })
          .Case<math::FmaOp>([](Operation *) { return 1; })
          .Default([](Operation *other) {
            return other->getDialect()->getNamespace() == "math" ? 8 : 1;
          });
  if (isa<tile::LoadOp>(op))
    return own;
  for (Value operand : op->getOperands())
    if (own < kExpensive)
      own += costOf(operand);
  return own;
}

/// The ops that make `tile`'s vectors be computed, through deferred ones; those
/// that `isEnd` holds for are computed once, whatever reads them.
static void collectSinks(Value tile, llvm::SetVector<OpOperand *> &sinks,
                         llvm::function_ref<bool(Operation *)> isEnd = {}) {
  llvm::SetVector<Value> tiles;
  tiles.insert(tile);
  for (size_t i = 0; i < tiles.size(); ++i)
    for (OpOperand &use : tiles[i].getUses()) {
      if (isDeferrable(use.getOwner()) && !(isEnd && isEnd(use.getOwner())))
        tiles.insert(use.getOwner()->getResult(0));
      else
        sinks.insert(&use);
    }
}

static bool isMmaOperand(OpOperand &use) {
  return isa<tile::MmaOp>(use.getOwner()) && use.getOperandNumber() < 2;
}

/// As many rows of a multiply are more than one block of them.
static constexpr int64_t kManyRows = 16;

static bool isReadByManyRows(OpOperand &use) {
  auto mma = dyn_cast<tile::MmaOp>(use.getOwner());
  return mma && use.getOperandNumber() == 1 &&
         mma.getResult().getType().getDimSize(0) >= kManyRows;
}

bool x86::feedsMma(Value tile) {
  return llvm::any_of(tile.getUses(), isMmaOperand);
}

bool x86::isStoredTo(tile::LoadOp load, tile::KernelOp kernel) {
  auto bufferOf = [](Value view) {
    return view.getDefiningOp<tile::ViewOp>().getBuffer();
  };
  bool stored = false;
  kernel.walk([&](tile::StoreOp store) {
    stored |= bufferOf(store.getView()) == bufferOf(load.getView());
  });
  return stored;
}

bool Emitter::mustMaterialize(Value tile) {
  Operation *op = tile.getDefiningOp();
  llvm::SetVector<OpOperand *> sinks;
  collectSinks(tile, sinks, [&](Operation *user) {
    SummedPairs pairs;
    return findSummedPairs(user->getResult(0), pairs);
  });
  bool isLeftTile = llvm::any_of(tile.getUses(), [&](OpOperand &use) {
    auto mma = dyn_cast<tile::MmaOp>(use.getOwner());
    return mma && use.getOperandNumber() == 0 && usesTileDots(mma);
  });
  if (isLeftTile && !isTileReadable(tile))
    return true;
  if (auto load = dyn_cast<tile::LoadOp>(op)) {
    if (isStoredTo(load, kernel))
      return true;
    return isStridedOperand(load) && vectorCount(tile) > 2;
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return !isa<SplatElementsAttr>(constant.getValue());
  // Decoded a word at a time, it costs little.
  auto readsWords = [&](OpOperand *sink) {
    auto mma = dyn_cast<tile::MmaOp>(sink->getOwner());
    return mma && sink->getOperandNumber() == 1 && isInterleaved(mma);
  };
  if (llvm::all_of(sinks, readsWords))
    return false;
  // A multiply reads its right operand again for each block of its rows.
  bool isArithmetic = OpTrait::hasElementwiseMappableTraits(op);
  if (isArithmetic && llvm::any_of(tile.getUses(), isReadByManyRows))
    return true;
  if (costOf(tile) < kExpensive)
    return false;

  // The right operand of what is one block of accumulators is read once.
  auto isReadAgain = [&](OpOperand &use) {
    auto mma = dyn_cast<tile::MmaOp>(use.getOwner());
    return isMmaOperand(use) &&
           (use.getOperandNumber() == 0 || !fitsRegisters(mma.getResult()) ||
            feedsMma(mma.getResult()));
  };
  llvm::SmallPtrSet<Operation *, 4> owners;
  for (OpOperand *sink : sinks) {
    owners.insert(sink->getOwner());
    // Computed again in each iteration, or once for each row or column.
    if (sink->getOwner()->getParentRegion() != op->getParentRegion() ||
        (sink->get() == tile && isReadAgain(*sink)))
      return true;
  }
  if (owners.size() > 1)
    return true;
  return llvm::any_of(tile.getUsers(), [](Operation *user) {
    return isa<tile::BroadcastOp>(user);
  });
}

/// A load whose natural lanes are apart in memory, and which is not an operand
/// that a multiply reads element by element or four bytes at a time.
bool Emitter::isStridedOperand(tile::LoadOp load) {
  int64_t last = static_cast<int64_t>(load.getDims().size()) - 1;
  if (last < 0 || load.getDims()[last] < 0 ||
      load.getGatherDim().value_or(-1) == static_cast<uint64_t>(last))
    return false;
  ArrayRef<int64_t> strides = load.getView().getType().getStrides();
  if (strides[load.getDims()[last]] == 1 || extent(load.getResult(), last) == 1)
    return false;
  llvm::SetVector<OpOperand *> sinks;
  collectSinks(load.getResult(), sinks);
  return llvm::any_of(sinks, [&](OpOperand *sink) {
    auto mma = dyn_cast<tile::MmaOp>(sink->getOwner());
    if (!mma)
      return true;
    return sink->getOperandNumber() != 0 && !isInterleaved(mma);
  });
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// Registers of `lanes` 32-bit elements that a vector of `element` takes.
static int64_t registersPer(Type element) {
  if (element.isIndex())
    return 2;
  return std::max<int64_t>(1, element.getIntOrFloatBitWidth() / 32);
}

int64_t Emitter::vectorCount(Value tile) {
  SmallVector<int64_t> shape = shapeOf(tile);
  int64_t count = 1;
  if (!shape.empty())
    count = llvm::divideCeil(shape.pop_back_val(), unit.lanes);
  for (int64_t size : shape)
    count *= size;
  return count;
}

int64_t Emitter::scratchWidth(Value tile) const {
  int64_t rank = cast<RankedTensorType>(tile.getType()).getRank();
  return llvm::alignTo(extent(tile, rank - 1), unit.lanes);
}

bool Emitter::fitsRegisters(Value tile) {
  Type element = cast<RankedTensorType>(tile.getType()).getElementType();
  return vectorCount(tile) * registersPer(element) <= unit.accumulators();
}

Value Emitter::allocate(Value tile) {
  Type element = cast<RankedTensorType>(tile.getType()).getElementType();
  int64_t width = element.isIndex()
                      ? 8
                      : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  return allocateBytes(vectorCount(tile) * unit.lanes * width);
}

Value Emitter::allocateBytes(int64_t bytes) {
  for (auto &[size, memory] : freeScratch)
    if (size == bytes) {
      auto place = std::make_pair(size, memory);
      freeScratch.erase(llvm::find(freeScratch, place));
      usedScratch.back().push_back(place);
      return place.second;
    }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(entry);
  Value count = arith::ConstantOp::create(b, b.getI64IntegerAttr(bytes));
  Value memory = LLVM::AllocaOp::create(
      b, LLVM::LLVMPointerType::get(b.getContext()), b.getI8Type(), count, 64);
  scratchBytes += llvm::alignTo(bytes, 64);
  usedScratch.back().emplace_back(bytes, memory);
  return memory;
}

LogicalResult Emitter::materialize(Value tile) {
  Storage storage;
  auto load = tile.getDefiningOp<tile::LoadOp>();
  bool isStrided = load && isStridedOperand(load);
  if (fitsRegisters(tile) && !feedsMma(tile) && !isStrided) {
    storage.registers = vectorsOf(tile);
    storage.kind = Storage::Registers;
  } else {
    storage.memory = allocate(tile);
    fill(tile, storage.memory);
    storage.kind = Storage::Scratch;
  }
  tiles[tile] = storage;
  return success();
}

void Emitter::fill(Value tile, Value memory) {
  if (fillTransposed(tile, memory))
    return;
  SmallVector<int64_t> shape = shapeOf(tile);
  if (tile.getDefiningOp<arith::ConstantOp>()) {
    // Its elements are known at known positions only.
    forEachUnrolled(shape, static_cast<int>(shape.size()) - 1,
                    [&](const Position &position) {
                      writeScratch(tile, memory, position, vec(tile, position));
                    });
    return;
  }
  // All of a batch is computed before any of it is written, so that its chains
  // can be interleaved.
  SmallVector<std::pair<Position, Value>> batch;
  auto flush = [&] {
    for (auto &[position, vector] : batch)
      writeScratch(tile, memory, position, vector);
    batch.clear();
  };
  auto compute = [&](const Position &position) {
    batch.emplace_back(position, vec(tile, position));
    if (batch.size() == kLoopVectors)
      flush();
  };
  forEachInBox(shape, static_cast<int>(shape.size()) - 1, compute, flush);
}

Value Emitter::ensureScratch(Value tile) {
  Storage storage = tiles.lookup(tile);
  if (storage.kind == Storage::Scratch)
    return storage.memory;
  for (auto &scope : llvm::reverse(spills))
    if (Value memory = scope.lookup(tile))
      return memory;
  Value memory = allocate(tile);
  SmallVector<int64_t> shape = shapeOf(tile);
  forEachUnrolled(shape, static_cast<int>(shape.size()) - 1,
                  [&](const Position &position) {
                    writeScratch(tile, memory, position, vec(tile, position));
                  });
  spills.back()[tile] = memory;
  return memory;
}

//===----------------------------------------------------------------------===//
// Iteration
//===----------------------------------------------------------------------===//

/// Where a walk over a box stands: `order` lists its dims, outermost first.
struct Emitter::Walk {
  ArrayRef<int64_t> shape;
  int lane;
  SmallVector<int> order;
  int64_t unrolled;
  function_ref<void(const Position &)> body;
  function_ref<void()> endRegion;

  void end() const {
    if (endRegion)
      endRegion();
  }
  int64_t step(int dim, int64_t lanes) const { return dim == lane ? lanes : 1; }
  int64_t count(int dim, int64_t lanes) const {
    return llvm::divideCeil(shape[dim], step(dim, lanes));
  }
};

void Emitter::walk(const Walk &box, unsigned depth, Position &position) {
  if (depth == box.order.size()) {
    box.body(position);
    return;
  }
  int dim = box.order[depth];
  int64_t step = box.step(dim, unit.lanes), count = box.count(dim, unit.lanes);
  int64_t inner = 1;
  for (int other : ArrayRef(box.order).drop_front(depth + 1))
    inner *= box.count(other, unit.lanes);
  auto unrollFrom = [&](int64_t first) {
    for (int64_t i = first; i < count; ++i) {
      position.at[dim] = {Value(), i * step};
      walk(box, depth + 1, position);
    }
  };
  if (count == 1 || count * inner <= box.unrolled)
    return unrollFrom(0);

  int64_t block = std::max<int64_t>(1, kLoopVectors / inner);
  int64_t whole = count / block * block;
  box.end();
  auto loop =
      scf::ForOp::create(b, index(0), index(whole * step), index(block * step));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    MemoScope scope(*this);
    for (int64_t i = 0; i < block; ++i) {
      position.at[dim] = {loop.getInductionVar(), i * step};
      walk(box, depth + 1, position);
    }
    box.end();
  }
  unrollFrom(whole);
}

void Emitter::forEachInBox(ArrayRef<int64_t> shape, int lane,
                           function_ref<void(const Position &)> body,
                           function_ref<void()> endRegion) {
  Walk box = {shape, lane, {}, kUnrolledVectors, body, endRegion};
  for (int dim = 0; dim < static_cast<int>(shape.size()); ++dim)
    if (dim != lane)
      box.order.push_back(dim);
  if (lane >= 0)
    box.order.push_back(lane);
  Position position;
  position.at.resize(shape.size());
  position.lane = lane;
  walk(box, 0, position);
  box.end();
}

void Emitter::forEachUnrolled(ArrayRef<int64_t> shape, int lane,
                              function_ref<void(const Position &)> body) {
  Walk box = {shape, lane, {}, std::numeric_limits<int64_t>::max(), body, {}};
  for (int dim = 0; dim < static_cast<int>(shape.size()); ++dim)
    box.order.push_back(dim);
  Position position;
  position.at.resize(shape.size());
  position.lane = lane;
  walk(box, 0, position);
}
