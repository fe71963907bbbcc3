// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which positions of which loads and stores may lie outside their views. Most
// are proven inside, from static sizes and from multiples; the others are
// classed by when they can be tested: once per program, or once per loop.

#ifndef LATHE_LIB_TARGET_X86_BOUNDS_H
#define LATHE_LIB_TARGET_X86_BOUNDS_H

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/X86/DimClasses.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace lathe::x86 {

/// One dim of the view of a load or store.
using Bound = std::pair<mlir::Operation *, unsigned>;
using BoundSet = llvm::DenseSet<Bound>;

/// How a bound that is not proven can be tested.
struct BoundTest {
  Bound bound;
  /// The first position in the view, and how many follow.
  mlir::Value index;
  int64_t extent = 1;
  /// The view's size: a value of the kernel, or a constant.
  mlir::OpFoldResult size;
  /// Whether the position may be negative.
  bool mayBeNegative = true;
  /// When `index` is `variable * scale + rest` for the induction variable of a
  /// loop, and `rest` does not vary in it: that loop; null when `index` varies
  /// in no loop at all.
  mlir::scf::ForOp loop;
  int64_t scale = 1;
  mlir::Value rest; ///< Null: zero.
};

/// The class of rows that may stick out of the stored views, and its test.
struct RowEdge {
  unsigned cls;
  mlir::Value index;
  mlir::OpFoldResult size;
  int64_t rows; ///< The size of the class.
};

/// The constant that `value` is, if it is one.
std::optional<int64_t> constantOf(mlir::OpFoldResult value);

/// Whether `value` can be computed ahead of `region`: it depends, through
/// arithmetic only, on nothing that `region` defines.
bool isAvailableBefore(mlir::Value value, mlir::Region *region);

/// The bounds of one kernel.
class Bounds {
public:
  Bounds(tile::KernelOp kernel, const DimClasses &classes);

  /// Whether the dim is inside for every position of the tile.
  bool isProven(Bound bound) const { return proven.contains(bound); }
  /// Whether positions may be negative there.
  bool mayBeNegative(Bound bound) const { return negative.contains(bound); }
  /// Tests that one program, or one loop, can make ahead.
  llvm::ArrayRef<BoundTest> getTests() const { return tests; }
  /// Rows to cut at the edge, if the kernel allows it.
  const std::optional<RowEdge> &getRowEdge() const { return edge; }

private:
  void visit(mlir::Operation *op, mlir::Value tile, mlir::Value view,
             mlir::ValueRange indices, llvm::ArrayRef<int64_t> dims,
             llvm::ArrayRef<int64_t> inBounds, int64_t gatherDim);
  void findRowEdge(tile::KernelOp kernel, const DimClasses &classes);

  BoundSet proven, negative;
  llvm::SmallVector<BoundTest> tests;
  std::optional<RowEdge> edge;
};

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_BOUNDS_H
