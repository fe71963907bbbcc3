// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tiles whose rows lie along columns of memory, or the reverse: squares of
// `lanes` by `lanes` elements are read along one dim, transposed in registers,
// and written along the other, instead of gathered element by element.

#include "lib/Target/X86/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// Transposes `lanes` vectors. A perfect shuffle of the rows' halves, log2
/// times, moves each bit of the row number to the lane number.
SmallVector<Value> Emitter::transposeSquare(SmallVector<Value> rows) {
  // LLVM would shuffle 16-bit floats by way of f32.
  Type element = getElementTypeOrSelf(rows[0]);
  bool isHalf = isa<Float16Type, BFloat16Type>(element);
  auto castAll = [&](Type to) {
    for (Value &row : rows)
      row = arith::BitcastOp::create(b, vectorOf(to), row);
  };
  if (isHalf)
    castAll(b.getI16Type());
  int64_t lanes = unit.lanes, half = lanes / 2;
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < half; ++i) {
    low.append({i, lanes + i});
    high.append({half + i, lanes + half + i});
  }
  for (int64_t round = 1; round < lanes; round *= 2) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < half; ++i)
      for (ArrayRef<int64_t> mask : {ArrayRef(low), ArrayRef(high)})
        next.push_back(
            vector::ShuffleOp::create(b, rows[i], rows[half + i], mask));
    rows = std::move(next);
  }
  if (isHalf)
    castAll(element);
  return rows;
}

/// Transposes `2 * lanes` vectors of 16-bit elements: of each row of the result
/// the first `lanes` elements and the others. Elements of two rows that lie
/// beside each other move as one word, which shuffles take in one step.
SmallVector<std::array<Value, 2>>
Emitter::transposePairs(ArrayRef<Value> rows) {
  Type element = getElementTypeOrSelf(rows[0]);
  auto halves = vectorOf(b.getI16Type());
  auto words = vectorOf(b.getI32Type());
  SmallVector<Value> lines;
  for (int64_t i = 0; i < unit.lanes; ++i) {
    Value pair[2];
    for (int64_t j : {0, 1})
      pair[j] = arith::BitcastOp::create(b, halves, rows[2 * i + j]);
    Value line = vector::InterleaveOp::create(b, pair[0], pair[1]);
    lines.push_back(vector::BitCastOp::create(b, words, line));
  }
  auto both = VectorType::get({2 * unit.lanes}, b.getI16Type());
  SmallVector<std::array<Value, 2>> result;
  for (Value line : transposeSquare(lines)) {
    line = vector::BitCastOp::create(b, both, line);
    std::array<Value, 2> parts;
    for (int64_t j : {0, 1}) {
      auto mask = llvm::to_vector(
          llvm::seq<int64_t>(j * unit.lanes, (j + 1) * unit.lanes));
      Value part = vector::ShuffleOp::create(b, line, line, mask);
      parts[j] = arith::BitcastOp::create(b, vectorOf(element), part);
    }
    result.push_back(parts);
  }
  return result;
}

/// Whether a tile is transposed in pairs of 16-bit elements along `dim`.
static bool hasPairs(Type element, int64_t size, int64_t lanes) {
  return element.getIntOrFloatBitWidth() == 16 && size % (2 * lanes) == 0;
}

/// Calls `body` for every square of dims `rowDim` and `columnDim` of a tile of
/// `shape`, with its first position and how many rows and columns it has.
/// Squares are `columnLanes` wide.
void Emitter::forEachSquare(
    ArrayRef<int64_t> shape, int rowDim, int columnDim, int64_t columnLanes,
    function_ref<void(Position, int64_t, int64_t)> body) {
  SmallVector<int64_t> outer(shape);
  outer[rowDim] = outer[columnDim] = 1;
  forEachInBox(outer, -1, [&](const Position &place) {
    forEachBlock(shape[rowDim], unit.lanes, 1, [&](Coord row, int64_t rows) {
      forEachBlock(shape[columnDim], columnLanes, 1,
                   [&](Coord column, int64_t columns) {
                     Position position = place;
                     position.at[rowDim] = row;
                     position.at[columnDim] = column;
                     MemoScope scope(*this);
                     body(position, rows, columns);
                   });
    });
  });
}

/// The tile dim, other than the last, along which elements are neighbors in
/// memory; -1 if they are along the last one or along none.
static int findUnitDim(ViewInfo const &view, ArrayRef<int64_t> dims,
                       ArrayRef<int64_t> shape) {
  int found = -1;
  for (auto [tileDim, viewDim] : llvm::enumerate(dims)) {
    if (viewDim < 0)
      continue;
    Coord stride = view.strides[viewDim];
    if (stride.isStatic() && stride.offset == 1 && shape[tileDim] > 1)
      found = tileDim;
  }
  return found + 1 == static_cast<int>(dims.size()) ? -1 : found;
}

