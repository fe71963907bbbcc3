// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.mma: blocks of accumulators that stay in registers while k runs. An
// element of `a` meets whole vectors of `b`'s rows.

#include "lib/Target/X86/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// So many steps of k are unrolled when they are all there are, ...
static constexpr int64_t kUnrolledSteps = 8;
/// ... else in groups of so many.
static constexpr int64_t kStepsPerIteration = 4;

/// One block of accumulators: its first row and column, and how many rows and
/// vectors it has.
struct Emitter::Block {
  Coord row, column;
  int64_t rows, vectors;
};

/// Rows of a block when a scratch accumulator of `rows` rows is cut into
/// blocks of `vectors` vectors: as many as registers hold, but evenly.
static int64_t rowsPerBlock(int64_t rows, int64_t vectors, int64_t registers) {
  int64_t most = std::max<int64_t>(1, (registers - vectors - 2) / vectors);
  if (rows <= most)
    return rows;
  for (int64_t count = most; count * 3 > most * 2; --count)
    if (rows % count == 0)
      return count;
  return most;
}

Value Emitter::multiplyAdd(tile::MmaOp op, Value a, Value b_, Value acc) {
  Type element = op.getA().getType().getElementType();
  if (isa<FloatType>(element))
    return vector::FMAOp::create(b, convertFloat(a, b.getF32Type()),
                                 convertFloat(b_, b.getF32Type()), acc);
  VectorType wide = vectorOf(b.getI32Type());
  a = op.getUnsignedA() ? Value(arith::ExtUIOp::create(b, wide, a))
                        : Value(arith::ExtSIOp::create(b, wide, a));
  b_ = arith::ExtSIOp::create(b, wide, b_);
  return arith::AddIOp::create(b, acc, arith::MulIOp::create(b, a, b_));
}

/// Adds the products of one position of k to the block's accumulators.
void Emitter::mmaStep(tile::MmaOp op, const Block &block, Coord k,
                      MutableArrayRef<Value> acc) {
  SmallVector<Value> columns;
  for (int64_t j = 0; j < block.vectors; ++j)
    columns.push_back(
        vec(op.getB(), {{k, block.column + j * unit.lanes}, 1}));
  for (int64_t i = 0; i < block.rows; ++i) {
    Value a = vec(op.getA(), {{block.row + i, k}, -1});
    for (int64_t j = 0; j < block.vectors; ++j) {
      Value &sum = acc[i * block.vectors + j];
      sum = multiplyAdd(op, a, columns[j], sum);
    }
  }
}

SmallVector<Value> Emitter::mmaBlock(tile::MmaOp op, const Block &block) {
  SmallVector<Value> acc;
  for (int64_t i = 0; i < block.rows; ++i)
    for (int64_t j = 0; j < block.vectors; ++j)
      acc.push_back(vec(op.getAcc(), {{block.row + i,
                                       block.column + j * unit.lanes},
                                      1}));
  int64_t steps = extent(op.getA(), 1);
  if (steps <= kUnrolledSteps) {
    for (int64_t k = 0; k < steps; ++k)
      mmaStep(op, block, {Value(), k}, acc);
    return acc;
  }
  int64_t whole = steps / kStepsPerIteration * kStepsPerIteration;
  auto loop = scf::ForOp::create(b, index(0), index(whole),
                                 index(kStepsPerIteration), acc);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    MemoScope scope(*this);
    SmallVector<Value> inner(loop.getRegionIterArgs());
    for (int64_t k = 0; k < kStepsPerIteration; ++k)
      mmaStep(op, block, {loop.getInductionVar(), k}, inner);
    scf::YieldOp::create(b, inner);
  }
  acc = loop.getResults();
  for (int64_t k = whole; k < steps; ++k)
    mmaStep(op, block, {Value(), k}, acc);
  return acc;
}

LogicalResult Emitter::emitMma(tile::MmaOp op) {
  SmallVector<int64_t> shape = shapeOf(op.getResult());
  int64_t perRow = llvm::divideCeil(shape[1], unit.lanes);
  Storage storage;
  if (fitsRegisters(op.getResult()) && !feedsMma(op.getResult())) {
    storage.kind = Storage::Registers;
    storage.registers = mmaBlock(op, {{}, {}, shape[0], perRow});
    tiles[op.getResult()] = storage;
    return success();
  }
  storage.kind = Storage::Scratch;
  storage.memory = inPlaceMemory(op);
  if (!storage.memory)
    storage.memory = allocate(op.getResult());

  int64_t vectors = std::min<int64_t>(perRow, unit.registers == 32 ? 4 : 2);
  int64_t rows = rowsPerBlock(shape[0], vectors, unit.registers);
  auto emitBlockAt = [&](Coord row, Coord column, int64_t blockRows,
                         int64_t blockVectors) {
    MemoScope scope(*this);
    SmallVector<Value> sums =
        mmaBlock(op, {row, column, blockRows, blockVectors});
    for (auto [n, sum] : llvm::enumerate(sums)) {
      int64_t i = n / blockVectors, j = n % blockVectors;
      writeScratch(op.getResult(), storage.memory,
                   {{row + i, column + j * unit.lanes}, 1}, sum);
    }
  };
  forEachBlock(shape[0], rows, 1, [&](Coord row, int64_t blockRows) {
    forEachBlock(perRow, vectors, unit.lanes,
                 [&](Coord column, int64_t blockVectors) {
                   emitBlockAt(row, column, blockRows, blockVectors);
                 });
  });
  tiles[op.getResult()] = storage;
  return success();
}

void Emitter::forEachBlock(int64_t count, int64_t block, int64_t scale,
                           function_ref<void(Coord, int64_t)> body) {
  int64_t whole = count / block * block;
  if (whole == block) {
    body({}, block);
  } else if (whole) {
    auto loop = scf::ForOp::create(b, index(0), index(whole * scale),
                                   index(block * scale));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    MemoScope scope(*this);
    body({loop.getInductionVar(), 0}, block);
  }
  if (whole < count)
    body({Value(), whole * scale}, count - whole);
}
