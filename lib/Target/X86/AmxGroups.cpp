// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sums of codes that are scaled and added up in f32 group by group of k. The
// tile unit would wait for the words of each group to be decoded, and for its
// sums to be added; stores to scratch would leave the store buffer before tiles
// are loaded from there. So each product of one block is followed by some rows
// of the block before it, and by some words of the next group.

#include "lib/Target/X86/Emitter.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

static constexpr int64_t kSumBytes = 4;

/// Whether the op only computes indices.
static bool isIndexOp(Operation &op) {
  return isPure(&op) && op.getNumRegions() == 0 &&
         llvm::all_of(op.getResultTypes(), llvm::IsaPred<IndexType>);
}

/// The loop's only op with a region, if that is a loop.
static scf::ForOp findInner(scf::ForOp op) {
  scf::ForOp found;
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (inner.getNumRegions() == 0)
      continue;
    if (found || !isa<scf::ForOp>(inner))
      return nullptr;
    found = cast<scf::ForOp>(inner);
  }
  return found;
}

/// Whether all that a group's sums become is computed position by position and
/// added to what the loop carries.
bool Emitter::areScaledSums(scf::ForOp op, scf::ForOp inner) {
  SmallVector<int64_t> shape = shapeOf(inner.getResult(0));
  for (Operation &other : op.getBody()->without_terminator()) {
    if (&other == inner || isIndexOp(other))
      continue;
    if (other.getNumResults() != 1 || !isDeferrable(&other) ||
        !isa<RankedTensorType>(other.getResult(0).getType()) ||
        mustMaterialize(other.getResult(0)))
      return false;
    bool depends =
        llvm::any_of(other.getOperandTypes(), llvm::IsaPred<RankedTensorType>);
    if (depends && (!OpTrait::hasElementwiseMappableTraits(&other) ||
                    shapeOf(other.getResult(0)) != shape))
      return false;
  }
  return reachesOnly(op.getRegionIterArg(0),
                     op.getBody()->getTerminator()->getOpOperand(0));
}

bool Emitter::findGroups(scf::ForOp op, TileGroups &groups) {
  scf::ForOp inner = findInner(op);
  std::optional<TileLoop> loop = inner ? tileLoops.lookup(inner) : std::nullopt;
  if (!loop || op.getNumRegionIterArgs() != 1 ||
      !isa<RankedTensorType>(op.getRegionIterArg(0).getType()) ||
      !isZeroTile(inner.getInitArgs()[0]) || !areScaledSums(op, inner))
    return false;
  auto lower = getConstantIntValue(op.getLowerBound()),
       upper = getConstantIntValue(op.getUpperBound()),
       step = getConstantIntValue(op.getStep()),
       begin = getConstantIntValue(inner.getLowerBound()),
       end = getConstantIntValue(inner.getUpperBound());
  if (!lower || !upper || !step || !begin || !end || *begin != 0 || *end <= 0 ||
      *end % loop->tileStep() != 0)
    return false;
  groups.count = llvm::divideCeil(*upper - *lower, *step);
  groups.steps = *end / loop->tileStep();
  groups.op = op;
  groups.products = *loop;
  tile::LoadOp a = loop->a;
  Bound rows = {a, a.getDims()[0]};
  bool isTested = llvm::any_of(bounds.getTests(), [&](const BoundTest &test) {
    return test.loop == op && !assumed.contains(test.bound);
  });
  if (groups.count < 2 || isTested ||
      (!bounds.isProven(rows) && !assumed.contains(rows)))
    return false;
  return cutInBlocks(groups);
}

/// Cuts the sums in blocks, and what is done beside their products in shares.
/// Fails if blocks differ in their shape, or are too many to be unrolled.
bool Emitter::cutInBlocks(TileGroups &groups) {
  constexpr int64_t mostTiles = 4, mostBlocks = 4;
  SmallVector<int64_t> shape = shapeOf(groups.products.mma().getResult());
  int64_t rowTiles = std::min(shape[0] / kTileRows, int64_t(2));
  int64_t columnTiles = std::min(shape[1] / kTileWords, mostTiles / rowTiles);
  int64_t height = rowTiles * kTileRows, width = columnTiles * kTileWords;
  // Shares of rows are powers of two.
  if (shape[0] % height != 0 || shape[1] % width != 0 ||
      !llvm::isPowerOf2_64(rowTiles * columnTiles))
    return false;
  for (int64_t row = 0; row < shape[0]; row += height)
    for (int64_t column = 0; column < shape[1]; column += width)
      groups.blocks.push_back(
          {{Value(), row}, {Value(), column}, rowTiles, columnTiles});
  int64_t count = groups.blocks.size();
  // As many rows after a product as divide all of them.
  int64_t perStep = rowTiles * columnTiles, products = perStep * groups.steps;
  while (groups.rowShare * products < height)
    groups.rowShare *= 2;
  groups.busySteps = std::max<int64_t>(height / (groups.rowShare * perStep), 1);
  groups.decodingBlocks =
      std::clamp<int64_t>(groups.iterations() / products, 1, count);
  groups.wordShare =
      llvm::divideCeil(groups.iterations(), products * groups.decodingBlocks);
  return count <= mostBlocks;
}

