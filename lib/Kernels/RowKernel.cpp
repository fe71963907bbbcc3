// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/RowKernel.h"
#include "dialects/Graph/IR/Polynomial.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

/// Vectors of a tile where a row is cut into several.
static constexpr int64_t kUnroll = 4;
/// The longest row that is one tile: all passes over it read the same value.
static constexpr int64_t kMaxRowTile = 2048;

/// On a GPU: bits that a thread keeps of a row, in f32 or what is wider, and
/// the most warps that share one.
static constexpr int64_t kGpuThreadBits = 1024, kGpuWarps = 32;
/// Threads of a warp, and the most rows of a program.
static constexpr int64_t kGpuWarpSize = 32, kGpuRows = 32;

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

namespace {
struct RowAnalysis {
  graph::GroupOp group;
  const LoweringContext &context;
  std::string &reason;
  RowProblem problem;
  SmallVector<graph::StridedView> views;
  unsigned bits = 8;

  void permute(ArrayRef<int64_t> axes, bool reverse);
  void setResultAccess(ArrayRef<int64_t> axes);
  bool isPrologue(Value value) const;
  LogicalResult setYieldAccesses();
  LogicalResult addStores();
  LogicalResult addLeaves(Value value, const graph::Access &access);
  LogicalResult collectViews();
  void chooseLoops(bool vertical);
  bool gathers();
  void chooseGpuRows();
  void chooseGpuColumns();
};
} // namespace

/// Kept dims first: `spaceAccess` and the permuted `problem.dims`.
void RowAnalysis::permute(ArrayRef<int64_t> axes, bool reverse) {
  const graph::Dims &dims = problem.inputDims;
  SmallVector<int64_t> permutation;
  for (int64_t i = 0, rank = dims.size(); i < rank; ++i)
    if (!llvm::is_contained(axes, i))
      permutation.push_back(i);
  problem.boundary = permutation.size();
  llvm::append_range(permutation, axes);
  for (int64_t dim : permutation)
    problem.dims.push_back(dims[dim]);
  problem.reducedCount = graph::getProduct(
      group.getContext(), ArrayRef(problem.dims).drop_front(problem.boundary));
  if (reverse) {
    graph::ViewStep step{graph::ViewStep::Kind::Slice, dims, {}, {}};
    step.starts.assign(dims.size(),
                       getAffineConstantExpr(0, group.getContext()));
    step.numbers.assign(dims.size(), 1);
    step.starts[axes.front()] = graph::canonicalizeSize(dims[axes.front()] - 1);
    step.numbers[axes.front()] = -1;
    problem.spaceAccess.push_back(std::move(step));
  }
  if (!llvm::is_sorted(permutation))
    problem.spaceAccess.push_back(
        graph::ViewStep::getTranspose(problem.dims, permutation));
}

/// A reduction's result lacks the reduced dims, or has them as unit dims.
void RowAnalysis::setResultAccess(ArrayRef<int64_t> axes) {
  const graph::Dims &dims = problem.inputDims;
  problem.resultAccess = problem.spaceAccess;
  ArrayRef<AffineExpr> resultDims = context.dimsOf(problem.getResult());
  if (!isa<graph::ReduceOp, graph::ArgReduceOp>(problem.root))
    return;
  graph::Dims kept = dims;
  for (int64_t axis : axes)
    kept[axis] = getAffineConstantExpr(1, group.getContext());
  problem.resultAccess =
      graph::prepend(graph::ViewStep::getBroadcast(dims), problem.resultAccess);
  if (resultDims.size() != dims.size())
    problem.resultAccess =
        graph::prepend(graph::ViewStep::getReshape(kept), problem.resultAccess);
}

/// Whether `value` is computed before the root, which gives something for each
/// of its elements.
bool RowAnalysis::isPrologue(Value value) const {
  auto isSame = [&](Value its) {
    return llvm::equal(context.dimsOf(its), problem.inputDims,
                       graph::isSameSize);
  };
  Operation *op = value.getDefiningOp();
  return op && op->isBeforeInBlock(problem.root) && isSame(value) &&
         isSame(problem.getResult());
}

LogicalResult RowAnalysis::setYieldAccesses() {
  for (Value value : group.getYield().getValues()) {
    if (isPrologue(value)) {
      problem.yieldAccesses.push_back(problem.spaceAccess);
      continue;
    }
    auto access = graph::getAccessFrom(
        problem.getResult(), problem.resultAccess, value, context.dimsOf);
    if (!access) {
      reason = "a result is not computed from the root position by position";
      return failure();
    }
    problem.yieldAccesses.push_back(std::move(*access));
  }
  return success();
}

