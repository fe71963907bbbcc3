// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-simplify-indexing
//
//   %i = graph.broadcast(graph.reshape(graph.iota 0 size batch)) ...
//   %j = graph.broadcast(graph.reshape(graph.iota 0 size seq)) ...
//   %m = graph.gather_nd %mask, (graph.concat %i, %j axis 4) batch_dims 0
//          : ... -> tensor<?x1x1x?xi1>
// becomes
//   %m = graph.reshape %mask to (batch, 1, 1, seq)
//
// and gathers of constant, consecutive rows become slices.

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/IR/Views.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace lathe::graph {
#define GEN_PASS_DEF_SIMPLIFYINDEXINGPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

static bool isNumber(AffineExpr expr, int64_t value) {
  auto constant = dyn_cast<AffineConstantExpr>(expr);
  return constant && constant.getValue() == value;
}

namespace {
/// Rewrites one gather. Results are null where nothing applies.
class IndexSimplifier {
public:
  IndexSimplifier(ShapeAnalysis &shapes, OpBuilder &builder)
      : shapes(shapes), builder(builder) {}

  Value simplify(GatherOp op);
  Value simplify(GatherNdOp op);

private:
  Value reshape(Location loc, Value value, ArrayRef<AffineExpr> dims);
  std::optional<unsigned> getIndexedDim(Value value);

  ShapeAnalysis &shapes;
  OpBuilder &builder;
};
} // namespace

Value IndexSimplifier::reshape(Location loc, Value value,
                               ArrayRef<AffineExpr> dims) {
  auto type = RankedTensorType::get(toStaticShape(dims),
                                    getElementTypeOrSelf(value.getType()));
  return ReshapeOp::create(builder, loc, type, value,
                           getSizeMap(shapes, builder.getContext(), dims));
}

/// The first of consecutive ascending numbers.
static std::optional<int64_t> getFirstOfRun(ArrayRef<AffineExpr> numbers) {
  for (auto [i, number] : llvm::enumerate(numbers))
    if (!isNumber(number - numbers.front(), i))
      return std::nullopt;
  if (numbers.empty() || !isa<AffineConstantExpr>(numbers.front()))
    return std::nullopt;
  return cast<AffineConstantExpr>(numbers.front()).getValue();
}

Value IndexSimplifier::simplify(GatherOp op) {
  std::optional<Dims> indices = shapes.getContents(op.getIndices());
  auto first = indices ? getFirstOfRun(*indices) : std::nullopt;
  if (!first || (*first < 0 && indices->size() != 1))
    return Value();
  Dims sizes(shapes.getDims(op.getInput()));
  AffineExpr axisSize = sizes[op.getAxis()];
  AffineExpr zero = getAffineConstantExpr(0, op.getContext());
  Dims starts(sizes.size(), zero);
  starts[op.getAxis()] = *first < 0 ? axisSize + *first : zero + *first;
  int64_t count = indices->size();
  AffineExpr room = canonicalizeSize(axisSize - starts[op.getAxis()] - count);
  if (auto known = dyn_cast<AffineConstantExpr>(room))
    if (known.getValue() < 0)
      return Value(); // An error, but one of the call.
  sizes[op.getAxis()] = getAffineConstantExpr(count, op.getContext());
  builder.setInsertionPoint(op);
  auto type = RankedTensorType::get(toStaticShape(sizes),
                                    getElementTypeOrSelf(op.getType()));
  MLIRContext *context = op.getContext();
  Value slice = SliceOp::create(
      builder, op.getLoc(), type, op.getInput(),
      AffineMapAttr::get(getSizeMap(shapes, context, starts)),
      AffineMapAttr::get(getSizeMap(shapes, context, sizes)),
      builder.getDenseI64ArrayAttr(SmallVector<int64_t>(sizes.size(), 1)));
  if (areSameSizes(sizes, shapes.getDims(op.getResult())))
    return slice;
  return reshape(op.getLoc(), slice, shapes.getDims(op.getResult()));
}

/// The dim whose index `value` holds at every position.
std::optional<unsigned> IndexSimplifier::getIndexedDim(Value value) {
  auto dimsOf = [&](Value v) { return shapes.getDims(v); };
  Access access;
  Value leaf = traceViews(value, access, dimsOf);
  auto iota = leaf.getDefiningOp<IotaOp>();
  if (!iota || iota.getStart() != 0)
    return std::nullopt;
  auto view = applyAccess(
      StridedView::getContiguous(value.getContext(), dimsOf(leaf)), access);
  if (!view || !isNumber(view->offset, 0))
    return std::nullopt;
  std::optional<unsigned> found;
  for (auto [i, stride] : llvm::enumerate(view->strides)) {
    if (isNumber(stride, 0) || isNumber(view->dims[i], 1))
      continue;
    if (found || !isNumber(stride, 1))
      return std::nullopt;
    found = i;
  }
  return found;
}

Value IndexSimplifier::simplify(GatherNdOp op) {
  auto concat = op.getIndices().getDefiningOp<ConcatOp>();
  ArrayRef<AffineExpr> input = shapes.getDims(op.getInput());
  ArrayRef<AffineExpr> indices = shapes.getDims(op.getIndices());
  if (!concat || op.getBatchDims() != 0 ||
      concat.getAxis() + 1 != indices.size() ||
      concat.getInputs().size() != input.size())
    return Value();
  // Input dim t runs along result dim dims[t]; other result dims repeat.
  AffineExpr one = getAffineConstantExpr(1, op.getContext());
  Dims result(shapes.getDims(op.getResult()));
  Dims placed(result.size(), one);
  int64_t previous = -1;
  for (auto [i, part] : llvm::enumerate(concat.getInputs())) {
    std::optional<unsigned> dim = getIndexedDim(part);
    if (!dim || static_cast<int64_t>(*dim) <= previous ||
        !isSameSize(input[i], result[*dim]))
      return Value();
    placed[*dim] = input[i];
    previous = *dim;
  }
  builder.setInsertionPoint(op);
  Value view = reshape(op.getLoc(), op.getInput(), placed);
  if (areSameSizes(placed, result))
    return view;
  return BroadcastOp::create(builder, op.getLoc(), op.getType(), view,
                             getSizeMap(shapes, op.getContext(), result));
}

namespace {
struct SimplifyIndexingPass
    : lathe::graph::impl::SimplifyIndexingPassBase<SimplifyIndexingPass> {
  using Base::Base;

  void runOnOperation() override {
    OpBuilder builder(&getContext());
    auto simplify = [&](ShapeAnalysis &shapes, Operation *op) {
      IndexSimplifier simplifier(shapes, builder);
      Value view = llvm::TypeSwitch<Operation *, Value>(op)
                       .Case<GatherOp, GatherNdOp>(
                           [&](auto op) { return simplifier.simplify(op); })
                       .Default([](Operation *) { return Value(); });
      numSimplified += view ? 1 : 0;
      return view;
    };
    if (failed(rewriteOps(getOperation(), simplify)))
      signalPassFailure();
  }
};
} // namespace
