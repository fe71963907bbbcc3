// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops along rows: reductions, normalizations, running sums.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHREDUCTIONOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHREDUCTIONOPS_TD

include "dialects/Graph/IR/GraphOpBase.td"

def Graph_ReduceOp : Graph_PureOp<"reduce"> {
  let summary = "Combine along dims";
  let description = [{
    Reduces `axes` (ascending, in range). `mean` of floats accumulates in f32.

    ```mlir
    %m = graph.reduce mean %x axes [2] keep
      : tensor<?x?x384xf32> -> tensor<?x?x1xf32>
    ```
  }];
  let arguments = (ins Graph_ReductionAttr:$kind, Tensor:$input,
                       DenseI64ArrayAttr:$axes, UnitAttr:$keep_dims);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $kind $input `axes` $axes (`keep` $keep_dims^)? attr-dict `:`
    type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Graph_ArgReduceOp : Graph_PureOp<"arg_reduce"> {
  let summary = "Index of the largest or smallest element along `axis`";
  let description = [{
    `kind` is `max` or `min`; the first of equals, or the last with
    `last_index`.

    ```mlir
    %i = graph.arg_reduce max %x axis 1 : tensor<?x10xf32> -> tensor<?xi64>
    ```
  }];
  let arguments = (ins Graph_ReductionAttr:$kind, Tensor:$input, I64Attr:$axis,
                       UnitAttr:$keep_dims, UnitAttr:$last_index);
  let results = (outs TensorOf<[I64]>:$result);
  let assemblyFormat = [{
    $kind $input `axis` $axis (`keep` $keep_dims^)? (`last` $last_index^)?
    attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Graph_SoftmaxOp : Graph_PureOp<"softmax", [SameOperandsAndResultType]> {
  let summary = "Softmax along `axis`, or its logarithm";
  let description = [{
    `e^(x - max) / sum`, accumulated in f32.

    ```mlir
    %p = graph.softmax %x axis 3 : tensor<?x12x?x?xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, I64Attr:$axis, UnitAttr:$log);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `axis` $axis (`log` $log^)? attr-dict `:` type($result)
  }];
  let hasVerifier = 1;
}

def Graph_LayerNormOp : Graph_PureOp<"layer_norm", [AttrSizedOperandSegments]> {
  let summary = "Layer normalization over the dims from `axis` on";
  let description = [{
    `(x - mean) / sqrt(var + epsilon) * scale + bias`, statistics in f32;
    variance is the mean of squared deviations. `scale` and `bias` have the
    normalized dims' shape.

    ```mlir
    %y = graph.layer_norm %x scale %g bias %b axis 2 epsilon 1.0e-05
      : (tensor<?x?x384xf32>, tensor<384xf32>, tensor<384xf32>)
        -> tensor<?x?x384xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Optional<Tensor>:$scale,
                       Optional<Tensor>:$bias, I64Attr:$axis, F64Attr:$epsilon);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input (`scale` $scale^)? (`bias` $bias^)? `axis` $axis
    `epsilon` $epsilon attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_RmsNormOp : Graph_PureOp<"rms_norm"> {
  let summary = "Root-mean-square normalization over the dims from `axis` on";
  let description = [{
    `x / sqrt(mean(x^2) + epsilon) * scale`, statistics in f32.

    ```mlir
    %y = graph.rms_norm %x scale %g axis 2 epsilon 1.0e-06
      : (tensor<?x?x384xf32>, tensor<384xf32>) -> tensor<?x?x384xf32>
    ```
  }];
  let arguments = (ins Tensor:$input, Optional<Tensor>:$scale, I64Attr:$axis,
                       F64Attr:$epsilon);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input (`scale` $scale^)? `axis` $axis `epsilon` $epsilon attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_CumulateOp : Graph_PureOp<"cumulate", [SameOperandsAndResultType]> {
  let summary = "Running sum along `axis`";
  let arguments = (ins Tensor:$input, I64Attr:$axis, UnitAttr:$exclusive,
                       UnitAttr:$reverse);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `axis` $axis (`exclusive` $exclusive^)? (`reverse` $reverse^)?
    attr-dict `:` type($result)
  }];
  let description = [{
    Element `i` is the sum of elements up to `i` (before it when `exclusive`),
    from the end when `reverse`.

    ```mlir
    %y = graph.cumulate %x axis 1 exclusive : tensor<?x16xf32>
    ```
  }];
  let hasVerifier = 1;
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHREDUCTIONOPS_TD
