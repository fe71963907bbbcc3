// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHATTRS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHATTRS_TD

include "dialects/Graph/IR/GraphDialect.td"
include "dialects/Graph/IR/GraphEnums.td"
include "dialects/Graph/IR/GraphInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/TensorEncoding.td"

class Graph_Attr<string cppName, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Graph_Dialect, cppName, traits> {
  let mnemonic = attrMnemonic;
}

/// A `double` parameter; attributes need one that can be hashed.
class Graph_Double<string value = "">
    : AttrParameter<"::lathe::graph::Float64", "a double", "double"> {
  let parser = "::lathe::graph::Float64::parse($_parser)";
  let printer = "::lathe::graph::Float64::print($_printer, $_self)";
  let defaultValue = value;
}

//===-- Constants ---------------------------------------------------------===//

def Graph_ConcatAttr : Graph_Attr<"Concat", "concat", [ElementsAttrInterface]> {
  let summary = "Constants one after the other along `axis`";
  let description = [{
    The value of a `graph.constant` that stands in several places of mapped
    files. Nothing is copied before the bundle is written, and then one constant
    at a time. Parts have the rank and element type of the whole, and its sizes
    but along `axis`.

    ```mlir
    graph.constant #graph.concat<axis = 1, [
        dense_resource<query> : tensor<384x384xf32>,
        dense_resource<key> : tensor<384x128xf32>]> : tensor<384x512xf32>
      : tensor<384x512xf32>
    ```
  }];
  let parameters = (ins
      AttributeSelfTypeParameter<"", "::mlir::ShapedType">:$type,
      "int64_t":$axis, ArrayRefParameter<"::mlir::ElementsAttr">:$parts);
  let builders = [AttrBuilderWithInferredContext<
      (ins "int64_t":$axis,
           "::llvm::ArrayRef<::mlir::ElementsAttr>":$parts)>];
  let assemblyFormat = "`<` `axis` `=` $axis `,` `[` $parts `]` `>`";
  let genVerifyDecl = 1;
}

//===-- Weight encodings: the data; behaviour is in lib/Encodings ---------===//

def Graph_Int8Attr : Graph_Attr<"Int8", "int8",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "Symmetric int8, a f32 scale per slice of `axis` and group";
  let description = [{
    `value = code * scale[k / group, i]`, `code` in -127..127, `i` the index
    along `axis` (the output-channel axis of the weight), `k` the index along
    the other dim of a matrix. Without a group a slice has one scale, and the
    weight may have any rank.

    ```mlir
    tensor<384x1536xf32, #graph.int8<axis = 1, group = 128>>
    ```
  }];
  let parameters = (ins "int64_t":$axis,
                        DefaultValuedParameter<"int64_t", "0">:$group);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Graph_Int4Attr : Graph_Attr<"Int4", "int4",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "4-bit codes of a matrix, a scale per column and group of k";
  let description = [{
    `value = scale[k / group, i] * (code - zero)`, `code` in 0..15, `i` the
    index along `axis` (the output-channel axis of the weight), `k` the index
    along the other dim. `zero` is 8, or with `zeros` an integer in 0..15 per
    scale. Weights have two codes a byte; scales are bf16.

    ```mlir
    tensor<4096x4096xf32, #graph.int4<axis = 1, group = 128, zeros = false>>
    ```
  }];
  let parameters = (ins "int64_t":$axis,
                        DefaultValuedParameter<"int64_t", "128">:$group,
                        DefaultValuedParameter<"bool", "false">:$zeros);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Graph_TernaryAttr : Graph_Attr<"Ternary", "ternary",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "A matrix of -s, 0 and s in 2 bits";
  let description = [{
    `value = scale[k / group, i] * (code - 1)`, `code` in 0..2, `i` the index
    along `axis` (the output-channel axis of the weight), `k` the index along
    the other dim. Without a group all of the weight has one scale. Scales are
    f32; weights that are `-s`, 0 and `s` already are stored without error.

    ```mlir
    tensor<4096x4096xf32, #graph.ternary<axis = 1>>
    tensor<4096x4096xf32, #graph.ternary<axis = 1, group = 128>>
    ```
  }];
  let parameters = (ins "int64_t":$axis,
                        DefaultValuedParameter<"int64_t", "0">:$group);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Graph_NarrowAttr : Graph_Attr<"Narrow", "narrow"> {
  let summary = "An f32 weight in a narrower float";
  let description = [{
    Rounded to `bf16` or `f16`, to nearest even.

    ```mlir
    tensor<384x1536xf32, #graph.narrow<bf16>>
    ```
  }];
  let parameters = (ins "::mlir::Type":$type);
  let assemblyFormat = "`<` $type `>`";
  let genVerifyDecl = 1;
}

