// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-merge-qkv
//
//   %q = graph.add (graph.contract %x, %wq), %bq    : tensor<?x384xf32>
//   %k = graph.add (graph.contract %x, %wk), %bk    : tensor<?x128xf32>
// becomes
//   %w = graph.constant #graph.concat<axis = 1, [wq, wk]>
//   %b = graph.constant #graph.concat<axis = 0, [bq, bk]>
//   %y = graph.add (graph.contract %x, %w), %b      : tensor<?x512xf32>
//   %q = graph.slice %y                             : tensor<?x384xf32>
//   %k = graph.slice %y                             : tensor<?x128xf32>
//
// One launch and one reading of the input instead of several; what reads the
// slices reads through them.

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/GraphBuilder.h"
#include "dialects/Graph/IR/Views.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace lathe::graph {
#define GEN_PASS_DEF_MERGEQKVPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// As many readers are looked at, and as many siblings merge. What lies further
/// apart is no layer of any model.
static constexpr size_t kMaxReaders = 64;

namespace {
/// One contraction, and the ops after it that all siblings share.
struct Sibling {
  ContractOp root;
  ConstantOp weight;
  bool isTransposed; ///< The constant lies as [N, K].
  Value end;         ///< What the rest of the model reads.

  int64_t getColumns() const {
    return cast<RankedTensorType>(end.getType()).getShape().back();
  }
};

/// What follows the contraction of all siblings: an elementwise op of one
/// operand, or one with a constant for each.
struct Step {
  Operation *op;
  SmallVector<ElementsAttr> constants; ///< `[columns]` each.
  SmallVector<Location> locations;
};
} // namespace

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static bool isElementwise(Operation *op) {
  return op->hasTrait<lathe::graph::OpTrait::Elementwise>();
}

static Operation *getOnlyUser(Value value) {
  return llvm::hasSingleElement(value.getUsers()) ? *value.getUsers().begin()
                                                  : nullptr;
}

//===-- Siblings ----------------------------------------------------------===//

/// Whether weights that are stored as this one can lie beside each other along
/// their columns.
static bool canMerge(RankedTensorType weight, bool isTransposed) {
  if (!weight.getEncoding())
    return true;
  auto encoding = dyn_cast<EncodingInterface>(weight.getEncoding());
  return encoding && weight.getRank() == 2 &&
         encoding.hasIndependentColumns() &&
         encoding.getColumnDim() == (isTransposed ? 0 : 1);
}

/// The contraction as a sibling; nothing if its weight is no constant that
/// nobody else reads.
static std::optional<Sibling> getSibling(ContractOp op) {
  if (op.getWeights().size() != 1)
    return std::nullopt;
  Value weight = op.getWeights().front();
  auto transpose = weight.getDefiningOp<TransposeOp>();
  if (transpose && transpose->hasOneUse())
    weight = transpose.getInput();
  auto constant = weight.getDefiningOp<ConstantOp>();
  if (!constant || !constant->hasOneUse() ||
      !canMerge(typeOf(constant), transpose != nullptr) ||
      ShapedType::isDynamic(typeOf(op.getResult()).getShape().back()))
    return std::nullopt;
  return Sibling{op, constant, transpose != nullptr, op.getResult()};
}

/// The attentions and products that a value reaches first; none if they are far
/// away.
static llvm::SetVector<Operation *> getConsumers(Value value) {
  llvm::SetVector<Operation *> seen, consumers;
  seen.insert_range(value.getUsers());
  for (size_t i = 0; i < seen.size(); ++i) {
    if (seen.size() > kMaxReaders)
      return {};
    if (isa<AttentionOp, MatmulOp, ContractOp, ConvOp>(seen[i]))
      consumers.insert(seen[i]);
    else
      seen.insert_range(seen[i]->getUsers());
  }
  return consumers;
}

