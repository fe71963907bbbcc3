// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_CONVERSION_GRAPHTOPLAN_PASSES_TD
#define LATHE_CONVERSION_GRAPHTOPLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertGraphToPlanPass
    : Pass<"convert-graph-to-plan", "::mlir::ModuleOp"> {
  let summary = "Turn functions of graph ops into programs and kernels";
  let description = [{
    Every public `func.func` becomes a `plan.program`; every `graph.group` a
    `plan.launch` of the kernels that its strategy builds (`lib/Kernels`), which
    stand beside the program as `tile.kernel` ops, equal ones once. An op that
    is in no group becomes a group of its own. A view that moves nothing becomes
    a `plan.alias`, a constant that a kernel reads a `plan.constant`, what shape
    inference could not decide a `plan.check`.

    Where a strategy refuses a group of several ops, the group is taken apart,
    with a remark. An op that no strategy takes alone is an error at that op.

    Numeric contract: as `--graph-form-groups`; sums may be reordered. Without
    `plain-sums`, f32 convolutions of 3x3 and stride 1 may be filtered by
    Winograd's method, with a remark: beside f64 their largest error is 2e-6 of
    the largest output, 5 times that of a plain sum, and an input that is
    infinite, NaN or within a factor of a hundred of the largest float spoils
    all outputs of its tile of 4x4 or 2x2.
  }];
  let options = [
    Option<"capability", "capability", "std::string", "\"avx512\"",
           "The machine to shape kernels for: avx2, avx512, amx or gpu">,
    Option<"allSchedules", "all-schedules", "bool", "false",
           "Build every schedule that a strategy lists, for a tuner">,
    Option<"plainSums", "plain-sums", "bool", "false",
           "Compute convolutions as the sums that they are">,
    Option<"emitRemarks", "emit-remarks", "bool", "false",
           "Say which kernel each group became">
  ];
  let dependentDialects = [
    "::lathe::plan::PlanDialect", "::lathe::tile::TileDialect",
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect"
  ];
}

#endif // LATHE_CONVERSION_GRAPHTOPLAN_PASSES_TD
