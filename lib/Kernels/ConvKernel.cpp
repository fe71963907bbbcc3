// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/ConvKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Access;
using graph::Dims;
using graph::StridedView;

//===----------------------------------------------------------------------===//
// All channels of a group with all outputs of it
//===----------------------------------------------------------------------===//

namespace {

class ConvKernel {
public:
  ConvKernel(LaunchBuilder &launch, const Convolution &conv,
             const ConvSchedule &schedule, KernelBuilder &kernel)
      : launch(launch), conv(conv), windows(conv.windows), schedule(schedule),
        kernel(kernel), b(kernel.getBuilder()) {}

  LogicalResult build();

private:
  /// Whether the weight's panels of columns do not straddle groups.
  bool isPacked() const {
    return conv.packedOperand &&
           (conv.groups == 1 ||
            dividesSize(kPanelColumns, conv.getGroupOutputs()));
  }
  bool hasGroups() const { return conv.groups > 1; }
  void findGroup();
  Value loadInput(ArrayRef<Value> at, Value channel);
  Value loadWeight(ArrayRef<Value> at, Value channel);
  Value loadPanel(ArrayRef<Value> at, Value channel);
  Value accumulate();
  LogicalResult store(Value tile);

  LaunchBuilder &launch;
  const Convolution &conv;
  const Windows &windows;
  const ConvSchedule &schedule;
  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;
  ConvPosition position; ///< `channel` is within the group.
  Value group;
};

} // namespace

void ConvKernel::findGroup() {
  position = findConvPosition(kernel, windows, schedule);
  group = kernel.getIndex(0);
  if (!hasGroups())
    return;
  Value count = kernel.getIndex(conv.groups), both = position.outer[0];
  position.outer[0] = arith::DivUIOp::create(b, both, count);
  group = arith::RemUIOp::create(b, both, count);
}

/// [pixels, 1] of the input.
Value ConvKernel::loadInput(ArrayRef<Value> at, Value channel) {
  auto [buffer, view] = getWindowInput(kernel, launch, windows);
  TileWindow window;
  window.bases = position.outer;
  window.bases.push_back(position.pixel);
  window.bases.append(at.begin(), at.end());
  Value first = kernel.mul(group, kernel.getSize(conv.getGroupChannels()));
  window.bases.push_back(kernel.add(first, channel));
  unsigned rank = windows.getRank();
  window.extents.push_back(
      {rank, schedule.pixels,
       dividesSize(schedule.pixels, windows.output.back())});
  window.extents.push_back({2 * rank + 1, 1, true});
  return toComputeType(b, kernel.load(buffer, view, window));
}

/// [1, channels] of a weight stored as [panels][kernel..][channels][columns].
Value ConvKernel::loadPanel(ArrayRef<Value> at, Value channel) {
  MLIRContext *context = b.getContext();
  unsigned outputDim = conv.weightDims.back();
  BufferRef ref = BufferRef::operand(*conv.packedOperand);
  Packing packing;
  packing.blocks.assign(conv.weightDims.size(), 1);
  packing.blocks[outputDim] = kPanelColumns;
  packing.outer.push_back(outputDim);
  packing.outer.append(conv.weightDims.begin(), conv.weightDims.end() - 1);
  packing.inner.assign(conv.weightDims.begin(), conv.weightDims.end());
  ref.packing = std::move(packing);

  Dims stored{conv.outputs.ceilDiv(kPanelColumns)};
  for (int64_t size : windows.kernel)
    stored.push_back(getAffineConstantExpr(size, context));
  stored.push_back(conv.getGroupChannels());
  stored.push_back(getAffineConstantExpr(kPanelColumns, context));
  StridedView view = StridedView::getContiguous(context, stored);

  Value columns = kernel.getIndex(kPanelColumns);
  Value first = kernel.mul(group, kernel.getSize(conv.getGroupOutputs()));
  Value column = kernel.add(first, position.channel);
  TileWindow window;
  window.bases.push_back(arith::DivUIOp::create(b, column, columns));
  window.bases.append(at.begin(), at.end());
  window.bases.push_back(channel);
  Value inner = kernel.getIndex(0);
  if (schedule.channels < kPanelColumns)
    inner = arith::RemUIOp::create(b, column, columns);
  window.bases.push_back(inner);
  unsigned rank = windows.getRank();
  window.extents = {{rank + 1, 1, true}, {rank + 2, schedule.channels, true}};
  return toComputeType(b, kernel.load(kernel.getBuffer(ref), view, window));
}

