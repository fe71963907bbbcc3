// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Control flow: ops that run other functions, and the op that turns data into
// sizes.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHCONTROLOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHCONTROLOPS_TD

include "dialects/Graph/IR/GraphOpBase.td"
include "mlir/IR/SymbolInterfaces.td"

/// An op that runs internal functions of the module. Their first symbols are
/// the caller's (`graph.given` says how many), so that dims mean the same on
/// both sides; everything else they read is passed to them.
///
/// `shapes` has one map per result over the caller's symbols; a dim of -1 is
/// one that the run decides, a symbol in `binds`.
class Graph_ControlOp<string mnemonic, list<Trait> traits = []>
    : Graph_Op<mnemonic, !listconcat(traits, [Pure,
        DeclareOpInterfaceMethods<Graph_ShapeOpInterface>,
        DeclareOpInterfaceMethods<SymbolUserOpInterface>])> {
  let results = (outs Variadic<Tensor>:$results);
}

def Graph_IfOp : Graph_ControlOp<"if"> {
  let summary = "One of two functions, by a truth value";
  let description = [{
    `condition` has one element. Both functions take `inputs` and give the
    results. `binds` begins with a symbol that is 1 if the condition holds, else
    0.

    ```mlir
    %y = graph.if %c then @main.then.0 else @main.else.0 (%x)
      shapes [affine_map<()[s0] -> (s0, 4)>]
      : (tensor<i1>, tensor<?x4xf32>) -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins TensorOf<[I1]>:$condition,
                       FlatSymbolRefAttr:$then_function,
                       FlatSymbolRefAttr:$else_function,
                       Variadic<Tensor>:$inputs, AffineMapArrayAttr:$shapes,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let assemblyFormat = [{
    $condition `then` $then_function `else` $else_function `(` $inputs `)`
    `shapes` $shapes attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_CallOp : Graph_ControlOp<"call"> {
  let summary = "The first function whose condition on sizes holds";
  let description = [{
    `conditions` has a set over the symbols for each of the first callees; the
    last callee may have none, and takes what is left.

    ```mlir
    %y = graph.call [@main.seq_128, @main.any]
      when [affine_set<()[s0] : (s0 - 128 == 0)>] (%x)
      shapes [affine_map<()[s0] -> (s0, 4)>]
      : (tensor<?x4xf32>) -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins TypedArrayAttrBase<FlatSymbolRefAttr,
                         "names of functions">:$callees,
                       TypedArrayAttrBase<IntegerSetAttr, "sets">:$conditions,
                       Variadic<Tensor>:$inputs, AffineMapArrayAttr:$shapes,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let assemblyFormat = [{
    $callees `when` $conditions `(` $inputs `)` `shapes` $shapes attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_LoopOp : Graph_ControlOp<"loop", [AttrSizedOperandSegments]> {
  let summary = "A function again and again";
  let description = [{
    `body` takes the number of the iteration (i64), the carried values and
    `inputs`; it gives whether to go on (i1), the next carried values, and
    values that are collected along a new first dim. Results are the carried
    values at the end, then the collected ones. The loop ends after `count`
    iterations, or when it is not to go on; it does not begin where `condition`
    is false.

    ```mlir
    %last, %all = graph.loop @main.body.0 count(%n : tensor<i64>)
      carry (%state : tensor<4xf32>) (%x : tensor<?x4xf32>)
      shapes [affine_map<()[s0] -> (4)>, affine_map<()[s0] -> (s0, 4)>]
      -> tensor<4xf32>, tensor<?x4xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$body,
                       Optional<TensorOf<[I64]>>:$count,
                       Optional<TensorOf<[I1]>>:$condition,
                       Variadic<Tensor>:$carried, Variadic<Tensor>:$inputs,
                       AffineMapArrayAttr:$shapes,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let assemblyFormat = [{
    $body (`count` `(` $count^ `:` type($count) `)`)?
    (`while` `(` $condition^ `:` type($condition) `)`)?
    `carry` `(` ($carried^ `:` type($carried))? `)`
    `(` ($inputs^ `:` type($inputs))? `)` `shapes` $shapes attr-dict
    (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Graph_BindOp : Graph_PureOp<"bind", [AllTypesMatch<["value", "result"]>]> {
  let summary = "Data become sizes";
  let description = [{
    The result is `value`, unchanged. From then on the symbols in `binds` stand
    for the elements of `sizes`, which fail the run if they are negative. What
    uses the symbols must follow from the result, so that it comes later.

    ```mlir
    %z = graph.bind %x, %sizes {binds = array<i64: 3, 4>}
      : tensor<?xf32>, tensor<2xi64>
    %y = graph.reshape %z to affine_map<()[s0, s1, s2, s3, s4] -> (s3, s4)>
      : tensor<?xf32> -> tensor<?x?xf32>
    ```
  }];
  let arguments = (ins Tensor:$value, TensorOf<[I64]>:$sizes,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let results = (outs Tensor:$result);
  let assemblyFormat =
      "$value `,` $sizes attr-dict `:` type($value) `,` type($sizes)";
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHCONTROLOPS_TD
