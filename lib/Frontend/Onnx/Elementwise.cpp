// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic, comparison, logic and casts.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "lib/Frontend/Onnx/OnnxFile.h"
#include <cmath>

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

template <typename OpT> static LogicalResult importUnary(NodeImporter &node) {
  return node.set(node.b.unary<OpT>(node.in(0)));
}

template <typename OpT> static LogicalResult importBinary(NodeImporter &node) {
  // Attributes of opsets before 7, which some writers still add.
  node.ignore({"axis", "broadcast"});
  return node.set(node.b.binary<OpT>(node.in(0), node.in(1)));
}

template <typename OpT>
static LogicalResult importVariadic(NodeImporter &node) {
  Value result = node.in(0);
  for (Value input : node.getInputs().drop_front())
    result = node.b.binary<OpT>(result, input);
  return node.set(result);
}

template <Compare kind> static LogicalResult importCompare(NodeImporter &node) {
  return node.set(node.b.compare(kind, node.in(0), node.in(1)));
}

static LogicalResult importMean(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value sum = node.in(0);
  for (Value input : node.getInputs().drop_front())
    sum = b.add(sum, input);
  return node.set(b.div(sum, b.scalarLike(sum, node.getNumInputs())));
}

static LogicalResult importReciprocal(NodeImporter &node) {
  return node.set(node.b.div(node.b.scalarLike(node.in(0), 1.0), node.in(0)));
}

static LogicalResult importMod(NodeImporter &node) {
  // fmod = 1 is C's fmod; the other is Python's %.
  if (node.getInt("fmod", 0) != 0)
    return node.set(node.b.binary<graph::RemOp>(node.in(0), node.in(1)));
  return node.set(node.b.binary<graph::ModOp>(node.in(0), node.in(1)));
}

static LogicalResult importPow(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value base = node.in(0), exponent = node.in(1);
  Type type = b.getElementType(base);
  // An integer base with a float exponent is computed in the float.
  Type common = type;
  if (isa<IntegerType>(type) && isa<FloatType>(b.getElementType(exponent)))
    common = b.getElementType(exponent);
  Value power =
      b.binary<graph::PowOp>(b.cast(base, common), b.cast(exponent, common));
  return node.set(b.cast(power, type));
}

static LogicalResult importBitShift(NodeImporter &node) {
  std::string direction = node.getString("direction", "");
  if (direction == "LEFT")
    return node.set(node.b.binary<graph::ShlOp>(node.in(0), node.in(1)));
  if (direction == "RIGHT")
    return node.set(node.b.binary<graph::ShrOp>(node.in(0), node.in(1)));
  return node.invalid("attribute 'direction' is '" + direction +
                      "'; allowed are LEFT and RIGHT");
}

static LogicalResult importIsNan(NodeImporter &node) {
  return node.set(
      node.b.create<graph::IsNanOp>(node.b.getI1Type(), node.in(0)));
}

static LogicalResult importIsInf(NodeImporter &node) {
  GraphBuilder &b = node.b;
  bool positive = node.getInt("detect_positive", 1) != 0;
  bool negative = node.getInt("detect_negative", 1) != 0;
  if (positive && negative)
    return node.set(b.create<graph::IsInfOp>(b.getI1Type(), node.in(0)));
  // Nothing is greater than infinity: with neither, always false.
  double bound = negative ? -INFINITY : INFINITY;
  return node.set(b.compare(positive || negative ? Compare::eq : Compare::gt,
                            node.in(0), b.scalarLike(node.in(0), bound)));
}

static LogicalResult importWhere(NodeImporter &node) {
  return node.set(node.b.select(node.in(0), node.in(1), node.in(2)));
}

static LogicalResult castTo(NodeImporter &node, Type type) {
  node.ignore({"round_mode"}); // Of 8-bit exponents.
  bool saturates = node.getInt("saturate", 1) != 0;
  Value x = node.in(0);
  return node.set(saturates ? node.b.castSaturating(x, type)
                            : node.b.cast(x, type));
}

static LogicalResult importCast(NodeImporter &node) {
  int64_t to = node.getInt("to", 0);
  if (Type type = lathe::onnx::getElementType(node.b.getContext(), to))
    return castTo(node, type);
  return node.unsupported("attribute 'to' is " + getDataTypeName(to));
}

static LogicalResult importCastLike(NodeImporter &node) {
  return castTo(node, node.b.getElementType(node.in(1)));
}

static LogicalResult importIdentity(NodeImporter &node) {
  return node.set(node.in(0));
}

