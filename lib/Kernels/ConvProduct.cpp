// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/ConvProduct.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/ConvKernel.h"
#include "lib/Kernels/SplitK.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Access;
using graph::Dims;
using graph::StridedView;
using graph::ViewStep;

int64_t ConvProduct::countTaps() const { return llvm::product_of(taps); }

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

static AffineExpr getConstant(const Convolution &conv, int64_t value) {
  return getAffineConstantExpr(value, conv.windows.root->getContext());
}

static bool isUnitElement(Type type) { return type.isF16() || type.isBF16(); }

/// Taps of the input as it is: pixels are rows of whole accesses.
static bool readInPlace(ConvProduct &product, const Convolution &conv,
                        graph::DimsOf dimsOf) {
  const Windows &windows = conv.windows;
  auto channels = getConstantSize(windows.channels);
  if (!channels || *channels % kUnitAlignment != 0)
    return false;
  StridedView view = windows.getInputView(dimsOf);
  AffineExpr images = windows.batch;
  for (AffineExpr size : windows.input)
    images = images * size;
  if (!view.reshape({graph::canonicalizeSize(images), windows.channels}) ||
      getConstantSize(view.strides[1]) != 1)
    return false;
  product.pixels = std::move(view);
  product.image = windows.input;
  product.taps = windows.kernel;
  product.strides = windows.strides;
  product.dilations = windows.dilations;
  product.low = windows.low;
  product.reachesOutside = windows.reachesOutside();
  product.channels = product.storedChannels = *channels;
  return true;
}

/// Taps of a copy: rows of windows. Pixels from the window of a result to the
/// next one's are whole accesses, and count as one.
static bool readCopy(ConvProduct &product, const Convolution &conv) {
  const Windows &windows = conv.windows;
  auto channels = getConstantSize(windows.channels);
  int64_t stride = windows.strides.back(), width = windows.kernel.back();
  if (!channels || windows.dilations.back() != 1)
    return false;
  int64_t own = *channels, stored = width;
  while (own * stride % kUnitAlignment != 0)
    ++own;
  while (stored * own % kUnitAlignment != 0)
    ++stored;
  product.isCopied = true;
  product.copiedChannels = own;
  product.image = windows.getSpan();
  product.image.back() =
      graph::canonicalizeSize(product.image.back().ceilDiv(stride));
  AffineExpr images = windows.batch;
  for (AffineExpr size : product.image)
    images = images * size;
  product.pixels = {
      {graph::canonicalizeSize(images), getConstant(conv, width * own)},
      {getConstant(conv, stride * own), getConstant(conv, 1)},
      getConstant(conv, 0)};
  product.taps = windows.kernel;
  product.strides = windows.strides;
  product.dilations = windows.dilations;
  product.taps.back() = product.strides.back() = 1;
  product.low.assign(windows.getRank(), 0);
  product.channels = width * own;
  product.storedChannels = stored * own;
  return true;
}

std::optional<ConvProduct>
lathe::kernels::analyzeConvProduct(graph::GroupOp group,
                                   const LoweringContext &context,
                                   const Convolution &conv) {
  const Capability &capability = context.capability;
  const Windows &windows = conv.windows;
  if (capability.kind != Capability::Kind::Gpu || !capability.matrixUnit ||
      conv.groups != 1 || !conv.packedOperand)
    return std::nullopt;
  Type element = getElementTypeOrSelf(windows.argument.getType());
  if (!isUnitElement(element) || conv.getStoredElement(group) != element)
    return std::nullopt;
  ConvProduct product;
  product.rows = windows.batch;
  for (AffineExpr size : windows.output)
    product.rows = product.rows * size;
  product.rows = graph::canonicalizeSize(product.rows);
  product.columns = conv.outputs;
  product.resultAccess = windows.resultAccess;
  product.resultAccess.push_back(
      ViewStep::getReshape({product.rows, product.columns}));
  std::string reason;
  auto accesses =
      getEpilogueAccesses(group, windows.root->getResult(0),
                          product.resultAccess, context.dimsOf, reason);
  if (!accesses)
    return std::nullopt;
  product.yieldAccesses = std::move(*accesses);
  if (!readInPlace(product, conv, context.dimsOf) && !readCopy(product, conv))
    return std::nullopt;
  for (AffineExpr pixels : {product.rows, product.pixels.dims[0]})
    if (getConstantSize(pixels).value_or(0) > INT32_MAX)
      return std::nullopt;
  return product;
}

