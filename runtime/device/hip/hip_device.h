// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device "hip": an AMD GPU through ROCm's HIP (runtime/device/gpu). It runs
// variants for "rocm": code objects, each for one architecture by its exact
// name ("gfx942"), whichever of the features behind the colons of a device's
// full name ("gfx942:sramecc+:xnack-") are on.

#ifndef LATHE_RUNTIME_DEVICE_HIP_HIP_DEVICE_H
#define LATHE_RUNTIME_DEVICE_HIP_HIP_DEVICE_H

#include "runtime/device/device.h"

namespace lathe::rt {
extern const DeviceType hipDevice;
} // namespace lathe::rt

#endif // LATHE_RUNTIME_DEVICE_HIP_HIP_DEVICE_H
