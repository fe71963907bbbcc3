// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_CONVERSION_GRAPHTOPLAN_PASSES_H
#define LATHE_CONVERSION_GRAPHTOPLAN_PASSES_H

#include "lib/Kernels/Capability.h"
#include "lib/Kernels/Schedules.h"
#include "mlir/Pass/Pass.h"

namespace lathe {

#define GEN_PASS_DECL
#include "lib/Conversion/GraphToPlan/Passes.h.inc"

/// `--convert-graph-to-plan` for a machine that a target describes, with the
/// schedules that were asked for.
std::unique_ptr<mlir::Pass>
createConvertGraphToPlanPass(const kernels::Capability &capability,
                             const kernels::Schedules &schedules,
                             bool emitRemarks = false);

#define GEN_PASS_REGISTRATION
#include "lib/Conversion/GraphToPlan/Passes.h.inc"

} // namespace lathe

#endif // LATHE_CONVERSION_GRAPHTOPLAN_PASSES_H
