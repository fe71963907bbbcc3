// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/MicroTile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace lathe;
using namespace lathe::kernels;

/// Registers that a target needs beside accumulators.
static constexpr int64_t kOtherRegisters = 4;
static constexpr double kMultiplyAddLatency = 4.0;
/// Bytes of the weight a cycle, from the second cache and from beyond it.
static constexpr double kNearBytes = 32.0, kFarBytes = 12.0;

/// Cycles of one step of k, for a tile that fits.
static double getStepCycles(const Capability &capability, int64_t rows,
                            int64_t vectors, std::optional<int64_t> steps,
                            int64_t panelBytes) {
  int64_t accumulators = rows * vectors;
  bool holdsInput = accumulators + vectors < capability.vectorRegisters;
  int64_t loads = vectors + (holdsInput ? rows : accumulators);
  int64_t bytes = vectors * capability.vectorBytes;
  bool isNear = !steps || *steps * panelBytes <= capability.l2Bytes * 5 / 8;
  double rate = isNear ? kNearBytes : kFarBytes;
  if (steps && bytes < panelBytes)
    rate /= 2;
  return std::max(
      {accumulators / 2.0, loads / 2.0, bytes / rate, kMultiplyAddLatency});
}

/// Tiles that cover `size`, as a fraction where it is not known.
static double countTiles(std::optional<int64_t> size, int64_t tile) {
  return size ? static_cast<double>(llvm::divideCeil(*size, tile)) : 1.0 / tile;
}

llvm::SmallVector<MicroTile, 3> lathe::kernels::listMicroTiles(
    const Capability &capability, std::optional<int64_t> rows,
    std::optional<int64_t> columns, std::optional<int64_t> steps,
    int64_t maxColumns) {
  llvm::SmallVector<MicroTile, 3> best;
  int64_t lanes = capability.getLanes(32);
  int64_t most =
      std::max<int64_t>(capability.vectorRegisters - kOtherRegisters, 1);
  for (int64_t vectors = 1; vectors <= most; vectors *= 2) {
    if (vectors > 1 && vectors * lanes > maxColumns)
      break;
    MicroTile chosen{1, vectors * lanes};
    for (int64_t count = most / vectors; count > 0; --count) {
      if (rows && count > std::max<int64_t>(*rows, 1))
        continue;
      double cycles = countTiles(rows, count) *
                      countTiles(columns, vectors * lanes) *
                      getStepCycles(capability, count, vectors, steps,
                                    maxColumns * sizeof(float));
      if (chosen.cycles != 0.0 && cycles >= chosen.cycles)
        continue;
      chosen = {count, vectors * lanes, cycles};
    }
    best.push_back(chosen);
  }
  // Of equals the one that computes least beside the columns, then the widest:
  // its rows are few, and far apart in memory.
  auto getCovered = [&](const MicroTile &tile) {
    return columns ? llvm::alignTo(*columns, tile.columns) : 0;
  };
  llvm::sort(best, [&](const MicroTile &a, const MicroTile &b) {
    if (std::abs(a.cycles - b.cycles) > 1e-3 * a.cycles)
      return a.cycles < b.cycles;
    if (getCovered(a) != getCovered(b))
      return getCovered(a) < getCovered(b);
    return a.columns > b.columns;
  });
  return best;
}

llvm::SmallVector<MicroTile, 3>
lathe::kernels::listMatrixTiles(const Capability &capability,
                                std::optional<int64_t> rows,
                                int64_t maxColumns) {
  constexpr int64_t unit = Capability::kUnitRows;
  if (rows && *rows <= unit)
    return {{unit, maxColumns}, {unit, maxColumns / 2}};
  return {
      {2 * unit, maxColumns}, {2 * unit, maxColumns / 2}, {unit, maxColumns}};
}
