// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/layout.h"

#include <algorithm>

namespace lathe::rt {

static constexpr uint64_t maxArena = uint64_t(1) << 62;

static uint64_t roundUp(uint64_t size) {
  return (size + Block::alignment - 1) & ~uint64_t(Block::alignment - 1);
}

static bool overlap(const LayoutItem &a, const LayoutItem &b) {
  return a.firstStep <= b.lastStep && b.firstStep <= a.lastStep;
}

/// The best place for `item` among those placed, which ascend in offset.
static uint64_t findOffset(Span<LayoutItem> items, Span<uint32_t> placed,
                           const LayoutItem &item) {
  uint64_t size = roundUp(item.size), end = 0;
  uint64_t best = 0, bestGap = UINT64_MAX;
  for (uint32_t index : placed) {
    const LayoutItem &other = items[index];
    if (!overlap(item, other))
      continue;
    if (other.offset > end && other.offset - end >= size &&
        other.offset - end < bestGap) {
      best = end;
      bestGap = other.offset - end;
    }
    end = std::max(end, other.offset + roundUp(other.size));
  }
  return bestGap == UINT64_MAX ? end : best;
}

Status layOut(Span<LayoutItem> items, Span<uint32_t> order, uint64_t *total) {
  size_t count = items.size();
  uint32_t *bySize = order.data(), *placed = order.data() + count;
  uint64_t sum = 0;
  for (size_t i = 0; i < count; ++i) {
    bySize[i] = static_cast<uint32_t>(i);
    if (items[i].size > maxArena || (sum += items[i].size) > maxArena)
      return error(LATHE_OUT_OF_MEMORY, "working memory exceeds 2^62 bytes");
  }
  // Ties are broken by index: std::sort is not stable.
  std::sort(bySize, bySize + count, [&](uint32_t a, uint32_t b) {
    return items[a].size != items[b].size ? items[a].size > items[b].size
                                          : a < b;
  });
  *total = 0;
  for (size_t i = 0; i < count; ++i) {
    LayoutItem &item = items[bySize[i]];
    item.offset = findOffset(items, {placed, i}, item);
    size_t at = i;
    for (; at > 0 && items[placed[at - 1]].offset > item.offset; --at)
      placed[at] = placed[at - 1];
    placed[at] = bySize[i];
    *total = std::max(*total, item.offset + roundUp(item.size));
  }
  return ok();
}

} // namespace lathe::rt
