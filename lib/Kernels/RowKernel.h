// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels that combine along some dims of an input: reductions, softmax, norms.
//
// The iteration space is the input's dims, *kept* dims first, then *reduced*
// ones, each merged as far as all buffers allow. Vectors run along one of them:
//
//   horizontal: along a reduced dim. A program has one row, on a GPU several
//               of the last kept dim, whichever of both lies without gaps;
//               statistics are tiles of one element a row (tensor<1xf32>),
//               combined across lanes.
//   vertical:   along a kept dim. A program has as many rows as lanes;
//               statistics are tiles of a vector, combined lane by lane.

#ifndef LATHE_KERNELS_ROWKERNEL_H
#define LATHE_KERNELS_ROWKERNEL_H

#include "lib/Kernels/IterationSpace.h"
#include "lib/Kernels/TileEvaluator.h"

namespace lathe::kernels {

/// A group with a row root, and the loops of its kernel.
struct RowProblem {
  mlir::Operation *root = nullptr;
  /// Kept dims, then from `boundary` on reduced ones. At least one of each.
  graph::Dims dims;
  unsigned boundary = 0;
  /// From the root's input, its result, and the group's results, to `dims`.
  graph::Access inputAccess, resultAccess;
  llvm::SmallVector<graph::Access, 1> yieldAccesses;
  /// From a value with the input's dims, `inputDims`, to `dims`.
  graph::Dims inputDims;
  graph::Access spaceAccess;
  /// Elements that are combined into one.
  mlir::AffineExpr reducedCount;

  unsigned lane = 0;
  int64_t tile = 1;
  /// Rows of a program, 1 unless horizontal, and the warps that run it.
  int64_t rows = 1, warps = 4;
  bool isHorizontal() const { return lane >= boundary; }

  mlir::Value getInput() const { return root->getOperand(0); }
  mlir::Value getResult() const { return root->getResult(0); }
};

struct RowOptions {
  bool vertical = false; ///< Lanes along a kept dim, whatever the strides.
  bool reverse = false;  ///< The (only) axis from its end on.
};

/// Analyzes a group whose root combines the input's dims `axes`. Fails with a
/// reason if an access does not fold.
llvm::FailureOr<RowProblem> analyzeRows(graph::GroupOp group,
                                        llvm::ArrayRef<int64_t> axes,
                                        const LoweringContext &context,
                                        const RowOptions &options,
                                        std::string &reason);

/// Builds loops over the rows of a program (or one vector of rows).
class RowKernel {
public:
  RowKernel(const RowProblem &problem, graph::GroupOp group,
            LoweringContext &context, KernelBuilder kernel);

  mlir::ImplicitLocOpBuilder &getBuilder() { return kernel.getBuilder(); }
  KernelBuilder &getKernel() { return kernel; }

  /// One step of a loop over the reduced dims.
  struct Step {
    TileEvaluator evaluator;
    TileWindow window;
    /// Which elements exist; null if all do.
    mlir::Value mask;
  };
  using Body = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      Step &, mlir::ValueRange carried)>;

  /// Loops over the row and returns what is carried. `body` calls `fail` when
  /// something cannot be evaluated.
  llvm::SmallVector<mlir::Value> forRow(llvm::ArrayRef<mlir::Value> carried,
                                        Body body);
  void fail() { failed = true; }

  /// Combines `contribution` over the row. Of the statistic's type below.
  mlir::Value reduce(tile::Combine kind, bool isUnsigned,
                     llvm::function_ref<mlir::Value(Step &)> contribution);

  /// The input's tile of a step, in its compute type. Null after `fail`.
  mlir::Value evaluate(Step &step, mlir::Value value,
                       const graph::Access &access);
  mlir::Value evaluateInput(Step &step) {
    return evaluate(step, problem.getInput(), problem.inputAccess);
  }

  /// A scale or bias, whose dims are the input's last ones.
  mlir::Value evaluateParameter(Step &step, mlir::Value value);
  bool isHorizontal() const { return problem.isHorizontal(); }
  /// Unsigned order as signed order.
  mlir::Value flipSign(mlir::Value tile);

  /// A statistic repeated along the row, and combined across lanes.
  mlir::Value spread(mlir::Value statistic);
  mlir::Value combineLanes(tile::Combine kind, mlir::Value tile);
  mlir::RankedTensorType getTileType(mlir::Type element) const;
  mlir::RankedTensorType getStatisticType(mlir::Type element) const;
  mlir::Value getConstant(mlir::RankedTensorType type, double value);
  /// The number of elements of a row as a statistic of `element` type.
  mlir::Value getRowCount(mlir::Type element);
  /// The position along the innermost reduced dim, as i64 tile.
  mlir::Value getPositions(const Step &step);

  /// Binds the root's result to `tile` in `step` and stores the group's
  /// results.
  void storeResults(Step &step, mlir::Value tile);
  /// The same for a root that gives one value per row.
  void storeStatistic(mlir::Value statistic);

  /// Ends the kernel.
  llvm::LogicalResult finish();

private:
  llvm::SmallVector<mlir::Value> forDims(unsigned dim, bool inBounds,
                                         mlir::ValueRange carried, Body body);
  Step makeStep(bool inBounds);
  bool isSingleStep() const;

  const RowProblem &problem;
  graph::GroupOp group;
  LoweringContext &context;
  KernelBuilder kernel;
  llvm::SmallVector<mlir::Value> bases;
  mlir::AffineExpr grid;
  bool rowsInBounds;
  bool failed = false;
};

mlir::Value combine(mlir::ImplicitLocOpBuilder &b, tile::Combine kind,
                    mlir::Value x, mlir::Value y);

/// What combining starts with: -inf, 0, 1, the smallest integer, ...
mlir::TypedAttr getNeutral(tile::Combine kind, mlir::Type element);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_ROWKERNEL_H
