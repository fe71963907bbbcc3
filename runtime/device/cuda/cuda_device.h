// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device "cuda": an NVIDIA GPU through its driver.
//
// The contract with lib/Target/CUDA. A code segment is a cubin (ELF) or PTX
// text; cubins run on devices of their own major capability only (the driver
// says "no kernel image is available"), so a variant for 8.0 and all later ones
// is PTX. A kernel has one parameter of 64 bits for each buffer, what it reads
// and then what it writes: its address in the device's memory; then one signed
// integer of 64 bits for each scalar; then three for the grid, if Kernel.grid
// says that it is given; then a tensor map of 128 bytes, at a multiple of 64,
// for each of Kernel.maps. One program is one thread block of Kernel.threads
// threads in x, with Kernel.shared bytes of dynamic shared memory; its id is
// the block's, except that
//
//   - a kernel that is given its grid of X * Y * Z programs must take a launch
//     of other numbers in y or z than Y and Z as one along x, whose block i is
//     the program (i % X, i / X % Y, i / (X * Y)), and do nothing in blocks
//     beyond the grid, which there are where clusters round it up;
//   - a persistent one does the work of all X * Y * Z programs with as many
//     blocks along x as it is given.
//
// A kernel with Kernel.overlaps is launched while those before it may be
// running, and begins with griddepcontrol.wait, after which they are done.
//
// Copies by a tensor map read zeros outside of its sizes. One of whose sizes is
// 0 is all zeros, and must not be used. i1 elements are bytes 0 or 1. Inputs,
// outputs, constants and transients begin at multiples of 16 bytes, and aliases
// in them at multiples of their element's size.

#ifndef LATHE_RUNTIME_DEVICE_CUDA_CUDA_DEVICE_H
#define LATHE_RUNTIME_DEVICE_CUDA_CUDA_DEVICE_H

#include "runtime/device/cuda/driver.h"
#include "runtime/device/device.h"

namespace lathe::rt {

extern const DeviceType cudaDevice;

namespace cuda {

/// A driver and the context that a model uses it through.
struct Gpu {
  LoadedDriver driver;
  GpuContext context = nullptr;
  int device = 0;
  int major = 0; ///< of its compute capability
  int64_t maxGrid[3] = {};
  int processors = 0;
  bool hasPools = false; ///< memory can be had in the order of a stream
};

/// Makes the GPU's context current for as long as it lives, unless it is. The
/// host program finds its own again.
class Current {
public:
  explicit Current(const Gpu &gpu);
  Current(const Current &) = delete;
  Current &operator=(const Current &) = delete;
  ~Current();
  Status status() const;

private:
  const Gpu &gpu;
  bool isPushed;
  int result = success;
};

Status createQueue(const Allocator &allocator, const Gpu &gpu, Queue **queue);
/// The stream behind a queue of this device.
Stream streamOf(const Queue &queue);

Status loadCode(const Allocator &allocator, const Gpu &gpu,
                Span<const uint8_t> code, size_t numKernels,
                Executable **executable);

} // namespace cuda
} // namespace lathe::rt

#endif // LATHE_RUNTIME_DEVICE_CUDA_CUDA_DEVICE_H