bool Emitter::fillTransposed(Value tile, Value memory) {
  auto load = tile.getDefiningOp<tile::LoadOp>();
  if (!load || tiles.lookup(tile).kind != Storage::Deferred ||
      getElementTypeOrSelf(tile).isInteger(1))
    return false;
  Access access = accessOf(load);
  SmallVector<int64_t> shape = shapeOf(tile);
  int last = static_cast<int>(shape.size()) - 1;
  int along = findUnitDim(*access.view, access.dims, shape);
  if (along < 0 || access.dims[last] < 0 || access.gatherDim == along ||
      shape[along] < unit.lanes / 2)
    return false;
  if (hasPairs(getElementTypeOrSelf(tile), shape[last], unit.lanes)) {
    fillPairwise(tile, memory, along);
    return true;
  }
  Value nothing = constantVec(getElementTypeOrSelf(tile), Attribute());
  forEachSquare(shape, along, last, unit.lanes,
                [&](Position place, int64_t rows, int64_t columns) {
                  SmallVector<Value> lines;
                  for (int64_t i = 0; i < unit.lanes; ++i) {
                    Position line = place;
                    line.lane = along;
                    line.at[last] = line.at[last] + i;
                    lines.push_back(i < columns ? vec(tile, line) : nothing);
                  }
                  lines = transposeSquare(lines);
                  for (int64_t i = 0; i < rows; ++i) {
                    Position line = place;
                    line.lane = last;
                    line.at[along] = line.at[along] + i;
                    writeScratch(tile, memory, line, lines[i]);
                  }
                });
  return true;
}

void Emitter::fillPairwise(Value tile, Value memory, int along) {
  SmallVector<int64_t> shape = shapeOf(tile);
  int last = static_cast<int>(shape.size()) - 1;
  auto body = [&](Position place, int64_t rows, int64_t) {
    SmallVector<Value> lines;
    for (int64_t i = 0; i < 2 * unit.lanes; ++i) {
      Position line = place;
      line.lane = along;
      line.at[last] = line.at[last] + i;
      lines.push_back(vec(tile, line));
    }
    SmallVector<std::array<Value, 2>> result = transposePairs(lines);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j : {0, 1}) {
        Position line = place;
        line.lane = last;
        line.at[along] = line.at[along] + i;
        line.at[last] = line.at[last] + j * unit.lanes;
        writeScratch(tile, memory, line, result[i][j]);
      }
  };
  forEachSquare(shape, along, last, 2 * unit.lanes, body);
}

bool Emitter::fillWords(Value tile, Value memory) {
  auto load = tile.getDefiningOp<tile::LoadOp>();
  SmallVector<int64_t> shape = shapeOf(tile);
  int64_t lanes = unit.lanes;
  if (!load || shape.size() != 2 ||
      getElementTypeOrSelf(tile).getIntOrFloatBitWidth() != 16 ||
      shape[0] % (2 * lanes) != 0 || shape[1] % lanes != 0)
    return false;
  Access access = accessOf(load);
  if (access.dims[1] < 0 || findUnitDim(*access.view, access.dims, shape) != 0)
    return false;
  forEachSquare(
      {shape[0] / 2, shape[1]}, 0, 1, lanes,
      [&](Position place, int64_t, int64_t) {
        SmallVector<Value> lines;
        for (int64_t i = 0; i < lanes; ++i)
          lines.push_back(wordsAlong(tile, place.at[0], place.at[1] + i));
        lines = transposeSquare(lines);
        for (int64_t i = 0; i < lanes; ++i)
          rawStore(lines[i],
                   pairPlace(tile, memory, place.at[0] + i, place.at[1]));
      });
  return true;
}

/// The elements of a column from row `2 * word` on, in pairs.
Value Emitter::wordsAlong(Value tile, Coord word, Coord column) {
  Value halves[2];
  for (int64_t i : {0, 1}) {
    Coord row = mul(word, {Value(), 2}) + i * unit.lanes;
    Value half = vec(tile, {{row, column}, 0});
    halves[i] = arith::BitcastOp::create(b, vectorOf(b.getI16Type()), half);
  }
  auto mask = llvm::to_vector(llvm::seq<int64_t>(0, 2 * unit.lanes));
  Value both = vector::ShuffleOp::create(b, halves[0], halves[1], mask);
  return vector::BitCastOp::create(b, vectorOf(b.getI32Type()), both);
}

bool Emitter::storeTransposed(tile::StoreOp op, const Access &access) {
  SmallVector<int64_t> shape = shapeOf(op.getTile());
  int last = static_cast<int>(shape.size()) - 1;
  int along = findUnitDim(*access.view, access.dims, shape);
  Type element = getElementTypeOrSelf(op.getTile());
  if (along < 0 || shape[along] < unit.lanes / 2 || shape[last] == 1 ||
      element.isInteger(1))
    return false;
  // The square is as wide as the stored rows are long.
  bool isPairwise = hasPairs(element, shape[along], unit.lanes);
  int64_t width = isPairwise ? 2 * unit.lanes : unit.lanes;
  Value nothing = constantVec(element, Attribute());
  forEachSquare(shape, last, along, width,
                [&](Position place, int64_t columns, int64_t rows) {
                  SmallVector<Value> lines;
                  for (int64_t i = 0; i < width; ++i) {
                    Position line = place;
                    line.lane = last;
                    line.at[along] = line.at[along] + i;
                    lines.push_back(i < rows ? vec(op.getTile(), line)
                                             : nothing);
                  }
                  auto store = [&](int64_t column, int64_t row, Value vector) {
                    Position line = place;
                    line.lane = along;
                    line.at[last] = line.at[last] + column;
                    line.at[along] = line.at[along] + row;
                    storeVec(access, line, vector);
                  };
                  if (isPairwise) {
                    auto pairs = transposePairs(lines);
                    for (int64_t i = 0; i < columns; ++i)
                      for (int64_t j : {0, 1})
                        store(i, j * unit.lanes, pairs[i][j]);
                    return;
                  }
                  lines = transposeSquare(lines);
                  for (int64_t i = 0; i < columns; ++i)
                    store(i, 0, lines[i]);
                });
  return true;
}
