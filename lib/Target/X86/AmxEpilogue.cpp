// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What follows a product on AMX tiles (bias, activation, rounding, stores) is
// the vector units' work, which the tile unit would wait for. So each step of k
// of one block of the result also takes some rows of the block before it. Two
// buffers that take turns hold the sums.

#include "lib/Target/X86/Emitter.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// A block is two by two tiles.
static constexpr int64_t kBlockRows = 2 * kTileRows;
static constexpr int64_t kBlockColumns = 2 * kTileWords;
static constexpr int64_t kSumBytes = 4;

/// Whether the tile is stored row by row, and as large as `shape`.
bool Emitter::isStoredInRows(tile::StoreOp store, ArrayRef<int64_t> shape) {
  ArrayRef<int64_t> strides = store.getView().getType().getStrides();
  return store.getDims().size() == 2 && store.getDims()[1] >= 0 &&
         strides[store.getDims()[1]] == 1 &&
         ArrayRef<int64_t>(shapeOf(store.getTile())) == shape;
}

/// Whether all that `op`'s sums become is computed position by position and
/// stored, so that rows can be taken one after the other at any time.
bool Emitter::findEpilogue(scf::ForOp op, TileEpilogue &epilogue) {
  std::optional<TileLoop> loop = tileLoops.lookup(op);
  if (!loop || !loop->b || !isZeroTile(op.getInitArgs()[0]))
    return false;
  SmallVector<int64_t> shape = shapeOf(op.getResult(0));
  auto lower = getConstantIntValue(op.getLowerBound());
  auto upper = getConstantIntValue(op.getUpperBound());
  int64_t step = loop->tileStep();
  if (!lower || !upper || *upper <= *lower || (*upper - *lower) % step != 0 ||
      shape[0] % kBlockRows != 0 || shape[1] % kBlockColumns != 0 ||
      shape[0] * shape[1] == kBlockRows * kBlockColumns)
    return false;
  epilogue.loop = *loop;
  epilogue.steps = (*upper - *lower) / step;
  llvm::SmallPtrSet<Operation *, 16> dependent;
  auto isDependent = [&](Operation *user) {
    return llvm::any_of(user->getOperands(), [&](Value operand) {
      return operand == op.getResult(0) ||
             dependent.contains(operand.getDefiningOp());
    });
  };
  for (Operation *next = op->getNextNode(); next && next->getNextNode();
       next = next->getNextNode()) {
    bool depends = isDependent(next);
    if (auto store = dyn_cast<tile::StoreOp>(next)) {
      if (!depends || !isStoredInRows(store, shape))
        return false;
      epilogue.stores.push_back(store);
      continue;
    }
    if (next->getNumRegions() != 0 || next->getNumResults() != 1)
      return false;
    bool isScalar = !isa<RankedTensorType>(next->getResult(0).getType());
    if (!isScalar && !isDeferrable(next))
      return false;
    if (auto load = dyn_cast<tile::LoadOp>(next);
        load && isStoredTo(load, kernel))
      return false;
    if (!depends)
      continue;
    Value result = next->getResult(0);
    if (isScalar || !OpTrait::hasElementwiseMappableTraits(next) ||
        shapeOf(result) != shape || mustMaterialize(result))
      return false;
    dependent.insert(next);
  }
  // What a loop around this one carries is the whole tile.
  return !epilogue.stores.empty() &&
         !isDependent(op->getBlock()->getTerminator());
}

/// `rows` rows of the block's results from `row` on, both counted in it.
/// `memory` is where its sums are.
void Emitter::emitEpilogueRows(const TileEpilogue &epilogue,
                               const TileBlock &block, Value memory, Coord row,
                               int64_t rows) {
  MemoScope scope(*this);
  Value sums = epilogue.loop.mma()->getParentOp()->getResult(0);
  // Readers count from the tile's first element, which is not there.
  Coord width = {Value(), scratchWidth(sums)};
  Coord skipped = add(mul(block.row, width), block.column);
  Storage storage;
  storage.kind = Storage::Scratch;
  storage.memory = offsetPointer(memory, getElementTypeOrSelf(sums),
                                 mul(skipped, {Value(), -1}));
  tiles[sums] = storage;
  for (tile::StoreOp store : epilogue.stores) {
    Access access = accessOf(store);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < kBlockColumns; j += unit.lanes) {
        Position position = {{add(block.row, row + i), block.column + j}, 1};
        storeVec(access, position, vec(store.getTile(), position));
      }
  }
}

static Attribute keepRolled(OpBuilder &b) {
  MLIRContext *context = b.getContext();
  auto unroll = LLVM::LoopUnrollAttr::get(context, b.getBoolAttr(true), {}, {},
                                          {}, {}, {}, {});
  return LLVM::LoopAnnotationAttr::get(context, {}, {}, {}, unroll, {}, {}, {},
                                       {}, {}, {}, {}, {}, {}, {}, {});
}

