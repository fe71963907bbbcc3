// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What convolution and pooling kernels share: where windows are, and the padded
// copy of the input.

#include "lib/Kernels/ConvKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/MicroTile.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

bool lathe::kernels::dividesSize(int64_t size, AffineExpr dim) {
  return size == 1 || isMultipleOf(dim, size);
}

SmallVector<ConvSchedule, 3> lathe::kernels::listConvSchedules(
    const Capability &capability, const Windows &windows, AffineExpr channels,
    std::optional<int64_t> steps, bool channelsInner) {
  ProductSizes sizes;
  sizes.rows = getConstantSize(windows.output.back());
  for (AffineExpr size : ArrayRef(windows.output).drop_back())
    sizes.pieces *= getConstantSize(size).value_or(1);
  sizes.columns = getConstantSize(channels);
  sizes.steps = steps;
  sizes.panelColumns = kPanelColumns;
  sizes.readsInputPerColumn = channelsInner;
  SmallVector<ConvSchedule, 3> schedules;
  for (MicroTile tile : listMicroTiles(capability, sizes))
    schedules.push_back({tile.rows, tile.columns, channelsInner});
  return schedules;
}

SmallVector<ConvSchedule, 3>
lathe::kernels::listGpuConvSchedules(const Capability &capability,
                                     const Convolution &conv) {
  // Rows that an instruction multiplies at least, and the most of a program.
  constexpr int64_t fewest = 16, most = 64, shallow = 16, deep = 32;
  auto clamp = [](std::optional<int64_t> size, int64_t least, int64_t limit) {
    int64_t padded =
        llvm::PowerOf2Ceil(std::max<int64_t>(size.value_or(limit), 1));
    return std::clamp(padded, least, limit);
  };
  ConvSchedule schedule;
  schedule.pixels =
      clamp(getConstantSize(conv.windows.output.back()), fewest, most);
  schedule.channels =
      clamp(getConstantSize(conv.getGroupOutputs()), fewest, kPanelColumns);
  auto type = cast<RankedTensorType>(conv.windows.argument.getType());
  bool isNarrow = type.getElementTypeBitWidth() == 16 && capability.matrixUnit;
  schedule.depth = isNarrow ? deep : shallow;
  // Beyond a group are the channels of the next one, not zeros.
  while (conv.groups > 1 &&
         !dividesSize(schedule.depth, conv.getGroupChannels()))
    schedule.depth /= 2;
  return {schedule};
}

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

TileWindow ConvPosition::getOutputWindow(const ConvSchedule &schedule,
                                         bool pixelsInBounds,
                                         bool channelsInBounds) const {
  TileWindow window;
  window.bases.assign(outer.begin(), outer.end());
  window.bases.append({pixel, channel});
  unsigned first = outer.size();
  window.extents.push_back({first, schedule.pixels, pixelsInBounds});
  window.extents.push_back({first + 1, schedule.channels, channelsInBounds});
  return window;
}

/// The output dims with the last one in tiles.
static Dims getPixelTiles(const Windows &windows, int64_t pixels) {
  Dims tiles = windows.output;
  tiles.back() = graph::canonicalizeSize(tiles.back().ceilDiv(pixels));
  return tiles;
}

ConvPosition lathe::kernels::findConvPosition(KernelBuilder &kernel,
                                              const Windows &windows,
                                              const ConvSchedule &schedule) {
  ConvPosition position;
  unsigned pixelAxis = schedule.channelsInner ? 1 : 0;
  SmallVector<Value> tiles = kernel.delinearize(
      kernel.getProgramId(pixelAxis), getPixelTiles(windows, schedule.pixels));
  position.pixel =
      kernel.mul(tiles.pop_back_val(), kernel.getIndex(schedule.pixels));
  position.channel = kernel.mul(kernel.getProgramId(1 - pixelAxis),
                                kernel.getIndex(schedule.channels));
  position.outer.push_back(kernel.getProgramId(2));
  position.outer.append(tiles.begin(), tiles.end());
  return position;
}

void lathe::kernels::setConvGrid(KernelBuilder &kernel, const Windows &windows,
                                 AffineExpr channels,
                                 const ConvSchedule &schedule, int64_t groups) {
  Dims tiles = getPixelTiles(windows, schedule.pixels);
  AffineExpr pixels = graph::getProduct(kernel.getContext(), tiles);
  AffineExpr columns = channels.ceilDiv(schedule.channels);
  if (schedule.channelsInner)
    std::swap(pixels, columns);
  kernel.setGrid({pixels, columns, windows.batch * groups});
}

