// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Branches whose condition is known are inlined; the rest is refused here, so
// that the message can say why.

#include "lib/Frontend/Onnx/ModelImporter.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

static LogicalResult importIf(NodeImporter &node) {
  const auto *then = node.getAttr("then_branch");
  const auto *otherwise = node.getAttr("else_branch");
  if (!then || !otherwise || !then->has_g() || !otherwise->has_g())
    return node.invalid("attributes 'then_branch' and 'else_branch' must be "
                        "graphs");
  std::optional<double> condition = node.b.getScalar(node.in(0));
  if (!condition)
    return node.unsupported("the condition depends on the input; only "
                            "conditions known at compile time are supported");
  SmallVector<Value> results;
  const auto &branch = *condition != 0.0 ? then->g() : otherwise->g();
  if (failed(node.getModel().importBranch(branch, node.getScope(), results)))
    return failure();
  if (results.size() != node.getNumOutputs())
    return node.invalid("the branch has " + Twine(results.size()) +
                        " outputs, the node " + Twine(node.getNumOutputs()));
  if (llvm::is_contained(results, Value()))
    return node.skip();
  return node.set(results);
}

static LogicalResult refuseLoop(NodeImporter &node) {
  return node.unsupported("loops over a subgraph are not supported");
}

static LogicalResult refuseSequence(NodeImporter &node) {
  return node.unsupported("sequences, optionals and strings are not supported");
}

ArrayRef<OpEntry> lathe::onnx::getControlFlowOps() {
  static constexpr OpEntry ops[] = {
      {"If", 1, kNewest, 1, 1, Types::Bool, importIf},
      {"Loop", 1, kNewest, 0, kAnyCount, Types::Any, refuseLoop},
      {"Scan", 1, kNewest, 0, kAnyCount, Types::Any, refuseLoop},
      {"SequenceMap", 17, kNewest, 0, kAnyCount, Types::Any, refuseLoop},
      {"ConcatFromSequence", 11, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"Optional", 15, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"OptionalGetElement", 15, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"OptionalHasElement", 15, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"SequenceAt", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SequenceConstruct", 11, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"SequenceEmpty", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SequenceErase", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SequenceInsert", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SequenceLength", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SplitToSequence", 11, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"StringConcat", 20, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"StringNormalizer", 10, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"StringSplit", 20, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
  };
  return ops;
}
