// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Convolutions and pools.

#include "lib/Frontend/Onnx/BuiltinCall.h"
#include "lib/Frontend/Onnx/Windows.h"
#include "llvm/ADT/Sequence.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// SAME_UPPER and SAME_LOWER: as much padding as makes the result
/// ceil(size / stride) long, the odd element at the end or the beginning.
static LogicalResult resolveSame(NodeImporter &node, Value input, bool isUpper,
                                 Window &window) {
  size_t spatial = window.kernel.size();
  for (size_t i = 0; i < spatial; ++i) {
    int64_t extent = (window.kernel[i] - 1) * window.dilations[i] + 1;
    auto size = dyn_cast<AffineConstantExpr>(node.b.getDim(input, i + 2));
    int64_t missing = extent - 1;
    if (window.strides[i] != 1) {
      if (!size)
        return node.unsupported(
            "attribute 'auto_pad' with stride " + Twine(window.strides[i]) +
            " needs the size of dim " + Twine(i + 2) + " at compile time");
      int64_t steps = llvm::divideCeil(size.getValue(), window.strides[i]);
      missing = std::max<int64_t>(0, (steps - 1) * window.strides[i] + extent -
                                         size.getValue());
    }
    window.pads[i] = isUpper ? missing / 2 : missing - missing / 2;
    window.pads[i + spatial] = missing - window.pads[i];
  }
  return success();
}

std::optional<Window> lathe::onnx::getWindow(NodeImporter &node, Value input,
                                             ArrayRef<int64_t> kernel) {
  // Beyond this, extents could overflow; no tensor is that large.
  constexpr int64_t kLimit = int64_t(1) << 31;
  Window window;
  window.kernel =
      node.getInts("kernel_shape").value_or(SmallVector<int64_t>(kernel));
  size_t spatial = window.kernel.size();
  int64_t rank = node.b.getRank(input);
  if (rank < 3 || spatial != size_t(rank - 2) ||
      (!kernel.empty() && !llvm::equal(kernel, window.kernel))) {
    (void)node.invalid("attribute 'kernel_shape' does not fit the input of "
                       "rank " +
                       Twine(rank) + " and the weight");
    return std::nullopt;
  }
  window.strides = node.getInts("strides", spatial, 1);
  window.dilations = node.getInts("dilations", spatial, 1);
  std::string autoPad = node.getString("auto_pad", "NOTSET");
  bool isExplicit = autoPad == "NOTSET" || autoPad.empty();
  window.pads.assign(2 * spatial, 0);
  if (isExplicit)
    window.pads = node.getInts("pads", 2 * spatial, 0);
  node.ignore({"pads"});
  auto isPositive = [&](int64_t v) { return v > 0 && v < kLimit; };
  auto isPad = [&](int64_t v) { return v >= 0 && v < kLimit; };
  if (!llvm::all_of(window.kernel, isPositive) ||
      !llvm::all_of(window.strides, isPositive) ||
      !llvm::all_of(window.dilations, isPositive) ||
      !llvm::all_of(window.pads, isPad)) {
    (void)node.invalid("kernel, strides and dilations must be positive, pads "
                       "not negative");
    return std::nullopt;
  }
  if (isExplicit || autoPad == "VALID")
    return window;
  if (autoPad != "SAME_UPPER" && autoPad != "SAME_LOWER") {
    (void)node.invalid("attribute 'auto_pad' is '" + autoPad +
                       "'; allowed are NOTSET, VALID, SAME_UPPER, SAME_LOWER");
    return std::nullopt;
  }
  if (failed(resolveSame(node, input, autoPad == "SAME_UPPER", window)))
    return std::nullopt;
  return window;
}

/// The static spatial dims of a weight; nothing if one is not known.
static std::optional<SmallVector<int64_t>> getKernel(NodeImporter &node,
                                                     Value weight) {
  SmallVector<int64_t> shape = graph::toStaticShape(node.b.getDims(weight));
  if (shape.size() < 3) {
    (void)node.invalid("the weight must have rank 3 at least");
    return std::nullopt;
  }
  SmallVector<int64_t> kernel(llvm::drop_begin(shape, 2));
  if (!ShapedType::isDynamicShape(kernel))
    return kernel;
  (void)node.unsupported("the kernel's size must be known at compile time");
  return std::nullopt;
}

