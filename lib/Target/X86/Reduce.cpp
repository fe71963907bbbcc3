// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.reduce and tile.scan: across rows, vectors combine lane by lane; along
// the lanes, a row's vectors combine to one and then its halves.

#include "lib/Target/X86/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// Results that are carried through a loop across rows at once.
static constexpr int64_t kCarriedVectors = 8;
/// Independent chains that hide the latency of a combination.
static constexpr int64_t kChains = 4;

Value Emitter::combine(tile::Combine kind, Value x, Value y) {
  bool isFloat = isa<FloatType>(getElementTypeOrSelf(x));
  // Which zero is the largest is left open: two instructions less.
  constexpr auto anyZero = arith::FastMathFlags::nsz;
  switch (kind) {
  case tile::Combine::Add:
    return isFloat ? Value(arith::AddFOp::create(b, x, y))
                   : Value(arith::AddIOp::create(b, x, y));
  case tile::Combine::Mul:
    return isFloat ? Value(arith::MulFOp::create(b, x, y))
                   : Value(arith::MulIOp::create(b, x, y));
  case tile::Combine::Max:
    return isFloat ? Value(arith::MaximumFOp::create(b, x, y, anyZero))
                   : Value(arith::MaxSIOp::create(b, x, y));
  case tile::Combine::Min:
    return isFloat ? Value(arith::MinimumFOp::create(b, x, y, anyZero))
                   : Value(arith::MinSIOp::create(b, x, y));
  case tile::Combine::And:
    return arith::AndIOp::create(b, x, y);
  case tile::Combine::Or:
    return arith::OrIOp::create(b, x, y);
  }
  llvm_unreachable("all kinds are covered");
}

/// The element that changes nothing when combined.
static TypedAttr neutralOf(tile::Combine kind, Type element) {
  if (auto type = dyn_cast<FloatType>(element)) {
    const llvm::fltSemantics &semantics = type.getFloatSemantics();
    switch (kind) {
    case tile::Combine::Max:
      return FloatAttr::get(type, APFloat::getInf(semantics, true));
    case tile::Combine::Min:
      return FloatAttr::get(type, APFloat::getInf(semantics));
    case tile::Combine::Mul:
      return FloatAttr::get(type, APFloat(semantics, 1));
    default:
      // x + -0 is x, also for x = -0.
      return FloatAttr::get(type, APFloat::getZero(semantics, true));
    }
  }
  unsigned width = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
  APInt value(width, 0);
  if (kind == tile::Combine::Max)
    value = APInt::getSignedMinValue(width);
  else if (kind == tile::Combine::Min)
    value = APInt::getSignedMaxValue(width);
  else if (kind == tile::Combine::Mul)
    value = APInt(width, 1);
  else if (kind == tile::Combine::And)
    value = APInt::getAllOnes(width);
  return IntegerAttr::get(element, value);
}

/// 16-bit floats are combined in f32.
Value Emitter::widen(Value vector) {
  if (isa<Float16Type, BFloat16Type>(getElementTypeOrSelf(vector)))
    return convertFloat(vector, b.getF32Type());
  return vector;
}

Value Emitter::narrow(Value vector, Type element) {
  return isa<FloatType>(element) ? convertFloat(vector, element) : vector;
}

Value Emitter::permute(Value vector, ArrayRef<int64_t> lanes) {
  return vector::ShuffleOp::create(b, vector, vector, lanes);
}

/// Every lane becomes the combination of all lanes.
Value Emitter::combineLanes(CombineFn combine, Value vector) {
  for (int64_t half = unit.lanes / 2; half; half /= 2) {
    SmallVector<int64_t> partner;
    for (int64_t lane = 0; lane < unit.lanes; ++lane)
      partner.push_back(lane ^ half);
    vector = combine(vector, permute(vector, partner));
  }
  return vector;
}

/// The vector of `tile` at `position`, with lanes beyond it made neutral.
Value Emitter::neutralVec(tile::Combine kind, Value tile,
                          const Position &position) {
  Value vector = widen(vec(tile, position));
  Value mask = extentMask(tile, position);
  if (!mask)
    return vector;
  Type element = getElementTypeOrSelf(vector);
  return arith::SelectOp::create(
      b, mask, vector, constantVec(element, neutralOf(kind, element)));
}

/// Whether the largest or smallest of floats is looked for, and NaN by tests of
/// two vectors at once beside the chain of comparisons, since an instruction
/// that propagates NaN is missing. Results of tests are masks in registers of
/// their own.
bool Emitter::isExtremeOfFloats(tile::ReduceOp op) const {
  return (op.getKind() == tile::Combine::Max ||
          op.getKind() == tile::Combine::Min) &&
         unit.registers == 32 &&
         isa<FloatType>(op.getInput().getType().getElementType());
}

