// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/Interleave.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

static constexpr unsigned kFewest = 2, kMost = 8;

/// Whether ops that write nothing may change places with `op`.
static bool isMovable(Operation *op) {
  if (op->getNumRegions() || op->hasTrait<OpTrait::IsTerminator>())
    return false;
  // Instructions on registers.
  if (auto call = dyn_cast<LLVM::CallIntrinsicOp>(op))
    return call.getIntrin().starts_with("llvm.x86.avx") &&
           call->getNumResults() == 1;
  if (isMemoryEffectFree(op))
    return true;
  auto effects = dyn_cast<MemoryEffectOpInterface>(op);
  return effects && effects.onlyHasEffect<MemoryEffects::Read>();
}

/// Reorders `run`, which ends where `end` begins.
static void interleave(ArrayRef<Operation *> run, Operation *end) {
  llvm::DenseMap<Operation *, unsigned> depths;
  SmallVector<std::tuple<unsigned, unsigned, Operation *>> order;
  for (Operation *op : run) {
    unsigned depth = 0;
    for (Value operand : op->getOperands())
      if (auto found = depths.find(operand.getDefiningOp());
          found != depths.end())
        depth = std::max(depth, found->second + 1);
    depths[op] = depth;
    order.emplace_back(depth, order.size(), op);
  }
  llvm::sort(order);
  for (auto [depth, place, op] : order)
    op->moveBefore(end);
}

void lathe::x86::interleaveChains(Block &block,
                                  const llvm::DenseSet<Operation *> &results) {
  SmallVector<Operation *> run;
  unsigned chains = 0;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (isMovable(&op)) {
      run.push_back(&op);
      chains += results.contains(&op);
      continue;
    }
    if (chains >= kFewest && chains <= kMost)
      interleave(run, &op);
    run.clear();
    chains = 0;
  }
}
