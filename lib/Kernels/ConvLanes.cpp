// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Windows of kernels that keep channels apart: depthwise convolutions and
// pools. Lanes are channels, so that every element of a window is a plain
// vector, and one outside the input is no vector at all: rows outside are
// skipped by the bounds of their loop, and pixels outside are known at compile
// time, because the tiles at the ends of a row are copies of their own.

#include "lib/Kernels/ConvKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

/// As many tiles of a row may have a copy of their own.
static constexpr size_t kMaxBorderTiles = 4;

//===----------------------------------------------------------------------===//
// Tiles of a row
//===----------------------------------------------------------------------===//

/// The tiles of a row whose windows leave the input, or that leave the result.
/// Nothing if that is not known, or if they are too many to tell apart.
static std::optional<SmallVector<int64_t>>
findBorderTiles(const Windows &windows, const ConvSchedule &schedule) {
  auto input = getConstantSize(windows.input.back());
  auto output = getConstantSize(windows.output.back());
  if (!input || !output)
    return std::nullopt;
  int64_t span = (windows.kernel.back() - 1) * windows.dilations.back();
  SmallVector<int64_t> tiles;
  for (int64_t first = 0; first < *output; first += schedule.pixels) {
    int64_t last = first + schedule.pixels - 1;
    int64_t start = first * windows.strides.back() - windows.low.back();
    int64_t end = last * windows.strides.back() - windows.low.back() + span;
    if (start < 0 || end >= *input || last >= *output)
      tiles.push_back(first / schedule.pixels);
    if (tiles.size() > kMaxBorderTiles)
      return std::nullopt;
  }
  return tiles;
}

void lathe::kernels::forEachKindOfTile(
    KernelBuilder &kernel, const Windows &windows, const ConvSchedule &schedule,
    llvm::function_ref<void(const LaneTile &)> body) {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  ConvPosition position = findConvPosition(kernel, windows, schedule);
  bool divides = dividesSize(schedule.pixels, windows.output.back());
  auto borders = findBorderTiles(windows, schedule);
  if (!borders || windows.needsCopy())
    return body({position, divides, windows.needsCopy()});
  auto output = getConstantSize(windows.output.back());
  size_t count = llvm::divideCeil(*output, schedule.pixels);
  OpBuilder::InsertionGuard guard(b);
  for (auto [i, tile] : llvm::enumerate(*borders)) {
    ConvPosition here = position;
    here.pixel = kernel.getIndex(tile * schedule.pixels);
    bool isWhole = (tile + 1) * schedule.pixels <= *output;
    if (i + 1 == count)
      return body({here, isWhole, false});
    Value isHere = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                         position.pixel, here.pixel);
    auto choice = scf::IfOp::create(b, isHere, /*withElseRegion=*/true);
    b.setInsertionPointToStart(choice.thenBlock());
    body({here, isWhole, false});
    b.setInsertionPointToStart(choice.elseBlock());
  }
  body({position, /*pixelsInBounds=*/true, /*readsInside=*/true});
}

//===----------------------------------------------------------------------===//
// Elements of a window
//===----------------------------------------------------------------------===//

namespace {
/// Reads the windows of one tile from the input itself.
class WindowReader {
public:
  WindowReader(KernelBuilder &kernel, LaunchBuilder &launch,
               const Windows &windows, const ConvSchedule &schedule,
               const LaneTile &tile, double outside, WindowStep step)
      : kernel(kernel), b(kernel.getBuilder()), windows(windows),
        schedule(schedule), tile(tile), outside(outside), step(step) {
    auto dimsOf = [&](Value value) { return launch.getDims(value); };
    buffer =
        kernel.getBuffer(BufferRef::operand(windows.argument.getArgNumber()));
    view = windows.getInputView(dimsOf);
  }

  Value run(Value carried);

private:
  Value load(int64_t column);
  Value runColumns(Value carried);
  std::pair<Value, Value> getRange(unsigned dim, Value start);

  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;
  const Windows &windows;
  const ConvSchedule &schedule;
  const LaneTile &tile;
  double outside;
  WindowStep step;
  BlockArgument buffer;
  StridedView view;          ///< Over (batch, input.., channels).
  SmallVector<Value> at;     ///< In the kernel's dims, but for the last.
  SmallVector<Value> source; ///< The same in the input.
};
} // namespace

