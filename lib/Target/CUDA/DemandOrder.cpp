// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/DemandOrder.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

/// The op of the block that uses `op` first, itself or within a region.
static Operation *getFirstUser(Operation *op) {
  Operation *first = nullptr;
  for (Operation *user : op->getUsers()) {
    Operation *own = op->getBlock()->findAncestorOpInBlock(*user);
    if (!own)
      return nullptr;
    if (!first || own->isBeforeInBlock(first))
      first = own;
  }
  return first;
}

/// Whether memory that the kernel does not write is read: a buffer of its
/// arguments, or zeros in its place; or so it is marked.
static bool isConstantLoad(Operation *op) {
  auto load = dyn_cast<LLVM::LoadOp>(op);
  if (!load || load->hasAttr(lathe::cuda::kUnchangedAttr))
    return bool(load);
  Value pointer = load.getAddr();
  while (Operation *from = pointer.getDefiningOp()) {
    if (!isa<LLVM::GEPOp, LLVM::SelectOp>(from))
      return false;
    pointer = from->getOperand(isa<LLVM::SelectOp>(from) ? 1 : 0);
  }
  auto argument = cast<BlockArgument>(pointer);
  auto function =
      dyn_cast<LLVM::LLVMFuncOp>(argument.getOwner()->getParentOp());
  return function && argument.getOwner()->isEntryBlock() &&
         function.getArgAttr(argument.getArgNumber(), "llvm.readonly");
}

void lathe::cuda::computeOnDemand(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (op.getNumRegions() == 0 && (isPure(&op) || isConstantLoad(&op)))
      if (Operation *user = getFirstUser(&op))
        op.moveBefore(user);
}
