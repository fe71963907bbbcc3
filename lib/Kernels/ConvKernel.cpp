// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Convolutions that multiply all channels of a group with all its outputs.

#include "lib/Kernels/ConvKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Access;
using graph::Dims;
using graph::StridedView;

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
  void findLoops();
  bool multipliesNarrow() const;
  Value loadInput(ArrayRef<Value> at, bool inBounds);
  Value loadWeight(ArrayRef<Value> at, bool inBounds);
  Value loadPanel(ArrayRef<Value> at, bool inBounds);
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
  /// What is summed over, as loops: (kernel.., channels of a group), or the
  /// same elements in an order that is better to read.
  Dims loops;
  BlockArgument inputBuffer;
  StridedView input;                ///< Over (batch, output.., loops..).
  SmallVector<int64_t> weightOrder; ///< The weight's dims as loops.., outputs.
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

/// A row of the window lies in one piece if its channels do; channels that are
/// apart come before the last dim of the kernel.
void ConvKernel::findLoops() {
  std::tie(inputBuffer, input) = getWindowInput(kernel, launch, windows);
  loops = windows.getKernelDims();
  loops.push_back(conv.getGroupChannels());
  weightOrder.assign(conv.weightDims.begin(), conv.weightDims.end());
  if (!isPacked() || hasGroups())
    return;
  unsigned rank = windows.getRank(), channel = 2 * rank + 1;
  if (windows.copiesChannelsFirst) {
    auto permutation =
        llvm::to_vector(llvm::seq<int64_t>(0, input.dims.size()));
    std::swap(permutation[channel - 1], permutation[channel]);
    input.transpose(permutation);
    std::swap(loops[rank - 1], loops[rank]);
    std::swap(weightOrder[rank - 1], weightOrder[rank]);
    return;
  }
  Dims merged(ArrayRef(input.dims).drop_back(2));
  merged.push_back(graph::canonicalizeSize(loops[rank - 1] * loops[rank]));
  if (!input.reshape(merged))
    return;
  loops.pop_back();
  loops.back() = merged.back();
}

/// Whether a matrix unit takes the operands as they are stored.
bool ConvKernel::multipliesNarrow() const {
  const Capability &capability = launch.getContext().capability;
  auto typeOf = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getElementType();
  };
  Type type = typeOf(windows.argument);
  return capability.kind == Capability::Kind::Gpu && capability.matrixUnit &&
         isPacked() && (type.isF16() || type.isBF16()) &&
         type == conv.getStoredElement(launch.getGroup());
}

/// [pixels, depth] of the input.
Value ConvKernel::loadInput(ArrayRef<Value> at, bool inBounds) {
  TileWindow window;
  window.bases = position.outer;
  window.bases.push_back(position.pixel);
  window.bases.append(at.begin(), at.end());
  Value first = kernel.mul(group, kernel.getSize(conv.getGroupChannels()));
  window.bases.back() = kernel.add(first, at.back());
  unsigned rank = windows.getRank(), last = window.bases.size() - 1;
  window.extents.push_back(
      {rank, schedule.pixels,
       dividesSize(schedule.pixels, windows.output.back())});
  window.extents.push_back({last, schedule.depth, inBounds});
  Value tile = kernel.load(inputBuffer, input, window);
  return multipliesNarrow() ? tile : toComputeType(b, tile);
}

/// [depth, channels] of a weight stored as [panels][loops..][columns].
Value ConvKernel::loadPanel(ArrayRef<Value> at, bool inBounds) {
  MLIRContext *context = b.getContext();
  unsigned outputDim = weightOrder.back();
  Packing packing;
  packing.blocks.assign(weightOrder.size(), 1);
  packing.blocks[outputDim] = kPanelColumns;
  packing.outer.push_back(outputDim);
  packing.outer.append(weightOrder.begin(), weightOrder.end() - 1);
  packing.inner.assign(weightOrder.begin(), weightOrder.end());
  BufferRef ref = conv.getPackedWeight(launch.getGroup(), std::move(packing));

  Dims stored{conv.outputs.ceilDiv(kPanelColumns)};
  llvm::append_range(stored, loops);
  stored.push_back(getAffineConstantExpr(kPanelColumns, context));
  StridedView view = StridedView::getContiguous(context, stored);

  Value columns = kernel.getIndex(kPanelColumns);
  Value first = kernel.mul(group, kernel.getSize(conv.getGroupOutputs()));
  Value column = kernel.add(first, position.channel);
  TileWindow window;
  window.bases.push_back(arith::DivUIOp::create(b, column, columns));
  window.bases.append(at.begin(), at.end());
  Value inner = kernel.getIndex(0);
  if (schedule.channels < kPanelColumns)
    inner = arith::RemUIOp::create(b, column, columns);
  window.bases.push_back(inner);
  unsigned last = window.bases.size() - 1;
  window.extents = {{last - 1, schedule.depth, inBounds},
                    {last, schedule.channels, true}};
  Value tile = kernel.load(kernel.getBuffer(ref), view, window);
  return multipliesNarrow() ? tile : toComputeType(b, tile);
}

/// [depth, channels] of the weight; null after an error.
Value ConvKernel::loadWeight(ArrayRef<Value> at, bool isInside) {
  if (isPacked())
    return loadPanel(at, isInside);
  Value first = kernel.mul(group, kernel.getSize(conv.getGroupOutputs()));
  TileWindow window;
  window.bases.assign(at.begin(), at.end());
  window.bases.push_back(kernel.add(first, position.channel));
  unsigned rank = windows.getRank();
  bool inBounds = !hasGroups() && dividesSize(schedule.channels, conv.outputs);
  window.extents = {{rank, schedule.depth, isInside},
                    {rank + 1, schedule.channels, inBounds}};
  TileEvaluator evaluator(kernel, launch.getGroup(), launch.getContext(),
                          window);
  return evaluator.evaluate(conv.weight, conv.weightAccess).value_or(Value());
}

/// The finished accumulator; null after an error.
Value ConvKernel::accumulate() {
  bool failed = false;
  Value zero =
      kernel.getSplat({schedule.pixels, schedule.channels}, b.getF32Type(), 0);
  auto step = [&](ArrayRef<Value> at, Value sum, bool isInside) -> Value {
    Value x = loadInput(at, isInside), w = loadWeight(at, isInside);
    failed |= !x || !w;
    return failed ? sum : Value(tile::MmaOp::create(b, x, w, sum));
  };
  auto single = [&](ArrayRef<Value> at, Value sum) {
    return step(at, sum, /*isInside=*/true);
  };
  auto several = [&](ArrayRef<Value> outer, Value carried) -> Value {
    bool isInside = dividesSize(schedule.depth, loops.back());
    auto body = [&](Value from, ValueRange sums) -> SmallVector<Value> {
      SmallVector<Value> at(outer);
      at.push_back(from);
      return {step(at, sums[0], isInside)};
    };
    return kernel.forEach(kernel.getIndex(0), kernel.getSize(loops.back()),
                          kernel.getIndex(schedule.depth), {carried}, body)[0];
  };
  Value sum =
      schedule.depth == 1
          ? forEachIndex(kernel, loops, zero, single)
          : forEachIndex(kernel, ArrayRef(loops).drop_back(), zero, several);
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
  findLoops();
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
