// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_TILE_IR_TILEENUMS_TD
#define LATHE_DIALECTS_TILE_IR_TILEENUMS_TD

include "dialects/Tile/IR/TileDialect.td"
include "mlir/IR/EnumAttr.td"

class Tile_Enum<string name, string description, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, description, cases> {
  let cppNamespace = "::lathe::tile";
  let genSpecializedAttr = 0;
}

def Tile_Combine : Tile_Enum<"Combine", "how elements combine", [
  I32EnumAttrCase<"Add", 0, "add">, I32EnumAttrCase<"Mul", 1, "mul">,
  I32EnumAttrCase<"Max", 2, "max">, I32EnumAttrCase<"Min", 3, "min">,
  I32EnumAttrCase<"And", 4, "and">, I32EnumAttrCase<"Or", 5, "or">]>;

#endif // LATHE_DIALECTS_TILE_IR_TILEENUMS_TD
