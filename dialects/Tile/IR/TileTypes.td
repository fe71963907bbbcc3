// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_TILE_IR_TILETYPES_TD
#define LATHE_DIALECTS_TILE_IR_TILETYPES_TD

include "dialects/Tile/IR/TileDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"

def Tile_BufferType : TypeDef<Tile_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "A kernel argument: device memory holding elements of one type";
  let description = [{
    No shape: `tile.view` gives it one. `i1` elements are stored as bytes.
    Buffers of one kernel do not overlap, except where both are only read.

    ```mlir
    !tile.buffer<f32>
    ```
  }];
  let parameters = (ins "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $elementType `>`";
}

def Tile_ViewType : TypeDef<Tile_Dialect, "View"> {
  let mnemonic = "view";
  let summary = "A buffer seen as an array: dims and strides, some dynamic";
  let description = [{
    Strides count elements; `?` marks what only the kernel's scalars know.

    ```mlir
    !tile.view<?x384xf32, [384, 1]>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape,
                        "::mlir::Type":$elementType,
                        ArrayRefParameter<"int64_t">:$strides);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getRank() const { return getShape().size(); }
  }];
}

#endif // LATHE_DIALECTS_TILE_IR_TILETYPES_TD
