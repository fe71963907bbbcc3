// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The contents of small integer tensors as expressions: what models compute
// shapes with.

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/IR/ShapeFunctions.h"
#include "llvm/ADT/TypeSwitch.h"
#include <limits>

using namespace mlir;
using namespace lathe::graph;

namespace {
/// Evaluates one op on known contents. An element is an expression; a null one
/// means "not known".
class ContentsEvaluator {
public:
  ContentsEvaluator(ShapeAnalysis &shapes, Operation *op)
      : shapes(shapes), op(op), context(op->getContext()) {}

  MaybeDims evaluate();

private:
  AffineExpr constant(int64_t value) {
    return getAffineConstantExpr(value, context);
  }
  /// Row-major sizes; nothing if they are not static.
  std::optional<SmallVector<int64_t>> getShape(Value value);
  /// Contents of `value` repeated to the result's shape.
  MaybeDims getBroadcast(Value value);

  MaybeDims evaluateElementwise();
  MaybeDims evaluateConcat(ConcatOp concat);
  MaybeDims evaluateGather(GatherOp gather);
  MaybeDims evaluateReduce(ReduceOp reduce);
  MaybeDims evaluateWindow(Value input, const SliceWindow &window);
  MaybeDims evaluateTranspose(TransposeOp transpose);
  MaybeDims evaluateIota(AffineExpr start, AffineExpr step);
  AffineExpr apply(ArrayRef<AffineExpr> operands);
  AffineExpr compare(Compare kind, AffineExpr a, AffineExpr b);

  ShapeAnalysis &shapes;
  Operation *op;
  MLIRContext *context;
};
} // namespace

static std::optional<int64_t> asConstant(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  return std::nullopt;
}

std::optional<SmallVector<int64_t>> ContentsEvaluator::getShape(Value value) {
  SmallVector<int64_t> shape = toStaticShape(shapes.getDims(value));
  if (llvm::any_of(shape, ShapedType::isDynamic) ||
      ShapedType::getNumElements(shape) > ShapeAnalysis::kMaxContents)
    return std::nullopt;
  return shape;
}

static int64_t flatten(ArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  int64_t flat = 0;
  for (auto [i, size] : llvm::zip_equal(index, shape))
    flat = flat * size + i;
  return flat;
}

MaybeDims ContentsEvaluator::getBroadcast(Value value) {
  MaybeDims elements = shapes.getContents(value);
  auto from = getShape(value), to = getShape(op->getResult(0));
  if (!elements || !from || !to)
    return std::nullopt;
  Dims result;
  size_t added = to->size() - from->size();
  forEachIndex(*to, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> place(index.drop_front(added));
    for (auto [i, size] : llvm::zip_equal(place, *from))
      i = size == 1 ? 0 : i;
    result.push_back((*elements)[flatten(place, *from)]);
  });
  return result;
}

AffineExpr ContentsEvaluator::compare(Compare kind, AffineExpr a,
                                      AffineExpr b) {
  bool same = isSameSize(a, b);
  bool below = isSizeAtLeast(b - a, 1), above = isSizeAtLeast(a - b, 1);
  bool different = below || above || !mayBeEqual(a, b);
  bool atMost = isSizeAtLeast(b - a, 0), atLeast = isSizeAtLeast(a - b, 0);
  auto decide = [&](bool holds, bool fails) {
    return holds || fails ? constant(holds) : AffineExpr();
  };
  switch (kind) {
  case Compare::eq:
    return decide(same, different);
  case Compare::ne:
    return decide(different, same);
  case Compare::lt:
    return decide(below, atLeast);
  case Compare::le:
    return decide(atMost, above);
  case Compare::gt:
    return decide(above, atMost);
  case Compare::ge:
    return decide(atLeast, below);
  }
  llvm_unreachable("all kinds are listed");
}