/// The elements of all windows of the tile at one place of the kernel. With a
/// stride, consecutive windows read every so many pixels: a view of those.
Value WindowReader::load(int64_t column) {
  unsigned rank = windows.getRank();
  int64_t stride = windows.strides.back();
  int64_t offset = column * windows.dilations.back() - windows.low.back();
  int64_t phase = llvm::mod(offset, stride);
  Dims starts(rank + 2, getAffineConstantExpr(0, b.getContext()));
  SmallVector<int64_t> steps(rank + 2, 1);
  Dims sizes = view.dims;
  starts[rank] = getAffineConstantExpr(phase, b.getContext());
  steps[rank] = stride;
  sizes[rank] =
      graph::canonicalizeSize((view.dims[rank] - phase).ceilDiv(stride));
  StridedView pixels = view;
  pixels.slice(starts, sizes, steps);

  const ConvPosition &position = tile.position;
  TileWindow window;
  window.bases.push_back(position.outer[0]);
  window.bases.append(source.begin(), source.end());
  window.bases.push_back(
      kernel.add(position.pixel, kernel.getIndex((offset - phase) / stride)));
  window.bases.push_back(position.channel);
  window.extents = {{rank, schedule.pixels, tile.readsInside},
                    {rank + 1, schedule.channels,
                     dividesSize(schedule.channels, windows.channels)}};
  Value loaded = kernel.load(buffer, pixels, window);
  if (auto op = loaded.getDefiningOp<tile::LoadOp>(); op && outside != 0.0)
    op.setPadAttr(b.getFloatAttr(
        cast<RankedTensorType>(loaded.getType()).getElementType(), outside));
  return toComputeType(b, loaded);
}

Value WindowReader::runColumns(Value carried) {
  for (int64_t column = 0; column < windows.kernel.back(); ++column) {
    at.push_back(kernel.getIndex(column));
    carried = step(at, load(column), carried);
    at.pop_back();
  }
  return carried;
}

/// The kernel's positions along `dim` that are inside of the input, for a
/// window from `start` on.
std::pair<Value, Value> WindowReader::getRange(unsigned dim, Value start) {
  int64_t dilation = windows.dilations[dim];
  Value zero = kernel.getIndex(0);
  auto countSteps = [&](Value distance) -> Value {
    distance = arith::MaxSIOp::create(b, distance, zero);
    if (dilation == 1)
      return distance;
    distance = kernel.add(distance, kernel.getIndex(dilation - 1));
    return arith::DivUIOp::create(b, distance, kernel.getIndex(dilation));
  };
  Value first = countSteps(arith::SubIOp::create(b, zero, start));
  Value end = countSteps(
      arith::SubIOp::create(b, kernel.getSize(windows.input[dim]), start));
  end = arith::MinSIOp::create(b, end, kernel.getIndex(windows.kernel[dim]));
  return {first, end};
}

Value WindowReader::run(Value carried) {
  unsigned dim = at.size();
  if (dim + 1 == windows.getRank())
    return runColumns(carried);
  Value start = kernel.add(kernel.mul(tile.position.outer[1 + dim],
                                      kernel.getIndex(windows.strides[dim])),
                           kernel.getIndex(-windows.low[dim]));
  auto [first, end] = getRange(dim, start);
  auto body = [&, start = start](Value index,
                                 ValueRange values) -> SmallVector<Value> {
    Value row = kernel.add(
        start, kernel.mul(index, kernel.getIndex(windows.dilations[dim])));
    // The loop's bounds say so already; this is for who cannot see it.
    row = arith::MaxSIOp::create(b, row, kernel.getIndex(0));
    row = arith::MinSIOp::create(
        b, row,
        kernel.add(kernel.getSize(windows.input[dim]), kernel.getIndex(-1)));
    at.push_back(index);
    source.push_back(row);
    Value next = run(values[0]);
    at.pop_back();
    source.pop_back();
    return {next};
  };
  return kernel.forEach(first, end, kernel.getIndex(1), {carried}, body)[0];
}

/// The same from a padded copy, or from an input that windows never leave.
static Value reduceCopy(KernelBuilder &kernel, LaunchBuilder &launch,
                        const Windows &windows, const ConvSchedule &schedule,
                        const LaneTile &tile, Value init, WindowStep step) {
  auto [buffer, view] = getWindowInput(kernel, launch, windows);
  unsigned rank = windows.getRank();
  auto body = [&, buffer = buffer, view = view](ArrayRef<Value> at,
                                                Value sum) -> Value {
    TileWindow window;
    window.bases = tile.position.outer;
    window.bases.push_back(tile.position.pixel);
    window.bases.append(at.begin(), at.end());
    window.bases.push_back(tile.position.channel);
    window.extents = {{rank, schedule.pixels, tile.pixelsInBounds},
                      {2 * rank + 1, schedule.channels,
                       dividesSize(schedule.channels, windows.channels)}};
    Value x =
        toComputeType(kernel.getBuilder(), kernel.load(buffer, view, window));
    return step(at, x, sum);
  };
  return forEachIndex(kernel, windows.getKernelDims(), init, body);
}

Value lathe::kernels::reduceWindows(KernelBuilder &kernel,
                                    LaunchBuilder &launch,
                                    const Windows &windows,
                                    const ConvSchedule &schedule,
                                    const LaneTile &tile, double outside,
                                    Value init, WindowStep step) {
  if (windows.needsCopy())
    return reduceCopy(kernel, launch, windows, schedule, tile, init, step);
  return WindowReader(kernel, launch, windows, schedule, tile, outside, step)
      .run(init);
}