//===----------------------------------------------------------------------===//
// Schedules
//===----------------------------------------------------------------------===//

namespace {

struct ProductSchedule {
  int64_t rows, columns, warps, stages;
  /// Of k, and the parts that it is split into.
  int64_t depth = 0, parts = 1;

  tile::ScheduleAttr getAttr(MLIRContext *context) const {
    return tile::ScheduleAttr::get(context, "conv", {rows, columns, depth},
                                   stages, warps);
  }
};

/// What is multiplied.
struct ProductSizes {
  std::optional<int64_t> rows, columns;
  int64_t steps; ///< Of k, each one `depth`.
  int64_t depth;
};

} // namespace

static constexpr ProductSchedule kTiles[] = {
    {128, 128, 8, 3}, {128, 64, 4, 3}, {64, 128, 4, 3}, {64, 64, 4, 4},
    {32, 64, 4, 4},   {64, 32, 4, 4},  {32, 32, 4, 6}};

/// Multiply-adds and bytes of a processor in a cycle, cycles of a step beside
/// them, of a program, and of a launch that adds up the parts of k.
static constexpr double kPerCycle = 1024, kBytesPerCycle = 60,
                        kCyclesOfStep = 40, kCyclesOfProgram = 1500,
                        kCyclesOfSum = 3500;
/// Steps that a part has at least, and the most parts: each is a load that is
/// on its way at once.
static constexpr int64_t kFewestSteps = 4, kMostParts = 16;
/// Tiles that take so much longer are not worth measuring.
static constexpr double kHopeless = 1.5;

static int64_t countPrograms(const ProductSchedule &tile,
                             const ProductSizes &sizes) {
  return llvm::divideCeil(sizes.rows.value_or(1), tile.rows) *
         llvm::divideCeil(sizes.columns.value_or(1), tile.columns);
}

/// Cycles of all programs; where rows are not known, of one element.
static double getCycles(const Capability &capability,
                        const ProductSchedule &tile,
                        const ProductSizes &sizes) {
  double depth = double(sizes.depth);
  double products = double(tile.rows * tile.columns) * depth / kPerCycle;
  double loads =
      2.0 * double(tile.rows + tile.columns) * depth / kBytesPerCycle;
  double step = std::max(products, loads) + kCyclesOfStep;
  double own = double(llvm::divideCeil(sizes.steps, tile.parts));
  double cycles = kCyclesOfProgram + own * step;
  int64_t programs = countPrograms(tile, sizes);
  if (!sizes.rows)
    return cycles * double(programs) / double(tile.rows);
  cycles *=
      double(llvm::divideCeil(programs * tile.parts, capability.processors));
  return cycles + (tile.parts > 1 ? kCyclesOfSum : 0.0);
}

/// The parts of k that fill the processors.
static int64_t chooseParts(const Capability &capability,
                           const ProductSchedule &tile,
                           const ProductSizes &sizes) {
  if (!sizes.rows)
    return 1;
  int64_t most = std::min({capability.processors / countPrograms(tile, sizes),
                           sizes.steps / kFewestSteps, kMostParts});
  if (most < 2)
    return 1;
  // No part is without steps.
  return llvm::divideCeil(sizes.steps, llvm::divideCeil(sizes.steps, most));
}

