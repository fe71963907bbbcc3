// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops whose result elements depend on the operands at the same position, after
// NumPy broadcasting.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHELEMENTWISEOPS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHELEMENTWISEOPS_TD

include "dialects/Graph/IR/GraphOpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

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
    "x / y; integers truncate, as in C, and a divisor of 0 counts as 1"> {
  let hasFolder = 1;
}
def Graph_ModOp : Graph_BinaryOp<"mod",
    "x modulo y, with the sign of y; 0 for integers if y is 0">;
def Graph_RemOp : Graph_BinaryOp<"rem",
    "C remainder, with the sign of x; 0 for integers if y is 0">;
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

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHELEMENTWISEOPS_TD
