// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_TILE_IR_TILEOPS_TD
#define LATHE_DIALECTS_TILE_IR_TILEOPS_TD

include "dialects/Tile/IR/TileAttrs.td"
include "dialects/Tile/IR/TileDialect.td"
include "dialects/Tile/IR/TileTypes.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"

class Tile_Op<string mnemonic, list<Trait> traits = []>
    : Op<Tile_Dialect, mnemonic, traits>;

/// A tile: a tensor of static shape.
def Tile_Tile : StaticShapeTensorOf<[AnyType]>;

//===-- Kernels --------------------------------------------------------------//

def Tile_KernelOp : Tile_Op<"kernel",
    [FunctionOpInterface, IsolatedFromAbove]> {
  let summary = "One kernel: a grid of programs";
  let description = [{
    Arguments are buffers, then `index` scalars (dims, strides, offsets). The
    launch gives the size of the grid, up to three dims; `tile.program_id 0`
    varies fastest in the order in which one core runs programs. Programs are
    independent. Unit of caching, tuning, profiling and naming. A buffer
    argument with `tile.written` is written, others are only read; a scalar with
    `tile.multiple_of = 64` is a multiple of 64 at every launch.

    Kernels of one `workload` compute the same for the same class of sizes:
    they differ in their schedule, and a tuner may exchange them.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TypeAttrOf<FunctionType>:$function_type,
                       Tile_ScheduleAttr:$schedule,
                       OptionalAttr<StrAttr>:$workload,
                       OptionalAttr<DictArrayAttr>:$arg_attrs,
                       OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region AnyRegion:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name,
    "::mlir::FunctionType":$type, "::lathe::tile::ScheduleAttr":$schedule)>];
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() {
      return getFunctionType().getInputs();
    }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() {
      return getFunctionType().getResults();
    }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    /// The number of leading buffer arguments; index scalars follow.
    unsigned getNumBuffers();
  }];
}

def Tile_ReturnOp : Tile_Op<"return", [Pure, Terminator, ReturnLike,
    HasParent<"KernelOp">]> {
  let summary = "Ends a program";
  let description = [{ Takes nothing: programs store their results. }];
  let assemblyFormat = "attr-dict";
}

def Tile_ProgramIdOp : Tile_Op<"program_id", [Pure]> {
  let summary = "This program's position along one grid dim";
  let description = [{
    ```mlir
    %i = tile.program_id 0
    ```
  }];
  let arguments = (ins ConfinedAttr<I32Attr,
                       [IntMinValue<0>, IntMaxValue<2>]>:$axis);
  let results = (outs Index:$result);
  let assemblyFormat = "$axis attr-dict";
}

//===-- Views, loads, stores -------------------------------------------------//

