// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Activation functions; those without a graph op are spelled out.

#include "lib/Frontend/Onnx/NodeImporter.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

template <typename OpT> static LogicalResult importDirect(NodeImporter &node) {
  node.ignore({"consumed_inputs"});
  return node.set(node.b.unary<OpT>(node.in(0)));
}

/// `x > bound ? a : b`.
static Value selectAbove(GraphBuilder &b, Value x, double bound, Value yes,
                         Value no) {
  return b.select(b.compare(Compare::gt, x, b.scalarLike(x, bound)), yes, no);
}

static Value clamp(GraphBuilder &b, Value x, double low, double high) {
  return b.min(b.max(x, b.scalarLike(x, low)), b.scalarLike(x, high));
}

/// `scale (e^x - 1)` for the x <= 0 half of the ELU family. The argument is
/// held at most 0, so that the unused half cannot overflow.
static Value expMinusOne(GraphBuilder &b, Value x, double scale) {
  Value bounded = b.min(x, b.scalarLike(x, 0.0));
  Value power = b.unary<graph::ExpOp>(bounded);
  return b.mul(b.sub(power, b.scalarLike(x, 1.0)), b.scalarLike(x, scale));
}

/// `log(1 + e^x)` as `max(x, 0) + log(1 + e^-|x|)`, which cannot overflow.
static Value softplus(GraphBuilder &b, Value x) {
  Value power =
      b.unary<graph::ExpOp>(b.unary<graph::NegOp>(b.unary<graph::AbsOp>(x)));
  Value log = b.unary<graph::LogOp>(b.add(power, b.scalarLike(x, 1.0)));
  return b.add(b.unary<graph::ReluOp>(x), log);
}

static LogicalResult importElu(NodeImporter &node) {
  Value x = node.in(0);
  double alpha = node.getFloat("alpha", 1.0);
  return node.set(
      selectAbove(node.b, x, 0.0, x, expMinusOne(node.b, x, alpha)));
}

static LogicalResult importSelu(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  double alpha = node.getFloat("alpha", 1.67326319217681884765625);
  double gamma = node.getFloat("gamma", 1.05070102214813232421875);
  return node.set(selectAbove(b, x, 0.0, b.mul(x, b.scalarLike(x, gamma)),
                              expMinusOne(b, x, alpha * gamma)));
}

static LogicalResult importCelu(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  double alpha = node.getFloat("alpha", 1.0);
  if (alpha == 0.0)
    return node.invalid("attribute 'alpha' must not be zero");
  Value scaled = b.div(x, b.scalarLike(x, alpha));
  return node.set(selectAbove(b, x, 0.0, x, expMinusOne(b, scaled, alpha)));
}

static LogicalResult importLeakyRelu(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  Value slope = b.scalarLike(x, node.getFloat("alpha", 0.01));
  Value zero = b.scalarLike(x, 0.0);
  return node.set(
      b.select(b.compare(Compare::lt, x, zero), b.mul(x, slope), x));
}

static LogicalResult importPRelu(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0), slope = node.in(1);
  Value zero = b.scalarLike(x, 0.0);
  return node.set(
      b.select(b.compare(Compare::lt, x, zero), b.mul(x, slope), x));
}

static LogicalResult importThresholdedRelu(NodeImporter &node) {
  Value x = node.in(0);
  return node.set(selectAbove(node.b, x, node.getFloat("alpha", 1.0), x,
                              node.b.scalarLike(x, 0.0)));
}

static LogicalResult importHardSigmoid(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  Value alpha = b.scalarLike(x, node.getFloat("alpha", 0.2));
  Value beta = b.scalarLike(x, node.getFloat("beta", 0.5));
  return node.set(clamp(b, b.add(b.mul(x, alpha), beta), 0.0, 1.0));
}

static LogicalResult importHardSwish(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  Value line =
      b.add(b.mul(x, b.scalarLike(x, 1.0 / 6.0)), b.scalarLike(x, 0.5));
  return node.set(b.mul(x, clamp(b, line, 0.0, 1.0)));
}

static LogicalResult importSoftplus(NodeImporter &node) {
  return node.set(softplus(node.b, node.in(0)));
}

static LogicalResult importSoftsign(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  return node.set(
      b.div(x, b.add(b.unary<graph::AbsOp>(x), b.scalarLike(x, 1.0))));
}

static LogicalResult importMish(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  return node.set(b.mul(x, b.unary<graph::TanhOp>(softplus(b, x))));
}

