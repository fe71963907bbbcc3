// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RNN, GRU and LSTM as host built-ins in layout 0 (time first).

#include "lib/Frontend/Onnx/BuiltinCall.h"
#include "llvm/ADT/StringExtras.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

namespace {
struct Cell {
  StringRef callee, defaultActivations;
  unsigned gates, activations, outputs;
};
} // namespace

static constexpr llvm::StringLiteral kActivations[] = {
    "Relu",       "Tanh",      "Sigmoid",
    "Affine",     "LeakyRelu", "ThresholdedRelu",
    "ScaledTanh", "Elu",       "HardSigmoid",
    "Softsign",   "Softplus"};

/// The activations of all directions, joined with commas.
static std::optional<std::string>
getActivations(NodeImporter &node, const Cell &cell, unsigned directions) {
  SmallVector<std::string> defaults;
  SmallVector<StringRef> names;
  cell.defaultActivations.split(names, ',');
  for (unsigned i = 0; i < directions; ++i)
    for (StringRef name : names)
      defaults.push_back(name.str());
  SmallVector<std::string> given =
      node.getStrings("activations").value_or(defaults);
  if (given.size() != directions * cell.activations) {
    (void)node.invalid("attribute 'activations' has " + Twine(given.size()) +
                       " names; allowed are " +
                       Twine(directions * cell.activations));
    return std::nullopt;
  }
  for (const std::string &name : given)
    if (!llvm::is_contained(kActivations, StringRef(name))) {
      (void)node.unsupported("activation '" + name + "' is not known");
      return std::nullopt;
    }
  return llvm::join(given, ",");
}

/// Batch and time, the first two dims, exchanged.
static Value exchange(GraphBuilder &b, Value x) {
  if (!x)
    return x;
  SmallVector<int64_t> order;
  for (int64_t axis = 0; axis < b.getRank(x); ++axis)
    order.push_back(axis);
  if (order.size() > 1)
    std::swap(order[0], order[1]);
  return b.transpose(x, order);
}

/// Y of the built-in is [time, directions, batch, hidden], of layout 1
/// [batch, time, directions, hidden].
static SmallVector<Value> toBatchFirst(GraphBuilder &b, ValueRange results) {
  SmallVector<Value> turned;
  for (auto [i, value] : llvm::enumerate(results))
    turned.push_back(i == 0 ? b.transpose(value, {2, 0, 1, 3})
                            : exchange(b, value));
  return turned;
}

static LogicalResult importCell(NodeImporter &node, const Cell &cell) {
  GraphBuilder &b = node.b;
  for (unsigned i = 0; i < 3; ++i)
    if (failed(node.checkRank(i, 3, 3)))
      return failure();
  bool batchFirst = node.opset >= 14 && node.getInt("layout", 0) != 0;
  SmallVector<Value> inputs(node.getInputs());
  if (batchFirst)
    for (unsigned i : {0u, 5u, 6u})
      if (i < inputs.size())
        inputs[i] = exchange(b, inputs[i]);
  auto hidden = dyn_cast<AffineConstantExpr>(b.getDim(node.in(2), 2));
  std::string direction = node.getString("direction", "forward");
  if (direction != "forward" && direction != "reverse" &&
      direction != "bidirectional")
    return node.invalid("attribute 'direction' is '" + direction +
                        "'; allowed are forward, reverse and bidirectional");
  unsigned directions = direction == "bidirectional" ? 2 : 1;
  if (!hidden)
    return node.unsupported("the hidden size must be known at compile time");
  int64_t size = node.getInt("hidden_size", hidden.getValue());
  SmallVector<int64_t> recurrent = graph::toStaticShape(b.getDims(node.in(2)));
  if (recurrent != SmallVector<int64_t>{directions, cell.gates * size, size})
    return node.invalid("the recurrence weight must have shape [" +
                        Twine(directions) + ", " + Twine(cell.gates * size) +
                        ", " + Twine(size) + "]");
  auto activations = getActivations(node, cell, directions);
  if (!activations)
    return failure();

  BuiltinCall call(node, cell.callee, inputs);
  call.integer("hidden_size", size);
  call.string("direction", direction);
  call.string("activations", *activations);
  for (StringRef name : {"activation_alpha", "activation_beta"})
    if (auto values = node.getFloats(name))
      call.numbers(name, *values);
  call.optionalNumber("clip");
  if (cell.callee == "lstm")
    call.integer("input_forget", node.getInt("input_forget", 0));
  if (cell.callee == "gru")
    call.integer("linear_before_reset", node.getInt("linear_before_reset", 0));
  AffineExpr time = b.getDim(inputs[0], 0), batch = b.getDim(inputs[0], 1);
  Type type = b.getElementType(inputs[0]);
  unsigned outputs = std::clamp(node.getNumOutputs(), 1u, cell.outputs);
  for (unsigned i = 0; i < outputs; ++i)
    if (i == 0)
      call.result(type, {time, b.size(directions), batch, b.size(size)});
    else
      call.result(type, {b.size(directions), batch, b.size(size)});
  SmallVector<Value> results = call.build();
  if (batchFirst && !llvm::is_contained(results, Value()))
    results = toBatchFirst(b, results);
  return node.set(results);
}

static LogicalResult importRnn(NodeImporter &node) {
  return importCell(node, {"rnn", "Tanh", 1, 1, 2});
}
static LogicalResult importGru(NodeImporter &node) {
  return importCell(node, {"gru", "Sigmoid,Tanh", 3, 2, 2});
}
static LogicalResult importLstm(NodeImporter &node) {
  return importCell(node, {"lstm", "Sigmoid,Tanh,Tanh", 4, 3, 3});
}

ArrayRef<OpEntry> lathe::onnx::getRecurrentOps() {
  static constexpr OpEntry ops[] = {
      {"GRU", 7, kNewest, 3, 6, Types::Float, importGru},
      {"LSTM", 7, kNewest, 3, 8, Types::Float, importLstm},
      {"RNN", 7, kNewest, 3, 6, Types::Float, importRnn},
  };
  return ops;
}
