// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Values that are not computed from elements: constants, sizes, counters.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHSOURCEOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHSOURCEOPS_TD

include "dialects/Graph/IR/GraphOpBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"

def Graph_ConstantOp : Graph_Op<"constant", [Pure, ConstantLike,
    DeclareOpInterfaceMethods<Graph_ShapeOpInterface>]> {
  let summary = "A weight or other constant";
  let description = [{
    `value` holds the dense content, mostly a `dense_resource` over a mapped
    file. A result type with an encoding says that the constant is to be stored
    so; the encoding is applied when the bundle is written.

    ```mlir
    %w = graph.constant dense_resource<w> : tensor<384x1536xf32>
      : tensor<384x1536xf32, #graph.int8<axis = 1>>
    ```
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Tensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($result)";
  let builders = [OpBuilder<(ins "::mlir::ElementsAttr":$value), [{
    build($_builder, $_state, value.getType(), value);
  }]>];
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_DimOp : Graph_PureOp<"dim"> {
  let summary = "The size of one dim, as a tensor of one i64";
  let description = [{
    ```mlir
    %n = graph.dim %x, 1 : tensor<?x?xf32> -> tensor<i64>
    ```
  }];
  let arguments = (ins Tensor:$input, I64Attr:$axis);
  let results = (outs TensorOf<[I64]>:$result);
  let assemblyFormat =
      "$input `,` $axis attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_IotaOp : Graph_PureOp<"iota"> {
  let summary = "start, start + 1, ... along one dim";
  let description = [{
    `size` is affine over the function's symbols.

    ```mlir
    %p = graph.iota 0 size affine_map<()[s0, s1] -> (s1)> : tensor<?xi64>
    ```
  }];
  let arguments = (ins I64Attr:$start, AffineMapAttr:$size);
  let results = (outs Tensor:$result);
  let assemblyFormat = "$start `size` $size attr-dict `:` type($result)";
}

def Graph_DynamicIotaOp : Graph_PureOp<"dynamic_iota"> {
  let summary = "ONNX `Range`: start, start + delta, ... below limit";
  let arguments = (ins Tensor:$start, Tensor:$limit, Tensor:$delta,
                       OptionalAttr<DenseI64ArrayAttr>:$binds);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $start `,` $limit `,` $delta attr-dict `:`
    functional-type(operands, results)
  }];
  let description = [{
    Scalars of the result's element type. Becomes `graph.iota` (scaled and
    shifted) where shape inference knows the count.

    ```mlir
    %p = graph.dynamic_iota %start, %limit, %delta
      : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
    ```
  }];
  let hasVerifier = 1;
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHSOURCEOPS_TD
