// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_TILE_IR_TILEATTRS_TD
#define LATHE_DIALECTS_TILE_IR_TILEATTRS_TD

include "dialects/Tile/IR/TileDialect.td"
include "dialects/Tile/IR/TileEnums.td"
include "mlir/IR/AttrTypeBase.td"

def Tile_ScheduleAttr : AttrDef<Tile_Dialect, "Schedule"> {
  let mnemonic = "schedule";
  let summary = "How a strategy shaped this kernel: data for cache and tuner";
  let description = [{
    `strategy` is the file in `lib/Kernels` that built the kernel or listed its
    schedules, `tile` its tile sizes in that strategy's order; the others matter
    to GPU targets: `cluster` programs in a row along the grid's first axis run
    at once, and what they all read is read for all of them. Those of `flat` are
    in a row along the second axis, and share k.
    Changing a schedule never changes code.
  }];
  let parameters = (ins
    StringRefParameter<"strategy">:$strategy,
    OptionalArrayRefParameter<"int64_t">:$tile,
    DefaultValuedParameter<"int64_t", "1">:$stages,
    DefaultValuedParameter<"int64_t", "4">:$warps,
    DefaultValuedParameter<"int64_t", "1">:$cluster);
  let builders = [AttrBuilder<(ins "::llvm::StringRef":$strategy,
    "::llvm::ArrayRef<int64_t>":$tile, "int64_t":$stages, "int64_t":$warps), [{
    return $_get($_ctxt, strategy, tile, stages, warps, /*cluster=*/1);
  }]>];
  let assemblyFormat = [{
    `<` struct($strategy, custom<TileSizes>($tile), $stages, $warps, $cluster)
    `>`
  }];
}

//===-- Enumerations as attributes ----------------------------------------===//

def Tile_CombineAttr : EnumAttr<Tile_Dialect, Tile_Combine, "combine"> {
  let assemblyFormat = "$value";
}

#endif // LATHE_DIALECTS_TILE_IR_TILEATTRS_TD
