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
/// How far ahead of them lines of the left operand are asked for.
static constexpr int64_t kStepsAhead = 16;

/// One block of accumulators: its first row and column, and how many rows and
/// vectors it has.
struct Emitter::Block {
  Coord row, column;
  int64_t rows, vectors;
};

/// Rows that registers hold in blocks of `vectors` vectors.
static int64_t rowsPerBlock(int64_t vectors, int64_t registers) {
  return std::max<int64_t>(1, (registers - vectors - 2) / vectors);
}

//===----------------------------------------------------------------------===//
// Dot products of 32-bit words: four bytes, or two bf16
//===----------------------------------------------------------------------===//

/// Whether the operands can be read a word at a time: `b` interleaved or of
/// gathered rows, `a` with the word's elements beside each other, and both
/// inside their views along k and the columns. Rows of `a` that are outside
/// read as its pad.
bool Emitter::hasWordDots(tile::MmaOp op) {
  if ((!isInterleaved(op) && !isGatheredWord(op)) ||
      extent(op.getAcc(), 1) % unit.lanes)
    return false;
  auto isInside = [&](tile::LoadOp load, int64_t dim) {
    Bound bound = {load, static_cast<unsigned>(dim)};
    return bounds.isProven(bound) || assumed.contains(bound);
  };
  SmallVector<Value> columns{op.getB()};
  for (size_t i = 0; i < columns.size(); ++i) {
    Operation *source = columns[i].getDefiningOp();
    if (auto load = dyn_cast<tile::LoadOp>(source)) {
      for (int64_t dim = 0, rank = load.getIndices().size(); dim < rank; ++dim)
        if (!isInside(load, dim))
          return false;
    } else {
      llvm::append_range(columns, source->getOperands());
    }
    if (tiles.lookup(columns[i]).kind != Storage::Deferred)
      return false;
  }
  if (tiles.lookup(op.getA()).kind == Storage::Scratch)
    return true;
  auto a = op.getA().getDefiningOp<tile::LoadOp>();
  if (!a || tiles.lookup(op.getA()).kind != Storage::Deferred || a.getGather())
    return false;
  int64_t along = a.getDims()[1];
  return along >= 0 && a.getView().getType().getStrides()[along] == 1 &&
         isInside(a, along);
}

/// The word of a row of `a`, repeated in every 32-bit lane.
Value Emitter::loadWordOfRow(tile::MmaOp op, Coord row) {
  Type element = op.getA().getType().getElementType();
  Value pointer;
  if (Storage storage = tiles.lookup(op.getA());
      storage.kind == Storage::Scratch) {
    Coord pitch = {Value(), scratchWidth(op.getA())};
    pointer = offsetPointer(storage.memory, element, mul(row, pitch));
  } else {
    auto load = op.getA().getDefiningOp<tile::LoadOp>();
    Access access = accessOf(load);
    Position position = {{row, {}}, -1};
    SmallVector<Coord> coords = coordsAt(access, position);
    Value inside;
    laneMask(access, coords, position, inside);
    pointer = address(access, coords);
    if (inside)
      pointer = LLVM::SelectOp::create(b, inside, pointer,
                                       padSlot(element, load.getPadAttr()));
  }
  return splat(LLVM::LoadOp::create(b, b.getI32Type(), pointer, 1));
}

Value Emitter::wordVec(Value tile, Coord column) {
  Operation *op = tile.getDefiningOp();
  Type element = cast<RankedTensorType>(tile.getType()).getElementType();
  auto bytes = VectorType::get({4 * unit.lanes}, b.getI8Type());
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto splat = cast<SplatElementsAttr>(constant.getValue());
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(bytes, splat.getSplatValue<Attribute>()));
  }
  if (auto load = dyn_cast<tile::LoadOp>(op)) {
    Access access = accessOf(load);
    Value pointer = address(access, coordsAt(access, {{{}, column}, 1}));
    Value words = LLVM::LoadOp::create(b, vectorOf(b.getI32Type()), pointer, 1);
    if (element.isBF16())
      return words;
    return vector::BitCastOp::create(b, bytes, words);
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(wordVec(operand, column));
  OperationState state(op->getLoc(), op->getName(), operands, bytes,
                       op->getAttrs());
  return b.create(state)->getResult(0);
}