def Tile_ViewOp : Tile_Op<"view", [Pure, AttrSizedOperandSegments]> {
  let summary = "Gives a buffer dims and strides";
  let description = [{
    Starts at element `offset` (zero when absent). Sizes and strides are static
    or `index` values.

    ```mlir
    %v = tile.view %x offset %o sizes [%m, 384] strides [%s, 1]
      : !tile.buffer<f32> -> !tile.view<?x384xf32, [?, 1]>
    ```
  }];
  let arguments = (ins Tile_BufferType:$buffer, Optional<Index>:$offset,
                       Variadic<Index>:$sizes, Variadic<Index>:$strides,
                       DenseI64ArrayAttr:$static_sizes,
                       DenseI64ArrayAttr:$static_strides);
  let results = (outs Tile_ViewType:$result);
  let assemblyFormat = [{
    $buffer (`offset` $offset^)?
    `sizes` custom<DynamicIndexList>($sizes, $static_sizes)
    `strides` custom<DynamicIndexList>($strides, $static_strides)
    attr-dict `:` type($buffer) `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$buffer,
    "::mlir::Value":$offset, "::llvm::ArrayRef<::mlir::OpFoldResult>":$sizes,
    "::llvm::ArrayRef<::mlir::OpFoldResult>":$strides)>];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::llvm::SmallVector<::mlir::OpFoldResult> getMixedSizes();
    ::llvm::SmallVector<::mlir::OpFoldResult> getMixedStrides();
  }];
}

def Tile_LoadOp : Tile_Op<"load", [MemoryEffects<[MemRead]>,
    AttrSizedOperandSegments]> {
  let summary = "Reads a tile";
  let description = [{
    Tile dim `t` runs along view dim `dims[t]` from `indices[dims[t]]` on; -1
    repeats the element (a broadcast); view dims that no tile dim names stay at
    their index. Naming dims in another order is a transposed read.

    With `gather`, an index tile of rank 1 replaces consecutive positions along
    tile dim `gather_dim`: its elements are positions in that view dim, added to
    the index.

    Positions outside the view read as `pad` (zero when absent). `in_bounds`
    lists the tile dims that are known to stay inside.

    ```mlir
    %a = tile.load %v[%i, %k] dims [0, 1]
      : !tile.view<?x384xf32, [384, 1]> -> tensor<6x1xf32>
    %r = tile.load %v[%c0, %k] dims [0, 1] gather %rows at 0 ...
    ```
  }];
  let arguments = (ins Tile_ViewType:$view, Variadic<Index>:$indices,
                       Optional<RankedTensorOf<[Index]>>:$gather,
                       DenseI64ArrayAttr:$dims,
                       OptionalAttr<I64Attr>:$gather_dim,
                       OptionalAttr<TypedAttrInterface>:$pad,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$in_bounds);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = [{
    $view `[` $indices `]` `dims` $dims
    (`gather` $gather^ `:` type($gather) `at` $gather_dim)?
    (`pad` $pad^)? attr-dict `:` type($view) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_LoadScalarOp : Tile_Op<"load_scalar", [MemoryEffects<[MemRead]>]> {
  let summary = "Reads one element, which must be inside the view";
  let description = [{
    ```mlir
    %id = tile.load_scalar %ids[%i] : !tile.view<?xi64, [1]> -> i64
    ```
  }];
  let arguments = (ins Tile_ViewType:$view, Variadic<Index>:$indices);
  let results = (outs AnyType:$result);
  let assemblyFormat = [{
    $view `[` $indices `]` attr-dict `:` type($view) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_StoreOp : Tile_Op<"store", [MemoryEffects<[MemWrite]>]> {
  let summary = "Writes a tile; positions outside the view are not written";
  let description = [{
    `dims` and `in_bounds` as in `tile.load`, without broadcasts.

    ```mlir
    tile.store %acc, %v[%i, %j] dims [0, 1]
      : tensor<6x64xf32>, !tile.view<?x1536xf32, [1536, 1]>
    ```
  }];
  let arguments = (ins Tile_Tile:$tile, Tile_ViewType:$view,
                       Variadic<Index>:$indices, DenseI64ArrayAttr:$dims,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$in_bounds);
  let assemblyFormat = [{
    $tile `,` $view `[` $indices `]` `dims` $dims attr-dict `:`
    type($tile) `,` type($view)
  }];
  let hasVerifier = 1;
}

//===-- Compute --------------------------------------------------------------//

def Tile_MmaOp : Tile_Op<"mma", [Pure, AllTypesMatch<["acc", "result"]>]> {
  let summary = "acc + a . b";
  let description = [{
    `a` is `[m, k]`, `b` `[k, n]`, `acc` `[m, n]`. Kinds: f32 on f32; f16, bf16
    and 8-bit floats on f32; i8 on i32 (`a` unsigned with `unsigned_a`, `b`
    with `unsigned_b`). The order of the sum over `k` is the target's.

    ```mlir
    %d = tile.mma %a, %b, %c
      : tensor<6x1xf32>, tensor<1x64xf32>, tensor<6x64xf32>
    ```
  }];
  let arguments = (ins Tile_Tile:$a, Tile_Tile:$b, Tile_Tile:$acc,
                       UnitAttr:$unsigned_a, UnitAttr:$unsigned_b);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = [{
    $a `,` $b `,` $acc attr-dict `:` type($a) `,` type($b) `,` type($acc)
  }];
  let hasVerifier = 1;
}

def Tile_ReduceOp : Tile_Op<"reduce", [Pure]> {
  let summary = "Combines a tile along one dim, which disappears";
  let description = [{
    Float `max` and `min` propagate NaN; which zero is the larger is the
    target's choice, as is the order of combination.

    ```mlir
    %m = tile.reduce max %s axis 0 : tensor<64x32xf32> -> tensor<32xf32>
    ```
  }];
  let arguments = (ins Tile_CombineAttr:$kind, Tile_Tile:$input, I64Attr:$axis);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = [{
    $kind $input `axis` $axis attr-dict `:` type($input) `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::lathe::tile::Combine":$kind,
                                 "::mlir::Value":$input, "int64_t":$axis)>];
  let hasVerifier = 1;
}

