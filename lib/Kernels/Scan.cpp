// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Running sums. Vectors run along a kept dim, so every lane adds in the order
// that the op asks for; a program walks the whole scanned dim.

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/RowKernel.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

using Step = RowKernel::Step;

namespace {
class ScanStrategy final : public Strategy {
public:
  graph::GroupKind getKind() const override { return graph::GroupKind::scan; }
  LogicalResult match(graph::GroupOp group, const LoweringContext &context,
                      std::string &reason) const override;
  FailureOr<LoweredGroup> lower(graph::GroupOp group,
                                LoweringContext &context) const override;
};
} // namespace

static FailureOr<RowProblem> analyze(graph::GroupOp group,
                                     const LoweringContext &context,
                                     std::string &reason) {
  auto op = dyn_cast_or_null<graph::CumulateOp>(group.getRoot());
  if (!op) {
    reason = "the root is not 'graph.cumulate'";
    return failure();
  }
  RowOptions options;
  options.vertical = true;
  options.reverse = op.getReverse();
  int64_t axis = op.getAxis();
  return analyzeRows(group, axis, context, options, reason);
}

LogicalResult ScanStrategy::match(graph::GroupOp group,
                                  const LoweringContext &context,
                                  std::string &reason) const {
  return analyze(group, context, reason);
}

FailureOr<LoweredGroup> ScanStrategy::lower(graph::GroupOp group,
                                            LoweringContext &context) const {
  std::string reason;
  FailureOr<RowProblem> problem = analyze(group, context, reason);
  if (failed(problem))
    return group.emitError("was lowered without having matched: ") << reason;
  auto op = cast<graph::CumulateOp>(problem->root);
  LaunchBuilder launch(group, context);
  RowKernel rows(*problem, group, context,
                 launch.addKernel("scan", {problem->tile}));
  ImplicitLocOpBuilder &b = rows.getBuilder();
  Type element = getComputeType(op.getType().getElementType());
  Value zero = rows.getConstant(rows.getTileType(element), 0);
  rows.forRow(zero, [&](Step &step, ValueRange carried) -> SmallVector<Value> {
    Value before = carried[0], x = rows.evaluateInput(step);
    if (!x)
      return {before};
    Value after = isa<FloatType>(element)
                      ? Value(arith::AddFOp::create(b, before, x))
                      : arith::AddIOp::create(b, before, x);
    rows.storeResults(step, op.getExclusive() ? before : after);
    return {after};
  });
  if (failed(rows.finish()))
    return failure();
  LoweredGroup lowered;
  lowered.launches.push_back(launch.finish(
      getOpsName(group, nullptr) + "_" + getShapeName(problem->dims),
      graph::getProduct(group.getContext(), problem->dims)));
  return lowered;
}

std::unique_ptr<Strategy> lathe::kernels::createScanStrategy() {
  return std::make_unique<ScanStrategy>();
}
