// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-join-norms
//
//   %s = graph.group pointwise (%x, %r) { add; yield }
//   %y = graph.group reduce (%a = %s, %g) { rms_norm %a; yield }
//   ... %s ...
// becomes
//   %y, %s = graph.group reduce (%x, %r, %g) { add; rms_norm; yield %1, %0 }

#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "mlir/IR/IRMapping.h"

namespace lathe::graph {
#define GEN_PASS_DEF_JOINNORMSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// Longer rows may not stay in registers: they are read again, and what they
/// are computed from with them.
static constexpr int64_t kLongestRow = 16384;

/// The axis from which on a norm or softmax combines; nothing for others.
static std::optional<int64_t> getRowAxis(Operation *root) {
  if (auto norm = dyn_cast<LayerNormOp>(root))
    return norm.getAxis();
  if (auto norm = dyn_cast<RmsNormOp>(root))
    return norm.getAxis();
  auto softmax = dyn_cast<SoftmaxOp>(root);
  if (softmax && int64_t(softmax.getAxis()) + 1 ==
                     cast<RankedTensorType>(softmax.getType()).getRank())
    return softmax.getAxis();
  return std::nullopt;
}

/// The operand of the group that its root combines, as it is or cast; null if
/// there is none, or its rows are long.
static OpOperand *getRowOperand(GroupOp group) {
  Operation *root = group.getRoot();
  std::optional<int64_t> axis = root ? getRowAxis(root) : std::nullopt;
  if (!axis)
    return nullptr;
  Value input = root->getOperand(0);
  int64_t row = 1;
  for (int64_t size :
       cast<RankedTensorType>(input.getType()).getShape().drop_front(*axis))
    if (ShapedType::isDynamic(size) || (row *= size) > kLongestRow)
      return nullptr;
  if (auto cast = input.getDefiningOp<CastOp>())
    input = cast.getInput();
  auto argument = dyn_cast<BlockArgument>(input);
  return argument ? &group->getOpOperand(argument.getArgNumber()) : nullptr;
}

/// Whether a kernel that combines rows may compute the group's ops on the way.
static bool isPlain(GroupOp group) {
  constexpr int most = 8;
  int count = 0;
  for (Operation &op : group.getBody().front().without_terminator()) {
    bool isImmediate = isa<ConstantOp>(op);
    if (!isImmediate && !op.hasTrait<lathe::graph::OpTrait::Elementwise>())
      return false;
    count += !isImmediate;
  }
  return !group.getRoot() && group->getNumResults() == 1 && count <= most;
}

/// Whether whoever else reads `value` comes after `group`.
static bool isReadAfter(Value value, GroupOp group) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    Operation *its = group->getBlock()->findAncestorOpInBlock(*user);
    return its && (its == group || group->isBeforeInBlock(its));
  });
}

/// The group that computes the rows, if it may join.
static GroupOp findProducer(ShapeAnalysis &shapes, GroupOp group,
                            OpOperand &operand) {
  auto producer = operand.get().getDefiningOp<GroupOp>();
  if (!producer || producer->getBlock() != group->getBlock() ||
      !isPlain(producer) || !isReadAfter(operand.get(), group))
    return {};
  bool isSame = areSameSizes(shapes.getDims(operand.get()),
                             shapes.getDims(group.getRoot()->getOperand(0)));
  return isSame ? producer : GroupOp();
}

/// Clones the body at the builder; what it yields.
static SmallVector<Value> cloneBody(OpBuilder &builder, GroupOp group,
                                    IRMapping &mapping) {
  for (Operation &op : group.getBody().front().without_terminator())
    builder.clone(op, mapping);
  return llvm::map_to_vector(group.getYield().getValues(), [&](Value value) {
    return mapping.lookup(value);
  });
}

/// One group for both, which hands out the results of both.
static GroupOp join(GroupOp producer, GroupOp group) {
  SmallVector<Value> inputs(producer.getInputs());
  for (Value input : group.getInputs())
    if (input.getDefiningOp() != producer && !llvm::is_contained(inputs, input))
      inputs.push_back(input);
  SmallVector<Type> types(group->getResultTypes());
  llvm::append_range(types, producer->getResultTypes());
  OpBuilder builder(group);
  Location loc = builder.getFusedLoc({producer.getLoc(), group.getLoc()});
  auto joined = GroupOp::create(builder, loc, types, group.getKind(), inputs);
  Block *body = builder.createBlock(&joined.getBody());
  for (Value input : inputs)
    body->addArgument(input.getType(), input.getLoc());
  IRMapping mapping;
  auto mapArguments = [&](GroupOp from) {
    for (auto [argument, input] :
         llvm::zip_equal(from.getBody().getArguments(), from.getInputs()))
      if (input.getDefiningOp() != producer)
        mapping.map(argument, body->getArgument(llvm::find(inputs, input) -
                                                inputs.begin()));
  };
  mapArguments(producer);
  mapArguments(group);
  SmallVector<Value> own = cloneBody(builder, producer, mapping);
  for (auto [argument, input] :
       llvm::zip_equal(group.getBody().getArguments(), group.getInputs()))
    if (input.getDefiningOp() == producer)
      mapping.map(argument, own.front());
  SmallVector<Value> yielded = cloneBody(builder, group, mapping);
  llvm::append_range(yielded, own);
  YieldOp::create(builder, loc, yielded);
  return joined;
}

namespace {
struct JoinNormsPass : lathe::graph::impl::JoinNormsPassBase<JoinNormsPass> {
  using Base::Base;

  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    ShapeAnalysis shapes(getOperation());
    if (failed(shapes.run()))
      return signalPassFailure();
    for (GroupOp group : llvm::to_vector(getOperation().getOps<GroupOp>())) {
      OpOperand *operand = getRowOperand(group);
      GroupOp producer =
          operand ? findProducer(shapes, group, *operand) : GroupOp();
      if (!producer)
        continue;
      GroupOp joined = join(producer, group);
      SmallVector<Value> before(group.getResults());
      llvm::append_range(before, producer.getResults());
      for (auto [old, value] : llvm::zip_equal(before, joined.getResults())) {
        shapes.setDims(value, Dims(shapes.getDims(old)));
        old.replaceAllUsesWith(value);
      }
      group.erase();
      producer.erase();
      ++numJoined;
    }
  }
};
} // namespace
