// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention weights that follow from each logit alone (sigmoid). The tile unit
// would wait while the vector units compute them, so each product of one block
// of logits also takes some weights of the block before it. Softmax has to know
// all logits of a block of keys first.

#include "lib/Target/X86/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// Columns of a block: two tiles.
static constexpr int64_t kBlockTiles = 2;
static constexpr int64_t kBlockColumns = kBlockTiles * kTileWords;

/// Whether `op`'s sums become the right operand of a multiply and nothing else,
/// so that they may be taken position by position at any time.
bool Emitter::findWeights(tile::MmaOp op, TileWeights &weights) {
  SmallVector<int64_t> shape = shapeOf(op.getResult());
  int64_t down = residentRows(op) ? residentRows(op) : kBlockTiles;
  if (shape[0] % (down * kTileRows) != 0 || shape[1] % kBlockColumns != 0)
    return false;
  llvm::SmallPtrSet<Operation *, 8> dependent = {op};
  auto isDependent = [&](Operation *other) {
    return other && dependent.contains(other);
  };
  for (Operation *next = op->getNextNode(); next && next->getNextNode();
       next = next->getNextNode()) {
    if (next->getNumRegions() != 0 || next->getNumResults() != 1)
      return false;
    Value result = next->getResult(0);
    bool isTile = isa<RankedTensorType>(result.getType());
    if (isTile && !isDeferrable(next))
      return false;
    if (llvm::none_of(next->getOperands(), [&](Value operand) {
          return isDependent(operand.getDefiningOp());
        })) {
      weights.others.push_back(next);
      continue;
    }
    // Blocks at the edge of a mask, which are few, select.
    if (!isTile || !OpTrait::hasElementwiseMappableTraits(next) ||
        isa<arith::SelectOp>(next) || shapeOf(result) != shape)
      return false;
    dependent.insert(next);
    weights.chain.push_back(next);
    if (isPairsOperand(result)) {
      weights.tile = result;
      break;
    }
    if (mustMaterialize(result))
      return false;
  }
  return weights.tile && llvm::all_of(dependent, [&](Operation *made) {
           return made->getResult(0) == weights.tile ||
                  llvm::all_of(made->getUsers(), isDependent);
         });
}

/// Pairs of rows of the block's weights into `memory`, `count` vectors of them
/// from the one with number `first` on.
void Emitter::emitWeightPairs(Value tile, Value memory, const TileBlock &block,
                              int64_t first, int64_t count) {
  MemoScope scope(*this);
  Coord line = {Value(), block.row.offset / 2};
  if (!block.row.isStatic())
    line.base = arith::DivUIOp::create(b, block.row.base, index(2));
  for (int64_t i = first; i < first + count; ++i) {
    int64_t pair = i / kBlockTiles;
    Coord column = block.column + i % kBlockTiles * kTileWords;
    Value words = pairOf(tile, {{block.row + 2 * pair, column}, 1});
    rawStore(words, pairPlace(tile, memory, line + pair, column));
  }
}

/// Emits what the chain to the weights needs, and leaves the chain to them.
LogicalResult Emitter::prepareWeights(const TileWeights &weights) {
  for (Operation *other : weights.others) {
    if (failed(emitOp(other)))
      return failure();
    if (isa<RankedTensorType>(other->getResult(0).getType()))
      computedAhead.insert(other);
  }
  for (Operation *link : weights.chain) {
    tiles[link->getResult(0)] = Storage();
    computedAhead.insert(link);
  }
  return success();
}

LogicalResult Emitter::emitWithWeights(tile::MmaOp op, const TileDotSums &sums,
                                       const TileWeights &weights) {
  if (failed(prepareWeights(weights)))
    return failure();
  SmallVector<int64_t> shape = shapeOf(op.getResult());
  int64_t resident = residentRows(op), down = resident ? resident : kBlockTiles;
  int64_t height = down * kTileRows, pairs = height / 2 * kBlockTiles;
  int64_t steps = extent(op.getA(), 1) / (2 * kTileWords);
  int64_t share = llvm::divideCeil(pairs, steps * down * kBlockTiles);
  Value memory = allocate(weights.tile);
  // The last block's weights are computed beside the next column's products.
  std::optional<TileBlock> before;
  auto emitBlock = [&](const TileBlock &block, ArrayRef<Value> right) {
    emitTileDotBlock(op, block, sums, right, [&](int64_t product) {
      int64_t first = product * share;
      if (before && first < pairs)
        emitWeightPairs(weights.tile, memory, *before, first,
                        std::min(share, pairs - first));
    });
  };
  for (int64_t j = 0; j < shape[1]; j += kBlockColumns) {
    Coord column = {Value(), j};
    MemoScope scope(*this);
    SmallVector<Value> right;
    if (resident)
      right = loadResident(op, column, kBlockTiles);
    emitBlock({{}, column, down, kBlockTiles}, right);
    if (shape[0] > height) {
      auto rows =
          scf::ForOp::create(b, index(height), index(shape[0]), index(height));
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(rows.getBody());
      MemoScope inner(*this);
      Coord row = {rows.getInductionVar(), 0};
      before = {row + -height, column, down, kBlockTiles};
      emitBlock({row, column, down, kBlockTiles}, right);
    }
    before = {{Value(), shape[0] - height}, column, down, kBlockTiles};
  }
  constexpr int64_t atOnce = 4;
  auto rest = scf::ForOp::create(b, index(0), index(pairs / kBlockTiles * 2),
                                 index(atOnce));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(rest.getBody());
    TileBlock block = *before;
    block.row = {rest.getInductionVar(), before->row.offset};
    emitWeightPairs(weights.tile, memory, block, 0, atOnce / 2 * kBlockTiles);
  }
  Storage storage;
  storage.kind = Storage::Pairs;
  storage.memory = memory;
  tiles[weights.tile] = storage;
  return success();
}
