// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Groups whose root combines along dims: reduce, arg_reduce, softmax and norms.
// Statistics are of the compute type: f32 for f16 and bf16. A row of constant
// length up to 2048, or 32768 on a GPU, is one tile, which all passes share; a
// longer or dynamic one is read again in every pass, from a cache.

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/RowKernel.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

using Step = RowKernel::Step;

namespace {
class ReduceStrategy final : public Strategy {
public:
  graph::GroupKind getKind() const override { return graph::GroupKind::reduce; }
  LogicalResult match(graph::GroupOp group, const LoweringContext &context,
                      std::string &reason) const override;
  FailureOr<LoweredGroup> lower(graph::GroupOp group,
                                LoweringContext &context) const override;
};
} // namespace

/// The input's dims that the root combines; nothing if it is another op.
static std::optional<SmallVector<int64_t>> getAxes(Operation *root,
                                                   size_t rank) {
  using Axes = std::optional<SmallVector<int64_t>>;
  auto from = [&](int64_t axis) -> Axes {
    return llvm::to_vector(llvm::seq<int64_t>(axis, rank));
  };
  return llvm::TypeSwitch<Operation *, Axes>(root)
      .Case([](graph::ReduceOp op) { return llvm::to_vector(op.getAxes()); })
      .Case([](graph::ArgReduceOp op) {
        return SmallVector<int64_t>{int64_t(op.getAxis())};
      })
      .Case([](graph::SoftmaxOp op) {
        return SmallVector<int64_t>{int64_t(op.getAxis())};
      })
      .Case([&](graph::LayerNormOp op) { return from(op.getAxis()); })
      .Case([&](graph::RmsNormOp op) { return from(op.getAxis()); })
      .Default([](Operation *) { return std::nullopt; });
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

static tile::Combine getCombine(graph::Reduction kind, Type element) {
  bool isBool = element.isInteger(1);
  switch (kind) {
  case graph::Reduction::sum:
  case graph::Reduction::mean:
    return tile::Combine::Add;
  case graph::Reduction::max:
    return isBool ? tile::Combine::Or : tile::Combine::Max;
  case graph::Reduction::min:
    return isBool ? tile::Combine::And : tile::Combine::Min;
  case graph::Reduction::prod:
    return tile::Combine::Mul;
  }
  llvm_unreachable("all kinds are listed");
}

static void buildReduce(graph::ReduceOp op, RowKernel &rows) {
  ImplicitLocOpBuilder &b = rows.getBuilder();
  Type element = getElementTypeOrSelf(op.getInput());
  Value statistic = rows.reduce(
      getCombine(op.getKind(), element), element.isUnsignedInteger(),
      [&](Step &step) { return rows.evaluateInput(step); });
  if (op.getKind() == graph::Reduction::mean) {
    Value count = rows.getRowCount(getComputeType(element));
    if (isa<FloatType>(element))
      statistic = arith::DivFOp::create(b, statistic, count);
    else
      statistic = element.isUnsignedInteger()
                      ? Value(arith::DivUIOp::create(b, statistic, count))
                      : arith::DivSIOp::create(b, statistic, count);
  }
  rows.storeStatistic(statistic);
}

namespace {
/// The running best of an arg_reduce: values and their positions per lane.
class ArgReduce {
public:
  ArgReduce(graph::ArgReduceOp op, RowKernel &rows)
      : op(op), rows(rows), b(rows.getBuilder()),
        element(getElementTypeOrSelf(op.getInput())),
        isMax(op.getKind() == graph::Reduction::max),
        combine(isMax ? tile::Combine::Max : tile::Combine::Min) {}

  void build();

private:
  Value isBetter(Value x, Value best);
  Value isEqual(Value x, Value y);
  SmallVector<Value> update(Step &step, ValueRange carried);

  graph::ArgReduceOp op;
  RowKernel &rows;
  ImplicitLocOpBuilder &b;
  Type element;
  bool isMax;
  tile::Combine combine;
};
} // namespace

Value ArgReduce::isBetter(Value x, Value best) {
  bool orEqual = op.getLastIndex();
  if (isa<FloatType>(element)) {
    using P = arith::CmpFPredicate;
    P predicate =
        isMax ? (orEqual ? P::OGE : P::OGT) : (orEqual ? P::OLE : P::OLT);
    return arith::CmpFOp::create(b, predicate, x, best);
  }
  using P = arith::CmpIPredicate;
  P predicate =
      isMax ? (orEqual ? P::sge : P::sgt) : (orEqual ? P::sle : P::slt);
  return arith::CmpIOp::create(b, predicate, x, best);
}

Value ArgReduce::isEqual(Value x, Value y) {
  if (isa<FloatType>(element))
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, y);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, y);
}