LogicalResult RowAnalysis::addStores() {
  for (auto [value, access] :
       llvm::zip_equal(group.getYield().getValues(), problem.yieldAccesses)) {
    auto view =
        graph::applyAccess(graph::StridedView::getContiguous(
                               group.getContext(), context.dimsOf(value)),
                           access);
    if (!view) {
      reason = "a result's position is no strided function of the rows";
      return failure();
    }
    views.push_back(std::move(*view));
  }
  return success();
}

LogicalResult RowAnalysis::addLeaves(Value value, const graph::Access &access) {
  auto isLeaf = [&](Value leaf) {
    return isa<BlockArgument>(leaf) || leaf == problem.getResult();
  };
  auto visit = [&](const graph::Leaf &leaf) {
    if (leaf.value == problem.getResult())
      return;
    views.push_back(leaf.view);
    Type element = getElementTypeOrSelf(leaf.value);
    bits = std::max(bits, getComputeType(element).getIntOrFloatBitWidth());
  };
  auto refuse = [&](Operation *op, StringRef why) {
    StringRef name = op ? op->getName().getStringRef() : "an argument";
    reason = (name + ": " + why).str();
  };
  return graph::walkLeaves(value, access, context.dimsOf, isLeaf, visit,
                           refuse);
}

LogicalResult RowAnalysis::collectViews() {
  problem.inputAccess = problem.spaceAccess;
  if (failed(addStores()) ||
      failed(addLeaves(problem.getInput(), problem.inputAccess)))
    return failure();
  // Scale and bias of norms.
  for (Value operand : llvm::drop_begin(problem.root->getOperands()))
    if (failed(addLeaves(operand, graph::prepend(graph::ViewStep::getBroadcast(
                                                     problem.inputDims),
                                                 problem.spaceAccess))))
      return failure();
  for (auto [value, access] :
       llvm::zip_equal(group.getYield().getValues(), problem.yieldAccesses))
    if (failed(addLeaves(value, access)))
      return failure();
  return success();
}

void RowAnalysis::chooseLoops(bool vertical) {
  std::optional<unsigned> boundary = problem.boundary;
  problem.dims = collapseDims(problem.dims, views, &boundary);
  problem.boundary = *boundary;
  reshapeAll(views, problem.dims);
  graph::ViewStep collapse = graph::ViewStep::getReshape(problem.dims);
  for (graph::Access *access :
       {&problem.inputAccess, &problem.resultAccess, &problem.spaceAccess})
    access->push_back(collapse);
  for (graph::Access &access : problem.yieldAccesses)
    access.push_back(collapse);
  problem.lane = chooseLaneDim(
      views, 0, vertical ? problem.boundary : problem.dims.size());
  AffineExpr size = problem.dims[problem.lane];
  problem.tile = chooseTileSize(context.capability, bits, kUnroll, size);
  std::optional<int64_t> row = getConstantSize(size);
  if (context.capability.kind == Capability::Kind::Gpu) {
    if (!vertical && problem.lane + 1 == problem.boundary)
      chooseGpuColumns();
    else
      chooseGpuRows();
  } else if (problem.isHorizontal() && row && *row > 0 && *row <= kMaxRowTile)
    problem.tile = *row;
}

/// Where rows are gathered from is a scalar of the program.
bool RowAnalysis::gathers() {
  return llvm::any_of(group.getBody().front(),
                      [](Operation &op) { return graph::isGather(&op); });
}

/// What is combined lies across: a program has a few neighbors of the last kept
/// dim, as much as one access reads, and its threads share what is combined. So
/// many programs that all processors have one, if the neighbors allow.
void RowAnalysis::chooseGpuColumns() {
  constexpr int64_t fewest = 8, most = kGpuRows;
  if (gathers())
    return;
  int64_t programs = 1;
  for (AffineExpr dim : ArrayRef(problem.dims).take_front(problem.lane))
    programs *= getConstantSize(dim).value_or(1);
  int64_t columns = getConstantSize(problem.dims[problem.lane]).value_or(most);
  problem.rows = most;
  while (problem.rows > fewest &&
         (problem.rows / 2 >= columns ||
          programs * int64_t(llvm::divideCeil(columns, problem.rows)) <
              context.capability.processors))
    problem.rows /= 2;
  problem.lane = problem.dims.size() - 1;
  // Half of a thread's registers have what was combined before.
  int64_t perWarp = kGpuThreadBits / 2 / std::max<int64_t>(bits, 32) *
                    kGpuWarpSize / problem.rows;
  int64_t size = getConstantSize(problem.dims.back()).value_or(perWarp * 8);
  problem.warps = std::clamp<int64_t>(
      llvm::PowerOf2Ceil(llvm::divideCeil(std::max<int64_t>(size, 1), perWarp)),
      problem.warps, kGpuWarps);
  problem.tile = std::min(problem.warps * perWarp, std::max<int64_t>(size, 1));
}

