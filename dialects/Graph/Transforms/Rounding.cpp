// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/Rounding.h"

#include "dialects/Graph/IR/Views.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe::graph;

/// Whether each sum of a product has one term: then it is no sum.
static bool isOuterProduct(Operation *op) {
  return isa<ContractOp, MatmulOp>(op) &&
         cast<RankedTensorType>(op->getOperand(0).getType())
                 .getShape()
                 .back() == 1;
}

static bool isFloat(Value value) {
  return isa<FloatType>(getElementTypeOrSelf(value));
}

//===-- Where values come from --------------------------------------------===//

Origins::Origins(func::FuncOp function) {
  if (function.isExternal())
    return;
  for (BlockArgument argument : function.getArguments())
    origins[argument] =
        isFloat(argument) || getElementTypeOrSelf(argument).isInteger(8)
            ? Origin::Data
            : Origin::Index;
  for (Operation &op : function.front())
    visit(op);
}

bool Origins::carriesData(Value value) const {
  return get(value) == Origin::Data;
}

Origins::Origin Origins::get(Value value) const {
  return origins.lookup_or(value, Origin::Index);
}

void Origins::visit(Operation &op) {
  if (auto group = dyn_cast<GroupOp>(op))
    return visitGroup(group);
  Origin origin = getResult(op);
  for (Value result : op.getResults())
    origins[result] = origin;
}

void Origins::visitGroup(GroupOp group) {
  for (auto [argument, input] :
       llvm::zip_equal(group.getBody().getArguments(), group.getInputs()))
    origins[argument] = get(input);
  for (Operation &op : group.getBody().front().without_terminator())
    visit(op);
  for (auto [result, value] :
       llvm::zip_equal(group.getResults(), group.getYield()->getOperands()))
    origins[result] = get(value);
}

Origins::Origin Origins::getResult(Operation &op) const {
  if (isa<ConstantOp>(op))
    return Origin::Constant;
  if (isa<DimOp>(op) || op.getNumOperands() == 0)
    return Origin::Index;
  if (isa<IfOp, LoopOp, CallOp>(op))
    return Origin::Data;
  Origin origin = Origin::Constant;
  bool hasWeight = false;
  for (Value operand : op.getOperands()) {
    origin = std::max(origin, get(operand));
    hasWeight |= isFloat(operand) && get(operand) == Origin::Constant;
  }
  if (origin != Origin::Index)
    return origin;
  bool isLookup = isGather(&op) && isFloat(op.getOperand(0)) &&
                  get(op.getOperand(0)) == Origin::Constant;
  bool isLayer = isa<ContractOp, MatmulOp, ConvOp>(op) && hasWeight &&
                 !isOuterProduct(&op);
  return isLookup || isLayer ? Origin::Data : origin;
}

//===-- What becomes of values --------------------------------------------===//

static bool isPeriodic(Operation *op) {
  return isa<SinOp, CosOp, TanOp, ModOp, RemOp>(op);
}

/// Whether the result of `op` jumps where `operand` passes certain numbers.
/// Rounding keeps the sign.
static bool isStep(Operation *op, Value operand) {
  if (isa<FloorOp, CeilOp, RoundOp, IsInfOp>(op))
    return true;
  if (isa<CastOp>(op))
    return !isFloat(op->getResult(0));
  if (!isa<CompareOp>(op))
    return false;
  Value other = op->getOperand(op->getOperand(0) == operand ? 1 : 0);
  return !matchPattern(other, m_AnyZeroFloat());
}

/// Whether numbers only move, or are scaled.
static bool keepsNumbers(Operation *op) {
  return isView(op) || isGather(op) || isOuterProduct(op) ||
         isa<CastOp, ConcatOp, PadOp, DynamicSliceOp, DynamicReshapeOp,
             DynamicBroadcastOp, MulOp, NegOp, CumulateOp>(op);
}

namespace {
/// A value on the way from the first one.
struct Reached {
  Value value;
  bool isScaled; ///< No more than scaled so far.
  bool isSummed; ///< A product's sums.
};

class Walk {
public:
  explicit Walk(Value value) { add({value, true, false}); }

  bool run() {
    for (size_t i = 0; i < work.size(); ++i) {
      Reached reached = work[i];
      for (OpOperand &use : reached.value.getUses())
        if (follow(use, reached))
          return true;
    }
    return false;
  }

private:
  void add(Reached reached) {
    unsigned state = (reached.isScaled ? 2 : 0) + (reached.isSummed ? 1 : 0);
    if (seen.insert({reached.value, state}).second)
      work.push_back(reached);
  }

  /// Whether `use` needs what is `reached` exactly.
  bool follow(OpOperand &use, const Reached &reached) {
    Operation *op = use.getOwner();
    if (auto group = dyn_cast<GroupOp>(op)) {
      BlockArgument argument =
          group.getBody().getArgument(use.getOperandNumber());
      add({argument, reached.isScaled, reached.isSummed});
      return false;
    }
    if (auto yield = dyn_cast<YieldOp>(op)) {
      if (reached.isScaled)
        add({yield->getParentOp()->getResult(use.getOperandNumber()), true,
             false});
      return false;
    }
    if (isFloat(reached.value) &&
        (isPeriodic(op) || (!reached.isSummed && isStep(op, reached.value))))
      return true;
    if (keepsNumbers(op))
      add({op->getResult(0), reached.isScaled, reached.isSummed});
    else if (op->hasTrait<lathe::graph::OpTrait::Elementwise>())
      add({op->getResult(0), false, reached.isSummed});
    else if (isa<ContractOp, MatmulOp>(op))
      add({op->getResult(0), false, true});
    return false;
  }

  llvm::DenseSet<std::pair<Value, unsigned>> seen;
  SmallVector<Reached> work;
};
} // namespace

bool lathe::graph::mustBeExact(Value value) { return Walk(value).run(); }
