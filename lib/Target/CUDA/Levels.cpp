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
  return {{ampere, "sm_80", "+ptx80", int64_t(99 * KiB)}};
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