Value lathe::onnx::buildConv(NodeImporter &node, Value x, Value weight) {
  GraphBuilder &b = node.b;
  auto kernel = getKernel(node, weight);
  if (!kernel)
    return {};
  auto window = getWindow(node, x, *kernel);
  if (!window)
    return {};
  int64_t groups = node.getInt("group", 1);
  if (groups <= 0) {
    (void)node.invalid("attribute 'group' must be positive");
    return {};
  }
  return b.create<graph::ConvOp>(b.getElementType(x), x, weight,
                                 b.getDenseI64ArrayAttr(window->strides),
                                 b.getDenseI64ArrayAttr(window->dilations),
                                 b.getDenseI64ArrayAttr(window->pads),
                                 b.getI64IntegerAttr(groups), UnitAttr());
}

static LogicalResult importConv(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value y = buildConv(node, node.in(0), node.in(1));
  if (!y)
    return failure();
  if (node.hasInput(2))
    y = b.add(y, b.alongChannels(node.in(2), b.getRank(y)));
  return node.set(y);
}

/// Integers minus their zero points, in i32.
static LogicalResult importConvInteger(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Type i32 = b.getI32Type();
  auto centered = [&](unsigned input, bool perOutput) {
    Value value = b.cast(node.in(input), i32);
    Value zero = b.cast(node.in(input + 2), i32);
    if (!zero)
      return value;
    if (perOutput && b.getRank(zero) == 1) {
      Dims dims(std::max<int64_t>(b.getRank(value), 1), b.size(1));
      dims[0] = b.getDim(zero, 0);
      zero = b.reshape(zero, dims);
    }
    return b.sub(value, zero);
  };
  Value x = centered(0, false), weight = centered(1, true);
  if (!x || !weight)
    return failure();
  Value y = buildConv(node, x, weight);
  return y ? node.set(y) : failure();
}

//===-- Transposed convolution --------------------------------------------===//

/// Where the result's border comes from: `pads`, or what `output_shape` and
/// `auto_pad` make of them.
static LogicalResult resolveTransposedPads(NodeImporter &node, Value x,
                                           ArrayRef<int64_t> extra,
                                           Window &window) {
  GraphBuilder &b = node.b;
  size_t spatial = window.kernel.size();
  std::string autoPad = node.getString("auto_pad", "NOTSET");
  auto shape = node.getInts("output_shape");
  bool isSame = autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER";
  if (!shape && !isSame)
    return success();
  if (shape && shape->size() != spatial)
    return node.invalid("attribute 'output_shape' must have one size for each "
                        "spatial dim");
  for (size_t i = 0; i < spatial; ++i) {
    auto size = dyn_cast<AffineConstantExpr>(b.getDim(x, i + 2));
    if (!size)
      return node.unsupported("with 'output_shape' or 'auto_pad' the spatial "
                              "dims must be known at compile time");
    int64_t wanted = shape ? (*shape)[i] : size.getValue() * window.strides[i];
    int64_t total = window.strides[i] * (size.getValue() - 1) + extra[i] +
                    (window.kernel[i] - 1) * window.dilations[i] + 1 - wanted;
    int64_t half = llvm::divideFloorSigned(total, 2);
    window.pads[i] = autoPad == "SAME_UPPER" ? half : total - half;
    window.pads[i + spatial] = total - window.pads[i];
  }
  return success();
}