/// Computes the indices of the group that starts at `k`.
void Emitter::bindGroup(const TileGroups &groups, Value k) {
  mapping.map(scf::ForOp(groups.op).getInductionVar(), k);
  for (Operation &inner : *scf::ForOp(groups.op).getBody())
    if (isIndexOp(inner) && inner.getNumResults() > 0)
      b.clone(inner, mapping);
}

/// Adds `rows` rows of a block's sums from `row` on, counted in it, to those of
/// all groups. `memory` is where the block's sums are.
void Emitter::addGroupRows(const TileGroups &groups, const TileBlock &block,
                           Value memory, Coord row, int64_t rows) {
  MemoScope scope(*this);
  scf::ForOp op = groups.op;
  Value sums = groups.products.mma()->getParentOp()->getResult(0);
  // Readers count from the tile's first element, which is not there.
  int64_t width = scratchWidth(sums);
  int64_t skipped = block.row.offset * width + block.column.offset;
  Storage storage;
  storage.kind = Storage::Scratch;
  storage.memory = offsetPointer(memory, b.getI32Type(), {Value(), -skipped});
  tiles[sums] = storage;
  Value next = op.getYieldedValues()[0];
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < block.columnTiles; ++j) {
      Position position = {
          {add(block.row, row + i), block.column + j * kTileWords}, 1};
      writeScratch(op.getRegionIterArg(0), groups.memory, position,
                   vec(next, position));
    }
}

/// Elements from one of the two buffers of sums to the other: side by side
/// where a row has room for both.
int64_t Emitter::sumsPitch(const TileGroups &groups) {
  const TileBlock &block = groups.blocks.front();
  int64_t pitch = scratchWidth(groups.products.mma().getResult());
  int64_t width = block.columnTiles * kTileWords;
  return pitch >= 2 * width ? width : block.rowTiles * kTileRows * pitch;
}

/// Where the sums of block `index` of group `n` are: two buffers take turns.
Value Emitter::blockSums(const TileGroups &groups, Value n, int64_t index) {
  int64_t count = groups.blocks.size();
  Value turn = arith::MulIOp::create(b, n, this->index(count));
  turn = arith::AddIOp::create(b, turn, this->index(index));
  turn = arith::RemUIOp::create(b, turn, this->index(2));
  return offsetPointer(groups.sums, b.getI32Type(),
                       mul({turn, 0}, {Value(), sumsPitch(groups)}));
}

/// Where the decoded words of group `n` are.
Value Emitter::groupWords(const TileGroups &groups, Value n) {
  Value turn = arith::RemUIOp::create(b, n, index(2));
  int64_t bytes = decodedBytes(groups.products, groups.iterations());
  return offsetPointer(groups.words, b.getI8Type(),
                       mul({turn, 0}, {Value(), bytes}));
}

/// The indices of group `n`; those that hold now stay.
IRMapping Emitter::indicesOf(const TileGroups &groups, Value n) {
  IRMapping outside = mapping;
  Value step = mapping.lookup(scf::ForOp(groups.op).getStep());
  Value lower = mapping.lookup(scf::ForOp(groups.op).getLowerBound());
  bindGroup(groups,
            arith::AddIOp::create(b, lower, arith::MulIOp::create(b, n, step)));
  std::swap(outside, mapping);
  return outside;
}

/// Words of the next group, after the product that has this number among those
/// of block `index`.
void Emitter::decodeBeside(const TileGroups &groups, int64_t index,
                           Value number, Value words) {
  if (index >= groups.decodingBlocks)
    return;
  const TileBlock &block = groups.blocks.front();
  int64_t products = groups.steps * block.rowTiles * block.columnTiles;
  Value first = arith::AddIOp::create(b, number, this->index(index * products));
  first = arith::MulIOp::create(b, first, this->index(groups.wordShare));
  for (int64_t i = 0; i < groups.wordShare; ++i) {
    Value at = arith::AddIOp::create(b, first, this->index(i));
    // The last ones may be decoded again.
    at = arith::MinUIOp::create(b, at, this->index(groups.iterations() - 1));
    at = arith::MulIOp::create(b, at, this->index(groups.products.step));
    decodeIteration(groups.products, at, words, /*isEarly=*/true);
  }
}