ArrayRef<OpEntry> lathe::onnx::getElementwiseOps() {
  using namespace lathe::graph;
  static constexpr OpEntry ops[] = {
      {"Abs", 6, kNewest, 1, 1, Types::Number, importUnary<AbsOp>},
      {"Acos", 7, kNewest, 1, 1, Types::Float, importUnary<AcosOp>},
      {"Acosh", 9, kNewest, 1, 1, Types::Float, importUnary<AcoshOp>},
      {"Asin", 7, kNewest, 1, 1, Types::Float, importUnary<AsinOp>},
      {"Asinh", 9, kNewest, 1, 1, Types::Float, importUnary<AsinhOp>},
      {"Atan", 7, kNewest, 1, 1, Types::Float, importUnary<AtanOp>},
      {"Atanh", 9, kNewest, 1, 1, Types::Float, importUnary<AtanhOp>},
      {"BitwiseNot", 18, kNewest, 1, 1, Types::Integer, importUnary<NotOp>},
      {"Ceil", 6, kNewest, 1, 1, Types::Float, importUnary<CeilOp>},
      {"Cos", 7, kNewest, 1, 1, Types::Float, importUnary<CosOp>},
      {"Cosh", 9, kNewest, 1, 1, Types::Float, importUnary<CoshOp>},
      {"Erf", 9, kNewest, 1, 1, Types::Number, importUnary<ErfOp>},
      {"Exp", 6, kNewest, 1, 1, Types::Float, importUnary<ExpOp>},
      {"Floor", 6, kNewest, 1, 1, Types::Float, importUnary<FloorOp>},
      {"Identity", 1, kNewest, 1, 1, Types::Any, importIdentity},
      {"Log", 6, kNewest, 1, 1, Types::Float, importUnary<LogOp>},
      {"Neg", 6, kNewest, 1, 1, Types::Number, importUnary<NegOp>},
      {"Not", 1, kNewest, 1, 1, Types::Bool, importUnary<NotOp>},
      {"Reciprocal", 6, kNewest, 1, 1, Types::Float, importReciprocal},
      {"Round", 11, kNewest, 1, 1, Types::Float, importUnary<RoundOp>},
      {"Sign", 9, kNewest, 1, 1, Types::Number, importUnary<SignOp>},
      {"Sin", 7, kNewest, 1, 1, Types::Float, importUnary<SinOp>},
      {"Sinh", 9, kNewest, 1, 1, Types::Float, importUnary<SinhOp>},
      {"Sqrt", 6, kNewest, 1, 1, Types::Float, importUnary<SqrtOp>},
      {"Tan", 7, kNewest, 1, 1, Types::Float, importUnary<TanOp>},

      {"Add", 7, kNewest, 2, 2, Types::Number, importBinary<AddOp>},
      {"Div", 7, kNewest, 2, 2, Types::Number, importBinary<DivOp>},
      {"Mod", 10, kNewest, 2, 2, Types::Number, importMod},
      {"Mul", 7, kNewest, 2, 2, Types::Number, importBinary<MulOp>},
      {"Pow", 7, kNewest, 2, 2, Types::Number, importPow},
      {"Sub", 7, kNewest, 2, 2, Types::Number, importBinary<SubOp>},
      {"Max", 6, kNewest, 1, kAnyCount, Types::Number, importVariadic<MaxOp>},
      {"Min", 6, kNewest, 1, kAnyCount, Types::Number, importVariadic<MinOp>},
      {"Sum", 6, kNewest, 1, kAnyCount, Types::Float, importVariadic<AddOp>},
      {"Mean", 6, kNewest, 1, kAnyCount, Types::Float, importMean},

      {"And", 7, kNewest, 2, 2, Types::Bool, importBinary<AndOp>},
      {"Or", 7, kNewest, 2, 2, Types::Bool, importBinary<OrOp>},
      {"Xor", 7, kNewest, 2, 2, Types::Bool, importBinary<XorOp>},
      {"BitwiseAnd", 18, kNewest, 2, 2, Types::Integer, importBinary<AndOp>},
      {"BitwiseOr", 18, kNewest, 2, 2, Types::Integer, importBinary<OrOp>},
      {"BitwiseXor", 18, kNewest, 2, 2, Types::Integer, importBinary<XorOp>},
      {"BitShift", 11, kNewest, 2, 2, Types::Integer, importBitShift},

      {"Equal", 7, kNewest, 2, 2, Types::Any, importCompare<Compare::eq>},
      {"Greater", 7, kNewest, 2, 2, Types::Number, importCompare<Compare::gt>},
      {"GreaterOrEqual", 12, kNewest, 2, 2, Types::Number,
       importCompare<Compare::ge>},
      {"Less", 7, kNewest, 2, 2, Types::Number, importCompare<Compare::lt>},
      {"LessOrEqual", 12, kNewest, 2, 2, Types::Number,
       importCompare<Compare::le>},
      {"IsNaN", 9, kNewest, 1, 1, Types::Float, importIsNan},
      {"IsInf", 10, kNewest, 1, 1, Types::Float, importIsInf},
      {"Where", 9, kNewest, 3, 3, Types::Bool, importWhere},
      {"Cast", 6, kNewest, 1, 1, Types::Any, importCast},
      {"CastLike", 15, kNewest, 2, 2, Types::Any, importCastLike},
  };
  return ops;
}
