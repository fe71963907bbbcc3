// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/AttentionMask.h"
#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/Views.h"
#include "llvm/ADT/MapVector.h"
#include <cmath>

using namespace mlir;
using namespace lathe::graph;

AffineExpr MaskCollector::getQueries() const {
  return *(shapes.getDims(scores).end() - 2);
}

AffineExpr MaskCollector::getKeys() const {
  return shapes.getDims(scores).back();
}

/// Attention broadcasts its mask itself.
static Value stripBroadcast(Value value) {
  while (auto broadcast = value.getDefiningOp<BroadcastOp>())
    value = broadcast.getInput();
  return value;
}

/// Below this, a logit counts as hidden for a rule about positions: e^-1e4 is
/// zero beside any visible key.
static constexpr double kHidden = -1e4;

/// Sums and conjunctions of more parts are one term.
static constexpr unsigned kMaxSplits = 64;

void MaskCollector::addTerm(Value value, Kind kind, double fill) {
  value = stripBroadcast(value);
  if (kind == Kind::Additive && numSplits++ < kMaxSplits) {
    // What an exporter spells as select(visible, 0, -huge), or as a sum.
    if (auto add = value.getDefiningOp<AddOp>()) {
      addAdditive(add.getLhs());
      return addAdditive(add.getRhs());
    }
    if (auto select = value.getDefiningOp<SelectOp>()) {
      auto shown = getUniformNumber(stripBroadcast(select.getLhs()));
      auto hidden = getUniformNumber(stripBroadcast(select.getRhs()));
      if (shown == 0.0 && hidden && *hidden < 0)
        return addCondition(select.getCondition(), *hidden, false);
      if (hidden == 0.0 && shown && *shown < 0)
        return addCondition(select.getCondition(), *shown, true);
    }
    if (addConstantTerm(value))
      return;
  }
  terms.push_back({value, kind, fill, 0});
}

static bool holds(Compare kind, double lhs, double rhs) {
  switch (kind) {
  case Compare::eq:
    return lhs == rhs;
  case Compare::ne:
    return lhs != rhs;
  case Compare::lt:
    return lhs < rhs;
  case Compare::le:
    return lhs <= rhs;
  case Compare::gt:
    return lhs > rhs;
  case Compare::ge:
    return lhs >= rhs;
  }
  llvm_unreachable("all kinds are listed");
}

/// Where `value` compares one of two numbers, which a condition selects, with a
/// third: that condition, and whether it holds where `value` does. So a
/// triangle of ones is read by PyTorch's exporter.
static std::optional<std::pair<Value, bool>> getSelecting(Value value) {
  auto compare = value.getDefiningOp<CompareOp>();
  auto select = compare
                    ? stripBroadcast(compare.getLhs()).getDefiningOp<SelectOp>()
                    : SelectOp();
  if (!select)
    return std::nullopt;
  auto first = getUniformNumber(stripBroadcast(select.getLhs()));
  auto second = getUniformNumber(stripBroadcast(select.getRhs()));
  auto bound = getUniformNumber(stripBroadcast(compare.getRhs()));
  if (!first || !second || !bound)
    return std::nullopt;
  bool isFirst = holds(compare.getKind(), *first, *bound);
  if (isFirst == holds(compare.getKind(), *second, *bound))
    return std::nullopt;
  return std::pair(select.getCondition(), isFirst);
}

/// Splits a condition that is visible if all of its parts are.
void MaskCollector::collectConditions(Value value, bool negate,
                                      SmallVectorImpl<Condition> &conditions) {
  value = stripBroadcast(value);
  if (auto inner = value.getDefiningOp<NotOp>())
    return collectConditions(inner.getInput(), !negate, conditions);
  if (auto selecting = getSelecting(value))
    return collectConditions(selecting->first, negate == selecting->second,
                             conditions);
  Operation *op = value.getDefiningOp();
  if (op && (negate ? isa<OrOp>(op) : isa<AndOp>(op)) &&
      numSplits++ < kMaxSplits) {
    collectConditions(op->getOperand(0), negate, conditions);
    return collectConditions(op->getOperand(1), negate, conditions);
  }
  if (getSplatNumber(value) != (negate ? 0.0 : 1.0))
    conditions.push_back({value, negate});
}

