// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_EXEC_PROFILE_H
#define LATHE_RUNTIME_EXEC_PROFILE_H

#include "runtime/base/memory.h"

/// Where the time of one run went.
struct lathe_profile_t {
  explicit lathe_profile_t(const lathe::rt::Allocator &allocator)
      : allocator(allocator) {}

  /// Forgets what was recorded and makes room for `capacity` steps.
  lathe::rt::Status begin(size_t capacity);
  /// Steps beyond the memory that there is (a loop's) are not recorded.
  void add(const lathe_profile_step_t &step);

  lathe::rt::Allocator allocator;
  lathe::rt::Array<lathe_profile_step_t> steps;
  size_t numSteps = 0;
  uint64_t totalNs = 0;
  uint64_t arenaBytes = 0;
};

namespace lathe::rt {

/// Monotonic time in nanoseconds.
uint64_t now();

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_PROFILE_H
