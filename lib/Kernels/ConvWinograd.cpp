// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Convolutions by Winograd's minimal filtering, in three launches: samples of
// all input tiles, one matrix product for each of the (m + 2)^2 samples, and
// the outputs, with the rest of the group. Between them lie two buffers over
// (samples, tiles, channels), which for an image fit in the second cache or
// little beyond.

#include "lib/Kernels/ConvKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/MicroTile.h"
#include "lib/Kernels/TileEvaluator.h"
#include "lib/Kernels/Winograd.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

/// The temporaries.
enum : unsigned { kSamples, kProducts };

/// Bytes a cycle that pass between kernels.
static constexpr double kBytesPerCycle = 12.0;
/// The time that a tile may take of that of the one before, which errs less.
static constexpr double kWorthErring = 0.9;

//===----------------------------------------------------------------------===//
// Choice
//===----------------------------------------------------------------------===//

static bool canFilter(const Convolution &conv) {
  const Windows &windows = conv.windows;
  auto is = [](ArrayRef<int64_t> values, int64_t value) {
    return llvm::all_of(values, [&](int64_t v) { return v == value; });
  };
  auto isF32 = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getElementType().isF32();
  };
  return windows.getRank() == 2 && is(windows.kernel, Winograd::kFilter) &&
         is(windows.strides, 1) && is(windows.dilations, 1) &&
         conv.groups == 1 && conv.packedOperand && isF32(conv.weight) &&
         !cast<RankedTensorType>(conv.weight.getType()).getEncoding() &&
         isF32(windows.argument);
}

/// Tiles for the product of `rows` rows, `pieces` times.
static SmallVector<MicroTile, 3> listTiles(const Capability &capability,
                                           const Convolution &conv,
                                           std::optional<int64_t> rows,
                                           int64_t pieces, int64_t steps) {
  ProductSizes sizes;
  sizes.rows = rows;
  sizes.pieces = pieces;
  sizes.columns = getConstantSize(conv.outputs);
  sizes.steps = steps;
  sizes.panelColumns = kPanelColumns;
  return listMicroTiles(capability, sizes);
}

/// Cycles for one image.
static double estimateCycles(const Capability &capability,
                             const Convolution &conv, const Winograd &winograd,
                             ArrayRef<int64_t> pixels) {
  int64_t inputs = *getConstantSize(conv.windows.channels);
  int64_t outputs = *getConstantSize(conv.outputs), tiles = 1;
  int64_t samples = winograd.getSamples() * winograd.getSamples();
  for (int64_t size : pixels)
    tiles *= llvm::divideCeil(size, winograd.getOutputs());
  // Each side writes and reads what passes between the kernels.
  double passed = 2.0 * samples * tiles * (inputs + outputs);
  double products =
      listTiles(capability, conv, tiles, 1, inputs).front().cycles * inputs;
  return samples * products + passed * sizeof(float) / kBytesPerCycle;
}