void MaskCollector::addCondition(Value value, double fill, bool negate) {
  SmallVector<Condition> conditions;
  collectConditions(value, negate, conditions);
  llvm::erase_if(conditions, [&](const Condition &condition) {
    return hidesNothing(condition);
  });
  auto savedLeft = left, savedRight = right;
  SmallVector<Condition> rest;
  if (fill <= kHidden)
    llvm::copy_if(conditions, std::back_inserter(rest),
                  [&](const Condition &condition) {
                    return !addWindow(condition.value, condition.negate);
                  });
  else
    rest = conditions;
  // A finite fill leaves a row that sees nothing with equal weights for *all*
  // keys. A window alone always shows a query its own key; beside another
  // condition it may not, and then has to be part of the same sum.
  if (!std::isinf(fill) && !rest.empty()) {
    left = savedLeft;
    right = savedRight;
    rest = conditions;
  }
  // What is left may be a constant, whose blocks hide nothing that it shows.
  if (std::isinf(fill) || rest.size() == 1)
    llvm::erase_if(rest, [&](const Condition &condition) {
      return addConstantCondition(condition.value, fill, condition.negate);
    });
  unsigned group = numGroups++;
  for (const Condition &condition : rest)
    terms.push_back({stripBroadcast(condition.value),
                     condition.negate ? Kind::Hidden : Kind::Visible, fill,
                     group});
}

//===-- Rules about positions ---------------------------------------------===//

/// The strides of a view over (.., queries, keys), if only those two move it.
static std::optional<std::pair<int64_t, int64_t>>
getMoves(const StridedView &view) {
  int64_t moves[2] = {0, 0};
  size_t rank = view.dims.size();
  for (size_t i = 0; i < rank; ++i) {
    auto stride = dyn_cast<AffineConstantExpr>(view.strides[i]);
    auto size = dyn_cast<AffineConstantExpr>(view.dims[i]);
    bool still =
        (stride && stride.getValue() == 0) || (size && size.getValue() == 1);
    if (still)
      continue;
    if (!stride || i + 2 < rank)
      return std::nullopt;
    moves[i + 2 - rank] = stride.getValue();
  }
  return std::pair(moves[0], moves[1]);
}

std::optional<MaskCollector::Position>
MaskCollector::getPositionOfView(Value leaf, Value value) {
  auto dimsOf = [&](Value v) { return shapes.getDims(v); };
  Access access = {ViewStep::getBroadcast(dimsOf(scores))};
  if (traceViews(value, access, dimsOf) != leaf)
    return std::nullopt;
  auto view = applyAccess(
      StridedView::getContiguous(value.getContext(), dimsOf(leaf)), access);
  auto moves = view ? getMoves(*view) : std::nullopt;
  if (!moves)
    return std::nullopt;
  return Position{moves->first, moves->second, view->offset};
}

/// Whether every position of a sequence that fits in memory has a number of its
/// own in this type.
static bool holdsPositions(Type type) {
  if (isa<FloatType>(type))
    return type.isF32() || type.isF64();
  return type.getIntOrFloatBitWidth() >= 32;
}

std::optional<MaskCollector::Position> MaskCollector::getPosition(Value value) {
  std::optional<Dims> contents = shapes.getContents(value);
  if (contents && contents->size() == 1)
    return Position{0, 0, contents->front()};
  Access none;
  Value leaf =
      traceViews(value, none, [&](Value v) { return shapes.getDims(v); });
  Operation *op = leaf.getDefiningOp();
  if (auto iota = dyn_cast_or_null<IotaOp>(op)) {
    auto position = getPositionOfView(leaf, value);
    if (position)
      position->constant =
          position->constant + static_cast<int64_t>(iota.getStart());
    return position;
  }
  if (leaf != value || !op)
    return std::nullopt;
  if (auto cast = dyn_cast<CastOp>(op))
    return holdsPositions(getElementTypeOrSelf(value))
               ? getPosition(cast.getInput())
               : std::nullopt;
  if (!isa<AddOp, SubOp>(op))
    return std::nullopt;
  auto lhs = getPosition(op->getOperand(0));
  auto rhs = getPosition(op->getOperand(1));
  if (!lhs || !rhs)
    return std::nullopt;
  int64_t sign = isa<AddOp>(op) ? 1 : -1;
  return Position{lhs->query + sign * rhs->query, lhs->key + sign * rhs->key,
                  lhs->constant + rhs->constant * sign};
}