/// `x` with `stride - 1` zeros after each element of the spatial dims.
static Value stuffZeros(GraphBuilder &b, Value x, ArrayRef<int64_t> strides) {
  if (llvm::all_of(strides, [](int64_t stride) { return stride == 1; }))
    return x;
  Dims dims = b.getDims(x), apart(dims.begin(), dims.begin() + 2);
  Dims joined(apart);
  SmallVector<int64_t> low(2 + 2 * strides.size()), high(low);
  for (auto [i, stride] : llvm::enumerate(strides)) {
    apart.append({dims[i + 2], b.size(1)});
    high[3 + 2 * i] = stride - 1;
    joined.push_back(dims[i + 2] * stride);
  }
  Value wide = b.create<graph::PadOp>(b.getElementType(x), b.reshape(x, apart),
                                      b.scalarLike(x, 0.0), low, high,
                                      graph::PadMode::constant);
  return b.reshape(wide, joined);
}

/// [C, M / groups, kernel] mirrored and turned to [M, C / groups, kernel].
static Value mirrorWeight(GraphBuilder &b, Value weight, int64_t groups) {
  Dims dims = b.getDims(weight), starts(dims.size(), b.size(0));
  SmallVector<int64_t> steps(dims.size(), 1);
  for (size_t i = 2; i < dims.size(); ++i) {
    starts[i] = dims[i] - 1;
    steps[i] = -1;
  }
  Value mirrored =
      b.create<graph::SliceOp>(b.getElementType(weight), weight, b.map(starts),
                               b.map(dims), b.getDenseI64ArrayAttr(steps));
  Dims split = {b.size(groups), dims[0].floorDiv(groups), dims[1]};
  Dims joined = {dims[1] * groups, dims[0].floorDiv(groups)};
  SmallVector<int64_t> order = {0, 2, 1};
  for (size_t i = 2; i < dims.size(); ++i) {
    split.push_back(dims[i]);
    joined.push_back(dims[i]);
    order.push_back(i + 1);
  }
  return b.reshape(b.transpose(b.reshape(mirrored, split), order), joined);
}

/// A plain convolution of the zero-stuffed input with the mirrored weight.
static LogicalResult importConvTranspose(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0), weight = node.in(1);
  auto kernel = getKernel(node, weight);
  auto window = kernel ? getWindow(node, x, *kernel) : std::nullopt;
  int64_t groups = node.getInt("group", 1);
  if (!window)
    return failure();
  if (groups <= 0)
    return node.invalid("attribute 'group' must be positive");
  size_t spatial = kernel->size();
  SmallVector<int64_t> extra = node.getInts("output_padding", spatial, 0);
  if (failed(resolveTransposedPads(node, x, extra, *window)))
    return failure();
  SmallVector<int64_t> low(2 + spatial), high(low), ones(spatial, 1);
  for (size_t i = 0; i < spatial; ++i) {
    int64_t reach = (window->kernel[i] - 1) * window->dilations[i];
    low[i + 2] = reach - window->pads[i];
    high[i + 2] =
        reach - window->pads[i + spatial] + extra[i] - (window->strides[i] - 1);
  }
  Value wide = stuffZeros(b, x, window->strides);
  Value padded =
      b.create<graph::PadOp>(b.getElementType(x), wide, b.scalarLike(x, 0.0),
                             low, high, graph::PadMode::constant);
  Value y = b.create<graph::ConvOp>(
      b.getElementType(x), padded, mirrorWeight(b, weight, groups),
      b.getDenseI64ArrayAttr(ones), b.getDenseI64ArrayAttr(window->dilations),
      b.getDenseI64ArrayAttr(SmallVector<int64_t>(2 * spatial, 0)),
      b.getI64IntegerAttr(groups), UnitAttr());
  if (node.hasInput(2))
    y = b.add(y, b.alongChannels(node.in(2), b.getRank(y)));
  return node.set(y);
}

//===-- Pools -------------------------------------------------------------===//

static Value buildPool(NodeImporter &node, Reduction kind, Value x,
                       const Window &window, bool includePad) {
  GraphBuilder &b = node.b;
  auto unit = [&](bool set) { return set ? b.getUnitAttr() : UnitAttr(); };
  return b.create<graph::PoolOp>(
      b.getElementType(x), graph::ReductionAttr::get(b.getContext(), kind), x,
      b.getDenseI64ArrayAttr(window.kernel),
      b.getDenseI64ArrayAttr(window.strides),
      b.getDenseI64ArrayAttr(window.dilations),
      b.getDenseI64ArrayAttr(window.pads),
      unit(node.getInt("ceil_mode", 0) != 0), unit(includePad), UnitAttr());
}