/// The fastest first; all of them split k alike, since the launch that adds up
/// is one for all.
static SmallVector<ProductSchedule> listSchedules(const Capability &capability,
                                                  const ProductSizes &sizes) {
  SmallVector<std::pair<double, ProductSchedule>> timed;
  for (ProductSchedule tile : kTiles) {
    tile.depth = sizes.depth;
    for (int64_t parts : {int64_t(1), chooseParts(capability, tile, sizes)}) {
      tile.parts = parts;
      timed.emplace_back(getCycles(capability, tile, sizes), tile);
    }
  }
  llvm::stable_sort(
      timed, [](const auto &a, const auto &b) { return a.first < b.first; });
  SmallVector<ProductSchedule> schedules;
  for (const auto &[cycles, tile] : timed) {
    bool isListed = llvm::any_of(schedules, [&, &its = tile](const auto &old) {
      return old.rows == its.rows && old.columns == its.columns;
    });
    if (!isListed && cycles <= kHopeless * timed.front().first &&
        tile.parts == timed.front().second.parts)
      schedules.push_back(tile);
  }
  return schedules;
}

/// The depth of a step that leaves least of it empty.
static int64_t chooseDepth(int64_t channels) {
  int64_t best = 64;
  for (int64_t depth : {32, 16})
    if (llvm::alignTo(channels, depth) < llvm::alignTo(channels, best))
      best = depth;
  return best;
}

//===----------------------------------------------------------------------===//
// The product
//===----------------------------------------------------------------------===//

namespace {

class ProductKernel {
public:
  ProductKernel(LaunchBuilder &launch, const Convolution &conv,
                const ConvProduct &product, const ProductSchedule &schedule,
                KernelBuilder &kernel)
      : launch(launch), conv(conv), product(product), schedule(schedule),
        kernel(kernel), b(kernel.getBuilder()) {}

  LogicalResult build(const std::optional<SplitK> &split);

private:
  // Positions are i32 (ConvProduct.h).
  Value toI32(Value index) {
    return arith::IndexCastOp::create(b, b.getI32Type(), index);
  }
  Value number(int64_t value) {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  }
  Value getSize(AffineExpr size) {
    if (auto constant = getConstantSize(size))
      return number(*constant);
    return toI32(kernel.getSize(size));
  }
  Value splat(Value scalar) {
    auto type = RankedTensorType::get({schedule.rows}, b.getI32Type());
    return tile::SplatOp::create(b, type, scalar);
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivUIOp::create(b, x, y); }
  Value rem(Value x, Value y) { return arith::RemUIOp::create(b, x, y); }

  void findPixels();
  int64_t getPaddedChannels() const {
    return llvm::alignTo(product.channels, schedule.depth);
  }
  Value loadPixels(Value k);
  Value loadWeight(Value k);
  Value multiply(Value begin, Value end);

  LaunchBuilder &launch;
  const Convolution &conv;
  const ConvProduct &product;
  const ProductSchedule &schedule;
  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;
  Value row, column;
  /// Of each row: where the first tap is along each spatial dim of its image,
  /// and in all images. i32 tiles.
  SmallVector<Value> origin;
  Value first;
};

} // namespace

void ProductKernel::findPixels() {
  auto type = RankedTensorType::get({schedule.rows}, b.getI32Type());
  Value rest = add(tile::IotaOp::create(b, type, 0), splat(toI32(row)));
  unsigned rank = product.taps.size();
  origin.assign(rank, Value());
  for (unsigned d = rank; d-- > 0;) {
    Value size = splat(getSize(conv.windows.output[d]));
    Value at = mul(rem(rest, size), splat(number(product.strides[d])));
    origin[d] = add(at, splat(number(-product.low[d])));
    rest = div(rest, size);
  }
  first = rest;
  for (unsigned d = 0; d < rank; ++d)
    first = add(mul(first, splat(getSize(product.image[d]))), origin[d]);
}