/// `a / b` as C has it; null if the sign of a rounded quotient is open.
static AffineExpr divide(AffineExpr a, AffineExpr b, bool wantRemainder) {
  std::optional<int64_t> left = asConstant(a), right = asConstant(b);
  // The one quotient that has no int64, and the one that there is not.
  bool overflows = right == -1 && left == std::numeric_limits<int64_t>::min();
  if (right == 0 || overflows)
    return AffineExpr();
  if (left && right)
    return getAffineConstantExpr(
        wantRemainder ? *left % *right : *left / *right, a.getContext());
  if (!isSizeAtLeast(a, 0) || !isSizeAtLeast(b, 0))
    return AffineExpr();
  return canonicalizeSize(wantRemainder ? a % b : a.floorDiv(b));
}

AffineExpr ContentsEvaluator::apply(ArrayRef<AffineExpr> x) {
  if (llvm::any_of(x, [](AffineExpr e) { return !e; }))
    return AffineExpr();
  auto choose = [](bool a, AffineExpr ifA, bool b, AffineExpr ifB) {
    return a ? ifA : b ? ifB : AffineExpr();
  };
  return TypeSwitch<Operation *, AffineExpr>(op)
      .Case<AddOp>([&](auto) { return canonicalizeSize(x[0] + x[1]); })
      .Case<SubOp>([&](auto) { return canonicalizeSize(x[0] - x[1]); })
      .Case<MulOp>([&](auto) { return canonicalizeSize(x[0] * x[1]); })
      .Case<NegOp>([&](auto) { return canonicalizeSize(-x[0]); })
      .Case<DivOp>([&](auto) { return divide(x[0], x[1], false); })
      .Case<RemOp, ModOp>([&](auto) {
        // They agree where both operands are known not to be negative.
        bool agree = isSizeAtLeast(x[0], 0) && isSizeAtLeast(x[1], 0);
        return agree ? divide(x[0], x[1], true) : AffineExpr();
      })
      .Case<AbsOp, ReluOp>([&](auto) {
        return choose(isSizeAtLeast(x[0], 0), x[0], false, x[0]);
      })
      .Case<MaxOp>([&](auto) {
        return choose(isSizeAtLeast(x[0] - x[1], 0), x[0],
                      isSizeAtLeast(x[1] - x[0], 0), x[1]);
      })
      .Case<MinOp>([&](auto) {
        return choose(isSizeAtLeast(x[0] - x[1], 0), x[1],
                      isSizeAtLeast(x[1] - x[0], 0), x[0]);
      })
      .Case<CompareOp>(
          [&](CompareOp c) { return compare(c.getKind(), x[0], x[1]); })
      .Case<SelectOp>([&](auto) {
        std::optional<int64_t> which = asConstant(x[0]);
        return choose(which && *which, x[1], which && !*which, x[2]);
      })
      .Case<NotOp>([&](NotOp op) {
        std::optional<int64_t> value = asConstant(x[0]);
        bool isLogical = getElementTypeOrSelf(op.getType()).isInteger(1);
        return value ? constant(isLogical ? !*value : ~*value) : AffineExpr();
      })
      .Case<AndOp, OrOp>([&](auto op) {
        std::optional<int64_t> a = asConstant(x[0]), b = asConstant(x[1]);
        if (!a || !b)
          return AffineExpr();
        return constant(isa<AndOp>(op) ? *a & *b : *a | *b);
      })
      .Case<CastOp>([&](CastOp cast) {
        if (!getElementTypeOrSelf(cast.getType()).isInteger(1))
          return x[0];
        return compare(Compare::ne, x[0], constant(0));
      })
      .Default([](Operation *) { return AffineExpr(); });
}

MaybeDims ContentsEvaluator::evaluateElementwise() {
  SmallVector<Dims> operands;
  for (Value operand : op->getOperands()) {
    MaybeDims elements = getBroadcast(operand);
    if (!elements)
      return std::nullopt;
    operands.push_back(std::move(*elements));
  }
  Dims result;
  for (size_t i = 0; i < operands.front().size(); ++i) {
    result.push_back(apply(llvm::map_to_vector(
        operands, [&](const Dims &elements) { return elements[i]; })));
    if (!result.back())
      return std::nullopt;
  }
  return result;
}

