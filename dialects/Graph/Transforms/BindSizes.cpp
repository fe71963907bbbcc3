// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-bind-sizes
//
//   %y = graph.dynamic_reshape %x, %shape {binds = [1, 2]}
// becomes
//   ...  the copied dims and the -1 of %shape, computed
//   %b = graph.bind %x, %sizes {binds = [1, 2]}
//   %y = graph.reshape %b to ()[s0, s1, s2] -> (s1, s2)
//
// and so for the other ops whose sizes only the run knows. The symbols stay the
// same, so that nothing else changes.

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace lathe::graph {
#define GEN_PASS_DEF_BINDSIZESPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

namespace {
/// Builds arithmetic on small tensors of i64 before an op.
class SizeBuilder {
public:
  SizeBuilder(ShapeAnalysis &shapes, Operation *op)
      : shapes(shapes), builder(op), loc(op->getLoc()),
        i64(builder.getI64Type()) {}

  template <typename Op, typename... Args>
  Value create(Type elementType, Args &&...args) {
    auto op = createInferred<Op>(builder, loc, shapes, elementType,
                                 std::forward<Args>(args)...);
    return succeeded(op) ? Value((*op)->getResult(0)) : Value();
  }

  Value number(int64_t value) { return numbers(value, {}); }
  /// The size `expr` as a scalar. (The iota is never computed.)
  Value size(AffineExpr expr);
  /// Sizes as one 1-D tensor.
  Value list(ArrayRef<AffineExpr> exprs);
  Value asList(Value scalar) { return reshape(scalar, {1}); }
  Value reshape(Value value, ArrayRef<int64_t> shape);
  Value concat(ArrayRef<Value> parts);
  /// Element `i` of a 1-D tensor, as 1-D.
  Value element(Value list, int64_t i);

  Value add(Value a, Value b) { return create<AddOp>(typeOf(a), a, b); }
  Value sub(Value a, Value b) { return create<SubOp>(typeOf(a), a, b); }
  Value mul(Value a, Value b) { return create<MulOp>(typeOf(a), a, b); }
  Value div(Value a, Value b) { return create<DivOp>(typeOf(a), a, b); }
  Value max(Value a, Value b) { return create<MaxOp>(typeOf(a), a, b); }
  Value min(Value a, Value b) { return create<MinOp>(typeOf(a), a, b); }
  Value is(Compare kind, Value a, Value b) {
    auto attr = CompareAttr::get(builder.getContext(), kind);
    return create<CompareOp>(builder.getI1Type(), attr, a, b);
  }
  Value select(Value condition, Value a, Value b) {
    return create<SelectOp>(typeOf(a), condition, a, b);
  }
  AffineMapAttr map(ArrayRef<AffineExpr> exprs) {
    return AffineMapAttr::get(getSizeMap(shapes, builder.getContext(), exprs));
  }
  static Type typeOf(Value value) { return getElementTypeOrSelf(value); }

  /// `value` from which `sizes` define the symbols of `dims`, or new ones.
  Value bind(Value value, Value sizes, ArrayRef<AffineExpr> dims = {});

  ShapeAnalysis &shapes;
  OpBuilder builder;
  Location loc;
  Type i64;

private:
  Value numbers(int64_t value, ArrayRef<int64_t> shape);
};
} // namespace

Value SizeBuilder::numbers(int64_t value, ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, i64);
  auto op =
      ConstantOp::create(builder, loc, DenseElementsAttr::get(type, value));
  (void)shapes.visit(op);
  return op;
}

Value SizeBuilder::size(AffineExpr expr) {
  if (auto known = dyn_cast<AffineConstantExpr>(expr))
    return number(known.getValue());
  Value line = create<IotaOp>(i64, builder.getI64IntegerAttr(0), map(expr));
  return create<DimOp>(i64, line, builder.getI64IntegerAttr(0));
}

Value SizeBuilder::reshape(Value value, ArrayRef<int64_t> shape) {
  Dims dims;
  for (int64_t size : shape)
    dims.push_back(builder.getAffineConstantExpr(size));
  return create<ReshapeOp>(typeOf(value), value, map(dims));
}

Value SizeBuilder::concat(ArrayRef<Value> parts) {
  if (parts.size() == 1)
    return parts.front();
  return create<ConcatOp>(i64, ValueRange(parts), builder.getI64IntegerAttr(0));
}

Value SizeBuilder::list(ArrayRef<AffineExpr> exprs) {
  return concat(llvm::map_to_vector(
      exprs, [&](AffineExpr expr) { return asList(size(expr)); }));
}

