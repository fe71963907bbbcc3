// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensor maps of a launch, from what the bundle says of them.

#ifndef LATHE_RUNTIME_DEVICE_GPU_TENSOR_MAP_H
#define LATHE_RUNTIME_DEVICE_GPU_TENSOR_MAP_H

#include "runtime/device/gpu/gpu_device.h"

namespace lathe::rt::gpu {

/// Encodes `map` for a launch with these arguments. The map has been verified;
/// what only the launch decides is checked here: that it stays in its buffer,
/// and the alignment that the copy engine wants. It depends on nothing but
/// addresses, sizes and scalars, so that a recording of the launch holds it.
Status encodeMap(const LoadedDriver &driver, const bundle::TensorMap &map,
                 const LaunchArgs &args, EncodedMap &encoded);

} // namespace lathe::rt::gpu

#endif // LATHE_RUNTIME_DEVICE_GPU_TENSOR_MAP_H
