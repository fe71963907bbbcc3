// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A GPU through its vendor's driver: what devices "cuda" and "hip" share.
//
// The contract with the targets' code. A code segment is an ELF file of the
// vendor's (a cubin, a code object), or text that the driver assembles (PTX). A
// kernel has one parameter of 64 bits for each buffer, what it reads and then
// what it writes: its address in the device's memory; then one signed integer
// of 64 bits for each scalar; then three for the grid, if Kernel.grid says that
// it is given; then a tensor map of 128 bytes, at a multiple of 64, for each of
// Kernel.maps. One program is one thread block of Kernel.threads threads in x,
// with Kernel.shared bytes of dynamic shared memory; its id is the block's,
// except that
//
//   - a kernel that is given its grid of X * Y * Z programs must take a launch
//     of other numbers in y or z than Y and Z as one along x, whose block i is
//     the program (i % X, i / X % Y, i / (X * Y)), and do nothing in blocks
//     beyond the grid, which there are where clusters round it up;
//   - a persistent one does the work of all X * Y * Z programs with as many
//     blocks along x as it is given.
//
// A kernel with Kernel.overlaps is launched while those before it may be
// running, and waits by itself until they are done.
//
// Copies by a tensor map read zeros outside of its sizes. One of whose sizes is
// 0 is all zeros, and must not be used. i1 elements are bytes 0 or 1. Inputs,
// outputs, constants and transients begin at multiples of 16 bytes, and aliases
// in them at multiples of their element's size.

#ifndef LATHE_RUNTIME_DEVICE_GPU_GPU_DEVICE_H
#define LATHE_RUNTIME_DEVICE_GPU_GPU_DEVICE_H

#include "runtime/device/device.h"
#include "runtime/device/gpu/driver.h"

namespace lathe::rt::gpu {

/// A driver and the context that a model uses it through.
struct Gpu {
  LoadedDriver driver;
  GpuContext context = nullptr; ///< NULL: the driver has none
  int device = 0;
  int64_t maxGrid[3] = {};
  int processors = 0;
  bool hasPools = false; ///< memory can be had in the order of a stream
  bool hasClusters = false;
};

/// Makes the GPU's context, or the GPU, current for as long as it lives, unless
/// it is. The host program finds its own again.
class Current {
public:
  explicit Current(const Gpu &gpu);
  Current(const Current &) = delete;
  Current &operator=(const Current &) = delete;
  ~Current();
  Status status() const;

private:
  void makeDeviceCurrent();

  const Gpu &gpu;
  bool isChanged = false;
  int previous = 0; ///< the device that was current
  int result = success;
};

/// What a DeviceType is made of, for the devices of a vendor.
Status openDevice(const Vendor &vendor, const Allocator &allocator,
                  const DeviceOptions &options, Device **device);
Status countDevices(const Vendor &vendor, uint32_t *count);
Status describeDevice(const Vendor &vendor, uint32_t index,
                      lathe_device_info_t *info);

/// The devices of `vendor`, which run the bundle's variants for `target`.
template <const Vendor &vendor>
constexpr DeviceType makeDeviceType(const char *target) {
  return {vendor.device,
          target,
          vendor.memory,
          [](const Allocator &allocator, const DeviceOptions &options,
             Device **device) {
            return openDevice(vendor, allocator, options, device);
          },
          [](uint32_t *count) { return countDevices(vendor, count); },
          [](uint32_t index, lathe_device_info_t *info) {
            return describeDevice(vendor, index, info);
          }};
}

Status createQueue(const Allocator &allocator, const Gpu &gpu, Queue **queue);
/// The stream behind a queue of such a device.
Stream streamOf(const Queue &queue);

Status loadCode(const Allocator &allocator, const Gpu &gpu,
                Span<const uint8_t> code, size_t numKernels,
                Executable **executable);

} // namespace lathe::rt::gpu

#endif // LATHE_RUNTIME_DEVICE_GPU_GPU_DEVICE_H
