// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tile of a product that one program of a GPU computes on its matrix unit,
// and how: the schedules of products of narrow elements. The list of them and
// what was measured of it are data, in UnitTiles.def.

#ifndef LATHE_KERNELS_UNITTILE_H
#define LATHE_KERNELS_UNITTILE_H

#include "lib/Kernels/Capability.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace lathe::kernels {

struct UnitTile {
  int64_t rows = 0, columns = 0;
  /// Warps that share the tile, and steps of `kUnitLineBytes` of k that are on
  /// their way to shared memory at once.
  int64_t warps = 4, stages = 1;
  /// Programs of neighbouring rows that share what they load of the weight.
  int64_t cluster = 1;
  /// The share of the unit's rate that the tile reaches while k runs.
  double rate = 1.0;
};

/// k of one step: so many bytes of each operand's rows.
inline constexpr int64_t kUnitLineBytes = 128;

/// What is multiplied; sizes that are not known are taken to be many.
struct UnitSizes {
  std::optional<int64_t> rows, columns, depth;
  int64_t batch = 1;
  /// Weights lie along k; else rows of them are whole steps wide.
  bool isAlongK = false;
  /// Of an element of either operand.
  int64_t elementBytes = 2;
  /// Products that a program adds up. Warpgroups multiply for one alone; where
  /// there are more, the unit's products of a warp do.
  int64_t products = 1;
};

/// Schedules, the one that takes the least time first; none that is far from
/// it. The time is a model's: each processor runs a program after the other, as
/// many as there are whole tiles for it; a program takes its multiply-adds at
/// the tile's rate, and what follows them for each element of the tile, which
/// programs of one warpgroup hide behind each other's products. Near a size
/// that was measured (half of it to double, all dims together), the model is
/// corrected by how far off it was there; at that size, it is what was
/// measured.
llvm::SmallVector<UnitTile> listUnitTiles(const Capability &capability,
                                          const UnitSizes &sizes);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_UNITTILE_H
