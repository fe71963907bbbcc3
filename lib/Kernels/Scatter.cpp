// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// scatter_elements and scatter_nd: a copy of the input, then a second kernel
// that combines the updates in. Updates may meet at one place and then apply in
// order, so one program makes them all; what a tuple of indices selects is
// moved by vectors. An index out of range is skipped, since a kernel cannot
// fail.

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/IterationSpace.h"
#include "lib/Kernels/Pointwise.h"
#include "lib/Kernels/RowKernel.h"
#include "lib/Kernels/TileEvaluator.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

static constexpr int64_t kUnroll = 4;

namespace {

/// Updates as tuples of indices, each with a slice of `sliceSize` elements.
struct ScatterProblem {
  Operation *op = nullptr;
  graph::ScatterMode mode;
  /// The loops: tuples, and the slice behind.
  graph::Dims dims;
  graph::Access updateAccess;
  /// Where each index of a tuple is read and what it moves.
  SmallVector<graph::GatherAccess::Index, 2> indices;
  /// The result over `dims`, indices not counted.
  graph::StridedView rows;
};

class ScatterStrategy final : public Strategy {
public:
  graph::GroupKind getKind() const override {
    return graph::GroupKind::pointwise;
  }
  LogicalResult match(graph::GroupOp group, const LoweringContext &context,
                      std::string &reason) const override;
  FailureOr<LoweredGroup> lower(graph::GroupOp group,
                                LoweringContext &context) const override;
};

} // namespace

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

static void analyzeElements(graph::ScatterElementsOp op,
                            const LoweringContext &context,
                            ScatterProblem &problem) {
  MLIRContext *mlirContext = op.getContext();
  AffineExpr one = getAffineConstantExpr(1, mlirContext);
  graph::StridedView data = graph::StridedView::getContiguous(
      mlirContext, context.dimsOf(op.getInput()));
  size_t axis = op.getAxis();
  problem.mode = op.getMode();
  problem.dims.assign(graph::Dims(context.dimsOf(op.getIndices())));
  problem.rows = {problem.dims, data.strides, data.offset};
  problem.rows.strides[axis] = getAffineConstantExpr(0, mlirContext);
  problem.indices.push_back({{}, data.dims[axis], data.strides[axis]});
  // Slices of one element.
  graph::ViewStep withSlice = graph::ViewStep::getReshape(problem.dims);
  withSlice.dims.push_back(one);
  problem.dims.push_back(one);
  problem.updateAccess = {withSlice};
  problem.indices.front().access = {withSlice};
  problem.rows.reshape(problem.dims);
}

static void analyzeNd(graph::ScatterNdOp op, int64_t tuple,
                      const LoweringContext &context, ScatterProblem &problem) {
  MLIRContext *mlirContext = op.getContext();
  AffineExpr zero = getAffineConstantExpr(0, mlirContext);
  graph::StridedView data = graph::StridedView::getContiguous(
      mlirContext, context.dimsOf(op.getInput()));
  ArrayRef<AffineExpr> indexDims = context.dimsOf(op.getIndices());
  problem.mode = op.getMode();
  AffineExpr slice =
      graph::getProduct(mlirContext, ArrayRef(data.dims).drop_front(tuple));
  problem.dims.assign(indexDims.begin(), indexDims.end() - 1);
  graph::Dims tuples = problem.dims;
  tuples.push_back(getAffineConstantExpr(1, mlirContext));
  problem.dims.push_back(slice);
  problem.updateAccess = {graph::ViewStep::getReshape(problem.dims)};
  problem.rows = {problem.dims, graph::Dims(problem.dims.size(), zero), zero};
  problem.rows.strides.back() = getAffineConstantExpr(1, mlirContext);
  for (int64_t i = 0; i < tuple; ++i) {
    graph::ViewStep component{
        graph::ViewStep::Kind::Slice, graph::Dims(indexDims), {}, {}};
    component.starts.assign(indexDims.size(), zero);
    component.numbers.assign(indexDims.size(), 1);
    component.starts.back() = getAffineConstantExpr(i, mlirContext);
    component.dims.back() = getAffineConstantExpr(1, mlirContext);
    problem.indices.push_back({{component, graph::ViewStep::getReshape(tuples),
                                graph::ViewStep::getBroadcast(problem.dims)},
                               data.dims[i],
                               data.strides[i]});
  }
}

