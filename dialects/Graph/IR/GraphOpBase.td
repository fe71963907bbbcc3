// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every op of the dialect is made of.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHOPBASE_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHOPBASE_TD

include "dialects/Graph/IR/GraphAttrs.td"
include "dialects/Graph/IR/GraphDialect.td"
include "dialects/Graph/IR/GraphInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Graph_Op<string mnemonic, list<Trait> traits = []>
    : Op<Graph_Dialect, mnemonic, traits>;

/// A pure op of tensors that knows its shape function.
class Graph_PureOp<string mnemonic, list<Trait> traits = []>
    : Graph_Op<mnemonic, !listconcat(traits,
        [Pure, DeclareOpInterfaceMethods<Graph_ShapeOpInterface>])>;

defvar Tensor = AnyRankedTensor;

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHOPBASE_TD
