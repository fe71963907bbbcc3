// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-form-groups
//
//   %0 = graph.contract %x, %w ...
//   %1 = graph.add %0, %bias
//   %2 = graph.gelu %1
// becomes
//   %2 = graph.group contract (%a = %x, %b = %w, %c = %bias) : ... {
//     %3 = graph.contract %a, %b ...
//     %4 = graph.add %3, %c
//     %5 = graph.gelu %4
//     graph.yield %5
//   }
//
// Groups are planned first, on unchanged IR, and built afterwards. What decides
// is whether every value of a group can be read at strided addresses in one
// iteration space (IR/Views.h): then the kernels stage can build it.

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/IR/Views.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"
#include <queue>

namespace lathe::graph {
#define GEN_PASS_DEF_FORMGROUPSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// More ops are no kernel that a target could hold in registers; unrolled loops
/// and hostile models chain any number of them.
static constexpr size_t kMaxOps = 256;

namespace {
/// The ops of one group to be, and the one value that it hands out.
struct Plan {
  GroupKind kind;
  Operation *root = nullptr; ///< Null for a pointwise group.
  llvm::SetVector<Operation *> ops;
  Value result;

  /// Leaves are the values from outside; a kernel starts from the root too.
  bool isLeaf(Value value) const {
    Operation *op = value.getDefiningOp();
    return !op || op == root || !ops.contains(op);
  }
};
} // namespace

static bool isElementwise(Operation *op) {
  return op->hasTrait<lathe::graph::OpTrait::Elementwise>();
}

static GroupKind getRootKind(Operation *root) {
  return llvm::TypeSwitch<Operation *, GroupKind>(root)
      .Case<ContractOp, MatmulOp, ConvOp>(
          [](auto) { return GroupKind::contract; })
      .Case<AttentionOp>([](auto) { return GroupKind::attention; })
      .Case<CumulateOp>([](auto) { return GroupKind::scan; })
      .Default([](Operation *) { return GroupKind::reduce; });
}

/// Whether it is no loss to compute `op` again in every group that reads it.
static bool isFree(Operation *op) {
  return isView(op) || isa<IotaOp, DimOp>(op);
}

/// Whether `op` is cheap enough to be computed for every element it is
/// broadcast to.
static bool isCheap(Operation *op) {
  return isFree(op) ||
         isa<AddOp, SubOp, MulOp, NegOp, AbsOp, MaxOp, MinOp, ReluOp, CastOp,
             CompareOp, SelectOp, AndOp, OrOp, XorOp, NotOp>(op);
}

/// Whether reductions may compute `op` again in each pass over a row: it and
/// all it reads up to the next kernel's result are cheap and read by one op.
static bool isCheapTree(Operation *root,
                        const llvm::DenseSet<Operation *> &taken) {
  llvm::SetVector<Operation *> tree;
  tree.insert(root);
  for (size_t i = 0; i < tree.size(); ++i) {
    Operation *op = tree[i];
    if (!op || isa<ConstantOp>(op) || taken.contains(op))
      continue;
    bool hasOneReader = llvm::all_equal(op->getUsers());
    if (!isFree(op) && !(isElementwise(op) && isCheap(op) && hasOneReader))
      return false;
    if (tree.size() > kMaxOps)
      return false;
    for (Value operand : op->getOperands())
      tree.insert(operand.getDefiningOp());
  }
  return true;
}

/// Constants that kernels hold as immediates instead of reading them.
static bool isImmediate(Operation *op) {
  auto constant = dyn_cast_or_null<ConstantOp>(op);
  return constant && isa<SplatElementsAttr>(constant.getValue());
}

//===-- Planning ----------------------------------------------------------===//

/// Whether something outside of the plan reads what `op` computes, maybe
/// through views, which other groups copy.
static bool isReadElsewhere(const Plan &plan, Operation *op) {
  llvm::SetVector<Operation *> values;
  values.insert(op);
  for (size_t i = 0; i < values.size(); ++i)
    for (Operation *user : values[i]->getUsers()) {
      if (!plan.ops.contains(user))
        return true;
      if (isView(user))
        values.insert(user);
    }
  return false;
}

namespace {
/// Producers to be asked, the last in the block first: then all that reads one
/// has been asked before it.
class Producers {
public:
  explicit Producers(Block &block) : block(block) {}

