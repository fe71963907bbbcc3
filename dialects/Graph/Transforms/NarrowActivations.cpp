// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-narrow-activations
//
//   %y = graph.group contract (...) -> tensor<?x8xf32> { ... yield %1 }
//   %z = graph.group reduce (%a = %y) -> ... { layer_norm %a ... }
// becomes
//   %y = graph.group contract (...) -> tensor<?x8xbf16> {
//     ... %2 = graph.cast %1 : f32 -> bf16   yield %2 }
//   %z = graph.group reduce (%a = %y) -> ... {
//     %0 = graph.cast %a : bf16 -> f32   layer_norm %0 ... }

#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "dialects/Graph/Transforms/Rounding.h"

namespace lathe::graph {
#define GEN_PASS_DEF_NARROWACTIVATIONSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// Whether `value`, in a group, is computed from `argument`.
static bool dependsOn(Value value, BlockArgument argument) {
  llvm::SmallPtrSet<Operation *, 16> seen;
  SmallVector<Value> work = {value};
  while (!work.empty()) {
    Value next = work.pop_back_val();
    if (next == argument)
      return true;
    Operation *op = next.getDefiningOp();
    if (op && seen.insert(op).second)
      llvm::append_range(work, op->getOperands());
  }
  return false;
}

/// Whether a group must read an operand as it is: a mask, since the lowest f32,
/// which masks are made of, would become infinite; or what windows run over,
/// since they are read in place, unless `narrowsWindows`.
static bool needsWide(OpOperand &use, bool narrowsWindows) {
  auto group = cast<GroupOp>(use.getOwner());
  Operation *root = group.getRoot();
  Value wide;
  if (auto attention = dyn_cast_or_null<AttentionOp>(root))
    wide = attention.getMask();
  else if (!narrowsWindows && isa_and_nonnull<ConvOp, PoolOp>(root))
    wide = root->getOperand(0);
  return wide &&
         dependsOn(wide, group.getBody().getArgument(use.getOperandNumber()));
}

/// Whether groups are all that reads `value`, and take it rounded.
static bool isNarrowable(Value value, bool narrowsWindows) {
  return getElementTypeOrSelf(value).isF32() && !value.use_empty() &&
         llvm::all_of(value.getUses(),
                      [&](OpOperand &use) {
                        return isa<GroupOp>(use.getOwner()) &&
                               !needsWide(use, narrowsWindows);
                      }) &&
         !mustBeExact(value);
}

/// The contraction that a group is for, if all of its products are integer.
static ContractOp getQuantizedRoot(GroupOp group) {
  auto root = dyn_cast_or_null<ContractOp>(group.getRoot());
  if (!root || !llvm::all_of(root.getBranches(), [](Attribute branch) {
        return cast<BranchAttr>(branch).getQuantizer() != nullptr;
      }))
    return nullptr;
  return root;
}

/// Whether all that becomes of `value`, in a group, are the first `count`
/// operands of its root.
static bool endsInOperands(Value value, Operation *root, unsigned count) {
  return llvm::all_of(value.getUses(), [&](OpOperand &use) {
    Operation *user = use.getOwner();
    if (user == root)
      return use.getOperandNumber() < count;
    return !isa<YieldOp>(user) &&
           llvm::all_of(user->getResults(), [&](Value result) {
             return endsInOperands(result, root, count);
           });
  });
}

/// Whether only quantized inputs are made of `value`, which leave 8 bits of it,
/// or it is made of them, and queries, keys and values are made of it.
static bool isQuantizedTensor(OpResult value) {
  bool isProduct = getQuantizedRoot(cast<GroupOp>(value.getOwner())) != nullptr;
  return llvm::all_of(value.getUses(), [&](OpOperand &use) {
    auto group = cast<GroupOp>(use.getOwner());
    Value argument = group.getBody().getArgument(use.getOperandNumber());
    if (ContractOp root = getQuantizedRoot(group))
      return endsInOperands(argument, root, 1);
    auto attention = dyn_cast_or_null<AttentionOp>(group.getRoot());
    return isProduct && attention && endsInOperands(argument, attention, 3);
  });
}

/// A constant of rank 0.
static Value createScalar(OpBuilder &builder, Location loc, Type element,
                          double value) {
  auto type = RankedTensorType::get({}, element);
  return ConstantOp::create(
      builder, loc, type,
      DenseElementsAttr::get(type, builder.getFloatAttr(element, value)));
}

/// `value` with what is beyond the narrow type brought to its largest number.
static Value clampTo(FloatType narrow, OpBuilder &builder, Location loc,
                     Value value) {
  Type wide = getElementTypeOrSelf(value);
  llvm::APFloat largest = llvm::APFloat::getLargest(narrow.getFloatSemantics());
  bool lost;
  largest.convert(llvm::APFloat::IEEEdouble(),
                  llvm::APFloat::rmNearestTiesToEven, &lost);
  double bound = largest.convertToDouble();
  value = MaxOp::create(builder, loc, value.getType(), value,
                        createScalar(builder, loc, wide, -bound));
  return MinOp::create(builder, loc, value.getType(), value,
                       createScalar(builder, loc, wide, bound));
}

/// The last step of the group that writes `value` rounds it. With `clamps`,
/// nothing becomes infinite: masks are made of the lowest f32, and a row of
/// infinities has no softmax.
static void narrowResult(GroupOp group, OpResult value, FloatType narrow,
                         bool clamps) {
  YieldOp yield = group.getYield();
  OpOperand &yielded = yield->getOpOperand(value.getResultNumber());
  OpBuilder builder(yield);
  Location loc = yield.getLoc();
  Value result = yielded.get();
  if (clamps)
    result = clampTo(narrow, builder, loc, result);
  yielded.set(CastOp::create(builder, loc, result, narrow));
  value.setType(yielded.get().getType());
}

/// The first step of a group that reads it widens it.
static void widenArgument(OpOperand &use, Type wide) {
  auto group = cast<GroupOp>(use.getOwner());
  BlockArgument argument = group.getBody().getArgument(use.getOperandNumber());
  argument.setType(use.get().getType());
  OpBuilder builder = OpBuilder::atBlockBegin(&group.getBody().front());
  auto cast = CastOp::create(builder, group.getLoc(), argument, wide);
  argument.replaceAllUsesExcept(cast, cast);
}

namespace {
struct NarrowActivationsPass
    : lathe::graph::impl::NarrowActivationsPassBase<NarrowActivationsPass> {
  using Base::Base;

  void runOnOperation() override;
};
} // namespace

void NarrowActivationsPass::runOnOperation() {
  FailureOr<FloatType> narrow = parseNarrowType(getOperation(), type);
  if (failed(narrow))
    return signalPassFailure();
  Origins origins(getOperation());
  for (GroupOp group : getOperation().getOps<GroupOp>())
    for (OpResult value : group.getResults()) {
      if (!isNarrowable(value, convolutions) ||
          (onlyQuantized ? !isQuantizedTensor(value)
                         : !origins.carriesData(value))) {
        ++numKept;
        continue;
      }
      Type wide = getElementTypeOrSelf(value);
      narrowResult(group, value, *narrow, /*clamps=*/!onlyQuantized);
      for (OpOperand &use : value.getUses())
        widenArgument(use, wide);
      ++numNarrowed;
    }
}