MaybeDims ContentsEvaluator::evaluateConcat(ConcatOp concat) {
  if (concat.getAxis() != 0)
    return std::nullopt;
  Dims result;
  for (Value input : concat.getInputs()) {
    MaybeDims elements = shapes.getContents(input);
    if (!elements)
      return std::nullopt;
    result.append(elements->begin(), elements->end());
  }
  return result;
}

MaybeDims ContentsEvaluator::evaluateGather(GatherOp gather) {
  MaybeDims input = shapes.getContents(gather.getInput());
  MaybeDims indices = shapes.getContents(gather.getIndices());
  auto shape = getShape(gather.getInput());
  if (gather.getAxis() != 0 || !input || !indices || !shape)
    return std::nullopt;
  int64_t count = shape->front();
  int64_t row = count == 0 ? 0 : input->size() / count;
  Dims result;
  for (AffineExpr index : *indices) {
    std::optional<int64_t> place = asConstant(index);
    if (!place || *place < -count || *place >= count)
      return std::nullopt;
    auto *begin = input->begin() + (*place + (*place < 0 ? count : 0)) * row;
    result.append(begin, begin + row);
  }
  return result;
}

MaybeDims ContentsEvaluator::evaluateReduce(ReduceOp reduce) {
  MaybeDims elements = shapes.getContents(reduce.getInput());
  auto shape = getShape(reduce.getInput());
  // All elements into one: what shape arithmetic needs.
  if (!elements || !shape || elements->empty() ||
      reduce.getAxes().size() != shape->size())
    return std::nullopt;
  AffineExpr total = elements->front();
  for (AffineExpr element : ArrayRef(*elements).drop_front())
    switch (reduce.getKind()) {
    case Reduction::sum:
      total = canonicalizeSize(total + element);
      break;
    case Reduction::prod:
      total = canonicalizeSize(total * element);
      break;
    case Reduction::max:
    case Reduction::min: {
      bool above = isSizeAtLeast(element - total, 0);
      if (!above && !isSizeAtLeast(total - element, 0))
        return std::nullopt;
      total = above == (reduce.getKind() == Reduction::max) ? element : total;
      break;
    }
    case Reduction::mean:
      return std::nullopt;
    }
  return Dims{total};
}

MaybeDims ContentsEvaluator::evaluateWindow(Value input,
                                            const SliceWindow &window) {
  MaybeDims elements = shapes.getContents(input);
  auto from = getShape(input), to = getShape(op->getResult(0));
  SmallVector<int64_t> starts = toStaticShape(window.starts);
  if (!elements || !from || !to ||
      llvm::is_contained(starts, ShapedType::kDynamic))
    return std::nullopt;
  Dims result;
  forEachIndex(*to, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> place;
    for (size_t i = 0; i < index.size(); ++i)
      place.push_back(starts[i] + index[i] * window.steps[i]);
    result.push_back((*elements)[flatten(place, *from)]);
  });
  return result;
}

MaybeDims ContentsEvaluator::evaluateTranspose(TransposeOp transpose) {
  MaybeDims elements = shapes.getContents(transpose.getInput());
  auto from = getShape(transpose.getInput()), to = getShape(op->getResult(0));
  if (!elements || !from || !to)
    return std::nullopt;
  Dims result;
  forEachIndex(*to, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> place(index.size());
    for (auto [i, dim] : llvm::enumerate(transpose.getPermutation()))
      place[dim] = index[i];
    result.push_back((*elements)[flatten(place, *from)]);
  });
  return result;
}

