// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Levels.h"

using namespace lathe;
using namespace lathe::cuda;

static constexpr uint64_t KiB = 1024;

static std::vector<Level> makeLevels() {
  TargetLevel ampere;
  ampere.name = "sm_80";
  ampere.features = {"sm_80"};
  TargetCapabilities &its = ampere.capabilities;
  its.threads = 1024;
  // What one warp reads at once, and the registers of a thread.
  its.vectorBits = 1024;
  its.vectorRegisters = 255;
  // Of the smallest device of the level (8.6 and 8.9 have 100 KiB), and so
  // that two programs share one processor.
  its.scratchBytes = 48 * KiB;
  its.l1Bytes = 96 * KiB;
  its.l2Bytes = 4096 * KiB;
  its.matrixUnit = true;
  its.unitRows = 16;
  its.sharedBytes = 99 * KiB;
  its.processors = 108; // A100

  // What it has beyond: products of whole warpgroups, a copy engine for tiles.
  TargetLevel hopper = ampere;
  hopper.name = "sm_90a";
  hopper.features = {"sm_90a"};
  hopper.capabilities.l1Bytes = 192 * KiB;
  hopper.capabilities.l2Bytes = 50 * 1024 * KiB;
  hopper.capabilities.unitRows = 64;
  hopper.capabilities.sharedBytes = 227 * KiB;
  hopper.capabilities.processors = 132; // H100 SXM
  return {{ampere, "sm_80", "+ptx80", /*isExact=*/false, /*overlaps=*/false},
          {hopper, "sm_90a", "+ptx86", /*isExact=*/true, /*overlaps=*/true}};
}

llvm::ArrayRef<Level> cuda::getLevels() {
  static const std::vector<Level> levels = makeLevels();
  return levels;
}

const Level *cuda::lookupLevel(llvm::StringRef name) {
  for (const Level &level : getLevels())
    if (level.record.name == name)
      return &level;
  return nullptr;
}
