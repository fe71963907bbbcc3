// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What convolution and pooling kernels share: where windows are, and the padded
// copy of the input.

#include "lib/Kernels/ConvKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

bool lathe::kernels::dividesSize(int64_t size, AffineExpr dim) {
  auto constant = getConstantSize(dim);
  return size == 1 || (constant && *constant % size == 0);
}

ConvSchedule lathe::kernels::getConvSchedule(const Capability &capability,
                                             AffineExpr channels,
                                             AffineExpr row) {
  int64_t lanes = capability.getLanes(32);
  bool isWide = capability.vectorRegisters >= 32;
  int64_t vectors = isWide ? 4 : 2;
  if (auto count = getConstantSize(channels))
    while (vectors > 1 && vectors / 2 * lanes >= *count)
      vectors /= 2;
  int64_t wideRows[] = {24, 14, 7, 7}, narrowRows[] = {10, 6, 4, 3};
  int64_t pixels = (isWide ? wideRows : narrowRows)[vectors - 1];
  if (auto size = getConstantSize(row); size && *size > 0)
    pixels = llvm::divideCeil(*size, llvm::divideCeil(*size, pixels));
  return {pixels, vectors * lanes};
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
  SmallVector<Value> tiles = kernel.delinearize(
      kernel.getProgramId(0), getPixelTiles(windows, schedule.pixels));
  position.pixel =
      kernel.mul(tiles.pop_back_val(), kernel.getIndex(schedule.pixels));
  position.channel =
      kernel.mul(kernel.getProgramId(1), kernel.getIndex(schedule.channels));
  position.outer.push_back(kernel.getProgramId(2));
  position.outer.append(tiles.begin(), tiles.end());
  return position;
}

void lathe::kernels::setConvGrid(KernelBuilder &kernel, const Windows &windows,
                                 AffineExpr channels,
                                 const ConvSchedule &schedule, int64_t groups) {
  Dims tiles = getPixelTiles(windows, schedule.pixels);
  kernel.setGrid({graph::getProduct(kernel.getContext(), tiles),
                  channels.ceilDiv(schedule.channels), windows.batch * groups});
}

std::pair<BlockArgument, StridedView>
lathe::kernels::getWindowInput(KernelBuilder &kernel, LaunchBuilder &launch,
                               const Windows &windows) {
  if (windows.reachesOutside()) {
    StridedView padded = StridedView::getContiguous(
        kernel.getContext(), getPaddedInput(windows).dims);
    return {kernel.getBuffer(BufferRef::temporary(0)),
            windows.getWindowView(padded)};
  }
  auto dimsOf = [&](Value value) { return launch.getDims(value); };
  unsigned operand = windows.argument.getArgNumber();
  return {kernel.getBuffer(BufferRef::operand(operand)),
          windows.getWindowView(windows.getInputView(dimsOf))};
}

static Value
forEachFrom(KernelBuilder &kernel, const Windows &windows,
            SmallVector<Value> &at, Value carried,
            llvm::function_ref<Value(ArrayRef<Value>, Value)> body) {
  if (at.size() == windows.getRank())
    return body(at, carried);
  auto step = [&](Value index, ValueRange values) -> SmallVector<Value> {
    at.push_back(index);
    Value next = forEachFrom(kernel, windows, at, values[0], body);
    at.pop_back();
    return {next};
  };
  int64_t size = windows.kernel[at.size()];
  if (size == 1)
    return step(kernel.getIndex(0), carried)[0];
  return kernel.forEach(kernel.getIndex(0), kernel.getIndex(size),
                        kernel.getIndex(1), {carried}, step)[0];
}

Value lathe::kernels::forEachKernelPosition(
    KernelBuilder &kernel, const Windows &windows, Value carried,
    llvm::function_ref<Value(ArrayRef<Value>, Value)> body) {
  SmallVector<Value> at;
  return forEachFrom(kernel, windows, at, carried, body);
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

Temporary lathe::kernels::getPaddedInput(const Windows &windows) {
  Type element =
      cast<RankedTensorType>(windows.argument.getType()).getElementType();
  return {element, windows.getSpace(windows.getSpan(), windows.channels)};
}

/// One program copies one row: all but the last spatial dim are fixed.
LogicalResult lathe::kernels::buildPadKernel(LaunchBuilder &launch,
                                             const Windows &windows,
                                             double outside) {
  constexpr int64_t pixels = 4;
  const Capability &capability = launch.getContext().capability;
  int64_t channels = capability.getLanes(32);
  KernelBuilder kernel = launch.addKernel("conv", {pixels, channels});
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  auto dimsOf = [&](Value value) { return launch.getDims(value); };
  unsigned operand = windows.argument.getArgNumber();
  BlockArgument source = kernel.getBuffer(BufferRef::operand(operand));
  BlockArgument target = kernel.getWrittenBuffer(BufferRef::temporary(0));
  StridedView from = windows.getInputView(dimsOf);
  StridedView to = StridedView::getContiguous(kernel.getContext(),
                                              getPaddedInput(windows).dims);

  Dims span = windows.getSpan(), rows(span.begin(), span.end() - 1);
  SmallVector<Value> row = kernel.delinearize(kernel.getProgramId(0), rows);
  unsigned rank = windows.getRank();
  // Where an element of the copy is in the input. What comes from a program id
  // alone is taken to be inside a view: the limit keeps rows of padding from
  // that.
  auto getSource = [&](Value index, unsigned dim) -> Value {
    if (windows.low[dim] != 0 || dim + 1 == rank)
      return kernel.add(index, kernel.getIndex(-windows.low[dim]));
    return arith::MinSIOp::create(kernel.getBuilder(), index,
                                  kernel.getSize(windows.input[dim]));
  };
  auto move = [&](Value pixel, Value channel, bool inBounds) {
    TileWindow read, write;
    write.bases.push_back(kernel.getProgramId(1));
    write.bases.append(row.begin(), row.end());
    write.bases.append({pixel, channel});
    read.bases = write.bases;
    for (unsigned i = 0; i < rank; ++i)
      read.bases[1 + i] = getSource(write.bases[1 + i], i);
    read.extents = {{rank, pixels, false}, {rank + 1, channels, inBounds}};
    write.extents = {{rank, pixels, false}, {rank + 1, channels, inBounds}};
    Value tile = kernel.load(source, from, read);
    if (auto load = tile.getDefiningOp<tile::LoadOp>(); load && outside != 0.0)
      load.setPadAttr(b.getFloatAttr(
          cast<RankedTensorType>(tile.getType()).getElementType(), outside));
    kernel.store(tile, target, to, write);
  };
  kernel.forEach(kernel.getIndex(0), kernel.getSize(span.back()),
                 kernel.getIndex(pixels), {}, [&](Value pixel, ValueRange) {
                   kernel.forEachTile(windows.channels, channels, {},
                                      [&](Value channel, ValueRange,
                                          bool inBounds) -> SmallVector<Value> {
                                        move(pixel, channel, inBounds);
                                        return {};
                                      });
                   return SmallVector<Value>();
                 });
  kernel.setGrid({graph::getProduct(kernel.getContext(), rows), windows.batch});
  return success();
}