static FailureOr<ScatterProblem> analyze(graph::GroupOp group,
                                         const LoweringContext &context,
                                         std::string &reason) {
  auto ops = group.getBody().front().without_terminator();
  reason = "not a single scatter";
  if (!llvm::hasSingleElement(ops))
    return failure();
  ScatterProblem problem;
  problem.op = &*ops.begin();
  if (auto elements = dyn_cast<graph::ScatterElementsOp>(problem.op)) {
    analyzeElements(elements, context, problem);
    return problem;
  }
  auto nd = dyn_cast<graph::ScatterNdOp>(problem.op);
  if (!nd)
    return failure();
  auto tuple = getConstantSize(context.dimsOf(nd.getIndices()).back());
  reason = "the length of the index tuples is not constant";
  if (!tuple)
    return failure();
  analyzeNd(nd, *tuple, context, problem);
  return problem;
}

//===----------------------------------------------------------------------===//
// Kernel
//===----------------------------------------------------------------------===//

namespace {
class ScatterBuilder {
public:
  ScatterBuilder(const ScatterProblem &problem, graph::GroupOp group,
                 LoweringContext &context, KernelBuilder kernel, int64_t tile)
      : problem(problem), group(group), context(context), kernel(kernel),
        b(this->kernel.getBuilder()), tile(tile),
        element(getElementTypeOrSelf(problem.op->getResult(0))) {}

  LogicalResult build();

private:
  void forEachTuple(unsigned dim);
  void applyTuple();
  void applySlice(ArrayRef<Value> positions);
  Value merge(Value old, Value update);

  const ScatterProblem &problem;
  graph::GroupOp group;
  LoweringContext &context;
  KernelBuilder kernel;
  ImplicitLocOpBuilder &b;
  int64_t tile;
  Type element;
  SmallVector<Value> bases;
  bool isBroken = false;
};
} // namespace

Value ScatterBuilder::merge(Value old, Value update) {
  switch (problem.mode) {
  case graph::ScatterMode::set:
    return update;
  case graph::ScatterMode::add:
    return combine(b, tile::Combine::Add, old, update);
  case graph::ScatterMode::mul:
    return combine(b, tile::Combine::Mul, old, update);
  case graph::ScatterMode::max:
    if (element.isUnsignedInteger())
      return arith::MaxUIOp::create(b, old, update);
    return combine(b, tile::Combine::Max, old, update);
  case graph::ScatterMode::min:
    if (element.isUnsignedInteger())
      return arith::MinUIOp::create(b, old, update);
    return combine(b, tile::Combine::Min, old, update);
  }
  llvm_unreachable("all modes are listed");
}

void ScatterBuilder::applySlice(ArrayRef<Value> positions) {
  unsigned sliceDim = problem.dims.size() - 1;
  BlockArgument result = kernel.getWrittenBuffer(BufferRef::result(0));
  kernel.forEachTile(
      problem.dims[sliceDim], tile, {},
      [&](Value base, ValueRange, bool inBounds) -> SmallVector<Value> {
        TileWindow window{bases, {{sliceDim, tile, inBounds}}};
        window.bases[sliceDim] = base;
        TileEvaluator evaluator(kernel, group, context, window);
        FailureOr<Value> update =
            evaluator.evaluate(problem.op->getOperand(2), problem.updateAccess);
        if (failed(update)) {
          isBroken = true;
          return {};
        }
        graph::StridedView view = problem.rows;
        for (auto [index, position] :
             llvm::zip_equal(problem.indices, positions)) {
          view.dims.push_back(index.size);
          view.strides.push_back(index.stride);
          window.bases.push_back(position);
        }
        Value merged = *update;
        if (problem.mode != graph::ScatterMode::set)
          merged = merge(toComputeType(b, kernel.load(result, view, window)),
                         merged);
        kernel.store(fromComputeType(b, merged, element), result, view, window);
        return {};
      });
}

