// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that make tensors: constants, ranges, windows.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "lib/Frontend/Onnx/OnnxFile.h"
#include <cmath>

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// A 1-D or 0-D constant of `values`.
template <typename T>
static Value makeConstant(GraphBuilder &b, Type type, ArrayRef<T> values,
                          bool isScalar) {
  SmallVector<int64_t, 1> shape;
  if (!isScalar)
    shape.push_back(values.size());
  return b.constant(
      DenseElementsAttr::get(RankedTensorType::get(shape, type), values));
}

static LogicalResult importConstant(NodeImporter &node) {
  GraphBuilder &b = node.b;
  if (node.hasAttr("value"))
    return node.set(node.getTensor("value"));
  if (node.hasAttr("value_int"))
    return node.set(makeConstant<int64_t>(b, b.getI64Type(),
                                          {node.getInt("value_int", 0)}, true));
  if (node.hasAttr("value_float"))
    return node.set(makeConstant<float>(
        b, b.getF32Type(), {float(node.getFloat("value_float", 0))}, true));
  if (auto values = node.getInts("value_ints"))
    return node.set(b.integers(*values));
  if (auto values = node.getFloats("value_floats")) {
    SmallVector<float> floats(values->begin(), values->end());
    return node.set(makeConstant<float>(b, b.getF32Type(), floats, false));
  }
  for (StringRef name : {"value_string", "value_strings", "sparse_value"})
    if (node.hasAttr(name))
      return node.unsupported("attribute '" + name + "' is not supported");
  return node.invalid("has no value");
}

static LogicalResult importConstantOfShape(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value value = node.hasAttr("value") ? node.getTensor("value")
                                      : b.scalar(b.getF32Type(), 0.0);
  if (!value || failed(node.checkRank(0, 1, 1)))
    return failure();
  Value scalar = b.reshape(value, {});
  return node.set(b.create<graph::DynamicBroadcastOp>(
      b.getElementType(value), scalar, node.in(0), DenseI64ArrayAttr()));
}

static LogicalResult importRange(NodeImporter &node) {
  GraphBuilder &b = node.b;
  node.ignore({"stash_type"});
  SmallVector<Value> bounds;
  for (Value input : node.getInputs())
    bounds.push_back(b.reshape(input, {}));
  return node.set(b.create<graph::DynamicIotaOp>(
      b.getElementType(node.in(0)), bounds[0], bounds[1], bounds[2],
      DenseI64ArrayAttr()));
}

/// The type of attribute `name`, or `fallback` without it; null if refused.
static Type getTypeAttr(NodeImporter &node, StringRef name, Type fallback) {
  if (!node.hasAttr(name))
    return fallback;
  int64_t to = node.getInt(name, 0);
  Type type = lathe::onnx::getElementType(node.b.getContext(), to);
  if (!type)
    (void)node.unsupported("attribute '" + name + "' is " +
                           getDataTypeName(to));
  return type;
}

static LogicalResult importEyeLike(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Type type = getTypeAttr(node, "dtype", b.getElementType(node.in(0)));
  if (!type || failed(node.checkRank(0, 2, 2)))
    return failure();
  Value row = b.iota(b.getDim(node.in(0), 0), 0, 2);
  Value column = b.iota(b.getDim(node.in(0), 1), 1, 2);
  Value k = b.scalar(b.getI64Type(), node.getInt("k", 0));
  Value hit = b.compare(Compare::eq, b.sub(column, row), k);
  return node.set(b.cast(hit, type));
}

/// `a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n)`, n or n - 1 samples a turn.
static LogicalResult importWindow(NodeImporter &node, double a0, double a1,
                                  double a2) {
  GraphBuilder &b = node.b;
  Type type = getTypeAttr(node, "output_datatype", b.getF32Type());
  std::optional<Dims> size = b.getContents(node.in(0));
  bool periodic = node.getInt("periodic", 1) != 0;
  if (!type)
    return failure();
  if (!size || size->size() != 1)
    return node.unsupported("the size must be known at compile time or follow "
                            "from named dims");
  Type f32 = b.getF32Type();
  AffineExpr turn = periodic ? size->front() : size->front() - 1;
  Value position = b.cast(b.iota(size->front()), f32);
  Value angle = b.div(b.mul(position, b.scalar(f32, 2.0 * M_PI)),
                      b.cast(b.sizeValue(turn), f32));
  auto wave = [&](double amplitude, double frequency) {
    Value scaled = b.mul(angle, b.scalar(f32, frequency));
    return b.mul(b.unary<graph::CosOp>(scaled), b.scalar(f32, amplitude));
  };
  Value window = b.add(wave(-a1, 1.0), b.scalar(f32, a0));
  if (a2 != 0.0)
    window = b.add(window, wave(a2, 2.0));
  return node.set(b.cast(window, type));
}

