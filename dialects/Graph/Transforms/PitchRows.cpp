// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-pitch-rows
//
//   %y = graph.group contract (...) -> tensor<?x1536xbf16> { ... yield %1 }
//   %z = graph.group contract (%a = %y) -> ... { contract %a ... }
// becomes
//   %y = graph.group contract (...) -> tensor<?x1568xbf16> {
//     ... %2 = graph.pitch %1 to 1568   yield %2 }
//   %z = graph.group contract (%a = %y) -> ... {
//     %0 = graph.slice %a ... size (s0, 1536)   contract %0 ... }

#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"

namespace lathe::graph {
#define GEN_PASS_DEF_PITCHROWSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

static constexpr int64_t kLineBytes = 64;
/// Shorter rows share sets with few others, and would grow by much.
static constexpr int64_t kFewLines = 8;

/// Elements from one row of `value` to the next; nothing if they may lie as
/// they are.
static std::optional<int64_t> getPitch(OpResult value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getRank() < 2 || type.isDynamicDim(type.getRank() - 1) ||
      !isa<Float16Type, BFloat16Type>(type.getElementType()))
    return std::nullopt;
  int64_t length = type.getShape().back();
  int64_t line = kLineBytes / (type.getElementTypeBitWidth() / 8);
  if (length % (2 * line) != 0 || length < kFewLines * line)
    return std::nullopt;
  return length + line;
}

/// Whether a group writes its results at strides that it is told, which those
/// without a root do not.
static bool writesStrided(GroupOp group) {
  return isa_and_nonnull<ContractOp, MatmulOp, AttentionOp, LayerNormOp,
                         RmsNormOp>(group.getRoot());
}

static bool isReadByGroups(Value value) {
  return !value.use_empty() &&
         llvm::all_of(value.getUsers(),
                      [](Operation *op) { return isa<GroupOp>(op); });
}

static RankedTensorType withRows(Value value, int64_t length) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = length;
  return type.clone(shape);
}

/// The last step of the group that writes `value` pitches it.
static void pitchResult(GroupOp group, OpResult value, int64_t length) {
  YieldOp yield = group.getYield();
  OpOperand &yielded = yield->getOpOperand(value.getResultNumber());
  OpBuilder builder(yield);
  yielded.set(PitchOp::create(builder, yield.getLoc(),
                              withRows(yielded.get(), length), yielded.get(),
                              length));
  value.setType(yielded.get().getType());
}

/// The first step of a group that reads it takes its rows. `sizes` are those of
/// the tensor without pitch.
static void sliceArgument(OpOperand &use, AffineMap sizes) {
  auto group = cast<GroupOp>(use.getOwner());
  BlockArgument argument = group.getBody().getArgument(use.getOperandNumber());
  Type type = argument.getType();
  argument.setType(use.get().getType());
  OpBuilder builder = OpBuilder::atBlockBegin(&group.getBody().front());
  SmallVector<AffineExpr> zeros(sizes.getNumResults(),
                                builder.getAffineConstantExpr(0));
  AffineMap starts =
      AffineMap::get(0, sizes.getNumSymbols(), zeros, builder.getContext());
  auto slice = SliceOp::create(builder, group.getLoc(), type, argument, starts,
                               sizes, SmallVector<int64_t>(zeros.size(), 1));
  argument.replaceAllUsesExcept(slice, slice);
}

namespace {
struct PitchRowsPass : lathe::graph::impl::PitchRowsPassBase<PitchRowsPass> {
  using Base::Base;

  void runOnOperation() override;
};
} // namespace

void PitchRowsPass::runOnOperation() {
  ShapeAnalysis shapes(getOperation());
  if (failed(shapes.run()))
    return signalPassFailure();
  for (GroupOp group : getOperation().getOps<GroupOp>())
    for (OpResult value : group.getResults()) {
      std::optional<int64_t> pitch = getPitch(value);
      if (!pitch || !writesStrided(group) || !isReadByGroups(value))
        continue;
      AffineMap sizes =
          getSizeMap(shapes, &getContext(), shapes.getDims(value));
      pitchResult(group, value, *pitch);
      for (OpOperand &use : value.getUses())
        sliceArgument(use, sizes);
      ++numPitched;
    }
}