Value SizeBuilder::element(Value list, int64_t i) {
  Dims start = {builder.getAffineConstantExpr(i)};
  Dims one = {builder.getAffineConstantExpr(1)};
  return create<SliceOp>(i64, list, map(start), map(one),
                         builder.getDenseI64ArrayAttr({1}));
}

Value SizeBuilder::bind(Value value, Value sizes, ArrayRef<AffineExpr> dims) {
  SmallVector<int64_t> symbols;
  for (AffineExpr dim : dims)
    symbols.push_back(cast<AffineSymbolExpr>(dim).getPosition());
  DenseI64ArrayAttr binds;
  if (!symbols.empty())
    binds = builder.getDenseI64ArrayAttr(symbols);
  auto op = BindOp::create(builder, loc, value.getType(), value, sizes, binds);
  (void)shapes.visit(op);
  shapes.annotate(op);
  return op;
}

//===-- The ops -----------------------------------------------------------===//

static Value lowerReshape(DynamicReshapeOp op, SizeBuilder &b,
                          ArrayRef<AffineExpr> dims) {
  Dims in(b.shapes.getDims(op.getInput()));
  if (dims.empty())
    return ReshapeOp::create(b.builder, b.loc, op.getType(), op.getInput(),
                             b.map(dims));
  Value shape = op.getShape(), one = b.number(1);
  if (!op.getAllowZero()) {
    // A 0 copies; where there is nothing to copy the reshape will fail.
    in.resize(dims.size(), b.builder.getAffineConstantExpr(0));
    shape = b.select(b.is(Compare::eq, shape, b.number(0)), b.list(in), shape);
  }
  Value isOpen = b.is(Compare::eq, shape, b.number(-1));
  Value given = b.select(isOpen, one, shape);
  auto product = ReductionAttr::get(op.getContext(), Reduction::prod);
  Value others = b.create<ReduceOp>(
      b.i64, product, given, b.builder.getDenseI64ArrayAttr({0}), UnitAttr());
  Value total = b.size(b.shapes.getNumElements(op.getInput()));
  Value rest = b.div(total, b.max(others, one));
  Value bound = b.bind(op.getInput(), b.select(isOpen, rest, given), dims);
  return ReshapeOp::create(b.builder, b.loc, op.getType(), bound, b.map(dims));
}

static Value lowerBroadcast(DynamicBroadcastOp op, SizeBuilder &b,
                            ArrayRef<AffineExpr> dims) {
  AffineExpr one = b.builder.getAffineConstantExpr(1);
  Dims in(b.shapes.getDims(op.getInput()));
  in.insert(in.begin(), dims.size() - in.size(), one);
  Value shape = op.getShape();
  int64_t rank = cast<RankedTensorType>(shape.getType()).getDimSize(0);
  SmallVector<Value> parts(dims.size() - rank, b.asList(b.number(1)));
  parts.push_back(shape);
  shape = b.concat(parts);
  Value sizes =
      b.select(b.is(Compare::eq, shape, b.number(1)), b.list(in), shape);
  Value bound = b.bind(op.getInput(), sizes, dims);
  return BroadcastOp::create(b.builder, b.loc, op.getType(), bound,
                             b.map(dims));
}

namespace {
/// One dim of a slice: where it starts and how many elements it takes.
struct Window {
  Value start, size;
};
} // namespace

/// ONNX's rules: bounds count from the end where negative, and are clamped.
static Window makeWindow(SizeBuilder &b, Value start, Value end, Value extent,
                         int64_t step) {
  Value zero = b.number(0);
  Value last = step > 0 ? extent : b.sub(extent, b.number(1));
  auto clamp = [&](Value bound, int64_t low) {
    Value isFromEnd = b.is(Compare::lt, bound, zero);
    bound = b.select(isFromEnd, b.add(bound, extent), bound);
    return b.min(b.max(bound, b.number(low)), last);
  };
  Value from = clamp(start, 0), to = clamp(end, step > 0 ? 0 : -1);
  Value span = step > 0 ? b.sub(to, from) : b.sub(from, to);
  int64_t stride = std::abs(step);
  Value count = b.div(b.add(span, b.number(stride - 1)), b.number(stride));
  return {b.max(from, zero), b.max(count, zero)};
}