MaybeDims ContentsEvaluator::evaluateIota(AffineExpr start, AffineExpr step) {
  auto shape = getShape(op->getResult(0));
  if (!shape)
    return std::nullopt;
  Dims result;
  for (int64_t i = 0; i < shape->front(); ++i)
    result.push_back(canonicalizeSize(start + step * i));
  return result;
}

MaybeDims ContentsEvaluator::evaluate() {
  if (op->hasTrait<lathe::graph::OpTrait::Elementwise>())
    return evaluateElementwise();
  return TypeSwitch<Operation *, MaybeDims>(op)
      .Case<ConstantOp>([&](ConstantOp op) -> MaybeDims {
        auto values = getIntegers(op.getValue(), ShapeAnalysis::kMaxContents);
        if (!values)
          return std::nullopt;
        Dims result;
        for (int64_t value : *values)
          result.push_back(constant(value));
        return result;
      })
      .Case<DimOp>([&](DimOp op) -> MaybeDims {
        return Dims{shapes.getDims(op.getInput())[op.getAxis()]};
      })
      .Case<ReshapeOp, DynamicReshapeOp>(
          [&](auto op) { return shapes.getContents(op.getInput()); })
      .Case<BroadcastOp, DynamicBroadcastOp>(
          [&](auto op) { return getBroadcast(op.getInput()); })
      .Case<ConcatOp>([&](ConcatOp op) { return evaluateConcat(op); })
      .Case<GatherOp>([&](GatherOp op) { return evaluateGather(op); })
      .Case<ReduceOp>([&](ReduceOp op) { return evaluateReduce(op); })
      .Case<TransposeOp>([&](TransposeOp op) { return evaluateTranspose(op); })
      .Case<SliceOp>([&](SliceOp op) {
        SliceWindow window = {lathe::graph::getSizes(op.getStarts()),
                              lathe::graph::getSizes(op.getSizes()),
                              llvm::to_vector(op.getSteps())};
        return evaluateWindow(op.getInput(), window);
      })
      .Case<DynamicSliceOp>([&](DynamicSliceOp op) -> MaybeDims {
        auto window = resolveSlice(op, shapes, shapes.getDims(op.getInput()));
        if (failed(window) || !*window)
          return std::nullopt;
        return evaluateWindow(op.getInput(), **window);
      })
      .Case<IotaOp>([&](IotaOp op) {
        return evaluateIota(constant(op.getStart()), constant(1));
      })
      .Case<DynamicIotaOp>([&](DynamicIotaOp op) -> MaybeDims {
        MaybeDims start = shapes.getContents(op.getStart());
        MaybeDims step = shapes.getContents(op.getDelta());
        if (!start || !step)
          return std::nullopt;
        return evaluateIota(start->front(), step->front());
      })
      .Default([](Operation *) { return std::nullopt; });
}

std::optional<Dims> ShapeAnalysis::getContents(Value value) {
  auto known = contents.find(value);
  if (known != contents.end())
    return known->second;
  auto type = cast<RankedTensorType>(value.getType());
  std::optional<Dims> result;
  SmallVector<int64_t> shape = toStaticShape(getDims(value));
  bool isSmall = isKnown(value) && isa<IntegerType>(type.getElementType()) &&
                 !llvm::is_contained(shape, ShapedType::kDynamic) &&
                 ShapedType::getNumElements(shape) <= kMaxContents;
  if (isSmall) {
    if (Operation *op = value.getDefiningOp()) {
      if (auto bind = dyn_cast<BindOp>(op))
        result = getContents(bind.getValue());
      else if (!isa<GroupOp, BuiltinOp>(op) && !isControlFlow(op))
        result = ContentsEvaluator(*this, op).evaluate();
    } else if (auto group =
                   dyn_cast<GroupOp>(value.getParentBlock()->getParentOp())) {
      unsigned number = cast<BlockArgument>(value).getArgNumber();
      result = getContents(group.getInputs()[number]);
    }
  }
  contents[value] = result;
  return result;
}
