// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-propagate-transposes
//
//   %a = graph.transpose %x [0, 3, 1, 2]
//   %b = graph.relu %a
//   %c = graph.transpose %b [0, 2, 3, 1]
// becomes
//   %c = graph.relu %x
//
// Transposes move towards the results, through every op that can be said over
// the other order of dims at no cost, and meet those that undo them. What one
// moves past an op is its *permutation*: an operand is the transpose of
// something, or so small in rank that it has any order (a bias, a scalar).

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace lathe::graph {
#define GEN_PASS_DEF_PROPAGATETRANSPOSESPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

using Permutation = SmallVector<int64_t>;

//===----------------------------------------------------------------------===//
// Permutations: dim i of transpose(x, p) is dim p[i] of x
//===----------------------------------------------------------------------===//

/// `first`, then `second`.
static Permutation compose(ArrayRef<int64_t> first, ArrayRef<int64_t> second) {
  Permutation result;
  for (int64_t dim : second)
    result.push_back(first[dim]);
  return result;
}

static Permutation invert(ArrayRef<int64_t> permutation) {
  Permutation result(permutation.size());
  for (auto [i, dim] : llvm::enumerate(permutation))
    result[dim] = i;
  return result;
}

/// The permutation that is left when the dims in `dropped`, positions in the
/// result, are gone.
static Permutation dropDims(ArrayRef<int64_t> permutation,
                            ArrayRef<int64_t> dropped) {
  Permutation kept;
  for (auto [i, dim] : llvm::enumerate(permutation))
    if (!llvm::is_contained(dropped, static_cast<int64_t>(i)))
      kept.push_back(dim);
  Permutation result;
  for (int64_t dim : kept)
    result.push_back(
        llvm::count_if(kept, [&](int64_t other) { return other < dim; }));
  return result;
}

/// What stood at the dims of transpose(x, permutation), at the dims of x.
template <typename Numbers>
static Numbers undo(ArrayRef<int64_t> permutation, const Numbers &numbers) {
  Numbers result(numbers);
  for (auto [i, dim] : llvm::enumerate(permutation))
    result[dim] = numbers[i];
  return result;
}

static bool isUnit(AffineExpr size) {
  auto constant = dyn_cast<AffineConstantExpr>(size);
  return constant && constant.getValue() == 1;
}

/// Whether transposing an array of `dims` leaves its elements in order.
static bool movesOnlyUnits(ArrayRef<AffineExpr> dims,
                           ArrayRef<int64_t> permutation) {
  int64_t last = -1;
  for (int64_t dim : permutation) {
    if (isUnit(dims[dim]))
      continue;
    if (dim < last)
      return false;
    last = dim;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Moving
//===----------------------------------------------------------------------===//

namespace {
class Propagator {
public:
  Propagator(ShapeAnalysis &shapes, OpBuilder &builder)
      : shapes(shapes), builder(builder) {}

  /// What `op` computes, with the transposes of its operands after it. Null,
  /// and nothing changed, if there are none or they cannot pass.
  Value sink(Operation *op);

private:
  Value simplify(TransposeOp op);
  Value sinkElementwise(Operation *op);
  Value sinkReshape(ReshapeOp op);
  Value sinkBroadcast(BroadcastOp op);
  Value sinkConcat(ConcatOp op);
  Value sinkReduce(ReduceOp op);
  /// Ops of one tensor whose attributes name its dims. `rename` sets them on
  /// the new op, for the dims of the transpose's input.
  Value
  sinkUnary(Operation *op,
            llvm::function_ref<void(Operation *, ArrayRef<int64_t>)> rename);

  bool canUndo(Value value, ArrayRef<int64_t> permutation);
  Value undoTranspose(Value value, ArrayRef<int64_t> permutation);
  Value transpose(Value value, ArrayRef<int64_t> permutation);
  Value reshape(Value value, ArrayRef<AffineExpr> dims);
  Operation *cloneWith(Operation *op, ValueRange operands);
  Value finish(Operation *op);

  ShapeAnalysis &shapes;
  OpBuilder &builder;
};
} // namespace

static TransposeOp getTranspose(Value value) {
  return value ? value.getDefiningOp<TransposeOp>() : TransposeOp();
}

/// The dims of `value` with unit dims in front, up to `rank`.
static Dims alignDims(ArrayRef<AffineExpr> dims, size_t rank,
                      MLIRContext *context) {
  Dims aligned(rank - dims.size(), getAffineConstantExpr(1, context));
  aligned.append(dims.begin(), dims.end());
  return aligned;
}

/// Whether there is, for nothing, an `x` whose transpose broadcasts as `value`
/// does.
bool Propagator::canUndo(Value value, ArrayRef<int64_t> permutation) {
  ArrayRef<AffineExpr> dims = shapes.getDims(value);
  if (dims.empty())
    return true;
  if (auto op = getTranspose(value); op && op.getPermutation() == permutation)
    return true;
  if (dims.size() > permutation.size())
    return false;
  Dims aligned = alignDims(dims, permutation.size(), value.getContext());
  return value.getDefiningOp<ConstantOp>() ||
         movesOnlyUnits(aligned, invert(permutation));
}

Value Propagator::undoTranspose(Value value, ArrayRef<int64_t> permutation) {
  ArrayRef<AffineExpr> dims = shapes.getDims(value);
  if (dims.empty())
    return value;
  if (auto op = getTranspose(value); op && op.getPermutation() == permutation)
    return op.getInput();
  Dims aligned = alignDims(dims, permutation.size(), value.getContext());
  if (movesOnlyUnits(aligned, invert(permutation)))
    return reshape(value, undo(permutation, aligned));
  if (aligned.size() != dims.size())
    value = reshape(value, aligned);
  return transpose(value, invert(permutation));
}

/// Views of views are views of what is below.
Value Propagator::transpose(Value value, ArrayRef<int64_t> permutation) {
  Permutation whole(permutation);
  if (TransposeOp inner = getTranspose(value)) {
    whole = compose(inner.getPermutation(), permutation);
    value = inner.getInput();
  }
  if (llvm::is_sorted(whole))
    return value;
  ArrayRef<AffineExpr> dims = shapes.getDims(value);
  if (movesOnlyUnits(dims, whole)) {
    Dims to;
    for (int64_t dim : whole)
      to.push_back(dims[dim]);
    return reshape(value, to);
  }
  auto op = TransposeOp::create(builder, value.getLoc(), value, whole);
  return finish(op);
}

Value Propagator::reshape(Value value, ArrayRef<AffineExpr> to) {
  Dims dims(to);
  while (auto inner = value.getDefiningOp<ReshapeOp>())
    value = inner.getInput();
  if (areSameSizes(shapes.getDims(value), dims))
    return value;
  auto type = RankedTensorType::get(toStaticShape(dims),
                                    getElementTypeOrSelf(value.getType()));
  auto op = ReshapeOp::create(builder, value.getLoc(), type, value,
                              getSizeMap(shapes, builder.getContext(), dims));
  return finish(op);
}

/// A copy of `op` with other operands, of which the caller sets attributes
/// before it calls `finish`.
Operation *Propagator::cloneWith(Operation *op, ValueRange operands) {
  Operation *clone = builder.clone(*op);
  clone->setOperands(operands);
  return clone;
}

/// The result of a new op, its dims known. What passes in one order of dims
/// passes in another.
Value Propagator::finish(Operation *op) {
  [[maybe_unused]] LogicalResult visited = shapes.visit(op);
  assert(succeeded(visited) && "the same op in another order of dims");
  shapes.annotate(op);
  return op->getResult(0);
}

/// A transpose of a view, or one that moves nothing.
Value Propagator::simplify(TransposeOp op) {
  if (!getTranspose(op.getInput()) &&
      !movesOnlyUnits(shapes.getDims(op.getInput()), op.getPermutation()))
    return Value();
  return transpose(op.getInput(), op.getPermutation());
}

Value Propagator::sinkElementwise(Operation *op) {
  size_t rank = shapes.getDims(op->getResult(0)).size();
  for (Value operand : op->getOperands()) {
    TransposeOp view = getTranspose(operand);
    if (!view || view.getPermutation().size() != rank)
      continue;
    Permutation permutation(view.getPermutation());
    if (!llvm::all_of(op->getOperands(),
                      [&](Value value) { return canUndo(value, permutation); }))
      continue;
    SmallVector<Value> operands;
    for (Value value : op->getOperands())
      operands.push_back(undoTranspose(value, permutation));
    return transpose(finish(cloneWith(op, operands)), permutation);
  }
  return Value();
}

namespace {
/// Neighboring dims of a transpose's result that a reshape makes into `dims`.
struct Run {
  int64_t source; ///< The first of them, before the transpose.
  SmallVector<int64_t> dims;
};
} // namespace

/// Cuts a reshape into its shortest runs. Nothing if one merges dims that are
/// no neighbors before the transpose, or if unit dims are left at the end.
static std::optional<SmallVector<Run>> findRuns(ArrayRef<int64_t> permutation,
                                                ArrayRef<AffineExpr> from,
                                                ArrayRef<AffineExpr> to) {
  SmallVector<Run> runs;
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    Run run{permutation[i], {static_cast<int64_t>(j)}};
    AffineExpr left = from[i++], right = to[j++];
    while (!isSameSize(left, right)) {
      if (i < from.size() && isSizeAtLeast(right - left, 0)) {
        if (permutation[i] != permutation[i - 1] + 1)
          return std::nullopt;
        left = left * from[i++];
        continue;
      }
      if (j == to.size())
        return std::nullopt;
      run.dims.push_back(j);
      right = right * to[j++];
    }
    runs.push_back(std::move(run));
  }
  if (i != from.size() || j != to.size())
    return std::nullopt;
  return runs;
}

/// A reshape that only splits and merges dims which are neighbors on both sides
/// of the transpose.
Value Propagator::sinkReshape(ReshapeOp op) {
  TransposeOp view = getTranspose(op.getInput());
  if (!view)
    return Value();
  Dims to(shapes.getDims(op.getResult()));
  auto runs =
      findRuns(view.getPermutation(), shapes.getDims(view.getResult()), to);
  if (!runs)
    return Value();
  llvm::sort(*runs,
             [](const Run &a, const Run &b) { return a.source < b.source; });
  Permutation order;
  for (const Run &run : *runs)
    llvm::append_range(order, run.dims);
  Dims sizes;
  for (int64_t dim : order)
    sizes.push_back(to[dim]);
  return transpose(reshape(view.getInput(), sizes), invert(order));
}

Value Propagator::sinkBroadcast(BroadcastOp op) {
  TransposeOp view = getTranspose(op.getInput());
  if (!view)
    return Value();
  Dims to(shapes.getDims(op.getResult()));
  int64_t added = to.size() - view.getPermutation().size();
  Permutation permutation = llvm::to_vector(llvm::seq<int64_t>(0, added));
  for (int64_t dim : view.getPermutation())
    permutation.push_back(dim + added);
  Operation *clone = cloneWith(op, view.getInput());
  AffineMap sizes = getSizeMap(shapes, op.getContext(), undo(permutation, to));
  cast<BroadcastOp>(clone).setShape(sizes);
  return transpose(finish(clone), permutation);
}

Value Propagator::sinkConcat(ConcatOp op) {
  TransposeOp view = getTranspose(op.getInputs().front());
  if (!view)
    return Value();
  Permutation permutation(view.getPermutation());
  SmallVector<Value> operands;
  for (Value input : op.getInputs())
    if (!canUndo(input, permutation))
      return Value();
  for (Value input : op.getInputs())
    operands.push_back(undoTranspose(input, permutation));
  Operation *clone = cloneWith(op, operands);
  cast<ConcatOp>(clone).setAxis(permutation[op.getAxis()]);
  return transpose(finish(clone), permutation);
}

Value Propagator::sinkReduce(ReduceOp op) {
  TransposeOp view = getTranspose(op.getInput());
  if (!view)
    return Value();
  ArrayRef<int64_t> permutation = view.getPermutation();
  Permutation axes;
  for (int64_t axis : op.getAxes())
    axes.push_back(permutation[axis]);
  llvm::sort(axes);
  Operation *clone = cloneWith(op, view.getInput());
  cast<ReduceOp>(clone).setAxes(axes);
  Value result = finish(clone);
  if (op.getKeepDims())
    return transpose(result, permutation);
  return transpose(result, dropDims(permutation, op.getAxes()));
}

Value Propagator::sinkUnary(
    Operation *op,
    llvm::function_ref<void(Operation *, ArrayRef<int64_t>)> rename) {
  TransposeOp view = getTranspose(op->getOperand(0));
  if (!view)
    return Value();
  SmallVector<Value> operands(op->getOperands());
  operands[0] = view.getInput();
  Operation *clone = cloneWith(op, operands);
  rename(clone, view.getPermutation());
  return transpose(finish(clone), view.getPermutation());
}

//===-- Ops whose attributes name dims ---------------------------------------//

static void renameAxis(Operation *op, ArrayRef<int64_t> permutation) {
  auto axis = op->getAttrOfType<IntegerAttr>("axis");
  op->setAttr("axis",
              IntegerAttr::get(axis.getType(), permutation[axis.getInt()]));
}

static void renamePad(Operation *op, ArrayRef<int64_t> permutation) {
  auto pad = cast<PadOp>(op);
  pad.setLow(undo(permutation, Permutation(pad.getLow())));
  pad.setHigh(undo(permutation, Permutation(pad.getHigh())));
}

static void renameSlice(Operation *op, ArrayRef<int64_t> permutation) {
  auto slice = cast<SliceOp>(op);
  auto reorder = [&](AffineMap map) {
    Dims sizes = undo(permutation, Dims(map.getResults()));
    return AffineMap::get(map.getNumDims(), map.getNumSymbols(), sizes,
                          op->getContext());
  };
  slice.setStarts(reorder(slice.getStarts()));
  slice.setSizes(reorder(slice.getSizes()));
  slice.setSteps(undo(permutation, Permutation(slice.getSteps())));
}

Value Propagator::sink(Operation *op) {
  builder.setInsertionPoint(op);
  if (op->hasTrait<lathe::graph::OpTrait::Elementwise>())
    return sinkElementwise(op);
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<TransposeOp>([&](auto view) { return simplify(view); })
      .Case<ReshapeOp>([&](auto view) { return sinkReshape(view); })
      .Case<BroadcastOp>([&](auto view) { return sinkBroadcast(view); })
      .Case<ConcatOp>([&](auto concat) { return sinkConcat(concat); })
      .Case<ReduceOp>([&](auto reduce) { return sinkReduce(reduce); })
      .Case<SoftmaxOp, CumulateOp>(
          [&](auto) { return sinkUnary(op, renameAxis); })
      .Case<PadOp>([&](auto) { return sinkUnary(op, renamePad); })
      .Case<SliceOp>([&](auto) { return sinkUnary(op, renameSlice); })
      .Default([](Operation *) { return Value(); });
}

namespace {
struct PropagateTransposesPass
    : lathe::graph::impl::PropagateTransposesPassBase<PropagateTransposesPass> {
  using Base::Base;

  void runOnOperation() override {
    OpBuilder builder(&getContext());
    // In order, so that a transpose moves through a chain at once.
    auto sink = [&](ShapeAnalysis &shapes, Operation *op) {
      if (op->getNumResults() != 1)
        return Value();
      Value result = Propagator(shapes, builder).sink(op);
      numMoved += result ? 1 : 0;
      return result;
    };
    if (failed(rewriteOps(getOperation(), sink)))
      signalPassFailure();
  }
};
} // namespace
