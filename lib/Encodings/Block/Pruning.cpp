// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Block/Pruning.h"

#include "lib/Encodings/Compensation.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

using namespace lathe;

std::vector<bool> lathe::chooseBlocks(llvm::ArrayRef<float> values,
                                      BlockGrid grid,
                                      llvm::ArrayRef<float> weights,
                                      int64_t count) {
  int64_t width = grid.getColumnBlocks();
  std::vector<std::pair<double, int64_t>> ranking;
  for (int64_t k = 0; k < grid.k; ++k)
    for (int64_t block = 0; block < width; ++block) {
      double sum = 0.0;
      for (int64_t i = block * grid.size, end = std::min(i + grid.size, grid.n);
           i < end; ++i) {
        double value = values[k * grid.n + i];
        sum += value * value;
      }
      if (sum > 0.0)
        ranking.emplace_back(weights.empty() ? sum : sum * weights[k],
                             k * width + block);
    }
  count = std::min<int64_t>(count, ranking.size());
  std::nth_element(ranking.begin(), ranking.begin() + count, ranking.end(),
                   [](const auto &a, const auto &b) {
                     return a.first != b.first ? a.first > b.first
                                               : a.second < b.second;
                   });
  std::vector<bool> kept(grid.getNumBlocks(), false);
  for (const auto &[score, block] : llvm::ArrayRef(ranking).take_front(count))
    kept[block] = true;
  return kept;
}

void lathe::prune(llvm::MutableArrayRef<float> values, BlockGrid grid,
                  const std::vector<bool> &kept,
                  const Compensation *compensation) {
  int64_t width = grid.getColumnBlocks();
  auto isKept = [&](int64_t k, int64_t column) {
    return kept[k * width + column / grid.size];
  };
  if (!compensation) {
    for (int64_t at = 0, size = values.size(); at < size; ++at)
      if (!isKept(at / grid.n, at % grid.n))
        values[at] = 0.0f;
    return;
  }
  // Few columns at a time stay in the cache while errors spread over all k.
  constexpr int64_t columns = 64;
  std::vector<float> panel(grid.k * columns);
  for (int64_t first = 0; first < grid.n; first += columns) {
    int64_t count = std::min(columns, grid.n - first);
    for (int64_t k = 0; k < grid.k; ++k)
      for (int64_t i = 0; i < columns; ++i)
        panel[k * columns + i] =
            i < count ? values[k * grid.n + first + i] : 0.0f;
    auto leaveOut = [&](int64_t k, llvm::MutableArrayRef<float> row) {
      for (int64_t i = 0; i < count; ++i)
        if (!isKept(k, first + i))
          row[i] = 0.0f;
    };
    compensation->run(panel, columns, leaveOut);
    for (int64_t k = 0; k < grid.k; ++k)
      std::copy_n(&panel[k * columns], count, &values[k * grid.n + first]);
  }
}
