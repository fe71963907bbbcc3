// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which tensors of a model may be rounded to 8 or 11 bits. What a network
// learned to work with survives it; a number that says where something stands
// does not: in bf16 positions above 256 are multiples of 2, and an angle of 300
// is off by up to a radian. Frameworks keep these in f32 under bf16, too.

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_ROUNDING_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_ROUNDING_H

#include "dialects/Graph/IR/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace lathe::graph {

/// Where the values of a function come from. Computed once, in program order;
/// the ops may be in groups or not. Values made later are unknown to it.
class Origins {
public:
  explicit Origins(mlir::func::FuncOp function);

  /// Whether `value` carries what the model works on: whether it depends on a
  /// float (or 8-bit) argument, an element of a constant table, a product with
  /// a weight matrix, or a call. What is made of integers, sizes and constants
  /// alone (positions, angles, masks) does not, nor what is unknown.
  bool carriesData(mlir::Value value) const;

private:
  /// What is made of several is as the last one of them in this order.
  enum class Origin { Constant, Index, Data };

  void visit(mlir::Operation &op);
  void visitGroup(GroupOp group);
  Origin get(mlir::Value value) const;
  Origin getResult(mlir::Operation &op) const;

  llvm::DenseMap<mlir::Value, Origin> origins;
};

/// Whether a small error in `value` may become a large one: whether it reaches
/// a sine, a cosine or a tangent, or a step (rounding, a comparison with other
/// than zero, a test for infinity, a cast to an integer). Follows elementwise
/// ops and views in the group that reads it, and products on the way to what is
/// periodic; from group to group as long as all that happens to it are views,
/// concatenations, casts, running sums and factors.
bool mustBeExact(mlir::Value value);

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_ROUNDING_H
