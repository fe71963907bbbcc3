// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that the runtime executes on the host. Builtins.md is the contract.

#include "dialects/Graph/IR/ConstantValues.h"
#include "lib/Frontend/Onnx/BuiltinCall.h"
#include "lib/Frontend/Onnx/OnnxFile.h"
#include "lib/Frontend/Onnx/Windows.h"
#include <cmath>

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

SmallVector<Value> BuiltinCall::build() {
  GraphBuilder &b = node.b;
  if (failed(node.requireBuiltin(callee))) {
    b.setFailed();
    return SmallVector<Value>(types.size());
  }
  SmallVector<Value> given;
  SmallVector<int64_t> positions;
  for (auto [i, operand] : llvm::enumerate(operands)) {
    if (!operand)
      continue;
    given.push_back(operand);
    positions.push_back(i);
  }
  if (!positions.empty() && positions.back() >= int64_t(positions.size()))
    ints("operands", positions);
  return b.builtin(callee, given, options, types, shapes);
}

LogicalResult BuiltinCall::set() { return node.set(build()); }

//===-- Selection ---------------------------------------------------------===//

static LogicalResult importTopK(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  auto axis = node.getAxis(node.getInt("axis", -1), b.getRank(x));
  if (!axis)
    return failure();
  BuiltinCall call(node, "top_k", {x});
  call.integer("axis", *axis);
  call.integer("largest", node.opset < 11 || node.getInt("largest", 1));
  call.integer("sorted", node.opset < 11 || node.getInt("sorted", 1));
  std::optional<Dims> k;
  if (node.opset < 10)
    k = Dims{b.size(node.getInt("k", 0))};
  else if (node.hasInput(1))
    k = b.getContents(node.in(1));
  else
    return node.invalid("k is missing");
  Dims dims = b.getDims(x);
  if (k && k->size() == 1) {
    auto wanted = dyn_cast<AffineConstantExpr>(k->front());
    auto have = dyn_cast<AffineConstantExpr>(dims[*axis]);
    if (wanted && (wanted.getValue() < 0 ||
                   (have && wanted.getValue() > have.getValue())))
      return node.invalid("k is " + Twine(wanted.getValue()) +
                          ", more than the axis has or negative");
    dims[*axis] = k->front();
    call.result(b.getElementType(x), dims);
    call.result(b.getI64Type(), dims);
    return call.set();
  }
  call.operands.push_back(node.in(1));
  SmallVector<int64_t> shape = graph::toStaticShape(dims);
  shape[*axis] = ShapedType::kDynamic;
  call.freshResult(b.getElementType(x), shape);
  call.freshResult(b.getI64Type(), shape);
  return call.set();
}

static LogicalResult importNonZero(NodeImporter &node) {
  GraphBuilder &b = node.b;
  BuiltinCall call(node, "nonzero", {node.in(0)});
  call.freshResult(b.getI64Type(),
                   {b.getRank(node.in(0)), ShapedType::kDynamic});
  return call.set();
}

/// The given axis, or -1 for a flattened input; failure if out of range.
static LogicalResult readFlatAxis(NodeImporter &node, int64_t &axis) {
  axis = -1;
  if (!node.hasAttr("axis"))
    return success();
  auto given = node.getAxis(node.getInt("axis", 0), node.b.getRank(node.in(0)));
  if (given)
    axis = *given;
  return success(given.has_value());
}

/// The static shape of input 0 with `axis` open, or one open dim.
static SmallVector<int64_t> openAxis(NodeImporter &node, int64_t axis) {
  if (axis < 0)
    return {ShapedType::kDynamic};
  SmallVector<int64_t> shape = graph::toStaticShape(node.b.getDims(node.in(0)));
  shape[axis] = ShapedType::kDynamic;
  return shape;
}

static LogicalResult importCompress(NodeImporter &node) {
  int64_t axis;
  if (failed(readFlatAxis(node, axis)) || failed(node.checkRank(1, 1, 1)))
    return failure();
  BuiltinCall call(node, "compress", {node.in(0), node.in(1)});
  call.integer("axis", axis);
  call.freshResult(node.b.getElementType(node.in(0)), openAxis(node, axis));
  return call.set();
}

static LogicalResult importUnique(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t axis;
  if (failed(readFlatAxis(node, axis)))
    return failure();
  BuiltinCall call(node, "unique", {node.in(0)});
  call.integer("axis", axis);
  call.integer("sorted", node.getInt("sorted", 1));
  call.freshResult(b.getElementType(node.in(0)), openAxis(node, axis));
  for (int i = 0; i < 3; ++i)
    call.freshResult(b.getI64Type(), {ShapedType::kDynamic});
  return call.set();
}

