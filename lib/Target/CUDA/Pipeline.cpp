// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops whose tiles are on their way while earlier ones are multiplied. What a
// loop loads for products alone goes, without registers, to one of `stages`
// slots of shared memory (cp.async), `stages` - 1 steps ahead:
//
//   copy the first stages - 1 steps, a group each
//   for each step:
//     wait until its group is there; barrier
//     copy the step that is stages - 1 ahead, to the slot of the step before
//     multiply from the slot of this step
//
// One barrier a step: it says that all threads' copies of this step are there,
// and that the slot of the step before is free. A group without copies stands
// for a step beyond the end.

#include "lib/Target/CUDA/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// Whether it is computed of scalars, wherever it is asked for: positions to
/// gather from.
static bool isOfScalars(Operation *op) {
  return isElementwise(op) ||
         isa<tile::SplatOp, tile::IotaOp, tile::BroadcastOp>(op);
}

/// Adds what of the loop's body `value` follows from to `ops`: scalars, views,
/// tiles of scalars. False where that is more than the loop's counter.
static bool collect(scf::ForOp loop, Value value,
                    llvm::SetVector<Operation *> &ops) {
  if (loop.isDefinedOutsideOfLoop(value) || value == loop.getInductionVar())
    return true;
  Operation *op = value.getDefiningOp();
  if (!op || op->getBlock() != loop.getBody() || op->getNumRegions() ||
      !(isOfScalars(op) || isa<tile::ViewOp, tile::LoadScalarOp>(op)))
    return false;
  for (Value operand : op->getOperands())
    if (!collect(loop, operand, ops))
      return false;
  ops.insert(op);
  return true;
}

/// Whether the load serves products of tensor cores alone, as it is.
static bool isForProducts(tile::LoadOp op) {
  return !op->use_empty() && llvm::all_of(op->getUses(), [](OpOperand &use) {
    auto mma = dyn_cast<tile::MmaOp>(use.getOwner());
    if (!mma || use.getOperandNumber() > 1)
      return false;
    auto kind = getMatrixKind(mma);
    unsigned kDim = 1 - use.getOperandNumber();
    return kind && typeOf(use.get()).getDimSize(kDim) % kind->getDepth() == 0;
  });
}

/// The tile's dim that is contiguous in memory, if it is filled by chunks of 16
/// bytes that `ldmatrix` can read.
static std::optional<unsigned> getChunkDim(tile::LoadOp op) {
  RankedTensorType type = op.getType();
  auto view = op.getView().getDefiningOp<tile::ViewOp>();
  int64_t chunk = kAccessBytes / getMemoryBytes(type.getElementType());
  auto pad = dyn_cast_or_null<FloatAttr>(op.getPadAttr());
  if (type.getRank() != 2 || (pad && !pad.getValue().isZero()))
    return std::nullopt;
  for (auto [t, dim] : llvm::enumerate(op.getDims()))
    if (dim >= 0 && !(op.getGather() && op.getGatherDim() == t) &&
        view.getStaticStrides()[dim] == 1 &&
        llvm::count(op.getDims(), dim) == 1 && type.getDimSize(t) % chunk == 0)
      return t;
  return std::nullopt;
}

std::optional<Ring> Emitter::createRing(scf::ForOp op) {
  Ring ring;
  ring.stages = kernel.getSchedule().getStages();
  if (ring.stages < 2 || !op.getInductionVar().getType().isIndex())
    return std::nullopt;
  llvm::SetVector<Operation *> positions;
  int64_t top = scopes.back().top;
  for (auto load : op.getBody()->getOps<tile::LoadOp>()) {
    auto view = load.getView().getDefiningOp<tile::ViewOp>();
    std::optional<unsigned> inner = getChunkDim(load);
    llvm::SetVector<Operation *> its = positions;
    if (!inner || !isForProducts(load) ||
        orderedBuffers.contains(view.getBuffer()) ||
        !llvm::all_of(load->getOperands(),
                      [&](Value operand) { return collect(op, operand, its); }))
      continue;
    positions = its;
    ring.loads.push_back(load);
    ring.homes.push_back(
        createMatrixHome(load.getType(), {1 - *inner, *inner}, 0, 1));
  }
  if (ring.loads.empty())
    return std::nullopt;
  ring.slotBytes = scopes.back().top - top;
  ring.stages = std::min(ring.stages, (sharedLimit - top) / ring.slotBytes);
  if (ring.stages < 2) {
    scopes.back().top = top;
    return std::nullopt;
  }
  // In the order in which they stand, whichever load asked for them.
  for (Operation &its : *op.getBody())
    if (positions.contains(&its))
      ring.positions.push_back(&its);
  allocate((ring.stages - 1) * ring.slotBytes);
  return ring;
}

/// Starts the copies of the step at `induction`, if there is one.
void Emitter::copyStep(scf::ForOp op, const Ring &ring, Value induction,
                       Value slot) {
  bool reads = pendingReads, writes = pendingWrites;
  Value exists = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, induction,
                                       ring.upper);
  {
    auto branch = scf::IfOp::create(b, exists);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    RegionScope scope(*this);
    pendingReads = false; // The slot is free.
    mapping.map(op.getInductionVar(), induction);
    for (Operation *position : ring.positions)
      (void)emitOp(position);
    for (auto [load, home] : llvm::zip_equal(ring.loads, ring.homes)) {
      Home its = home;
      its.base = slot;
      copyTile(load, its);
    }
  }
  machine.endGroup(b);
  pendingReads = reads, pendingWrites = writes;
}

/// Before the loop; the slots that its first step reads from and copies to.
SmallVector<Value> Emitter::startRing(scf::ForOp op, const Ring &ring,
                                      Value lower) {
  beforeWrite();
  for (int64_t stage = 0; stage + 1 < ring.stages; ++stage) {
    Coord ahead = mul({ring.step, 0}, {{}, stage});
    copyStep(op, ring, indexValue(add({lower, 0}, ahead)),
             index(stage * ring.slotBytes));
  }
  return {index(0), index((ring.stages - 1) * ring.slotBytes)};
}

/// At the beginning of a step; the slots of the next one.
SmallVector<Value> Emitter::advanceRing(scf::ForOp op, const Ring &ring,
                                        Value induction, ValueRange slots) {
  machine.waitGroups(b, ring.stages - 2);
  barrier();
  Coord ahead = mul({ring.step, 0}, {{}, ring.stages - 1});
  copyStep(op, ring, indexValue(add({induction, 0}, ahead)), slots[1]);
  for (auto [load, home] : llvm::zip_equal(ring.loads, ring.homes)) {
    Home its = home;
    its.base = slots[0];
    anchors[Value(tile::LoadOp(load))] = {LinearLayout(2), {}, its};
  }
  Value next = indexValue(add({slots[0], 0}, {{}, ring.slotBytes}));
  Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, next,
                                       index(ring.stages * ring.slotBytes));
  return {arith::SelectOp::create(b, isLast, index(0), next), slots[0]};
}