std::pair<BlockArgument, StridedView>
lathe::kernels::getWindowInput(KernelBuilder &kernel, LaunchBuilder &launch,
                               const Windows &windows) {
  if (windows.needsCopy())
    return {kernel.getBuffer(BufferRef::temporary(0)),
            windows.getWindowView(getPaddedView(windows))};
  auto dimsOf = [&](Value value) { return launch.getDims(value); };
  unsigned operand = windows.argument.getArgNumber();
  return {kernel.getBuffer(BufferRef::operand(operand)),
          windows.getWindowView(windows.getInputView(dimsOf))};
}

/// An innermost loop of so few steps costs more than they do.
static constexpr int64_t kUnrolledSteps = 8;

static Value
forEachFrom(KernelBuilder &kernel, ArrayRef<AffineExpr> sizes,
            SmallVector<Value> &at, Value carried,
            llvm::function_ref<Value(ArrayRef<Value>, Value)> body) {
  if (at.size() == sizes.size())
    return body(at, carried);
  auto step = [&](Value index, ValueRange values) -> SmallVector<Value> {
    at.push_back(index);
    Value next = forEachFrom(kernel, sizes, at, values[0], body);
    at.pop_back();
    return {next};
  };
  AffineExpr size = sizes[at.size()];
  bool isInnermost = at.size() + 1 == sizes.size();
  if (auto count = getConstantSize(size);
      count && (*count == 1 || (isInnermost && *count <= kUnrolledSteps))) {
    for (int64_t index = 0; index < *count; ++index)
      carried = step(kernel.getIndex(index), carried)[0];
    return carried;
  }
  return kernel.forEach(kernel.getIndex(0), kernel.getSize(size),
                        kernel.getIndex(1), {carried}, step)[0];
}

Value lathe::kernels::forEachIndex(
    KernelBuilder &kernel, ArrayRef<AffineExpr> sizes, Value carried,
    llvm::function_ref<Value(ArrayRef<Value>, Value)> body) {
  SmallVector<Value> at;
  return forEachFrom(kernel, sizes, at, carried, body);
}

