// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of weights as floats, whatever they are stored as: in memory, and in
// tiles of a kernel.

#ifndef LATHE_LIB_ENCODINGS_ELEMENTS_H
#define LATHE_LIB_ENCODINGS_ELEMENTS_H

#include "mlir/IR/Builders.h"

namespace lathe {

/// Whether the functions below know elements of this type: f32, f16, bf16.
bool isWeightElement(mlir::Type type);

/// The element of type `type` at `bytes`, which need not be aligned.
float loadElement(mlir::Type type, const char *bytes);

/// Writes `value` rounded to nearest even; beyond the range of f16, infinity.
void storeElement(mlir::Type type, float value, char *bytes);

/// Decodes a [k, n] tile of codes with [n] scales to `elementType`, in f32
/// until then.
mlir::Value decodeScaled(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::Value codes, mlir::Value scales,
                         mlir::Type elementType);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_ELEMENTS_H
