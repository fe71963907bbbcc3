// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-quantize-weights
//
//   %w = graph.constant dense_resource<w> : tensor<384x1536xf32>
//   %y = graph.contract %x, %w [#graph.branch<>]
// becomes
//   %w = graph.constant dense_resource<w>
//          : tensor<384x1536xf32, #graph.int8<axis = 1, group = 128>>
//   %y = graph.contract %x, %w
//          [#graph.branch<quantizer = #graph.dynamic_int8<group = 128>>]

#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"

namespace lathe::graph {
#define GEN_PASS_DEF_QUANTIZEWEIGHTSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

namespace {
struct QuantizeWeightsPass
    : lathe::graph::impl::QuantizeWeightsPassBase<QuantizeWeightsPass> {
  using Base::Base;

  void runOnOperation() override;
  Value quantize(ContractOp op, Value weight);
};
} // namespace

/// The weight with its encoding; null, with a remark, if it keeps its own.
Value QuantizeWeightsPass::quantize(ContractOp op, Value weight) {
  auto transpose = weight.getDefiningOp<TransposeOp>();
  auto constant = transpose ? transpose.getInput().getDefiningOp<ConstantOp>()
                            : weight.getDefiningOp<ConstantOp>();
  auto keep = [&](const Twine &reason) {
    remarkMissed(getArgument(), op, "weight is not quantized: " + reason);
    ++numKept;
    return Value();
  };
  if (!constant)
    return keep("it is computed");
  auto type = cast<RankedTensorType>(constant.getType());
  Type element = type.getElementType();
  if (type.getEncoding() ||
      !(element.isF32() || element.isF16() || element.isBF16()))
    return keep("it is no plain tensor of f32, f16 or bf16");
  if (type.getNumElements() < minElements)
    return keep("it has fewer than " + Twine(minElements) + " elements");
  if (transpose && !quantizeInputs)
    return keep("it lies transposed, and is decoded only as [K, N]");
  auto encoding = Int8Attr::get(&getContext(), transpose ? 0 : 1,
                                quantizeInputs ? int64_t(group) : 0);
  OpBuilder builder(constant);
  auto encoded = ConstantOp::create(
      builder, constant.getLoc(),
      RankedTensorType::get(type.getShape(), type.getElementType(), encoding),
      constant.getValue());
  ++numQuantized;
  if (!transpose)
    return encoded;
  builder.setInsertionPoint(op);
  return TransposeOp::create(builder, transpose.getLoc(), transpose.getType(),
                             encoded, transpose.getPermutation());
}

void QuantizeWeightsPass::runOnOperation() {
  if (encoding != "int8") {
    getOperation().emitError("unknown weight encoding '")
        << encoding << "'; allowed is int8";
    return signalPassFailure();
  }
  Attribute quantizer;
  if (quantizeInputs)
    quantizer =
        DynamicInt8Attr::getChecked([&] { return getOperation().emitError(); },
                                    &getContext(), int64_t(group));
  if (quantizeInputs && !quantizer)
    return signalPassFailure();
  getOperation().walk([&](ContractOp op) {
    if (!isa<FloatType>(getElementTypeOrSelf(op.getInput().getType())))
      return;
    SmallVector<Attribute> branches(op.getBranches().getValue());
    for (auto [i, weight] : llvm::enumerate(op.getWeights())) {
      auto branch = cast<BranchAttr>(branches[i]);
      Value encoded = branch.getQuantizer() ? Value() : quantize(op, weight);
      if (!encoded)
        continue;
      op.getWeightsMutable()[i].set(encoded);
      branches[i] =
          BranchAttr::get(&getContext(), quantizer, branch.getScale());
    }
    op.setBranchesAttr(ArrayAttr::get(&getContext(), branches));
  });
  eraseDeadOps(getOperation());
}