/// [1, channels] of the weight; null after an error.
Value ConvKernel::loadWeight(ArrayRef<Value> at, Value channel) {
  if (isPacked())
    return loadPanel(at, channel);
  Value first = kernel.mul(group, kernel.getSize(conv.getGroupOutputs()));
  TileWindow window;
  window.bases.assign(at.begin(), at.end());
  window.bases.append({channel, kernel.add(first, position.channel)});
  unsigned rank = windows.getRank();
  bool inBounds = !hasGroups() && dividesSize(schedule.channels, conv.outputs);
  window.extents = {{rank, 1, true}, {rank + 1, schedule.channels, inBounds}};
  TileEvaluator evaluator(kernel, launch.getGroup(), launch.getContext(),
                          window);
  return evaluator.evaluate(conv.weight, conv.weightAccess).value_or(Value());
}

/// The finished accumulator; null after an error.
Value ConvKernel::accumulate() {
  bool failed = false;
  Value zero =
      kernel.getSplat({schedule.pixels, schedule.channels}, b.getF32Type(), 0);
  auto atPosition = [&](ArrayRef<Value> at, Value sum) -> Value {
    auto step = [&](Value channel, ValueRange carried) -> SmallVector<Value> {
      Value x = loadInput(at, channel), w = loadWeight(at, channel);
      failed = !x || !w;
      if (failed)
        return {carried[0]};
      return {tile::MmaOp::create(b, x, w, carried[0])};
    };
    return kernel.forEach(kernel.getIndex(0),
                          kernel.getSize(conv.getGroupChannels()),
                          kernel.getIndex(1), {sum}, step)[0];
  };
  Value sum = forEachKernelPosition(kernel, windows, zero, atPosition);
  return failed ? Value() : sum;
}

LogicalResult ConvKernel::store(Value tile) {
  bool pixelsInBounds = dividesSize(schedule.pixels, windows.output.back());
  bool channelsInBounds =
      dividesSize(schedule.channels, conv.getGroupOutputs());
  Operation *root = windows.root;
  if (!hasGroups())
    return buildConvEpilogue(
        kernel, launch, root, tile,
        position.getOutputWindow(schedule, pixelsInBounds, channelsInBounds),
        windows.resultAccess, windows.yieldAccesses);
  // The channels of the result are split into groups.
  Dims space = windows.getSpace(
      windows.output, getAffineConstantExpr(conv.groups, b.getContext()));
  space.push_back(conv.getGroupOutputs());
  auto split = [&](Access access) {
    access.push_back(graph::ViewStep::getReshape(space));
    return access;
  };
  SmallVector<Access, 1> yields =
      llvm::map_to_vector<1>(windows.yieldAccesses, split);
  TileWindow window;
  window.bases = position.outer;
  window.bases.append({position.pixel, group, position.channel});
  unsigned rank = windows.getRank();
  window.extents = {{rank, schedule.pixels, pixelsInBounds},
                    {rank + 2, schedule.channels, channelsInBounds}};
  return buildConvEpilogue(kernel, launch, root, tile, window,
                           split(windows.resultAccess), yields);
}

LogicalResult ConvKernel::build() {
  findGroup();
  Value tile = accumulate();
  if (!tile || failed(store(tile)))
    return failure();
  setConvGrid(kernel, windows, conv.getGroupOutputs(), schedule, conv.groups);
  return success();
}

LogicalResult lathe::kernels::buildConvKernel(LaunchBuilder &launch,
                                              const Convolution &conv,
                                              const ConvSchedule &schedule,
                                              KernelBuilder &kernel) {
  return ConvKernel(launch, conv, schedule, kernel).build();
}

//===----------------------------------------------------------------------===//
// One channel, one output
//===----------------------------------------------------------------------===//

