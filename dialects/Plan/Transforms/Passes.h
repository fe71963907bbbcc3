// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Passes on the plan dialect, which the kernels stage runs after groups have
// become launches. Passes.td documents each of them.

#ifndef LATHE_DIALECTS_PLAN_TRANSFORMS_PASSES_H
#define LATHE_DIALECTS_PLAN_TRANSFORMS_PASSES_H

#include "dialects/Plan/IR/Plan.h"
#include "mlir/Pass/Pass.h"

namespace lathe::plan {

#define GEN_PASS_DECL
#include "dialects/Plan/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "dialects/Plan/Transforms/Passes.h.inc"

} // namespace lathe::plan

#endif // LATHE_DIALECTS_PLAN_TRANSFORMS_PASSES_H
