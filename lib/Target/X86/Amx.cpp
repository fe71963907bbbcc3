// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Multiplies on AMX tiles: up to two by two (or one by four) accumulators stay
// in tile registers while k runs; then they go to scratch, where what follows
// reads them. LLVM assigns the registers and configures them.

#include "lib/Target/X86/Emitter.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// Accumulators in tile registers; three of the eight hold operands.
static constexpr int64_t kTileAccumulators = 4;
static constexpr int64_t kWordBytes = 4;
/// bf16 of k in one tile.
static constexpr int64_t kTileK = 2 * kTileWords;
/// Tiles of a right operand that stay in registers, with two columns of
/// accumulators.
static constexpr int64_t kResidentTiles = 4, kResidentColumns = 2;

static Value shortConstant(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantOp::create(b, b.getI16IntegerAttr(value));
}

Value Emitter::tileIntrinsic(StringRef name, ArrayRef<Value> operands) {
  SmallVector<Value> all = {shortConstant(b, kTileRows),
                            shortConstant(b, kTileWords * kWordBytes)};
  llvm::append_range(all, operands);
  auto type = LLVM::LLVMX86AMXType::get(b.getContext());
  return callIntrinsic(("llvm.x86." + name + ".internal").str(), type, all);
}

/// `pitch` is the distance of rows in bytes. What passes by takes no room in
/// the first-level cache.
Value Emitter::loadTile(Value pointer, Coord pitch, bool passesBy) {
  Value bytes =
      arith::IndexCastOp::create(b, b.getI64Type(), indexValue(pitch));
  return tileIntrinsic(passesBy ? "tileloaddt164" : "tileloadd64",
                       {pointer, bytes});
}

Value Emitter::tileDot(tile::MmaOp op, Value sum, Value a, Value b_) {
  std::string name = "tdpbf16ps";
  if (!isa<FloatType>(op.getA().getType().getElementType()))
    name = (Twine("tdpb") + (op.getUnsignedA() ? "u" : "s") +
            (op.getUnsignedB() ? "ud" : "sd"))
               .str();
  Value bytes = shortConstant(b, kTileWords * kWordBytes);
  return tileIntrinsic(name, {bytes, sum, a, b_});
}

/// Sixteen rows of `a` from `row` on. Rows outside of the view are zeros, which
/// `panel` is for; it is null if there are none.
Value Emitter::loadLeftTile(const TileLoop &loop, Coord row, Value panel) {
  Access access = accessOf(loop.a);
  Coord none;
  if (!panel) {
    Position start = {{row, none}, -1};
    int64_t bytes = kWordBytes / loop.perWord;
    Coord pitch = mul(access.view->strides[access.dims[0]], {Value(), bytes});
    return loadTile(address(access, coordsAt(access, start)), pitch);
  }
  VectorType words = vectorOf(b.getI32Type());
  for (int64_t i = 0; i < kTileRows; ++i) {
    Position position = {{row + i, none}, -1};
    SmallVector<Coord> coords = coordsAt(access, position);
    Value inside;
    laneMask(access, coords, position, inside);
    Value pointer = address(access, coords);
    if (inside)
      pointer = LLVM::SelectOp::create(b, inside, pointer,
                                       padSlot(b.getI32Type(), Attribute()));
    Value line = LLVM::LoadOp::create(b, words, pointer, 1);
    Coord place = {Value(), i * kTileWords};
    rawStore(line, offsetPointer(panel, b.getI32Type(), place));
  }
  return loadTile(panel, {Value(), kTileWords * kWordBytes});
}

/// Sixteen columns of `b` from `column` on, at the loop's induction variable.
Value Emitter::loadRightTile(const TileLoop &loop, Coord column) {
  if (!loop.decoded) {
    Access access = accessOf(loop.b);
    Position position = {{{}, column}, 1};
    Value pointer = address(access, coordsAt(access, position));
    // Where the rows of `a` are, which all columns of the program multiply.
    return loadTile(pointer, {Value(), loop.wordPitch}, /*passesBy=*/true);
  }
  auto op = cast<scf::ForOp>(loop.mma()->getParentOp());
  int64_t width = extent(loop.mma().getResult(), 1);
  int64_t perWord = loop.step / static_cast<int64_t>(loop.mmas.size());
  Value word = arith::DivUIOp::create(b, mapping.lookup(op.getInductionVar()),
                                      index(perWord));
  Coord place = add(mul({word, 0}, {Value(), width}), column);
  return loadTile(offsetPointer(loop.decoded, b.getI32Type(), place),
                  {Value(), width * kWordBytes});
}