  void add(ValueRange values) {
    for (Value value : values)
      if (Operation *op = value.getDefiningOp(); op && op->getBlock() == &block)
        queue.push(op);
  }
  Operation *takeLast() {
    if (queue.empty())
      return nullptr;
    Operation *op = queue.top();
    while (!queue.empty() && queue.top() == op)
      queue.pop();
    return op;
  }

private:
  struct IsEarlier {
    bool operator()(Operation *a, Operation *b) const {
      return a->isBeforeInBlock(b);
    }
  };
  Block &block;
  std::priority_queue<Operation *, std::vector<Operation *>, IsEarlier> queue;
};

class Planner {
public:
  Planner(ShapeAnalysis &shapes, StringRef pass, Block &block)
      : shapes(shapes), pass(pass), block(block) {}

  /// Plans in an order in which every group comes after those it reads.
  std::vector<Plan> run();
  unsigned getNumRefused() const { return numRefused; }

private:
  void planRoot(Operation *root);
  void growPrologue(Plan &plan);
  void growEpilogue(Plan &plan);
  void planPointwise(Operation *sink);

  /// Adds `ops` to the plan if all stays strided; a remark says why not.
  bool tryAdd(Plan &plan, ArrayRef<Operation *> ops, Value result);
  bool isStrided(const Plan &plan, std::string &reason);
  bool areOperandsStrided(const Plan &plan, std::string &reason);
  bool isWalkable(const Plan &plan, Value value, const Access &access,
                  std::string &reason);
  bool mayFuseProducer(const Plan &plan, Operation *producer);
  bool isNeededBy(Operation *op, Operation *user);
  bool feedsAttention(Operation *view);
  SmallVector<Operation *> findDiamond(Value value);
  Operation *getOnlyUser(Value value);
  void refuse(Operation *op, const Twine &reason);