/// A row stays in registers, of one warp or as many as it takes. Short ones
/// share a program, each with a warp of its own.
void RowAnalysis::chooseGpuRows() {
  if (!problem.isHorizontal())
    return;
  int64_t perThread = kGpuThreadBits / std::max<int64_t>(bits, 32);
  int64_t perWarp = perThread * kGpuWarpSize;
  std::optional<int64_t> row = getConstantSize(problem.dims[problem.lane]);
  if (!row || *row > perWarp * kGpuWarps) {
    problem.warps = row ? 8 : 4;
    problem.tile = problem.warps * perWarp / (row ? 2 : 4);
    return;
  }
  problem.tile = std::max<int64_t>(*row, 1);
  int64_t padded = llvm::PowerOf2Ceil(problem.tile);
  if (padded > perWarp) {
    problem.warps = padded / perWarp;
    return;
  }
  if (gathers())
    return;
  problem.rows = std::min(problem.warps * perWarp / padded, kGpuRows);
  if (auto count = getConstantSize(problem.dims[problem.boundary - 1]))
    problem.rows = std::min<int64_t>(
        problem.rows, llvm::PowerOf2Ceil(std::max<int64_t>(*count, 1)));
}

FailureOr<RowProblem>
lathe::kernels::analyzeRows(graph::GroupOp group, ArrayRef<int64_t> axes,
                            const LoweringContext &context,
                            const RowOptions &options, std::string &reason) {
  RowAnalysis analysis{group, context, reason, {}, {}};
  analysis.problem.root = group.getRoot();
  analysis.problem.inputDims.assign(
      graph::Dims(context.dimsOf(analysis.problem.getInput())));
  analysis.permute(axes, options.reverse);
  analysis.setResultAccess(axes);
  if (failed(analysis.setYieldAccesses()) || failed(analysis.collectViews()))
    return failure();
  analysis.chooseLoops(options.vertical);
  return std::move(analysis.problem);
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

RowKernel::RowKernel(const RowProblem &problem, graph::GroupOp group,
                     LoweringContext &context, KernelBuilder kernel)
    : problem(problem), group(group), context(context), kernel(kernel),
      rowsInBounds(
          problem.rows == 1 ||
          isMultipleOf(problem.dims[problem.boundary - 1], problem.rows)) {
  graph::Dims kept(ArrayRef(problem.dims).take_front(problem.boundary));
  if (!problem.isHorizontal())
    kept[problem.lane] = ceilDivide(kept[problem.lane], problem.tile);
  else
    kept.back() = ceilDivide(kept.back(), problem.rows);
  grid = graph::getProduct(kernel.getContext(), kept);
  bases = this->kernel.delinearize(this->kernel.getProgramId(0), kept);
  if (!problem.isHorizontal())
    bases[problem.lane] =
        this->kernel.mul(bases[problem.lane], kernel.getIndex(problem.tile));
  else
    bases.back() =
        this->kernel.mul(bases.back(), kernel.getIndex(problem.rows));
  bases.resize(problem.dims.size(), this->kernel.getIndex(0));
}

RankedTensorType RowKernel::getTileType(Type element) const {
  if (problem.isHorizontal())
    return RankedTensorType::get({problem.rows, problem.tile}, element);
  return RankedTensorType::get({problem.tile}, element);
}

RankedTensorType RowKernel::getStatisticType(Type element) const {
  int64_t size = problem.isHorizontal() ? problem.rows : problem.tile;
  return RankedTensorType::get({size}, element);
}

bool RowKernel::isSingleStep() const {
  return problem.isHorizontal() &&
         problem.dims.size() == problem.boundary + 1 &&
         getConstantSize(problem.dims.back()) == problem.tile;
}

RowKernel::Step RowKernel::makeStep(bool inBounds) {
  TileWindow window{bases, {}};
  if (problem.isHorizontal())
    window.extents.push_back(
        {problem.boundary - 1, problem.rows, rowsInBounds});
  window.extents.push_back({problem.lane, problem.tile, inBounds});
  Step step{TileEvaluator(kernel, group, context, window), window, Value()};
  if (inBounds || !problem.isHorizontal())
    return step;
  ImplicitLocOpBuilder &b = getBuilder();
  auto type = getTileType(b.getIndexType());
  Value base = tile::SplatOp::create(b, type, bases[problem.lane]);
  Value position =
      arith::AddIOp::create(b, base, tile::IotaOp::create(b, type, 1));
  Value size = tile::SplatOp::create(
      b, type, kernel.getSize(problem.dims[problem.lane]));
  step.mask =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, position, size);
  return step;
}