/// Adds the products of kTileWords words of k. `beside` follows each product.
void Emitter::tileStep(const TileLoop &loop, const TileBlock &block,
                       ArrayRef<Value> panels, MutableArrayRef<Value> acc,
                       function_ref<void(int64_t)> beside) {
  int64_t products = 0;
  SmallVector<Value, 2> rows(block.rowTiles);
  // Each load right before the first product that needs it: in the order
  // loads first, the products wait for the last of them.
  for (int64_t j = 0; j < block.columnTiles; ++j) {
    Value column = loadRightTile(loop, block.column + j * kTileWords);
    for (int64_t i = 0; i < block.rowTiles; ++i) {
      if (j == 0)
        rows[i] = loadLeftTile(loop, block.row + i * kTileRows, panels[i]);
      Value &sum = acc[i * block.columnTiles + j];
      sum = tileDot(loop.mma(), sum, rows[i], column);
      beside(products++);
    }
  }
}

//===----------------------------------------------------------------------===//
// Blocks of accumulators
//===----------------------------------------------------------------------===//

/// Calls `body` for all of `op`'s result, as many tiles at once as registers
/// hold.
void Emitter::forEachTileBlock(tile::MmaOp op,
                               function_ref<void(const TileBlock &)> body) {
  SmallVector<int64_t> shape = shapeOf(op.getResult());
  int64_t rows = std::min<int64_t>(shape[0], 2 * kTileRows);
  int64_t columns = std::min<int64_t>(shape[1], kTileAccumulators * kTileRows /
                                                    rows * kTileWords);
  forEachBlock(shape[0], rows, 1, [&](Coord row, int64_t height) {
    forEachBlock(shape[1], columns, 1, [&](Coord column, int64_t width) {
      MemoScope scope(*this);
      body({row, column, height / kTileRows, width / kTileWords});
    });
  });
}

/// Where the block's tiles are in the result's scratch.
SmallVector<Value> Emitter::tilePlaces(tile::MmaOp op, const TileBlock &block,
                                       Value memory) {
  Type element = getElementTypeOrSelf(op.getResult());
  Coord width = {Value(), scratchWidth(op.getResult())};
  SmallVector<Value> places;
  for (int64_t i = 0; i < block.rowTiles; ++i)
    for (int64_t j = 0; j < block.columnTiles; ++j) {
      Coord place = add(mul(block.row + i * kTileRows, width),
                        block.column + j * kTileWords);
      places.push_back(offsetPointer(memory, element, place));
    }
  return places;
}

SmallVector<Value>
Emitter::loadAccumulators(tile::MmaOp op, ArrayRef<Value> places, bool isZero) {
  Coord pitch = {Value(), scratchWidth(op.getResult()) * kWordBytes};
  SmallVector<Value> acc;
  for (Value place : places)
    acc.push_back(isZero ? tileIntrinsic("tilezero", {})
                         : loadTile(place, pitch));
  return acc;
}

void Emitter::storeAccumulators(tile::MmaOp op, ArrayRef<Value> places,
                                ValueRange sums) {
  Value pitch = arith::ConstantOp::create(
      b, b.getI64IntegerAttr(scratchWidth(op.getResult()) * kWordBytes));
  for (auto [place, sum] : llvm::zip_equal(places, sums))
    LLVM::CallIntrinsicOp::create(
        b, b.getStringAttr("llvm.x86.tilestored64.internal"),
        ValueRange{shortConstant(b, kTileRows),
                   shortConstant(b, kTileWords * kWordBytes), place, pitch,
                   sum});
}

//===----------------------------------------------------------------------===//
// Loops over k
//===----------------------------------------------------------------------===//