/// The larger or smaller of two numbers. LLVM finds the instruction for f32 by
/// itself, but not where `x` was widened by integer shifts.
Value Emitter::pick(tile::Combine kind, Value x, Value y) {
  bool isMax = kind == tile::Combine::Max;
  if (x.getType() == VectorType::get({16}, b.getF32Type())) {
    constexpr int32_t currentRounding = 4;
    Value rounding =
        LLVM::ConstantOp::create(b, b.getI32IntegerAttr(currentRounding));
    return callIntrinsic(isMax ? "llvm.x86.avx512.max.ps.512"
                               : "llvm.x86.avx512.min.ps.512",
                         x.getType(), {x, y, rounding});
  }
  auto isBetter = isMax ? arith::CmpFPredicate::OGT : arith::CmpFPredicate::OLT;
  Value better = arith::CmpFOp::create(b, isBetter, x, y);
  return arith::SelectOp::create(b, better, x, y);
}

/// NaN in all lanes.
Value Emitter::nanVec(Value like) {
  auto element = cast<FloatType>(getElementTypeOrSelf(like));
  return constantVec(
      element,
      FloatAttr::get(element, APFloat::getNaN(element.getFloatSemantics())));
}

/// One vector from chains, each lane the combination of all lanes; NaN where
/// `numbers`, if there are any, are not all true.
Value Emitter::finishRow(tile::ReduceOp op, SmallVectorImpl<Value> &chains,
                         ArrayRef<Value> numbers) {
  auto join = [&](Value x, Value y) {
    return numbers.empty() ? combine(op.getKind(), x, y)
                           : pick(op.getKind(), x, y);
  };
  while (chains.size() > 1) {
    Value last = chains.pop_back_val();
    Value &partner = chains[chains.size() / 2];
    partner = join(partner, last);
  }
  Value result = combineLanes(join, chains[0]);
  if (numbers.empty())
    return result;
  Value all = numbers.front();
  for (Value test : numbers.drop_front())
    all = arith::AndIOp::create(b, all, test);
  all = vector::ReductionOp::create(b, vector::CombiningKind::AND, all);
  return arith::SelectOp::create(b, all, result, nanVec(result));
}

/// Combines the vectors of the row at `position` (whose last coordinate is 0).
Value Emitter::reduceRow(tile::ReduceOp op, Position position) {
  Value input = op.getInput();
  int last = position.at.size() - 1;
  int64_t count = llvm::divideCeil(extent(input, last), unit.lanes);
  int64_t width = std::min(count, kChains);
  position.lane = last;
  bool isExtreme = isExtremeOfFloats(op);
  // Chains, then, of extremes, per two of them whether all were numbers.
  auto add = [&](Coord first, int64_t vectors, MutableArrayRef<Value> state) {
    Value before;
    for (int64_t i = 0; i < vectors; ++i) {
      position.at[last] = first + i * unit.lanes;
      Value x = neutralVec(op.getKind(), input, position);
      Value &chain = state[i];
      if (!chain)
        chain = x;
      else
        chain = isExtreme ? pick(op.getKind(), x, chain)
                          : combine(op.getKind(), chain, x);
      bool isPair = i % 2 == 1;
      if (isExtreme && (isPair || i + 1 == vectors)) {
        Value &numbers = state[width + i / 2];
        Value test = arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, x,
                                           isPair ? before : x);
        numbers = numbers ? arith::AndIOp::create(b, numbers, test) : test;
      }
      before = x;
    }
  };
  SmallVector<Value> state(width +
                           (isExtreme ? llvm::divideCeil(width, 2) : 0));
  add({}, width, state);
  int64_t done = width;
  if (count >= 4 * kChains) {
    int64_t whole = count / kChains * kChains;
    auto loop = scf::ForOp::create(b, index(kChains * unit.lanes),
                                   index(whole * unit.lanes),
                                   index(kChains * unit.lanes), state);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    MemoScope scope(*this);
    SmallVector<Value> next(loop.getRegionIterArgs());
    add({loop.getInductionVar(), 0}, kChains, next);
    scf::YieldOp::create(b, next);
    state = loop.getResults();
    done = whole;
  }
  for (; done < count; done += width)
    add({Value(), done * unit.lanes}, std::min(width, count - done), state);
  SmallVector<Value> chains(ArrayRef(state).take_front(width));
  return finishRow(op, chains, ArrayRef(state).drop_front(width));
}

