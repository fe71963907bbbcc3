// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHOPS_TD

include "dialects/Graph/IR/GraphAttrs.td"
include "dialects/Graph/IR/GraphDialect.td"
include "dialects/Graph/IR/GraphInterfaces.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Graph_Op<string mnemonic, list<Trait> traits = []>
    : Op<Graph_Dialect, mnemonic, traits>;

/// A pure op of tensors that knows its shape function.
class Graph_PureOp<string mnemonic, list<Trait> traits = []>
    : Graph_Op<mnemonic, !listconcat(traits,
        [Pure, DeclareOpInterfaceMethods<Graph_ShapeOpInterface>])>;

defvar Tensor = AnyRankedTensor;

//===-- Constants ------------------------------------------------------------//

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

//===-- Elementwise ----------------------------------------------------------//

/// Marks ops that compute each result element from the operands' elements at
/// the broadcast position.
def Graph_Elementwise : NativeOpTrait<"Elementwise"> {
  let cppNamespace = "::lathe::graph::OpTrait";
}

class Graph_UnaryOp<string mnemonic, string formula, list<Trait> traits = []>
    : Graph_PureOp<mnemonic, !listconcat([Graph_Elementwise], traits)> {
  let summary = "Elementwise " # formula;
  let description = [{
    Elementwise; result and operand have the same shape and element type.

    ```mlir
    %y = graph.}] # mnemonic # [{ %x : tensor<?x4xf32>
    ```
  }];
  let arguments = (ins Tensor:$input);
  let results = (outs Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
  let builders = [OpBuilder<(ins "::mlir::Value":$input), [{
    build($_builder, $_state, input.getType(), input);
  }]>];
  let hasVerifier = 1;
  let extraClassDefinition = [{
    ::llvm::LogicalResult $cppClass::inferDims(ShapeScope &scope,
        ::llvm::ArrayRef<Dims> operands,
        ::llvm::SmallVectorImpl<Dims> &results) {
      return inferBroadcastDims(*this, scope, operands, results);
    }
    ::llvm::LogicalResult $cppClass::verify() {
      return verifyElementwise(*this, /*sameElementType=*/true);
    }
  }];
}

class Graph_UnarySameType<string mnemonic, string formula>
    : Graph_UnaryOp<mnemonic, formula, [SameOperandsAndResultType]>;

def Graph_NegOp : Graph_UnarySameType<"neg", "-x">;
def Graph_AbsOp : Graph_UnarySameType<"abs", "|x|">;
def Graph_ExpOp : Graph_UnarySameType<"exp", "e^x">;
def Graph_LogOp : Graph_UnarySameType<"log", "ln x">;
def Graph_SqrtOp : Graph_UnarySameType<"sqrt", "square root">;
def Graph_RsqrtOp : Graph_UnarySameType<"rsqrt", "1 / square root">;
def Graph_SinOp : Graph_UnarySameType<"sin", "sine">;
def Graph_CosOp : Graph_UnarySameType<"cos", "cosine">;
def Graph_TanOp : Graph_UnarySameType<"tan", "tangent">;
def Graph_AsinOp : Graph_UnarySameType<"asin", "arc sine">;
def Graph_AcosOp : Graph_UnarySameType<"acos", "arc cosine">;
def Graph_AtanOp : Graph_UnarySameType<"atan", "arc tangent">;
def Graph_SinhOp : Graph_UnarySameType<"sinh", "hyperbolic sine">;
def Graph_CoshOp : Graph_UnarySameType<"cosh", "hyperbolic cosine">;
def Graph_AsinhOp : Graph_UnarySameType<"asinh", "inverse hyperbolic sine">;
def Graph_AcoshOp : Graph_UnarySameType<"acosh", "inverse hyperbolic cosine">;
def Graph_AtanhOp : Graph_UnarySameType<"atanh", "inverse hyperbolic tangent">;
def Graph_TanhOp : Graph_UnarySameType<"tanh", "hyperbolic tangent">;
def Graph_SigmoidOp : Graph_UnarySameType<"logistic", "1 / (1 + e^-x)">;
def Graph_ErfOp : Graph_UnarySameType<"erf", "error function">;
def Graph_ReluOp : Graph_UnarySameType<"relu", "max(x, 0)">;
def Graph_SiluOp : Graph_UnarySameType<"silu", "x / (1 + e^-x)">;
def Graph_GeluOp : Graph_UnarySameType<"gelu", "x/2 (1 + erf(x / sqrt 2))">;
def Graph_GeluTanhOp : Graph_UnarySameType<"gelu_tanh",
    "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))">;
def Graph_FloorOp : Graph_UnarySameType<"floor", "round down">;
def Graph_CeilOp : Graph_UnarySameType<"ceil", "round up">;
def Graph_RoundOp : Graph_UnarySameType<"round", "round to nearest even">;
def Graph_SignOp : Graph_UnarySameType<"sign", "-1, 0 or 1">;
def Graph_NotOp : Graph_UnarySameType<"not", "bitwise not; logical for i1">;

class Graph_PredicateOp<string mnemonic, string formula>
    : Graph_PureOp<mnemonic, [Graph_Elementwise]> {
  let summary = "Elementwise " # formula;
  let description = [{
    ```mlir
    %y = graph.}] # mnemonic # [{ %x : tensor<?x4xf32> -> tensor<?x4xi1>
    ```
  }];
  let arguments = (ins Tensor:$input);
  let results = (outs TensorOf<[I1]>:$result);
  let assemblyFormat =
      "$input attr-dict `:` type($input) `->` type($result)";
  let extraClassDefinition = [{
    ::llvm::LogicalResult $cppClass::inferDims(ShapeScope &scope,
        ::llvm::ArrayRef<Dims> operands,
        ::llvm::SmallVectorImpl<Dims> &results) {
      return inferBroadcastDims(*this, scope, operands, results);
    }
  }];
}
def Graph_IsNanOp : Graph_PredicateOp<"is_nan", "test for NaN">;
def Graph_IsInfOp : Graph_PredicateOp<"is_inf", "test for infinity">;

class Graph_BinaryOp<string mnemonic, string formula, list<Trait> traits = []>
    : Graph_PureOp<mnemonic, !listconcat([Graph_Elementwise], traits)> {
  let summary = "Elementwise " # formula;
  let description = [{
    Operands broadcast as in NumPy and have the result's element type.

    ```mlir
    %z = graph.}] # mnemonic # [{ %x, %y
      : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins Tensor:$lhs, Tensor:$rhs);
  let results = (outs Tensor:$result);
  let assemblyFormat =
      "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)";
  let builders = [OpBuilder<(ins "::mlir::Value":$lhs, "::mlir::Value":$rhs), [{
    build($_builder, $_state, broadcastType(lhs.getType(), rhs.getType()),
          lhs, rhs);
  }]>];
  let hasVerifier = 1;
  let extraClassDefinition = [{
    ::llvm::LogicalResult $cppClass::inferDims(ShapeScope &scope,
        ::llvm::ArrayRef<Dims> operands,
        ::llvm::SmallVectorImpl<Dims> &results) {
      return inferBroadcastDims(*this, scope, operands, results);
    }
    ::llvm::LogicalResult $cppClass::verify() {
      return verifyElementwise(*this, /*sameElementType=*/true);
    }
  }];
}

def Graph_AddOp : Graph_BinaryOp<"add", "x + y", [Commutative]> {
  let hasFolder = 1;
}
def Graph_SubOp : Graph_BinaryOp<"sub", "x - y"> { let hasFolder = 1; }
def Graph_MulOp : Graph_BinaryOp<"mul", "x * y", [Commutative]> {
  let hasFolder = 1;
}
def Graph_DivOp : Graph_BinaryOp<"div",
    "x / y; integers truncate, as in C"> { let hasFolder = 1; }
def Graph_ModOp : Graph_BinaryOp<"mod", "x modulo y, with the sign of y">;
def Graph_RemOp : Graph_BinaryOp<"rem", "C remainder, with the sign of x">;
def Graph_PowOp : Graph_BinaryOp<"pow", "x to the power y">;
def Graph_MaxOp : Graph_BinaryOp<"max", "maximum; NaN wins", [Commutative]>;
def Graph_MinOp : Graph_BinaryOp<"min", "minimum; NaN wins", [Commutative]>;
def Graph_AndOp : Graph_BinaryOp<"and", "bitwise and", [Commutative]>;
def Graph_OrOp : Graph_BinaryOp<"or", "bitwise or", [Commutative]>;
def Graph_XorOp : Graph_BinaryOp<"xor", "bitwise exclusive or", [Commutative]>;
def Graph_ShlOp : Graph_BinaryOp<"shl", "x << y">;
def Graph_ShrOp : Graph_BinaryOp<"shr", "x >> y">;

def Graph_CompareOp : Graph_PureOp<"compare", [Graph_Elementwise]> {
  let summary = "Elementwise comparison";
  let description = [{
    Floats compare ordered, except `ne`, which holds for NaN.

    ```mlir
    %m = graph.compare lt %x, %y
      : (tensor<?xi64>, tensor<i64>) -> tensor<?xi1>
    ```
  }];
  let arguments = (ins Graph_CompareAttr:$kind, Tensor:$lhs, Tensor:$rhs);
  let results = (outs TensorOf<[I1]>:$result);
  let assemblyFormat =
      "$kind $lhs `,` $rhs attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_SelectOp : Graph_PureOp<"select", [Graph_Elementwise]> {
  let summary = "Elementwise choice";
  let description = [{
    `condition ? lhs : rhs`; all three broadcast.

    ```mlir
    %z = graph.select %m, %x, %y
      : (tensor<?x1xi1>, tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins TensorOf<[I1]>:$condition, Tensor:$lhs, Tensor:$rhs);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $condition `,` $lhs `,` $rhs attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_CastOp : Graph_PureOp<"cast", [Graph_Elementwise]> {
  let summary = "Elementwise change of element type";
  let description = [{
    Float to integer truncates toward zero; to `i1` is `x != 0`; out of range is
    saturated.

    ```mlir
    %y = graph.cast %x : tensor<?xi64> -> tensor<?xf32>
    ```
  }];
  let arguments = (ins Tensor:$input);
  let results = (outs Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let builders = [OpBuilder<(ins "::mlir::Value":$input,
                                 "::mlir::Type":$elementType)>];
  let hasFolder = 1;
}

//===-- Shape and data movement ----------------------------------------------//

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

def Graph_DynamicSliceOp
    : Graph_PureOp<"dynamic_slice", [AttrSizedOperandSegments]> {
  let summary = "A window with computed bounds";
  let description = [{
    ONNX `Slice` from opset 10: 1-D i64 `starts` and `ends`, optional `axes` and
    `steps`. Shape inference turns it into `graph.slice` where it can.
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
  }];
}

def Graph_GatherOp : Graph_PureOp<"gather"> {
  let summary = "Rows of `axis` by index, as NumPy's take";
  let description = [{
    Result dims are input dims before `axis`, index dims, input dims after it.
    Negative indices count from the end; what is out of range even so reads the
    nearest row, so that no kernel leaves its buffer.

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
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, I64Attr:$axis);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $indices `axis` $axis attr-dict `:`
    functional-type(operands, results)
  }];
}

def Graph_GatherNdOp : Graph_PureOp<"gather_nd"> {
  let summary = "ONNX `GatherND`: slices by index tuples";
  let description = [{
    The last dim of `indices` is an index tuple into the dims of `input` that
    follow the first `batch_dims`.
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, I64Attr:$batch_dims);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $input `,` $indices `batch_dims` $batch_dims attr-dict `:`
    functional-type(operands, results)
  }];
}

def Graph_ScatterElementsOp : Graph_PureOp<"scatter_elements"> {
  let summary = "ONNX `ScatterElements`";
  let description = [{
    A copy of `input` with `updates` combined in at `indices` along `axis`.
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, Tensor:$updates,
                       I64Attr:$axis, Graph_ScatterModeAttr:$mode);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $mode $input `,` $indices `,` $updates `axis` $axis attr-dict `:`
    functional-type(operands, results)
  }];
}

def Graph_ScatterNdOp : Graph_PureOp<"scatter_nd"> {
  let summary = "ONNX `ScatterND`";
  let description = [{
    A copy of `input` with the slices `updates` combined in at index tuples.
  }];
  let arguments = (ins Tensor:$input, Tensor:$indices, Tensor:$updates,
                       Graph_ScatterModeAttr:$mode);
  let results = (outs Tensor:$result);
  let assemblyFormat = [{
    $mode $input `,` $indices `,` $updates attr-dict `:`
    functional-type(operands, results)
  }];
}

//===-- Reductions and normalizations ----------------------------------------//

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
  }];
}

//===-- Contractions, convolutions, attention --------------------------------//

def Graph_MatmulOp : Graph_PureOp<"matmul"> {
  let summary = "Matrix product of the last two dims, as NumPy's matmul";
  let description = [{
    Leading dims broadcast; operands of rank 1 are a row or a column. f16 and
    bf16 accumulate in f32, integers in i32.

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

//===-- Host built-ins and groups --------------------------------------------//

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

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHOPS_TD