/// The comparison that holds where `kind` does not.
static Compare getInverse(Compare kind) {
  switch (kind) {
  case Compare::eq:
    return Compare::ne;
  case Compare::ne:
    return Compare::eq;
  case Compare::lt:
    return Compare::ge;
  case Compare::le:
    return Compare::gt;
  case Compare::gt:
    return Compare::le;
  case Compare::ge:
    return Compare::lt;
  }
  llvm_unreachable("all kinds are listed");
}

/// No place is negative: `place >= 0` hides nothing.
bool MaskCollector::hidesNothing(Condition condition) {
  auto compare = condition.value.getDefiningOp<CompareOp>();
  if (!compare ||
      compare.getKind() != (condition.negate ? Compare::lt : Compare::ge))
    return false;
  auto lhs = getPosition(compare.getLhs()), rhs = getPosition(compare.getRhs());
  return lhs && rhs && lhs->query >= rhs->query && lhs->key >= rhs->key &&
         isSizeAtLeast(lhs->constant - rhs->constant, 0);
}

/// A comparison of the query's and the key's place bounds their distance.
bool MaskCollector::addBound(CompareOp compare, bool negate) {
  auto lhs = getPosition(compare.getLhs()), rhs = getPosition(compare.getRhs());
  if (!lhs || !rhs)
    return false;
  Compare kind = negate ? getInverse(compare.getKind()) : compare.getKind();
  int64_t query = lhs->query - rhs->query, key = lhs->key - rhs->key;
  AffineExpr constant = lhs->constant - rhs->constant;
  if (query * key != -1)
    return false;
  // To `key - query + constant (kind) 0`.
  if (key == -1) {
    constant = -constant;
    kind = kind == Compare::lt   ? Compare::gt
           : kind == Compare::le ? Compare::ge
           : kind == Compare::gt ? Compare::lt
           : kind == Compare::ge ? Compare::le
                                 : kind;
  }
  if (kind == Compare::eq || kind == Compare::ne)
    return false;
  bool isUpper = kind == Compare::lt || kind == Compare::le;
  int64_t strict = kind == Compare::lt || kind == Compare::gt ? 1 : 0;
  // A query stands at key `query + keys - queries`; its distance to `key` is at
  // most -constant - (keys - queries), or at least that.
  AffineExpr bound = canonicalizeSize(-constant - (getKeys() - getQueries()));
  auto known = dyn_cast<AffineConstantExpr>(bound);
  if (!known)
    return false;
  int64_t reach =
      isUpper ? known.getValue() - strict : -(known.getValue() + strict);
  if (reach < 0)
    return false;
  std::optional<int64_t> &side = isUpper ? right : left;
  side = side ? std::min(*side, reach) : reach;
  return true;
}

bool MaskCollector::addConstantTriangle(
    Value value, function_ref<std::optional<bool>(double)> isVisible) {
  Access none;
  auto dimsOf = [&](Value v) { return shapes.getDims(v); };
  Value leaf = traceViews(value, none, dimsOf);
  auto constant = leaf.getDefiningOp<ConstantOp>();
  auto position = constant ? getPositionOfView(leaf, value) : std::nullopt;
  if (!position)
    return false;
  ArrayRef<int64_t> shape = constant.getValue().getShapedType().getShape();
  if (shape.size() < 2 ||
      llvm::any_of(shape.drop_back(2), [](int64_t size) { return size != 1; }))
    return false;
  int64_t columns = shape.back();
  if (position->query != columns || position->key != 1)
    return false;
  auto values = getNumbers(constant.getValue(), /*limit=*/1 << 26);
  if (!values)
    return false;
  for (auto [i, number] : llvm::enumerate(*values)) {
    int64_t row = i / columns, column = i % columns;
    if (isVisible(number) != std::optional(column <= row))
      return false;
  }
  // Read from row `shift` on, query q sees the keys up to q + shift.
  AffineExpr shift = divideExactly(
      position->constant, getAffineConstantExpr(columns, leaf.getContext()));
  if (!shift || !isSameSize(shift, getKeys() - getQueries()))
    return false;
  right = 0;
  return true;
}

bool MaskCollector::addWindow(Value condition, bool negate) {
  if (auto compare = condition.getDefiningOp<CompareOp>())
    if (addBound(compare, negate))
      return true;
  return addConstantTriangle(
      condition, [&](double value) { return (value != 0.0) != negate; });
}

