// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the executor asks of a device. A device is one folder beside cpu/ and a
// line in device.cpp; runtime/conformance holds the tests that each must pass.
//
// The executor runs steps in order and hands the device host addresses, which
// is all that devices in host memory need.

#ifndef LATHE_RUNTIME_DEVICE_DEVICE_H
#define LATHE_RUNTIME_DEVICE_DEVICE_H

#include "runtime/base/memory.h"

namespace lathe::rt {

/// A kernel call with everything known.
struct LaunchArgs {
  void *const *buffers; ///< what is read, then what is written
  const int64_t *scalars;
  int64_t grid[3]; ///< none is negative, and the product fits int64
  int64_t flops;   ///< an estimate, or -1
  int64_t bytes;   ///< of all operands
};

/// The code of one variant, loaded. Immutable: threads share it.
class Executable {
public:
  /// Called once for each kernel when a model is created. `index` is what
  /// launch takes; the kernel is the code's symbol `name`.
  virtual Status bindKernel(uint32_t index, const char *name) = 0;

  /// Runs a kernel to its end. Returns how many threads it was offered to.
  virtual uint32_t launch(uint32_t kernel, const LaunchArgs &args) const = 0;

  virtual void destroy() = 0;

protected:
  ~Executable() = default;
};

/// One kind of device.
struct DeviceType {
  const char *name;   ///< in lathe_model_options_t, "cpu"
  const char *target; ///< in the bundle's variants, "x86"
  /// Does this machine have the feature a variant asks for?
  bool (*hasFeature)(const char *feature);
  /// Makes the features of a variant that was chosen usable.
  Status (*enableFeature)(const char *feature);
  /// Loads a code segment, for runs by `numThreads` threads (0: all).
  Status (*load)(const Allocator &allocator, Span<const uint8_t> code,
                 size_t numKernels, uint32_t numThreads,
                 Executable **executable);
  /// What num_threads 0 stands for.
  uint32_t (*defaultThreads)();
};

/// All devices of this library, the preferred first.
Span<const DeviceType *const> deviceTypes();

/// The device that runs a bundle's target, or NULL.
const DeviceType *findDeviceForTarget(const char *target);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_DEVICE_DEVICE_H
