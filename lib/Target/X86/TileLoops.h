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

/// Whether `mma`'s right operand is four gathered rows of bytes, whose columns
/// lie beside each other: words that are put together on the way.
bool isGatheredWord(tile::MmaOp mma);

/// A loop that does nothing but multiply and add, and decode what it multiplies
/// with.
struct TileLoop {
  /// The iteration's multiplies, each adding to the one before; of one word.
  llvm::SmallVector<tile::MmaOp, 2> mmas;
  tile::LoadOp a;      ///< Of the first one; the others' words follow.
  tile::LoadOp b;      ///< Null if the words of `b` are computed.
  int64_t perWord = 1; ///< Elements in a word.
  int64_t step = 1;    ///< The loop's.
  /// Bytes from a word of `b` to the next one of its column, where it is read.
  int64_t wordPitch = 0;
  /// Where the emitter put computed words of `b`, as [words][columns].
  mlir::Value decoded = nullptr;

  tile::MmaOp mma() const { return mmas.back(); }
  /// What the induction variable grows by while a tile's words of k pass.
  int64_t tileStep() const {
    return step * kTileWords / static_cast<int64_t>(mmas.size());
  }
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