/// [rows, depth] at step `k` of the padded taps.
Value ProductKernel::loadPixels(Value k) {
  unsigned rank = product.taps.size();
  Value wide = number(getPaddedChannels()), at = toI32(k);
  Value tap = div(at, wide), channel = kernel.getIndex(0);
  channel = product.countTaps() == 1 ? k
                                     : Value(arith::IndexCastOp::create(
                                           b, b.getIndexType(), rem(at, wide)));
  SmallVector<Value> offsets(rank);
  for (unsigned d = rank; d-- > 0;) {
    Value size = number(product.taps[d]);
    Value its = d == 0 ? tap : rem(tap, size);
    offsets[d] = mul(its, number(product.dilations[d]));
    tap = div(tap, size);
  }
  Value distance = offsets[0], isInside;
  for (unsigned d = 1; d < rank; ++d)
    distance = add(mul(distance, getSize(product.image[d])), offsets[d]);
  Value pixel = add(first, splat(distance));
  for (unsigned d = 0; product.reachesOutside && d < rank; ++d) {
    Value position = add(origin[d], splat(offsets[d]));
    Value test = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, position,
                                       splat(getSize(product.image[d])));
    isInside = isInside ? arith::AndIOp::create(b, isInside, test) : test;
  }
  if (isInside) // Pixel -1 is none of the matrix.
    pixel = arith::SelectOp::create(b, isInside, pixel, splat(number(-1)));
  auto indices = RankedTensorType::get({schedule.rows}, b.getIndexType());
  pixel = arith::IndexCastOp::create(b, indices, pixel);

  BlockArgument buffer = kernel.getBuffer(
      product.isCopied
          ? BufferRef::temporary(0)
          : BufferRef::operand(conv.windows.argument.getArgNumber()));
  Value view = kernel.getView(buffer, product.pixels, {0, 1});
  SmallVector<int64_t> inBounds;
  if (product.channels % schedule.depth == 0)
    inBounds.push_back(1);
  Type element = cast<tile::BufferType>(buffer.getType()).getElementType();
  return tile::LoadOp::create(
      b, RankedTensorType::get({schedule.rows, schedule.depth}, element), view,
      ValueRange{kernel.getIndex(0), channel}, pixel, ArrayRef<int64_t>{0, 1},
      b.getI64IntegerAttr(0), /*pad=*/TypedAttr(), inBounds);
}

/// [depth, columns] of a weight stored as [outputs][taps][channels].
Value ProductKernel::loadWeight(Value k) {
  unsigned rank = conv.windows.getRank();
  Packing packing;
  packing.outer.push_back(conv.weightDims.back());
  packing.outer.append(conv.weightDims.begin(), conv.weightDims.end() - 1);
  packing.inner = packing.outer;
  packing.blocks.assign(conv.weightDims.size(), 1);
  if (product.isCopied) {
    packing.blocks[conv.weightDims[rank - 1]] =
        product.storedChannels / product.copiedChannels;
    packing.blocks[conv.weightDims[rank]] = product.copiedChannels;
  }
  BufferRef ref = conv.getPackedWeight(launch.getGroup(), std::move(packing));
  int64_t stored = product.storedChannels, padded = getPaddedChannels();
  Dims dims{product.columns, getConstant(conv, product.countTaps()),
            getConstant(conv, stored)};
  TileWindow window;
  window.bases = {column, kernel.getIndex(0), k};
  if (product.countTaps() == 1 || padded == stored) {
    // Taps lie one after the other.
    dims = {product.columns, dims[1] * dims[2]};
    window.bases = {column, k};
  } else {
    Value wide = kernel.getIndex(padded);
    window.bases[1] = arith::DivUIOp::create(b, k, wide);
    window.bases[2] = arith::RemUIOp::create(b, k, wide);
  }
  StridedView view = StridedView::getContiguous(b.getContext(), dims);
  window.extents = {
      {unsigned(dims.size()) - 1, schedule.depth, stored % schedule.depth == 0},
      {0, schedule.columns, dividesSize(schedule.columns, product.columns)}};
  return kernel.load(kernel.getBuffer(ref), view, window);
}

/// The sums of the steps of k from `begin` to `end`.
Value ProductKernel::multiply(Value begin, Value end) {
  Value zero =
      kernel.getSplat({schedule.rows, schedule.columns}, b.getF32Type(), 0);
  auto step = [&](Value k, ValueRange sums) -> SmallVector<Value> {
    Value x = loadPixels(k), w = loadWeight(k);
    return {tile::MmaOp::create(b, x, w, sums[0])};
  };
  return kernel.forEach(begin, end, kernel.getIndex(schedule.depth), {zero},
                        step)[0];
}

