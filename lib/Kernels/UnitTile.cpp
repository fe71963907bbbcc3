// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/UnitTile.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace lathe::kernels;

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

namespace {

struct ListedTile {
  int64_t unit; ///< Rows that the unit gives at once.
  UnitTile tile;
};

/// The most tiles of a unit.
constexpr unsigned kMostTiles = 20;

struct MeasuredSizes {
  int64_t unit;
  double rows, columns, depth;
  /// Of each of the unit's tiles in their order; 0: unknown.
  double times[kMostTiles];
};

} // namespace

static constexpr ListedTile kTiles[] = {
#define UNIT_TILE(UNIT, NAME, ROWS, COLUMNS, WARPS, STAGES, CLUSTER, RATE)     \
  {UNIT, {ROWS, COLUMNS, WARPS, STAGES, CLUSTER, RATE}},
#include "lib/Kernels/UnitTiles.def"
};

static constexpr MeasuredSizes kMeasured[] = {
#define UNIT_TIMES(UNIT, ROWS, COLUMNS, DEPTH, ...)                            \
  {UNIT, ROWS, COLUMNS, DEPTH, {__VA_ARGS__}},
#include "lib/Kernels/UnitTiles.def"
    {0, 1, 1, 1, {}}};

/// Multiply-adds of one processor in a cycle, and cycles of the unit's first
/// product and of an element that follows the last one.
static constexpr double kPerCycle = 2048, kStart = 1000, kPerElement = 0.12;
/// Bytes that a processor, and all of them, load in a cycle from the
/// second-level cache.
static constexpr double kBytesPerCycle = 60, kBytesOfAll = 6000;
/// What follows is hidden for the most part where programs take turns.
static constexpr double kHidden = 0.3;
/// Lists end where schedules are so much slower, at any size of open dims.
static constexpr double kHopeless = 1.6, kHopelessAnywhere = 3;
/// k where it is not known.
static constexpr double kMuch = 4096;

//===----------------------------------------------------------------------===//
// Model
//===----------------------------------------------------------------------===//

static double getCycles(const Capability &capability, int64_t unit,
                        const UnitTile &tile, const UnitSizes &sizes) {
  double rows = 1, columns = 1;
  // A cluster's last programs may be of rows that do not exist.
  if (sizes.rows)
    rows = double(llvm::divideCeil(*sizes.rows, tile.rows * tile.cluster) *
                  tile.cluster);
  if (sizes.columns)
    columns = double(llvm::divideCeil(*sizes.columns, tile.columns));
  double elements = double(tile.rows) * double(tile.columns);
  double depth = sizes.depth ? double(*sizes.depth) : kMuch;
  bool isAlone = unit == 64 && tile.warps > 4;
  double after = elements * kPerElement * (isAlone ? 1.0 : kHidden);
  double programs = rows * columns * double(sizes.batch);
  double bytes = double(sizes.elementBytes);
  double products = double(std::max(tile.rows, unit)) * double(tile.columns) *
                    bytes / (2 * kPerCycle * tile.rate);
  double near = bytes * double(tile.rows + tile.columns);
  double far =
      bytes * (double(tile.rows) + double(tile.columns) / double(tile.cluster));
  double shared = std::min(programs, double(capability.processors));
  double loads = std::max(near / kBytesPerCycle, far * shared / kBytesOfAll);
  double cycles = kStart + depth * std::max(products, loads) + after;
  if (!sizes.rows || !sizes.columns)
    return cycles * programs / (sizes.rows ? 1.0 : double(tile.rows)) /
           (sizes.columns ? 1.0 : double(tile.columns));
  return cycles *
         double(llvm::divideCeil(int64_t(programs), capability.processors));
}

/// How far from `sizes` something was measured: the logarithm of the ratios.
static double getDistance(const MeasuredSizes &measured,
                          const UnitSizes &sizes) {
  auto far = [](double x, double y) { return std::abs(std::log(x / y)); };
  return far(measured.rows, double(std::max<int64_t>(*sizes.rows, 1))) +
         far(measured.columns, double(std::max<int64_t>(*sizes.columns, 1))) +
         far(measured.depth, double(std::max<int64_t>(*sizes.depth, 1)));
}

/// What was measured nearest to `sizes`; null if nothing was near.
static const MeasuredSizes *findMeasured(int64_t unit, const UnitSizes &sizes,
                                         double &distance) {
  const MeasuredSizes *nearest = nullptr;
  distance = std::log(2.0);
  if (!sizes.rows || !sizes.columns || !sizes.depth || sizes.batch != 1 ||
      sizes.elementBytes != 2)
    return nullptr;
  for (const MeasuredSizes &measured : kMeasured) {
    double its = getDistance(measured, sizes);
    if (measured.unit != unit || its >= distance)
      continue;
    nearest = &measured;
    distance = its;
  }
  return nearest;
}

/// Corrects the model's `timed`, of all tiles of the unit.
static void correct(const Capability &capability, int64_t unit,
                    const UnitSizes &sizes,
                    llvm::MutableArrayRef<std::pair<double, UnitTile>> timed) {
  double distance;
  const MeasuredSizes *measured = findMeasured(unit, sizes, distance);
  if (!measured)
    return;
  UnitSizes there = sizes;
  there.rows = int64_t(measured->rows);
  there.columns = int64_t(measured->columns);
  there.depth = int64_t(measured->depth);
  // Of a tile without a time, the model is taken to be as wrong as it can be.
  double weight = 1 - distance / std::log(2.0), worst = 0;
  llvm::SmallVector<double> factors;
  for (auto [i, its] : llvm::enumerate(timed)) {
    double modelled = getCycles(capability, unit, its.second, there);
    factors.push_back(measured->times[i] / modelled);
    worst = std::max(worst, factors.back());
  }
  for (auto [factor, its] : llvm::zip_equal(factors, timed))
    its.first *= std::pow((factor ? factor : worst) / worst, weight);
}

llvm::SmallVector<UnitTile>
lathe::kernels::listUnitTiles(const Capability &capability,
                              const UnitSizes &sizes) {
  int64_t unit = sizes.products > 1 ? 16 : capability.unitRows;
  llvm::SmallVector<std::pair<double, UnitTile>> timed;
  for (const ListedTile &listed : kTiles)
    if (listed.unit == unit)
      timed.emplace_back(getCycles(capability, unit, listed.tile, sizes),
                         listed.tile);
  correct(capability, unit, sizes, timed);
  int64_t whole = kUnitLineBytes / sizes.elementBytes;
  llvm::erase_if(timed, [&](const auto &its) {
    return !sizes.isAlongK && its.second.columns % whole != 0;
  });
  llvm::stable_sort(
      timed, [](const auto &a, const auto &b) { return a.first < b.first; });
  double most = sizes.rows && sizes.columns ? kHopeless : kHopelessAnywhere;
  llvm::SmallVector<UnitTile> tiles;
  for (const auto &[cycles, tile] : timed)
    if (cycles <= most * timed.front().first)
      tiles.push_back(tile);
  return tiles;
}