//===-- Constants ---------------------------------------------------------===//

/// Most elements of a constant that are looked at.
static constexpr int64_t kMaxElements = int64_t(1) << 28;
/// Shorter rows of scores are not worth a list of blocks.
static constexpr int64_t kMinKeys = 128;

struct MaskCollector::ConstantMask {
  MaskShape shape;
  std::function<double(int64_t)> read;
  int64_t offset, head, query, key;
  double at(int64_t h, int64_t q, int64_t k) const {
    return read(offset + h * head + q * query + k * key);
  }
};

/// Reads elements of i1 or f32 by position; null for others.
static std::function<double(int64_t)> getReader(ElementsAttr value) {
  Type element = value.getElementType();
  if (auto bytes = getRawBytes(value)) {
    if (element.isInteger(1))
      return [=](int64_t i) { return (*bytes)[i] != 0 ? 1.0 : 0.0; };
    if (element.isF32())
      return [=](int64_t i) {
        float number;
        std::memcpy(&number, bytes->data() + i * sizeof(float), sizeof(float));
        return static_cast<double>(number);
      };
    return nullptr;
  }
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense || !element.isInteger(1))
    return nullptr;
  return [values = dense.getValues<bool>()](int64_t i) {
    return values[i] ? 1.0 : 0.0;
  };
}

/// `value` as a constant over known heads, queries and keys.
std::optional<MaskCollector::ConstantMask>
MaskCollector::getConstantMask(Value value) {
  auto dimsOf = [&](Value v) { return shapes.getDims(v); };
  ArrayRef<AffineExpr> all = dimsOf(scores);
  if (all.size() != 4)
    return std::nullopt;
  Access access = {ViewStep::getBroadcast(all)};
  Value leaf = traceViews(value, access, dimsOf);
  auto constant = leaf.getDefiningOp<ConstantOp>();
  if (!constant)
    return std::nullopt;
  auto view = applyAccess(
      StridedView::getContiguous(value.getContext(), dimsOf(leaf)), access);
  if (!view)
    return std::nullopt;
  int64_t sizes[4], strides[4];
  for (unsigned i = 0; i < 4; ++i) {
    auto size = dyn_cast<AffineConstantExpr>(all[i]);
    auto stride = dyn_cast<AffineConstantExpr>(view->strides[i]);
    if (!stride)
      return std::nullopt;
    strides[i] = stride.getValue();
    if (!size && (i > 1 || strides[i] != 0))
      return std::nullopt;
    // Heads that share the mask count as one.
    sizes[i] = i < 2 && strides[i] == 0 ? 1 : size.getValue();
  }
  auto offset = dyn_cast<AffineConstantExpr>(view->offset);
  if (!offset || sizes[0] != 1 || sizes[1] * sizes[2] == 0 ||
      sizes[3] < kMinKeys || sizes[1] * sizes[2] * sizes[3] > kMaxElements)
    return std::nullopt;
  ConstantMask mask = {{sizes[1], sizes[2], sizes[3]},
                       getReader(constant.getValue()),
                       offset.getValue(),
                       strides[1],
                       strides[2],
                       strides[3]};
  return mask.read ? std::optional(std::move(mask)) : std::nullopt;
}

bool MaskCollector::addBlocks(const ConstantMask &mask, double fill,
                              function_ref<bool(double)> visible) {
  if (blocks)
    return false;
  auto isVisible = [&](int64_t head, int64_t query, int64_t key) {
    return visible(mask.at(head, query, key));
  };
  // With a finite fill, a row that sees nothing gives all keys equal weights.
  const MaskShape &shape = mask.shape;
  if (!std::isinf(fill))
    for (int64_t head = 0; head < shape.heads; ++head)
      for (int64_t query = 0; query < shape.queries; ++query)
        if (llvm::none_of(llvm::seq<int64_t>(0, shape.keys), [&](int64_t key) {
              return isVisible(head, query, key);
            }))
          return false;
  MaskBlocks found = findMaskBlocks(scores.getContext(), shape, isVisible);
  if (!found.list)
    return false;
  blocks = found.list;
  if (blocks.getRight() >= 0)
    right = right ? std::min(*right, blocks.getRight()) : blocks.getRight();
  return found.isExact;
}

