// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products and windows: contractions, convolutions, pooling, attention.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHCONTRACTIONOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHCONTRACTIONOPS_TD

include "dialects/Graph/IR/GraphOpBase.td"

def Graph_MatmulOp : Graph_PureOp<"matmul"> {
  let summary = "Matrix product of the last two dims, as NumPy's matmul";
  let description = [{
    Leading dims broadcast; operands of rank 1 are a row or a column. f16 and
    bf16 accumulate in f32, integers in i32; of 8-bit floats the result is f32.

    ```mlir
    %y = graph.matmul %x, %w
      : (tensor<?x?x384xf32>, tensor<384x1536xf32>) -> tensor<?x?x1536xf32>
    ```
  }];
  let arguments = (ins Tensor:$lhs, Tensor:$rhs);
  let results = (outs Tensor:$result);
  let assemblyFormat =
      "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_ContractOp : Graph_PureOp<"contract"> {
  let summary = "A linear layer: sum of branches over one input";
  let description = [{
    `y[.., n] = sum_b scale_b * sum_k A_b(x)[.., k] * decode_b(w_b)[k, n]`.
    Each weight is `[K, N]`, a constant in general; branch `b` says how the
    input is quantized for it, the weight's type how it is stored. What follows
    (bias, activation, residual, ...) is the epilogue: the other ops of the
    `graph.group` this op is the root of.

    ```mlir
    %y = graph.contract %x, %w [#graph.branch<>]
      : (tensor<?x?x384xf32>, tensor<384x1536xf32>) -> tensor<?x?x1536xf32>
    ```
  }];
  let arguments = (ins
      Tensor:$input, Variadic<Tensor>:$weights,
      TypedArrayAttrBase<Graph_BranchAttr, "branches">:$branches);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $weights $branches attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_ConvOp : Graph_PureOp<"conv"> {
  let summary = "Convolution, channels first or last";
  let description = [{
    Input `[N, C, spatial...]`, weight `[M, C / groups, kernel...]`, result
    `[N, M, spatial...]`. With `channels_last`, input `[N, spatial..., C]`,
    weight `[kernel..., C / groups, M]`, result `[N, spatial..., M]`. `pads` is
    low and high per spatial dim, interleaved by side as in ONNX: all lows, then
    all highs.

    ```mlir
    %y = graph.conv %x, %w strides [2, 2] dilations [1, 1] pads [1, 1, 1, 1]
        groups 1
      : (tensor<?x3x224x224xf32>, tensor<64x3x3x3xf32>)
        -> tensor<?x64x112x112xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Tensor:$weight,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads, I64Attr:$groups,
                       UnitAttr:$channels_last);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $weight `strides` $strides `dilations` $dilations `pads` $pads
    `groups` $groups (`channels_last` $channels_last^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_PoolOp : Graph_PureOp<"pool"> {
  let summary = "Windowed maximum or mean";
  let description = [{
    `kind` is `max` or `mean`. Input `[N, C, spatial...]`, or
    `[N, spatial..., C]` with `channels_last`. `include_pad` divides a mean by
    the whole window; `ceil` rounds the result dims up.

    ```mlir
    %y = graph.pool max %x kernel [2, 2] strides [2, 2] dilations [1, 1]
        pads [0, 0, 0, 0] : tensor<?x64x56x56xf32> -> tensor<?x64x28x28xf32>
    ```
  }];
  let arguments = (ins Graph_ReductionAttr:$kind, Tensor:$input,
                       DenseI64ArrayAttr:$kernel, DenseI64ArrayAttr:$strides,
                       DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$pads,
                       UnitAttr:$ceil, UnitAttr:$include_pad,
                       UnitAttr:$channels_last);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $kind $input `kernel` $kernel `strides` $strides `dilations` $dilations
    `pads` $pads (`ceil` $ceil^)? (`include_pad` $include_pad^)?
    (`channels_last` $channels_last^)? attr-dict `:`
    type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Graph_AttentionOp : Graph_PureOp<"attention"> {
  let summary = "score(q . k^T) . v, without the score matrix";
  let description = [{
    `query` is `[batch, heads, queries, d]`, `key` `[batch, kv_heads, keys, d]`,
    `value` `[batch, kv_heads, keys, dv]`; `heads` is a multiple of `kv_heads`.
    `mask` broadcasts to `[batch, heads, queries, keys]`: `i1` (false hides the
    key) or a float that is added to the scaled logits. `selection` hides keys
    by position; the kernel spends no time on blocks it hides.

    ```mlir
    %o = graph.attention %q, %k, %v mask %m
           score(#graph.softmax<scale = 0.17>) select(#graph.dense)
      : (tensor<?x12x?x32xf32>, tensor<?x12x?x32xf32>, tensor<?x12x?x32xf32>,
         tensor<?x1x1x?xf32>) -> tensor<?x12x?x32xf32>
    ```
  }];
  let arguments = (ins Tensor:$query, Tensor:$key, Tensor:$value,
                       Optional<Tensor>:$mask, Graph_ScoreInterface:$score,
                       Graph_SelectionInterface:$selection);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`mask` $mask^)? `score` `(` $score `)`
    `select` `(` $selection `)` attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHCONTRACTIONOPS_TD
