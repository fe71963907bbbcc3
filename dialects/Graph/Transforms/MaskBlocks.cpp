// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/MaskBlocks.h"

using namespace mlir;
using namespace lathe::graph;

/// Blocks of a list are made of such cells.
static constexpr int64_t kCell = 16;

/// Sizes of blocks that are tried, and what a score in a block of that size
/// costs beside one in the largest.
static constexpr std::pair<int64_t, double> kBlocks[] = {
    {64, 1.0}, {32, 1.1}, {16, 1.4}};

/// A list beside a mask that stays an operand must hide this much.
static constexpr double kWorthwhile = 0.9;

namespace {
/// What one cell, or a block of them, holds.
struct Cell {
  bool isEmpty = true, isFull = true, isCausal = true;
  void add(const Cell &other) {
    isEmpty &= other.isEmpty;
    isFull &= other.isFull;
    isCausal &= other.isCausal;
  }
};

/// The cells of a mask.
class CellGrid {
public:
  CellGrid(const MaskShape &shape,
           llvm::function_ref<bool(int64_t, int64_t, int64_t)> isVisible)
      : shape(shape), rows(llvm::divideCeil(shape.queries, kCell)),
        columns(llvm::divideCeil(shape.keys, kCell)),
        cells(shape.heads * rows * columns) {
    int64_t shift = shape.keys - shape.queries;
    for (int64_t head = 0; head < shape.heads; ++head)
      for (int64_t query = 0; query < shape.queries; ++query) {
        Cell *row = &cells[(head * rows + query / kCell) * columns];
        for (int64_t key = 0; key < shape.keys; ++key) {
          bool visible = isVisible(head, query, key);
          Cell &cell = row[key / kCell];
          cell.isEmpty &= !visible;
          cell.isFull &= visible;
          cell.isCausal &= visible == (key <= query + shift);
        }
      }
  }

  /// A block of `size` positions.
  Cell getBlock(int64_t head, int64_t row, int64_t column, int64_t size) const {
    Cell block;
    int64_t count = size / kCell;
    for (int64_t i = row * count; i < std::min(rows, (row + 1) * count); ++i)
      for (int64_t j = column * count;
           j < std::min(columns, (column + 1) * count); ++j)
        block.add(cells[(head * rows + i) * columns + j]);
    return block;
  }

private:
  const MaskShape &shape;
  int64_t rows, columns;
  std::vector<Cell> cells;
};

/// How a mask looks in blocks of one size.
struct Fit {
  int64_t block = 0, visited = 0;
  bool isFull = true, isCausal = true;
};
} // namespace

static Fit getFit(const CellGrid &grid, const MaskShape &shape, int64_t block) {
  Fit fit;
  fit.block = block;
  for (int64_t head = 0; head < shape.heads; ++head)
    for (int64_t row = 0; row * block < shape.queries; ++row)
      for (int64_t column = 0; column * block < shape.keys; ++column) {
        Cell found = grid.getBlock(head, row, column, block);
        if (found.isEmpty)
          continue;
        fit.isFull &= found.isFull;
        fit.isCausal &= found.isCausal;
        fit.visited += std::min(block, shape.queries - row * block) *
                       std::min(block, shape.keys - column * block);
      }
  return fit;
}

MaskBlocks lathe::graph::findMaskBlocks(
    MLIRContext *context, const MaskShape &shape,
    llvm::function_ref<bool(int64_t, int64_t, int64_t)> isVisible) {
  CellGrid grid(shape, isVisible);
  auto makeList = [&](const Fit &fit) {
    auto isListed = [&](int64_t head, int64_t row, int64_t column) {
      return !grid.getBlock(head, row, column, fit.block).isEmpty;
    };
    return makeBlockList(context, shape, fit.block, isListed, -1,
                         fit.isFull     ? -1
                         : fit.isCausal ? 0
                                        : -1);
  };
  std::optional<Fit> best;
  double bestCost = 0.0;
  for (auto [block, cost] : kBlocks) {
    Fit fit = getFit(grid, shape, block);
    if (fit.isFull || fit.isCausal)
      return {makeList(fit), true};
    if (!best || fit.visited * cost < bestCost) {
      best = fit;
      bestCost = fit.visited * cost;
    }
  }
  double all = double(shape.heads) * shape.queries * shape.keys;
  if (best->visited > kWorthwhile * all)
    return {BlockListAttr(), false};
  return {makeList(*best), false};
}

BlockListAttr lathe::graph::makeBlockList(
    MLIRContext *context, const MaskShape &shape, int64_t block,
    llvm::function_ref<bool(int64_t, int64_t, int64_t)> isListed, int64_t left,
    int64_t right) {
  int64_t rows = llvm::divideCeil(shape.queries, block);
  int64_t columns = llvm::divideCeil(shape.keys, block);
  std::vector<std::vector<int32_t>> lists;
  for (int64_t head = 0; head < shape.heads; ++head)
    for (int64_t row = 0; row < rows; ++row) {
      lists.emplace_back();
      for (int64_t column = 0; column < columns; ++column)
        if (isListed(head, row, column))
          lists.back().push_back(static_cast<int32_t>(column));
    }
  auto isFirst = [&](size_t i) { return lists[i] == lists[i % rows]; };
  bool isShared = llvm::all_of(llvm::seq<size_t>(0, lists.size()), isFirst);
  if (isShared)
    lists.resize(rows);
  SmallVector<int32_t> offsets = {0}, entries;
  for (const std::vector<int32_t> &list : lists) {
    llvm::append_range(entries, list);
    offsets.push_back(static_cast<int32_t>(entries.size()));
  }
  return BlockListAttr::get(context, block, isShared ? 1 : shape.heads, rows,
                            DenseI32ArrayAttr::get(context, offsets),
                            DenseI32ArrayAttr::get(context, entries), left,
                            right);
}