/// What siblings must have in common for their weights to fit beside each
/// other.
static Attribute getKind(Sibling sibling) {
  Builder b(sibling.root.getContext());
  Attribute encoding = typeOf(sibling.weight).getEncoding();
  return b.getArrayAttr({sibling.root.getBranches(),
                         b.getBoolAttr(sibling.isTransposed),
                         TypeAttr::get(getElementTypeOrSelf(sibling.end)),
                         TypeAttr::get(typeOf(sibling.weight).getElementType()),
                         encoding ? encoding : b.getUnitAttr()});
}

/// Those of `siblings` that belong together: of one kind, and read by one op,
/// or by ops that others of them meet in.
static std::vector<SmallVector<Sibling>> cluster(ArrayRef<Sibling> siblings) {
  llvm::EquivalenceClasses<size_t> classes;
  llvm::DenseMap<std::pair<Operation *, Attribute>, size_t> readers;
  for (size_t i = 0; i < siblings.size(); ++i) {
    classes.insert(i);
    Attribute kind = getKind(siblings[i]);
    for (Operation *consumer : getConsumers(siblings[i].end))
      classes.unionSets(i,
                        readers.try_emplace({consumer, kind}, i).first->second);
  }
  llvm::MapVector<size_t, SmallVector<Sibling>> clusters;
  for (size_t i = 0; i < siblings.size(); ++i)
    clusters[classes.getLeaderValue(i)].push_back(siblings[i]);
  std::vector<SmallVector<Sibling>> result;
  for (auto &[leader, members] : clusters)
    if (members.size() > 1 && members.size() <= kMaxReaders)
      result.push_back(std::move(members));
  return result;
}

//===-- Common epilogue ---------------------------------------------------===//

/// `value`, broadcast over all dims but the last one, as `[columns]`; null if
/// it is no such constant.
static ElementsAttr getPerColumn(Value value, const Sibling &sibling) {
  auto constant = value.getDefiningOp<ConstantOp>();
  RankedTensorType whole = typeOf(sibling.end), type = typeOf(value);
  if (!constant || type.getEncoding() || type.getRank() > whole.getRank() ||
      type.getElementType() != whole.getElementType())
    return ElementsAttr();
  int64_t columns = sibling.getColumns(), count = type.getNumElements();
  auto wanted = RankedTensorType::get(columns, whole.getElementType());
  ElementsAttr elements = constant.getValue();
  if (auto splat = dyn_cast<SplatElementsAttr>(elements);
      splat && (count == 1 || count == columns))
    return splat.resizeSplat(wanted);
  if (count != columns || type.getRank() == 0 ||
      type.getShape().back() != columns)
    return ElementsAttr();
  if (auto dense = dyn_cast<DenseElementsAttr>(elements))
    return dense.reshape(wanted);
  auto resource = dyn_cast<DenseResourceElementsAttr>(elements);
  return resource ? ElementsAttr(DenseResourceElementsAttr::get(
                        wanted, resource.getRawHandle()))
                  : ElementsAttr();
}

/// The op that reads nothing but `sibling` and a number per column, as a sum or
/// product.
static Operation *getColumnOp(const Sibling &sibling, ElementsAttr &constant) {
  Operation *user = getOnlyUser(sibling.end);
  if (!user || !isa<AddOp, MulOp>(user) ||
      user->getResult(0).getType() != sibling.end.getType())
    return nullptr;
  Value other = user->getOperand(user->getOperand(0) == sibling.end ? 1 : 0);
  constant = getPerColumn(other, sibling);
  return constant ? user : nullptr;
}

/// The next step of all siblings, if they have one in common; `end` of each
/// moves behind it.
static std::optional<Step> takeUnary(MutableArrayRef<Sibling> siblings) {
  Operation *first = getOnlyUser(siblings.front().end);
  auto isSame = [&](const Sibling &sibling) {
    Operation *op = getOnlyUser(sibling.end);
    return op && op->getNumOperands() == 1 && isElementwise(op) &&
           op->getName() == first->getName() &&
           op->getAttrDictionary() == first->getAttrDictionary() &&
           getElementTypeOrSelf(op->getResult(0)) ==
               getElementTypeOrSelf(first->getResult(0));
  };
  if (!first || !llvm::all_of(siblings, isSame))
    return std::nullopt;
  Step step{first, {}, {}};
  for (Sibling &sibling : siblings) {
    Operation *op = getOnlyUser(sibling.end);
    step.locations.push_back(op->getLoc());
    sibling.end = op->getResult(0);
  }
  return step;
}

