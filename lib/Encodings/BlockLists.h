// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How `#graph.block` stores a weight, which kernels that run lists know:
// blocks of s columns by one k are kept, as Intel's SparseLib does (systems.md
// [5]): s columns read the same elements of the input.
//
// Four columns are a strip, whatever s is. The kept k of a strip, ascending,
// are taken four at a time, a group: four dot products of four. Zeros fill up
// its last group. Buffers of a weight whose dim `axis` has size n and its other
// dim size k, with g groups at most, whichever blocks are kept, and at least 1:
//
//   "offsets"  [16 ceil(n / 64) + 1], i32  groups before each strip, and after
//              the last; strips past n are empty
//   "indices"  [g, 4], i16, unsigned      the group's k; 0 in what fills up
//   "values"   [g, 4, 4], t               of each column of the strip, by k
//   "dense"    the weight's shape, t      the same values where they are
//   "scales"   [n], f32                   max |w| of the kept / 127; i8 only
//   "sums"     [n], f32                   sum of the column, decoded; i8 only
//
// A kernel names the lists or "dense", and only what is named is stored. What
// reads the lists must not trust them: files may be damaged.

#ifndef LATHE_LIB_ENCODINGS_BLOCKLISTS_H
#define LATHE_LIB_ENCODINGS_BLOCKLISTS_H

#include <cstdint>

namespace lathe {

/// The order of the buffers, as `getBuffers`, `encode` and `decode` have them.
enum BlockBuffer : unsigned {
  kBlockOffsets,
  kBlockIndices,
  kBlockValues,
  kBlockDense,
  kBlockScales,
  kBlockSums
};

/// Columns of a strip, and k of a group.
inline constexpr int64_t kStripColumns = 4, kBlockGroup = 4;
/// Strips come in sixteens, so that kernels store whole lines, four in a row:
/// one line a row takes twice the time where rows are far apart.
inline constexpr int64_t kStripsTogether = 16;

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_BLOCKLISTS_H
