// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All ops of the dialect, one file for each kind.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHOPS_TD

include "dialects/Graph/IR/GraphContractionOps.td"
include "dialects/Graph/IR/GraphControlOps.td"
include "dialects/Graph/IR/GraphElementwiseOps.td"
include "dialects/Graph/IR/GraphGroupOps.td"
include "dialects/Graph/IR/GraphMovementOps.td"
include "dialects/Graph/IR/GraphReductionOps.td"
include "dialects/Graph/IR/GraphSourceOps.td"

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHOPS_TD
