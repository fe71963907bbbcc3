// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-linear-to-contract
//
//   %y = graph.matmul %x, %w          (%w constant, [K, N])
// becomes
//   %y = graph.contract %x, %w [#graph.branch<>]

#include "dialects/Graph/Transforms/Passes.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace lathe::graph {
#define GEN_PASS_DEF_LINEARTOCONTRACTPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// A constant, or a transpose of one.
static bool isWeight(Value value) {
  if (auto transpose = value.getDefiningOp<TransposeOp>())
    value = transpose.getInput();
  return value.getDefiningOp<ConstantOp>() != nullptr;
}

namespace {
struct MatmulToContract : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op,
                                PatternRewriter &rewriter) const override {
    if (cast<RankedTensorType>(op.getRhs().getType()).getRank() != 2)
      return rewriter.notifyMatchFailure(op, "the right side is no matrix");
    if (!isWeight(op.getRhs()))
      return rewriter.notifyMatchFailure(op, "the right side is no constant");
    auto branch = BranchAttr::get(op.getContext(), Attribute(), 1.0);
    rewriter.replaceOpWithNewOp<ContractOp>(op, op.getType(), op.getLhs(),
                                            op.getRhs(),
                                            rewriter.getArrayAttr({branch}));
    return success();
  }
};

struct LinearToContractPass
    : lathe::graph::impl::LinearToContractPassBase<LinearToContractPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<MatmulToContract>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
    getOperation().walk([&](ContractOp) { ++numContracts; });
  }
};
} // namespace
