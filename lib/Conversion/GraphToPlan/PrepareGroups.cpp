// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Conversion/GraphToPlan/PrepareGroups.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Iterators.h"

using namespace mlir;
using namespace lathe;

static bool isSplat(graph::ConstantOp constant) {
  auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
  return dense && dense.isSplat();
}

static void hoistConstants(graph::GroupOp group) {
  SmallVector<graph::ConstantOp> constants;
  for (auto constant : group.getBody().getOps<graph::ConstantOp>())
    if (!isSplat(constant))
      constants.push_back(constant);
  for (graph::ConstantOp constant : constants) {
    BlockArgument argument = group.getBody().front().addArgument(
        constant.getType(), constant.getLoc());
    constant.getResult().replaceAllUsesWith(argument);
    constant->moveBefore(group);
    group.getInputsMutable().append(constant.getResult());
  }
}

void lathe::prepareGroups(FunctionOpInterface function) {
  function.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
  function.walk([](graph::GroupOp group) { hoistConstants(group); });
}

bool lathe::needsGroup(Operation *op) {
  return isa<graph::GraphDialect>(op->getDialect()) &&
         !isa<graph::ConstantOp, graph::BuiltinOp, graph::GroupOp,
              graph::BindOp>(op) &&
         !graph::isControlFlow(op) && op->getNumResults() > 0;
}

static graph::GroupKind getKind(Operation *op) {
  if (isa<graph::ContractOp, graph::MatmulOp, graph::ConvOp>(op))
    return graph::GroupKind::contract;
  if (isa<graph::AttentionOp>(op))
    return graph::GroupKind::attention;
  if (isa<graph::CumulateOp>(op))
    return graph::GroupKind::scan;
  return graph::isRoot(op) ? graph::GroupKind::reduce
                           : graph::GroupKind::pointwise;
}

graph::GroupOp
lathe::wrapInGroup(Operation *op,
                   llvm::function_ref<void(Value, Value)> visit) {
  OpBuilder builder(op);
  auto group =
      graph::GroupOp::create(builder, op->getLoc(), op->getResultTypes(),
                             getKind(op), op->getOperands());
  if (group.getBody().empty())
    group.getBody().emplaceBlock();
  Block &body = group.getBody().front();
  for (Value operand : op->getOperands()) {
    body.addArgument(operand.getType(), operand.getLoc());
    visit(body.getArguments().back(), operand);
  }
  for (auto [result, original] :
       llvm::zip_equal(group.getResults(), op->getResults()))
    visit(result, original);
  op->replaceAllUsesWith(group);
  if (!body.empty())
    body.back().erase();
  op->moveBefore(&body, body.end());
  op->setOperands(body.getArguments());
  builder.setInsertionPointToEnd(&body);
  graph::YieldOp::create(builder, op->getLoc(), op->getResults());
  return group;
}

SmallVector<Operation *> lathe::dissolveGroup(graph::GroupOp group) {
  SmallVector<Operation *> ops;
  Block &body = group.getBody().front();
  for (auto [argument, operand] :
       llvm::zip_equal(body.getArguments(), group.getInputs()))
    argument.replaceAllUsesWith(operand);
  group->replaceAllUsesWith(group.getYield().getValues());
  for (Operation &op : llvm::make_early_inc_range(body.without_terminator())) {
    op.moveBefore(group);
    ops.push_back(&op);
  }
  group.erase();
  return ops;
}
