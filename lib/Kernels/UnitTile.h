// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tile of a product that one program of a GPU computes on its matrix unit,
// and how: the schedules of products of f16 and bf16.

#ifndef LATHE_KERNELS_UNITTILE_H
#define LATHE_KERNELS_UNITTILE_H

#include "lib/Kernels/Capability.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace lathe::kernels {

struct UnitTile {
  int64_t rows = 0, columns = 0;
  /// Warps that share the tile, and steps of `kUnitDepth` that are on their
  /// way to shared memory at once.
  int64_t warps = 4, stages = 1;
  /// The share of the unit's rate that the tile reaches while k runs.
  double rate = 1.0;
};

/// k of one step: 128 bytes.
inline constexpr int64_t kUnitDepth = 64;

/// What is multiplied; sizes that are not known are taken to be many.
struct UnitSizes {
  std::optional<int64_t> rows, columns, steps;
  int64_t batch = 1;
  /// Weights lie along k; else rows of them are whole steps wide.
  bool isAlongK = false;
};

/// Schedules, the one that takes the fewest cycles first; none that is far from
/// it. The model: each processor runs a program after the other, as many as
/// there are whole tiles for it; a program takes its multiply-adds at the
/// tile's rate, and what follows them for each element of the tile, which
/// programs of one warpgroup hide behind each other's products. The rates are
/// fitted to 19 shapes on an H100.
llvm::SmallVector<UnitTile> listUnitTiles(const Capability &capability,
                                          const UnitSizes &sizes);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_UNITTILE_H
