// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-quantize-weights
//
//   %w = graph.constant dense_resource<w> : tensor<384x1536xf32>
//   %y = graph.contract %x, %w [#graph.branch<>]
// becomes
//   %w = graph.constant dense_resource<w>
//          : tensor<384x1536xf32, #graph.int8<axis = 1>>
//   %y = graph.contract %x, %w [#graph.branch<quantizer = #graph.dynamic_int8>]

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

namespace lathe::graph {
#define GEN_PASS_DEF_QUANTIZEWEIGHTSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// |decoded - weight| / |weight| (Frobenius); nothing where it cannot be told.
static std::optional<double> getRelativeError(RankedTensorType type,
                                              ElementsAttr value) {
  auto encoding = dyn_cast<EncodingInterface>(type.getEncoding());
  std::optional<ArrayRef<char>> dense = getRawBytes(value);
  if (!encoding || !dense || !type.getElementType().isF32())
    return std::nullopt;
  SmallVector<SmallVector<char, 0>> buffers;
  SmallVector<char, 0> decoded;
  if (auto error = encoding.encode(type, *dense, buffers)) {
    consumeError(std::move(error));
    return std::nullopt;
  }
  auto views = llvm::map_to_vector(
      buffers, [](const auto &buffer) { return ArrayRef<char>(buffer); });
  if (auto error = encoding.unpack(type, views, decoded)) {
    consumeError(std::move(error));
    return std::nullopt;
  }
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i + sizeof(float) <= dense->size(); i += sizeof(float)) {
    float before, after;
    memcpy(&before, dense->data() + i, sizeof(float));
    memcpy(&after, decoded.data() + i, sizeof(float));
    difference += (double(after) - before) * (double(after) - before);
    norm += double(before) * before;
  }
  return norm == 0.0 ? 0.0 : std::sqrt(difference / norm);
}

namespace {
struct QuantizeWeightsPass
    : lathe::graph::impl::QuantizeWeightsPassBase<QuantizeWeightsPass> {
  using Base::Base;

  void runOnOperation() override;
  Value quantize(ContractOp op, Value weight);
  void report(ContractOp op, ConstantOp encoded);
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
  if (type.getEncoding() || !isa<FloatType>(type.getElementType()))
    return keep("it is no plain float tensor");
  if (type.getNumElements() < minElements)
    return keep("it has fewer than " + Twine(minElements) + " elements");
  if (transpose && !quantizeInputs)
    return keep("it lies transposed, and is decoded only as [K, N]");
  auto encoding = Int8Attr::get(&getContext(), transpose ? 0 : 1);
  OpBuilder builder(constant);
  auto encoded = ConstantOp::create(
      builder, constant.getLoc(),
      RankedTensorType::get(type.getShape(), type.getElementType(), encoding),
      constant.getValue());
  ++numQuantized;
  report(op, encoded);
  if (!transpose)
    return encoded;
  builder.setInsertionPoint(op);
  return TransposeOp::create(builder, transpose.getLoc(), transpose.getType(),
                             encoded, transpose.getPermutation());
}

void QuantizeWeightsPass::report(ContractOp op, ConstantOp encoded) {
  // Encoding once more takes time: only where somebody reads the answer.
  if (!getContext().getRemarkEngine())
    return;
  auto error = getRelativeError(cast<RankedTensorType>(encoded.getType()),
                                encoded.getValue());
  if (error)
    remarkPassed(getArgument(), op,
                 "weight stored as int8, relative error " +
                     llvm::formatv("{0:e2}", *error).str());
}

void QuantizeWeightsPass::runOnOperation() {
  if (encoding != "int8") {
    getOperation().emitError("unknown weight encoding '")
        << encoding << "'; allowed is int8";
    return signalPassFailure();
  }
  Attribute quantizer;
  if (quantizeInputs)
    quantizer = DynamicInt8Attr::get(&getContext());
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
  eraseDeadOps(getOperation().front());
}