/// With `split`, of one part of k.
LogicalResult ProductKernel::build(const std::optional<SplitK> &split) {
  row = kernel.mul(kernel.getProgramId(0), kernel.getIndex(schedule.rows));
  column =
      kernel.mul(kernel.getProgramId(1), kernel.getIndex(schedule.columns));
  findPixels();
  TileWindow window;
  window.bases = {row, column};
  window.extents = {
      {0, schedule.rows, dividesSize(schedule.rows, product.rows)},
      {1, schedule.columns, dividesSize(schedule.columns, product.columns)}};
  Dims grid{product.rows.ceilDiv(schedule.rows),
            product.columns.ceilDiv(schedule.columns)};
  int64_t all = product.countTaps() * getPaddedChannels();
  if (split) {
    Value part = kernel.getProgramId(2);
    auto [begin, end] =
        split->getRange(kernel, part, all / schedule.depth, schedule.depth);
    split->store(kernel, multiply(begin, end), part, window);
    grid.push_back(getConstant(conv, split->getParts()));
  } else if (failed(buildConvEpilogue(
                 kernel, launch, conv.windows.root,
                 multiply(kernel.getIndex(0), kernel.getIndex(all)), window,
                 product.resultAccess, product.yieldAccesses))) {
    return failure();
  }
  kernel.setGrid(grid);
  return success();
}

//===----------------------------------------------------------------------===//
// The launches around it
//===----------------------------------------------------------------------===//

/// (batch, span.., channels): rows of pixels that are whole strides.
static Temporary getCopy(const ConvProduct &product, const Convolution &conv) {
  const Windows &windows = conv.windows;
  Dims dims{windows.batch};
  dims.append(product.image.begin(), product.image.end());
  dims.back() = graph::canonicalizeSize(dims.back() * windows.strides.back());
  dims.push_back(getConstant(conv, product.copiedChannels));
  return {getElementTypeOrSelf(windows.argument.getType()), dims};
}

/// A program copies some pixels of a row.
static void buildCopy(LaunchBuilder &launch, const Convolution &conv,
                      const ConvProduct &product) {
  constexpr int64_t most = 32, elements = 1024;
  const Windows &windows = conv.windows;
  int64_t channels =
      std::min<int64_t>(llvm::PowerOf2Ceil(product.copiedChannels), most);
  int64_t pixels = elements / channels;
  KernelBuilder kernel = launch.addKernel("conv", {pixels, channels});
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Dims dims = getCopy(product, conv).dims;
  unsigned rank = windows.getRank();
  Dims tiles(ArrayRef(dims).slice(1, rank));
  tiles.back() = graph::canonicalizeSize(tiles.back().ceilDiv(pixels));
  SmallVector<Value> at = kernel.delinearize(kernel.getProgramId(0), tiles);
  at.back() = kernel.mul(at.back(), kernel.getIndex(pixels));
  Value channel = kernel.mul(kernel.getProgramId(1), kernel.getIndex(channels));
  TileWindow read, write;
  write.bases.push_back(kernel.getProgramId(2));
  llvm::append_range(write.bases, at);
  write.bases.push_back(channel);
  write.extents = {
      {rank, pixels, dividesSize(pixels, dims[rank])},
      {rank + 1, channels, product.copiedChannels % channels == 0}};
  read = write;
  read.extents = {{rank, pixels, false}, {rank + 1, channels, false}};
  for (unsigned d = 0; d < rank; ++d)
    read.bases[1 + d] = kernel.add(at[d], kernel.getIndex(-windows.low[d]));
  auto dimsOf = [&](Value value) { return launch.getDims(value); };
  unsigned operand = windows.argument.getArgNumber();
  Value tile = kernel.load(kernel.getBuffer(BufferRef::operand(operand)),
                           windows.getInputView(dimsOf), read);
  kernel.store(tile, kernel.getWrittenBuffer(BufferRef::temporary(0)),
               StridedView::getContiguous(b.getContext(), dims), write);
  kernel.setGrid(
      {graph::getProduct(b.getContext(), tiles),
       getConstant(conv, llvm::divideCeil(product.copiedChannels, channels)),
       windows.batch});
}

