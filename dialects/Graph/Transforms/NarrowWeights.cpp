// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-narrow-weights
//
//   %w = graph.constant dense_resource<w> : tensor<384x1536xf32>
//   %y = graph.contract %x, %w [#graph.branch<>]
// becomes
//   %w = graph.constant dense_resource<w>
//          : tensor<384x1536xf32, #graph.narrow<bf16>>

#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "dialects/Graph/Transforms/Rounding.h"

namespace lathe::graph {
#define GEN_PASS_DEF_NARROWWEIGHTSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// The same weight with an encoding, read through the same transpose; null if
/// it is no plain f32 constant.
static Value encode(Value weight, Attribute encoding, OpBuilder &builder) {
  if (auto transpose = weight.getDefiningOp<TransposeOp>()) {
    Value encoded = encode(transpose.getInput(), encoding, builder);
    if (!encoded)
      return Value();
    return TransposeOp::create(builder, transpose.getLoc(), transpose.getType(),
                               encoded, transpose.getPermutation());
  }
  auto constant = weight.getDefiningOp<ConstantOp>();
  if (!constant)
    return Value();
  auto type = cast<RankedTensorType>(constant.getType());
  if (type.getEncoding() || !type.getElementType().isF32())
    return Value();
  return ConstantOp::create(
      builder, constant.getLoc(),
      RankedTensorType::get(type.getShape(), type.getElementType(), encoding),
      constant.getValue());
}

namespace {
struct NarrowWeightsPass
    : lathe::graph::impl::NarrowWeightsPassBase<NarrowWeightsPass> {
  using Base::Base;

  void runOnOperation() override;
};
} // namespace

void NarrowWeightsPass::runOnOperation() {
  FailureOr<FloatType> narrow = parseNarrowType(getOperation(), type);
  if (failed(narrow))
    return signalPassFailure();
  Attribute encoding = NarrowAttr::get(&getContext(), *narrow);
  auto narrowOperand = [&](OpOperand &weight) {
    OpBuilder builder(weight.getOwner());
    bool isExact = mustBeExact(weight.getOwner()->getResult(0));
    Value encoded = isExact ? Value() : encode(weight.get(), encoding, builder);
    if (encoded)
      weight.set(encoded);
    ++(encoded ? numNarrowed : numKept);
  };
  getOperation().walk([&](ContractOp op) {
    for (OpOperand &weight : op.getWeightsMutable())
      narrowOperand(weight);
  });
  if (convolutions)
    getOperation().walk(
        [&](ConvOp op) { narrowOperand(op.getWeightMutable()); });
  eraseDeadOps(getOperation());
}