/// The products of block `index` of group `n`; beside them the rows of the
/// block before, whose sums are at `before` (null for none) and whose indices
/// are `earlier`, and words of the next group, whose indices are `later`.
void Emitter::emitGroupBlock(const TileGroups &groups, Value n, int64_t index,
                             Value before, IRMapping &earlier,
                             IRMapping &later) {
  TileLoop loop = groups.products;
  const TileBlock &block = groups.blocks[index];
  int64_t count = groups.blocks.size();
  const TileBlock &last = groups.blocks[(index + count - 1) % count];
  Value words;
  if (groups.words) {
    loop.decoded = groupWords(groups, n);
    Value next = arith::AddIOp::create(b, n, this->index(1));
    words = groupWords(groups, next);
  }
  int64_t perStep = block.rowTiles * block.columnTiles;
  int64_t height = block.rowTiles * kTileRows;
  auto beside = [&](bool isBusy, Value k, int64_t product) {
    Value number = arith::DivUIOp::create(b, k, this->index(loop.tileStep()));
    number = arith::MulIOp::create(b, number, this->index(perStep));
    number = arith::AddIOp::create(b, number, this->index(product));
    if (before && isBusy && product * groups.rowShare < height) {
      Value row =
          arith::MulIOp::create(b, number, this->index(groups.rowShare));
      std::swap(mapping, earlier);
      addGroupRows(groups, last, before, {row, 0}, groups.rowShare);
      std::swap(mapping, earlier);
    }
    if (!words)
      return;
    std::swap(mapping, later);
    decodeBeside(groups, index, number, words);
    std::swap(mapping, later);
  };
  TileBlock origin = {{}, {}, block.rowTiles, block.columnTiles};
  SmallVector<Value> places =
      tilePlaces(loop.mma(), origin, blockSums(groups, n, index));
  SmallVector<Value> acc = loadAccumulators(loop.mma(), places, true);
  int64_t middle = groups.busySteps * loop.tileStep();
  int64_t end = groups.steps * loop.tileStep();
  auto emit = [&](int64_t from, int64_t to, bool isBusy) {
    acc = emitTileSteps(
        loop, block, this->index(from), this->index(to), acc,
        [&](Value k, int64_t product) { beside(isBusy, k, product); });
  };
  emit(0, middle, true);
  if (middle < end)
    emit(middle, end, false);
  storeAccumulators(loop.mma(), places, acc);
}

/// The products of group `n`, and the rows that are left of the one before.
void Emitter::emitGroup(const TileGroups &groups, Value n, bool isFirst) {
  MemoScope scope(*this);
  int64_t count = groups.blocks.size();
  IRMapping outside = mapping, earlier, later;
  Value before;
  if (!isFirst) {
    Value previous = arith::SubIOp::create(b, n, index(1));
    earlier = indicesOf(groups, previous);
    before = blockSums(groups, previous, count - 1);
  }
  if (groups.words) {
    Value next = arith::AddIOp::create(b, n, index(1));
    next = arith::MinUIOp::create(b, next, index(groups.count - 1));
    later = indicesOf(groups, next);
  }
  IRMapping now = indicesOf(groups, n);
  mapping = now;
  for (int64_t i = 0; i < count; ++i) {
    emitGroupBlock(groups, n, i, before, i == 0 ? earlier : now, later);
    before = blockSums(groups, n, i);
  }
  mapping = outside;
}

LogicalResult Emitter::emitGroups(scf::ForOp op, TileGroups &groups) {
  Storage carried;
  carried.kind = Storage::Scratch;
  carried.memory = groups.memory = allocate(op.getInitArgs()[0]);
  fill(op.getInitArgs()[0], groups.memory);
  tiles[op.getRegionIterArg(0)] = carried;
  for (Operation &inner : op.getBody()->without_terminator())
    if (inner.getNumRegions() == 0 && !isIndexOp(inner))
      tiles[inner.getResult(0)] = Storage();
  const TileBlock &block = groups.blocks.front();
  int64_t width = scratchWidth(groups.products.mma().getResult());
  int64_t height = block.rowTiles * kTileRows;
  // The first buffer's last row ends with its pitch or beside the second one.
  int64_t elements = std::max(2 * sumsPitch(groups), height * width);
  groups.sums = allocateBytes(elements * kSumBytes);
  if (!groups.products.b) {
    groups.words =
        allocateBytes(2 * decodedBytes(groups.products, groups.iterations()));
    IRMapping first = indicesOf(groups, index(0));
    std::swap(mapping, first);
    decodeWords(groups.products,
                index(groups.iterations() * groups.products.step),
                groups.words);
    std::swap(mapping, first);
  }
  emitGroup(groups, index(0), /*isFirst=*/true);
  auto loop = scf::ForOp::create(b, index(1), index(groups.count), index(1));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitGroup(groups, loop.getInductionVar(), /*isFirst=*/false);
  }
  Value last = index(groups.count - 1);
  IRMapping indices = indicesOf(groups, last);
  std::swap(mapping, indices);
  Value sums = blockSums(groups, last, groups.blocks.size() - 1);
  forEachBlock(height, 1, 1, [&](Coord row, int64_t rows) {
    addGroupRows(groups, groups.blocks.back(), sums, row, rows);
  });
  std::swap(mapping, indices);
  tiles[op.getResult(0)] = carried;
  placePart(op.getResult(0));
  return success();
}
