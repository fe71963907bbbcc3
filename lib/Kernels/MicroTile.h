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
  /// Steps of k that one product takes.
  int64_t depth = 1;
};

/// What is multiplied; sizes that are not known are taken to be many.
struct ProductSizes {
  /// Rows that lie side by side, and how many such pieces share a weight.
  std::optional<int64_t> rows;
  int64_t pieces = 1;
  std::optional<int64_t> columns;
  /// Elements of k; not known for those whose panels stay in a cache anyhow.
  std::optional<int64_t> steps;
  /// Of a panel of the weight.
  int64_t panelColumns = 1;
  /// A column of the input goes with each column of the weight, as in a
  /// depthwise convolution: no element of it serves two multiply-adds.
  bool readsInputPerColumn = false;
};

/// For every number of vectors that divides a panel, the tile that
/// takes the fewest cycles for all rows and columns, rounded up to whole tiles.
/// The best one first; none that is far from it.
///
/// The model, per step of k: two multiply-adds and two loads a cycle, so many
/// bytes of the weight from where its panel lies, and at least as many cycles
/// as a multiply-add takes. An element of the input is one load if a register
/// is left for it, else one per vector; many rows of several vectors are slower
/// than that. After the last step, what follows needs registers too, and
/// accumulators beyond half of them go to memory and back. Where rows are
/// known, the first sight of each panel counts: it comes from afar, and in part
/// of its columns, which are not one stream, again for each part. (Fitted to
/// the layers of MobileNetV3-L and EfficientNet-B0 in ten tiles on Zen 5:
/// within 10 % of nearly all.)
llvm::SmallVector<MicroTile, 3> listMicroTiles(const Capability &capability,
                                               const ProductSizes &sizes);

/// The same for a matrix unit (AMX): a unit's rows or two of them, by as many
/// columns as `maxColumns` and halves of it. Four accumulators stay in the unit
/// while k runs; a tile of more runs k once for every four. Where what follows
/// a product `overlaps` with the next four's, a tile is twice as high.
llvm::SmallVector<MicroTile, 3> listMatrixTiles(const Capability &capability,
                                                std::optional<int64_t> rows,
                                                int64_t maxColumns,
                                                bool overlaps);

/// The same for a program of many threads (a GPU), whose operands go through
/// shared memory: blocks of sums that four warps hold in registers, and enough
/// steps of k between two barriers.
llvm::SmallVector<MicroTile, 3> listThreadTiles(std::optional<int64_t> rows,
                                                int64_t maxColumns);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_MICROTILE_H
