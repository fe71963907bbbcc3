// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Quantization as arithmetic: codes are integers of 8 to 32 bits or floats of
// 8, scales per tensor, per slice of an axis or per block of it.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "lib/Frontend/Onnx/OnnxFile.h"
#include "lib/Frontend/Onnx/Windows.h"
#include <limits>

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// Spreads a scale or zero point over `x`: a scalar as it is, a vector along
/// `axis`, blocks of `block` along `axis` repeated. Null and recorded if the
/// shapes do not fit.
static Value spread(NodeImporter &node, Value x, Value parameter, int64_t axis,
                    int64_t block) {
  GraphBuilder &b = node.b;
  Dims dims = b.getDims(x), p = b.getDims(parameter);
  int64_t rank = dims.size();
  bool isOne = p.size() == 1 && p[0] == b.size(1);
  if (!parameter || p.empty())
    return parameter;
  if (isOne && (rank != 1 || block == 0))
    return b.reshape(parameter, {});
  axis = axis < 0 ? axis + rank : axis;
  if (axis < 0 || axis >= rank) {
    (void)node.invalid("attribute 'axis' is out of range for rank " +
                       Twine(rank));
    return {};
  }
  if (block == 0 && p.size() == 1) {
    Dims along(rank, b.size(1));
    along[axis] = p[0];
    return b.reshape(parameter, along);
  }
  if (block <= 0 || int64_t(p.size()) != rank) {
    (void)node.invalid("scale and zero point must be scalars, vectors or, "
                       "with 'block_size', have the input's rank");
    return {};
  }
  Dims apart(p), repeated, joined(p);
  apart.insert(apart.begin() + axis + 1, b.size(1));
  repeated = apart;
  repeated[axis + 1] = b.size(block);
  joined[axis] = p[axis] * block;
  Value wide =
      b.reshape(b.broadcast(b.reshape(parameter, apart), repeated), joined);
  // The last block may be cut.
  return graph::isSameSize(joined[axis], dims[axis])
             ? wide
             : b.slice(wide, axis, b.size(0), dims[axis]);
}

/// The range of an integer type.
static std::pair<double, double> getRange(IntegerType type) {
  unsigned bits = type.getWidth();
  if (type.isUnsigned())
    return {0.0, double((uint64_t(1) << bits) - 1)};
  return {-double(uint64_t(1) << (bits - 1)),
          double((uint64_t(1) << (bits - 1)) - 1)};
}

/// `saturate(round(x) + zero)` as codes of `type`.
static Value toCodes(GraphBuilder &b, Value scaled, Value zero,
                     IntegerType type) {
  auto [low, high] = getRange(type);
  Value code = b.unary<graph::RoundOp>(scaled);
  if (zero)
    code = b.add(code, b.cast(zero, b.getElementType(code)));
  code = b.max(code, b.scalarLike(code, low));
  code = b.min(code, b.scalarLike(code, high));
  return b.cast(code, type);
}

static IntegerType getCodeType(NodeImporter &node, Type type) {
  auto integer = dyn_cast_or_null<IntegerType>(type);
  if (integer && integer.getWidth() >= 8 && integer.getWidth() <= 32)
    return integer;
  (void)node.unsupported("codes must be integers of 8 to 32 bits, or 8-bit "
                         "floats where they are linear");
  return {};
}

static bool isFloatCode(Type type) {
  return isa_and_nonnull<FloatType>(type) && type.getIntOrFloatBitWidth() == 8;
}

static LogicalResult importQuantize(NodeImporter &node) {
  GraphBuilder &b = node.b;
  node.ignore({"precision"});
  bool saturates = node.getInt("saturate", 1) != 0;
  int64_t axis = node.getInt("axis", 1), block = node.getInt("block_size", 0);
  int64_t output = node.getInt("output_dtype", 0);
  Type wanted = IntegerType::get(b.getContext(), 8, IntegerType::Unsigned);
  if (node.hasInput(2))
    wanted = b.getElementType(node.in(2));
  else if (output != 0)
    wanted = lathe::onnx::getElementType(b.getContext(), output);
  IntegerType type;
  if (!isFloatCode(wanted) && !(type = getCodeType(node, wanted)))
    return failure();
  Value x = b.cast(node.in(0), b.getF32Type());
  Value scale =
      b.cast(spread(node, x, node.in(1), axis, block), b.getF32Type());
  Value zero = spread(node, x, node.in(2), axis, block);
  if (!scale || (node.hasInput(2) && !zero))
    return failure();
  Value scaled = b.div(x, scale);
  if (type)
    return node.set(toCodes(b, scaled, zero, type));
  // Zero points of floats are zero.
  return node.set(saturates ? b.castSaturating(scaled, wanted)
                            : b.cast(scaled, wanted));
}

