// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tile of accumulators that one program of a matrix product or convolution
// keeps in registers while k runs.

#ifndef LATHE_KERNELS_MICROTILE_H
#define LATHE_KERNELS_MICROTILE_H

#include "lib/Kernels/Capability.h"
#include "llvm/ADT/SmallVector.h"

namespace lathe::kernels {

/// Rows and columns of accumulators; columns are whole vectors of f32.
struct MicroTile {
  int64_t rows = 1, columns = 1;
  /// What the model expects for one step of k of all tiles; a fraction of it
  /// where rows or columns are not known.
  double cycles = 0.0;
};

/// For every number of vectors up to `maxColumns` (powers of two), the tile
/// that takes the fewest cycles for all of `rows` x `columns`, rounded up to
/// whole tiles, in `steps` steps of k; rows and columns that are not known are
/// taken to be many, steps to be few. The best one first.
///
/// The model, per step of k: two multiply-adds and two loads a cycle, so many
/// bytes of the weight from where its panel of `maxColumns` lies, and at least
/// as many cycles as a multiply-add takes. An element of the input is one load
/// if a register is left for it, else one per vector. Part of a panel's columns
/// lie in part of a cache's sets, which then holds as little as if the whole
/// panel were read; they arrive at half the rate.
llvm::SmallVector<MicroTile, 3> listMicroTiles(const Capability &capability,
                                               std::optional<int64_t> rows,
                                               std::optional<int64_t> columns,
                                               std::optional<int64_t> steps,
                                               int64_t maxColumns);

/// The same for a matrix unit (AMX): a unit's rows or two of them, by as many
/// columns as `maxColumns` and halves of it. Four accumulators stay in the unit
/// while k runs; a tile of more runs k once for every four.
llvm::SmallVector<MicroTile, 3> listMatrixTiles(const Capability &capability,
                                                std::optional<int64_t> rows,
                                                int64_t maxColumns);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_MICROTILE_H