SmallVector<Value> RowKernel::forDims(unsigned dim, bool inBounds,
                                      ValueRange carried, Body body) {
  if (dim == problem.dims.size()) {
    Step step = makeStep(inBounds);
    return body(step, carried);
  }
  SmallVector<Value> values(carried);
  if (dim == problem.lane)
    return kernel.forEachTile(problem.dims[dim], problem.tile, values,
                              [&](Value base, ValueRange old, bool isInside) {
                                bases[dim] = base;
                                return forDims(dim + 1, isInside, old, body);
                              });
  if (getConstantSize(problem.dims[dim]) == 1) {
    bases[dim] = kernel.getIndex(0);
    return forDims(dim + 1, inBounds, values, body);
  }
  return kernel.forEach(kernel.getIndex(0), kernel.getSize(problem.dims[dim]),
                        kernel.getIndex(1), values,
                        [&](Value index, ValueRange old) {
                          bases[dim] = index;
                          return forDims(dim + 1, inBounds, old, body);
                        });
}

SmallVector<Value> RowKernel::forRow(ArrayRef<Value> carried, Body body) {
  bool inBounds = problem.isHorizontal() ||
                  isMultipleOf(problem.dims[problem.lane], problem.tile);
  return forDims(problem.boundary, inBounds, carried, body);
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

TypedAttr lathe::kernels::getNeutral(tile::Combine kind, Type element) {
  Builder b(element.getContext());
  if (auto type = dyn_cast<FloatType>(element)) {
    const llvm::fltSemantics &semantics = type.getFloatSemantics();
    if (kind == tile::Combine::Max || kind == tile::Combine::Min)
      return b.getFloatAttr(
          type, APFloat::getInf(semantics, kind == tile::Combine::Max));
    return b.getFloatAttr(type, kind == tile::Combine::Mul ? 1.0 : 0.0);
  }
  unsigned width = element.getIntOrFloatBitWidth();
  switch (kind) {
  case tile::Combine::Max:
    return b.getIntegerAttr(element, APInt::getSignedMinValue(width));
  case tile::Combine::Min:
    return b.getIntegerAttr(element, APInt::getSignedMaxValue(width));
  case tile::Combine::And:
    return b.getIntegerAttr(element, APInt::getAllOnes(width));
  case tile::Combine::Mul:
    return b.getIntegerAttr(element, APInt(width, 1));
  case tile::Combine::Add:
  case tile::Combine::Or:
    return b.getIntegerAttr(element, APInt::getZero(width));
  }
  llvm_unreachable("all kinds are listed");
}

Value lathe::kernels::combine(ImplicitLocOpBuilder &b, tile::Combine kind,
                              Value x, Value y) {
  bool isFloat = isa<FloatType>(getElementTypeOrSelf(x.getType()));
  switch (kind) {
  case tile::Combine::Add:
    return isFloat ? Value(arith::AddFOp::create(b, x, y))
                   : arith::AddIOp::create(b, x, y);
  case tile::Combine::Mul:
    return isFloat ? Value(arith::MulFOp::create(b, x, y))
                   : arith::MulIOp::create(b, x, y);
  case tile::Combine::Max:
    return isFloat ? Value(arith::MaximumFOp::create(b, x, y))
                   : arith::MaxSIOp::create(b, x, y);
  case tile::Combine::Min:
    return isFloat ? Value(arith::MinimumFOp::create(b, x, y))
                   : arith::MinSIOp::create(b, x, y);
  case tile::Combine::And:
    return arith::AndIOp::create(b, x, y);
  case tile::Combine::Or:
    return arith::OrIOp::create(b, x, y);
  }
  llvm_unreachable("all kinds are listed");
}

Value RowKernel::getConstant(RankedTensorType type, double value) {
  return kernel.getSplat(type.getShape(), type.getElementType(), value);
}

/// A splat of `value`.
static Value createSplat(ImplicitLocOpBuilder &b, RankedTensorType type,
                         TypedAttr value) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, value));
}

Value RowKernel::flipSign(Value tile) {
  ImplicitLocOpBuilder &b = getBuilder();
  auto type = cast<RankedTensorType>(tile.getType());
  unsigned width = type.getElementTypeBitWidth();
  auto bit = b.getIntegerAttr(type.getElementType(), APInt::getSignMask(width));
  return arith::XOrIOp::create(b, tile, createSplat(b, type, bit));
}

