// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Passes on the graph dialect. Passes.td documents each of them with its
// numeric contract. The optimize stage (lib/Pipeline) runs them in this order:
//
//   graph-infer-shapes         dims of everything; shape arithmetic goes
//   graph-fold-constants       factors computed from dims, among others
//   canonicalize, cse
//   graph-simplify-indexing    gathers by position become views
//   graph-recognize-norms      spelled-out normalizations become one op
//   graph-recognize-activations
//   graph-recognize-attention  needs softmax, matmul and views as imported
//   graph-recognize-rotary
//   graph-decompose            patches become products
//   graph-linear-to-contract   after attention, which takes matmuls
//   graph-propagate-layout     convolutions become channels-last or contracts
//   graph-propagate-transposes what that put around them meets and cancels
//   graph-quantize-weights     (option) needs contracts
//   canonicalize, cse
//   graph-form-groups          last: everything else matches single ops

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSES_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSES_H

#include "dialects/Graph/IR/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace lathe::graph {

#define GEN_PASS_DECL
#include "dialects/Graph/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "dialects/Graph/Transforms/Passes.h.inc"

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSES_H
