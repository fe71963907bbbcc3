// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device "cpu": native code on the calling thread and a pool of workers.

#ifndef LATHE_RUNTIME_DEVICE_CPU_CPU_DEVICE_H
#define LATHE_RUNTIME_DEVICE_CPU_CPU_DEVICE_H

#include "runtime/device/device.h"

namespace lathe::rt {

extern const DeviceType cpuDevice;

/// The contract with lib/Target/X86: runs the programs with linear ids
/// [begin, end) of `grid`, whose dim 0 is the fastest. Any number of threads
/// may run disjoint ranges. i1 elements are bytes 0 or 1. Buffers are aligned
/// to their element type at least.
using CpuKernel = void (*)(void *const *buffers, const int64_t *scalars,
                           const int64_t *grid, int64_t begin, int64_t end);

/// How many threads a launch is worth, at most `available`: waking and joining
/// one costs about as much as `flops` and `bytes` of the constants in the
/// source.
uint32_t threadsWorthUsing(int64_t flops, int64_t bytes, int64_t programs,
                           uint32_t available);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_DEVICE_CPU_CPU_DEVICE_H