static Value lowerSlice(DynamicSliceOp op, SizeBuilder &b,
                        ArrayRef<AffineExpr> dims) {
  int64_t count =
      cast<RankedTensorType>(op.getStarts().getType()).getDimSize(0);
  int64_t rank = dims.size();
  auto getKnown = [&](Value value, int64_t i,
                      int64_t missing) -> std::optional<int64_t> {
    if (!value)
      return missing;
    std::optional<Dims> contents = b.shapes.getContents(value);
    auto known = contents ? dyn_cast<AffineConstantExpr>((*contents)[i])
                          : AffineConstantExpr();
    return known ? std::optional(known.getValue()) : std::nullopt;
  };
  Dims in(b.shapes.getDims(op.getInput()));
  SmallVector<Value> starts, sizes;
  SmallVector<int64_t> steps(rank, 1);
  for (AffineExpr dim : in) {
    starts.push_back(b.asList(b.number(0)));
    sizes.push_back(b.asList(b.size(dim)));
  }
  for (int64_t i = 0; i < count; ++i) {
    auto axis = getKnown(op.getAxes(), i, i),
         step = getKnown(op.getSteps(), i, 1);
    if (!axis || !step || *step == 0) {
      op.emitError("cannot be compiled: the axes and steps of a slice must be "
                   "known at compile time");
      return Value();
    }
    int64_t at = *axis < 0 ? *axis + rank : *axis;
    Window window = makeWindow(b, b.element(op.getStarts(), i),
                               b.element(op.getEnds(), i), sizes[at], *step);
    starts[at] = window.start;
    sizes[at] = window.size;
    steps[at] = *step;
  }
  Value bound = b.bind(op.getInput(), b.concat(sizes), dims);
  bound = b.bind(bound, b.concat(starts));
  ArrayRef<int64_t> symbols = *bound.getDefiningOp<BindOp>().getBinds();
  Dims places;
  for (int64_t symbol : symbols)
    places.push_back(b.builder.getAffineSymbolExpr(symbol));
  return SliceOp::create(b.builder, b.loc, op.getType(), bound, b.map(places),
                         b.map(dims), b.builder.getDenseI64ArrayAttr(steps));
}

static Value lowerIota(DynamicIotaOp op, SizeBuilder &b,
                       ArrayRef<AffineExpr> dims) {
  Value start = op.getStart(), delta = op.getDelta();
  Type type = b.typeOf(start);
  Value span = b.sub(op.getLimit(), start), count;
  Value zero = b.create<SubOp>(type, delta, delta);
  Value isZero = b.is(Compare::eq, delta, zero);
  if (isa<FloatType>(type)) {
    Value steps = b.create<CeilOp>(type, b.div(span, delta));
    count = b.create<CastOp>(b.i64, steps);
  } else {
    // Rounds up: C's division rounds to zero.
    Value unit = b.create<SignOp>(type, delta);
    Value one = b.create<CastOp>(type, b.number(1));
    count =
        b.div(b.add(span, b.sub(delta, unit)), b.select(isZero, one, delta));
    if (type != b.i64)
      count = b.create<CastOp>(b.i64, count);
  }
  // No size: the run says so, and which node computed it.
  count = b.select(isZero, b.number(-1), b.max(count, b.number(0)));
  Value bound = b.bind(start, count, dims);
  Value line =
      b.create<IotaOp>(type, b.builder.getI64IntegerAttr(0), b.map(dims));
  return b.add(b.mul(line, delta), bound);
}

namespace {
struct BindSizesPass : lathe::graph::impl::BindSizesPassBase<BindSizesPass> {
  using Base::Base;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    SmallVector<Operation *> ops;
    for (Operation &op : function.getBody().getOps())
      if (isa<DynamicReshapeOp, DynamicBroadcastOp, DynamicSliceOp,
              DynamicIotaOp>(op))
        ops.push_back(&op);
    if (ops.empty())
      return;
    ShapeAnalysis shapes(function);
    if (failed(shapes.run()))
      return signalPassFailure();
    for (Operation *op : ops)
      if (failed(lower(shapes, op)))
        signalPassFailure();
    shapes.annotateFunction();
  }

  LogicalResult lower(ShapeAnalysis &shapes, Operation *op) {
    SizeBuilder b(shapes, op);
    Dims dims(shapes.getDims(op->getResult(0)));
    Value result =
        llvm::TypeSwitch<Operation *, Value>(op)
            .Case([&](DynamicReshapeOp o) { return lowerReshape(o, b, dims); })
            .Case([&](DynamicBroadcastOp o) {
              return lowerBroadcast(o, b, dims);
            })
            .Case([&](DynamicSliceOp o) { return lowerSlice(o, b, dims); })
            .Case([&](DynamicIotaOp o) { return lowerIota(o, b, dims); })
            .Default([](Operation *) { return Value(); });
    if (!result)
      return failure();
    shapes.setDims(result, dims);
    op->getResult(0).replaceAllUsesWith(result);
    op->erase();
    ++numLowered;
    return success();
  }
};
} // namespace
