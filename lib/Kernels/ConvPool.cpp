// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The pooling strategy: maxima and means over windows.

#include "lib/Kernels/ConvKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

static std::optional<Windows>
analyzePool(graph::GroupOp group, graph::DimsOf dimsOf, std::string &reason) {
  auto op = dyn_cast_or_null<graph::PoolOp>(group.getRoot());
  if (!op) {
    reason = "the root is not 'graph.pool'";
    return std::nullopt;
  }
  Type element = cast<RankedTensorType>(op.getType()).getElementType();
  if (!element.isF32() && !element.isF16() && !element.isBF16()) {
    reason = "only f32, f16 and bf16 are pooled";
    return std::nullopt;
  }
  bool isMean = op.getKind() == graph::Reduction::mean;
  if (isMean &&
      llvm::any_of(op.getDilations(), [](int64_t step) { return step != 1; })) {
    reason = "means have no dilations";
    return std::nullopt;
  }
  Windows windows;
  windows.root = op;
  llvm::append_range(windows.kernel, op.getKernel());
  llvm::append_range(windows.strides, op.getStrides());
  llvm::append_range(windows.dilations, op.getDilations());
  llvm::append_range(windows.low, op.getPads().take_front(windows.getRank()));
  bool last = op.getChannelsLast();
  ArrayRef<AffineExpr> result = dimsOf(op.getResult());
  if (!analyzeWindows(group, windows, last,
                      result[last ? result.size() - 1 : 1], dimsOf, reason))
    return std::nullopt;
  windows.setLanes();
  return windows;
}

/// What an element outside of the input counts as.
static double getOutside(graph::PoolOp op) {
  if (op.getKind() == graph::Reduction::mean)
    return 0.0;
  return -std::numeric_limits<double>::infinity();
}

namespace {

class PoolKernel {
public:
  PoolKernel(LaunchBuilder &launch, const Windows &windows,
             const ConvSchedule &schedule, KernelBuilder &kernel)
      : launch(launch), windows(windows), schedule(schedule), kernel(kernel),
        b(kernel.getBuilder()), op(cast<graph::PoolOp>(windows.root)) {}

  LogicalResult build();

private:
  bool isMean() { return op.getKind() == graph::Reduction::mean; }
  Value combine(Value sum, Value x);
  Value divide(Value sum, const ConvPosition &position);
  LogicalResult buildTile(const LaneTile &tile);
  std::pair<int64_t, AffineExpr> getBorders(unsigned dim);
  Value countAlong(unsigned dim, Value index);
  Value countAlongRow(const ConvPosition &position);

  LaunchBuilder &launch;
  const Windows &windows;
  const ConvSchedule &schedule;
  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;
  graph::PoolOp op;
};

} // namespace

Value PoolKernel::combine(Value sum, Value x) {
  if (isMean())
    return arith::AddFOp::create(b, sum, x);
  return arith::MaximumFOp::create(b, sum, x);
}

/// The first and the last but one position, relative to the input, that count.
std::pair<int64_t, AffineExpr> PoolKernel::getBorders(unsigned dim) {
  if (!op.getIncludePad())
    return {0, windows.input[dim]};
  int64_t high = op.getPads()[dim + windows.getRank()];
  return {-windows.low[dim], windows.input[dim] + high};
}

/// How many elements of the window at `index` of a dim count, as an f32.
Value PoolKernel::countAlong(unsigned dim, Value index) {
  auto [first, end] = getBorders(dim);
  Value start =
      kernel.add(kernel.mul(index, kernel.getIndex(windows.strides[dim])),
                 kernel.getIndex(-windows.low[dim]));
  Value stop = kernel.add(start, kernel.getIndex(windows.kernel[dim]));
  start = arith::MaxSIOp::create(b, start, kernel.getIndex(first));
  stop = arith::MinSIOp::create(b, stop, kernel.getSize(end));
  Value count = arith::SubIOp::create(b, stop, start);
  count = arith::IndexCastOp::create(b, b.getI32Type(), count);
  return arith::SIToFPOp::create(b, b.getF32Type(), count);
}

