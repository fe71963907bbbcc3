// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that move elements without computing on them.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHMOVEMENTOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHMOVEMENTOPS_TD

include "dialects/Graph/IR/GraphOpBase.td"

def Graph_ReshapeOp : Graph_PureOp<"reshape"> {
  let summary = "The same elements in row-major order under other dims";
  let description = [{
    `shape` gives every result dim over the function's symbols.

    ```mlir
    %y = graph.reshape %x to affine_map<()[s0, s1] -> (s0, s1, 12, 32)>
      : tensor<?x?x384xf32> -> tensor<?x?x12x32xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, AffineMapAttr:$shape);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `to` $shape attr-dict `:` type($input) `->` type($result)
  }];
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
}

def Graph_DynamicReshapeOp : Graph_PureOp<"dynamic_reshape"> {
  let summary = "Reshape to a computed shape";
  let description = [{
    `shape` is a 1-D i64 tensor; one entry may be -1; 0 copies the input's dim
    unless `allow_zero`. Shape inference turns this op into `graph.reshape`
    where it knows the shape, and otherwise has it define one symbol per result
    dim (`binds`).

    ```mlir
    %y = graph.dynamic_reshape %x, %shape
      : (tensor<?x384xf32>, tensor<3xi64>) -> tensor<?x?x?xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, TensorOf<[I64]>:$shape,
                       UnitAttr:$allow_zero,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $shape attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_BroadcastOp : Graph_PureOp<"broadcast"> {
  let summary = "Repeat along new or unit dims, as NumPy's broadcast_to";
  let description = [{
    ```mlir
    %y = graph.broadcast %x to affine_map<()[s0] -> (s0, 4)>
      : tensor<1x4xf32> -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, AffineMapAttr:$shape);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `to` $shape attr-dict `:` type($input) `->` type($result)
  }];
  let hasFolder = 1;
}

def Graph_DynamicBroadcastOp : Graph_PureOp<"dynamic_broadcast"> {
  let summary = "Broadcast with a computed shape";
  let description = [{
    ONNX `Expand`: the result is the broadcast of the input's dims and
    `shape`.

    ```mlir
    %y = graph.dynamic_broadcast %x, %shape
      : (tensor<1x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, TensorOf<[I64]>:$shape,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $shape attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_TransposeOp : Graph_PureOp<"transpose"> {
  let summary = "Permute dims";
  let description = [{
    Result dim `i` is input dim `permutation[i]`.

    ```mlir
    %y = graph.transpose %x [0, 2, 1] : tensor<2x?x4xf32> -> tensor<2x4x?xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, DenseI64ArrayAttr:$permutation);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input $permutation attr-dict `:` type($input) `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$input,
                                 "::llvm::ArrayRef<int64_t>":$permutation)>];
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
}

def Graph_SliceOp : Graph_PureOp<"slice"> {
  let summary = "A strided window";
  let description = [{
    `starts` and `sizes` are affine over the function's symbols, one result per
    dim, already clamped; `steps` are not zero.

    ```mlir
    %y = graph.slice %x from affine_map<()[s0] -> (0, 0)>
           size affine_map<()[s0] -> (1, s0)> step [1, 1]
      : tensor<1x512xi64> -> tensor<1x?xi64>
    ```
  }];
  let arguments = (ins Tensor:$input, AffineMapAttr:$starts,
                       AffineMapAttr:$sizes, DenseI64ArrayAttr:$steps);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `from` $starts `size` $sizes `step` $steps attr-dict `:`
    type($input) `->` type($result)
  }];
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_PitchOp : Graph_PureOp<"pitch"> {
  let summary = "Rows that lie farther apart than they are long";
  let description = [{
    The input's rows, each at the start of a row of `length` elements; what
    follows in it is undefined. The last op of a group that writes its result
    so; what reads the result takes a `graph.slice` of it. A strategy sees
    nothing but strides.

    ```mlir
    %y = graph.pitch %x to 1568 : tensor<?x1536xbf16> -> tensor<?x1568xbf16>
    ```
  }];
  let arguments = (ins Tensor:$input, I64Attr:$length);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `to` $length attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Graph_DynamicSliceOp
    : Graph_PureOp<"dynamic_slice", [AttrSizedOperandSegments]> {
  let summary = "A window with computed bounds";
  let description = [{
    ONNX `Slice` from opset 10: 1-D i64 `starts` and `ends`, optional `axes` and
    `steps`. Shape inference turns it into `graph.slice` where it can.

    ```mlir
    %y = graph.dynamic_slice %x from %starts to %ends axes %axes
      : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>)
        -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, TensorOf<[I64]>:$starts,
                       TensorOf<[I64]>:$ends, Optional<TensorOf<[I64]>>:$axes,
                       Optional<TensorOf<[I64]>>:$steps,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `from` $starts `to` $ends (`axes` $axes^)? (`step` $steps^)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_ConcatOp : Graph_PureOp<"concat"> {
  let summary = "Join along `axis`";
  let description = [{
    ```mlir
    %z = graph.concat %x, %y axis 1
      : (tensor<?x2xf32>, tensor<?x3xf32>) -> tensor<?x5xf32>
    ```
  }];
  let arguments = (ins Variadic<Tensor>:$inputs, I64Attr:$axis);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $inputs `axis` $axis attr-dict `:` functional-type(operands, results)
  }];
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_PadOp : Graph_PureOp<"pad"> {
  let summary = "Add elements at the borders";
  let description = [{
    `low` and `high` count elements per dim, negative ones remove. `value` is a
    scalar tensor, read when the mode is `constant`.

    ```mlir
    %y = graph.pad constant %x with %zero low [0, 1] high [0, 2]
      : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x7xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Optional<Tensor>:$value,
                       DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high,
                       Graph_PadModeAttr:$mode);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $mode $input (`with` $value^)? `low` $low `high` $high attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_GatherOp : Graph_PureOp<"gather"> {
  let summary = "Rows of `axis` by index, as NumPy's take";
  let description = [{
    Result dims are input dims before `axis`, index dims, input dims after it.
    Negative indices count from the end. What may be out of range even so is
    checked on the host (`--graph-check-indices`); a kernel by itself reads the
    nearest row, and never leaves its buffer.

    ```mlir
    %e = graph.gather %table, %ids axis 0
      : (tensor<30522x384xf32>, tensor<?x?xi64>) -> tensor<?x?x384xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, I64Attr:$axis);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $indices `axis` $axis attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_GatherElementsOp : Graph_PureOp<"gather_elements"> {
  let summary = "ONNX `GatherElements`: one index per result element";
  let description = [{
    `result[i][j] = input[indices[i][j]][j]` for `axis = 0`.

    ```mlir
    %y = graph.gather_elements %x, %i axis 0
      : (tensor<?x4xf32>, tensor<2x4xi64>) -> tensor<2x4xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, I64Attr:$axis);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $indices `axis` $axis attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_GatherNdOp : Graph_PureOp<"gather_nd"> {
  let summary = "ONNX `GatherND`: slices by index tuples";
  let description = [{
    The last dim of `indices` is an index tuple into the dims of `input` that
    follow the first `batch_dims`.

    ```mlir
    %y = graph.gather_nd %x, %i batch_dims 0
      : (tensor<?x8x4xf32>, tensor<5x2xi64>) -> tensor<5x4xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, I64Attr:$batch_dims);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $indices `batch_dims` $batch_dims attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_ScatterElementsOp : Graph_PureOp<"scatter_elements"> {
  let summary = "ONNX `ScatterElements`";
  let description = [{
    A copy of `input` with `updates` combined in at `indices` along `axis`.

    ```mlir
    %y = graph.scatter_elements add %x, %i, %u axis 1
      : (tensor<?x8xf32>, tensor<?x3xi64>, tensor<?x3xf32>) -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, Tensor:$updates,
                       I64Attr:$axis, Graph_ScatterModeAttr:$mode);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $mode $input `,` $indices `,` $updates `axis` $axis attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_ScatterNdOp : Graph_PureOp<"scatter_nd"> {
  let summary = "ONNX `ScatterND`";
  let description = [{
    A copy of `input` with the slices `updates` combined in at index tuples.

    ```mlir
    %y = graph.scatter_nd set %x, %i, %u
      : (tensor<?x8xf32>, tensor<5x1xi64>, tensor<5x8xf32>) -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, Tensor:$updates,
                       Graph_ScatterModeAttr:$mode);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $mode $input `,` $indices `,` $updates attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHMOVEMENTOPS_TD
