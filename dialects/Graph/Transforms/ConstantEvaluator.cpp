// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/ConstantEvaluator.h"
#include "dialects/Graph/IR/ConstantValues.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace lathe::graph;

namespace {
/// A number of a float (`real`) or integer (`whole`) type.
struct Number {
  double real = 0.0;
  int64_t whole = 0;
};

/// Elements in row-major order.
struct Tensor {
  SmallVector<int64_t> shape;
  bool isReal;
  SmallVector<Number> elements;
};
} // namespace

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static std::optional<Tensor> read(ElementsAttr value, int64_t limit) {
  ShapedType type = value.getShapedType();
  Tensor tensor{SmallVector<int64_t>(type.getShape()),
                isa<FloatType>(type.getElementType()),
                {}};
  if (tensor.isReal) {
    auto numbers = getNumbers(value, limit);
    if (!numbers)
      return std::nullopt;
    for (double number : *numbers)
      tensor.elements.push_back({number, 0});
    return tensor;
  }
  auto integers = getIntegers(value, limit);
  if (!integers)
    return std::nullopt;
  for (int64_t integer : *integers)
    tensor.elements.push_back({0.0, integer});
  return tensor;
}

static DenseElementsAttr write(RankedTensorType type,
                               ArrayRef<Number> numbers) {
  if (auto real = dyn_cast<FloatType>(type.getElementType())) {
    SmallVector<APFloat> values;
    for (Number number : numbers) {
      APFloat value(number.real);
      bool inexact;
      value.convert(real.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                    &inexact);
      values.push_back(value);
    }
    return DenseElementsAttr::get(type, values);
  }
  unsigned width = type.getElementTypeBitWidth();
  SmallVector<APInt> values;
  for (Number number : numbers)
    values.push_back(
        APInt(width, number.whole, /*isSigned=*/true, /*implicitTrunc=*/true));
  return DenseElementsAttr::get(type, values);
}

/// The element at `index`, broadcast to the rank of `index`.
static const Number &at(const Tensor &tensor, ArrayRef<int64_t> index) {
  int64_t flat = 0;
  size_t skipped = index.size() - tensor.shape.size();
  for (auto [i, size] : llvm::enumerate(tensor.shape))
    flat = flat * size + (size == 1 ? 0 : index[skipped + i]);
  return tensor.elements[flat];
}

//===-- Elementwise -------------------------------------------------------===//

static std::optional<double> applyReal(Operation *op, double a, double b) {
  using Result = std::optional<double>;
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case<AddOp>([&](auto) { return a + b; })
      .Case<SubOp>([&](auto) { return a - b; })
      .Case<MulOp>([&](auto) { return a * b; })
      .Case<DivOp>([&](auto) { return a / b; })
      .Case<PowOp>([&](auto) { return std::pow(a, b); })
      .Case<MaxOp>([&](auto) { return std::isnan(a) || a > b ? a : b; })
      .Case<MinOp>([&](auto) { return std::isnan(a) || a < b ? a : b; })
      .Case<NegOp>([&](auto) { return -a; })
      .Case<AbsOp>([&](auto) { return std::abs(a); })
      .Case<ExpOp>([&](auto) { return std::exp(a); })
      .Case<LogOp>([&](auto) { return std::log(a); })
      .Case<SqrtOp>([&](auto) { return std::sqrt(a); })
      .Case<RsqrtOp>([&](auto) { return 1.0 / std::sqrt(a); })
      .Case<SinOp>([&](auto) { return std::sin(a); })
      .Case<CosOp>([&](auto) { return std::cos(a); })
      .Case<TanhOp>([&](auto) { return std::tanh(a); })
      .Case<ErfOp>([&](auto) { return std::erf(a); })
      .Case<FloorOp>([&](auto) { return std::floor(a); })
      .Case<CeilOp>([&](auto) { return std::ceil(a); })
      .Case<RoundOp>([&](auto) { return std::nearbyint(a); })
      .Case<SigmoidOp>([&](auto) { return 1.0 / (1.0 + std::exp(-a)); })
      .Default([](Operation *) { return Result(); });
}

