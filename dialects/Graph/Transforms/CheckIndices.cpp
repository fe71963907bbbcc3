// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-check-indices
//
//   %e = graph.gather %table, %ids axis 0       %table: [30522, 384]
// becomes
//   %c = graph.builtin "check_indices" (%ids, %sizes)    %sizes: 30522
//   %e = graph.gather %table, %c axis 0
//
// where %ids may lie outside of the table. A kernel has no way to fail; the
// host looks through the indices before it starts.

#include "dialects/Graph/IR/GraphBuilder.h"
#include "dialects/Graph/Transforms/IndexRanges.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace lathe::graph {
#define GEN_PASS_DEF_CHECKINDICESPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// The sizes of the dims that the indices of `op` address: one, or one for each
/// part of a tuple. None if `op` takes no indices.
static Dims getIndexedSizes(ShapeAnalysis &shapes, Operation *op) {
  auto along = [&](auto op) -> Dims {
    return {shapes.getDims(op.getInput())[op.getAxis()]};
  };
  auto tuple = [&](auto op, int64_t batch) -> Dims {
    Dims sizes(shapes.getDims(op.getInput()));
    AffineExpr length = shapes.getDims(op.getIndices()).back();
    int64_t count = cast<AffineConstantExpr>(length).getValue();
    return Dims(ArrayRef(sizes).slice(batch, count));
  };
  return llvm::TypeSwitch<Operation *, Dims>(op)
      .Case<GatherOp, GatherElementsOp, ScatterElementsOp>(along)
      .Case([&](GatherNdOp op) { return tuple(op, op.getBatchDims()); })
      .Case([&](ScatterNdOp op) { return tuple(op, 0); })
      .Default([](Operation *) { return Dims(); });
}

/// `sizes` as a 1-D tensor: a constant, if they are known now.
static Value getLimits(GraphBuilder &b, ArrayRef<AffineExpr> sizes) {
  SmallVector<int64_t> known = toStaticShape(sizes);
  if (!llvm::is_contained(known, ShapedType::kDynamic))
    return b.integers(known);
  SmallVector<Value> parts;
  for (AffineExpr size : sizes)
    parts.push_back(b.reshape(b.sizeValue(size), b.sizes({1})));
  return parts.size() == 1 ? parts.front() : b.concat(parts, 0);
}

/// `indices` behind the check. An error at run time names the node of `b`.
static Value check(GraphBuilder &b, Value indices, ArrayRef<AffineExpr> sizes) {
  auto type = cast<RankedTensorType>(indices.getType());
  return b.builtin("check_indices", {indices, getLimits(b, sizes)}, {}, type,
                   b.getDims(indices))[0];
}

namespace {
struct CheckIndicesPass
    : lathe::graph::impl::CheckIndicesPassBase<CheckIndicesPass> {
  using Base::Base;

  void runOnOperation() override {
    std::optional<IndexRanges> ranges;
    bool hasFailed = false;
    auto visit = [&](ShapeAnalysis &shapes, Operation *op) {
      if (!ranges)
        ranges.emplace(shapes);
      // In the order of the block, so that no walk back is long.
      if (!isa<ConstantOp>(op))
        for (Value result : op->getResults())
          ranges->get(result);
      Dims sizes = getIndexedSizes(shapes, op);
      if (sizes.empty() || op->hasAttr(kInRangeAttr))
        return Value();
      Value indices = op->getOperand(1);
      if (llvm::all_of(sizes, [&](AffineExpr size) {
            return ranges->areInside(indices, size);
          })) {
        ++numProven;
        return Value();
      }
      GraphBuilder b(op, shapes);
      Value checked = check(b, indices, sizes);
      hasFailed |= b.hasFailed();
      if (checked)
        op->setOperand(1, checked);
      ++numChecked;
      return Value();
    };
    if (failed(rewriteOps(getOperation(), visit)) || hasFailed)
      signalPassFailure();
  }
};
} // namespace
