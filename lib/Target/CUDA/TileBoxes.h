// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads and stores of tiles as copies of boxes of a tensor (TMA): what a view
// is to the copy engine, and what the tile is in shared memory.

#ifndef LATHE_LIB_TARGET_CUDA_TILEBOXES_H
#define LATHE_LIB_TARGET_CUDA_TILEBOXES_H

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/CUDA/Hopper.h"
#include "lib/Target/Target.h"

namespace lathe::cuda {

/// A tile of rank 2 of floats of 16 or 8 bits, in lines of 128 bytes along
/// whichever dim lies without gaps, as boxes of `map.box[1]` lines.
struct TileBoxes {
  std::array<int64_t, 2> shape = {0, 0}; ///< Of the tile.
  TensorMap map;
  /// The kernel's indices of the tile's first element, in the map's order of
  /// dims: the fastest first.
  llvm::SmallVector<mlir::Value> indices;
  /// The tile dim along which lines run.
  unsigned lineDim = 1;

  int64_t getLines() const { return shape[1 - lineDim]; }
  /// Boxes of all lines, beside each other along them. The last one is partly
  /// zeros where the tile, and the tensor, end within it.
  int64_t getBoxes() const {
    return llvm::divideCeil(shape[lineDim], getLineElements());
  }
  int64_t getElementBytes() const {
    return map.element.getIntOrFloatBitWidth() / 8;
  }
  int64_t getLineElements() const { return kSwizzleBytes / getElementBytes(); }
  int64_t getBytes() const { return getBoxes() * getLines() * kSwizzleBytes; }
  /// The tile as an operand of a product, its k along tile dim `kDim`.
  SharedMatrix getMatrix(unsigned kDim) const {
    return {lineDim == kDim, getLines(), getElementBytes()};
  }
};

/// Sees whether a load can be made of boxes of `lines` lines (0: all of the
/// tile), a store of boxes of `lines` lines along its last dim. The copy engine
/// wants at most five dims, strides and a start of whole 16 bytes, sizes and
/// strides that the host knows; a tile is whole lines or all that the tensor
/// has of them, a box at most 256 lines. Nothing, with the reason, if it
/// cannot. `columns`: of so many columns, instead of the tile's own; then the
/// copies are those of several programs' tiles.
std::optional<TileBoxes> matchLoad(tile::LoadOp load, std::string &reason,
                                   int64_t lines = 0,
                                   std::optional<int64_t> columns = {});
std::optional<TileBoxes> matchStore(tile::StoreOp store, int64_t lines,
                                    std::string &reason);

/// Sees whether `load` can be made of one box of `shape` elements, with lines
/// along tile dim `lineDim`, swizzled with `swizzle` bytes as their length.
/// `indices` are those of the box in the map's order of dims. Nothing, with the
/// reason, if it cannot.
std::optional<TensorMap> matchBox(tile::LoadOp load,
                                  llvm::ArrayRef<int64_t> shape,
                                  unsigned lineDim, int64_t swizzle,
                                  llvm::SmallVectorImpl<mlir::Value> &indices,
                                  std::string &reason);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_TILEBOXES_H
