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
/// More rows than the prefetcher follows, and what they cost.
static constexpr int64_t kManyRows = 8;
static constexpr double kManyRowsFactor = 1.08;
/// To store and reload an accumulator.
static constexpr double kSpillCycles = 5.0;
/// How much faster a tile of fewer rows must be: it reads weights more often.
static constexpr double kWorthRereading = 0.95;

/// Tiles that the model gives so much more time are not worth measuring.
static constexpr double kHopeless = 1.4;

/// Vectors of 32 elements for each of four warps that a thread has registers
/// for beside what it computes them from.
static constexpr int64_t kThreadAccumulators = 64;

static int64_t getMostAccumulators(const Capability &capability) {
  if (capability.kind == Capability::Kind::Gpu)
    return kThreadAccumulators;
  return std::max<int64_t>(capability.vectorRegisters - kOtherRegisters, 1);
}

/// Cycles of one step of k, for a tile that fits.
static double getStepCycles(const Capability &capability,
                            const ProductSizes &sizes, int64_t rows,
                            int64_t vectors) {
  int64_t accumulators = rows * vectors;
  bool holdsInput = !sizes.readsInputPerColumn &&
                    accumulators + vectors < capability.vectorRegisters;
  int64_t loads = vectors + (holdsInput ? rows : accumulators);
  int64_t panelBytes = sizes.panelColumns * sizeof(float);
  bool isNear =
      !sizes.steps || *sizes.steps * panelBytes <= capability.l2Bytes / 2;
  double bytes = vectors * capability.vectorBytes;
  double cycles = std::max({accumulators / 2.0, loads / 2.0,
                            bytes / (isNear ? kNearBytes : kFarBytes),
                            kMultiplyAddLatency});
  if (rows > kManyRows && vectors > 1)
    cycles *= kManyRowsFactor;
  int64_t spilled = accumulators - getMostAccumulators(capability) / 2;
  if (sizes.steps && spilled > 0)
    cycles += spilled * kSpillCycles / std::max<int64_t>(*sizes.steps, 1);
  return cycles;
}

/// Tiles that cover `size`, as a fraction where it is not known.
static double countTiles(std::optional<int64_t> size, int64_t tile) {
  return size ? static_cast<double>(llvm::divideCeil(*size, tile)) : 1.0 / tile;
}

/// Cycles of one step of k of all tiles.
static double getCycles(const Capability &capability, const ProductSizes &sizes,
                        int64_t rows, int64_t vectors) {
  int64_t columns = vectors * capability.getLanes(32);
  double cycles = countTiles(sizes.rows, rows) * sizes.pieces *
                  countTiles(sizes.columns, columns) *
                  getStepCycles(capability, sizes, rows, vectors);
  if (!sizes.rows || *sizes.rows * sizes.pieces == 1)
    return cycles; // The weight is seen often, or once anyhow.
  double passes = std::max(1.0, double(sizes.panelColumns) / columns);
  return cycles + passes * countTiles(sizes.columns, sizes.panelColumns) *
                      sizes.panelColumns * sizeof(float) / kFarBytes;
}

llvm::SmallVector<MicroTile, 3>
lathe::kernels::listMicroTiles(const Capability &capability,
                               const ProductSizes &sizes) {
  llvm::SmallVector<MicroTile, 3> best;
  int64_t lanes = capability.getLanes(32);
  int64_t most = getMostAccumulators(capability);
  if (sizes.readsInputPerColumn) // They want registers as well.
    most = std::max<int64_t>(most / 2, 1);
  for (int64_t vectors = 1; vectors <= most; ++vectors) {
    if (vectors > 1 && sizes.panelColumns % (vectors * lanes) != 0)
      continue;
    MicroTile chosen{1, vectors * lanes};
    for (int64_t count = most / vectors; count > 0; --count) {
      if (sizes.rows && count > std::max<int64_t>(*sizes.rows, 1))
        continue;
      double cycles = getCycles(capability, sizes, count, vectors);
      if (chosen.cycles == 0.0 || cycles < chosen.cycles * kWorthRereading)
        chosen = {count, vectors * lanes, cycles};
    }
    best.push_back(chosen);
  }
  // Of equals the one that computes least beside the columns, then the widest:
  // its rows are few, and far apart in memory.
  auto getCovered = [&](const MicroTile &tile) {
    return sizes.columns ? llvm::alignTo(*sizes.columns, tile.columns) : 0;
  };
  llvm::sort(best, [&](const MicroTile &a, const MicroTile &b) {
    if (std::abs(a.cycles - b.cycles) > 1e-3 * a.cycles)
      return a.cycles < b.cycles;
    if (getCovered(a) != getCovered(b))
      return getCovered(a) < getCovered(b);
    return a.columns > b.columns;
  });
  while (best.back().cycles > kHopeless * best.front().cycles)
    best.pop_back();
  return best;
}

llvm::SmallVector<MicroTile, 3>
lathe::kernels::listMatrixTiles(const Capability &capability,
                                std::optional<int64_t> rows, int64_t maxColumns,
                                bool overlaps) {
  constexpr int64_t unit = Capability::kUnitRows;
  if (rows && *rows <= unit)
    return {{unit, maxColumns}, {unit, maxColumns / 2}};
  // Nothing overlaps with the first block's products and the last one's
  // epilogue: the more blocks, the better.
  if (overlaps && (!rows || *rows > 2 * unit))
    return {{4 * unit, maxColumns}, {2 * unit, maxColumns}, {unit, maxColumns}};
  return {
      {2 * unit, maxColumns}, {2 * unit, maxColumns / 2}, {unit, maxColumns}};
}

llvm::SmallVector<MicroTile, 3>
lathe::kernels::listThreadTiles(std::optional<int64_t> rows,
                                int64_t maxColumns) {
  constexpr int64_t few = 16, many = 64, depth = 16;
  if (rows && *rows <= few)
    return {{few, maxColumns, 0.0, 2 * depth},
            {few, maxColumns / 2, 0.0, 2 * depth}};
  return {{many, maxColumns, 0.0, depth},
          {many / 2, maxColumns, 0.0, depth},
          {many / 2, maxColumns / 2, 0.0, 2 * depth}};
}
