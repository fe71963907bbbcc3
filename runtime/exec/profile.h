// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_EXEC_PROFILE_H
#define LATHE_RUNTIME_EXEC_PROFILE_H

#include "runtime/device/device.h"

/// Where the time of one run went.
struct lathe_profile_t {
  explicit lathe_profile_t(const lathe::rt::Allocator &allocator)
      : allocator(allocator) {}

  // In the queue of a run: where it begins and ends, and another one right
  // after the first, since marks take time, too. Launches have those after.
  static constexpr uint32_t beginMark = 0, endMark = 1, secondMark = 2;

  /// Forgets what was recorded and makes room for `capacity` steps of a run
  /// that began at `ns` of the host's clock.
  lathe::rt::Status begin(size_t capacity, uint64_t ns);
  /// Steps beyond the memory that there is (a loop's) are not recorded.
  void add(const lathe_profile_step_t &step);
  /// Before and after a launch, which is timed on the device if that has a
  /// queue. `step` is all but its times.
  lathe::rt::Status beginLaunch(lathe::rt::Queue *queue);
  lathe::rt::Status endLaunch(lathe_profile_step_t step,
                              lathe::rt::Queue *queue);
  /// The run is over, and the queue empty.
  lathe::rt::Status end(lathe::rt::Queue *queue);

  lathe::rt::Allocator allocator;
  lathe::rt::Array<lathe_profile_step_t> steps;
  size_t numSteps = 0;
  uint64_t beginNs = 0;  ///< on the host's clock
  uint64_t launchNs = 0; ///< the same of a launch that goes on
  uint32_t numMarks = 0; ///< in the queue
  uint64_t totalNs = 0;
  uint64_t arenaBytes = 0;
};

namespace lathe::rt {

/// Monotonic time in nanoseconds.
uint64_t now();

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_PROFILE_H
