// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Depthwise convolutions: one input and one output channel per group.

#include "lib/Kernels/ConvKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Access;
using graph::Dims;
using graph::StridedView;

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
    ref = conv.getPackedWeight(launch.getGroup(), std::move(packing));
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
  bool channelsInBounds = dividesSize(schedule.channels, conv.outputs);
  LogicalResult result = success();
  auto buildTile = [&](const LaneTile &tile) {
    auto step = [&](ArrayRef<Value> at, Value x, Value sum) -> Value {
      Value w = loadDepthwiseWeight(launch, kernel, conv, schedule,
                                    tile.position, at);
      if (!w)
        result = failure();
      return w ? Value(math::FmaOp::create(b, x, w, sum)) : sum;
    };
    Value zero = kernel.getSplat({schedule.pixels, schedule.channels},
                                 b.getF32Type(), 0);
    Value sum = reduceWindows(kernel, launch, windows, schedule, tile,
                              /*outside=*/0.0, zero, step);
    TileWindow window = tile.position.getOutputWindow(
        schedule, tile.pixelsInBounds, channelsInBounds);
    if (failed(buildConvEpilogue(kernel, launch, windows.root, sum, window,
                                 windows.resultAccess, windows.yieldAccesses)))
      result = failure();
  };
  forEachKindOfTile(kernel, windows, schedule, buildTile);
  setConvGrid(kernel, windows, conv.outputs, schedule, 1);
  return result;
}