static LogicalResult importNonMaxSuppression(NodeImporter &node) {
  BuiltinCall call(node, "non_max_suppression", node.getInputs());
  call.integer("center_point_box", node.getInt("center_point_box", 0));
  call.freshResult(node.b.getI64Type(), {ShapedType::kDynamic, 3});
  return call.set();
}

static LogicalResult importCumProd(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axis = node.getAxisInput(1, b.getRank(node.in(0)));
  if (!axis)
    return failure();
  BuiltinCall call(node, "cumulative_product", {node.in(0)});
  call.integer("axis", *axis);
  call.integer("exclusive", node.getInt("exclusive", 0));
  call.integer("reverse", node.getInt("reverse", 0));
  call.result(b.getElementType(node.in(0)), b.getDims(node.in(0)));
  return call.set();
}

//===-- Images ------------------------------------------------------------===//

static LogicalResult importGridSample(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims x = b.getDims(node.in(0)), grid = b.getDims(node.in(1));
  if (x.size() < 3 || grid.size() != x.size())
    return node.invalid("input and grid must have the same rank, 3 at least");
  std::string mode = node.getString("mode", "linear");
  if (mode == "bilinear" || mode == "bicubic")
    mode = mode.substr(2); // The names before opset 20.
  BuiltinCall call(node, "grid_sample", {node.in(0), node.in(1)});
  call.string("mode", mode);
  call.string("padding_mode", node.getString("padding_mode", "zeros"));
  call.integer("align_corners", node.getInt("align_corners", 0));
  Dims dims = {x[0], x[1]};
  dims.append(grid.begin() + 1, grid.end() - 1);
  call.result(b.getElementType(node.in(0)), dims);
  return call.set();
}

static LogicalResult importRoiAlign(NodeImporter &node) {
  GraphBuilder &b = node.b;
  if (failed(node.checkRank(0, 4, 4)) || failed(node.checkRank(1, 2, 2)))
    return failure();
  int64_t height = node.getInt("output_height", 1);
  int64_t width = node.getInt("output_width", 1);
  if (height <= 0 || width <= 0)
    return node.invalid("the output's height and width must be positive");
  BuiltinCall call(node, "roi_align", node.getInputs());
  call.string("mode", node.getString("mode", "avg"));
  call.string("coordinate_transformation_mode",
              node.opset < 16 ? "output_half_pixel"
                              : node.getString("coordinate_transformation_mode",
                                               "half_pixel"));
  call.integer("sampling_ratio", node.getInt("sampling_ratio", 0));
  call.number("spatial_scale", node.getFloat("spatial_scale", 1.0));
  call.result(b.getElementType(node.in(0)),
              {b.getDim(node.in(1), 0), b.getDim(node.in(0), 1), b.size(height),
               b.size(width)});
  return call.set();
}

static LogicalResult importMaxRoiPool(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto shape = node.getInts("pooled_shape");
  if (failed(node.checkRank(0, 4, 4)) || failed(node.checkRank(1, 2, 2)))
    return failure();
  if (!shape || shape->size() != 2 || (*shape)[0] <= 0 || (*shape)[1] <= 0)
    return node.invalid("attribute 'pooled_shape' must be two positive sizes");
  BuiltinCall call(node, "max_roi_pool", node.getInputs());
  call.ints("pooled_shape", *shape);
  call.number("spatial_scale", node.getFloat("spatial_scale", 1.0));
  call.result(b.getElementType(node.in(0)),
              {b.getDim(node.in(1), 0), b.getDim(node.in(0), 1),
               b.size((*shape)[0]), b.size((*shape)[1])});
  return call.set();
}

static LogicalResult importMaxUnpool(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto window = getWindow(node, node.in(0), {});
  if (!window)
    return failure();
  Dims dims = b.getDims(node.in(0));
  size_t spatial = window->kernel.size();
  for (size_t i = 0; i < spatial; ++i)
    dims[i + 2] = (dims[i + 2] - 1) * window->strides[i] + window->kernel[i] -
                  (window->pads[i] + window->pads[i + spatial]);
  if (node.hasInput(2)) {
    std::optional<Dims> given = b.getContents(node.in(2));
    if (!given || given->size() != dims.size())
      return node.unsupported("output_shape must be known at compile time");
    dims = *given;
  }
  BuiltinCall call(node, "max_unpool", {node.in(0), node.in(1)});
  call.ints("kernel", window->kernel);
  call.ints("strides", window->strides);
  call.ints("pads", window->pads);
  call.result(b.getElementType(node.in(0)), dims);
  return call.set();
}