LogicalResult lathe::kernels::buildConvEpilogue(
    KernelBuilder &kernel, LaunchBuilder &launch, Operation *root, Value tile,
    const TileWindow &window, const graph::Access &rootAccess,
    ArrayRef<graph::Access> yieldAccesses) {
  graph::GroupOp group = launch.getGroup();
  TileEvaluator evaluator(kernel, group, launch.getContext(), window);
  evaluator.bind(root->getResult(0), rootAccess, tile);
  Operation *yield = group.getBody().front().getTerminator();
  for (auto [i, value] : llvm::enumerate(yield->getOperands())) {
    FailureOr<Value> result = evaluator.evaluate(value, yieldAccesses[i]);
    if (failed(result) || failed(evaluator.store(*result, i, yieldAccesses[i])))
      return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// The padded copy
//===----------------------------------------------------------------------===//

/// (batch, span.., channels), or (batch, channels, span..).
static Dims getPaddedDims(const Windows &windows) {
  Dims dims = windows.getSpace(windows.getSpan(), windows.channels);
  if (windows.copiesChannelsFirst)
    std::rotate(dims.begin() + 1, dims.end() - 1, dims.end());
  return dims;
}

Temporary lathe::kernels::getPaddedInput(const Windows &windows) {
  Type element =
      cast<RankedTensorType>(windows.argument.getType()).getElementType();
  return {element, getPaddedDims(windows)};
}

StridedView lathe::kernels::getPaddedView(const Windows &windows) {
  StridedView view = StridedView::getContiguous(windows.root->getContext(),
                                                getPaddedDims(windows));
  if (windows.copiesChannelsFirst) {
    SmallVector<int64_t> permutation{0};
    for (unsigned i = 0; i < windows.getRank(); ++i)
      permutation.push_back(2 + i);
    permutation.push_back(1);
    view.transpose(permutation);
  }
  return view;
}

namespace {
/// One program copies one row: it stands at one place in all dims but the last
/// spatial one and, if they lie within it, the channels.
class PadKernel {
public:
  PadKernel(LaunchBuilder &launch, const Windows &windows, double outside)
      : launch(launch), windows(windows), outside(outside),
        lanes(launch.getContext().capability.getLanes(32)),
        kernel(launch.addKernel("conv",
                                {windows.copiesChannelsFirst ? lanes : pixels,
                                 windows.copiesChannelsFirst ? 1 : lanes})) {}

  void build();

private:
  static constexpr int64_t pixels = 4;
  Value getSource(Value index, unsigned dim);
  void move(Value pixel, Value channel, bool inBounds);
  void moveRow();

  LaunchBuilder &launch;
  const Windows &windows;
  double outside;
  int64_t lanes;
  KernelBuilder kernel;
  SmallVector<Value> row;
  Value channel; ///< If it is the program's.
};
} // namespace

/// Where an element of the copy is in the input. What comes from a program id
/// alone is taken to be inside a view: the limit keeps rows of padding from
/// that.
Value PadKernel::getSource(Value index, unsigned dim) {
  if (windows.low[dim] != 0 || dim + 1 == windows.getRank())
    return kernel.add(index, kernel.getIndex(-windows.low[dim]));
  return arith::MinSIOp::create(kernel.getBuilder(), index,
                                kernel.getSize(windows.input[dim]));
}

void PadKernel::move(Value pixel, Value channel, bool inBounds) {
  auto dimsOf = [&](Value value) { return launch.getDims(value); };
  unsigned operand = windows.argument.getArgNumber();
  unsigned rank = windows.getRank();
  TileWindow read, write;
  write.bases.push_back(kernel.getProgramId(1));
  write.bases.append(row.begin(), row.end());
  write.bases.append({pixel, channel});
  read.bases = write.bases;
  for (unsigned i = 0; i < rank; ++i)
    read.bases[1 + i] = getSource(write.bases[1 + i], i);
  if (windows.copiesChannelsFirst) {
    read.extents = {{rank, lanes, false}};
    write.extents = {{rank, lanes, inBounds}};
  } else {
    read.extents = {{rank, pixels, false}, {rank + 1, lanes, inBounds}};
    write.extents = read.extents;
  }
  Value tile = kernel.load(kernel.getBuffer(BufferRef::operand(operand)),
                           windows.getInputView(dimsOf), read);
  if (auto load = tile.getDefiningOp<tile::LoadOp>(); load && outside != 0.0)
    load.setPadAttr(kernel.getBuilder().getFloatAttr(
        cast<RankedTensorType>(tile.getType()).getElementType(), outside));
  kernel.store(tile, kernel.getWrittenBuffer(BufferRef::temporary(0)),
               getPaddedView(windows), write);
}

void PadKernel::moveRow() {
  AffineExpr width = windows.getSpan().back();
  using Values = SmallVector<Value>;
  if (windows.copiesChannelsFirst) {
    kernel.forEachTile(width, lanes, {}, [&](Value pixel, ValueRange, bool in) {
      move(pixel, channel, in);
      return Values();
    });
    return;
  }
  auto movePixels = [&](Value pixel, ValueRange) -> Values {
    kernel.forEachTile(windows.channels, lanes, {},
                       [&](Value channel, ValueRange, bool in) {
                         move(pixel, channel, in);
                         return Values();
                       });
    return {};
  };
  kernel.forEach(kernel.getIndex(0), kernel.getSize(width),
                 kernel.getIndex(pixels), {}, movePixels);
}

void PadKernel::build() {
  Dims rows = windows.getSpan();
  rows.pop_back();
  if (windows.copiesChannelsFirst)
    rows.push_back(windows.channels);
  row = kernel.delinearize(kernel.getProgramId(0), rows);
  if (windows.copiesChannelsFirst)
    channel = row.pop_back_val();
  moveRow();
  kernel.setGrid({graph::getProduct(kernel.getContext(), rows), windows.batch});
}

void lathe::kernels::buildPadKernel(LaunchBuilder &launch,
                                    const Windows &windows, double outside) {
  PadKernel(launch, windows, outside).build();
}

FailureOr<LoweredGroup> lathe::kernels::lowerWindows(
    graph::GroupOp group, LoweringContext &context, const Windows &windows,
    StringRef strategy, StringRef name, AffineExpr flops, double outside,
    ArrayRef<ConvSchedule> schedules,
    llvm::function_ref<LogicalResult(LaunchBuilder &, const ConvSchedule &,
                                     KernelBuilder &)>
        build) {
  LoweredGroup lowered;
  if (windows.needsCopy()) {
    lowered.temporaries.push_back(getPaddedInput(windows));
    LaunchBuilder launch(group, context);
    launch.setTemporaries(lowered.temporaries);
    buildPadKernel(launch, windows, outside);
    lowered.launches.push_back(
        launch.finish("pad_" + getShapeName({windows.channels}), AffineExpr()));
  }
  LaunchBuilder launch(group, context);
  launch.setTemporaries(lowered.temporaries);
  SmallVector<SmallVector<int64_t, 3>> tiles;
  for (const ConvSchedule &schedule : schedules) {
    tiles.push_back({schedule.pixels, schedule.channels});
    if (schedule.depth > 1)
      tiles.back().push_back(schedule.depth);
  }
  std::string workload =
      (name + ", " + getShapeName(windows.output) + " pixels").str();
  auto buildOne = [&](KernelBuilder &kernel, unsigned index) {
    return build(launch, schedules[index], kernel);
  };
  if (failed(launch.addKernels(strategy, workload, tiles, buildOne)))
    return group.emitError("cannot build a kernel for ") << *windows.root;
  lowered.launches.push_back(launch.finish(name, flops));
  return lowered;
}
