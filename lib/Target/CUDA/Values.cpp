// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The registers of a tile in a layout: moved from where it is anchored, or
// computed from those of what it depends on.

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/Float8.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

void Emitter::anchor(Value tile, LinearLayout layout, Registers registers) {
  anchors[tile] = {std::move(layout), std::move(registers), std::nullopt};
}

void Emitter::anchorRead(Value tile, const Home &home,
                         const LinearLayout &layout) {
  anchorHome(tile, home);
  bool writes = pendingWrites;
  pendingWrites = false;
  Registers registers = compute(tile, layout);
  pendingWrites = writes;
  anchor(tile, layout, registers);
}

Registers Emitter::get(Value tile, const LinearLayout &layout) {
  SmallVector<int64_t> source;
  LinearLayout compact = layout.withoutRepeatedRegisters(source);
  Registers own;
  for (Scope &scope : scopes)
    for (auto &[value, its, registers] : scope.values)
      if (value == tile && its == compact)
        own = registers;
  if (own.empty()) {
    own = compute(tile, compact);
    scopes.back().values.emplace_back(tile, compact, own);
  }
  Registers result;
  for (int64_t from : source)
    result.push_back(own[from]);
  return result;
}

Registers Emitter::compute(Value tile, const LinearLayout &layout) {
  if (auto it = anchors.find(tile); it != anchors.end()) {
    const Anchor anchored = it->second;
    SmallVector<int64_t> source;
    Registers result;
    if (anchored.home || !anchored.layout.getRegisters(layout, source)) {
      Home home = getHome(tile, getIdentityOrder(typeOf(tile).getRank()));
      for (Value value : readHome(home, layout))
        result.push_back(fromMemory(value, typeOf(tile).getElementType()));
      return result;
    }
    for (int64_t from : source)
      result.push_back(anchored.registers[from]);
    return result;
  }
  int64_t count = layout.getSize(LinearLayout::Register);
  return llvm::TypeSwitch<Operation *, Registers>(tile.getDefiningOp())
      .Case([&](tile::LoadOp op) -> Registers {
        // Wide accesses may have the thread's elements in another order.
        SmallVector<int64_t> source;
        LinearLayout own = getLayout(tile).withoutRepeatedRegisters(source);
        if (own == layout || !own.getRegisters(layout, source))
          return load(op, layout);
        Registers values = get(tile, own), result;
        for (int64_t from : source)
          result.push_back(values[from]);
        return result;
      })
      .Case([&](tile::SplatOp op) {
        return Registers(count, mapping.lookup(op.getInput()));
      })
      .Case([&](tile::BroadcastOp op) {
        return get(op.getInput(), layout.project(op.getDims()));
      })
      .Case([&](tile::TransposeOp op) {
        SmallVector<int64_t> dims(op.getPermutation().size());
        for (auto [to, from] : llvm::enumerate(op.getPermutation()))
          dims[from] = to;
        return get(op.getInput(), layout.project(dims));
      })
      .Case([&](tile::IotaOp op) {
        Type element = typeOf(tile).getElementType();
        Value thread = getThreadPosition(layout, op.getAxis());
        Registers result;
        for (int64_t r = 0; r < count; ++r) {
          Value at =
              indexValue({thread, layout.applyRegister(r)[op.getAxis()]});
          if (!element.isIndex())
            at = arith::IndexCastOp::create(b, element, at);
          result.push_back(at);
        }
        return result;
      })
      .Case([&](arith::ConstantOp op) { return computeConstant(op, layout); })
      .Default([&](Operation *op) { return computeElementwise(op, layout); });
}

static bool cannotWrap(arith::IntegerOverflowFlags flags) {
  return bitEnumContainsAll(flags, arith::IntegerOverflowFlags::nsw);
}

