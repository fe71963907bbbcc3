// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The window attributes that convolutions and pools share.

#ifndef LATHE_LIB_FRONTEND_ONNX_WINDOWS_H
#define LATHE_LIB_FRONTEND_ONNX_WINDOWS_H

#include "lib/Frontend/Onnx/NodeImporter.h"

namespace lathe::onnx {

/// Strides, dilations and pads, one entry per spatial dim; pads are all lows,
/// then all highs, as graph ops have them. `auto_pad` is resolved.
struct Window {
  llvm::SmallVector<int64_t> kernel, strides, dilations, pads;
};

/// Reads the attributes for an `input` of `[N, C, spatial...]`. `kernel` is
/// what the weight says; empty takes `kernel_shape`. Nothing (and recorded)
/// when they are wrong, or when SAME padding needs a size that is not known
/// at compile time.
std::optional<Window> getWindow(NodeImporter &node, Value input,
                                llvm::ArrayRef<int64_t> kernel);

/// The convolution of `x` with `weight` as the node's attributes say; no bias.
/// Null (and recorded) when they are wrong.
Value buildConv(NodeImporter &node, Value x, Value weight);

} // namespace lathe::onnx

#endif // LATHE_LIB_FRONTEND_ONNX_WINDOWS_H