/// [pixels, channels] of a depthwise weight at one kernel position, the same
/// for all pixels; null after an error.
static Value loadDepthwiseWeight(LaunchBuilder &launch, KernelBuilder &kernel,
                                 const Convolution &conv,
                                 const ConvSchedule &schedule,
                                 const ConvPosition &position,
                                 ArrayRef<Value> at) {
  const Windows &windows = conv.windows;
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Value weight = conv.weight;
  Access access = conv.weightAccess;
  auto dimsOf = [&](Value value) { return launch.getDims(value); };
  auto argument =
      dyn_cast<BlockArgument>(graph::traceViews(weight, access, dimsOf));
  if (!argument)
    return nullptr;
  StridedView view;
  BufferRef ref = BufferRef::operand(argument.getArgNumber());
  Dims sizes;
  for (int64_t size : windows.kernel)
    sizes.push_back(getAffineConstantExpr(size, b.getContext()));
  sizes.append({getAffineConstantExpr(1, b.getContext()), conv.outputs});
  if (conv.packedOperand) {
    view = StridedView::getContiguous(b.getContext(), sizes);
    Packing packing;
    packing.blocks.assign(sizes.size(), 1);
    packing.outer.assign(conv.weightDims.begin(), conv.weightDims.end());
    packing.inner = packing.outer;
    ref.packing = std::move(packing);
  } else {
    view = *graph::applyAccess(
        StridedView::getContiguous(b.getContext(), dimsOf(argument)), access);
  }
  view.dims.insert(view.dims.begin(), windows.output.back());
  view.strides.insert(view.strides.begin(),
                      getAffineConstantExpr(0, b.getContext()));
  TileWindow window;
  window.bases.push_back(position.pixel);
  window.bases.append(at.begin(), at.end());
  window.bases.append({kernel.getIndex(0), position.channel});
  unsigned last = windows.getRank() + 2;
  window.extents = {
      {0, schedule.pixels, true},
      {last, schedule.channels, dividesSize(schedule.channels, conv.outputs)}};
  return toComputeType(b, kernel.load(kernel.getBuffer(ref), view, window));
}

LogicalResult lathe::kernels::buildDepthwiseKernel(LaunchBuilder &launch,
                                                   const Convolution &conv,
                                                   const ConvSchedule &schedule,
                                                   KernelBuilder &kernel) {
  const Windows &windows = conv.windows;
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  ConvPosition position = findConvPosition(kernel, windows, schedule);
  auto [buffer, view] = getWindowInput(kernel, launch, windows);
  bool pixelsInBounds = dividesSize(schedule.pixels, windows.output.back());
  bool channelsInBounds = dividesSize(schedule.channels, conv.outputs);
  unsigned rank = windows.getRank();
  bool isLoaded = true;
  auto step = [&, buffer = buffer, view = view](ArrayRef<Value> at,
                                                Value sum) -> Value {
    TileWindow window;
    window.bases = position.outer;
    window.bases.push_back(position.pixel);
    window.bases.append(at.begin(), at.end());
    window.bases.push_back(position.channel);
    window.extents = {{rank, schedule.pixels, pixelsInBounds},
                      {2 * rank + 1, schedule.channels, channelsInBounds}};
    Value x = toComputeType(b, kernel.load(buffer, view, window));
    Value w = loadDepthwiseWeight(launch, kernel, conv, schedule, position, at);
    isLoaded &= static_cast<bool>(w);
    return w ? Value(math::FmaOp::create(b, x, w, sum)) : sum;
  };
  Value zero =
      kernel.getSplat({schedule.pixels, schedule.channels}, b.getF32Type(), 0);
  Value sum = forEachKernelPosition(kernel, windows, zero, step);
  if (!isLoaded ||
      failed(buildConvEpilogue(
          kernel, launch, windows.root, sum,
          position.getOutputWindow(schedule, pixelsInBounds, channelsInBounds),
          windows.resultAccess, windows.yieldAccesses)))
    return failure();
  setConvGrid(kernel, windows, conv.outputs, schedule, 1);
  return success();
}
