// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What several passes need: remarks, maps of sizes, the walk over ops.

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSUTILS_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSUTILS_H

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace lathe::graph {

/// Remarks under the pass's name: an optimization that was done, or not, and
/// why. They cost nothing unless somebody listens.
void remarkPassed(llvm::StringRef pass, mlir::Operation *op,
                  const llvm::Twine &message);
void remarkMissed(llvm::StringRef pass, mlir::Operation *op,
                  const llvm::Twine &message);

/// The map `()[symbols of the analysis] -> (sizes)`, as ops carry it.
mlir::AffineMap getSizeMap(const ShapeAnalysis &shapes,
                           mlir::MLIRContext *context,
                           llvm::ArrayRef<mlir::AffineExpr> sizes);

/// Whether `a` and `b` are the same sizes, one by one.
bool areSameSizes(llvm::ArrayRef<mlir::AffineExpr> a,
                  llvm::ArrayRef<mlir::AffineExpr> b);

/// The type that "bf16" or "f16" names; an error at `op` for another name.
mlir::FailureOr<mlir::FloatType> parseNarrowType(mlir::Operation *op,
                                                 llvm::StringRef name);

/// Offers each op of the function's body, as it was in the beginning, to
/// `rewrite`, which returns the value that takes the place of the op's result,
/// or null to leave the op. The op is erased at once: it reads nothing when the
/// next is offered. New values have dims in `shapes` afterwards if they are
/// results of `rewrite`. Ops that nobody reads in the end are erased. Fails if
/// the shapes can't be inferred, which was reported then.
llvm::LogicalResult rewriteOps(
    mlir::func::FuncOp function,
    llvm::function_ref<mlir::Value(ShapeAnalysis &shapes, mlir::Operation *op)>
        rewrite);

/// Erases ops of `function` whose results nobody reads, last first. A
/// declaration has none.
void eraseDeadOps(mlir::FunctionOpInterface function);

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSUTILS_H
