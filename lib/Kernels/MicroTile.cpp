// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/MicroTile.h"

#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace lathe;
using namespace lathe::kernels;

/// Registers that a target needs beside accumulators.
static constexpr int64_t kOtherRegisters = 4;
static constexpr double kMultiplyAddLatency = 4.0;
/// Bytes of the weight a cycle: large ones come from beyond the second cache.
static constexpr double kWeightBytes = 12.0;

/// Cycles of one step of k, for a tile that fits.
static double getStepCycles(const Capability &capability, int64_t rows,
                            int64_t vectors) {
  int64_t accumulators = rows * vectors;
  bool holdsInput = accumulators + vectors < capability.vectorRegisters;
  int64_t loads = vectors + (holdsInput ? rows : accumulators);
  double weight = vectors * capability.vectorBytes / kWeightBytes;
  return std::max(
      {accumulators / 2.0, loads / 2.0, weight, kMultiplyAddLatency});
}

/// Tiles that cover `size`, as a fraction where it is not known.
static double countTiles(std::optional<int64_t> size, int64_t tile) {
  return size ? static_cast<double>(llvm::divideCeil(*size, tile)) : 1.0 / tile;
}

MicroTile lathe::kernels::chooseMicroTile(const Capability &capability,
                                          std::optional<int64_t> rows,
                                          std::optional<int64_t> columns,
                                          int64_t maxColumns) {
  int64_t lanes = capability.getLanes(32);
  int64_t most =
      std::max<int64_t>(capability.vectorRegisters - kOtherRegisters, 1);
  MicroTile best{1, lanes};
  double fewest = 0.0;
  for (int64_t vectors = 1; vectors <= most && vectors * lanes <= maxColumns;
       vectors *= 2) {
    for (int64_t count = most / vectors; count > 0; --count) {
      if (rows && count > *rows && count > 1)
        continue;
      double cycles = countTiles(rows, count) *
                      countTiles(columns, vectors * lanes) *
                      getStepCycles(capability, count, vectors);
      // Of equals the one that loads less for each multiply-add.
      bool isBetter = fewest == 0.0 || cycles < fewest * 0.999;
      bool isEqual = fewest != 0.0 && cycles <= fewest * 1.001;
      double squareness = 1.0 / count + 1.0 / (vectors * lanes);
      double ofBest = 1.0 / best.rows + 1.0 / best.columns;
      if (!isBetter && !(isEqual && squareness < ofBest))
        continue;
      best = {count, vectors * lanes};
      fewest = cycles;
    }
  }
  return best;
}