static std::optional<Step> takeColumnOp(MutableArrayRef<Sibling> siblings) {
  Operation *model = nullptr;
  for (Sibling &sibling : siblings) {
    ElementsAttr constant;
    if (!model)
      model = getColumnOp(sibling, constant);
  }
  if (!model)
    return std::nullopt;
  Step step{model, {}, {}};
  for (Sibling &sibling : siblings) {
    ElementsAttr constant;
    Operation *op = getColumnOp(sibling, constant);
    if (op && op->getName() == model->getName()) {
      step.locations.push_back(op->getLoc());
      sibling.end = op->getResult(0);
    } else {
      Type element = getElementTypeOrSelf(sibling.end);
      auto type = RankedTensorType::get(sibling.getColumns(), element);
      Builder builder(element.getContext());
      int64_t neutral = isa<MulOp>(model) ? 1 : 0;
      Attribute number =
          isa<FloatType>(element)
              ? Attribute(builder.getFloatAttr(element, double(neutral)))
              : Attribute(builder.getIntegerAttr(element, neutral));
      constant = DenseElementsAttr::get(type, number);
    }
    step.constants.push_back(constant);
  }
  return step;
}

static std::vector<Step> takeSteps(MutableArrayRef<Sibling> siblings) {
  std::vector<Step> steps;
  while (true) {
    std::optional<Step> step = takeUnary(siblings);
    if (!step)
      step = takeColumnOp(siblings);
    if (!step)
      return steps;
    steps.push_back(std::move(*step));
  }
}

//===-- What pays ---------------------------------------------------------===//

/// Whether an elementwise op follows, maybe behind views that a contraction
/// writes through: it would join the group of a contraction of its own.
static bool hasEpilogue(Value value) {
  while (Operation *user = getOnlyUser(value)) {
    if (!isa<ReshapeOp, TransposeOp>(user))
      break;
    value = user->getResult(0);
  }
  return !value.use_empty() && llvm::all_of(value.getUsers(), isElementwise);
}

/// Whether all that reads `value` reads through views, so that a slice of a
/// wider tensor costs no copy.
static bool isReadThroughViews(Value value) {
  llvm::SetVector<Operation *> readers;
  readers.insert_range(value.getUsers());
  for (size_t i = 0; i < readers.size(); ++i) {
    Operation *user = readers[i];
    if (isView(user))
      readers.insert_range(user->getUsers());
    else if (!isElementwise(user) &&
             !isa<ConcatOp, AttentionOp, MatmulOp, ContractOp, ReduceOp,
                  SoftmaxOp, LayerNormOp, RmsNormOp>(user))
      return false;
  }
  return true;
}

//===-- Rewriting ---------------------------------------------------------===//

namespace {
struct MergeQkvPass : lathe::graph::impl::MergeQkvPassBase<MergeQkvPass> {
  using Base::Base;

  void runOnOperation() override;
  void visit(SmallVector<Sibling> siblings, ShapeAnalysis &shapes);
};
} // namespace

/// A constant of all parts along `axis`.
static Value buildConstant(GraphBuilder &b, int64_t axis,
                           ArrayRef<ElementsAttr> parts,
                           ArrayRef<Location> locations) {
  Location before = b.loc;
  b.loc = b.getFusedLoc(locations);
  Value result = b.constant(ConcatAttr::get(axis, parts));
  b.loc = before;
  return result;
}