static LogicalResult importAveragePool(NodeImporter &node) {
  bool includePad = node.getInt("count_include_pad", 0) != 0;
  auto window = getWindow(node, node.in(0), {});
  if (!window)
    return failure();
  return node.set(
      buildPool(node, Reduction::mean, node.in(0), *window, includePad));
}

static LogicalResult importMaxPool(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  auto window = getWindow(node, x, {});
  int64_t order = node.getInt("storage_order", 0);
  if (!window)
    return failure();
  Value y = buildPool(node, Reduction::max, x, *window, false);
  if (!y || !node.usesOutput(1))
    return node.set(y);
  Dims dims = b.getDims(y);
  BuiltinCall call(node, "max_pool_with_indices", {x});
  call.ints("kernel", window->kernel);
  call.ints("strides", window->strides);
  call.ints("dilations", window->dilations);
  call.ints("pads", window->pads);
  call.integer("ceil", node.getInt("ceil_mode", 0));
  call.integer("column_major", order);
  call.result(b.getElementType(x), dims);
  call.result(b.getI64Type(), dims);
  return call.set();
}

/// `(sum |x|^p)^(1/p)`; the sum is a mean that counts padding, times the size
/// of the window.
static LogicalResult importLpPool(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  auto window = getWindow(node, x, {});
  double p = node.getInt("p", 2);
  if (!window)
    return failure();
  if (p < 1)
    return node.invalid("attribute 'p' must be positive");
  double count = 1;
  for (int64_t size : window->kernel)
    count *= size;
  Value power =
      b.binary<graph::PowOp>(b.unary<graph::AbsOp>(x), b.scalarLike(x, p));
  Value mean = buildPool(node, Reduction::mean, power, *window, true);
  Value sum = b.mul(mean, b.scalarLike(x, count));
  return node.set(b.binary<graph::PowOp>(sum, b.scalarLike(x, 1.0 / p)));
}

template <Reduction kind>
static LogicalResult importGlobalPool(NodeImporter &node) {
  GraphBuilder &b = node.b;
  if (failed(node.checkRank(0, 2, kAnyCount)))
    return failure();
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(2, b.getRank(node.in(0))));
  return node.set(b.reduce(kind, node.in(0), axes, true));
}

static LogicalResult importGlobalLpPool(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  double p = node.getInt("p", 2);
  if (failed(node.checkRank(0, 2, kAnyCount)))
    return failure();
  if (p < 1)
    return node.invalid("attribute 'p' must be positive");
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(2, b.getRank(x)));
  Value power =
      b.binary<graph::PowOp>(b.unary<graph::AbsOp>(x), b.scalarLike(x, p));
  Value sum = b.reduce(Reduction::sum, power, axes, true);
  return node.set(b.binary<graph::PowOp>(sum, b.scalarLike(x, 1.0 / p)));
}

ArrayRef<OpEntry> lathe::onnx::getConvolutionOps() {
  static constexpr OpEntry ops[] = {
      {"AveragePool", 7, kNewest, 1, 1, Types::Float, importAveragePool},
      {"Conv", 1, kNewest, 2, 3, Types::Float, importConv},
      {"ConvInteger", 10, kNewest, 2, 4, Types::Integer, importConvInteger},
      {"ConvTranspose", 1, kNewest, 2, 3, Types::Float, importConvTranspose},
      {"GlobalAveragePool", 1, kNewest, 1, 1, Types::Float,
       importGlobalPool<Reduction::mean>},
      {"GlobalLpPool", 2, kNewest, 1, 1, Types::Float, importGlobalLpPool},
      {"GlobalMaxPool", 1, kNewest, 1, 1, Types::Float,
       importGlobalPool<Reduction::max>},
      {"LpPool", 2, kNewest, 1, 1, Types::Float, importLpPool},
      {"MaxPool", 1, kNewest, 1, 1, Types::Number, importMaxPool},
  };
  return ops;
}