def Graph_BlockAttr : Graph_Attr<"Block", "block",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "A matrix of which only blocks are kept";
  let description = [{
    Blocks are `size` columns by one k, columns being along `axis` (the
    output-channel axis of the weight): those of the largest magnitude are kept,
    `density` of all, and the others are zero. `type` i8 has values as codes
    -127..127 with an f32 scale per column, f32 as they are (systems.md [5]).

    ```mlir
    tensor<768x3072xf32, #graph.block<axis = 1, density = 0.1, type = i8>>
    ```
  }];
  let parameters = (ins "int64_t":$axis,
                        DefaultValuedParameter<"int64_t", "4">:$size,
                        Graph_Double<>:$density, "::mlir::Type":$type);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

//===-- Activation quantizers ---------------------------------------------===//

def Graph_DynamicInt8Attr : Graph_Attr<"DynamicInt8", "dynamic_int8"> {
  let summary = "8-bit activations: a scale and an offset per token and group";
  let description = [{
    At run time, each row of the contraction's input is cut in groups of `group`
    consecutive elements (the last one may be shorter), and the range of each is
    divided into 255 steps: `x = offset + scale * code`, `code` in 0..255,
    rounded to nearest even; `offset` is the group's minimum. Groups confine
    what one large channel costs, and the offset halves the step where values
    have one sign, as after an activation.

    ```mlir
    #graph.branch<quantizer = #graph.dynamic_int8<group = 128>>
    ```

    `symmetric` codes are -127..127 around zero, `x = scale * code`, the group's
    largest magnitude being 127: for weights whose codes are unsigned, since dot
    products take one operand of each kind.
  }];
  let parameters = (ins "int64_t":$group,
                        DefaultValuedParameter<"bool", "false">:$symmetric);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Graph_BranchAttr : Graph_Attr<"Branch", "branch"> {
  let summary = "One term of a contraction";
  let description = [{
    `scale * A(x) . decode(w)`: `quantizer` is how the input is quantized for
    this term (absent: as it is). The weight's encoding is on its type.
  }];
  let parameters = (ins OptionalParameter<"::mlir::Attribute">:$quantizer,
                        Graph_Double<"1.0">:$scale);
  let builders = [AttrBuilder<(ins CArg<"::mlir::Attribute", "{}">:$quantizer,
                                   CArg<"double", "1.0">:$scale), [{
    return $_get($_ctxt, quantizer, scale);
  }]>];
  let assemblyFormat = "`<` struct(params) `>`";
}

//===-- Attention: score functions and selections -------------------------===//

def Graph_SoftmaxAttr : Graph_Attr<"Softmax", "softmax",
    [DeclareAttrInterfaceMethods<Graph_ScoreInterface>]> {
  let summary = "softmax(cap(scale * q.k) + mask)";
  let description = [{
    `cap` of zero means none; otherwise logits are `cap * tanh(x / cap)`.
    A row without a visible key gives zeros.
  }];
  let parameters = (ins Graph_Double<>:$scale,
                        Graph_Double<"0.0">:$cap);
  let builders = [AttrBuilder<(ins "double":$scale,
                                   CArg<"double", "0.0">:$cap), [{
    return $_get($_ctxt, scale, cap);
  }]>];
  let assemblyFormat = "`<` struct(params) `>`";
}

def Graph_SigmoidAttr : Graph_Attr<"Sigmoid", "sigmoid",
    [DeclareAttrInterfaceMethods<Graph_ScoreInterface>]> {
  let summary = "sigmoid(scale * q.k + bias + mask)";
  let description = [{
    No normalization: partial results are plain sums (systems.md [1]).
  }];
  let parameters = (ins Graph_Double<>:$scale,
                        Graph_Double<"0.0">:$bias);
  let builders = [AttrBuilder<(ins "double":$scale,
                                   CArg<"double", "0.0">:$bias), [{
    return $_get($_ctxt, scale, bias);
  }]>];
  let assemblyFormat = "`<` struct(params) `>`";
}

def Graph_DenseSelectionAttr : Graph_Attr<"DenseSelection", "dense",
    [DeclareAttrInterfaceMethods<Graph_SelectionInterface>]> {
  let summary = "Every query sees every key";
}

def Graph_WindowAttr : Graph_Attr<"Window", "window",
    [DeclareAttrInterfaceMethods<Graph_SelectionInterface>]> {
  let summary = "A query sees `left` keys before its own and `right` after it";
  let description = [{
    A negative bound is none; `#graph.window<left = -1, right = 0>` is the
    causal selection.
  }];
  let parameters = (ins "int64_t":$left, "int64_t":$right);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Graph_BlockListAttr : Graph_Attr<"BlockList", "block_list",
    [DeclareAttrInterfaceMethods<Graph_SelectionInterface>]> {
  let summary = "A static list of visible key blocks per head and query block";
  let description = [{
    Compressed rows: query block `r` of head `h` sees the key blocks
    `columns[rowOffsets[h * rows + r] .. rowOffsets[h * rows + r + 1])`,
    ascending. `rows` is the number of query blocks of `block` positions; later
    queries see nothing. `heads` divides the heads of the query: as many
    consecutive heads share a pattern, 1 for all of them (systems.md [2]).

    `left` and `right` further bound what a query sees in these blocks, as in
    `#graph.window`; `right = 0` makes the list causal. Blocks are counted from
    the first query and the first key.

    ```mlir
    #graph.block_list<block = 64, heads = 1, rows = 2,
      rowOffsets = [0, 1, 3], columns = [0, 0, 1],
      right = 0>
    ```
  }];
  let parameters = (ins "int64_t":$block, "int64_t":$heads, "int64_t":$rows,
                        "::mlir::DenseI32ArrayAttr":$rowOffsets,
                        "::mlir::DenseI32ArrayAttr":$columns,
                        DefaultValuedParameter<"int64_t", "-1">:$left,
                        DefaultValuedParameter<"int64_t", "-1">:$right);
  let extraClassDeclaration = [{
    /// The key blocks that query block `row` of pattern `head` sees.
    ::llvm::ArrayRef<int32_t> getBlocks(int64_t head, int64_t row) const;
  }];
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

//===-- Enumerations as attributes ----------------------------------------===//

class Graph_EnumParam<I32EnumAttr enum, string name>
    : EnumAttr<Graph_Dialect, enum, name>;

def Graph_CompareAttr : Graph_EnumParam<Graph_Compare, "compare"> {
  let assemblyFormat = "$value";
}

def Graph_ReductionAttr : Graph_EnumParam<Graph_Reduction, "reduction"> {
  let assemblyFormat = "$value";
}

def Graph_ScatterModeAttr : Graph_EnumParam<Graph_ScatterMode, "scatter_mode"> {
  let assemblyFormat = "$value";
}

def Graph_PadModeAttr : Graph_EnumParam<Graph_PadMode, "pad_mode"> {
  let assemblyFormat = "$value";
}

def Graph_GroupKindAttr : Graph_EnumParam<Graph_GroupKind, "group_kind"> {
  let assemblyFormat = "$value";
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHATTRS_TD
