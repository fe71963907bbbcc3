// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stage 3: groups to kernels and a plan, shaped for one kind of machine.

#include "dialects/Graph/Transforms/Passes.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "lib/Conversion/GraphToPlan/Passes.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace lathe;

/// What strategies may know of a target, which they do not include.
static kernels::Capability
getCapability(const TargetCapabilities &capabilities) {
  kernels::Capability capability;
  capability.vectorBytes = capabilities.vectorBits / 8;
  capability.vectorRegisters = capabilities.vectorRegisters;
  capability.l1Bytes = capabilities.l1Bytes;
  capability.l2Bytes = capabilities.l2Bytes;
  capability.scratchBytes = capabilities.scratchBytes;
  capability.int8Dot = capabilities.int8Dot;
  capability.bf16Dot = capabilities.bf16Dot;
  capability.matrixUnit = capabilities.matrixUnit;
  if (capabilities.threads) {
    capability.kind = kernels::Capability::Kind::Gpu;
    capability.unitRows = capabilities.unitRows;
    capability.processors = capabilities.processors;
    capability.sharedBytes = capabilities.sharedBytes;
  }
  return capability;
}

void lathe::buildKernelsPipeline(OpPassManager &passes,
                                 const TargetCapabilities &capabilities,
                                 const kernels::Schedules &schedules) {
  kernels::Capability capability = getCapability(capabilities);
  // Tiles are loaded row by row, sixteen at once.
  if (capability.matrixUnit &&
      capability.kind == kernels::Capability::Kind::Cpu)
    passes.addNestedPass<func::FuncOp>(graph::createPitchRowsPass());
  // Rows stay in registers, and kernels wait for memory.
  if (capability.kind == kernels::Capability::Kind::Gpu)
    passes.addNestedPass<func::FuncOp>(graph::createJoinNormsPass());
  passes.addPass(createConvertGraphToPlanPass(capability, schedules,
                                              /*emitRemarks=*/true));
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  // After it, which makes equal views of a buffer one.
  passes.addNestedPass<plan::ProgramOp>(plan::createShareLaunchesPass());
}
