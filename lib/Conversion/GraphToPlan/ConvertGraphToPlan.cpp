// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// func.func @main(%x: tensor<?x384xf32>, ...)     plan.program @main ... {
//   %y = graph.group contract (%a = %x, ...)  ->    %w = plan.constant ...
//   ...                                             %y = plan.alloc ...
//                                                   plan.launch [@linear ...]
//                                                 tile.kernel @linear(...)

#include "lib/Conversion/GraphToPlan/Passes.h"
#include "lib/Conversion/GraphToPlan/ProgramBuilder.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace lathe {
#define GEN_PASS_DEF_CONVERTGRAPHTOPLANPASS
#include "lib/Conversion/GraphToPlan/Passes.h.inc"
} // namespace lathe

using namespace mlir;
using namespace lathe;

/// Converts all functions; those that were converted are erased at the end, so
/// that an error leaves the input readable.
static LogicalResult convertModule(ModuleOp module,
                                   const kernels::Capability &capability,
                                   const kernels::Schedules &schedules,
                                   bool emitRemarks) {
  kernels::KernelCache cache(module);
  auto strategies = kernels::createStrategies();
  SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
  bool isComplete = true;
  for (func::FuncOp function : functions) {
    if (function.isDeclaration())
      continue;
    isComplete &= succeeded(ProgramBuilder(function, capability, schedules,
                                           strategies, cache, emitRemarks)
                                .build());
  }
  if (!isComplete)
    return failure();
  for (func::FuncOp function : functions)
    function.erase();
  return success();
}

namespace {
struct ConvertGraphToPlanPass
    : lathe::impl::ConvertGraphToPlanPassBase<ConvertGraphToPlanPass> {
  using Base::Base;
  ConvertGraphToPlanPass(const kernels::Capability &machine,
                         const kernels::Schedules &schedules, bool remarks)
      : machine(machine), schedules(schedules) {
    emitRemarks = remarks;
  }
  ConvertGraphToPlanPass(const ConvertGraphToPlanPass &other) = default;

  void runOnOperation() override {
    std::optional<kernels::Capability> chosen = machine;
    if (!chosen)
      chosen = kernels::Capability::getPreset(capability);
    if (!chosen) {
      getOperation().emitError("unknown capability '")
          << capability << "'; known are avx2, avx512, amx and gpu";
      return signalPassFailure();
    }
    kernels::Schedules wanted =
        allSchedules ? kernels::Schedules::getAll() : schedules;
    wanted.setPlainSums(plainSums || schedules.hasPlainSums());
    if (failed(convertModule(getOperation(), *chosen, wanted, emitRemarks)))
      signalPassFailure();
  }

  std::optional<kernels::Capability> machine;
  kernels::Schedules schedules;
};
} // namespace

std::unique_ptr<Pass>
lathe::createConvertGraphToPlanPass(const kernels::Capability &capability,
                                    const kernels::Schedules &schedules,
                                    bool emitRemarks) {
  return std::make_unique<ConvertGraphToPlanPass>(capability, schedules,
                                                  emitRemarks);
}
