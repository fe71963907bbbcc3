// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_EXEC_LAYOUT_H
#define LATHE_RUNTIME_EXEC_LAYOUT_H

#include "runtime/base/memory.h"

namespace lathe::rt {

/// A range of memory that is needed from one step to another.
struct LayoutItem {
  uint64_t size;      ///< bytes
  uint32_t firstStep; ///< inclusive, as is lastStep
  uint32_t lastStep;
  uint64_t offset; ///< result, a multiple of Block::alignment
};

/// Packs items whose lifetimes overlap side by side and reuses the space of
/// others: the largest first, each in the smallest gap that holds it
/// ("Efficient Memory Management for Deep Neural Net Inference", Pisarchyk and
/// Lee, 2020, greedy by size). `order` has room for two indices per item.
/// Writes the bytes needed in all; fails when that cannot be represented.
Status layOut(Span<LayoutItem> items, Span<uint32_t> order, uint64_t *total);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_LAYOUT_H