static LogicalResult importDeformConv(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims weight = b.getDims(node.in(1)), offset = b.getDims(node.in(2));
  SmallVector<int64_t> shape = graph::toStaticShape(weight);
  if (weight.size() < 3 || offset.size() != weight.size() ||
      ShapedType::isDynamicShape(shape))
    return node.unsupported("the weight's shape must be known at compile time "
                            "and the offset have its rank");
  auto window = getWindow(node, node.in(0), ArrayRef(shape).drop_front(2));
  if (!window)
    return failure();
  BuiltinCall call(node, "deform_conv", node.getInputs());
  call.ints("strides", window->strides);
  call.ints("dilations", window->dilations);
  call.ints("pads", window->pads);
  call.integer("group", node.getInt("group", 1));
  call.integer("offset_group", node.getInt("offset_group", 1));
  Dims dims = {b.getDim(node.in(0), 0), weight[0]};
  dims.append(offset.begin() + 2, offset.end());
  call.result(b.getElementType(node.in(0)), dims);
  return call.set();
}

static LogicalResult importCol2Im(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto image = node.getConstant(1), block = node.getConstant(2);
  if (!image || !block || failed(node.checkRank(0, 3, 3)))
    return failure();
  size_t spatial = image->size();
  int64_t kernel = 1;
  for (int64_t size : *block)
    if (size <= 0 || __builtin_mul_overflow(kernel, size, &kernel))
      return node.invalid("block sizes must be positive");
  if (block->size() != spatial)
    return node.invalid("image and block must have the same length");
  BuiltinCall call(node, "col2im", {node.in(0)});
  call.ints("image", *image);
  call.ints("block", *block);
  call.ints("strides", node.getInts("strides", spatial, 1));
  call.ints("dilations", node.getInts("dilations", spatial, 1));
  call.ints("pads", node.getInts("pads", 2 * spatial, 0));
  Dims dims = {b.getDim(node.in(0), 0),
               b.getDim(node.in(0), 1).floorDiv(kernel)};
  llvm::append_range(dims, b.sizes(*image));
  call.result(b.getElementType(node.in(0)), dims);
  return call.set();
}

//===-- Linear algebra and signals ----------------------------------------===//

static LogicalResult importDet(NodeImporter &node) {
  GraphBuilder &b = node.b;
  if (failed(node.checkRank(0, 2, kAnyCount)))
    return failure();
  Dims dims = b.getDims(node.in(0));
  BuiltinCall call(node, "det", {node.in(0)});
  call.result(b.getElementType(node.in(0)), ArrayRef(dims).drop_back(2));
  return call.set();
}

static LogicalResult importDft(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims dims = b.getDims(node.in(0));
  int64_t rank = dims.size();
  auto axis =
      node.opset >= 20 && node.hasInput(2)
          ? node.getAxisInput(2, rank)
          : node.getAxis(node.opset < 20 ? node.getInt("axis", 1) : -2, rank);
  if (!axis)
    return failure();
  if (rank < 2 || *axis == rank - 1)
    return node.invalid("the axis must not be the last, which holds the real "
                        "and imaginary part");
  if (node.hasInput(1)) {
    std::optional<Dims> length = b.getContents(node.in(1));
    if (!length || length->size() != 1)
      return node.unsupported("dft_length must be known at compile time");
    dims[*axis] = length->front();
  }
  bool onesided = node.getInt("onesided", 0) != 0;
  bool inverse = node.getInt("inverse", 0) != 0;
  auto length = dyn_cast<AffineConstantExpr>(dims[*axis]);
  BuiltinCall call(node, "dft", {node.in(0)});
  call.integer("axis", *axis);
  call.integer("inverse", inverse);
  call.integer("onesided", onesided);
  // 0: as long as the input is.
  call.integer("length", length && node.hasInput(1) ? length.getValue() : 0);
  if (node.hasInput(1) && !length)
    return node.unsupported("dft_length must be known at compile time");
  if (onesided && !inverse)
    dims[*axis] = dims[*axis].floorDiv(2) + 1;
  dims.back() = b.size(onesided && inverse ? 1 : 2);
  call.result(b.getElementType(node.in(0)), dims);
  return call.set();
}

static LogicalResult importStft(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims signal = b.getDims(node.in(0));
  auto step = node.getConstant(1);
  std::optional<SmallVector<int64_t>> length;
  if (node.hasInput(3))
    length = node.getConstant(3);
  else if (auto size = dyn_cast<AffineConstantExpr>(b.getDim(node.in(2), 0)))
    length = SmallVector<int64_t>{size.getValue()};
  if (!step || !length || step->size() != 1 || length->size() != 1 ||
      signal.size() < 2)
    return node.wasRefused() ? failure()
                             : node.invalid("needs a step and a length");
  int64_t frame = length->front(), hop = step->front();
  if (frame <= 0 || hop <= 0)
    return node.invalid("step and length must be positive");
  bool onesided = node.getInt("onesided", 1) != 0;
  BuiltinCall call(node, "stft", {node.in(0)});
  if (node.hasInput(2))
    call.operands.push_back(node.in(2));
  call.integer("step", hop);
  call.integer("length", frame);
  call.integer("onesided", onesided);
  AffineExpr frames = (signal[1] - frame).floorDiv(hop) + 1;
  call.result(
      b.getElementType(node.in(0)),
      {signal[0], frames, b.size(onesided ? frame / 2 + 1 : frame), b.size(2)});
  return call.set();
}

