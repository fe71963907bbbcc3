// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is known of the elements of an integer tensor: bounds that hold for all
// inputs and sizes.

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_INDEXRANGES_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_INDEXRANGES_H

#include "dialects/Graph/IR/ShapeAnalysis.h"

namespace lathe::graph {

/// All elements lie in [first, last]; what is null is not known. Bounds are
/// expressions over the function's symbols.
struct IndexRange {
  mlir::AffineExpr first, last;
};

/// Follows values to constants, counters, sizes, comparisons and positions of
/// extremes, through moves and small arithmetic. Results are remembered.
class IndexRanges {
public:
  explicit IndexRanges(ShapeAnalysis &shapes) : shapes(shapes) {}

  IndexRange get(mlir::Value value);

  /// Whether every element of `indices` is known to lie in [-size, size).
  bool areInside(mlir::Value indices, mlir::AffineExpr size);

private:
  /// Of the result of `op`, whose elements are of `type`.
  IndexRange compute(mlir::Operation *op, mlir::IntegerType type);

  ShapeAnalysis &shapes;
  llvm::DenseMap<mlir::Value, IndexRange> known;
};

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_INDEXRANGES_H
