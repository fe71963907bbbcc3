// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Resize and Upsample as the host built-in `resize`.

#include "dialects/Graph/IR/ConstantValues.h"
#include "lib/Frontend/Onnx/BuiltinCall.h"
#include "llvm/ADT/Sequence.h"
#include <cmath>

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// The numbers of a constant float tensor.
static std::optional<SmallVector<double>> getNumbers(NodeImporter &node,
                                                     unsigned input) {
  Value value = node.in(input);
  auto op = value ? value.getDefiningOp<graph::ConstantOp>() : nullptr;
  auto numbers = op ? graph::getNumbers(op.getValue(), 64) : std::nullopt;
  if (!numbers)
    (void)node.unsupported("input " + Twine(input) +
                           " must be known at compile time");
  return numbers;
}

/// floor(value), if that is a size.
static std::optional<int64_t> toSize(double value) {
  value = std::floor(value);
  if (!(value >= 0 && value < 0x1p62))
    return std::nullopt;
  return int64_t(value);
}

/// floor(dim * scale), if the result is a size. For a dim that is not known,
/// the scale or its inverse must be a whole number. Else null.
static AffineExpr scaleDim(AffineExpr dim, double scale) {
  if (auto size = dyn_cast<AffineConstantExpr>(dim)) {
    std::optional<int64_t> scaled = toSize(size.getValue() * scale);
    return scaled ? getAffineConstantExpr(*scaled, dim.getContext())
                  : AffineExpr();
  }
  if (scale == std::floor(scale))
    return dim * int64_t(scale);
  double inverse = 1.0 / scale;
  std::optional<int64_t> divisor = toSize(inverse);
  return divisor && double(*divisor) == inverse ? dim.floorDiv(*divisor)
                                                : AffineExpr();
}

static LogicalResult applyScales(NodeImporter &node, ArrayRef<double> given,
                                 ArrayRef<int64_t> axes, Dims &dims,
                                 SmallVectorImpl<double> &scales) {
  if (given.size() != axes.size())
    return node.invalid("has " + Twine(given.size()) + " scales for " +
                        Twine(axes.size()) + " axes");
  scales.assign(dims.size(), 1.0);
  for (auto [axis, scale] : llvm::zip_equal(axes, given)) {
    if (!(scale > 0.0 && scale < 1e6))
      return node.invalid("scales must be positive and finite");
    scales[axis] = scale;
    dims[axis] = scaleDim(dims[axis], scale);
    if (!dims[axis])
      return node.unsupported("scale " + std::to_string(scale) + " for dim " +
                              Twine(axis) +
                              ": the result must be a size, and for a dim that "
                              "is not known at compile time, the scale or its "
                              "inverse a whole number");
  }
  return success();
}

/// Sizes with one scale for all axes, the smallest or largest of theirs.
static LogicalResult keepAspect(NodeImporter &node, StringRef policy,
                                ArrayRef<int64_t> axes, const Dims &input,
                                Dims &dims, SmallVectorImpl<double> &scales) {
  double scale = policy == "not_larger" ? INFINITY : 0.0;
  for (int64_t axis : axes) {
    auto from = dyn_cast<AffineConstantExpr>(input[axis]);
    auto to = dyn_cast<AffineConstantExpr>(dims[axis]);
    if (!from || !to || from.getValue() == 0)
      return node.unsupported("'keep_aspect_ratio_policy' needs sizes that are "
                              "known at compile time");
    double ratio = double(to.getValue()) / from.getValue();
    scale = policy == "not_larger" ? std::min(scale, ratio)
                                   : std::max(scale, ratio);
  }
  scales.assign(dims.size(), 1.0);
  for (int64_t axis : axes) {
    auto from = cast<AffineConstantExpr>(input[axis]);
    scales[axis] = scale;
    std::optional<int64_t> size = toSize(scale * from.getValue() + 0.5);
    if (!size)
      return node.invalid("the sizes, with the aspect ratio kept, exceed 2^62");
    dims[axis] = node.b.size(*size);
  }
  return success();
}

static LogicalResult applySizes(NodeImporter &node, ArrayRef<int64_t> axes,
                                Dims &dims, SmallVectorImpl<double> &scales) {
  std::optional<Dims> sizes = node.b.getContents(node.in(3));
  if (!sizes)
    return node.unsupported("sizes must be known at compile time or follow "
                            "from named dims");
  if (sizes->size() != axes.size())
    return node.invalid("has " + Twine(sizes->size()) + " sizes for " +
                        Twine(axes.size()) + " axes");
  Dims input = dims;
  for (auto [axis, size] : llvm::zip_equal(axes, *sizes)) {
    auto known = dyn_cast<AffineConstantExpr>(size);
    if (known && known.getValue() < 0)
      return node.invalid("sizes must not be negative");
    dims[axis] = size;
  }
  std::string policy = node.getString("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch")
    return success();
  if (policy != "not_larger" && policy != "not_smaller")
    return node.invalid("attribute 'keep_aspect_ratio_policy' is '" + policy +
                        "'; allowed are stretch, not_larger, not_smaller");
  return keepAspect(node, policy, axes, input, dims, scales);
}