/// Columns of four rows, a register of bytes each, as four vectors of words.
/// Interleaving works on 16 bytes at a time: so that words come out in order,
/// the doublewords of these are transposed first.
SmallVector<Value> Emitter::interleaveRows(ArrayRef<Value> rows) {
  int64_t lanes = unit.lanes, bytes = 4 * lanes, chunks = lanes / 4;
  SmallVector<int64_t> transposed;
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    for (int64_t i = 0; i < 4; ++i)
      transposed.push_back(i * chunks + chunk);
  auto interleave = [&](Value x, Value y, int64_t width, bool upper) -> Value {
    auto type = VectorType::get({bytes / width}, b.getIntegerType(8 * width));
    SmallVector<int64_t> mask;
    int64_t count = 16 / width; // Elements of 16 bytes.
    for (int64_t first = 0; first < bytes / width; first += count)
      for (int64_t i = 0; i < count / 2; ++i) {
        int64_t place = first + (upper ? count / 2 : 0) + i;
        mask.append({place, bytes / width + place});
      }
    x = vector::BitCastOp::create(b, type, x);
    y = vector::BitCastOp::create(b, type, y);
    return vector::ShuffleOp::create(b, x, y, mask);
  };
  SmallVector<Value, 4> ordered;
  for (Value row : rows) {
    Value words = vector::BitCastOp::create(b, vectorOf(b.getI32Type()), row);
    ordered.push_back(vector::ShuffleOp::create(b, words, words, transposed));
  }
  SmallVector<Value> result;
  for (bool outer : {false, true}) {
    Value x = interleave(ordered[0], ordered[1], 1, outer);
    Value y = interleave(ordered[2], ordered[3], 1, outer);
    for (bool inner : {false, true})
      result.push_back(interleave(x, y, 2, inner));
  }
  auto type = VectorType::get({bytes}, b.getI8Type());
  for (Value &words : result)
    words = vector::BitCastOp::create(b, type, words);
  return result;
}

SmallVector<Value> Emitter::gatheredWords(tile::LoadOp load, Coord column,
                                          int64_t count) {
  Access access = accessOf(load);
  auto loadRow = [&](int64_t k, Coord at, int64_t bytes) -> Value {
    Value pointer = address(access, coordsAt(access, {{{Value(), k}, at}, 1}));
    return LLVM::LoadOp::create(b, VectorType::get({bytes}, b.getI8Type()),
                                pointer, 1);
  };
  SmallVector<Value> result;
  for (; count >= 4; count -= 4, column = column + 4 * unit.lanes) {
    SmallVector<Value, 4> rows;
    for (int64_t k = 0; k < 4; ++k)
      rows.push_back(loadRow(k, column, 4 * unit.lanes));
    llvm::append_range(result, interleaveRows(rows));
  }
  for (; count > 0; --count, column = column + unit.lanes) {
    SmallVector<Value, 4> rows;
    for (int64_t k = 0; k < 4; ++k)
      rows.push_back(loadRow(k, column, unit.lanes));
    Value even = vector::InterleaveOp::create(b, rows[0], rows[2]);
    Value odd = vector::InterleaveOp::create(b, rows[1], rows[3]);
    result.push_back(vector::InterleaveOp::create(b, even, odd));
  }
  return result;
}

/// Bytes 0 and 2, or 1 and 3, of every word as 16-bit numbers.
Value Emitter::widenBytes(Value words, bool odd, bool isUnsigned) {
  auto type = VectorType::get({2 * unit.lanes}, b.getI16Type());
  Value halves = vector::BitCastOp::create(b, type, words);
  Value eight = arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, b.getI16IntegerAttr(8)));
  if (!odd)
    halves = arith::ShLIOp::create(b, halves, eight);
  if (isUnsigned)
    return arith::ShRUIOp::create(b, halves, eight);
  return arith::ShRSIOp::create(b, halves, eight);
}

/// The first or second bf16 of every word as f32.
Value Emitter::widenHalf(Value words, bool odd) {
  auto constant = [&](int64_t value) {
    return constantVec(b.getI32Type(), b.getI32IntegerAttr(value));
  };
  words = odd ? Value(arith::AndIOp::create(b, words, constant(-0x10000)))
              : Value(arith::ShLIOp::create(b, words, constant(16)));
  return arith::BitcastOp::create(b, vectorOf(b.getF32Type()), words);
}

Value Emitter::callIntrinsic(StringRef name, Type result, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name),
                                       operands)
      ->getResult(0);
}

bool Emitter::hasByteDot(tile::MmaOp op) const {
  return unit.int8Dot && op.getUnsignedA() != op.getUnsignedB();
}

/// Words as the operands of the instructions that multiply them: as they are
/// where one instruction does it (vpdpbusd, vdpbf16ps), else widened, in two.
SmallVector<Value, 2> Emitter::wordOperands(tile::MmaOp op, Value words,
                                            bool isUnsigned) {
  if (isa<FloatType>(op.getA().getType().getElementType())) {
    if (!unit.bf16Dot)
      return {widenHalf(words, false), widenHalf(words, true)};
    auto pairs = VectorType::get({2 * unit.lanes}, b.getBF16Type());
    return {vector::BitCastOp::create(b, pairs, words)};
  }
  if (!hasByteDot(op))
    return {widenBytes(words, false, isUnsigned),
            widenBytes(words, true, isUnsigned)};
  auto bytes = VectorType::get({4 * unit.lanes}, b.getI8Type());
  return {vector::BitCastOp::create(b, bytes, words)};
}

