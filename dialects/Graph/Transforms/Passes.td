// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSES_TD
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def InferShapesPass : Pass<"graph-infer-shapes", "::mlir::func::FuncOp"> {
  let summary = "Compute the dims of every value and resolve shape arithmetic";
  let description = [{
    Gives every value the most static type that its shape function allows,
    turns `dynamic_reshape`, `dynamic_broadcast`, `dynamic_slice` and
    `dynamic_iota` into their static forms where the shape they compute is
    affine in the symbols, replaces integer tensors whose contents are constant
    by constants, and gives ops whose result dims depend on data the symbols
    that they define (`binds`). Afterwards `graph.symbols` lists all symbols and
    every argument with dynamic dims has `graph.dims`.

    Numeric contract: exact.
  }];
  let statistics = [
    Statistic<"numResolved", "resolved", "dynamic ops turned static">,
    Statistic<"numUnresolved", "unresolved", "dynamic ops that stay">,
    Statistic<"numConstants", "constants", "integer tensors made constant">
  ];
}

def BindSizesPass : Pass<"graph-bind-sizes", "::mlir::func::FuncOp"> {
  let summary = "Compute sizes that only the run knows";
  let description = [{
    `dynamic_reshape`, `dynamic_broadcast`, `dynamic_slice` and `dynamic_iota`
    that shape inference could not resolve become arithmetic on their shape
    operands, a `graph.bind` that makes the results the symbols of the op, and
    the static form over these symbols. ONNX's rules for 0, -1 and bounds out of
    range are in the arithmetic. A slice whose axes or steps are not constant is
    an error.

    Numeric contract: exact.
  }];
  let statistics = [
    Statistic<"numLowered", "lowered", "ops whose sizes are bound">
  ];
}

def FoldConstantsPass
    : Pass<"graph-fold-constants", "::mlir::func::FuncOp"> {
  let summary = "Compute small constants";
  let description = [{
    Elementwise ops, views, concatenations and gathers of constants become
    constants where operands and result have at most `max-elements` elements.
    Larger ones stay: weights are re-laid when they are packed.

    Numeric contract: exact for integers; floats are computed in double
    precision and rounded once, so that `f32` arithmetic and roots are correctly
    rounded and other functions are at most 1 ulp off.
  }];
  let options = [
    Option<"maxElements", "max-elements", "int64_t", "4096",
           "Fold nothing larger">
  ];
  let statistics = [Statistic<"numFolded", "folded", "ops computed">];
}

def SimplifyIndexingPass
    : Pass<"graph-simplify-indexing", "::mlir::func::FuncOp"> {
  let summary = "Turn gathers at known positions into views";
  let description = [{
    A gather of constant, consecutive rows becomes a slice; that the rows exist
    is checked per call where it is not known. A `gather_nd` whose index tuples
    count positions (as exporters spell
    `mask[batch, position]`) becomes a reshape or a broadcast of its input.

    Numeric contract: exact.
  }];
  let statistics = [
    Statistic<"numSimplified", "simplified", "gathers turned into views">
  ];
}

def RecognizeNormsPass
    : Pass<"graph-recognize-norms", "::mlir::func::FuncOp"> {
  let summary = "Recognize spelled-out LayerNorm and RMSNorm";
  let description = [{
    Finds `d / sqrt(mean(d^2) + epsilon)` over the last dims, with `d` the
    deviation from the mean (layer norm) or the input itself (RMS norm), in the
    spellings of the common exporters (`div` by `sqrt`, `mul` by `rsqrt`, powers
    of -0.5), and the scale and bias that follow.

    Numeric contract: reassociates; statistics are kept in f32.
  }];
  let statistics = [
    Statistic<"numNorms", "norms", "normalizations recognized">
  ];
}

def RecognizeFloat8ProductsPass
    : Pass<"graph-recognize-float8-products", "::mlir::func::FuncOp"> {
  let summary = "Multiply 8-bit floats before they are scaled";
  let description = [{
    A product of two tensors of 8-bit floats of one kind, each widened and times
    a constant number, becomes a product of the floats as they are stored, with
    an f32 result that is scaled once.

    Numeric contract: reassociates; what was rounded between is not.
  }];
  let statistics = [
    Statistic<"numProducts", "products", "products of 8-bit floats">
  ];
}

def RecognizeActivationsPass
    : Pass<"graph-recognize-activations", "::mlir::func::FuncOp"> {
  let summary = "Recognize spelled-out GELU and SiLU";
  let description = [{
    Finds `0.5 x (1 + erf(x / sqrt 2))`, its tanh form, and `x sigmoid(x)`, with
    factors in any order. Constants may be rounded (relative 1e-3).

    Numeric contract: lossy where the model's constants are rounded, by at most
    the rounding of its constants; else reassociates.
  }];
  let statistics = [
    Statistic<"numActivations", "activations", "activations recognized">
  ];
}