/// The same along the last dim, for all pixels of the tile.
Value PoolKernel::countAlongRow(const ConvPosition &position) {
  unsigned dim = windows.getRank() - 1;
  auto [first, end] = getBorders(dim);
  SmallVector<int64_t> shape{schedule.pixels, schedule.channels};
  auto type = RankedTensorType::get(shape, b.getI32Type());
  auto splat = [&](Value index) -> Value {
    Value scalar = arith::IndexCastOp::create(b, b.getI32Type(), index);
    return tile::SplatOp::create(b, type, scalar);
  };
  auto number = [&](int64_t value) {
    return kernel.getSplat(shape, b.getI32Type(), value);
  };
  Value start = tile::IotaOp::create(b, type, 0);
  start = arith::AddIOp::create(b, start, splat(position.pixel));
  start = arith::MulIOp::create(b, start, number(windows.strides[dim]));
  start = arith::SubIOp::create(b, start, number(windows.low[dim]));
  Value stop = arith::AddIOp::create(b, start, number(windows.kernel[dim]));
  start = arith::MaxSIOp::create(b, start, number(first));
  stop = arith::MinSIOp::create(b, stop, splat(kernel.getSize(end)));
  Value count = arith::SubIOp::create(b, stop, start);
  return arith::SIToFPOp::create(b, type.clone(b.getF32Type()), count);
}

/// The sum over the number of elements that count.
Value PoolKernel::divide(Value sum, const ConvPosition &position) {
  auto type = cast<RankedTensorType>(sum.getType());
  if (!windows.reachesOutside() || (op.getIncludePad() && !op.getCeil())) {
    int64_t count = 1;
    for (int64_t size : windows.kernel)
      count *= size;
    return arith::DivFOp::create(
        b, sum, kernel.getSplat(type.getShape(), b.getF32Type(), count));
  }
  Value count = countAlongRow(position);
  for (unsigned dim = 0; dim + 1 < windows.getRank(); ++dim) {
    Value factor = tile::SplatOp::create(
        b, type, countAlong(dim, position.outer[1 + dim]));
    count = arith::MulFOp::create(b, count, factor);
  }
  return arith::DivFOp::create(b, sum, count);
}

LogicalResult PoolKernel::buildTile(const LaneTile &tile) {
  double outside = getOutside(op);
  Value sum = kernel.getSplat({schedule.pixels, schedule.channels},
                              b.getF32Type(), outside);
  auto step = [&](ArrayRef<Value>, Value x, Value carried) {
    return combine(carried, x);
  };
  sum = reduceWindows(kernel, launch, windows, schedule, tile, outside, sum,
                      step);
  if (isMean())
    sum = divide(sum, tile.position);
  TileWindow window = tile.position.getOutputWindow(
      schedule, tile.pixelsInBounds,
      dividesSize(schedule.channels, windows.channels));
  return buildConvEpilogue(kernel, launch, windows.root, sum, window,
                           windows.resultAccess, windows.yieldAccesses);
}

LogicalResult PoolKernel::build() {
  LogicalResult result = success();
  forEachKindOfTile(kernel, windows, schedule, [&](const LaneTile &tile) {
    if (failed(buildTile(tile)))
      result = failure();
  });
  setConvGrid(kernel, windows, windows.channels, schedule, 1);
  return result;
}

namespace {

class PoolStrategy : public Strategy {
public:
  graph::GroupKind getKind() const override { return graph::GroupKind::reduce; }

  LogicalResult match(graph::GroupOp group, const LoweringContext &context,
                      std::string &reason) const override {
    return success(analyzePool(group, context.dimsOf, reason).has_value());
  }

  FailureOr<LoweredGroup> lower(graph::GroupOp group,
                                LoweringContext &context) const override {
    std::string reason;
    auto windows = analyzePool(group, context.dimsOf, reason);
    if (!windows)
      return group.emitError("no pooling: ") << reason;
    auto op = cast<graph::PoolOp>(windows->root);
    bool isMean = op.getKind() == graph::Reduction::mean;
    auto schedules =
        listConvSchedules(context.capability, *windows, windows->channels,
                          /*steps=*/std::nullopt, /*channelsInner=*/true);
    auto build = [&](LaunchBuilder &launch, const ConvSchedule &schedule,
                     KernelBuilder &kernel) {
      return PoolKernel(launch, *windows, schedule, kernel).build();
    };
    return lowerWindows(group, context, *windows, "pool",
                        isMean ? "pool_mean" : "pool_max", AffineExpr(),
                        getOutside(op), schedules, build);
  }
};

} // namespace

std::unique_ptr<Strategy> lathe::kernels::createPoolStrategy() {
  return std::make_unique<PoolStrategy>();
}
