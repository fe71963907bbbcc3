// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/Bounds.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

std::optional<int64_t> x86::constantOf(OpFoldResult value) {
  return getConstantIntValue(value);
}

bool x86::isAvailableBefore(Value value, Region *region) {
  if (!region->isAncestor(value.getParentRegion()))
    return true;
  Operation *op = value.getDefiningOp();
  if (!op) // The kernel's arguments are there before its body.
    return isa<tile::KernelOp>(region->getParentOp()) &&
           value.getParentRegion() == region;
  return isPure(op) && op->getNumRegions() == 0 &&
         !isa<RankedTensorType>(value.getType()) &&
         llvm::all_of(op->getOperands(), [&](Value operand) {
           return isAvailableBefore(operand, region);
         });
}

//===----------------------------------------------------------------------===//
// What is known of an index
//===----------------------------------------------------------------------===//

/// The loop whose induction variable `value` is.
static scf::ForOp loopOf(Value value) {
  auto arg = dyn_cast<BlockArgument>(value);
  auto loop =
      arg ? dyn_cast<scf::ForOp>(arg.getOwner()->getParentOp()) : scf::ForOp();
  return loop && loop.getInductionVar() == value ? loop : scf::ForOp();
}

/// The operands of `value` when an op of type `OpT` makes it.
template <typename OpT>
static std::optional<std::pair<Value, Value>> matchBinary(Value value) {
  auto op = value.getDefiningOp<OpT>();
  if (!op)
    return std::nullopt;
  return std::make_pair(op.getLhs(), op.getRhs());
}

/// Sizes, strides and program ids are never negative.
static bool isNonNegative(Value value) {
  if (std::optional<int64_t> constant = constantOf(value))
    return *constant >= 0;
  if (scf::ForOp loop = loopOf(value))
    return isNonNegative(loop.getLowerBound());
  if (auto arg = dyn_cast<BlockArgument>(value))
    return isa<tile::KernelOp>(arg.getOwner()->getParentOp());
  Operation *op = value.getDefiningOp();
  if (isa<tile::ProgramIdOp>(op))
    return true;
  if (isa<arith::MaxSIOp>(op))
    return llvm::any_of(op->getOperands(), isNonNegative);
  return isa<arith::AddIOp, arith::MulIOp, arith::DivUIOp, arith::DivSIOp,
             arith::CeilDivSIOp, arith::CeilDivUIOp, arith::FloorDivSIOp,
             arith::RemUIOp, arith::RemSIOp, arith::MinSIOp>(op) &&
         llvm::all_of(op->getOperands(), isNonNegative);
}

/// The least and the greatest value, if both are constants.
static std::optional<std::pair<int64_t, int64_t>> rangeOf(Value value) {
  if (std::optional<int64_t> constant = constantOf(value))
    return std::make_pair(*constant, *constant);
  if (scf::ForOp loop = loopOf(value)) {
    auto lower = constantOf(loop.getLowerBound());
    auto upper = constantOf(loop.getUpperBound());
    auto step = constantOf(loop.getStep());
    if (!lower || !upper || !step || *upper <= *lower || *step <= 0)
      return std::nullopt;
    return std::make_pair(*lower,
                          *lower + (*upper - 1 - *lower) / *step * *step);
  }
  if (auto sum = matchBinary<arith::AddIOp>(value)) {
    auto a = rangeOf(sum->first), b = rangeOf(sum->second);
    if (a && b)
      return std::make_pair(a->first + b->first, a->second + b->second);
  }
  if (auto product = matchBinary<arith::MulIOp>(value)) {
    auto a = rangeOf(product->first), b = rangeOf(product->second);
    if (a && b && a->first >= 0 && b->first >= 0)
      return std::make_pair(a->first * b->first, a->second * b->second);
  }
  auto quotient = matchBinary<arith::DivUIOp>(value);
  if (!quotient)
    quotient = matchBinary<arith::FloorDivSIOp>(value);
  if (quotient) {
    auto a = rangeOf(quotient->first), b = rangeOf(quotient->second);
    if (a && b && a->first >= 0 && b->first == b->second && b->first > 0)
      return std::make_pair(a->first / b->first, a->second / b->first);
  }
  return std::nullopt;
}

