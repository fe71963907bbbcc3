// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_LIB_TARGET_CUDA_LEVELS_H
#define LATHE_LIB_TARGET_CUDA_LEVELS_H

#include "lib/Target/Target.h"

namespace lathe::cuda {

/// Warps of a thread block.
constexpr int64_t kMaxWarps = 32;

/// What code generation knows of a level beside its record.
struct Level {
  TargetLevel record;
  std::string chip;       ///< LLVM's and ptxas's name of it.
  std::string attributes; ///< LLVM's feature string: the PTX version.
  /// No later chip runs its code: bundles hold what ptxas makes of it.
  bool isExact = false;
  /// Kernels can wait for those before them by themselves.
  bool overlaps = false;

  /// The most memory that a program's threads may share.
  int64_t getSharedBytes() const {
    return static_cast<int64_t>(record.capabilities.sharedBytes);
  }
};

/// From the least demanding to the most demanding one.
llvm::ArrayRef<Level> getLevels();

/// Null if there is none called `name`.
const Level *lookupLevel(llvm::StringRef name);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_LEVELS_H
