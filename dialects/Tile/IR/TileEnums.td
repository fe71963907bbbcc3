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
  I32EnumAttrCase<"add", 0>, I32EnumAttrCase<"mul", 1>,
  I32EnumAttrCase<"max", 2>, I32EnumAttrCase<"min", 3>,
  I32EnumAttrCase<"and", 4>, I32EnumAttrCase<"or", 5>]>;

#endif // LATHE_DIALECTS_TILE_IR_TILEENUMS_TD