/// The sums of `block` into `memory`, and beside them the results of the block
/// before, if there is one.
void Emitter::emitOverlappedBlock(const TileEpilogue &epilogue,
                                  const TileBlock &block, Value memory,
                                  const TileBlock *before, Value memoryBefore) {
  const TileLoop &loop = epilogue.loop;
  auto op = cast<scf::ForOp>(loop.mma()->getParentOp());
  TileBlock origin = {{}, {}, block.rowTiles, block.columnTiles};
  SmallVector<Value> places = tilePlaces(loop.mma(), origin, memory);
  SmallVector<Value> acc = loadAccumulators(loop.mma(), places, true);
  Value lower = mapping.lookup(op.getLowerBound());
  Value upper = mapping.lookup(op.getUpperBound());
  if (before) {
    int64_t step = loop.tileStep();
    int64_t rows = llvm::divideCeil(kBlockRows, epilogue.steps);
    int64_t steps = llvm::divideCeil(kBlockRows, rows);
    Value middle = b.createOrFold<arith::AddIOp>(lower, index(steps * step));
    auto beside = [&](Value k, int64_t product) {
      if (product + 1 < block.rowTiles * block.columnTiles)
        return;
      Value done = arith::SubIOp::create(b, k, lower);
      Value row = arith::DivUIOp::create(b, done, index(step));
      row = arith::MulIOp::create(b, row, index(rows));
      // The last step may take rows again.
      row = arith::MinUIOp::create(b, row, index(kBlockRows - rows));
      emitEpilogueRows(epilogue, *before, memoryBefore, {row, 0}, rows);
    };
    acc = emitTileSteps(loop, block, lower, middle, acc, beside);
    acc.front().getDefiningOp()->setAttr("llvm.loop_annotation", keepRolled(b));
    lower = middle;
    if (steps == epilogue.steps)
      return storeAccumulators(loop.mma(), places, acc);
  }
  acc = emitTileSteps(loop, block, lower, upper, acc);
  storeAccumulators(loop.mma(), places, acc);
}

LogicalResult Emitter::emitOverlapped(scf::ForOp op,
                                      const TileEpilogue &epilogue) {
  for (Operation *next = op->getNextNode(); next && next->getNextNode();
       next = next->getNextNode())
    if (!isa<tile::StoreOp>(next) && failed(emitOp(next)))
      return failure();

  SmallVector<int64_t> shape = shapeOf(op.getResult(0));
  int64_t width = scratchWidth(op.getResult(0));
  int64_t across = shape[1] / kBlockColumns;
  int64_t count = shape[0] / kBlockRows * across;
  // Side by side where a row has room for both.
  bool isBeside = width >= 2 * kBlockColumns;
  Coord pitch = {Value(), isBeside ? kBlockColumns : kBlockRows * width};
  Value buffers =
      allocateBytes(kBlockRows * width * kSumBytes * (isBeside ? 1 : 2));
  auto blockAt = [&](Value n) -> TileBlock {
    Value row = b.createOrFold<arith::DivUIOp>(n, index(across));
    Value column = b.createOrFold<arith::RemUIOp>(n, index(across));
    return {mul({row, 0}, {Value(), kBlockRows}),
            mul({column, 0}, {Value(), kBlockColumns}), kBlockRows / kTileRows,
            kBlockColumns / kTileWords};
  };
  auto bufferOf = [&](Value n) -> Value {
    Value half = b.createOrFold<arith::RemUIOp>(n, index(2));
    return offsetPointer(buffers, getElementTypeOrSelf(op.getResult(0)),
                         mul({half, 0}, pitch));
  };
  emitOverlappedBlock(epilogue, blockAt(index(0)), bufferOf(index(0)), nullptr,
                      Value());
  auto blocks = scf::ForOp::create(b, index(1), index(count), index(1));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(blocks.getBody());
    MemoScope scope(*this);
    Value n = blocks.getInductionVar();
    Value last = arith::SubIOp::create(b, n, index(1));
    TileBlock before = blockAt(last);
    emitOverlappedBlock(epilogue, blockAt(n), bufferOf(n), &before,
                        bufferOf(last));
  }
  Value last = index(count - 1);
  TileBlock end = blockAt(last);
  Value memory = bufferOf(last);
  constexpr int64_t rows = 2;
  auto rest = scf::ForOp::create(b, index(0), index(kBlockRows), index(rows));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(rest.getBody());
  emitEpilogueRows(epilogue, end, memory, {rest.getInductionVar(), 0}, rows);
  return success();
}