/// The vector that position `result` of a reduction takes from `coord`.
Value Emitter::reducedVec(tile::ReduceOp op, const Position &result,
                          Coord coord) {
  int64_t axis = op.getAxis();
  Position position = result;
  position.at.insert(position.at.begin() + axis, coord);
  if (position.lane >= axis)
    ++position.lane;
  return widen(vec(op.getInput(), position));
}

/// `reduceAcross` for the largest or smallest float.
SmallVector<Value> Emitter::extremesAcross(tile::ReduceOp op,
                                           ArrayRef<Position> positions) {
  tile::Combine kind = op.getKind();
  auto areNumbers = [&](Value x, Value y) -> Value {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, x, y);
  };
  // The best values, then where all were numbers.
  int64_t count = extent(op.getInput(), op.getAxis()), size = positions.size();
  SmallVector<Value> state;
  for (const Position &position : positions)
    state.push_back(reducedVec(op, position, {}));
  for (int64_t i = 0; i < size; ++i)
    state.push_back(areNumbers(state[i], state[i]));
  auto step = [&](Coord coord, bool isPair, MutableArrayRef<Value> values) {
    for (auto [i, position] : llvm::enumerate(positions)) {
      Value x = reducedVec(op, position, coord);
      Value y = isPair ? reducedVec(op, position, coord + 1) : x;
      Value &best = values[i], &numbers = values[size + i];
      numbers = arith::AndIOp::create(b, numbers, areNumbers(x, y));
      best = pick(kind, isPair ? pick(kind, x, y) : x, best);
    }
  };
  constexpr int64_t unroll = 4;
  int64_t done = 1;
  if (count * size > 32) {
    int64_t whole = (count - 1) / unroll * unroll;
    auto loop =
        scf::ForOp::create(b, index(1), index(1 + whole), index(unroll), state);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    MemoScope scope(*this);
    SmallVector<Value> next(loop.getRegionIterArgs());
    for (int64_t i = 0; i < unroll; i += 2)
      step({loop.getInductionVar(), i}, /*isPair=*/true, next);
    scf::YieldOp::create(b, next);
    state = loop.getResults();
    done = 1 + whole;
  }
  for (; done < count; done += 2)
    step({Value(), done}, /*isPair=*/done + 1 < count, state);
  SmallVector<Value> results;
  for (int64_t i = 0; i < size; ++i)
    results.push_back(arith::SelectOp::create(b, state[size + i], state[i],
                                              nanVec(state[i])));
  return results;
}

/// Combines across `axis`, which is not the lanes', at several positions of
/// the result together.
SmallVector<Value> Emitter::reduceAcross(tile::ReduceOp op,
                                         ArrayRef<Position> positions) {
  if (isExtremeOfFloats(op))
    return extremesAcross(op, positions);
  int64_t count = extent(op.getInput(), op.getAxis());
  SmallVector<Value> sums;
  for (const Position &position : positions)
    sums.push_back(reducedVec(op, position, {}));
  auto step = [&](Coord coord, SmallVectorImpl<Value> &values) {
    for (auto [position, value] : llvm::zip_equal(positions, values))
      value = combine(op.getKind(), value, reducedVec(op, position, coord));
  };
  int64_t done = 1, unroll = 4;
  if (count * static_cast<int64_t>(positions.size()) > 32) {
    int64_t whole = (count - 1) / unroll * unroll;
    auto loop =
        scf::ForOp::create(b, index(1), index(1 + whole), index(unroll), sums);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    MemoScope scope(*this);
    SmallVector<Value> next(loop.getRegionIterArgs());
    for (int64_t i = 0; i < unroll; ++i)
      step({loop.getInductionVar(), i}, next);
    scf::YieldOp::create(b, next);
    sums = loop.getResults();
    done = 1 + whole;
  }
  for (int64_t i = done; i < count; ++i)
    step({Value(), i}, sums);
  return sums;
}

LogicalResult Emitter::emitReduce(tile::ReduceOp op) {
  Value result = op.getResult();
  SmallVector<int64_t> shape = shapeOf(result);
  int rank = shape.size();
  Type element = cast<RankedTensorType>(result.getType()).getElementType();
  bool alongLanes = static_cast<int>(op.getAxis()) == rank;
  Storage storage;

  if (alongLanes && rank == 0) {
    Position row;
    row.at.resize(1);
    storage.kind = Storage::Registers;
    storage.registers = {narrow(reduceRow(op, row), element)};
  } else if (!fitsRegisters(result) || feedsMma(result) ||
             (alongLanes && llvm::product_of(shape) > 32)) {
    storage.kind = Storage::Scratch;
    storage.memory = allocate(result);
    forEachInBox(shape, alongLanes ? -1 : rank - 1,
                 [&](const Position &position) {
                   emitReducedAt(op, position, storage.memory);
                 });
  } else if (alongLanes) {
    storage.kind = Storage::Registers;
    storage.registers = reduceRows(op);
  } else {
    SmallVector<Position> positions;
    storage.kind = Storage::Registers;
    auto flush = [&] {
      for (Value sum : reduceAcross(op, positions))
        storage.registers.push_back(narrow(sum, element));
      positions.clear();
    };
    forEachUnrolled(shape, rank - 1, [&](const Position &position) {
      positions.push_back(position);
      if (positions.size() == kCarriedVectors)
        flush();
    });
    if (!positions.empty())
      flush();
  }
  tiles[result] = storage;
  return success();
}