SmallVector<Value> ArgReduce::update(Step &step, ValueRange carried) {
  Value x = rows.evaluateInput(step);
  if (!x)
    return SmallVector<Value>(carried);
  if (element.isUnsignedInteger())
    x = rows.flipSign(x);
  Value better = isBetter(x, carried[0]);
  if (step.mask)
    better = arith::AndIOp::create(b, better, step.mask);
  Value positions = rows.getPositions(step);
  return {arith::SelectOp::create(b, better, x, carried[0]),
          arith::SelectOp::create(b, better, positions, carried[1])};
}

void ArgReduce::build() {
  Type compute = getComputeType(element), i64 = b.getI64Type();
  RankedTensorType type = rows.getTileType(compute);
  Value worst = arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, getNeutral(combine, compute)));
  Value first = rows.getConstant(rows.getTileType(i64), 0);
  SmallVector<Value> best =
      rows.forRow({worst, first}, [&](Step &step, ValueRange carried) {
        return update(step, carried);
      });
  Value statistic = best[1];
  if (rows.isHorizontal()) {
    // Of the lanes that hold the best value, the first or last position. A
    // NaN equals nothing: then any position will do.
    Value row = rows.spread(rows.combineLanes(combine, best[0]));
    Value none = first;
    if (!op.getLastIndex()) {
      Value one = rows.getConstant(rows.getStatisticType(i64), 1);
      none = rows.spread(arith::SubIOp::create(b, rows.getRowCount(i64), one));
    }
    Value candidates =
        arith::SelectOp::create(b, isEqual(best[0], row), best[1], none);
    statistic = rows.combineLanes(op.getLastIndex() ? tile::Combine::Max
                                                    : tile::Combine::Min,
                                  candidates);
  }
  rows.storeStatistic(statistic);
}

//===----------------------------------------------------------------------===//
// Softmax and norms
//===----------------------------------------------------------------------===//

/// Computes every element of the root's result from the input's, and stores.
static void forEachElement(RowKernel &rows,
                           llvm::function_ref<Value(Step &, Value)> compute) {
  rows.forRow({}, [&](Step &step, ValueRange) -> SmallVector<Value> {
    if (Value x = rows.evaluateInput(step))
      if (Value y = compute(step, x))
        rows.storeResults(step, y);
    return {};
  });
}

static void buildSoftmax(graph::SoftmaxOp op, RowKernel &rows) {
  ImplicitLocOpBuilder &b = rows.getBuilder();
  Value max = rows.reduce(tile::Combine::Max, /*isUnsigned=*/false,
                          [&](Step &step) { return rows.evaluateInput(step); });
  auto shifted = [&](Value x) -> Value {
    return arith::SubFOp::create(b, x, rows.spread(max));
  };
  Value sum = rows.reduce(
      tile::Combine::Add, /*isUnsigned=*/false, [&](Step &step) -> Value {
        Value x = rows.evaluateInput(step);
        return x ? math::ExpOp::create(b, shifted(x)) : Value();
      });
  if (op.getLog()) {
    Value logSum = math::LogOp::create(b, sum);
    return forEachElement(rows, [&](Step &, Value x) -> Value {
      return arith::SubFOp::create(b, shifted(x), rows.spread(logSum));
    });
  }
  Type element = getElementTypeOrSelf(sum.getType());
  Value one = rows.getConstant(rows.getStatisticType(element), 1.0);
  Value scale = arith::DivFOp::create(b, one, sum);
  forEachElement(rows, [&](Step &, Value x) -> Value {
    return arith::MulFOp::create(b, math::ExpOp::create(b, shifted(x)),
                                 rows.spread(scale));
  });
}

/// 1 / sqrt(sum / n + epsilon).
static Value getInverseDeviation(RowKernel &rows, Value sum, double epsilon) {
  ImplicitLocOpBuilder &b = rows.getBuilder();
  Type element = getElementTypeOrSelf(sum.getType());
  RankedTensorType type = rows.getStatisticType(element);
  Value variance = arith::DivFOp::create(b, sum, rows.getRowCount(element));
  Value moved =
      arith::AddFOp::create(b, variance, rows.getConstant(type, epsilon));
  return arith::DivFOp::create(b, rows.getConstant(type, 1.0),
                               math::SqrtOp::create(b, moved));
}

static Value square(ImplicitLocOpBuilder &b, Value x) {
  return arith::MulFOp::create(b, x, x);
}

/// `y * scale + bias`, where they exist.
static Value applyAffine(RowKernel &rows, Step &step, Value y, Value scale,
                         Value bias) {
  ImplicitLocOpBuilder &b = rows.getBuilder();
  if (scale) {
    Value factor = rows.evaluateParameter(step, scale);
    if (!factor)
      return Value();
    y = arith::MulFOp::create(b, y, factor);
  }
  if (!bias)
    return y;
  Value term = rows.evaluateParameter(step, bias);
  return term ? arith::AddFOp::create(b, y, term) : Value();
}

