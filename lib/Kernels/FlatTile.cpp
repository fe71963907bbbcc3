// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/FlatTile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace lathe::kernels;

/// Columns that one product of the unit takes: weights are its rows.
static constexpr int64_t kUnitColumns = 64;
/// Bytes that all processors read in a cycle from memory and from the
/// second-level cache, and one processor from either.
static constexpr double kMemoryBytes = 1750, kCacheBytes = 3200,
                        kProcessorBytes = 26;
/// Codes that a group of four warps decodes in a cycle.
static constexpr double kDecoded = 14;
/// Cycles before the first product and after the last one of a kernel, and of
/// an exchange, for each share of sums.
static constexpr double kStart = 2500, kExchange = 500, kPerShare = 150;
/// The part of an exchange that loads for the next turn do not hide.
static constexpr double kVisible = 0.5;
/// Lists end where schedules are so much slower.
static constexpr double kHopeless = 1.5;
/// Of memory: what a workgroup keeps beside its stages, and the most that a
/// stage is worth.
static constexpr int64_t kReserved = 4096, kMostStages = 16, kLeastStages = 4;
/// Of a row of sums.
static constexpr int64_t kPitch = 4;

/// Workgroups that share the sums of a tile: in pairs, which are on two
/// processors that have a part of the device's wiring in common. Four at a time
/// leave processors out, on an H100 so many that two are always faster.
static constexpr int64_t kSplits[] = {1, 2};

/// Groups of warps that take turns at the steps of k, where they decode.
static constexpr int64_t kTurns[] = {1};

static int64_t countShares(const FlatTile &tile) {
  int64_t groups = tile.columns * tile.split / kUnitColumns;
  return tile.split * std::max<int64_t>(tile.warps / 4 / groups, 1);
}

static int64_t getStages(const Capability &capability, const FlatSizes &sizes,
                         const FlatTile &tile) {
  int64_t all = tile.columns * tile.split;
  int64_t stage = sizes.depth * (all * sizes.weightBits / 8 + tile.rows * 2);
  int64_t sums = 4 * tile.rows * (tile.columns + kPitch) * countShares(tile);
  if (tile.split > 1)
    sums *= 2;
  return std::min((capability.sharedBytes - kReserved - sums) / stage,
                  kMostStages);
}

static double getCycles(const Capability &capability, const FlatSizes &sizes,
                        const FlatTile &tile) {
  int64_t all = tile.columns * tile.split;
  int64_t groups = llvm::divideCeil(*sizes.sizes.columns, all) *
                   llvm::divideCeil(*sizes.sizes.rows, tile.rows) *
                   sizes.sizes.batch;
  int64_t places = capability.processors / tile.split;
  auto turns = double(llvm::divideCeil(groups, places));
  auto active = double(std::min(groups, places) * tile.split);
  auto steps = double(llvm::divideCeil(
      llvm::divideCeil(*sizes.sizes.depth, sizes.depth), tile.split));
  auto weights = double(sizes.depth * all * sizes.weightBits) / 8;
  auto bytes = weights + double(sizes.depth * tile.rows * 2);
  double cycles =
      std::max({weights * active / kMemoryBytes, bytes * active / kCacheBytes,
                bytes / kProcessorBytes});
  if (sizes.weightBits < 16)
    cycles = std::max(cycles, double(sizes.depth * all) /
                                  (kDecoded * double(tile.warps) / 4));
  double exchange = kExchange + kPerShare * double(countShares(tile));
  return kStart + turns * (steps * cycles + exchange * kVisible);
}

llvm::SmallVector<FlatTile>
lathe::kernels::listFlatTiles(const Capability &capability,
                              const FlatSizes &sizes) {
  if (capability.unitRows != kUnitColumns || !sizes.sizes.rows ||
      !sizes.sizes.columns || !sizes.sizes.depth ||
      *sizes.sizes.rows > kFlatRows)
    return {};
  constexpr int64_t leastRows = 8;
  FlatTile tile;
  tile.rows = std::max(
      leastRows, int64_t(llvm::PowerOf2Ceil(uint64_t(*sizes.sizes.rows))));
  llvm::SmallVector<std::pair<double, FlatTile>> timed;
  bool decodes = sizes.weightBits < 16;
  constexpr int64_t most = 2, mostDecoding = 4;
  for (int64_t all : {64, 128, 256})
    for (int64_t split : kSplits)
      for (int64_t turns : kTurns) {
        int64_t groups = all / kUnitColumns;
        tile.split = split;
        tile.columns = all / split;
        tile.warps = 4 * (decodes ? groups * turns : std::min(groups, most));
        tile.stages = getStages(capability, sizes, tile);
        bool fits = turns == 1 || (decodes && groups * turns <= mostDecoding);
        if (fits && all <= sizes.mostColumns &&
            split * sizes.depth <= *sizes.sizes.depth &&
            tile.stages >= kLeastStages)
          timed.emplace_back(getCycles(capability, sizes, tile), tile);
      }
  llvm::stable_sort(
      timed, [](const auto &a, const auto &b) { return a.first < b.first; });
  llvm::SmallVector<FlatTile> tiles;
  for (const auto &[cycles, its] : timed)
    if (cycles <= kHopeless * timed.front().first)
      tiles.push_back(its);
  return tiles;
}