def Tile_ScanOp : Tile_Op<"scan", [Pure, SameOperandsAndResultType]> {
  let summary = "Running combination along one dim, inclusive";
  let description = [{
    ```mlir
    %s = tile.scan add %x axis 1 : tensor<1x64xf32>
    ```
  }];
  let arguments = (ins Tile_CombineAttr:$kind, Tile_Tile:$input, I64Attr:$axis);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$kind $input `axis` $axis attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Tile_SplatOp : Tile_Op<"splat", [Pure]> {
  let summary = "A tile of one repeated scalar";
  let description = [{
    ```mlir
    %z = tile.splat %c0 : f32 -> tensor<6x64xf32>
    ```
  }];
  let arguments = (ins AnyType:$input);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_BroadcastOp : Tile_Op<"broadcast", [Pure]> {
  let summary = "Repeats a tile along new dims";
  let description = [{
    Input dim `d` becomes result dim `dims[d]` (ascending); the others repeat.

    ```mlir
    %b = tile.broadcast %m dims [1] : tensor<32xf32> -> tensor<64x32xf32>
    ```
  }];
  let arguments = (ins Tile_Tile:$input, DenseI64ArrayAttr:$dims);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = [{
    $input `dims` $dims attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_TransposeOp : Tile_Op<"transpose", [Pure]> {
  let summary = "Permutes the dims of a tile";
  let description = [{
    Result dim `i` is input dim `permutation[i]`.

    ```mlir
    %t = tile.transpose %x [1, 0] : tensor<32x64xf32> -> tensor<64x32xf32>
    ```
  }];
  let arguments = (ins Tile_Tile:$input, DenseI64ArrayAttr:$permutation);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = [{
    $input $permutation attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_ConcatOp : Tile_Op<"concat", [Pure]> {
  let summary = "Tiles one after the other along a dim";
  let description = [{
    ```mlir
    %c = tile.concat %a, %b axis 0
      : tensor<4x64xi32>, tensor<4x64xi32> -> tensor<8x64xi32>
    ```
  }];
  let arguments = (ins Variadic<Tile_Tile>:$inputs, I64Attr:$axis);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = [{
    $inputs `axis` $axis attr-dict `:` type($inputs) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_IotaOp : Tile_Op<"iota", [Pure]> {
  let summary = "The position along one dim";
  let description = [{
    Integer or index elements 0, 1, 2, ... along `axis`, constant along others.

    ```mlir
    %p = tile.iota 0 : tensor<64x32xi32>
    ```
  }];
  let arguments = (ins I64Attr:$axis);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$axis attr-dict `:` type($result)";
  let hasVerifier = 1;
}

#endif // LATHE_DIALECTS_TILE_IR_TILEOPS_TD
