// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which blocks of a weight are kept, and what the others leave behind.

#ifndef LATHE_LIB_ENCODINGS_BLOCK_PRUNING_H
#define LATHE_LIB_ENCODINGS_BLOCK_PRUNING_H

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <vector>

namespace lathe {

class Compensation;

/// Blocks of `size` columns by one k in a [k, n] matrix: row-major over
/// (k, ceil(n / size)).
struct BlockGrid {
  int64_t k, n, size;

  int64_t getColumnBlocks() const { return (n + size - 1) / size; }
  int64_t getNumBlocks() const { return k * getColumnBlocks(); }
};

/// The `count` blocks of the largest sum of squares, the earlier one of equals;
/// fewer if the others are zero. `weights`, if there are any, say what a square
/// of each k counts.
std::vector<bool> chooseBlocks(llvm::ArrayRef<float> values, BlockGrid grid,
                               llvm::ArrayRef<float> weights, int64_t count);

/// Makes all other blocks of [k, n] `values` zero. With `compensation` each is
/// made up for by the weights that come after it, as in SparseGPT (Frantar and
/// Alistarh, arXiv 2301.00774).
void prune(llvm::MutableArrayRef<float> values, BlockGrid grid,
           const std::vector<bool> &kept, const Compensation *compensation);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_BLOCK_PRUNING_H