def RecognizeAttentionPass
    : Pass<"graph-recognize-attention", "::mlir::func::FuncOp"> {
  let summary = "Recognize spelled-out attention";
  let description = [{
    Finds `matmul(score(matmul(q, k^T)), v)` where the score is a softmax over
    keys or a logistic function, with any of these around the product: factors
    on the queries, the keys or the logits; `cap * tanh(x / cap)`; a bias;
    additive masks; `select` against minus infinity or a number from -1e4 down;
    casts to a wider float for the score. Keys and values that were repeated
    for groups of heads are taken as they were before. Masks that compare
    positions, or a constant triangle, become a `#graph.window`; a constant
    that hides whole blocks becomes a `#graph.block_list`, and stays a mask
    only if the blocks do not say all of it. The rest stays one mask operand,
    not broadcast.

    Numeric contract: reassociates (the sum over keys, and factors that move
    into the scale); logits keep f32 precision where the model rounds them to
    f16 or bf16. A row of which all keys are hidden by minus infinity or by a
    window gives zeros, where the spelled-out softmax gives NaN or an average.
    Logits that a number replaces weigh nothing beside visible ones, which are
    taken to be above that number, and all the same in a row that sees nothing.
  }];
  let statistics = [
    Statistic<"numAttentions", "attentions", "attentions recognized">,
    Statistic<"numMissed", "missed", "lookalikes that were not taken">
  ];
}

def SparsifyAttentionPass
    : Pass<"graph-sparsify-attention", "::mlir::ModuleOp"> {
  let summary = "Give attention a sparse pattern on request";
  let description = [{
    Self-attention of known length that is dense or selects by a window gets a
    `#graph.block_list`; its window stays. AttentionPattern.h has the patterns.
    Fails if no attention of the module takes the pattern. Others stay as they
    are: of a model with versions for some lengths (`lathe compile
    --specialize`), the version for all other lengths.

    Numeric contract: another function. Models are trained with such a pattern;
    one that was not gives other results.
  }];
  let options = [
    Option<"pattern", "pattern", "std::string", "",
           "s2:block=N,local=N,stride=N[,offset=N] or "
           "window:block=N,local=N[,sink=N]">
  ];
  let statistics = [
    Statistic<"numSparse", "sparse", "attentions with the pattern">,
    Statistic<"numKept", "kept", "attentions left as they are">
  ];
}

def RecognizeRotaryPass
    : Pass<"graph-recognize-rotary", "::mlir::func::FuncOp"> {
  let summary = "Recognize spelled-out rotary position embeddings";
  let description = [{
    Finds `x * cos + concat(-b, a) * sin` and `concat(a * cos - b * sin,
    a * sin + b * cos)`, with `a` and `b` the halves of the last dim of `x`, and
    writes both as products over the last dim as `[2, h]`. Exchanging the halves
    is then a view with a step of -1, so that elementwise ops and views are all
    there is, and form-groups makes one kernel of them.

    Numeric contract: exact (a factor of -1 instead of a negation).
  }];
  let statistics = [
    Statistic<"numRotations", "rotations", "rotary embeddings recognized">
  ];
}

def CheckIndicesPass : Pass<"graph-check-indices", "::mlir::func::FuncOp"> {
  let summary = "Have the host look through indices that may be out of range";
  let description = [{
    Indices of gathers and scatters that are not known to lie in their dim
    (constants, counters, comparisons, positions of extremes, bounded sums of
    those) go through the host built-in `check_indices`, which fails the run
    and names node, index and size. Ops with the attribute `graph.in_range`
    are left alone.

    Numeric contract: exact.
  }];
  let dependentDialects = ["::lathe::graph::GraphDialect"];
  let statistics = [
    Statistic<"numChecked", "checked", "ops whose indices are checked">,
    Statistic<"numProven", "proven", "ops whose indices are in range">
  ];
}

def DecomposePass : Pass<"graph-decompose", "::mlir::func::FuncOp"> {
  let summary = "Express ops through others where that is faster or needed";
  let description = [{
    A float convolution of one group whose windows do not overlap (the patch
    embedding of vision transformers) becomes a product over patches, which are
    views of the input. Convolutions and maxima over windows of integers, and
    means over dilated windows, which no kernel computes, become products and
    reductions over gathered windows. `gather_elements` becomes a `gather` at
    positions that are computed.

    Numeric contract: reassociates (sums run in another order).
  }];
  let statistics = [
    Statistic<"numDecomposed", "decomposed", "ops expressed through others">
  ];
}