SmallVector<std::pair<Value, int64_t>>
Emitter::getPlaces(Value tile, const LinearLayout &layout) {
  Type i32 = b.getI32Type();
  SmallVector<std::pair<Value, int64_t>> places;
  int64_t count = layout.getSize(LinearLayout::Register);
  if (auto op = tile.getDefiningOp<tile::IotaOp>()) {
    Value thread = getThreadPosition(layout, op.getAxis());
    if (thread)
      thread = arith::IndexCastOp::create(b, i32, thread);
    for (int64_t r = 0; r < count; ++r)
      places.emplace_back(thread, layout.applyRegister(r)[op.getAxis()]);
    return places;
  }
  auto join = [&](auto op, bool isMinus) {
    auto left = getPlaces(op.getLhs(), layout);
    auto right = getPlaces(op.getRhs(), layout);
    std::map<std::pair<void *, void *>, Value> known;
    Value zero = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
    for (auto [x, y] : llvm::zip_equal(left, right)) {
      Value &base =
          known[{x.first.getAsOpaquePointer(), y.first.getAsOpaquePointer()}];
      if (!base && !y.first)
        base = x.first;
      else if (!base && isMinus)
        base = arith::SubIOp::create(b, x.first ? x.first : zero, y.first);
      else if (!base)
        base = x.first ? Value(arith::AddIOp::create(b, x.first, y.first))
                       : y.first;
      places.emplace_back(base,
                          isMinus ? x.second - y.second : x.second + y.second);
    }
    return places;
  };
  if (auto op = tile.getDefiningOp<arith::AddIOp>();
      op && cannotWrap(op.getOverflowFlags()))
    return join(op, /*isMinus=*/false);
  if (auto op = tile.getDefiningOp<arith::SubIOp>();
      op && cannotWrap(op.getOverflowFlags()))
    return join(op, /*isMinus=*/true);
  for (Value value : get(tile, layout))
    places.emplace_back(value, 0);
  return places;
}

Registers Emitter::comparePlaces(arith::CmpIOp op, const LinearLayout &layout) {
  auto sum = op.getLhs().getDefiningOp<arith::AddIOp>();
  DenseIntElementsAttr limit;
  if (!sum || !cannotWrap(sum.getOverflowFlags()) ||
      !getElementTypeOrSelf(sum.getType()).isInteger(32) ||
      !matchPattern(op.getRhs(), m_Constant(&limit)) || !limit.isSplat() ||
      op.getPredicate() > arith::CmpIPredicate::sge) // Unsigned ones follow.
    return {};
  int64_t most = limit.getSplatValue<APInt>().getSExtValue();
  Registers result;
  Value zero = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  for (auto [base, offset] : getPlaces(op.getLhs(), layout)) {
    if (!llvm::isInt<32>(most - offset))
      return {};
    Value bound = arith::ConstantOp::create(
        b, b.getI32IntegerAttr(static_cast<int32_t>(most - offset)));
    result.push_back(
        arith::CmpIOp::create(b, op.getPredicate(), base ? base : zero, bound));
  }
  return result;
}

Registers Emitter::computeElementwise(Operation *op,
                                      const LinearLayout &layout) {
  if (auto compared = dyn_cast<arith::CmpIOp>(op)) {
    Registers places = comparePlaces(compared, layout);
    if (!places.empty())
      return places;
  }
  int64_t count = layout.getSize(LinearLayout::Register);
  SmallVector<Registers> operands;
  for (Value operand : op->getOperands())
    operands.push_back(isa<RankedTensorType>(operand.getType())
                           ? get(operand, layout)
                           : Registers(count, mapping.lookup(operand)));
  Registers result;
  Type element = typeOf(op->getResult(0)).getElementType();
  for (int64_t r = 0; r < count; ++r) {
    SmallVector<Value> own;
    for (const Registers &operand : operands)
      own.push_back(operand[r]);
    result.push_back(createScalar(op, own, element));
  }
  return result;
}

static bool isNarrow(Type type) { return isa<Float16Type, BFloat16Type>(type); }

static Value toFloat(ImplicitLocOpBuilder &b, Value value, Type to) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  if (value.getType() == to)
    return value;
  return from > to.getIntOrFloatBitWidth()
             ? Value(arith::TruncFOp::create(b, to, value))
             : Value(arith::ExtFOp::create(b, to, value));
}

/// Floats of 16 bits are computed in f32 and rounded.
Value Emitter::createScalar(Operation *op, ValueRange operands, Type element) {
  Type f32 = b.getF32Type();
  SmallVector<Value> wide;
  for (Value operand : operands)
    wide.push_back(isNarrow(operand.getType()) && !isa<arith::SelectOp>(op)
                       ? Value(arith::ExtFOp::create(b, f32, operand))
                       : operand);
  bool isMoved = isa<arith::SelectOp, arith::ConstantOp, arith::BitcastOp>(op);
  Type computed = isNarrow(element) && !isMoved ? f32 : element;
  // Casts between f32 and a narrow float are done already.
  if (isa<arith::ExtFOp, arith::TruncFOp>(op)) {
    Value value = wide[0];
    if (isFloat8(value.getType()))
      value = widenFloat8(b, value);
    if (isFloat8(element))
      return roundToFloat8(b, toFloat(b, value, f32), element);
    return toFloat(b, toFloat(b, value, computed), element);
  }
  if (isa<arith::BitcastOp>(op))
    wide.assign(operands.begin(), operands.end());
  OperationState state(b.getLoc(), op->getName(), wide, computed,
                       op->getAttrs());
  Operation *scalar = b.create(state);
  Value result = scalar->getResult(0);
  return computed == element
             ? result
             : Value(arith::TruncFOp::create(b, element, result));
}