/// Two's complement arithmetic, so that overflow wraps.
static std::optional<int64_t> applyWhole(Operation *op, int64_t a, int64_t b) {
  using Result = std::optional<int64_t>;
  uint64_t x = a, y = b;
  bool dividesBadly =
      b == 0 || (a == std::numeric_limits<int64_t>::min() && b == -1);
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case<AddOp>([&](auto) { return static_cast<int64_t>(x + y); })
      .Case<SubOp>([&](auto) { return static_cast<int64_t>(x - y); })
      .Case<MulOp>([&](auto) { return static_cast<int64_t>(x * y); })
      .Case<NegOp>([&](auto) { return static_cast<int64_t>(-x); })
      .Case<DivOp>([&](auto) { return dividesBadly ? Result() : a / b; })
      .Case<RemOp>([&](auto) { return dividesBadly ? Result() : a % b; })
      .Case<ModOp>([&](auto) -> Result {
        if (dividesBadly)
          return std::nullopt;
        int64_t rest = a % b;
        return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
      })
      .Case<MaxOp>([&](auto) { return std::max(a, b); })
      .Case<MinOp>([&](auto) { return std::min(a, b); })
      .Case<AndOp>([&](auto) { return a & b; })
      .Case<OrOp>([&](auto) { return a | b; })
      .Case<XorOp>([&](auto) { return a ^ b; })
      .Case<NotOp>([&](NotOp op) {
        return typeOf(op.getResult()).getElementType().isInteger(1) ? !a : ~a;
      })
      .Default([](Operation *) { return Result(); });
}

template <typename T> static bool applyCompare(Compare kind, T a, T b) {
  switch (kind) {
  case Compare::eq:
    return a == b;
  case Compare::ne:
    return a != b;
  case Compare::lt:
    return a < b;
  case Compare::le:
    return a <= b;
  case Compare::gt:
    return a > b;
  case Compare::ge:
    return a >= b;
  }
  llvm_unreachable("all kinds are listed");
}

static std::optional<Number> applyCast(CastOp op, Number x, bool fromReal) {
  Type to = typeOf(op.getResult()).getElementType();
  if (isa<FloatType>(to))
    return Number{fromReal ? x.real : static_cast<double>(x.whole), 0};
  if (to.isInteger(1))
    return Number{0.0, fromReal ? x.real != 0.0 : x.whole != 0};
  if (!fromReal)
    return x;
  // Saturation at the bounds of narrow types is left to run time.
  if (!(std::abs(x.real) < 2147483648.0) || to.getIntOrFloatBitWidth() < 32)
    return std::nullopt;
  return Number{0.0, static_cast<int64_t>(x.real)};
}

static std::optional<Number> apply(Operation *op, ArrayRef<Number> x,
                                   bool isReal) {
  if (auto select = dyn_cast<SelectOp>(op))
    return x[0].whole ? x[1] : x[2];
  if (auto cast = dyn_cast<CastOp>(op))
    return applyCast(cast, x[0], isReal);
  Number second = x.size() > 1 ? x[1] : Number();
  if (auto compare = dyn_cast<CompareOp>(op))
    return Number{
        0.0, isReal
                 ? applyCompare(compare.getKind(), x[0].real, second.real)
                 : applyCompare(compare.getKind(), x[0].whole, second.whole)};
  if (isReal) {
    auto value = applyReal(op, x[0].real, second.real);
    return value ? std::optional(Number{*value, 0}) : std::nullopt;
  }
  auto value = applyWhole(op, x[0].whole, second.whole);
  return value ? std::optional(Number{0.0, *value}) : std::nullopt;
}

//===-- Ops ---------------------------------------------------------------===//

namespace {
using Elements = std::optional<SmallVector<Number>>;
} // namespace

static Elements evaluateElementwise(Operation *op, ArrayRef<Tensor> inputs,
                                    ArrayRef<int64_t> shape) {
  SmallVector<Number> result;
  bool isKnown = true;
  // Unsigned 64-bit values beyond the signed range are not represented.
  for (Value operand : op->getOperands())
    isKnown &= !typeOf(operand).getElementType().isUnsignedInteger(64);
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    SmallVector<Number, 3> x;
    for (const Tensor &input : inputs)
      x.push_back(at(input, index));
    std::optional<Number> y =
        isKnown ? apply(op, x, inputs.front().isReal) : std::nullopt;
    isKnown = y.has_value();
    result.push_back(y.value_or(Number()));
  });
  return isKnown ? Elements(std::move(result)) : std::nullopt;
}

