// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/UnitTile.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace lathe::kernels;

/// Where products are of warpgroups (64 rows). Two programs of four warps take
/// turns on a processor; one of eight has it for itself.
static constexpr UnitTile kWarpgroupTiles[] = {
    {128, 256, 8, 4, 1.00}, {256, 128, 8, 4, 1.00}, {128, 128, 4, 6, 0.96},
    {128, 192, 8, 5, 0.98}, {64, 192, 4, 6, 0.90},  {64, 128, 4, 8, 0.80},
    {128, 64, 8, 8, 0.75},  {128, 64, 4, 8, 0.70},  {64, 64, 4, 12, 0.55},
    {16, 128, 4, 8, 0.80},  {16, 64, 4, 12, 0.55},  {16, 32, 4, 16, 0.30}};

/// Where products are of a warp.
static constexpr UnitTile kWarpTiles[] = {
    {128, 128, 8, 3, 1.00}, {128, 64, 4, 3, 0.90}, {64, 128, 4, 3, 0.90},
    {64, 64, 4, 4, 0.75},   {32, 64, 4, 4, 0.50},  {16, 128, 4, 4, 0.30},
    {16, 64, 4, 4, 0.25}};

/// Multiply-adds of one processor in a cycle, and cycles of the unit's first
/// product and of an element that follows the last one.
static constexpr double kPerCycle = 2048, kStart = 1000, kPerElement = 0.12;
/// Bytes that a processor, and all of them, load in a cycle from the
/// second-level cache.
static constexpr double kBytesPerCycle = 60, kBytesOfAll = 6000;
/// What follows is hidden for the most part where programs take turns.
static constexpr double kHidden = 0.3;
/// Lists end where schedules are so much slower.
static constexpr double kHopeless = 1.6;
/// Steps of k where they are not known.
static constexpr double kManySteps = 4096;

static double getCycles(const Capability &capability, const UnitTile &tile,
                        const UnitSizes &sizes) {
  double rows = 1, columns = 1;
  if (sizes.rows)
    rows = double(llvm::divideCeil(*sizes.rows, tile.rows));
  if (sizes.columns)
    columns = double(llvm::divideCeil(*sizes.columns, tile.columns));
  double elements = double(tile.rows) * double(tile.columns);
  double steps = sizes.steps ? double(*sizes.steps) : kManySteps;
  bool isAlone = capability.unitRows == 64 && tile.warps > 4;
  double after = elements * kPerElement * (isAlone ? 1.0 : kHidden);
  double programs = rows * columns * double(sizes.batch);
  double products = double(std::max(tile.rows, capability.unitRows)) *
                    double(tile.columns) / (kPerCycle * tile.rate);
  double bytes = 2.0 * double(tile.rows + tile.columns);
  double shared = std::min(programs, double(capability.processors));
  double loads = std::max(bytes / kBytesPerCycle, bytes * shared / kBytesOfAll);
  double cycles = kStart + steps * std::max(products, loads) + after;
  if (!sizes.rows || !sizes.columns)
    return cycles * programs / (sizes.rows ? 1.0 : double(tile.rows)) /
           (sizes.columns ? 1.0 : double(tile.columns));
  return cycles *
         double(llvm::divideCeil(int64_t(programs), capability.processors));
}

llvm::SmallVector<UnitTile>
lathe::kernels::listUnitTiles(const Capability &capability,
                              const UnitSizes &sizes) {
  llvm::ArrayRef<UnitTile> all = kWarpTiles;
  if (capability.unitRows == 64)
    all = kWarpgroupTiles;
  llvm::SmallVector<std::pair<double, UnitTile>> timed;
  for (const UnitTile &tile : all)
    if (sizes.isAlongK || tile.columns % kUnitDepth == 0)
      timed.emplace_back(getCycles(capability, tile, sizes), tile);
  llvm::stable_sort(
      timed, [](const auto &a, const auto &b) { return a.first < b.first; });
  llvm::SmallVector<UnitTile> tiles;
  for (const auto &[cycles, tile] : timed)
    if (cycles <= kHopeless * timed.front().first)
      tiles.push_back(tile);
  return tiles;
}
