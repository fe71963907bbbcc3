// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_PLAN_TRANSFORMS_PASSES_TD
#define LATHE_DIALECTS_PLAN_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def ShareLaunchesPass
    : Pass<"plan-share-launches", "::lathe::plan::ProgramOp"> {
  let summary = "Compute once what several launches compute alike";
  let description = [{
    Kernels prepare operands for each group on its own: they quantize the rows
    of an input, or write a matrix in panels. Where groups share an operand, as
    query, key and value do, these launches are equal: the same kernels and
    scalars on the same buffers. Later ones go, and what read their buffers
    reads those of the first one.

    Only launches whose results nothing else writes, and that read what is
    written once, are shared.

    Numeric contract: exact.
  }];
  let statistics = [Statistic<"numShared", "shared", "launches that went">];
}

#endif // LATHE_DIALECTS_PLAN_TRANSFORMS_PASSES_TD