static void buildLayerNorm(graph::LayerNormOp op, RowKernel &rows) {
  ImplicitLocOpBuilder &b = rows.getBuilder();
  Value sum = rows.reduce(tile::Combine::Add, /*isUnsigned=*/false,
                          [&](Step &step) { return rows.evaluateInput(step); });
  Type element = getElementTypeOrSelf(sum.getType());
  Value mean = arith::DivFOp::create(b, sum, rows.getRowCount(element));
  auto centered = [&](Value x) -> Value {
    return arith::SubFOp::create(b, x, rows.spread(mean));
  };
  Value squares = rows.reduce(tile::Combine::Add, /*isUnsigned=*/false,
                              [&](Step &step) -> Value {
                                Value x = rows.evaluateInput(step);
                                return x ? square(b, centered(x)) : Value();
                              });
  Value inverse =
      getInverseDeviation(rows, squares, op.getEpsilon().convertToDouble());
  forEachElement(rows, [&](Step &step, Value x) {
    Value y = arith::MulFOp::create(b, centered(x), rows.spread(inverse));
    return applyAffine(rows, step, y, op.getScale(), op.getBias());
  });
}

static void buildRmsNorm(graph::RmsNormOp op, RowKernel &rows) {
  ImplicitLocOpBuilder &b = rows.getBuilder();
  Value squares = rows.reduce(tile::Combine::Add, /*isUnsigned=*/false,
                              [&](Step &step) -> Value {
                                Value x = rows.evaluateInput(step);
                                return x ? square(b, x) : Value();
                              });
  Value inverse =
      getInverseDeviation(rows, squares, op.getEpsilon().convertToDouble());
  forEachElement(rows, [&](Step &step, Value x) {
    Value y = arith::MulFOp::create(b, x, rows.spread(inverse));
    return applyAffine(rows, step, y, op.getScale(), Value());
  });
}

//===----------------------------------------------------------------------===//
// Strategy
//===----------------------------------------------------------------------===//

static FailureOr<RowProblem> analyze(graph::GroupOp group,
                                     const LoweringContext &context,
                                     std::string &reason) {
  Operation *root = group.getRoot();
  auto axes = root ? getAxes(root, context.dimsOf(root->getOperand(0)).size())
                   : std::nullopt;
  if (axes)
    return analyzeRows(group, *axes, context, RowOptions(), reason);
  reason =
      root ? root->getName().getStringRef().str() + ": no kernel for this op"
           : "a group of this kind needs a root";
  return failure();
}

LogicalResult ReduceStrategy::match(graph::GroupOp group,
                                    const LoweringContext &context,
                                    std::string &reason) const {
  return analyze(group, context, reason);
}

FailureOr<LoweredGroup> ReduceStrategy::lower(graph::GroupOp group,
                                              LoweringContext &context) const {
  std::string reason;
  FailureOr<RowProblem> problem = analyze(group, context, reason);
  if (failed(problem))
    return group.emitError("was lowered without having matched: ") << reason;
  LaunchBuilder launch(group, context);
  SmallVector<int64_t> tile{problem->tile};
  if (problem->rows > 1)
    tile.insert(tile.begin(), problem->rows);
  KernelBuilder kernel = launch.addKernel(tile::ScheduleAttr::get(
      group.getContext(), "reduce", tile, /*stages=*/1, problem->warps));
  RowKernel rows(*problem, group, context, kernel);
  llvm::TypeSwitch<Operation *>(problem->root)
      .Case([&](graph::ReduceOp op) { buildReduce(op, rows); })
      .Case([&](graph::ArgReduceOp op) { ArgReduce(op, rows).build(); })
      .Case([&](graph::SoftmaxOp op) { buildSoftmax(op, rows); })
      .Case([&](graph::LayerNormOp op) { buildLayerNorm(op, rows); })
      .Case([&](graph::RmsNormOp op) { buildRmsNorm(op, rows); });
  if (failed(rows.finish()))
    return failure();
  AffineExpr elements = graph::getProduct(group.getContext(),
                                          context.dimsOf(problem->getInput()));
  constexpr int64_t opsPerElement = 4;
  LoweredGroup lowered;
  lowered.launches.push_back(launch.finish(
      getOpsName(group, nullptr) + "_" + getShapeName(problem->dims),
      graph::canonicalizeSize(elements * opsPerElement)));
  return lowered;
}

std::unique_ptr<Strategy> lathe::kernels::createReduceStrategy() {
  return std::make_unique<ReduceStrategy>();
}
