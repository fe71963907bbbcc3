// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `tile` dialect: one kernel as a grid of programs on tiles. See
// TileDialect.td and docs/Architecture.md.

#ifndef LATHE_DIALECTS_TILE_IR_TILE_H
#define LATHE_DIALECTS_TILE_IR_TILE_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace lathe::tile {

/// On a buffer argument of a kernel: the kernel writes it.
inline constexpr llvm::StringLiteral kWrittenAttr = "tile.written";
/// On a scalar argument of a kernel, an i64: every launch gives a multiple.
inline constexpr llvm::StringLiteral kMultipleOfAttr = "tile.multiple_of";

} // namespace lathe::tile

#include "dialects/Tile/IR/TileDialect.h.inc"
#include "dialects/Tile/IR/TileEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Tile/IR/TileAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Tile/IR/TileTypes.h.inc"

#define GET_OP_CLASSES
#include "dialects/Tile/IR/TileOps.h.inc"

#endif // LATHE_DIALECTS_TILE_IR_TILE_H
