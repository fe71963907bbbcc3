// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Computes tiles of a group's values: the prologue and epilogue of every
// strategy, and all of `pointwise`.
//
// Values are computed in their *compute type*: f32 for f16 and bf16, the
// signless element type otherwise. Rounding to f16 or bf16 happens at a
// `graph.cast` to them and at `store`; in between a fused kernel is more
// precise than the ops one by one.

#ifndef LATHE_KERNELS_TILEEVALUATOR_H
#define LATHE_KERNELS_TILEEVALUATOR_H

#include "lib/Kernels/KernelBuilder.h"

namespace lathe::kernels {

/// f32 for f16 and bf16, else the signless type.
mlir::Type getComputeType(mlir::Type graphType);

/// Converts a tile between an element type and its compute type.
mlir::Value toComputeType(mlir::ImplicitLocOpBuilder &b, mlir::Value tile);
mlir::Value fromComputeType(mlir::ImplicitLocOpBuilder &b, mlir::Value tile,
                            mlir::Type elementType);

/// Emits `arith` and `math` for one elementwise op on tiles of compute types
/// and one shape, or on scalars. Null if the op is not known (none at the time
/// of writing). Semantics are the op's in GraphOps.td.
mlir::Value emitElementwise(mlir::ImplicitLocOpBuilder &b, mlir::Operation *op,
                            mlir::ValueRange tiles);

/// Tiles of one window. Make a new one for another window, or inside a loop. A
/// window without extents gives scalars.
class TileEvaluator {
public:
  /// `group` is the group that values belong to, for arguments and results.
  TileEvaluator(KernelBuilder &kernel, graph::GroupOp group,
                LoweringContext &context, TileWindow window)
      : kernel(kernel), group(group), context(context),
        window(std::move(window)) {}

  /// States that `tile` (of compute type) is the window of `value` seen
  /// through `access`, as the root's result is in an epilogue.
  void bind(mlir::Value value, graph::Access access, mlir::Value tile);

  /// The window of `value` seen through `access`, in its compute type. Equal
  /// requests give equal tiles. Fails with an error on the op if an access
  /// does not fold (graph::walkLeaves would have said so).
  llvm::FailureOr<mlir::Value> evaluate(mlir::Value value,
                                        const graph::Access &access);

  /// Stores a tile of compute type as the window of result `index` of the
  /// group, seen through `access`.
  llvm::LogicalResult store(mlir::Value tile, unsigned index,
                            const graph::Access &access);

  /// The address of every element of the window, as integers of `type`.
  mlir::Value getAddresses(const graph::StridedView &view, mlir::Type type);

  /// Loads `buffer`, of `bufferSize` elements, at an index tile of addresses,
  /// in a window of rank 1. Addresses beyond the buffer read as zero.
  mlir::Value gatherAt(mlir::BlockArgument buffer, mlir::Value addresses,
                       mlir::AffineExpr bufferSize);

private:
  struct Entry {
    mlir::Value value;
    graph::Access access;
    mlir::Value tile;
  };
  llvm::FailureOr<mlir::Value> compute(mlir::Value value,
                                       const graph::Access &access);
  llvm::FailureOr<mlir::Value> computeArgument(mlir::BlockArgument value,
                                               const graph::Access &access);
  llvm::FailureOr<mlir::Value> computeIota(graph::IotaOp op,
                                           const graph::Access &access);
  llvm::FailureOr<mlir::Value> computeGather(mlir::Operation *op,
                                             const graph::Access &access);
  llvm::FailureOr<mlir::Value> gatherUniform(mlir::BlockArgument buffer,
                                             mlir::Value indices,
                                             const graph::GatherAccess &gather);
  llvm::FailureOr<mlir::Value> gatherEach(mlir::BlockArgument buffer,
                                          mlir::Value indices,
                                          const graph::GatherAccess &gather);
  mlir::Value computeConstant(mlir::DenseElementsAttr value);
  mlir::Value computeSize(mlir::AffineExpr size);
  llvm::FailureOr<graph::StridedView> getView(mlir::Value value,
                                              const graph::Access &access);
  mlir::Value getSplat(mlir::Value scalar);
  /// Whether the window of `value` holds one value repeated.
  bool isUniform(mlir::Value value, const graph::Access &access);
  mlir::Value getPosition(mlir::Value index, mlir::AffineExpr size);
  llvm::ArrayRef<mlir::AffineExpr> getDims(mlir::Value value) const {
    return context.dimsOf(value);
  }

  KernelBuilder &kernel;
  graph::GroupOp group;
  LoweringContext &context;
  TileWindow window;
  std::vector<Entry> entries;
};

} // namespace lathe::kernels

#endif // LATHE_KERNELS_TILEEVALUATOR_H
