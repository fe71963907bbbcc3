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

/// Calls `body` for every square of dims `rowDim` and `columnDim` of a tile of
/// `shape`, with its first position and how many rows and columns it has.
void Emitter::forEachSquare(
    ArrayRef<int64_t> shape, int rowDim, int columnDim,
    function_ref<void(Position, int64_t, int64_t)> body) {
  SmallVector<int64_t> outer(shape);
  outer[rowDim] = outer[columnDim] = 1;
  forEachInBox(outer, -1, [&](const Position &place) {
    forEachBlock(shape[rowDim], unit.lanes, 1, [&](Coord row, int64_t rows) {
      forEachBlock(shape[columnDim], unit.lanes, 1,
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
  Value nothing = constantVec(getElementTypeOrSelf(tile), Attribute());
  forEachSquare(shape, along, last,
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

bool Emitter::storeTransposed(tile::StoreOp op, const Access &access) {
  SmallVector<int64_t> shape = shapeOf(op.getTile());
  int last = static_cast<int>(shape.size()) - 1;
  int along = findUnitDim(*access.view, access.dims, shape);
  Type element = getElementTypeOrSelf(op.getTile());
  if (along < 0 || shape[along] < unit.lanes / 2 || shape[last] == 1 ||
      element.isInteger(1))
    return false;
  Value nothing = constantVec(element, Attribute());
  forEachSquare(
      shape, along, last, [&](Position place, int64_t rows, int64_t columns) {
        SmallVector<Value> lines;
        for (int64_t i = 0; i < unit.lanes; ++i) {
          Position line = place;
          line.lane = last;
          line.at[along] = line.at[along] + i;
          lines.push_back(i < rows ? vec(op.getTile(), line) : nothing);
        }
        lines = transposeSquare(lines);
        for (int64_t i = 0; i < columns; ++i) {
          Position line = place;
          line.lane = along;
          line.at[last] = line.at[last] + i;
          storeVec(access, line, lines[i]);
        }
      });
  return true;
}
