// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_PLAN_IR_PLANOPS_TD
#define LATHE_DIALECTS_PLAN_IR_PLANOPS_TD

include "dialects/Plan/IR/PlanAttrs.td"
include "dialects/Plan/IR/PlanDialect.td"
include "dialects/Plan/IR/PlanTypes.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Plan_Op<string mnemonic, list<Trait> traits = []>
    : Op<Plan_Dialect, mnemonic, traits>;

def Plan_ProgramOp : Plan_Op<"program", [Symbol, IsolatedFromAbove,
    SingleBlock]> {
  let summary = "An entry point: steps from input to output buffers";
  let description = [{
    `symbols` are the named dims. The first use of a symbol in the inputs' dims
    defines it; other uses are checked when the program is called. Block
    arguments are the inputs. With `given`, the program is internal: only other
    programs before it run it, and they give its first `given` symbols.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$symbols,
                       StrArrayAttr:$inputs, StrArrayAttr:$outputs,
                       OptionalAttr<I64Attr>:$given);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def Plan_CallOp : Plan_Op<"call", [AttrSizedOperandSegments]> {
  let summary = "Runs another program";
  let description = [{
    Runs the first callee that holds: a branch, or the version of a program for
    these sizes. Callees stand after their caller, have internal visibility and
    take `reads` as inputs, `writes` as outputs. `symbols` gives the values of
    their first symbols. `binds` lists symbols of this program that are dims of
    `writes` and that the run decides.

    ```mlir
    plan.call [#plan.callee<program = @main.then,
                 when = affine_set<()[s0, s1] : (s1 - 1 == 0)>>,
               #plan.callee<program = @main.else>]
      symbols affine_map<()[s0, s1] -> (s0)>
      reads (%x : ...) writes (%y : ...) label "If_3"
    ```
  }];
  let arguments = (ins TypedArrayAttrBase<Plan_CalleeAttr, "callees">:$callees,
                       AffineMapAttr:$symbols,
                       Variadic<Plan_BufferType>:$reads,
                       Variadic<Plan_BufferType>:$writes,
                       OptionalAttr<DenseI64ArrayAttr>:$binds,
                       StrAttr:$label);
  let assemblyFormat = [{
    $callees `symbols` $symbols `reads` `(` ($reads^ `:` type($reads))? `)`
    `writes` `(` ($writes^ `:` type($writes))? `)` (`binds` $binds^)?
    `label` $label attr-dict
  }];
  let hasVerifier = 1;
}

def Plan_LoopOp : Plan_Op<"loop", [AttrSizedOperandSegments]> {
  let summary = "Runs another program again and again";
  let description = [{
    `body` takes the number of the iteration (i64), the carried values, `reads`;
    it gives whether to go on (i1), the next carried values, and values that are
    collected along a new first dim. `writes` are the carried values after the
    last iteration and the collected ones. The loop ends after `count`
    iterations, or when it is not to go on; it does not begin if `condition` is
    false. `symbols` and `binds` are as in `plan.call`.

    ```mlir
    plan.loop @main.body symbols affine_map<()[s0] -> (s0)> count(%n)
      carried (%state : ...) reads (%x : ...) writes (%last, %all : ...)
      label "Loop_2"
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$body, AffineMapAttr:$symbols,
                       Optional<Plan_BufferType>:$count,
                       Optional<Plan_BufferType>:$condition,
                       Variadic<Plan_BufferType>:$carried,
                       Variadic<Plan_BufferType>:$reads,
                       Variadic<Plan_BufferType>:$writes,
                       OptionalAttr<DenseI64ArrayAttr>:$binds,
                       StrAttr:$label);
  let assemblyFormat = [{
    $body `symbols` $symbols (`count` `(` $count^ `:` type($count) `)`)?
    (`while` `(` $condition^ `:` type($condition) `)`)?
    `carried` `(` ($carried^ `:` type($carried))? `)`
    `reads` `(` ($reads^ `:` type($reads))? `)`
    `writes` `(` ($writes^ `:` type($writes))? `)` (`binds` $binds^)?
    `label` $label attr-dict
  }];
  let hasVerifier = 1;
}

def Plan_ReturnOp : Plan_Op<"return", [Terminator, ReturnLike,
    HasParent<"ProgramOp">]> {
  let summary = "The outputs";
  let description = [{ One buffer per name in the program's `outputs`. }];
  let arguments = (ins Variadic<Plan_BufferType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Plan_ConstantOp : Plan_Op<"constant", [Pure]> {
  let summary = "A constant in the bundle, encoded and packed when written";
  let description = [{
    `value` is dense. With `encoding`, the stored bytes are buffer
    `encoded_buffer` of what that encoding makes of it. `pack` then re-lays
    them. Equal constants are stored once.
  }];
  let arguments = (ins ElementsAttr:$value, OptionalAttr<AnyAttr>:$encoding,
                       OptionalAttr<StrAttr>:$encoded_buffer,
                       OptionalAttr<Plan_PackAttr>:$pack,
                       OptionalAttr<StrAttr>:$label);
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = [{
    $value (`encoding` $encoding^ `buffer` $encoded_buffer)?
    (`pack` $pack^)? (`label` $label^)? attr-dict `:` type($result)
  }];
  let hasVerifier = 1;
}

def Plan_AllocOp : Plan_Op<"alloc", [MemoryEffects<[MemAlloc]>]> {
  let summary = "A transient buffer, undefined until written";
  let description = [{ Lives from its first to its last use. }];
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Plan_AliasOp : Plan_Op<"alias", [Pure]> {
  let summary = "The same bytes under other dims";
  let description = [{
    The result starts `offset` elements into the source (affine over the
    symbols) and keeps it alive. Element types have the same width.

    ```mlir
    %y = plan.alias %x : !plan.buffer<f32, ()[s0] -> (s0, 384)>
      -> !plan.buffer<f32, ()[s0] -> (s0, 12, 32)>
    ```
  }];
  let arguments = (ins Plan_BufferType:$source,
                       OptionalAttr<AffineMapAttr>:$offset);
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = [{
    $source (`offset` $offset^)? attr-dict `:` type($source) `->` type($result)
  }];
}

def Plan_LaunchOp : Plan_Op<"launch", [AttrSizedOperandSegments]> {
  let summary = "Runs a kernel";
  let description = [{
    The kernel's buffer arguments are `reads` then `writes`; its scalars are the
    results of `scalars`, over the program's symbols. `flops` and `bytes`, over
    the symbols, are what a profile compares times with; `label` leads back to
    the model's nodes.
  }];
  let arguments = (ins TypedArrayAttrBase<Plan_ChoiceAttr, "choices">:$choices,
                       AffineMapAttr:$scalars,
                       Variadic<Plan_BufferType>:$reads,
                       Variadic<Plan_BufferType>:$writes,
                       StrAttr:$label,
                       OptionalAttr<AffineMapAttr>:$flops);
  let assemblyFormat = [{
    $choices `scalars` $scalars `reads` `(` $reads `)` `writes` `(` $writes `)`
    `label` $label (`flops` $flops^)? attr-dict
    `:` `(` type($reads) `)` `->` `(` type($writes) `)`
  }];
  let hasVerifier = 1;
}

def Plan_BuiltinOp : Plan_Op<"builtin", [AttrSizedOperandSegments]> {
  let summary = "Runs a host built-in of the runtime";
  let description = [{
    `callee` is in the runtime's table; `options` are numbers, strings and
    arrays of numbers. `binds` lists the symbols the call defines (the dims of
    its data-dependent outputs, in order); buffers whose dims use them exist
    from then on.
  }];
  let arguments = (ins StrAttr:$callee, Variadic<Plan_BufferType>:$reads,
                       Variadic<Plan_BufferType>:$writes,
                       OptionalAttr<DictionaryAttr>:$options,
                       OptionalAttr<DenseI64ArrayAttr>:$binds,
                       StrAttr:$label);
  let assemblyFormat = [{
    $callee `reads` `(` $reads `)` `writes` `(` $writes `)`
    (`options` $options^)? (`binds` $binds^)? `label` $label attr-dict
    `:` `(` type($reads) `)` `->` `(` type($writes) `)`
  }];
}

def Plan_BindOp : Plan_Op<"bind"> {
  let summary = "Defines a symbol as an integer element of a buffer";
  let description = [{
    `source` has i64, i32 or i1 elements (a truth value is 0 or 1); `symbol`
    indexes the program's symbols.

    ```mlir
    plan.bind 2 = %shape[0] : !plan.buffer<i64, ()[s0, s1, s2] -> (2)>
    ```
  }];
  let arguments = (ins I64Attr:$symbol, Plan_BufferType:$source,
                       I64Attr:$element);
  let assemblyFormat = [{
    $symbol `=` $source `[` $element `]` attr-dict `:` type($source)
  }];
}

def Plan_CheckOp : Plan_Op<"check"> {
  let summary = "Fails the call unless the set holds";
  let description = [{
    ```mlir
    plan.check affine_set<()[s0, s1] : (512 - s1 >= 0)>
      message "seq must be at most 512 (position table)"
    ```
  }];
  let arguments = (ins IntegerSetAttr:$condition, StrAttr:$message);
  let assemblyFormat = "$condition `message` $message attr-dict";
}

#endif // LATHE_DIALECTS_PLAN_IR_PLANOPS_TD