static LogicalResult addModes(NodeImporter &node, BuiltinCall &call,
                              StringRef defaultTransformation) {
  std::string mode = node.getString("mode", "nearest");
  if (mode != "nearest" && mode != "linear" && mode != "cubic")
    return node.invalid("attribute 'mode' is '" + mode +
                        "'; allowed are nearest, linear and cubic");
  call.string("mode", mode);
  call.string(
      "coordinate_transformation_mode",
      node.getString("coordinate_transformation_mode", defaultTransformation));
  call.string("nearest_mode",
              node.getString("nearest_mode",
                             node.opset < 11 ? "floor" : "round_prefer_floor"));
  call.number("cubic_coeff_a", node.getFloat("cubic_coeff_a", -0.75));
  call.integer("exclude_outside", node.getInt("exclude_outside", 0));
  call.number("extrapolation_value", node.getFloat("extrapolation_value", 0.0));
  call.integer("antialias", node.getInt("antialias", 0));
  return success();
}

/// Upsample (to opset 9) and Resize 10: scales only, corners at the origin.
static LogicalResult importUpsample(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims dims = b.getDims(node.in(0));
  std::optional<SmallVector<double>> given =
      node.opset < 9 ? node.getFloats("scales") : getNumbers(node, 1);
  if (!given)
    return node.wasRefused() ? failure() : node.invalid("scales are missing");
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(0, dims.size()));
  SmallVector<double> scales;
  BuiltinCall call(node, "resize", {node.in(0)});
  if (failed(applyScales(node, *given, axes, dims, scales)) ||
      failed(addModes(node, call, "asymmetric")))
    return failure();
  call.numbers("scales", scales);
  call.result(b.getElementType(node.in(0)), dims);
  return call.set();
}

static LogicalResult importResize(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims dims = b.getDims(node.in(0));
  SmallVector<int64_t> all =
      llvm::to_vector(llvm::seq<int64_t>(0, dims.size()));
  SmallVector<int64_t> axes;
  for (int64_t axis : node.getInts("axes").value_or(all)) {
    auto positive = node.getAxis(axis, dims.size());
    if (!positive)
      return failure();
    axes.push_back(*positive);
  }
  SmallVector<double> scales;
  // An empty tensor stands for a left-out input, too.
  auto isGiven = [&](unsigned input) {
    return node.hasInput(input) && b.getDim(node.in(input), 0) != b.size(0);
  };
  if (isGiven(3)) {
    if (failed(applySizes(node, axes, dims, scales)))
      return failure();
  } else if (isGiven(2)) {
    auto given = getNumbers(node, 2);
    if (!given || failed(applyScales(node, *given, axes, dims, scales)))
      return failure();
    node.ignore({"keep_aspect_ratio_policy"});
  } else {
    return node.invalid("scales or sizes must be given");
  }
  BuiltinCall call(node, "resize", {node.in(0)});
  if (failed(addModes(node, call, "half_pixel")))
    return failure();
  if (!scales.empty())
    call.numbers("scales", scales);
  if (node.getString("coordinate_transformation_mode", "") ==
      "tf_crop_and_resize") {
    auto given = getNumbers(node, 1);
    if (!given || given->size() != 2 * axes.size())
      return node.wasRefused() ? failure()
                               : node.invalid("roi does not fit the axes");
    SmallVector<double> roi(2 * dims.size(), 0.0);
    std::fill(roi.begin() + dims.size(), roi.end(), 1.0);
    for (auto [i, axis] : llvm::enumerate(axes)) {
      roi[axis] = (*given)[i];
      roi[dims.size() + axis] = (*given)[axes.size() + i];
    }
    call.numbers("roi", roi);
  }
  call.result(b.getElementType(node.in(0)), dims);
  return call.set();
}

ArrayRef<OpEntry> lathe::onnx::getResizeOps() {
  static constexpr OpEntry ops[] = {
      {"Resize", 10, 10, 2, 2, Types::Any, importUpsample},
      {"Resize", 11, kNewest, 1, 4, Types::Any, importResize},
      {"Upsample", 7, 9, 1, 2, Types::Any, importUpsample},
  };
  return ops;
}
