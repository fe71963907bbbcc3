// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Computes pure ops on small dense constants.

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_CONSTANTEVALUATOR_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_CONSTANTEVALUATOR_H

#include "dialects/Graph/IR/Graph.h"

namespace lathe::graph {

/// The result of `op`, which must have one, of static type, on `operands`;
/// null if the op is not known, an operand has more than `limit` elements or
/// no numbers at hand, or the result is undefined (an integer division by
/// zero, an index out of range). Floats are computed in double precision and
/// rounded once.
mlir::DenseElementsAttr evaluate(mlir::Operation *op,
                                 llvm::ArrayRef<mlir::ElementsAttr> operands,
                                 int64_t limit);

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_CONSTANTEVALUATOR_H