static LogicalResult importDequantize(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t axis = node.getInt("axis", 1), block = node.getInt("block_size", 0);
  int64_t output = node.getInt("output_dtype", 0);
  Type type = b.getElementType(node.in(1));
  if (output != 0)
    type = lathe::onnx::getElementType(b.getContext(), output);
  Type stored = b.getElementType(node.in(0));
  if (!type || (!isFloatCode(stored) && !getCodeType(node, stored)))
    return node.wasRefused() ? failure()
                             : node.unsupported("attribute 'output_dtype'");
  Value x = node.in(0);
  Value scale = spread(node, x, node.in(1), axis, block);
  Value zero = spread(node, x, node.in(2), axis, block);
  if (!scale || (node.hasInput(2) && !zero))
    return failure();
  Value code = x;
  if (!isFloatCode(stored)) {
    code = b.cast(x, b.getI32Type());
    if (zero)
      code = b.sub(code, b.cast(zero, b.getI32Type()));
  }
  Value wide =
      b.mul(b.cast(code, b.getF32Type()), b.cast(scale, b.getF32Type()));
  return node.set(b.cast(wide, type));
}

static LogicalResult importDynamicQuantize(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < b.getRank(x); ++axis)
    axes.push_back(axis);
  auto type = IntegerType::get(b.getContext(), 8, IntegerType::Unsigned);
  Value zero = b.scalarLike(x, 0.0), top = b.scalarLike(x, 255.0);
  Value high = b.max(b.reduce(Reduction::max, x, axes, false), zero);
  Value low = b.min(b.reduce(Reduction::min, x, axes, false), zero);
  Value scale = b.div(b.sub(high, low), top);
  Value offset =
      b.unary<graph::RoundOp>(b.div(b.unary<graph::NegOp>(low), scale));
  offset = b.min(b.max(offset, zero), top);
  Value point = b.cast(offset, type);
  return node.set({toCodes(b, b.div(x, scale), point, type), scale, point});
}

/// Codes minus their zero point, in i32. `alongColumns`: a vector of zero
/// points counts columns, else rows.
static Value center(NodeImporter &node, unsigned input, unsigned zeroInput,
                    bool alongColumns) {
  GraphBuilder &b = node.b;
  Value value = b.cast(node.in(input), b.getI32Type());
  Value zero = b.cast(node.in(zeroInput), b.getI32Type());
  if (!zero)
    return value;
  if (b.getRank(zero) == 1 && !alongColumns && b.getRank(value) > 1)
    zero = b.unsqueeze(zero, 1);
  return b.sub(value, zero);
}

static LogicalResult importMatMulInteger(NodeImporter &node) {
  return node.set(
      node.b.matmul(center(node, 0, 2, false), center(node, 1, 3, true)));
}

static LogicalResult importQLinearMatMul(NodeImporter &node) {
  GraphBuilder &b = node.b;
  IntegerType type = getCodeType(node, b.getElementType(node.in(7)));
  if (!type)
    return failure();
  Value product = b.matmul(center(node, 0, 2, false), center(node, 3, 5, true));
  Type f32 = b.getF32Type();
  auto scaleOf = [&](unsigned input, bool alongRows) {
    Value scale = b.cast(node.in(input), f32);
    return alongRows && b.getRank(scale) == 1 ? b.unsqueeze(scale, 1) : scale;
  };
  Value scale = b.mul(scaleOf(1, true), scaleOf(4, false));
  Value y = b.div(b.mul(b.cast(product, f32), scale), scaleOf(6, true));
  return node.set(toCodes(b, y, node.in(7), type));
}

static LogicalResult importQLinearConv(NodeImporter &node) {
  GraphBuilder &b = node.b;
  IntegerType type = getCodeType(node, b.getElementType(node.in(7)));
  if (!type)
    return failure();
  Value x = center(node, 0, 2, true);
  // Zero points and scales of the weight count output channels.
  auto alongOutputs = [&](Value value, int64_t axis, int64_t rank) {
    if (b.getRank(value) != 1)
      return value;
    Dims dims(std::max<int64_t>(rank, axis + 1), b.size(1));
    dims[axis] = b.getDim(value, 0);
    return b.reshape(value, dims);
  };
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  Value weight = b.cast(node.in(3), i32);
  Value zero = b.cast(node.in(5), i32);
  weight = b.sub(weight, alongOutputs(zero, 0, b.getRank(weight)));
  if (!x || !weight)
    return failure();
  Value y = buildConv(node, x, weight);
  if (!y)
    return failure();
  int64_t rank = b.getRank(y);
  if (node.hasInput(8))
    y = b.add(y, b.alongChannels(node.in(8), rank));
  Value scale = b.mul(alongOutputs(b.cast(node.in(4), f32), 1, rank),
                      b.cast(node.in(1), f32));
  Value wide = b.div(b.mul(b.cast(y, f32), scale), b.cast(node.in(6), f32));
  return node.set(toCodes(b, wide, node.in(7), type));
}

ArrayRef<OpEntry> lathe::onnx::getQuantizationOps() {
  static constexpr OpEntry ops[] = {
      {"DequantizeLinear", 10, kNewest, 2, 3, Types::Any, importDequantize},
      {"DynamicQuantizeLinear", 11, kNewest, 1, 1, Types::Float,
       importDynamicQuantize},
      {"MatMulInteger", 10, kNewest, 2, 4, Types::Integer, importMatMulInteger},
      {"QLinearConv", 10, kNewest, 8, 9, Types::Integer, importQLinearConv},
      {"QLinearMatMul", 10, kNewest, 8, 8, Types::Integer, importQLinearMatMul},
      {"QuantizeLinear", 10, kNewest, 2, 3, Types::Number, importQuantize},
  };
  return ops;
}
