// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the shape functions of the ops share. Errors are emitted on the op.

#ifndef LATHE_DIALECTS_GRAPH_IR_SHAPEFUNCTIONS_H
#define LATHE_DIALECTS_GRAPH_IR_SHAPEFUNCTIONS_H

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Graph/IR/Polynomial.h"

namespace lathe::graph {

/// `expr` as text, for messages.
std::string toString(mlir::AffineExpr expr);

/// The one size that `a` and `b` both are: an error if they differ, a
/// requirement on the scope if that shows only at run time. `what` completes
/// "sizes of ... must be equal", which `hint` follows at run time.
llvm::FailureOr<mlir::AffineExpr>
unifySizes(mlir::Operation *op, ShapeScope &scope, mlir::AffineExpr a,
           mlir::AffineExpr b, const llvm::Twine &what,
           llvm::StringRef hint = "");

/// NumPy broadcast of two shapes into `result`.
llvm::LogicalResult broadcastDims(mlir::Operation *op, ShapeScope &scope,
                                  llvm::ArrayRef<mlir::AffineExpr> a,
                                  llvm::ArrayRef<mlir::AffineExpr> b,
                                  Dims &result);

/// Checks `0 <= axis < rank`.
llvm::LogicalResult checkAxis(mlir::Operation *op, int64_t axis, size_t rank);

/// Checks that operand `operand` has rank `allowed`.
llvm::LogicalResult checkRank(mlir::Operation *op, unsigned operand,
                              llvm::ArrayRef<Dims> dims, size_t allowed);

/// Checks that each result can be addressed (`isAddressable`).
llvm::LogicalResult checkSizes(mlir::Operation *op,
                               llvm::ArrayRef<Dims> results);

/// The canonical results of a map without dims.
Dims getSizes(mlir::AffineMap map);

/// The dims of a value by its type alone; a dynamic dim is a dim expression
/// that no other value has.
Dims getDimsOfType(mlir::Type type, unsigned &unknowns);

/// `dynamic_reshape`, `dynamic_broadcast`, `dynamic_slice` and `dynamic_iota`
/// resolved: nothing if the contents they need are unknown, failure (with an
/// error) if they contradict.
using MaybeDims = std::optional<Dims>;
llvm::FailureOr<MaybeDims> resolveReshape(DynamicReshapeOp op,
                                          ShapeScope &scope,
                                          llvm::ArrayRef<mlir::AffineExpr> in);
llvm::FailureOr<MaybeDims>
resolveBroadcast(DynamicBroadcastOp op, ShapeScope &scope,
                 llvm::ArrayRef<mlir::AffineExpr> in);

/// The window of a slice, one entry per input dim.
struct SliceWindow {
  Dims starts, sizes;
  llvm::SmallVector<int64_t> steps;
};
llvm::FailureOr<std::optional<SliceWindow>>
resolveSlice(DynamicSliceOp op, ShapeScope &scope,
             llvm::ArrayRef<mlir::AffineExpr> in);

/// The count of elements; nothing if it is not known before run time.
MaybeDims resolveIota(DynamicIotaOp op, ShapeScope &scope);

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_IR_SHAPEFUNCTIONS_H
