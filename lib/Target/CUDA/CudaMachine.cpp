// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/CudaMachine.h"
#include "lib/Target/CUDA/Layouts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace lathe::cuda;

static Value getWord(ImplicitLocOpBuilder &b, int64_t number) {
  return arith::ConstantOp::create(
      b, b.getI32IntegerAttr(static_cast<int32_t>(number)));
}

int64_t CudaMachine::getLanes() const { return kWarpSize; }

Value CudaMachine::getThread(Builder &b) const {
  return NVVM::ThreadIdXOp::create(b, b.getI32Type());
}

void CudaMachine::meet(Builder &b) const { NVVM::Barrier0Op::create(b); }

void CudaMachine::meet(Builder &b, Value barrier, int64_t threads) const {
  NVVM::BarrierOp::create(b, Type(), barrier, getWord(b, threads), nullptr,
                          Value());
}

Value CudaMachine::shuffle(Builder &b, Value word, int64_t lanes) const {
  return NVVM::ShflOp::create(b, b.getI32Type(), getWord(b, -1), word,
                              getWord(b, lanes), getWord(b, kWarpSize - 1),
                              NVVM::ShflKind::bfly, UnitAttr());
}

void CudaMachine::copy(Builder &b, Value to, Value from, Value bytes) const {
  constexpr uint32_t size = 16;
  NVVM::CpAsyncOp::create(b, to, from, size, NVVM::LoadCacheModifierKind::CG,
                          bytes);
}

void CudaMachine::endGroup(Builder &b) const {
  NVVM::CpAsyncCommitGroupOp::create(b);
}

void CudaMachine::waitGroups(Builder &b, int64_t pending) const {
  NVVM::CpAsyncWaitGroupOp::create(b, uint32_t(pending));
}