static Value swish(GraphBuilder &b, Value x, double alpha) {
  if (alpha == 1.0)
    return b.unary<graph::SiluOp>(x);
  Value gate = b.unary<graph::SigmoidOp>(b.mul(x, b.scalarLike(x, alpha)));
  return b.mul(x, gate);
}

static LogicalResult importSwish(NodeImporter &node) {
  return node.set(swish(node.b, node.in(0), node.getFloat("alpha", 1.0)));
}

static LogicalResult importSwiGlu(NodeImporter &node) {
  Value gate = swish(node.b, node.in(0), node.getFloat("alpha", 1.0));
  return node.set(node.b.mul(gate, node.in(1)));
}

static LogicalResult importGelu(NodeImporter &node) {
  std::string approximate = node.getString("approximate", "none");
  if (approximate == "none")
    return node.set(node.b.unary<graph::GeluOp>(node.in(0)));
  if (approximate == "tanh")
    return node.set(node.b.unary<graph::GeluTanhOp>(node.in(0)));
  return node.invalid("attribute 'approximate' is '" + approximate +
                      "'; allowed are 'none' and 'tanh'");
}

static LogicalResult importShrink(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  double lambd = node.getFloat("lambd", 0.5);
  Value bias = b.scalarLike(x, node.getFloat("bias", 0.0));
  Value low = b.compare(Compare::lt, x, b.scalarLike(x, -lambd));
  Value high = selectAbove(b, x, lambd, b.sub(x, bias), b.scalarLike(x, 0.0));
  return node.set(b.select(low, b.add(x, bias), high));
}

static LogicalResult importClip(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0), low = node.in(1), high = node.in(2);
  if (node.opset < 11) {
    if (node.hasAttr("min"))
      low = b.scalarLike(x, node.getFloat("min", 0.0));
    if (node.hasAttr("max"))
      high = b.scalarLike(x, node.getFloat("max", 0.0));
  }
  if (low)
    x = b.max(x, low);
  if (high)
    x = b.min(x, high);
  return node.set(x);
}

/// The inference form; with training_mode the mask would be random.
static LogicalResult importDropout(NodeImporter &node) {
  GraphBuilder &b = node.b;
  node.ignore({"seed", "ratio", "is_test"});
  if (node.hasInput(2) && b.getScalar(node.in(2)) != 0.0)
    return node.unsupported("training mode");
  if (!node.usesOutput(1))
    return node.set(node.in(0));
  Type type = node.opset < 10 ? b.getElementType(node.in(0)) : b.getI1Type();
  Value mask = b.broadcast(b.scalar(type, 1.0), b.getDims(node.in(0)));
  return node.set({node.in(0), mask});
}

ArrayRef<OpEntry> lathe::onnx::getActivationOps() {
  using namespace lathe::graph;
  static constexpr OpEntry ops[] = {
      {"Celu", 12, kNewest, 1, 1, Types::Float, importCelu},
      {"Clip", 6, kNewest, 1, 3, Types::Number, importClip},
      {"Dropout", 7, kNewest, 1, 3, Types::Float, importDropout},
      {"Elu", 6, kNewest, 1, 1, Types::Float, importElu},
      {"Gelu", 20, kNewest, 1, 1, Types::Float, importGelu},
      {"HardSigmoid", 6, kNewest, 1, 1, Types::Float, importHardSigmoid},
      {"HardSwish", 14, kNewest, 1, 1, Types::Float, importHardSwish},
      {"LeakyRelu", 6, kNewest, 1, 1, Types::Float, importLeakyRelu},
      {"Mish", 18, kNewest, 1, 1, Types::Float, importMish},
      {"PRelu", 7, kNewest, 2, 2, Types::Number, importPRelu},
      {"Relu", 6, kNewest, 1, 1, Types::Number, importDirect<ReluOp>},
      {"Selu", 6, kNewest, 1, 1, Types::Float, importSelu},
      {"Shrink", 9, kNewest, 1, 1, Types::Number, importShrink},
      {"Sigmoid", 6, kNewest, 1, 1, Types::Float, importDirect<SigmoidOp>},
      {"Softplus", 1, kNewest, 1, 1, Types::Float, importSoftplus},
      {"Softsign", 1, kNewest, 1, 1, Types::Float, importSoftsign},
      {"SwiGLU", 28, kNewest, 2, 2, Types::Float, importSwiGlu},
      {"Swish", 24, kNewest, 1, 1, Types::Float, importSwish},
      {"Tanh", 6, kNewest, 1, 1, Types::Float, importDirect<TanhOp>},
      {"ThresholdedRelu", 10, kNewest, 1, 1, Types::Float,
       importThresholdedRelu},
  };
  return ops;
}
