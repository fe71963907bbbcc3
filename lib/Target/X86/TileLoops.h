// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops over k that AMX can run. A kernel takes one word of k (two bf16, four
// bytes) per iteration, whatever the level. Where the words of sixteen
// iterations lie at even distances in memory, one tile instruction does the
// work of sixteen iterations on sixteen rows and sixteen columns, straight
// from where the operands are.

#ifndef LATHE_LIB_TARGET_X86_TILELOOPS_H
#define LATHE_LIB_TARGET_X86_TILELOOPS_H

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/X86/Bounds.h"
#include "llvm/ADT/MapVector.h"

namespace lathe::x86 {

/// Rows of a tile register, and words of 32 bits in a row of it. All tiles
/// have this one shape, so that a function needs one configuration of them.
inline constexpr int64_t kTileRows = 16, kTileWords = 16;

/// Whether `mma`'s right operand lies as dot products of words want it: what
/// makes up a word beside each other, in each column; or is computed from bytes
/// that do, each from those at its place.
bool isInterleaved(tile::MmaOp mma);

/// By how many elements what `load` reads moves from one iteration of `loop` to
/// the next; nothing if that differs between them.
std::optional<int64_t> pitchOf(tile::LoadOp load, mlir::scf::ForOp loop);

/// A loop that does nothing but multiply and add.
struct TileLoop {
  tile::MmaOp mma;
  tile::LoadOp a, b;
  /// Elements in a word: the loop's step.
  int64_t perWord;
  /// Bytes from a word of `b` to the next one of its column.
  int64_t wordPitch;
};

/// The loops of a kernel, if all of its multiplies are in such loops; none
/// otherwise.
class TileLoops {
public:
  TileLoops() = default;
  TileLoops(tile::KernelOp kernel, const Bounds &bounds);

  bool empty() const { return loops.empty(); }
  /// Nothing if `loop` is not one of them.
  std::optional<TileLoop> lookup(mlir::scf::ForOp loop) const;

private:
  llvm::MapVector<mlir::Operation *, TileLoop> loops;
};

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_TILELOOPS_H