/// `sum` plus the products of the words' elements. Exact for bytes.
Value Emitter::wordDot(tile::MmaOp op, Value sum, ArrayRef<Value> row,
                       ArrayRef<Value> column) {
  Type type = sum.getType();
  if (isa<FloatType>(op.getA().getType().getElementType())) {
    if (row.size() == 1)
      return callIntrinsic("llvm.x86.avx512bf16.dpbf16ps.512", type,
                           {sum, row[0], column[0]});
    for (unsigned half : {0, 1})
      sum = vector::FMAOp::create(b, row[half], column[half], sum);
    return sum;
  }
  if (row.size() == 1) {
    // The unsigned operand first.
    if (op.getUnsignedB())
      std::swap(row, column);
    return callIntrinsic("llvm.x86.avx512.vpdpbusd.512", type,
                         {sum, row[0], column[0]});
  }
  StringRef pairs = unit.lanes == 16 ? "llvm.x86.avx512.pmaddw.d.512"
                                     : "llvm.x86.avx2.pmadd.wd";
  for (unsigned half : {0, 1})
    sum = arith::AddIOp::create(
        b, sum, callIntrinsic(pairs, type, {row[half], column[half]}));
  return sum;
}

/// Adds a word's products per column to the block's accumulators.
void Emitter::wordDotStep(tile::MmaOp op, const Block &block,
                          MutableArrayRef<Value> acc) {
  SmallVector<Value> words;
  if (isGatheredWord(op))
    words = gatheredWords(op.getB().getDefiningOp<tile::LoadOp>(), block.column,
                          block.vectors);
  else
    for (int64_t j = 0; j < block.vectors; ++j)
      words.push_back(wordVec(op.getB(), block.column + j * unit.lanes));
  SmallVector<SmallVector<Value, 2>> columns;
  for (Value word : words)
    columns.push_back(wordOperands(op, word, op.getUnsignedB()));
  for (int64_t i = 0; i < block.rows; ++i) {
    auto row =
        wordOperands(op, loadWordOfRow(op, block.row + i), op.getUnsignedA());
    for (int64_t j = 0; j < block.vectors; ++j) {
      Value &sum = acc[i * block.vectors + j];
      sum = wordDot(op, sum, row, columns[j]);
    }
  }
}

//===----------------------------------------------------------------------===//
// One element of k at a time
//===----------------------------------------------------------------------===//

Value Emitter::multiplyAdd(tile::MmaOp op, Value a, Value b_, Value acc) {
  Type element = op.getA().getType().getElementType();
  if (isa<FloatType>(element))
    return vector::FMAOp::create(b, convertFloat(a, b.getF32Type()),
                                 convertFloat(b_, b.getF32Type()), acc);
  VectorType wide = vectorOf(b.getI32Type());
  auto widen = [&](Value bytes, bool isUnsigned) -> Value {
    if (isUnsigned)
      return arith::ExtUIOp::create(b, wide, bytes);
    return arith::ExtSIOp::create(b, wide, bytes);
  };
  a = widen(a, op.getUnsignedA());
  b_ = widen(b_, op.getUnsignedB());
  return arith::AddIOp::create(b, acc, arith::MulIOp::create(b, a, b_));
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

/// Adds the products of one position of k to the block's accumulators.
void Emitter::mmaStep(tile::MmaOp op, const Block &block, Coord k,
                      MutableArrayRef<Value> acc) {
  SmallVector<Value> columns;
  for (int64_t j = 0; j < block.vectors; ++j)
    columns.push_back(vec(op.getB(), {{k, block.column + j * unit.lanes}, 1}));
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
      acc.push_back(vec(op.getAcc(),
                        {{block.row + i, block.column + j * unit.lanes}, 1}));
  if (hasWordDots(op)) {
    wordDotStep(op, block, acc);
    return acc;
  }
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
    prefetchLeft(op, /*dim=*/1, {loop.getInductionVar(), kStepsAhead},
                 kStepsPerIteration);
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
  if (usesTileDots(op))
    return emitTileDots(op);
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
  int64_t most = rowsPerBlock(vectors, unit.registers);
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
  auto emitRows = [&](Coord row, int64_t blockRows) {
    prefetchLeft(op, /*dim=*/0, row + blockRows, blockRows);
    forEachBlock(perRow, vectors, unit.lanes,
                 [&](Coord column, int64_t blockVectors) {
                   emitBlockAt(row, column, blockRows, blockVectors);
                 });
  };
  // Evenly: a last block of few rows would wait for its own sums.
  int64_t blocks = llvm::divideCeil(shape[0], most);
  int64_t few = shape[0] / blocks, larger = shape[0] % blocks;
  int64_t rest = larger * (few + 1);
  forEachBlock(rest, few + 1, 1, emitRows);
  forEachBlock(shape[0] - rest, few, 1, [&](Coord row, int64_t blockRows) {
    emitRows(row + rest, blockRows);
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