std::optional<Winograd>
lathe::kernels::chooseWinograd(const Capability &capability,
                               const Convolution &conv) {
  if (capability.kind != Capability::Kind::Cpu || !canFilter(conv))
    return std::nullopt;
  auto steps = conv.getSteps();
  SmallVector<int64_t, 2> pixels;
  for (AffineExpr size : conv.windows.output)
    pixels.push_back(getConstantSize(size).value_or(0));
  if (!steps || !getConstantSize(conv.outputs) || llvm::is_contained(pixels, 0))
    return std::nullopt;
  std::optional<Winograd> chosen;
  double best =
      *steps *
      listTiles(capability, conv, pixels[1], pixels[0], *steps).front().cycles;
  for (int64_t outputs : {2, 4}) {
    double cycles = estimateCycles(capability, conv, Winograd(outputs), pixels);
    if (cycles >= best * kWorthErring)
      continue;
    chosen = Winograd(outputs);
    best = cycles;
  }
  return chosen;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

namespace {

class WinogradLowering {
public:
  WinogradLowering(graph::GroupOp group, LoweringContext &context,
                   const Convolution &conv, const Winograd &winograd);

  FailureOr<LoweredGroup> run(StringRef name);

private:
  using Samples = SmallVector<Value>; ///< Row by row.
  using Transform = llvm::function_ref<SmallVector<Value>(ValueRange)>;

  int64_t count() const {
    return winograd.getSamples() * winograd.getSamples();
  }
  StridedView getView(unsigned temporary) {
    return StridedView::getContiguous(group.getContext(),
                                      lowered.temporaries[temporary].dims);
  }
  static Samples transform(ArrayRef<Value> values, int64_t size,
                           Transform line);
  struct Position {
    Value batch, y, x; ///< Of the tile.
    Value tile;        ///< The same, counted.
    Value channel;
  };
  Position findPosition(KernelBuilder &kernel, AffineExpr channels);
  void setGrid(KernelBuilder &kernel, AffineExpr channels);
  void buildSamples(LaunchBuilder &launch);
  LogicalResult buildOutputs(LaunchBuilder &launch);
  LogicalResult storeOutput(LaunchBuilder &launch, KernelBuilder &kernel,
                            const Position &position, int64_t y, int64_t x,
                            Value tile);
  void buildProducts(KernelBuilder &kernel, const MicroTile &tile);
  LogicalResult addProducts(LaunchBuilder &launch, StringRef name);
  Value loadPanel(KernelBuilder &kernel, const MicroTile &tile, Value sample,
                  Value column, Value k);

  graph::GroupOp group;
  LoweringContext &context;
  const Convolution &conv;
  const Windows &windows;
  Winograd winograd;
  int64_t lanes;
  Dims tiles;      ///< Of an image.
  AffineExpr rows; ///< Tiles of all images.
  LoweredGroup lowered;
};

} // namespace

WinogradLowering::WinogradLowering(graph::GroupOp group,
                                   LoweringContext &context,
                                   const Convolution &conv,
                                   const Winograd &winograd)
    : group(group), context(context), conv(conv), windows(conv.windows),
      winograd(winograd), lanes(context.capability.getLanes(32)) {
  rows = windows.batch;
  for (AffineExpr size : windows.output) {
    tiles.push_back(
        graph::canonicalizeSize(size.ceilDiv(winograd.getOutputs())));
    rows = graph::canonicalizeSize(rows * tiles.back());
  }
  AffineExpr samples = getAffineConstantExpr(count(), group.getContext());
  Type f32 = Float32Type::get(group.getContext());
  for (AffineExpr channels : {windows.channels, conv.outputs})
    lowered.temporaries.push_back({f32, {samples, rows, channels}});
}

/// Both transforms go along the columns first, then along the rows. `size` is
/// the length of both.
WinogradLowering::Samples WinogradLowering::transform(ArrayRef<Value> values,
                                                      int64_t size,
                                                      Transform line) {
  SmallVector<Samples> columns;
  for (int64_t x = 0; x < size; ++x) {
    Samples column;
    for (int64_t y = 0; y < size; ++y)
      column.push_back(values[y * size + x]);
    columns.push_back(line(column));
  }
  Samples results;
  for (size_t y = 0; y < columns.front().size(); ++y) {
    Samples row;
    for (const Samples &column : columns)
      row.push_back(column[y]);
    llvm::append_range(results, line(row));
  }
  return results;
}

WinogradLowering::Position WinogradLowering::findPosition(KernelBuilder &kernel,
                                                          AffineExpr channels) {
  Position position;
  position.channel = kernel.mul(kernel.getProgramId(0), kernel.getIndex(lanes));
  SmallVector<Value> tile = kernel.delinearize(kernel.getProgramId(1), tiles);
  position.batch = kernel.getProgramId(2);
  position.y = tile[0];
  position.x = tile[1];
  Value image = kernel.getSize(graph::getProduct(kernel.getContext(), tiles));
  position.tile =
      kernel.add(kernel.mul(position.batch, image), kernel.getProgramId(1));
  return position;
}

void WinogradLowering::setGrid(KernelBuilder &kernel, AffineExpr channels) {
  kernel.setGrid({channels.ceilDiv(lanes),
                  graph::getProduct(kernel.getContext(), tiles),
                  windows.batch});
}

/// One program, one tile and a vector of channels.
void WinogradLowering::buildSamples(LaunchBuilder &launch) {
  KernelBuilder kernel =
      launch.addKernel("conv", {winograd.getOutputs(), lanes});
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Position position = findPosition(kernel, windows.channels);
  StridedView view = windows.getInputView(context.dimsOf);
  BlockArgument input =
      kernel.getBuffer(BufferRef::operand(windows.argument.getArgNumber()));
  bool inBounds = dividesSize(lanes, windows.channels);
  auto getSource = [&](Value tile, int64_t offset, int64_t low) {
    Value first = kernel.mul(tile, kernel.getIndex(winograd.getOutputs()));
    return kernel.add(first, kernel.getIndex(offset - low));
  };
  int64_t size = winograd.getSamples();
  Samples values;
  for (int64_t y = 0; y < size; ++y)
    for (int64_t x = 0; x < size; ++x) {
      TileWindow window;
      window.bases = {position.batch, getSource(position.y, y, windows.low[0]),
                      getSource(position.x, x, windows.low[1]),
                      position.channel};
      window.extents = {{2, 1, false}, {3, lanes, inBounds}};
      values.push_back(kernel.load(input, view, window));
    }
  values = transform(values, size, [&](ValueRange line) {
    return winograd.transformInput(b, line);
  });
  BlockArgument to = kernel.getWrittenBuffer(BufferRef::temporary(kSamples));
  for (auto [i, value] : llvm::enumerate(values)) {
    TileWindow window;
    window.bases = {kernel.getIndex(i), position.tile, position.channel};
    window.extents = {{1, 1, true}, {2, lanes, inBounds}};
    kernel.store(value, to, getView(kSamples), window);
  }
  setGrid(kernel, windows.channels);
}

/// [1, columns] of the weight, stored as [samples][panels][channels][columns].
Value WinogradLowering::loadPanel(KernelBuilder &kernel, const MicroTile &tile,
                                  Value sample, Value column, Value k) {
  MLIRContext *mlirContext = kernel.getContext();
  ArrayRef<int64_t> dims = conv.weightDims;
  Packing packing;
  packing.blocks.assign(dims.size(), 1);
  packing.blocks[dims[3]] = kPanelColumns;
  packing.outer = {dims[0], dims[1], dims[3], dims[2]};
  packing.inner = packing.outer;
  packing.winograd = {winograd.getOutputs(), dims[0], dims[1]};
  BufferRef ref = BufferRef::operand(*conv.packedOperand);
  ref.packing = std::move(packing);
  StridedView view = StridedView::getContiguous(
      mlirContext, {getAffineConstantExpr(count(), mlirContext),
                    conv.outputs.ceilDiv(kPanelColumns), windows.channels,
                    getAffineConstantExpr(kPanelColumns, mlirContext)});
  Value inner = kernel.getIndex(0);
  if (tile.columns < kPanelColumns)
    inner = arith::RemUIOp::create(kernel.getBuilder(), column,
                                   kernel.getIndex(kPanelColumns));
  TileWindow window;
  window.bases = {sample, kernel.div(column, kPanelColumns), k, inner};
  window.extents = {{2, 1, true}, {3, tile.columns, true}};
  return kernel.load(kernel.getBuffer(ref), view, window);
}

/// Tiles are the rows of a product, channels its k.
void WinogradLowering::buildProducts(KernelBuilder &kernel,
                                     const MicroTile &tile) {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Value row = kernel.mul(kernel.getProgramId(0), kernel.getIndex(tile.rows));
  Value column =
      kernel.mul(kernel.getProgramId(1), kernel.getIndex(tile.columns));
  Value sample = kernel.getProgramId(2);
  bool rowsInBounds = dividesSize(tile.rows, rows);
  auto step = [&](Value k, ValueRange sum) -> SmallVector<Value> {
    TileWindow window;
    window.bases = {sample, row, k};
    window.extents = {{1, tile.rows, rowsInBounds}, {2, 1, true}};
    Value x = kernel.load(kernel.getBuffer(BufferRef::temporary(kSamples)),
                          getView(kSamples), window);
    Value w = loadPanel(kernel, tile, sample, column, k);
    return {tile::MmaOp::create(b, x, w, sum[0])};
  };
  Value zero = kernel.getSplat({tile.rows, tile.columns}, b.getF32Type(), 0);
  Value sum =
      kernel.forEach(kernel.getIndex(0), kernel.getSize(windows.channels),
                     kernel.getIndex(1), {zero}, step)[0];
  TileWindow window;
  window.bases = {sample, row, column};
  window.extents = {{1, tile.rows, rowsInBounds},
                    {2, tile.columns, dividesSize(tile.columns, conv.outputs)}};
  kernel.store(sum, kernel.getWrittenBuffer(BufferRef::temporary(kProducts)),
               getView(kProducts), window);
  kernel.setGrid({rows.ceilDiv(tile.rows), conv.outputs.ceilDiv(tile.columns),
                  getAffineConstantExpr(count(), kernel.getContext())});
}

LogicalResult WinogradLowering::addProducts(LaunchBuilder &launch,
                                            StringRef name) {
  // A batch is a few images at most while rows are few.
  auto image = getConstantSize(graph::getProduct(group.getContext(), tiles));
  auto list = listTiles(context.capability, conv, image, /*pieces=*/1,
                        *getConstantSize(windows.channels));
  SmallVector<SmallVector<int64_t, 3>> listed;
  for (const MicroTile &tile : list)
    listed.push_back({tile.rows, tile.columns});
  std::string workload =
      (name + ", " + getShapeName(windows.output) + " pixels").str();
  return launch.addKernels("conv", workload, listed,
                           [&](KernelBuilder &kernel, unsigned index) {
                             buildProducts(kernel, list[index]);
                             return success();
                           });
}

LogicalResult WinogradLowering::storeOutput(LaunchBuilder &launch,
                                            KernelBuilder &kernel,
                                            const Position &position, int64_t y,
                                            int64_t x, Value tile) {
  auto at = [&](Value index, int64_t offset) {
    return kernel.add(kernel.mul(index, kernel.getIndex(winograd.getOutputs())),
                      kernel.getIndex(offset));
  };
  auto isInside = [&](unsigned dim) {
    return dividesSize(winograd.getOutputs(), windows.output[dim]);
  };
  TileWindow window;
  window.bases = {position.batch, at(position.y, y), at(position.x, x),
                  position.channel};
  window.extents = {{1, 1, isInside(0)},
                    {2, 1, isInside(1)},
                    {3, lanes, dividesSize(lanes, conv.outputs)}};
  return buildConvEpilogue(kernel, launch, windows.root, tile, window,
                           windows.resultAccess, windows.yieldAccesses);
}

LogicalResult WinogradLowering::buildOutputs(LaunchBuilder &launch) {
  KernelBuilder kernel =
      launch.addKernel("conv", {winograd.getOutputs(), lanes});
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Position position = findPosition(kernel, conv.outputs);
  BlockArgument from = kernel.getBuffer(BufferRef::temporary(kProducts));
  Samples values;
  for (int64_t i = 0; i < count(); ++i) {
    TileWindow window;
    window.bases = {kernel.getIndex(i), position.tile, position.channel};
    window.extents = {{0, 1, true},
                      {1, 1, true},
                      {2, lanes, dividesSize(lanes, conv.outputs)}};
    values.push_back(kernel.load(from, getView(kProducts), window));
  }
  values = transform(values, winograd.getSamples(), [&](ValueRange line) {
    return winograd.transformOutput(b, line);
  });
  for (auto [i, value] : llvm::enumerate(values))
    if (failed(storeOutput(launch, kernel, position, i / winograd.getOutputs(),
                           i % winograd.getOutputs(), value)))
      return failure();
  setGrid(kernel, conv.outputs);
  return success();
}

FailureOr<LoweredGroup> WinogradLowering::run(StringRef name) {
  std::string suffix = std::to_string(winograd.getOutputs());
  auto addLaunch =
      [&](const Twine &label, AffineExpr flops,
          llvm::function_ref<LogicalResult(LaunchBuilder &)> build) {
        LaunchBuilder launch(group, context);
        launch.setTemporaries(lowered.temporaries);
        if (failed(build(launch)))
          return failure();
        lowered.launches.push_back(launch.finish(label.str(), flops));
        return success();
      };
  AffineExpr flops = rows * windows.channels * conv.outputs * (2 * count());
  std::string products = ("winograd" + suffix + "_" +
                          getShapeName({windows.channels, conv.outputs}));
  if (failed(addLaunch("winograd" + suffix + "_samples_" +
                           getShapeName({windows.channels}),
                       AffineExpr(),
                       [&](LaunchBuilder &launch) {
                         buildSamples(launch);
                         return success();
                       })) ||
      failed(addLaunch(products, graph::canonicalizeSize(flops),
                       [&](LaunchBuilder &launch) {
                         return addProducts(launch, products);
                       })) ||
      failed(addLaunch(
          "winograd" + suffix + "_of_" + name, AffineExpr(),
          [&](LaunchBuilder &launch) { return buildOutputs(launch); })))
    return group.emitError("cannot build a kernel for ") << *windows.root;
  lowered.remark =
      llvm::formatv("filtered in tiles of {0}x{0} outputs (Winograd); "
                    "--plain-sums computes the sums as they stand",
                    winograd.getOutputs());
  return std::move(lowered);
}

FailureOr<LoweredGroup> lathe::kernels::lowerWinograd(graph::GroupOp group,
                                                      LoweringContext &context,
                                                      const Convolution &conv,
                                                      const Winograd &winograd,
                                                      StringRef name) {
  return WinogradLowering(group, context, conv, winograd).run(name);
}