namespace {

/// Row counts that are served alike.
struct RowClass {
  std::string name;
  AffineExpr condition; ///< `condition >= 0`, or always if null.
  SmallVector<ProductSchedule> schedules;
};

} // namespace

/// One image or a few want smaller tiles than many.
static SmallVector<RowClass> getRowClasses(const Capability &capability,
                                           const ConvProduct &product) {
  ProductSizes sizes{getConstantSize(product.rows),
                     getConstantSize(product.columns), 0,
                     chooseDepth(product.channels)};
  sizes.steps =
      product.countTaps() * llvm::divideCeil(product.channels, sizes.depth);
  if (sizes.rows)
    return {{std::to_string(*sizes.rows) + " rows", AffineExpr(),
             listSchedules(capability, sizes)}};
  SmallVector<RowClass> classes;
  for (int64_t most : {256, 4096}) {
    sizes.rows = most;
    RowClass its{"up to " + std::to_string(most) + " rows", most - product.rows,
                 listSchedules(capability, sizes)};
    // The parts of k are sums of one size.
    for (ProductSchedule &schedule : its.schedules)
      schedule.parts = 1;
    classes.push_back(std::move(its));
  }
  sizes.rows.reset();
  classes.push_back({"rows", AffineExpr(), listSchedules(capability, sizes)});
  return classes;
}

FailureOr<LoweredGroup>
lathe::kernels::lowerConvProduct(graph::GroupOp group, LoweringContext &context,
                                 const Convolution &conv,
                                 const ConvProduct &product, StringRef name) {
  LoweredGroup lowered;
  if (product.isCopied) {
    lowered.temporaries.push_back(getCopy(product, conv));
    LaunchBuilder launch(group, context);
    launch.setTemporaries(lowered.temporaries);
    buildCopy(launch, conv, product);
    lowered.launches.push_back(launch.finish(
        "pad_" + getShapeName({conv.windows.channels}), AffineExpr()));
  }
  SmallVector<RowClass> classes = getRowClasses(context.capability, product);
  std::optional<SplitK> split;
  if (int64_t parts = classes.front().schedules.front().parts; parts > 1) {
    split.emplace(product.rows, product.columns, parts,
                  lowered.temporaries.size());
    lowered.temporaries.push_back(split->getSums());
  }
  LaunchBuilder launch(group, context);
  launch.setTemporaries(lowered.temporaries);
  for (const RowClass &rows : classes) {
    SmallVector<tile::ScheduleAttr> listed;
    for (const ProductSchedule &schedule : rows.schedules)
      listed.push_back(schedule.getAttr(group.getContext()));
    auto build = [&](KernelBuilder &kernel, unsigned index) {
      if (rows.condition)
        kernel.addCondition(rows.condition);
      return ProductKernel(launch, conv, product, rows.schedules[index], kernel)
          .build(split);
    };
    if (failed(
            launch.addKernels((name + ", " + rows.name).str(), listed, build)))
      return group.emitError("cannot build a kernel for ")
             << *conv.windows.root;
  }
  lowered.launches.push_back(launch.finish(name, conv.getFlops()));
  if (!split)
    return lowered;
  LaunchBuilder last(group, context);
  last.setTemporaries(lowered.temporaries);
  auto finish = [&](KernelBuilder &kernel, Value sums,
                    const TileWindow &window) {
    return buildConvEpilogue(kernel, last, conv.windows.root, sums, window,
                             product.resultAccess, product.yieldAccesses);
  };
  if (failed(split->addKernel(last, "conv", finish)))
    return group.emitError("cannot build a kernel for ") << *conv.windows.root;
  lowered.launches.push_back(last.finish((name + "_sum").str(), AffineExpr()));
  return lowered;
}
