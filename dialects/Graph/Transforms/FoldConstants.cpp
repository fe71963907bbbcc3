// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-fold-constants
//
//   %d = graph.cast %c32 : tensor<i64> -> tensor<f32>
//   %s = graph.sqrt %d : tensor<f32>
// becomes
//   %s = graph.constant dense<5.65685415> : tensor<f32>

#include "dialects/Graph/Transforms/ConstantEvaluator.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"

namespace lathe::graph {
#define GEN_PASS_DEF_FOLDCONSTANTSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// The constants that `op` reads; nothing if it reads something else.
static std::optional<SmallVector<ElementsAttr>> getConstants(Operation *op) {
  SmallVector<ElementsAttr> constants;
  for (Value operand : op->getOperands()) {
    auto constant = operand.getDefiningOp<ConstantOp>();
    if (!constant || constant.getType() != constant.getValue().getType())
      return std::nullopt;
    constants.push_back(constant.getValue());
  }
  return constants;
}

namespace {
struct FoldConstantsPass
    : lathe::graph::impl::FoldConstantsPassBase<FoldConstantsPass> {
  using Base::Base;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    OpBuilder builder(&getContext());
    for (Operation &op :
         llvm::make_early_inc_range(function.getBody().getOps())) {
      DenseElementsAttr value = fold(&op);
      if (!value)
        continue;
      builder.setInsertionPoint(&op);
      auto constant = ConstantOp::create(builder, op.getLoc(), value);
      op.getResult(0).replaceAllUsesWith(constant.getResult());
      ++numFolded;
    }
    eraseDeadOps(function);
  }

  DenseElementsAttr fold(Operation *op) {
    if (op->getNumResults() != 1 || op->getNumOperands() == 0 || !isPure(op))
      return {};
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    if (!type || !type.hasStaticShape() || type.getEncoding() ||
        !type.getElementType().isIntOrFloat() ||
        type.getNumElements() > maxElements)
      return {};
    auto constants = getConstants(op);
    return constants ? evaluate(op, *constants, maxElements)
                     : DenseElementsAttr();
  }
};
} // namespace
