// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device "cuda": an NVIDIA GPU through its driver (runtime/device/gpu). Its
// code is lib/Target/CUDA's: cubins run on devices of their own major
// capability only (the driver says "no kernel image is available"), so a
// variant for 8.0 and all later ones is PTX. Kernels that overlap begin with
// griddepcontrol.wait.

#ifndef LATHE_RUNTIME_DEVICE_CUDA_CUDA_DEVICE_H
#define LATHE_RUNTIME_DEVICE_CUDA_CUDA_DEVICE_H

#include "runtime/device/device.h"

namespace lathe::rt {
extern const DeviceType cudaDevice;
} // namespace lathe::rt

#endif // LATHE_RUNTIME_DEVICE_CUDA_CUDA_DEVICE_H
