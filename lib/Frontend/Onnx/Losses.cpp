// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Losses, which some exported models keep as an output.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "llvm/ADT/Sequence.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// Sums or averages `loss` as the attribute `reduction` says; `weight` is what
/// each element counts in an average.
static Value reduceLoss(NodeImporter &node, Value loss, Value weight) {
  GraphBuilder &b = node.b;
  std::string reduction = node.getString("reduction", "mean");
  if (reduction == "none" || !loss)
    return loss;
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(0, b.getRank(loss)));
  Value sum = b.reduce(Reduction::sum, loss, axes, false);
  if (reduction == "sum")
    return sum;
  if (reduction == "mean")
    return b.div(sum, b.reduce(Reduction::sum, weight, axes, false));
  (void)node.invalid("attribute 'reduction' is '" + reduction +
                     "'; allowed are none, mean and sum");
  return {};
}

/// The loss of log-probabilities `[N, C, d...]` under labels `[N, d...]`.
static Value buildNegativeLogLikelihood(NodeImporter &node, Value logs,
                                        Value labels, Value classWeight) {
  GraphBuilder &b = node.b;
  if (b.getRank(logs) < 2 || b.getRank(labels) != b.getRank(logs) - 1) {
    (void)node.invalid("scores must have rank 2 at least and labels one less");
    return {};
  }
  Type type = b.getElementType(logs);
  labels = b.cast(labels, b.getI64Type());
  Value ones = b.broadcast(b.scalar(type, 1.0), b.getDims(labels));
  Value ignored, safe = labels;
  if (node.hasAttr("ignore_index")) {
    Value index = b.scalar(b.getI64Type(), node.getInt("ignore_index", 0));
    ignored = b.compare(Compare::eq, labels, index);
    safe = b.select(ignored, b.scalar(b.getI64Type(), 0), labels);
  }
  Value picked = b.takeAlong(logs, b.unsqueeze(safe, 1), 1);
  Value loss = b.unary<graph::NegOp>(b.reshape(picked, b.getDims(labels)));
  Value weight = ones;
  if (classWeight)
    weight = b.create<graph::GatherOp>(type, classWeight, safe,
                                       b.getI64IntegerAttr(0));
  if (ignored)
    weight = b.select(ignored, b.scalar(type, 0.0), weight);
  return reduceLoss(node, b.mul(loss, weight), weight);
}

static LogicalResult importNegativeLogLikelihood(NodeImporter &node) {
  Value loss =
      buildNegativeLogLikelihood(node, node.in(0), node.in(1), node.in(2));
  return loss ? node.set(loss) : failure();
}

static LogicalResult importSoftmaxCrossEntropy(NodeImporter &node) {
  GraphBuilder &b = node.b;
  if (failed(node.checkRank(0, 2, kAnyCount)))
    return failure();
  Value logs =
      b.create<graph::SoftmaxOp>(b.getElementType(node.in(0)), node.in(0),
                                 b.getI64IntegerAttr(1), b.getUnitAttr());
  Value loss = buildNegativeLogLikelihood(node, logs, node.in(1), node.in(2));
  return loss ? node.set({loss, logs}) : failure();
}

ArrayRef<OpEntry> lathe::onnx::getLossOps() {
  static constexpr OpEntry ops[] = {
      {"NegativeLogLikelihoodLoss", 12, kNewest, 2, 3, Types::Float,
       importNegativeLogLikelihood},
      {"SoftmaxCrossEntropyLoss", 12, kNewest, 2, 3, Types::Float,
       importSoftmaxCrossEntropy},
  };
  return ops;
}