bool MaskCollector::addConstantCondition(Value condition, double fill,
                                         bool negate) {
  std::optional<ConstantMask> mask;
  if (fill > kHidden || !(mask = getConstantMask(condition)))
    return false;
  return addBlocks(*mask, fill,
                   [&](double value) { return (value != 0.0) != negate; });
}

/// An additive constant of zeros and of numbers that hide.
bool MaskCollector::addConstantTerm(Value term) {
  bool isTriangle =
      addConstantTriangle(term, [](double value) -> std::optional<bool> {
        if (value != 0.0 && !(value <= kHidden))
          return std::nullopt;
        return value == 0.0;
      });
  if (isTriangle)
    return true;
  auto mask = getConstantMask(term);
  if (!mask || !isa<FloatType>(getElementTypeOrSelf(term)))
    return false;
  double fill = -std::numeric_limits<double>::infinity();
  const MaskShape &shape = mask->shape;
  for (int64_t head = 0; head < shape.heads; ++head)
    for (int64_t query = 0; query < shape.queries; ++query)
      for (int64_t key = 0; key < shape.keys; ++key) {
        double value = mask->at(head, query, key);
        if (!(value == 0.0 || value <= kHidden))
          return false;
        if (value != 0.0)
          fill = std::max(fill, value);
      }
  return addBlocks(*mask, fill, [](double value) { return value == 0.0; });
}

Attribute MaskCollector::getSelection() const {
  MLIRContext *context = scores.getContext();
  if (blocks)
    return BlockListAttr::get(context, blocks.getBlock(), blocks.getHeads(),
                              blocks.getRows(), blocks.getRowOffsets(),
                              blocks.getColumns(), left.value_or(-1),
                              right.value_or(-1));
  if (!left && !right)
    return DenseSelectionAttr::get(context);
  return WindowAttr::get(context, left.value_or(-1), right.value_or(-1));
}

//===-- Building ----------------------------------------------------------===//

static RankedTensorType withElement(Type type, Type elementType) {
  return RankedTensorType::get(cast<RankedTensorType>(type).getShape(),
                               elementType);
}

/// What was added before or after a cast of the logits, as they are now.
static Value castTo(OpBuilder &builder, Location loc, Value value, Type type) {
  if (getElementTypeOrSelf(value) == type)
    return value;
  return CastOp::create(builder, loc, withElement(value.getType(), type),
                        value);
}

Value MaskCollector::build(OpBuilder &builder, Location loc, Type elementType) {
  Value visible, additive;
  auto add = [&](Value term) {
    additive = additive ? AddOp::create(builder, loc, additive, term) : term;
  };
  auto makeScalar = [&](double value) -> Value {
    auto type = RankedTensorType::get({}, elementType);
    return ConstantOp::create(
        builder, loc,
        DenseElementsAttr::get(
            type, builder.getFloatAttr(elementType, value).getValue()));
  };
  auto conjoin = [&](Value all, const Term &term) -> Value {
    Value shown = term.value;
    if (term.kind == Kind::Hidden)
      shown = NotOp::create(builder, loc, shown);
    return all ? AndOp::create(builder, loc, all, shown) : shown;
  };
  llvm::MapVector<unsigned, SmallVector<Term, 2>> groups;
  for (const Term &term : terms) {
    if (term.kind == Kind::Additive)
      add(castTo(builder, loc, term.value, elementType));
    else if (std::isinf(term.fill))
      visible = conjoin(visible, term);
    else
      groups[term.group].push_back(term);
  }
  for (auto &[group, conditions] : groups) {
    Value zero = makeScalar(0.0), fill = makeScalar(conditions.front().fill);
    bool hides =
        conditions.size() == 1 && conditions.front().kind == Kind::Hidden;
    Value condition = hides ? conditions.front().value : Value();
    if (!hides)
      for (const Term &term : conditions)
        condition = conjoin(condition, term);
    add(SelectOp::create(builder, loc,
                         withElement(condition.getType(), elementType),
                         condition, hides ? fill : zero, hides ? zero : fill));
  }
  if (!visible || !additive)
    return visible ? visible : additive;
  // Both: a hidden key adds minus infinity.
  Value hidden = makeScalar(-std::numeric_limits<double>::infinity());
  auto type = broadcastType(additive.getType(), visible.getType());
  return SelectOp::create(builder, loc, type, visible, additive, hidden);
}