  ShapeAnalysis &shapes;
  StringRef pass;
  Block &block;
  std::vector<Plan> plans;
  llvm::DenseSet<Operation *> taken;      ///< Computed by a group.
  llvm::DenseSet<Operation *> standalone; ///< Views needed outside of groups.
  llvm::DenseMap<Operation *, llvm::StringSet<>> refusals;
  unsigned numRefused = 0;
};
} // namespace

void Planner::refuse(Operation *op, const Twine &reason) {
  std::string text = reason.str();
  // Several consumers may ask the same of one op.
  if (!refusals[op].insert(text).second)
    return;
  remarkMissed(pass, op, text);
  ++numRefused;
}

Operation *Planner::getOnlyUser(Value value) {
  Operation *only = nullptr;
  for (Operation *user : value.getUsers()) {
    if (only && only != user)
      return nullptr;
    only = user;
  }
  return only;
}

bool Planner::isWalkable(const Plan &plan, Value value, const Access &access,
                         std::string &reason) {
  auto refuse = [&](Operation *op, StringRef why) {
    reason = op ? (op->getName().getStringRef() + ": " + why).str() : why.str();
  };
  return succeeded(walkLeaves(
      value, access, [&](Value v) { return shapes.getDims(v); },
      [&](Value v) { return plan.isLeaf(v); }, [](const Leaf &) {}, refuse));
}

bool Planner::areOperandsStrided(const Plan &plan, std::string &reason) {
  for (Value operand : plan.root->getOperands())
    if (!isWalkable(plan, operand, {}, reason))
      return false;
  return true;
}

bool Planner::isStrided(const Plan &plan, std::string &reason) {
  if (!plan.root)
    return isWalkable(plan, plan.result, {}, reason);
  if (!areOperandsStrided(plan, reason))
    return false;
  auto dimsOf = [&](Value value) { return shapes.getDims(value); };
  auto access = getAccessFrom(plan.root->getResult(0), {}, plan.result, dimsOf);
  auto whole =
      StridedView::getContiguous(plan.root->getContext(), dimsOf(plan.result));
  if (!access || !applyAccess(whole, *access)) {
    reason = "its result is not written once per element of the root's";
    return false;
  }
  return isWalkable(plan, plan.result, *access, reason);
}

bool Planner::tryAdd(Plan &plan, ArrayRef<Operation *> ops, Value result) {
  if (plan.ops.size() + ops.size() > kMaxOps) {
    refuse(ops[0], "does not join the group of its neighbor, which has " +
                       Twine(plan.ops.size()) + " ops; at most " +
                       Twine(kMaxOps) + " make a kernel");
    return false;
  }
  Value before = plan.result;
  plan.ops.insert(ops.begin(), ops.end());
  plan.result = result;
  std::string reason;
  if (isStrided(plan, reason))
    return true;
  refuse(ops[0], "does not join the group of its neighbor: " + reason);
  plan.ops.remove_if(
      [&](Operation *op) { return llvm::is_contained(ops, op); });
  plan.result = before;
  return false;
}

/// Whether the views from `view` on end at an attention, which reads through
/// them.
bool Planner::feedsAttention(Operation *view) {
  while (view && isView(view))
    view = getOnlyUser(view->getResult(0));
  return isa_and_nonnull<AttentionOp>(view);
}

/// Elementwise ops from `value` to where all that is computed from it is one
/// value again (x * f(x)), in order. Empty if there is no such place nearby.
SmallVector<Operation *> Planner::findDiamond(Value value) {
  constexpr unsigned maxOps = 8;
  SmallVector<Operation *> ops;
  auto isInside = [&](Operation *op) { return llvm::is_contained(ops, op); };
  auto findNext = [&](Value from, Operation *&next) {
    for (Operation *user : from.getUsers())
      if (user->getBlock() == &block && !isInside(user) &&
          (!next || user->isBeforeInBlock(next)))
        next = user;
  };
  while (ops.size() < maxOps) {
    Operation *next = nullptr;
    findNext(value, next);
    for (Operation *op : ops)
      findNext(op->getResult(0), next);
    if (!next || !isElementwise(next) || taken.contains(next))
      return {};
    ops.push_back(next);
    bool isClosed = llvm::all_of(value.getUsers(), isInside);
    for (Operation *op : ArrayRef(ops).drop_back())
      isClosed &= llvm::all_of(op->getUsers(), isInside);
    if (isClosed)
      return ops;
  }
  return {};
}

void Planner::growEpilogue(Plan &plan) {
  while (true) {
    SmallVector<Operation *> ops;
    if (Operation *user = getOnlyUser(plan.result))
      ops.push_back(user);
    else
      ops = findDiamond(plan.result);
    if (ops.empty())
      return;
    Operation *last = ops.back();
    if (taken.contains(last) || last->getBlock() != &block ||
        last->getNumResults() != 1)
      return;
    bool isPlainView = isa<ReshapeOp, TransposeOp>(last);
    if (!isElementwise(last) && !isPlainView)
      return;
    if (isPlainView && feedsAttention(last))
      return;
    if (!tryAdd(plan, ops, last->getResult(0)))
      return;
    taken.insert(ops.begin(), ops.end());
  }
}

/// Views of the root's operands, nearest first, as far as they fold. Reductions
/// also take elementwise ops that nobody else reads.
void Planner::growPrologue(Plan &plan) {
  Producers producers(block);
  producers.add(plan.root->getOperands());
  while (Operation *op = producers.takeLast()) {
    if (plan.ops.contains(op) || taken.contains(op))
      continue;
    bool isOwn = plan.kind == GroupKind::reduce && isElementwise(op) &&
                 isCheapTree(op, taken) && !isReadElsewhere(plan, op) &&
                 areSameSizes(shapes.getDims(op->getResult(0)),
                              shapes.getDims(plan.root->getOperand(0)));
    if ((isOwn || isView(op)) && tryAdd(plan, op, plan.result))
      producers.add(op->getOperands());
  }
}

void Planner::planRoot(Operation *root) {
  Plan plan;
  plan.kind = getRootKind(root);
  plan.root = root;
  plan.ops.insert(root);
  plan.result = root->getResult(0);
  growPrologue(plan);
  for (Operation *op : plan.ops)
    if (!isFree(op))
      taken.insert(op);
  growEpilogue(plan);
  plans.push_back(std::move(plan));
}

bool Planner::mayFuseProducer(const Plan &plan, Operation *producer) {
  if (taken.contains(producer) || plan.ops.contains(producer))
    return false;
  if (isFree(producer))
    return true;
  if (!isElementwise(producer) && !isa<GatherOp>(producer))
    return false;
  Value value = producer->getResult(0);
  if (isReadElsewhere(plan, producer)) {
    refuse(producer, "is read by several kernels");
    return false;
  }
  // A broadcast would compute it again for each element it is repeated to.
  if (isCheap(producer) || isa<GatherOp>(producer) ||
      isSameSize(shapes.getNumElements(value),
                 shapes.getNumElements(plan.result)))
    return true;
  refuse(producer, "is too expensive to be computed where it is broadcast");
  return false;
}

void Planner::planPointwise(Operation *sink) {
  Plan plan;
  plan.kind = GroupKind::pointwise;
  plan.ops.insert(sink);
  plan.result = sink->getResult(0);
  std::string reason;
  if (!isStrided(plan, reason))
    return refuse(sink, "fits no kernel: " + reason);
  Producers producers(block);
  producers.add(sink->getOperands());
  while (Operation *producer = producers.takeLast())
    if (mayFuseProducer(plan, producer) && tryAdd(plan, producer, plan.result))
      producers.add(producer->getOperands());
  for (Operation *op : plan.ops)
    if (!isFree(op) || op == sink)
      taken.insert(op);
  plans.push_back(std::move(plan));
}

/// Whether `user` needs the result of `op` in memory, with all plans for what
/// follows `op` made.
bool Planner::isNeededBy(Operation *op, Operation *user) {
  bool isPlanned = false;
  for (const Plan &plan : plans)
    if (plan.ops.contains(user)) {
      if (!plan.ops.contains(op))
        return true;
      isPlanned = true;
    }
  // What is free, and in groups only, is nothing by itself.
  return isFree(user) ? standalone.contains(user) : !isPlanned;
}

std::vector<Plan> Planner::run() {
  for (Operation &op : block)
    if (isRoot(&op))
      planRoot(&op);
  // From the end, so that consumers choose their producers.
  for (Operation &op : llvm::reverse(block)) {
    if (taken.contains(&op) || op.getNumResults() != 1)
      continue;
    if (llvm::none_of(op.getUsers(),
                      [&](Operation *user) { return isNeededBy(&op, user); }))
      continue;
    standalone.insert(&op);
    bool fits = isElementwise(&op) || isFree(&op) || isa<GatherOp>(op);
    if (fits && !isa<ReshapeOp>(op))
      planPointwise(&op);
  }
  auto position = [](const Plan &plan) { return plan.result.getDefiningOp(); };
  llvm::sort(plans, [&](const Plan &a, const Plan &b) {
    return position(a)->isBeforeInBlock(position(b));
  });
  return std::move(plans);
}

//===-- Building ----------------------------------------------------------===//

/// What a group reads, in the order of first use; and the constants it holds.
static void collectInputs(ArrayRef<Operation *> ops, const Plan &plan,
                          llvm::SetVector<Value> &inputs,
                          llvm::SetVector<Operation *> &immediates) {
  for (Operation *op : ops)
    for (Value operand : op->getOperands()) {
      Operation *producer = operand.getDefiningOp();
      if (producer && plan.ops.contains(producer))
        continue;
      if (isImmediate(producer))
        immediates.insert(producer);
      else
        inputs.insert(operand);
    }
}

static GroupOp buildGroup(const Plan &plan) {
  SmallVector<Operation *> ops(plan.ops.begin(), plan.ops.end());
  llvm::sort(ops,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  llvm::SetVector<Value> inputs;
  llvm::SetVector<Operation *> immediates;
  collectInputs(ops, plan, inputs, immediates);

  OpBuilder builder(ops.back());
  auto locations =
      llvm::map_to_vector(ops, [](Operation *op) { return op->getLoc(); });
  auto group =
      GroupOp::create(builder, builder.getFusedLoc(locations),
                      plan.result.getType(), plan.kind, inputs.getArrayRef());
  Block *body = builder.createBlock(&group.getBody());
  IRMapping mapping;
  for (Value input : inputs)
    mapping.map(input, body->addArgument(input.getType(), input.getLoc()));
  for (Operation *constant : immediates)
    builder.clone(*constant, mapping);
  for (Operation *op : ops)
    builder.clone(*op, mapping);
  YieldOp::create(builder, group.getLoc(), mapping.lookup(plan.result));
  return group;
}

namespace {
struct FormGroupsPass : lathe::graph::impl::FormGroupsPassBase<FormGroupsPass> {
  using Base::Base;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    ShapeAnalysis shapes(function);
    if (failed(shapes.run()))
      return signalPassFailure();
    Planner planner(shapes, getArgument(), function.getBody().front());
    std::vector<Plan> plans = planner.run();
    SmallVector<GroupOp> groups;
    for (const Plan &plan : plans) {
      groups.push_back(buildGroup(plan));
      numFused += plan.ops.size() - 1;
    }
    for (auto [plan, group] : llvm::zip_equal(plans, groups))
      Value(plan.result).replaceAllUsesWith(group.getResult(0));
    numGroups += plans.size();
    numRefused += planner.getNumRefused();
    eraseDeadOps(function);
  }
};
} // namespace
