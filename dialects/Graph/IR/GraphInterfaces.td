// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHINTERFACES_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHINTERFACES_TD

include "mlir/IR/OpBase.td"

def Graph_ShapeOpInterface : OpInterface<"ShapeOpInterface"> {
  let cppNamespace = "::lathe::graph";
  let description = [{
    The shape function of an op, once for static, dynamic and named dims: all
    dims are affine expressions over the function's symbols.
  }];
  let methods = [
    InterfaceMethod<[{
      Computes the dims of every result from the dims of the operands.
      `operandDims` has one entry per operand. On a mismatch emits an op error
      that names the operand, what was found and what is allowed.
    }], "::llvm::LogicalResult", "inferDims",
    (ins "::lathe::graph::ShapeScope &":$scope,
         "::llvm::ArrayRef<::lathe::graph::Dims>":$operandDims,
         "::llvm::SmallVectorImpl<::lathe::graph::Dims> &":$resultDims)>
  ];
  // Every relation between shapes is checked by the shape function itself.
  let verifyWithRegions = 1;
  let verify = [{ return ::lathe::graph::verifyShapes($_op); }];
}

def Graph_EncodingInterface : AttrInterface<"EncodingInterface"> {
  let cppNamespace = "::lathe::graph";
  let description = [{
    How a weight is stored (docs/Architecture.md, "Weight encodings"). The
    attribute is data and lives in this dialect; the behaviour is an external
    model in `lib/Encodings/<name>/`. Storage bits and compute type are
    separate: `unpack` is the oracle every lowering is compared with.
  }];
  let methods = [
    InterfaceMethod<"The buffers that hold a weight of type `logical`.",
      "::llvm::SmallVector<::lathe::graph::EncodedBuffer>", "getBuffers",
      (ins "::mlir::RankedTensorType":$logical)>,
    InterfaceMethod<[{
      Encodes dense row-major bytes of type `logical` (its encoding ignored)
      into the buffers named by `getBuffers`, in that order. Lossy encodings
      round to nearest, ties to even; with `moments`, the [k, k] second moments
      of the inputs that a contraction multiplies with the weight (or nothing),
      they may round so that the product errs less.
    }], "::llvm::Error", "encode",
      (ins "::mlir::RankedTensorType":$logical,
           "::llvm::ArrayRef<char>":$dense, "::llvm::ArrayRef<float>":$moments,
           "::llvm::SmallVectorImpl<::llvm::SmallVector<char, 0>> &":$buffers)>,
    InterfaceMethod<[{
      The oracle: the dense row-major bytes that the encoded buffers stand for.
    }], "::llvm::Error", "unpack",
      (ins "::mlir::RankedTensorType":$logical,
           "::llvm::ArrayRef<::llvm::ArrayRef<char>>":$buffers,
           "::llvm::SmallVectorImpl<char> &":$dense)>,
    InterfaceMethod<[{
      The dim along which columns of a contraction lie, where the encoding
      distinguishes it from the other; nothing if all dims are alike.
    }], "::std::optional<int64_t>", "getColumnDim", (ins), [{}], [{
      return std::nullopt;
    }]>,
    InterfaceMethod<[{
      Whether each column is encoded as it would be alone, so that weights of
      the same input can be put side by side first.
    }], "bool", "hasIndependentColumns", (ins), [{}], [{ return true; }]>,
    InterfaceMethod<[{
      Builds tile-level IR that turns tiles loaded from the buffers (same
      order) into a dense operand tile of `elementType`: part `part` of codes
      [k, n]; other buffers have rank 1, [n]. Only `arith`, `math` and `tile`
      ops; knows no target.
    }], "::mlir::Value", "decode",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::ValueRange":$tiles, "int64_t":$part,
           "::mlir::Type":$elementType)>,
    InterfaceMethod<[{
      What integer dot products need to know; nothing if codes are no integers.
    }], "::std::optional<::lathe::graph::IntegerForm>", "getIntegerForm", (ins),
      [{}], [{ return std::nullopt; }]>,
    InterfaceMethod<[{
      Like `decode`, to the codes themselves: part `part` of a tile of codes, as
      i8. Elementwise on i8, so that it works on whole words of codes.
    }], "::mlir::Value", "decodeInteger",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::Value":$codes, "int64_t":$part), [{}], [{ return codes; }]>
  ];
}

def Graph_ScoreInterface : AttrInterface<"ScoreInterface"> {
  let cppNamespace = "::lathe::graph";
  let description = [{
    The score function of an attention. The property bits say which tricks are
    exact: subtracting the mean key needs `isShiftInvariant`, subtracting the
    mean value needs `isRowSumOne`.
  }];
  let methods = [
    InterfaceMethod<"Each row of the score matrix sums to one.",
      "bool", "isRowSumOne">,
    InterfaceMethod<"Adding a constant to a row of logits changes nothing.",
      "bool", "isShiftInvariant">
  ];
}

def Graph_SelectionInterface : AttrInterface<"SelectionInterface"> {
  let cppNamespace = "::lathe::graph";
  let description = [{
    Which keys a query may see, by position alone (a data-dependent mask is an
    operand of `graph.attention`).
  }];
  let methods = [
    InterfaceMethod<[{
      Whether query `query` of `head` (one of `heads`) sees key `key`; windows
      are aligned at the end (query `queries - 1` stands at key `keys - 1`).
      The oracle.
    }], "bool", "isSelected",
      (ins "int64_t":$head, "int64_t":$heads, "int64_t":$query, "int64_t":$key,
           "int64_t":$queries, "int64_t":$keys)>
  ];
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHINTERFACES_TD