/// Reduces a few rows along their lanes, and gathers the results in vectors.
SmallVector<Value> Emitter::reduceRows(tile::ReduceOp op) {
  SmallVector<int64_t> shape = shapeOf(op.getResult());
  Type element = op.getInput().getType().getElementType();
  int64_t lastSize = shape.back();
  SmallVector<Value> vectors;
  int64_t column = 0;
  forEachUnrolled(shape, -1, [&](const Position &position) {
    Position row = position;
    row.at.push_back({});
    Value value = narrow(reduceRow(op, row), element);
    int64_t lane = column % unit.lanes;
    if (lane == 0)
      vectors.push_back(value);
    else
      vectors.back() = vector::InsertOp::create(
          b, vector::ExtractOp::create(b, value, 0), vectors.back(), lane);
    column = (column + 1) % lastSize;
  });
  return vectors;
}

/// Reduces to one element or vector of a scratch tile.
void Emitter::emitReducedAt(tile::ReduceOp op, const Position &position,
                            Value memory) {
  Type element = op.getInput().getType().getElementType();
  if (position.lane >= 0) {
    Value sum = reduceAcross(op, position)[0];
    writeScratch(op.getResult(), memory, position, narrow(sum, element));
    return;
  }
  Position row = position;
  row.at.push_back({});
  Value sum = narrow(reduceRow(op, row), element);
  writeScratchElement(op.getResult(), memory, position, sum);
}

//===----------------------------------------------------------------------===//
// Scans
//===----------------------------------------------------------------------===//

/// Running combination within a vector; `carry`, null for none, comes first.
Value Emitter::scanLanes(tile::Combine kind, Value vector, Value carry) {
  Type element = getElementTypeOrSelf(vector);
  Value neutral = constantVec(element, neutralOf(kind, element));
  for (int64_t distance = 1; distance < unit.lanes; distance *= 2) {
    SmallVector<int64_t> from;
    for (int64_t lane = 0; lane < unit.lanes; ++lane)
      from.push_back(lane < distance ? unit.lanes + lane : lane - distance);
    Value shifted = vector::ShuffleOp::create(b, vector, neutral, from);
    vector = combine(kind, shifted, vector);
  }
  return carry ? combine(kind, carry, vector) : vector;
}

LogicalResult Emitter::emitScan(tile::ScanOp op) {
  Value input = op.getInput();
  SmallVector<int64_t> shape = shapeOf(input);
  Type element = op.getResult().getType().getElementType();
  int axis = op.getAxis(), last = shape.size() - 1;
  Value memory = allocate(op.getResult());
  // One walk per line of the axis; a line has one vector of lanes, or is cut
  // into vectors itself.
  bool alongLanes = axis == last;
  int64_t step = alongLanes ? unit.lanes : 1;
  SmallVector<int64_t> lines(shape);
  lines[axis] = 1;
  forEachInBox(lines, alongLanes ? -1 : last, [&](const Position &line) {
    Position position = line;
    position.lane = last;
    Value neutral = constantVec(
        isa<Float16Type, BFloat16Type>(element) ? b.getF32Type() : element,
        Attribute());
    neutral =
        constantVec(getElementTypeOrSelf(neutral),
                    neutralOf(op.getKind(), getElementTypeOrSelf(neutral)));
    auto loop = scf::ForOp::create(b, index(0), index(shape[axis]), index(step),
                                   neutral);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    MemoScope scope(*this);
    position.at[axis] = {loop.getInductionVar(), 0};
    Value carry = loop.getRegionIterArg(0);
    Value vector = widen(vec(input, position));
    Value sum = alongLanes ? scanLanes(op.getKind(), vector, carry)
                           : combine(op.getKind(), carry, vector);
    writeScratch(op.getResult(), memory, position, narrow(sum, element));
    Value next = alongLanes
                     ? splat(vector::ExtractOp::create(b, sum, unit.lanes - 1))
                     : sum;
    scf::YieldOp::create(b, next);
  });
  Storage storage;
  storage.kind = Storage::Scratch;
  storage.memory = memory;
  tiles[op.getResult()] = storage;
  return success();
}
