// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What other strategies take from `pointwise`.

#ifndef LATHE_KERNELS_POINTWISE_H
#define LATHE_KERNELS_POINTWISE_H

#include "lib/Kernels/Strategy.h"

namespace lathe::kernels {

/// A launch that stores `value`, a value of the group's body that is
/// elementwise or data movement, as result `result` of the group. They have the
/// same dims.
llvm::FailureOr<LaunchSpec> lowerCopy(graph::GroupOp group, mlir::Value value,
                                      unsigned result,
                                      LoweringContext &context);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_POINTWISE_H
