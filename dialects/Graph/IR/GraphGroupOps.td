// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What one kernel, or one call of the host, computes.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHGROUPOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHGROUPOPS_TD

include "dialects/Graph/IR/GraphOpBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

def Graph_BuiltinOp : Graph_Op<"builtin", [Pure,
    DeclareOpInterfaceMethods<Graph_ShapeOpInterface>]> {
  let summary = "An op that the runtime executes on the host";
  let description = [{
    For what fits no kernel strategy (sort, top-k, unique, non-max suppression,
    recurrent cells). `callee` is a name in the runtime's table
    (runtime/builtins); `options` are its attributes. Where a result dim depends
    on data, `binds` lists the symbols that the call defines, in order.

    ```mlir
    %values, %indices = graph.builtin "top_k" (%x, %k) {axis = -1 : i64}
      : (tensor<?x100xf32>, tensor<1xi64>) -> (tensor<?x5xf32>, tensor<?x5xi64>)
    ```
  }];
  let arguments = (ins StrAttr:$callee, Variadic<Tensor>:$inputs,
                       OptionalAttr<DictionaryAttr>:$options,
                       OptionalAttr<ArrayAttr>:$shapes,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let results = (outs Variadic<Tensor>:$results);
  let assemblyFormat = [{
    $callee `(` $inputs `)` ($options^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_GroupOp : Graph_Op<"group", [Pure, IsolatedFromAbove,
    SingleBlockImplicitTerminator<"::lathe::graph::YieldOp">,
    DeclareOpInterfaceMethods<Graph_ShapeOpInterface>]> {
  let summary = "Ops that one kernel computes";
  let description = [{
    Made by `--graph-form-groups`. At most one op of the body is the root
    (contract, attention, reduction); elementwise and data-movement ops before
    it are the prologue, after it the epilogue. `kind` names the strategy in
    `lib/Kernels`. Block arguments are the operands in order.

    ```mlir
    %y = graph.group contract (%a = %x, %w = %weight, %b = %bias)
        : (...) -> tensor<?x?x1536xf32> {
      %0 = graph.contract %a, %w [#graph.branch<>] : ...
      %1 = graph.add %0, %b : ...
      %2 = graph.gelu %1 : tensor<?x?x1536xf32>
      graph.yield %2 : tensor<?x?x1536xf32>
    }
    ```
  }];
  let arguments = (ins Graph_GroupKindAttr:$kind, Variadic<Tensor>:$inputs);
  let results = (outs Variadic<Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The contract, attention, reduction or norm of the group; null for a
    /// pointwise group.
    ::mlir::Operation *getRoot();
    YieldOp getYield();
  }];
}

def Graph_YieldOp : Graph_Op<"yield", [Pure, Terminator, ReturnLike,
    HasParent<"GroupOp">]> {
  let summary = "Ends a group";
  let description = [{ Its operands are the results of the `graph.group`. }];
  let arguments = (ins Variadic<Tensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let builders = [OpBuilder<(ins)>];
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHGROUPOPS_TD