//===-- Random numbers ----------------------------------------------------===//

/// `isLike`: shape (and, by default, type) of the input, else attributes.
template <bool isNormal, bool isLike>
static LogicalResult importRandom(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Type type = isLike && !node.hasAttr("dtype")
                  ? b.getElementType(node.in(0))
                  : lathe::onnx::getElementType(b.getContext(),
                                                node.getInt("dtype", 1));
  if (!isa_and_nonnull<FloatType>(type))
    return node.unsupported("attribute 'dtype' must be a float type");
  Dims dims = b.getDims(node.in(0));
  if (!isLike) {
    auto shape = node.getInts("shape");
    if (!shape || llvm::any_of(*shape, [](int64_t d) { return d < 0; }))
      return node.invalid("attribute 'shape' must be given and not negative");
    llvm::append_range(dims, b.sizes(*shape));
  }
  BuiltinCall call(node, isNormal ? "random_normal" : "random_uniform", {});
  if (isNormal) {
    call.number("mean", node.getFloat("mean", 0.0));
    call.number("scale", node.getFloat("scale", 1.0));
  } else {
    call.number("low", node.getFloat("low", 0.0));
    call.number("high", node.getFloat("high", 1.0));
  }
  call.optionalNumber("seed");
  call.result(type, dims);
  return call.set();
}

static LogicalResult importBernoulli(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Type type =
      node.hasAttr("dtype")
          ? lathe::onnx::getElementType(b.getContext(), node.getInt("dtype", 0))
          : b.getElementType(node.in(0));
  if (!type)
    return node.unsupported("attribute 'dtype'");
  BuiltinCall call(node, "bernoulli", {node.in(0)});
  call.optionalNumber("seed");
  call.result(type, b.getDims(node.in(0)));
  return call.set();
}

static LogicalResult importMultinomial(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Type type =
      lathe::onnx::getElementType(b.getContext(), node.getInt("dtype", 6));
  int64_t count = node.getInt("sample_size", 1);
  if (failed(node.checkRank(0, 2, 2)))
    return failure();
  if (!type || count < 0)
    return node.unsupported("attribute 'dtype' or 'sample_size'");
  BuiltinCall call(node, "multinomial", {node.in(0)});
  call.optionalNumber("seed");
  call.result(type, {b.getDim(node.in(0), 0), b.size(count)});
  return call.set();
}

ArrayRef<OpEntry> lathe::onnx::getBuiltinOps() {
  static constexpr OpEntry ops[] = {
      {"Bernoulli", 15, kNewest, 1, 1, Types::Float, importBernoulli},
      {"Col2Im", 18, kNewest, 3, 3, Types::Any, importCol2Im},
      {"Compress", 9, kNewest, 2, 2, Types::Any, importCompress},
      {"CumProd", 26, kNewest, 2, 2, Types::Number, importCumProd},
      {"DFT", 17, kNewest, 1, 3, Types::Float, importDft},
      {"DeformConv", 19, kNewest, 3, 5, Types::Float, importDeformConv},
      {"Det", 11, kNewest, 1, 1, Types::Float, importDet},
      {"GridSample", 16, kNewest, 2, 2, Types::Any, importGridSample},
      {"MaxRoiPool", 1, kNewest, 2, 2, Types::Float, importMaxRoiPool},
      {"MaxUnpool", 9, kNewest, 2, 3, Types::Float, importMaxUnpool},
      {"Multinomial", 7, kNewest, 1, 1, Types::Float, importMultinomial},
      {"NonMaxSuppression", 10, kNewest, 2, 5, Types::Float,
       importNonMaxSuppression},
      {"NonZero", 9, kNewest, 1, 1, Types::Any, importNonZero},
      {"RandomNormal", 1, kNewest, 0, 0, Types::Any, importRandom<true, false>},
      {"RandomNormalLike", 1, kNewest, 1, 1, Types::Any,
       importRandom<true, true>},
      {"RandomUniform", 1, kNewest, 0, 0, Types::Any,
       importRandom<false, false>},
      {"RandomUniformLike", 1, kNewest, 1, 1, Types::Any,
       importRandom<false, true>},
      {"RoiAlign", 10, kNewest, 3, 3, Types::Float, importRoiAlign},
      {"STFT", 17, kNewest, 2, 4, Types::Float, importStft},
      {"TopK", 1, kNewest, 1, 2, Types::Number, importTopK},
      {"Unique", 11, kNewest, 1, 1, Types::Any, importUnique},
  };
  return ops;
}
