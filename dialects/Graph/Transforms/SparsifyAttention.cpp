// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-sparsify-attention="pattern=window:block=64,local=2,sink=1"
//
//   %o = graph.attention %q, %k, %v score(..) select(#graph.window<left = -1,
//          right = 0>)
// becomes
//   %o = graph.attention %q, %k, %v score(..) select(#graph.block_list<
//          block = 64, .., right = 0>)

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/Transforms/AttentionPattern.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"

namespace lathe::graph {
#define GEN_PASS_DEF_SPARSIFYATTENTIONPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// The number of heads and positions; nothing with a reason if they differ or
/// are not known.
static std::optional<MaskShape> getShape(AttentionOp op, ShapeAnalysis &shapes,
                                         std::string &reason) {
  auto sizeOf = [&](Value value, unsigned dim) -> std::optional<int64_t> {
    auto size = dyn_cast<AffineConstantExpr>(shapes.getDims(value)[dim]);
    return size ? std::optional(size.getValue()) : std::nullopt;
  };
  auto heads = sizeOf(op.getKey(), 1), queries = sizeOf(op.getQuery(), 2),
       keys = sizeOf(op.getKey(), 2);
  if (!heads || !queries || !keys) {
    reason = "the numbers of heads, queries and keys must be known (a named "
             "length can be held at a value: --specialize NAME=V)";
    return std::nullopt;
  }
  if (*queries != *keys) {
    reason = "there are " + std::to_string(*queries) + " queries and " +
             std::to_string(*keys) + " keys; a pattern needs as many";
    return std::nullopt;
  }
  if (*heads == 0 || *keys == 0) {
    reason = "it has no heads or no keys";
    return std::nullopt;
  }
  return MaskShape{*heads, *queries, *keys};
}

/// Most blocks that a pattern is asked about, listed or not.
static constexpr int64_t kMaxBlocks = int64_t(1) << 26;

/// Whether there are few enough blocks; a reason if not.
static bool isSmall(const MaskShape &shape, int64_t block,
                    std::string &reason) {
  int64_t rows = llvm::divideCeil(shape.queries, block);
  int64_t columns = llvm::divideCeil(shape.keys, block);
  if (rows <= kMaxBlocks / columns &&
      shape.heads <= kMaxBlocks / (rows * columns))
    return true;
  reason = "blocks of " + std::to_string(block) + " make " +
           std::to_string(shape.heads) + " x " + std::to_string(rows) + " x " +
           std::to_string(columns) + " of them; at most " +
           std::to_string(kMaxBlocks) + " are listed (choose a larger block)";
  return false;
}

/// The list that `pattern` makes of what `op` selects; null with a reason.
static BlockListAttr getList(AttentionOp op, const AttentionPattern &pattern,
                             ShapeAnalysis &shapes, std::string &reason) {
  auto shape = getShape(op, shapes, reason);
  if (!shape || !isSmall(*shape, pattern.block, reason))
    return nullptr;
  Attribute selection = op.getSelection();
  if (isa<BlockListAttr>(selection)) {
    reason = "it has a block list already";
    return nullptr;
  }
  int64_t left = -1, right = -1;
  if (auto window = dyn_cast<WindowAttr>(selection)) {
    left = window.getLeft();
    right = window.getRight();
  }
  bool isCausal = right == 0;
  return makeBlockList(
      op.getContext(), *shape, pattern.block,
      [&](int64_t head, int64_t row, int64_t column) {
        return pattern.isListed(head, shape->heads, row, column, isCausal);
      },
      left, right);
}

namespace {
struct SparsifyAttentionPass
    : lathe::graph::impl::SparsifyAttentionPassBase<SparsifyAttentionPass> {
  using Base::Base;

  void runOnOperation() override;
  /// Returns how many attentions took the pattern; `reason` is why the last
  /// other one did not.
  FailureOr<unsigned> visit(func::FuncOp function,
                            const AttentionPattern &pattern,
                            std::string &reason);
};
} // namespace

FailureOr<unsigned>
SparsifyAttentionPass::visit(func::FuncOp function,
                             const AttentionPattern &pattern,
                             std::string &reason) {
  ShapeAnalysis shapes(function);
  if (failed(shapes.run()))
    return failure();
  unsigned taken = 0;
  function.walk([&](AttentionOp op) {
    std::string why;
    if (BlockListAttr list = getList(op, pattern, shapes, why)) {
      op.setSelectionAttr(cast<SelectionInterface>(Attribute(list)));
      ++numSparse;
      ++taken;
      return;
    }
    remarkMissed(getArgument(), op, "stays as it is: " + why);
    ++numKept;
    reason = "of an attention, " + why;
  });
  return taken;
}

/// Whether any function has an attention for the pattern: a model that
/// --specialize gave several versions has one in some of them.
void SparsifyAttentionPass::runOnOperation() {
  Operation *place = getOperation();
  auto parsed = AttentionPattern::parse(pattern);
  if (!parsed) {
    place->emitError(toString(parsed.takeError()));
    return signalPassFailure();
  }
  unsigned taken = 0;
  std::string reason = "there is no attention";
  for (auto function : getOperation().getOps<func::FuncOp>()) {
    if (function.isExternal())
      continue;
    if (place == getOperation())
      place = function;
    FailureOr<unsigned> more = visit(function, *parsed, reason);
    if (failed(more))
      return signalPassFailure();
    taken += *more;
  }
  if (taken || place == getOperation()) // or nothing has a body
    return;
  place->emitError("nothing takes the attention pattern '")
      << pattern << "': " << reason;
  signalPassFailure();
}