/// The steps in [lower, upper) for one block, added to `acc`. `beside` emits
/// what else is done in a step at some k, after each of its products.
SmallVector<Value>
Emitter::emitTileSteps(const TileLoop &loop, const TileBlock &block,
                       Value lower, Value upper, ValueRange acc,
                       function_ref<void(Value, int64_t)> beside) {
  auto op = cast<scf::ForOp>(loop.mma()->getParentOp());
  SmallVector<Value> panels(block.rowTiles);
  tile::LoadOp a = loop.a;
  Bound rows = {a, a.getDims()[0]};
  if (!bounds.isProven(rows) && !assumed.contains(rows))
    for (Value &panel : panels)
      panel = allocateBytes(kTileRows * kTileWords * kWordBytes);

  Value step = index(loop.tileStep());
  auto steps = scf::ForOp::create(b, lower, upper, step, acc);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(steps.getBody());
  MemoScope scope(*this);
  mapping.map(op.getInductionVar(), steps.getInductionVar());
  for (Operation &inner : op.getBody()->without_terminator())
    if (inner.getResult(0).getType().isIndex())
      b.clone(inner, mapping);
  SmallVector<Value> sums(steps.getRegionIterArgs());
  tileStep(loop, block, panels, sums, [&](int64_t product) {
    if (beside)
      beside(steps.getInductionVar(), product);
  });
  scf::YieldOp::create(b, sums);
  return SmallVector<Value>(steps.getResults());
}

/// All of [lower, upper) for one block, added to what `memory` holds, or to
/// zero.
void Emitter::emitTileBlock(const TileLoop &loop, const TileBlock &block,
                            Value lower, Value upper, Value memory,
                            bool isZero) {
  SmallVector<Value> places = tilePlaces(loop.mma(), block, memory);
  SmallVector<Value> acc = loadAccumulators(loop.mma(), places, isZero);
  acc = emitTileSteps(loop, block, lower, upper, acc);
  storeAccumulators(loop.mma(), places, acc);
}

bool x86::isZeroTile(Value tile) {
  return matchPattern(tile, m_Zero()) || matchPattern(tile, m_AnyZeroFloat());
}

/// Bytes of scratch for the words of so many iterations.
int64_t Emitter::decodedBytes(const TileLoop &loop, int64_t iterations) const {
  int64_t words = loop.mmas.size();
  return std::max<int64_t>(iterations, 1) * words *
         extent(loop.mma().getResult(), 1) * kWordBytes;
}

/// Writes the words of `b` that the iteration at `k` multiplies with to
/// `memory`, which holds those of all iterations. They are early if they are
/// not of the group that is multiplied now.
void Emitter::decodeIteration(const TileLoop &loop, Value k, Value memory,
                              bool isEarly) {
  auto op = cast<scf::ForOp>(loop.mma()->getParentOp());
  int64_t width = extent(loop.mma().getResult(), 1);
  int64_t words = loop.mmas.size();
  MemoScope scope(*this);
  mapping.map(op.getInductionVar(), k);
  for (Operation &inner : op.getBody()->without_terminator())
    if (inner.getResult(0).getType().isIndex())
      b.clone(inner, mapping);
  prefetchWords(op, isEarly);
  Value first = arith::DivUIOp::create(b, k, index(loop.step / words));
  for (int64_t column = 0; column < width; column += unit.lanes)
    for (auto [word, mma] : llvm::enumerate(loop.mmas)) {
      Value bytes = wordVec(tile::MmaOp(mma).getB(), {Value(), column});
      int64_t offset = static_cast<int64_t>(word) * width + column;
      Coord place = mul({first, 0}, {Value(), width}) + offset;
      LLVM::StoreOp::create(b, bytes,
                            offsetPointer(memory, b.getI32Type(), place), 64);
    }
}

