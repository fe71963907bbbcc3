// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/HopperRing.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

RingPosition CopyRing::getPosition(Value turn) const {
  HopperEmitter h(*b);
  Value stages = h.constant(place.stages);
  Value round = arith::DivUIOp::create(*b, turn, stages);
  return {arith::RemUIOp::create(*b, turn, stages),
          arith::AndIOp::create(*b, round, h.constant(1))};
}

Value CopyRing::getBarrier(Value stage, bool isFull) const {
  HopperEmitter h(*b);
  int64_t first = place.barriers + (isFull ? place.stages * kBarrierBytes : 0);
  return h.getAddress(h.getAddress(shared, first), h.mul(stage, kBarrierBytes));
}

void CopyRing::init(int64_t readers) const {
  HopperEmitter h(*b);
  for (int64_t stage = 0; stage < place.stages; ++stage) {
    h.initBarrier(getBarrier(h.constant(stage), /*isFull=*/true), 1);
    h.initBarrier(getBarrier(h.constant(stage), /*isFull=*/false), readers);
  }
}

Value CopyRing::getOffset(Value turn) const {
  return HopperEmitter(*b).mul(getPosition(turn).stage, place.stageBytes);
}

Value CopyRing::getAddress(Value turn) const {
  HopperEmitter h(*b);
  return h.getAddress(h.getAddress(shared, place.first), getOffset(turn));
}

Value CopyRing::beginFill(Value turn) const {
  HopperEmitter h(*b);
  RingPosition at = getPosition(turn);
  // The first round finds all stages empty: the phase before the first one.
  h.waitBarrier(getBarrier(at.stage, /*isFull=*/false),
                arith::XOrIOp::create(*b, at.parity, h.constant(1)));
  Value full = getBarrier(at.stage, /*isFull=*/true);
  h.arriveExpecting(full, place.stageBytes);
  return full;
}

void CopyRing::waitFull(Value turn) const {
  RingPosition at = getPosition(turn);
  HopperEmitter(*b).waitBarrier(getBarrier(at.stage, /*isFull=*/true),
                                at.parity);
}

void CopyRing::free(Value turn) const {
  HopperEmitter(*b).arrive(getBarrier(getPosition(turn).stage, false));
}