/// Whether `value` is a position that its program owns: a program id, or a
/// part of one, and nothing added to it.
static bool isOwnPosition(Value value) {
  if (value.getDefiningOp<tile::ProgramIdOp>())
    return true;
  Operation *op = value.getDefiningOp();
  if (op && isa<arith::DivUIOp, arith::DivSIOp, arith::FloorDivSIOp,
                arith::RemUIOp, arith::RemSIOp>(op))
    return isOwnPosition(op->getOperand(0));
  return false;
}

/// Whether tiles of `extent` from `value` on end where `size` ends: `value` is
/// a program's own position times a divisor of `size`, plus something that
/// stays inside of one such step. Launches start no program beyond a view.
static bool splitsEvenly(Value value, int64_t extent, int64_t size) {
  if (auto sum = matchBinary<arith::AddIOp>(value)) {
    for (auto [outer, inner] :
         {*sum, std::make_pair(sum->second, sum->first)}) {
      auto range = rangeOf(inner);
      if (range && range->first >= 0 &&
          splitsEvenly(outer, range->second + extent, size))
        return true;
    }
    return false;
  }
  int64_t unit = 1;
  if (auto product = matchBinary<arith::MulIOp>(value)) {
    auto scale = constantOf(product->second);
    value = product->first;
    if (!scale) {
      scale = constantOf(product->first);
      value = product->second;
    }
    unit = scale.value_or(0);
  }
  return unit > 0 && extent <= unit && size % unit == 0 && isOwnPosition(value);
}

/// Whether `value` is at most `size + offset`.
static bool isAtMost(Value value, OpFoldResult size, int64_t offset) {
  auto limit = constantOf(size), known = constantOf(value);
  if (limit && known)
    return *known <= *limit + offset;
  if (auto least = matchBinary<arith::MinSIOp>(value))
    return isAtMost(least->first, size, offset) ||
           isAtMost(least->second, size, offset);
  if (auto sum = matchBinary<arith::AddIOp>(value))
    if (auto added = constantOf(sum->second))
      return isAtMost(sum->first, size, offset - *added);
  return offset >= 0 && size == OpFoldResult(value);
}

/// Whether `index` and the `extent - 1` positions after it are inside.
static bool isInside(Value index, int64_t extent, OpFoldResult size) {
  if (std::optional<int64_t> limit = constantOf(size)) {
    if (auto range = rangeOf(index))
      return range->first >= 0 && range->second + extent <= *limit;
    if (splitsEvenly(index, extent, *limit))
      return true;
  }
  if (extent != 1)
    return false;
  if (scf::ForOp loop = loopOf(index))
    return isNonNegative(index) && isAtMost(loop.getUpperBound(), size, 0);
  if (index.getDefiningOp<arith::MinSIOp>())
    return isNonNegative(index) && isAtMost(index, size, -1);
  return isOwnPosition(index);
}

//===----------------------------------------------------------------------===//
// Bounds
//===----------------------------------------------------------------------===//

/// Writes `index` as `variable * scale + rest`; false if it is something else.
static bool splitIndex(BoundTest &test, Region *kernel) {
  if (isAvailableBefore(test.index, kernel))
    return true;
  SmallVector<Value> terms = {test.index};
  for (unsigned i = 0; i < terms.size();) {
    if (auto sum = matchBinary<arith::AddIOp>(terms[i])) {
      terms[i] = sum->first;
      terms.push_back(sum->second);
      continue;
    }
    ++i;
  }
  auto asVariable = [](Value term) -> std::pair<scf::ForOp, int64_t> {
    if (scf::ForOp loop = loopOf(term))
      return {loop, 1};
    auto product = matchBinary<arith::MulIOp>(term);
    if (!product)
      return {};
    for (auto [a, b] :
         {*product, std::make_pair(product->second, product->first)})
      if (auto scale = constantOf(b); scale && *scale > 0 && loopOf(a))
        return {loopOf(a), *scale};
    return {};
  };
  for (auto [i, term] : llvm::enumerate(terms)) {
    auto [loop, scale] = asVariable(term);
    if (!loop || terms.size() > 2)
      continue;
    Value rest = terms.size() == 2 ? terms[1 - i] : Value();
    if (rest && !isAvailableBefore(rest, &loop.getRegion()))
      continue;
    test.loop = loop;
    test.scale = scale;
    test.rest = rest;
    return true;
  }
  return false;
}

