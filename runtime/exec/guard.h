// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Launches whose kernels cannot touch what is not theirs unseen. Compiled code
// has no sanitizer; the pages around its operands do that work.

#ifndef LATHE_RUNTIME_EXEC_GUARD_H
#define LATHE_RUNTIME_EXEC_GUARD_H

#include "runtime/device/device.h"

namespace lathe::rt {

/// One operand of a launch.
struct GuardedOperand {
  void *data;
  uint64_t bytes;
  bool written;
};

/// Runs a kernel twice on copies of its operands: first each begins where a
/// page that may not be touched ends, then each ends where one begins. An
/// access to that page is an error that names operand and byte. SIGSEGV tells
/// of it, so one such launch runs at a time in a process, and takes the signal
/// from whom it belongs to for as long.
/// What the second run wrote goes to where the operands are. Operands that are
/// written must not overlap each other.
Status launchGuarded(const Executable &executable, uint32_t kernel,
                     const LaunchArgs &args,
                     Span<const GuardedOperand> operands,
                     const Allocator &allocator);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_GUARD_H
