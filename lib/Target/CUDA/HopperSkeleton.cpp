// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/HopperSkeleton.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

bool cuda::isLoopOfProducts(scf::ForOp loop, std::string &reason) {
  auto refuse = [&](StringRef why) {
    reason = why.str();
    return false;
  };
  if (!isa<tile::KernelOp>(loop->getParentOp()))
    return refuse("the loop over k stands in another loop or branch");
  if (loop.getNumRegionIterArgs() != 1 ||
      !matchPattern(loop.getInitArgs()[0], m_AnyZeroFloat()))
    return refuse("the loop over k carries more than sums from zero on");
  for (Operation &op : loop.getBody()->without_terminator())
    if (!isa<tile::MmaOp>(op) && !isAnywhere(op))
      return refuse("the loop over k does more than to multiply");
  for (Operation &op : *loop->getBlock()) {
    if (&op == loop)
      break;
    if (!isAnywhere(op))
      return refuse("the kernel computes tiles before the loop over k");
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

scf::ForOp HopperSkeleton::emitLoop(Value from, Value to,
                                    ArrayRef<Value> carried, LoopBody body,
                                    int64_t step) {
  auto loop = scf::ForOp::create(b, from, to, h.constant(step), carried);
  OpBuilder::InsertionGuard guard(b);
  if (carried.empty()) {
    b.setInsertionPoint(loop.getBody()->getTerminator());
    body(loop.getInductionVar(), {});
    return loop;
  }
  b.setInsertionPointToEnd(loop.getBody());
  Values next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  scf::YieldOp::create(b, next);
  return loop;
}

void HopperSkeleton::mapArguments(Emitter &emitter) {
  emitter.getMapping().map(kernel.getBody().getArguments(), arguments);
}

void HopperSkeleton::mapPosition(Emitter &emitter, Value x, Value y, Value z) {
  Value axes[] = {toIndex(x), toIndex(y), toIndex(z)};
  kernel.walk([&](tile::ProgramIdOp op) {
    emitter.getMapping().map(op.getResult(), axes[op.getAxis()]);
  });
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

Value HopperSkeleton::div(Value x, Value y) {
  return arith::DivUIOp::create(b, x, y);
}

Value HopperSkeleton::rem(Value x, Value y) {
  return arith::RemUIOp::create(b, x, y);
}

Value HopperSkeleton::mul(Value x, Value y) {
  return arith::MulIOp::create(b, x, y);
}

Value HopperSkeleton::sub(Value x, Value y) {
  return arith::SubIOp::create(b, x, y);
}

Value HopperSkeleton::isEqual(Value x, int64_t y) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, h.constant(y));
}

Value HopperSkeleton::truncate(Value wide) {
  return arith::TruncIOp::create(b, b.getI32Type(), wide);
}

Value HopperSkeleton::toIndex(Value number) {
  return arith::IndexCastUIOp::create(b, b.getIndexType(), number);
}