def LinearToContractPass
    : Pass<"graph-linear-to-contract", "::mlir::func::FuncOp"> {
  let summary = "Turn products with constant matrices into contractions";
  let description = [{
    `matmul(x, w)` with a constant `w` of rank 2, or a transpose of one, becomes
    `contract(x, w)` with one plain branch. Weights are not touched: a transpose
    stays, and becomes part of the packing.

    Numeric contract: exact.
  }];
  let statistics = [
    Statistic<"numContracts", "contracts", "contractions made">
  ];
}

def PropagateLayoutPass
    : Pass<"graph-propagate-layout", "::mlir::func::FuncOp"> {
  let summary = "Give convolutions and pools channels-last inputs and results";
  let description = [{
    Every channels-first `conv` and `pool` becomes its channels-last form
    between transposes. A convolution whose kernel is one element, with no
    padding, one group and a constant weight, becomes a `contract` over pixels,
    with strides over a `slice` of them. Inputs and results of the function keep
    their layout.

    Numeric contract: reassociates (sums run in another order).
  }];
  let statistics = [
    Statistic<"numRewritten", "rewritten", "ops made channels-last">
  ];
}

def PropagateTransposesPass
    : Pass<"graph-propagate-transposes", "::mlir::func::FuncOp"> {
  let summary = "Move transposes towards results until they cancel";
  let description = [{
    A transpose passes elementwise ops whose other operands are equally
    transposed, constants, or have any order of dims (scalars, biases, results
    of global pools); reshapes that split or merge dims which stay neighbors;
    broadcasts, concatenations, pads, slices, reductions, softmax and running
    sums. Transposes of transposes merge, and one that moves only unit dims is
    a reshape. None is ever added where there was none.

    Numeric contract: exact.
  }];
  let statistics = [
    Statistic<"numMoved", "moved", "ops that transposes passed or left">
  ];
}

def MergeQkvPass : Pass<"graph-merge-qkv", "::mlir::func::FuncOp"> {
  let summary = "Make one contraction of several that read one input";
  let description = [{
    Contractions of one input with constant weights, whose results meet again in
    one attention or contraction (query, key and value projections of any
    widths), and whose weights are stored alike, become one over the columns of
    all, followed by a slice each, which is a view. Weights become a
    `#graph.concat`, which copies nothing. What follows all of them moves before
    the slices: elementwise ops of one operand, and sums and products with a
    number per column, with zeros or ones for those that have none. Where
    something elementwise still follows one of them, it stays as it is, since
    that op is its epilogue (the gate of a gated MLP).

    Numeric contract: exact, but that -0 is +0 where a sum has no term of its
    own.
  }];
  let statistics = [
    Statistic<"numMerged", "merged", "contractions that became part of one">,
    Statistic<"numRefused", "refused", "siblings that stay alone">
  ];
}

def QuantizeWeightsPass
    : Pass<"graph-quantize-weights", "::mlir::ModuleOp"> {
  let summary = "Store the weights of contractions in a smaller encoding";
  let description = [{
    Constant matrices of at least `min-elements` elements of float contractions
    get the encoding that `weights` says: one for all of them, or a file that
    names layers (WeightPlan.h), all of whose patterns must match a layer.
    Unless the format ends in `:float`, inputs are quantized at run time, a
    scale per row and group, so that products are integer; else weights are
    decoded to f32. Nothing is encoded here: that happens when the
    bundle is written.

    Numeric contract: lossy. An `int8` weight is off by at most half its scale,
    max|w| / 254 of its column and group; an `int4` one is chosen for the least
    error of its group, a `ternary` one in groups too; without them it is
    rounded to steps of the weight's mean magnitude, and exact if it is -s, 0
    and s as it is; of `block`, all but the largest blocks become zero. A
    quantized input is off by at most (max x - min x) / 510 of its row and
    group, beside `int4` and `ternary` max|x| / 254. What each weight's error
    is, the bundle stage says.
  }];
  let dependentDialects = ["::lathe::graph::GraphDialect"];
  let options = [
    Option<"weights", "weights", "std::string", "\"int8\"",
           "How weights are stored: a format, or a file of patterns">,
    Option<"minElements", "min-elements", "int64_t", "4096",
           "Leave smaller weights as they are">
  ];
  let statistics = [
    Statistic<"numQuantized", "quantized", "weights with an encoding">,
    Statistic<"numKept", "kept", "weights left as they are">
  ];
}