Bounds::Bounds(tile::KernelOp kernel, const DimClasses &classes) {
  kernel.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (auto load = dyn_cast<tile::LoadOp>(op))
      visit(op, load.getResult(), load.getView(), load.getIndices(),
            load.getDims(), load.getInBounds(),
            load.getGather() ? *load.getGatherDim() : -1);
    if (auto store = dyn_cast<tile::StoreOp>(op))
      visit(op, store.getTile(), store.getView(), store.getIndices(),
            store.getDims(), store.getInBounds(), -1);
  });
  findRowEdge(kernel, classes);
}

void Bounds::visit(Operation *op, Value tile, Value view, ValueRange indices,
                   ArrayRef<int64_t> dims, ArrayRef<int64_t> inBounds,
                   int64_t gatherDim) {
  auto viewOp = view.getDefiningOp<tile::ViewOp>();
  auto tileType = cast<RankedTensorType>(tile.getType());
  Region *kernel = &op->getParentOfType<tile::KernelOp>().getBody();
  for (auto [dim, index] : llvm::enumerate(indices)) {
    Bound bound = {op, dim};
    const int64_t *found = llvm::find(dims, static_cast<int64_t>(dim));
    int64_t tileDim = found == dims.end() ? -1 : found - dims.begin();
    int64_t extent = tileDim < 0 ? 1 : tileType.getDimSize(tileDim);
    if (tileDim >= 0 && tileDim == gatherDim) {
      if (llvm::is_contained(inBounds, tileDim))
        proven.insert(bound);
      else
        negative.insert(bound);
      continue;
    }
    OpFoldResult size = viewOp.getMixedSizes()[dim];
    if ((tileDim >= 0 && llvm::is_contained(inBounds, tileDim)) ||
        isInside(index, extent, size)) {
      proven.insert(bound);
      continue;
    }
    bool isKnown = constantOf(index) && constantOf(size);
    if (isKnown && !isNonNegative(index))
      negative.insert(bound);
    if (isKnown)
      continue; // Outside, which a copy of the body without masks never is.
    BoundTest test;
    test.bound = bound;
    test.index = index;
    test.extent = extent;
    test.size = size;
    test.mayBeNegative = !isNonNegative(index);
    if (test.mayBeNegative)
      negative.insert(bound);
    Value sizeValue = dyn_cast<Value>(size);
    if ((!sizeValue || isAvailableBefore(sizeValue, kernel)) &&
        splitIndex(test, kernel))
      tests.push_back(test);
  }
}

/// Rows may be cut when every store leaves out the same ones: each names the
/// class, from the same index on, in a view of the same size there.
/// Where nothing is multiplied, masks cost less than more copies of the body.
void Bounds::findRowEdge(tile::KernelOp kernel, const DimClasses &classes) {
  bool multiplies =
      kernel.walk([](tile::MmaOp) { return WalkResult::interrupt(); })
          .wasInterrupted();
  if (!multiplies)
    return;
  SmallVector<tile::StoreOp> stores;
  kernel.walk([&](tile::StoreOp store) { stores.push_back(store); });
  for (const BoundTest &test : tests) {
    auto store = dyn_cast<tile::StoreOp>(test.bound.first);
    if (!store || test.loop || test.mayBeNegative || test.extent == 1)
      continue;
    int64_t tileDim = llvm::find(store.getDims(), test.bound.second) -
                      store.getDims().begin();
    if (tileDim + 1 == static_cast<int64_t>(store.getDims().size()))
      continue; // Lanes are masked.
    unsigned cls = classes.classOf(store.getTile(), tileDim);
    if (!classes.isCuttable(cls))
      continue;
    bool agree = llvm::all_of(stores, [&](tile::StoreOp other) {
      return llvm::any_of(tests, [&](const BoundTest &its) {
        if (its.bound.first != other || its.index != test.index ||
            its.size != test.size)
          return false;
        const int64_t *found = llvm::find(other.getDims(), its.bound.second);
        return found != other.getDims().end() &&
               classes.classOf(other.getTile(),
                               found - other.getDims().begin()) == cls;
      });
    });
    if (agree) {
      edge = RowEdge{cls, test.index, test.size, test.extent};
      return;
    }
  }
}