static LogicalResult importHann(NodeImporter &node) {
  return importWindow(node, 0.5, 0.5, 0.0);
}
static LogicalResult importHamming(NodeImporter &node) {
  return importWindow(node, 25.0 / 46.0, 21.0 / 46.0, 0.0);
}
static LogicalResult importBlackman(NodeImporter &node) {
  return importWindow(node, 0.42, 0.5, 0.08);
}

/// Positions of `count` pixels from -1 to 1, along `axis` of `rank` dims:
/// corners at the ends, or pixel edges.
static Value makePositions(GraphBuilder &b, AffineExpr count, int64_t axis,
                           int64_t rank, bool alignCorners, Type type) {
  Value index = b.cast(b.iota(count, axis, rank), type);
  Value size = b.cast(b.sizeValue(count), type);
  Value one = b.scalar(type, 1.0), two = b.scalar(type, 2.0);
  if (alignCorners)
    return b.sub(b.div(b.mul(index, two), b.sub(size, one)), one);
  Value doubled = b.add(b.mul(index, two), one);
  return b.sub(b.div(doubled, size), one);
}

/// `theta` times the homogeneous positions; coordinates are x, y(, z), dims
/// (depth,) height, width.
static LogicalResult importAffineGrid(NodeImporter &node) {
  GraphBuilder &b = node.b;
  std::optional<Dims> size = b.getContents(node.in(1));
  if (!size || (size->size() != 4 && size->size() != 5))
    return node.unsupported("the size must have 4 or 5 elements that are known "
                            "at compile time or follow from named dims");
  if (failed(node.checkRank(0, 3, 3)))
    return failure();
  bool alignCorners = node.getInt("align_corners", 0) != 0;
  Type type = b.getElementType(node.in(0));
  int64_t spatial = size->size() - 2;
  Dims dims(size->begin() + 2, size->end()), column(dims);
  column.push_back(b.size(1));
  SmallVector<Value> coordinates;
  for (int64_t axis = spatial; axis-- > 0;)
    coordinates.push_back(b.broadcast(
        makePositions(b, dims[axis], axis, spatial + 1, alignCorners, type),
        column));
  coordinates.push_back(b.broadcast(b.scalar(type, 1.0), column));
  Value points = b.reshape(b.concat(coordinates, spatial),
                           {b.product(dims), b.size(spatial + 1)});
  Value grid = b.matmul(points, b.transpose(node.in(0), {0, 2, 1}));
  Dims result = {b.getDim(node.in(0), 0)};
  llvm::append_range(result, dims);
  result.push_back(b.size(spatial));
  return node.set(b.reshape(grid, result));
}

ArrayRef<OpEntry> lathe::onnx::getGeneratorOps() {
  static constexpr OpEntry ops[] = {
      {"AffineGrid", 20, kNewest, 2, 2, Types::Float, importAffineGrid},
      {"BlackmanWindow", 17, kNewest, 1, 1, Types::Integer, importBlackman},
      {"Constant", 1, kNewest, 0, 0, Types::Any, importConstant},
      {"ConstantOfShape", 9, kNewest, 1, 1, Types::Integer,
       importConstantOfShape},
      {"EyeLike", 9, kNewest, 1, 1, Types::Any, importEyeLike},
      {"HammingWindow", 17, kNewest, 1, 1, Types::Integer, importHamming},
      {"HannWindow", 17, kNewest, 1, 1, Types::Integer, importHann},
      {"Range", 11, kNewest, 3, 3, Types::Number, importRange},
  };
  return ops;
}