/// Writes the words of `b` that iterations before `end` multiply with to
/// `memory`.
void Emitter::decodeWords(const TileLoop &loop, Value end, Value memory) {
  auto decode = scf::ForOp::create(b, index(0), end, index(loop.step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(decode.getBody());
  decodeIteration(loop, decode.getInductionVar(), memory);
}

/// Sixteen words of k at a time as long as there are so many, then one.
LogicalResult Emitter::emitTileLoop(scf::ForOp op, TileLoop loop) {
  Value init = op.getInitArgs()[0];
  SmallVector<Storage, 1> carried(1);
  carried[0].kind = Storage::Scratch;
  carried[0].memory = allocate(init);
  bool isZero = isZeroTile(init);
  if (!isZero)
    fill(init, carried[0].memory);

  Value lower = mapping.lookup(op.getLowerBound());
  Value upper = mapping.lookup(op.getUpperBound());
  Value step = index(loop.tileStep());
  Value span = b.createOrFold<arith::SubIOp>(upper, lower);
  Value count = b.createOrFold<arith::FloorDivSIOp>(span, step);
  Value whole = b.createOrFold<arith::MulIOp>(count, step);
  Value middle = b.createOrFold<arith::AddIOp>(lower, whole);
  if (!loop.b) {
    int64_t iterations = *getConstantIntValue(middle) / loop.step;
    loop.decoded = allocateBytes(decodedBytes(loop, iterations));
    decodeWords(loop, middle, loop.decoded);
  }
  forEachTileBlock(loop.mma(), [&](const TileBlock &block) {
    emitTileBlock(loop, block, lower, middle, carried[0].memory, isZero);
  });
  auto end = getConstantIntValue(upper);
  if (!end || getConstantIntValue(middle) != end) {
    SmallVector<Value> scalars;
    if (failed(emitLoopCopy(op, middle, upper, carried, scalars)))
      return failure();
  }
  tiles[op.getResult(0)] = carried[0];
  return success();
}

//===----------------------------------------------------------------------===//
// Single multiplies of bf16 (attention)
//===----------------------------------------------------------------------===//

/// Whether the shape and the types are such that AMX can do it.
bool Emitter::fitsTileDots(tile::MmaOp op) const {
  return unit.tiles && op.getA().getType().getElementType().isBF16() &&
         op.getB().getType().getElementType().isBF16() && !isInterleaved(op) &&
         extent(op.getResult(), 0) % kTileRows == 0 &&
         extent(op.getResult(), 1) % kTileWords == 0 &&
         extent(op.getA(), 1) % kTileK == 0;
}

/// Whether nothing but multiplies on AMX read the tile, as right operands.
bool Emitter::isPairsOperand(Value tile) const {
  return !tile.use_empty() && llvm::all_of(tile.getUses(), [&](OpOperand &use) {
    auto mma = dyn_cast<tile::MmaOp>(use.getOwner());
    return mma && use.getOperandNumber() == 1 && fitsTileDots(mma);
  });
}

bool Emitter::usesTileDots(tile::MmaOp op) const {
  auto isPlaced = [](Value tile) {
    return tile.getDefiningOp() && isDeferrable(tile.getDefiningOp());
  };
  return fitsTileDots(op) && isPlaced(op.getA()) && isPlaced(op.getB()) &&
         isPairsOperand(op.getB());
}

/// Whether tile registers can be loaded from where the left operand is.
bool Emitter::isTileReadable(Value tile) {
  auto load = tile.getDefiningOp<tile::LoadOp>();
  if (!load || load.getGather() || llvm::is_contained(load.getDims(), -1) ||
      load.getView().getType().getStrides()[load.getDims()[1]] != 1)
    return false;
  for (unsigned dim = 0, rank = load.getIndices().size(); dim < rank; ++dim) {
    Bound bound = {load, dim};
    if (!bounds.isProven(bound) && !assumed.contains(bound))
      return false;
  }
  return true;
}

/// Two rows of `tile` from `position` on as words, the first row's elements in
/// the lower halves.
Value Emitter::pairOf(Value tile, const Position &position) {
  Position next = position;
  next.at[0] = next.at[0] + 1;
  auto rounded = tile.getDefiningOp<arith::TruncFOp>();
  bool isRounded = rounded && getElementTypeOrSelf(rounded.getIn()).isF32() &&
                   tiles.lookup(tile).kind == Storage::Deferred;
  if (!isRounded) {
    auto halves = vectorOf(b.getI16Type());
    Value lower = arith::BitcastOp::create(b, halves, vec(tile, position));
    Value upper = arith::BitcastOp::create(b, halves, vec(tile, next));
    return vector::InterleaveOp::create(b, lower, upper);
  }
  Value lower = vec(rounded.getIn(), position);
  Value upper = vec(rounded.getIn(), next);
  // Powers and reciprocals hold no NaN that rounding would carry out of.
  Operation *made = rounded.getIn().getDefiningOp();
  if (isa_and_nonnull<math::Exp2Op, arith::DivFOp>(made))
    return packBits(lower, upper);
  return packPair(lower, upper);
}

/// Both rounded to bf16, halves up: four integer operations, where the
/// instruction that rounds and the shuffle after it take six.
Value Emitter::packBits(Value lower, Value upper) {
  auto constant = [&](int64_t value) {
    return constantVec(b.getI32Type(), b.getI32IntegerAttr(value));
  };
  auto round = [&](Value x) -> Value {
    x = arith::BitcastOp::create(b, vectorOf(b.getI32Type()), x);
    return arith::AddIOp::create(b, x, constant(0x8000));
  };
  // (a & b) | c. LLVM would make a shuffle of these ops, which takes three.
  Value table = LLVM::ConstantOp::create(b, b.getI32Type(), 0xEA);
  lower = arith::ShRUIOp::create(b, round(lower), constant(16));
  return callIntrinsic("llvm.x86.avx512.pternlog.d.512",
                       vectorOf(b.getI32Type()),
                       {round(upper), constant(-0x10000), lower, table});
}

/// Both rounded to bf16 by one instruction.
Value Emitter::packPair(Value lower, Value upper) {
  auto both = VectorType::get({2 * unit.lanes}, b.getBF16Type());
  Value packed = callIntrinsic("llvm.x86.avx512bf16.cvtne2ps2bf16.512", both,
                               {upper, lower});
  SmallVector<int64_t> order;
  for (int64_t lane = 0; lane < unit.lanes; ++lane)
    order.append({lane, lane + unit.lanes});
  return vector::ShuffleOp::create(b, packed, packed, order);
}

/// Where the words of row pair `line` are, sixteen columns from `column` on:
/// pairs of rows are laid out as the tiles that are loaded, one by one.
Value Emitter::pairPlace(Value tile, Value memory, Coord line, Coord column) {
  Coord place = add(mul(column, {Value(), extent(tile, 0) / 2}),
                    mul(line, {Value(), kTileWords}));
  return offsetPointer(memory, b.getI32Type(), place);
}

LogicalResult Emitter::materializePairs(Value tile) {
  SmallVector<int64_t> shape = shapeOf(tile);
  auto load = tile.getDefiningOp<tile::LoadOp>();
  Storage storage;
  storage.kind = Storage::Pairs;
  storage.memory = allocate(tile);
  if (fillWords(tile, storage.memory)) {
    tiles[tile] = storage;
    return success();
  }
  if (load && isStridedOperand(load))
    if (failed(materialize(tile)))
      return failure();
  forEachInBox({shape[0] / 2, shape[1]}, 1, [&](const Position &position) {
    Coord row = mul(position.at[0], {Value(), 2}), column = position.at[1];
    Value words = pairOf(tile, {{row, column}, 1});
    Value place = pairPlace(tile, storage.memory, position.at[0], column);
    LLVM::StoreOp::create(b, words, place, 4);
  });
  tiles[tile] = storage;
  return success();
}

/// Whether `tile` becomes its rows' sum and the right operand of multiplies,
/// and nothing else: the weights of attention.
bool Emitter::findSummedPairs(Value tile, SummedPairs &found) {
  if (!unit.tiles || !getElementTypeOrSelf(tile).isF32() || !tile.hasNUses(2))
    return false;
  Operation *op = tile.getDefiningOp();
  for (Operation *user : tile.getUsers()) {
    if (user->getBlock() != op->getBlock())
      return false;
    if (auto sum = dyn_cast<tile::ReduceOp>(user))
      found.sum = sum;
    if (auto rounded = dyn_cast<arith::TruncFOp>(user))
      found.rounded = rounded;
  }
  return found.sum && found.rounded &&
         found.sum.getKind() == tile::Combine::Add &&
         found.sum.getAxis() == 0 && fitsRegisters(found.sum.getResult()) &&
         !feedsMma(found.sum.getResult()) &&
         isPairsOperand(found.rounded.getResult());
}

/// Computes each of the tile's elements once, for both.
void Emitter::emitSummedPairs(Value tile, SummedPairs found) {
  constexpr int64_t vectorsAtOnce = 2;
  SmallVector<int64_t> shape = shapeOf(tile);
  int64_t vectors = llvm::divideCeil(shape[1], unit.lanes);
  Storage pairs, sums;
  pairs.kind = Storage::Pairs;
  pairs.memory = allocate(found.rounded.getResult());
  Value zero = constantVec(b.getF32Type(), b.getF32FloatAttr(0));
  auto loop = scf::ForOp::create(b, index(0), index(shape[0]), index(2),
                                 SmallVector<Value>(vectors, zero));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    MemoScope scope(*this);
    Coord row = {loop.getInductionVar(), 0};
    Value line = arith::DivUIOp::create(b, row.base, index(2));
    SmallVector<Value> next(loop.getRegionIterArgs());
    for (int64_t first = 0; first < vectors; first += vectorsAtOnce) {
      int64_t end = std::min(first + vectorsAtOnce, vectors);
      // Their chains are interleaved.
      SmallVector<std::pair<Value, Value>, vectorsAtOnce> rows;
      for (int64_t j = first; j < end; ++j) {
        Coord column = {Value(), j * unit.lanes};
        Value lower = vec(tile, {{row, column}, 1});
        rows.emplace_back(lower, vec(tile, {{row + 1, column}, 1}));
      }
      for (int64_t j = first; j < end; ++j) {
        auto [lower, upper] = rows[j - first];
        rawStore(packBits(lower, upper),
                 pairPlace(tile, pairs.memory, {line, 0},
                           {Value(), j * unit.lanes}));
        next[j] = arith::AddFOp::create(b, next[j],
                                        arith::AddFOp::create(b, lower, upper));
      }
    }
    scf::YieldOp::create(b, next);
  }
  sums.kind = Storage::Registers;
  llvm::append_range(sums.registers, loop.getResults());
  tiles[found.sum.getResult()] = sums;
  tiles[found.rounded.getResult()] = pairs;
  computedAhead.insert(found.sum);
  computedAhead.insert(found.rounded);
}

/// Sixteen rows of `a` from `row` on, 32 of k from `k` on.
Value Emitter::loadLeftTile(tile::MmaOp op, Coord row, int64_t k) {
  constexpr int64_t width = 2; // bytes
  Type element = op.getA().getType().getElementType();
  if (Storage storage = tiles.lookup(op.getA());
      storage.kind == Storage::Scratch) {
    Coord pitch = {Value(), scratchWidth(op.getA())};
    Coord place = mul(row, pitch) + k;
    return loadTile(offsetPointer(storage.memory, element, place),
                    mul(pitch, {Value(), width}));
  }
  Access access = accessOf(op.getA().getDefiningOp<tile::LoadOp>());
  Position start = {{row, {Value(), k}}, -1};
  return loadTile(address(access, coordsAt(access, start)),
                  mul(access.view->strides[access.dims[0]], {Value(), width}));
}

/// The right operand's tile at `column`, 32 of k from `k` on.
Value Emitter::loadRightTile(tile::MmaOp op, int64_t k, Coord column) {
  Value memory = tiles.lookup(op.getB()).memory;
  return loadTile(pairPlace(op.getB(), memory, {Value(), k / 2}, column),
                  {Value(), kTileWords * kWordBytes});
}

/// `right` is the right operand's tiles, step by step, if they are in
/// registers. `beside` follows each product.
void Emitter::emitTileDotBlock(tile::MmaOp op, const TileBlock &block,
                               const TileDotSums &sums, ArrayRef<Value> right,
                               function_ref<void(int64_t)> beside) {
  SmallVector<Value> places = tilePlaces(op, block, sums.memory);
  SmallVector<Value> acc;
  for (int64_t i = 0; sums.rows && i < block.rowTiles; ++i) {
    Coord place = mul(block.row + i * kTileRows, {Value(), kTileWords});
    Value tile = loadTile(offsetPointer(sums.rows, b.getF32Type(), place),
                          {Value(), kTileWords * kWordBytes});
    acc.append(block.columnTiles, tile);
  }
  if (!sums.rows)
    acc = loadAccumulators(op, places, sums.isZero);
  int64_t products = 0;
  for (int64_t k = 0; k < extent(op.getA(), 1); k += kTileK) {
    SmallVector<Value, 2> rows(block.rowTiles);
    for (int64_t j = 0; j < block.columnTiles; ++j) {
      Value column = right.empty()
                         ? loadRightTile(op, k, block.column + j * kTileWords)
                         : right[k / kTileK * block.columnTiles + j];
      for (int64_t i = 0; i < block.rowTiles; ++i) {
        if (j == 0)
          rows[i] = loadLeftTile(op, block.row + i * kTileRows, k);
        Value &sum = acc[i * block.columnTiles + j];
        sum = tileDot(op, sum, rows[i], column);
        if (beside)
          beside(products++);
      }
    }
  }
  storeAccumulators(op, places, acc);
}

/// Where the accumulator's rows are, each one element repeated in one vector,
/// if all elements of a row are the same; else null. One row tile serves all
/// columns.
Value Emitter::startOfRows(tile::MmaOp op) {
  Value acc = op.getAcc();
  auto load = acc.getDefiningOp<tile::LoadOp>();
  bool isRepeated = (load && load.getDims().size() == 2 &&
                     load.getDims()[1] == -1 && !load.getGather()) ||
                    matchPattern(acc, m_Constant());
  if (!isRepeated || tiles.lookup(acc).kind != Storage::Deferred)
    return {};
  int64_t rows = extent(acc, 0);
  Value memory = allocateBytes(rows * kTileWords * kWordBytes);
  forEachInBox({rows}, -1, [&](const Position &position) {
    Coord row = position.at[0];
    Value line = vec(acc, {{row, {}}, -1});
    rawStore(line, offsetPointer(memory, b.getF32Type(),
                                 mul(row, {Value(), kTileWords})));
  });
  return memory;
}

/// Row tiles of a block whose right operand stays in registers; 0 if k is too
/// long for that. Loads of tiles cost nearly as much as products, and here two
/// serve four.
int64_t Emitter::residentRows(tile::MmaOp op) const {
  int64_t steps = extent(op.getA(), 1) / kTileK;
  if (steps * kResidentColumns > kResidentTiles)
    return 0;
  return kTileAccumulators / kResidentColumns / steps;
}

/// All steps' tiles of the right operand, `columnTiles` from `column` on.
SmallVector<Value> Emitter::loadResident(tile::MmaOp op, Coord column,
                                         int64_t columnTiles) {
  SmallVector<Value> right;
  for (int64_t k = 0; k < extent(op.getA(), 1); k += kTileK)
    for (int64_t j = 0; j < columnTiles; ++j)
      right.push_back(loadRightTile(op, k, column + j * kTileWords));
  return right;
}

/// Calls `body` for all of `op`'s result, with the right operand's tiles in
/// registers for all rows; false if k is too long for that.
bool Emitter::forEachResidentBlock(
    tile::MmaOp op,
    function_ref<void(const TileBlock &, ArrayRef<Value>)> body) {
  SmallVector<int64_t> shape = shapeOf(op.getResult());
  int64_t down = residentRows(op);
  if (down == 0)
    return false;
  forEachBlock(
      shape[1], kResidentColumns * kTileWords, 1,
      [&](Coord column, int64_t width) {
        MemoScope scope(*this);
        SmallVector<Value> right = loadResident(op, column, width / kTileWords);
        forEachBlock(
            shape[0], down * kTileRows, 1, [&](Coord row, int64_t height) {
              MemoScope inner(*this);
              body({row, column, height / kTileRows, width / kTileWords},
                   right);
            });
      });
  return true;
}

LogicalResult Emitter::emitTileDots(tile::MmaOp op) {
  TileDotSums sums;
  sums.memory = inPlaceMemory(op);
  if (!sums.memory)
    sums.memory = allocate(op.getResult());
  Storage acc = tiles.lookup(op.getAcc());
  sums.isZero = isZeroTile(op.getAcc());
  if (!sums.isZero)
    sums.rows = startOfRows(op);
  if (!sums.isZero && !sums.rows &&
      (acc.kind != Storage::Scratch || acc.memory != sums.memory))
    fill(op.getAcc(), sums.memory);
  Storage storage;
  storage.kind = Storage::Scratch;
  storage.memory = sums.memory;
  tiles[op.getResult()] = storage;
  if (TileWeights weights; findWeights(op, weights))
    return emitWithWeights(op, sums, weights);
  if (!forEachResidentBlock(op,
                            [&](const TileBlock &block, ArrayRef<Value> right) {
                              emitTileDotBlock(op, block, sums, right);
                            }))
    forEachTileBlock(op, [&](const TileBlock &block) {
      emitTileDotBlock(op, block, sums, {});
    });
  return success();
}