static Elements evaluateConcat(ConcatOp op, ArrayRef<Tensor> inputs,
                               ArrayRef<int64_t> shape) {
  SmallVector<Number> result;
  int64_t axis = op.getAxis();
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> place(index);
    const Tensor *part = inputs.begin();
    while (place[axis] >= part->shape[axis])
      place[axis] -= (part++)->shape[axis];
    result.push_back(at(*part, place));
  });
  return result;
}

static Elements evaluateGather(GatherOp op, ArrayRef<Tensor> inputs,
                               ArrayRef<int64_t> shape) {
  SmallVector<Number> result;
  const Tensor &table = inputs[0], &indices = inputs[1];
  size_t axis = op.getAxis(), rank = indices.shape.size();
  int64_t count = table.shape[axis];
  for (Number index : indices.elements)
    if (index.whole < -count || index.whole >= count)
      return std::nullopt;
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    int64_t row = at(indices, index.slice(axis, rank)).whole;
    SmallVector<int64_t> place(index.take_front(axis));
    place.push_back(row < 0 ? row + count : row);
    llvm::append_range(place, index.drop_front(axis + rank));
    result.push_back(at(table, place));
  });
  return result;
}

static Elements evaluateSlice(SliceOp op, const Tensor &input,
                              ArrayRef<int64_t> shape) {
  SmallVector<int64_t> starts = toStaticShape(op.getStarts().getResults());
  if (llvm::is_contained(starts, ShapedType::kDynamic))
    return std::nullopt;
  SmallVector<Number> result;
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> place;
    for (size_t i = 0; i < index.size(); ++i)
      place.push_back(starts[i] + index[i] * op.getSteps()[i]);
    result.push_back(at(input, place));
  });
  return result;
}

static Elements evaluateTranspose(TransposeOp op, const Tensor &input,
                                  ArrayRef<int64_t> shape) {
  SmallVector<Number> result;
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> place(index.size());
    for (auto [i, dim] : llvm::enumerate(op.getPermutation()))
      place[dim] = index[i];
    result.push_back(at(input, place));
  });
  return result;
}

static Elements evaluateBroadcast(const Tensor &input,
                                  ArrayRef<int64_t> shape) {
  SmallVector<Number> result;
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    result.push_back(at(input, index));
  });
  return result;
}

DenseElementsAttr lathe::graph::evaluate(Operation *op,
                                         ArrayRef<ElementsAttr> operands,
                                         int64_t limit) {
  RankedTensorType type = typeOf(op->getResult(0));
  SmallVector<Tensor> inputs;
  for (ElementsAttr operand : operands) {
    std::optional<Tensor> input = read(operand, limit);
    if (!input)
      return {};
    inputs.push_back(std::move(*input));
  }
  ArrayRef<int64_t> shape = type.getShape();
  Elements result =
      op->hasTrait<lathe::graph::OpTrait::Elementwise>()
          ? evaluateElementwise(op, inputs, shape)
          : llvm::TypeSwitch<Operation *, Elements>(op)
                .Case<ReshapeOp>([&](auto) { return inputs[0].elements; })
                .Case<BroadcastOp>(
                    [&](auto) { return evaluateBroadcast(inputs[0], shape); })
                .Case<TransposeOp>([&](TransposeOp op) {
                  return evaluateTranspose(op, inputs[0], shape);
                })
                .Case<SliceOp>([&](SliceOp op) {
                  return evaluateSlice(op, inputs[0], shape);
                })
                .Case<ConcatOp>([&](ConcatOp op) {
                  return evaluateConcat(op, inputs, shape);
                })
                .Case<GatherOp>([&](GatherOp op) {
                  return evaluateGather(op, inputs, shape);
                })
                .Default([](Operation *) { return Elements(); });
  return result ? write(type, *result) : DenseElementsAttr();
}