static Value buildStep(GraphBuilder &b, const Step &step, Value value) {
  b.loc = b.getFusedLoc(step.locations);
  Type element = getElementTypeOrSelf(step.op->getResult(0));
  if (!step.constants.empty()) {
    Value constant = buildConstant(b, 0, step.constants, step.locations);
    return isa<AddOp>(step.op) ? b.add(value, constant)
                               : b.mul(value, constant);
  }
  IRMapping mapping;
  mapping.map(step.op->getOperand(0), value);
  Operation *clone = b.clone(*step.op, mapping);
  clone->setLoc(b.loc);
  clone->getResult(0).setType(typeOf(value).clone(element));
  b.analysis.setDims(clone->getResult(0), b.getDims(value));
  return clone->getResult(0);
}

/// The contraction of all siblings and the steps after it.
static Value build(GraphBuilder &b, ArrayRef<Sibling> siblings,
                   ArrayRef<Step> steps) {
  SmallVector<ElementsAttr> weights;
  SmallVector<Location> weightLocations, locations;
  for (Sibling sibling : siblings) {
    weights.push_back(sibling.weight.getValue());
    weightLocations.push_back(sibling.weight.getLoc());
    locations.push_back(sibling.root.getLoc());
  }
  const Sibling &first = siblings.front();
  b.loc = b.getFusedLoc(locations);
  Value weight =
      buildConstant(b, first.isTransposed ? 0 : 1, weights, weightLocations);
  RankedTensorType type = typeOf(weight);
  ConstantOp stored = first.weight;
  weight.setType(RankedTensorType::get(type.getShape(), type.getElementType(),
                                       typeOf(stored).getEncoding()));
  if (first.isTransposed)
    weight = b.transpose(weight, {1, 0});
  ContractOp root = first.root;
  Value value = b.create<ContractOp>(getElementTypeOrSelf(root.getResult()),
                                     root.getInput(), ValueRange(weight),
                                     root.getBranchesAttr());
  for (const Step &step : steps)
    if (value)
      value = buildStep(b, step, value);
  return value;
}

/// Merges `siblings`, in the order of the block, as far as that pays.
void MergeQkvPass::visit(SmallVector<Sibling> siblings, ShapeAnalysis &shapes) {
  SmallVector<Sibling> members = siblings;
  std::vector<Step> steps = takeSteps(members);
  SmallVector<Sibling> rest;
  for (auto [sibling, member] : llvm::zip_equal(siblings, members)) {
    StringRef reason;
    if (hasEpilogue(member.end))
      reason = "an elementwise op follows, which is its epilogue";
    else if (!isReadThroughViews(member.end))
      reason = "its result is needed by itself";
    if (reason.empty()) {
      rest.push_back(sibling);
      continue;
    }
    remarkMissed(getArgument(), sibling.root,
                 "does not merge with its siblings: " + reason);
    ++numRefused;
  }
  if (rest.size() < 2)
    return;
  if (rest.size() < siblings.size())
    return visit(std::move(rest), shapes);
  GraphBuilder b(members.front().root, shapes);
  Value value = build(b, members, steps);
  int64_t start = 0;
  for (Sibling &member : members) {
    b.loc = member.root.getLoc();
    Value slice = b.slice(value, b.getRank(value) - 1, b.size(start),
                          b.size(member.getColumns()));
    if (b.hasFailed())
      return signalPassFailure();
    start += member.getColumns();
    member.end.replaceAllUsesWith(slice);
    ++numMerged;
  }
  remarkPassed(getArgument(), members.front().root,
               "is one contraction with " + Twine(members.size() - 1) +
                   " siblings");
}

void MergeQkvPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal())
    return;
  llvm::MapVector<Value, SmallVector<Sibling>> readers;
  for (ContractOp op : function.getBody().getOps<ContractOp>())
    if (auto sibling = getSibling(op))
      readers[op.getInput()].push_back(*sibling);
  readers.remove_if([](auto &entry) { return entry.second.size() < 2; });
  if (readers.empty())
    return;
  ShapeAnalysis shapes(function);
  if (failed(shapes.run()))
    return signalPassFailure();
  for (auto &[input, siblings] : readers)
    for (SmallVector<Sibling> &members : cluster(siblings))
      visit(std::move(members), shapes);
  eraseDeadOps(function);
}