/// Elements that differ are chosen by position: kernels have few of them.
Registers Emitter::computeConstant(arith::ConstantOp op,
                                   const LinearLayout &layout) {
  auto value = cast<DenseElementsAttr>(op.getValue());
  auto create = [&](Attribute its) -> Value {
    return arith::ConstantOp::create(b, cast<TypedAttr>(its));
  };
  int64_t count = layout.getSize(LinearLayout::Register);
  if (value.isSplat())
    return Registers(count, create(value.getSplatValue<Attribute>()));
  ArrayRef<int64_t> shape = value.getType().getShape();
  auto elements = value.getValues<Attribute>();
  Registers result;
  for (int64_t r = 0; r < count; ++r) {
    Value chosen;
    for (int64_t i = 0; i < value.getNumElements(); ++i) {
      Value here = create(elements[i]);
      int64_t rest = i;
      Value isHere;
      for (unsigned d = shape.size(); d-- > 0; rest /= shape[d]) {
        Value at = indexValue(
            {getThreadPosition(layout, d), layout.applyRegister(r)[d]});
        Value same = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, at,
                                           index(rest % shape[d]));
        isHere = isHere ? Value(arith::AndIOp::create(b, isHere, same)) : same;
      }
      chosen = chosen ? Value(arith::SelectOp::create(b, isHere, here, chosen))
                      : here;
    }
    result.push_back(chosen);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

namespace {
/// Bits of the thread's number that go to bits of a position.
struct Move {
  unsigned from, to, count;
};
} // namespace

static SmallVector<Move> getMoves(const LinearLayout &layout, unsigned dim) {
  SmallVector<Move> moves;
  unsigned bit = 0;
  for (auto in : {LinearLayout::Lane, LinearLayout::Warp})
    for (const LinearLayout::Position &basis : layout.getBases(in)) {
      unsigned from = bit++;
      if (basis[dim] == 0)
        continue;
      unsigned to = llvm::Log2_64(basis[dim]);
      if (!moves.empty() && moves.back().from + moves.back().count == from &&
          moves.back().to + moves.back().count == to)
        ++moves.back().count;
      else
        moves.push_back({from, to, 1});
    }
  return moves;
}

Value Emitter::getThreadPosition(const LinearLayout &layout, unsigned dim) {
  SmallVector<Move> moves = getMoves(layout, dim);
  if (moves.empty())
    return {};
  std::string key;
  for (const Move &move : moves)
    for (unsigned number : {move.from, move.to, move.count})
      key.push_back(static_cast<char>(number));
  Value &known = threadPositions[{key, 0}];
  if (known)
    return known;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(entryEnd);
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  };
  Value sum;
  for (const Move &move : moves) {
    Value part = threadId;
    if (move.from)
      part = arith::ShRUIOp::create(b, part, constant(move.from));
    part = arith::AndIOp::create(b, part, constant((1 << move.count) - 1));
    if (move.to)
      part = arith::ShLIOp::create(b, part, constant(move.to));
    sum = sum ? Value(arith::OrIOp::create(b, sum, part)) : part;
  }
  auto cast = arith::IndexCastUIOp::create(b, b.getIndexType(), sum);
  entryEnd = cast;
  return known = cast;
}

Value Emitter::isSpeaker(const LinearLayout &layout) {
  int64_t repeats = layout.getRepeats(LinearLayout::Lane) |
                    layout.getRepeats(LinearLayout::Warp) * machine.getLanes();
  if (!repeats)
    return {};
  Value &known = threadPositions[{"speaker", unsigned(repeats)}];
  if (known)
    return known;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(entryEnd);
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  };
  Value bits = arith::AndIOp::create(b, threadId, constant(repeats));
  auto is =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, bits, constant(0));
  entryEnd = is;
  return known = is;
}