def FormGroupsPass : Pass<"graph-form-groups", "::mlir::func::FuncOp"> {
  let summary = "Fuse ops into groups, one kernel each";
  let description = [{
    Every contraction, attention, reduction and normalization becomes the root
    of a `graph.group`. Views of its operands join as the prologue; elementwise
    ops and views that follow it, and whose other operands exist by then, join
    as the epilogue. What is left of elementwise ops, gathers and views forms
    pointwise groups. A reshape that stands alone stays outside: it moves
    nothing. Each refused fusion is a remark.

    Numeric contract: exact for f32 and wider types. For f16 and bf16, values
    inside a group keep f32 precision between ops: at least as precise as the
    ops one by one, not bit-identical.
  }];
  let statistics = [
    Statistic<"numGroups", "groups", "groups formed">,
    Statistic<"numFused", "fused", "ops that joined another op's group">,
    Statistic<"numRefused", "refused", "fusions refused">
  ];
}

def NarrowWeightsPass
    : Pass<"graph-narrow-weights", "::mlir::func::FuncOp"> {
  let summary = "Store the f32 weights of contractions in a narrower float";
  let description = [{
    Constant f32 weights without an encoding get `#graph.narrow`; with
    `convolutions`, those of convolutions, too. Nothing is converted here: that
    happens when the bundle is written. Frequencies that positions are
    multiplied with, and other weights whose products become angles or are
    rounded, stay as they are.

    Numeric contract: each weight is rounded once, to nearest even.
  }];
  let dependentDialects = ["::lathe::graph::GraphDialect"];
  let options = [Option<"type", "type", "std::string", "\"bf16\"",
                        "bf16 or f16">,
                 Option<"convolutions", "convolutions", "bool", "false",
                        "Those of convolutions, too">];
  let statistics = [
    Statistic<"numNarrowed", "narrowed", "weights with the encoding">,
    Statistic<"numKept", "kept", "weights left as they are">
  ];
}

def NarrowActivationsPass
    : Pass<"graph-narrow-activations", "::mlir::func::FuncOp"> {
  let summary = "Keep f32 tensors between groups in a narrower type";
  let description = [{
    After `--graph-form-groups`: an f32 tensor that one group writes and only
    groups read is rounded by the last step of the former and widened by the
    first step of the latter. Groups compute as before, so that norms, softmax,
    residual sums and accumulators stay in f32; what shrinks is memory traffic,
    and products of two narrow operands become the machine's own. Inputs,
    outputs, constants, attention masks and, but with `convolutions`, what
    convolutions and pools read keep their types. So does what would not survive
    it: numbers that are made of integers, sizes and constants alone (positions,
    angles, and their sines, which cost nothing beside the layers), and any
    tensor that becomes an angle or meets a step before it is summed up
    (Rounding.h).

    With `only-quantized`, only those that groups of integer products alone
    read, to quantize them, and queries, keys and values that are integer
    products, which lose what bf16 does not hold. Norms and residual sums read
    what they did.

    Numeric contract: every tensor between groups is rounded once, to nearest
    even; numbers beyond the type's range, and infinities, become its largest
    number (infinities with `only-quantized`).
  }];
  let options = [
    Option<"type", "type", "std::string", "\"bf16\"", "bf16 or f16">,
    Option<"onlyQuantized", "only-quantized", "bool", "false",
           "Only what integer products read, or attention reads of them">,
    Option<"convolutions", "convolutions", "bool", "false",
           "What convolutions and pools read, too">
  ];
  let statistics = [
    Statistic<"numNarrowed", "narrowed", "tensors narrowed">,
    Statistic<"numKept", "kept", "results of groups that kept their type">
  ];
}

def JoinNormsPass : Pass<"graph-join-norms", "::mlir::func::FuncOp"> {
  let summary = "Compute a sum, and its norm, in one kernel";
  let description = [{
    After `--graph-form-groups`, for machines whose programs keep whole rows: a
    pointwise group of few ops, whose result a norm or a softmax along rows of
    at most 16384 elements combines and others read later, joins the group of
    the norm, which then has its result as a second one. It is not read again.

    Numeric contract: the norm's input is not rounded to f16 or bf16.
  }];
  let statistics = [
    Statistic<"numJoined", "joined", "groups that joined that of a norm">
  ];
}

def PitchRowsPass : Pass<"graph-pitch-rows", "::mlir::func::FuncOp"> {
  let summary = "Keep rows of tensors between groups off the same cache sets";
  let description = [{
    After `--graph-form-groups`, for machines that load sixteen rows at once: if
    rows are an even number of cache lines long, their parts share few sets of
    the first-level cache (of 48 lines: 4 of 64 sets). Such rows, of 8 lines or
    more, get another line. Of tensors of 16-bit floats that a group with a
    contraction, an attention or a norm as its root writes and only groups read:
    the former ends with `graph.pitch`, the latter begin with a `graph.slice`.

    Numeric contract: none of the numbers changes.
  }];
  let statistics = [
    Statistic<"numPitched", "pitched", "tensors with rows farther apart">
  ];
}

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_PASSES_TD
