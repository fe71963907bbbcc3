// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Floats of 8 bits, f8E4M3FN and f8E5M2 (arXiv 2209.05433), for targets without
// instructions that convert them: by integer arithmetic, without subnormal
// f32, which a processor may be told to take for zero.

#ifndef LATHE_LIB_TARGET_FLOAT8_H
#define LATHE_LIB_TARGET_FLOAT8_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace lathe {

/// Whether elements are of one of the two.
bool isFloat8(mlir::Type element);

/// `x`, a number or a vector of them, in f32: exact.
mlir::Value widenFloat8(mlir::ImplicitLocOpBuilder &builder, mlir::Value x);

/// `x`, f32 or a vector of it, rounded to nearest even. What is too large
/// becomes infinite, or NaN where there is no infinity.
mlir::Value roundToFloat8(mlir::ImplicitLocOpBuilder &builder, mlir::Value x,
                          mlir::Type element);

} // namespace lathe

#endif // LATHE_LIB_TARGET_FLOAT8_H
