// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Schedules of products of so few rows that reading the weights takes the
// time, on GPUs whose workgroups send each other what they computed.

#ifndef LATHE_KERNELS_FLATTILE_H
#define LATHE_KERNELS_FLATTILE_H

#include "lib/Kernels/UnitTile.h"

namespace lathe::kernels {

/// The most rows of such a product: more are multiplied faster row by row.
inline constexpr int64_t kFlatRows = 64;

/// k of one product.
inline constexpr int64_t kFlatDepth = 64;

struct FlatTile {
  /// Of one program. `split` programs beside each other along the columns share
  /// k: each multiplies its part for all of them.
  int64_t rows = 0, columns = 0, split = 1;
  int64_t warps = 4, stages = 1;
};

/// What is multiplied.
struct FlatSizes {
  UnitSizes sizes;
  /// Bits of a weight, and k of a step: 64 for each code of a byte.
  int64_t weightBits = 16, depth = kFlatDepth;
  /// The most columns of a program, and of those that share k: they read one
  /// panel of weights.
  int64_t mostColumns = 256;
};

/// Schedules, the one that takes the fewest cycles first; none if there are
/// more rows, if a size is not known, or if `capability` has no processors that
/// share memory.
///
/// The model: all processors together read the weights at the memory's rate,
/// and these and x at the second-level cache's rate; those that have no part
/// left in the last turn are idle; each turn ends with an exchange of sums,
/// of which loads for the next turn hide half.
llvm::SmallVector<FlatTile> listFlatTiles(const Capability &capability,
                                          const FlatSizes &sizes);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_FLATTILE_H