Value RowKernel::combineLanes(tile::Combine kind, Value tile) {
  if (!problem.isHorizontal())
    return tile;
  return tile::ReduceOp::create(getBuilder(), kind, tile, 1);
}

Value RowKernel::spread(Value statistic) {
  if (!problem.isHorizontal())
    return statistic;
  Type element = getElementTypeOrSelf(statistic.getType());
  return tile::BroadcastOp::create(getBuilder(), getTileType(element),
                                   statistic, ArrayRef<int64_t>{0});
}

Value RowKernel::reduce(tile::Combine kind, bool isUnsigned,
                        llvm::function_ref<Value(Step &)> contribution) {
  ImplicitLocOpBuilder &b = getBuilder();
  bool flip =
      isUnsigned && (kind == tile::Combine::Max || kind == tile::Combine::Min);
  Type element = getComputeType(getElementTypeOrSelf(problem.getInput()));
  RankedTensorType type = getTileType(element);
  auto contribute = [&](Step &step) -> Value {
    Value tile = contribution(step);
    if (!tile)
      return createSplat(b, type, getNeutral(kind, element));
    if (flip)
      tile = flipSign(tile);
    if (step.mask)
      tile = arith::SelectOp::create(
          b, step.mask, tile, createSplat(b, type, getNeutral(kind, element)));
    return tile;
  };
  SmallVector<Value> carried;
  if (isSingleStep())
    carried = forRow({}, [&](Step &step, ValueRange) -> SmallVector<Value> {
      return {contribute(step)};
    });
  else
    carried = forRow(createSplat(b, type, getNeutral(kind, element)),
                     [&](Step &step, ValueRange old) -> SmallVector<Value> {
                       return {combine(b, kind, old[0], contribute(step))};
                     });
  Value statistic = combineLanes(kind, carried[0]);
  return flip ? flipSign(statistic) : statistic;
}

Value RowKernel::evaluate(Step &step, Value value,
                          const graph::Access &access) {
  FailureOr<Value> tile = step.evaluator.evaluate(value, access);
  if (succeeded(tile))
    return *tile;
  fail();
  return Value();
}

Value RowKernel::evaluateParameter(Step &step, Value value) {
  return evaluate(
      step, value,
      graph::prepend(graph::ViewStep::getBroadcast(problem.inputDims),
                     problem.spaceAccess));
}

Value RowKernel::getRowCount(Type element) {
  ImplicitLocOpBuilder &b = getBuilder();
  RankedTensorType type = getStatisticType(element);
  if (auto constant = getConstantSize(problem.reducedCount))
    return getConstant(type, *constant);
  Value count = arith::IndexCastOp::create(
      b, b.getI64Type(), kernel.getSize(problem.reducedCount));
  if (isa<FloatType>(element))
    count = arith::SIToFPOp::create(b, element, count);
  else if (element.getIntOrFloatBitWidth() < 64)
    count = arith::TruncIOp::create(b, element, count);
  return tile::SplatOp::create(b, type, count);
}

Value RowKernel::getPositions(const Step &step) {
  ImplicitLocOpBuilder &b = getBuilder();
  RankedTensorType type = getTileType(b.getI64Type());
  Value base =
      arith::IndexCastOp::create(b, b.getI64Type(), step.window.bases.back());
  Value positions = tile::SplatOp::create(b, type, base);
  if (problem.lane != problem.dims.size() - 1)
    return positions;
  return arith::AddIOp::create(b, positions, tile::IotaOp::create(b, type, 1));
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

void RowKernel::storeResults(Step &step, Value tile) {
  step.evaluator.bind(problem.getResult(), problem.resultAccess, tile);
  for (auto [i, value] : llvm::enumerate(group.getYield().getValues())) {
    Value result = evaluate(step, value, problem.yieldAccesses[i]);
    if (!result ||
        llvm::failed(step.evaluator.store(result, i, problem.yieldAccesses[i])))
      return fail();
  }
}

void RowKernel::storeStatistic(Value statistic) {
  for (unsigned i = problem.boundary; i < problem.dims.size(); ++i)
    bases[i] = kernel.getIndex(0);
  TileWindow window{bases, {}};
  if (problem.isHorizontal())
    window.extents.push_back(
        {problem.boundary - 1, problem.rows, rowsInBounds});
  else
    window.extents.push_back(
        {problem.lane, problem.tile,
         isMultipleOf(problem.dims[problem.lane], problem.tile)});
  Step step{TileEvaluator(kernel, group, context, window), window, Value()};
  storeResults(step, statistic);
}

LogicalResult RowKernel::finish() {
  kernel.setGrid({grid});
  return success(!failed);
}