void ScatterBuilder::applyTuple() {
  bases.back() = kernel.getIndex(0);
  TileEvaluator scalar(kernel, group, context, {bases, {}});
  SmallVector<Value> positions;
  Value isValid;
  for (const graph::GatherAccess::Index &index : problem.indices) {
    FailureOr<Value> value =
        scalar.evaluate(problem.op->getOperand(1), index.access);
    if (failed(value)) {
      isBroken = true;
      return;
    }
    Value position = arith::IndexCastOp::create(b, b.getIndexType(), *value);
    Value size = kernel.getSize(index.size);
    Value isNegative = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                             position, kernel.getIndex(0));
    position = arith::SelectOp::create(
        b, isNegative, arith::AddIOp::create(b, position, size), position);
    Value fits =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, position, size);
    isValid = isValid ? Value(arith::AndIOp::create(b, isValid, fits)) : fits;
    positions.push_back(position);
  }
  OpBuilder::InsertionGuard guard(b);
  if (isValid) {
    auto ifOp = scf::IfOp::create(b, isValid, /*withElseRegion=*/false);
    b.setInsertionPoint(ifOp.thenBlock()->getTerminator());
  }
  applySlice(positions);
}

void ScatterBuilder::forEachTuple(unsigned dim) {
  if (dim + 1 == problem.dims.size())
    return applyTuple();
  kernel.forEach(kernel.getIndex(0), kernel.getSize(problem.dims[dim]),
                 kernel.getIndex(1), {},
                 [&](Value index, ValueRange) -> SmallVector<Value> {
                   bases[dim] = index;
                   forEachTuple(dim + 1);
                   return {};
                 });
}

LogicalResult ScatterBuilder::build() {
  bases.assign(problem.dims.size(), Value());
  forEachTuple(0);
  kernel.setGrid({});
  return success(!isBroken);
}

//===----------------------------------------------------------------------===//
// Strategy
//===----------------------------------------------------------------------===//

LogicalResult ScatterStrategy::match(graph::GroupOp group,
                                     const LoweringContext &context,
                                     std::string &reason) const {
  return analyze(group, context, reason);
}

FailureOr<LoweredGroup> ScatterStrategy::lower(graph::GroupOp group,
                                               LoweringContext &context) const {
  std::string reason;
  FailureOr<ScatterProblem> problem = analyze(group, context, reason);
  if (failed(problem))
    return group.emitError("was lowered without having matched: ") << reason;
  FailureOr<LaunchSpec> copy =
      lowerCopy(group, problem->op->getOperand(0), 0, context);
  if (failed(copy))
    return failure();
  LaunchBuilder launch(group, context);
  Type compute =
      getComputeType(getElementTypeOrSelf(problem->op->getResult(0)));
  int64_t tile =
      chooseTileSize(context.capability, compute.getIntOrFloatBitWidth(),
                     kUnroll, problem->dims.back());
  KernelBuilder kernel = launch.addKernel("scatter", {tile});
  if (failed(ScatterBuilder(*problem, group, context, kernel, tile).build()))
    return failure();
  LoweredGroup lowered;
  lowered.launches.push_back(std::move(*copy));
  lowered.launches.push_back(launch.finish(
      getOpsName(group, nullptr) + "_" + getShapeName(problem->dims),
      graph::getProduct(group.getContext(), problem->dims)));
  return lowered;
}

std::unique_ptr<Strategy> lathe::kernels::createScatterStrategy() {
  return std::make_unique<ScatterStrategy>();
}
