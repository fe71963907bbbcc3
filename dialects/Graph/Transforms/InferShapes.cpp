// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-infer-shapes
//
//   %n = graph.dim %x, 0 : tensor<?x6xf32> -> tensor<i64>      (seq)
//   %s = graph.concat (reshape %n), %minus1, %two ...
//   %y = graph.dynamic_reshape %x, %s : ... -> tensor<?x?x?xf32>
// becomes
//   %y = graph.reshape %x to ()[s0] -> (s0, 3, 2)
//          : tensor<?x6xf32> -> tensor<?x3x2xf32>

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/IR/ShapeFunctions.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace lathe::graph {
#define GEN_PASS_DEF_INFERSHAPESPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

namespace {
/// Builds the static form of dynamic ops.
class Resolver {
public:
  Resolver(ShapeAnalysis &shapes, OpBuilder &builder)
      : shapes(shapes), builder(builder) {}

  /// The value that replaces `op`'s result; null where it must stay.
  Value resolve(Operation *op);

private:
  AffineMapAttr getMap(ArrayRef<AffineExpr> sizes) {
    return AffineMapAttr::get(getSizeMap(shapes, builder.getContext(), sizes));
  }
  Value resolveSliceOp(DynamicSliceOp op);
  Value resolveIotaOp(DynamicIotaOp op);

  ShapeAnalysis &shapes;
  OpBuilder &builder;
};
} // namespace

Value Resolver::resolveSliceOp(DynamicSliceOp op) {
  auto window = resolveSlice(op, shapes, shapes.getDims(op.getInput()));
  if (failed(window) || !*window)
    return Value();
  return SliceOp::create(builder, op.getLoc(), op.getType(), op.getInput(),
                         getMap((*window)->starts), getMap((*window)->sizes),
                         builder.getDenseI64ArrayAttr((*window)->steps));
}

/// start + delta * (0, 1, ...), without what is neutral.
Value Resolver::resolveIotaOp(DynamicIotaOp op) {
  if (!resolveIota(op, shapes))
    return Value();
  auto getKnown = [&](Value value) -> std::optional<int64_t> {
    std::optional<Dims> contents = shapes.getContents(value);
    auto constant = contents ? dyn_cast<AffineConstantExpr>(contents->front())
                             : AffineConstantExpr();
    return constant ? std::optional(constant.getValue()) : std::nullopt;
  };
  std::optional<int64_t> start = getKnown(op.getStart());
  std::optional<int64_t> delta = getKnown(op.getDelta());
  bool foldsStart = start && delta == 1;
  Location loc = op.getLoc();
  Type type = op.getType();
  Value result = IotaOp::create(
      builder, loc, type, builder.getI64IntegerAttr(foldsStart ? *start : 0),
      getMap(shapes.getDims(op.getResult())));
  if (delta != 1)
    result = MulOp::create(builder, loc, type, result, op.getDelta());
  if (!foldsStart && start != 0)
    result = AddOp::create(builder, loc, type, result, op.getStart());
  return result;
}

Value Resolver::resolve(Operation *op) {
  builder.setInsertionPoint(op);
  return TypeSwitch<Operation *, Value>(op)
      .Case<DynamicReshapeOp>([&](DynamicReshapeOp op) -> Value {
        if (!shapes.getContents(op.getShape()))
          return Value();
        return ReshapeOp::create(builder, op.getLoc(), op.getType(),
                                 op.getInput(),
                                 getMap(shapes.getDims(op.getResult())));
      })
      .Case<DynamicBroadcastOp>([&](DynamicBroadcastOp op) -> Value {
        if (!shapes.getContents(op.getShape()))
          return Value();
        return BroadcastOp::create(builder, op.getLoc(), op.getType(),
                                   op.getInput(),
                                   getMap(shapes.getDims(op.getResult())));
      })
      .Case<DynamicSliceOp>([&](auto op) { return resolveSliceOp(op); })
      .Case<DynamicIotaOp>([&](auto op) { return resolveIotaOp(op); })
      .Default([](Operation *) { return Value(); });
}

static bool isDynamicForm(Operation *op) {
  return isa<DynamicReshapeOp, DynamicBroadcastOp, DynamicSliceOp,
             DynamicIotaOp>(op);
}

/// `value` as a constant, if its contents are known numbers.
static Value makeConstant(ShapeAnalysis &shapes, OpBuilder &builder,
                          Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!type.hasStaticShape() || type.getEncoding() ||
      !isa<IntegerType>(type.getElementType()))
    return Value();
  std::optional<Dims> contents = shapes.getContents(value);
  if (!contents || !llvm::all_of(*contents, [](AffineExpr expr) {
        return isa<AffineConstantExpr>(expr);
      }))
    return Value();
  unsigned width = type.getElementTypeBitWidth();
  SmallVector<APInt> numbers;
  for (AffineExpr expr : *contents)
    numbers.push_back(APInt(width, cast<AffineConstantExpr>(expr).getValue(),
                            /*isSigned=*/true, /*implicitTrunc=*/true));
  builder.setInsertionPointAfterValue(value);
  return ConstantOp::create(builder, value.getLoc(),
                            DenseElementsAttr::get(type, numbers));
}

/// Result types of the function follow its return.
static void updateFunctionType(func::FuncOp function) {
  auto results =
      cast<func::ReturnOp>(function.back().getTerminator()).getOperandTypes();
  function.setType(FunctionType::get(function.getContext(),
                                     function.getArgumentTypes(), results));
}

namespace {
struct InferShapesPass
    : lathe::graph::impl::InferShapesPassBase<InferShapesPass> {
  using Base::Base;

  void runOnOperation() override;
  void replace(ShapeAnalysis &shapes, Operation *op, Value replacement);
};
} // namespace

void InferShapesPass::replace(ShapeAnalysis &shapes, Operation *op,
                              Value replacement) {
  shapes.setDims(replacement, Dims(shapes.getDims(op->getResult(0))));
  op->getResult(0).replaceAllUsesWith(replacement);
}

void InferShapesPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal())
    return;
  ShapeAnalysis shapes(function);
  if (failed(shapes.run()))
    return signalPassFailure();
  auto ops = llvm::map_to_vector(function.getBody().getOps(),
                                 [](Operation &op) { return &op; });
  for (Operation *op : ops)
    shapes.annotate(op);
  shapes.annotateFunction();

  OpBuilder builder(&getContext());
  Resolver resolver(shapes, builder);
  for (Operation *op : ops) {
    if (op->getNumResults() != 1 || isa<ConstantOp>(op))
      continue;
    if (Value constant = makeConstant(shapes, builder, op->getResult(0))) {
      replace(shapes, op, constant);
      ++numConstants;
    } else if (Value resolved = resolver.resolve(op)) {
      replace(shapes, op, resolved);
      ++numResolved;
    } else if (isDynamicForm(op)) {
      remarkMissed(getArgument(), op, "the shape is not known before run time");
      ++numUnresolved;
    }
  }
  for (Operation *op : llvm::reverse(ops))
    if (isOpTriviallyDead(op))
      op->erase();
  updateFunctionType(function);
}
