// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which dims of which tiles run together. Row 3 of an accumulator comes from
// row 3 of the loaded operand and goes to row 3 of the store: those three dims
// are one class. A class may be *cut* when no op combines elements across it:
// then a program that computes only some of its positions is still right. The
// lowering cuts classes to fit accumulators into registers, and to compute
// only the rows that exist at the edge of a matrix.

#ifndef LATHE_LIB_TARGET_X86_DIMCLASSES_H
#define LATHE_LIB_TARGET_X86_DIMCLASSES_H

#include "dialects/Tile/IR/Tile.h"
#include "llvm/ADT/DenseMap.h"

namespace lathe::x86 {

/// Union-find over (tile value, dim) of one kernel.
class DimClasses {
public:
  explicit DimClasses(tile::KernelOp kernel);

  /// The representative of a dim's class; stable for the object's lifetime.
  unsigned classOf(mlir::Value tile, unsigned dim) const;

  /// Whether nothing reduces, scans or multiplies along the class.
  bool isCuttable(unsigned cls) const { return !fixed[cls]; }

  /// The common size of the class's dims.
  int64_t size(unsigned cls) const { return sizes[cls]; }

private:
  void visit(mlir::Operation *op);
  void unite(mlir::Value a, unsigned dimA, mlir::Value b, unsigned dimB);
  void uniteAll(mlir::Value a, mlir::Value b);
  void fix(mlir::Value tile, unsigned dim);
  void fixAll(mlir::Value tile);
  unsigned node(mlir::Value tile, unsigned dim);
  unsigned find(unsigned node) const;

  llvm::DenseMap<std::pair<mlir::Value, unsigned>, unsigned> nodes;
  mutable llvm::SmallVector<unsigned> parents;
  llvm::SmallVector<bool> fixed;
  llvm::SmallVector<int64_t> sizes;
};

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_DIMCLASSES_H
