// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions: within a thread, then between the lanes of a warp by shuffles,
// then between warps through shared memory, as far as the layout has the axis
// there. Scans run along the registers of one thread.

#include "lib/Target/CUDA/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

//===----------------------------------------------------------------------===//
// Two elements
//===----------------------------------------------------------------------===//

template <typename FloatOp, typename IntOp>
static Operation *create(ImplicitLocOpBuilder &b, Value x, Value y) {
  if (isa<FloatType>(x.getType()))
    return FloatOp::create(b, x, y);
  return IntOp::create(b, x, y);
}

static Operation *createCombine(ImplicitLocOpBuilder &b, tile::Combine kind,
                                Value x, Value y) {
  switch (kind) {
  case tile::Combine::Add:
    return create<arith::AddFOp, arith::AddIOp>(b, x, y);
  case tile::Combine::Mul:
    return create<arith::MulFOp, arith::MulIOp>(b, x, y);
  case tile::Combine::Max:
    return create<arith::MaximumFOp, arith::MaxSIOp>(b, x, y);
  case tile::Combine::Min:
    return create<arith::MinimumFOp, arith::MinSIOp>(b, x, y);
  case tile::Combine::And:
    return arith::AndIOp::create(b, x, y);
  case tile::Combine::Or:
    return arith::OrIOp::create(b, x, y);
  }
  llvm_unreachable("a kind of combination");
}

Value Emitter::combine(tile::Combine kind, Value x, Value y) {
  Type type = x.getType();
  bool isNarrow = isa<Float16Type, BFloat16Type>(type);
  if (isNarrow) {
    x = arith::ExtFOp::create(b, b.getF32Type(), x);
    y = arith::ExtFOp::create(b, b.getF32Type(), y);
  }
  Value result = createCombine(b, kind, x, y)->getResult(0);
  return isNarrow ? Value(arith::TruncFOp::create(b, type, result)) : result;
}

/// What changes nothing.
static TypedAttr getNeutral(tile::Combine kind, Type type) {
  using Combine = tile::Combine;
  if (auto number = dyn_cast<FloatType>(type)) {
    const llvm::fltSemantics &semantics = number.getFloatSemantics();
    APFloat value(semantics, kind == Combine::Mul ? 1 : 0);
    if (kind == Combine::Max || kind == Combine::Min)
      value = APFloat::getInf(semantics, /*Negative=*/kind == Combine::Max);
    return FloatAttr::get(type, value);
  }
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  APInt value(width, kind == Combine::Mul ? 1 : 0);
  if (kind == Combine::Max)
    value = APInt::getSignedMinValue(width);
  else if (kind == Combine::Min)
    value = APInt::getSignedMaxValue(width);
  else if (kind == Combine::And)
    value = APInt::getAllOnes(width);
  return IntegerAttr::get(type, value);
}

/// The value of the lane whose number differs in the bits `lanes`.
Value Emitter::shuffle(Value value, int64_t lanes) {
  Type type = value.getType();
  auto exchange = [&](Value word) { return machine.shuffle(b, word, lanes); };
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  Type bits = b.getIntegerType(width);
  Value word = value;
  if (type.isIndex())
    word = arith::IndexCastOp::create(b, bits, value);
  else if (type != bits)
    word = arith::BitcastOp::create(b, bits, value);
  if (width == 64) {
    Value half = arith::ConstantOp::create(b, b.getI64IntegerAttr(32));
    Value low = exchange(arith::TruncIOp::create(b, b.getI32Type(), word));
    Value high = exchange(arith::TruncIOp::create(
        b, b.getI32Type(), arith::ShRUIOp::create(b, word, half)));
    low = arith::ExtUIOp::create(b, bits, low);
    high = arith::ExtUIOp::create(b, bits, high);
    word = arith::OrIOp::create(b, low, arith::ShLIOp::create(b, high, half));
  } else if (width == 32) {
    word = exchange(word);
  } else {
    word = exchange(arith::ExtUIOp::create(b, b.getI32Type(), word));
    word = arith::TruncIOp::create(b, bits, word);
  }
  if (type.isIndex())
    return arith::IndexCastOp::create(b, type, word);
  return type == bits ? word : Value(arith::BitcastOp::create(b, type, word));
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

/// Positions beyond the tile's end along the axis count for nothing.
void Emitter::neutralizeBeyond(tile::ReduceOp op, const LinearLayout &layout,
                               Registers &values) {
  auto type = cast<RankedTensorType>(op.getInput().getType());
  int64_t axis = op.getAxis(), size = type.getDimSize(axis);
  if (layout.getExtent(axis) <= size)
    return;
  Value thread = getThreadPosition(layout, axis);
  Value neutral = arith::ConstantOp::create(
      b, getNeutral(op.getKind(), type.getElementType()));
  for (auto [reg, value] : llvm::enumerate(values)) {
    int64_t at = layout.applyRegister(reg)[axis];
    Value isInside = arith::CmpIOp::create(
        b, arith::CmpIPredicate::ult, indexValue({thread, at}), index(size));
    value = arith::SelectOp::create(b, isInside, value, neutral);
  }
}

/// The layout of warps' partial results: in front of the dims of `result`, one
/// that counts the warps that have parts of the same one.
static LinearLayout getPartial(const LinearLayout &result, int64_t warpBits) {
  LinearLayout partial(result.getRank() + 1);
  int64_t slot = 1;
  for (auto in : LinearLayout::ins)
    for (auto [bit, basis] : llvm::enumerate(result.getBases(in))) {
      LinearLayout::Position at{0};
      at.append(basis.begin(), basis.end());
      if (in == LinearLayout::Warp && (warpBits >> bit & 1)) {
        at[0] = slot;
        slot *= 2;
      }
      partial.addBasis(in, at);
    }
  return partial;
}

/// Combines the values of each of `count` results, in two chains, since one
/// would wait for each of its links, and more take registers.
Registers Emitter::combineRegisters(tile::Combine kind, const Registers &values,
                                    ArrayRef<int64_t> resultOf, int64_t count) {
  SmallVector<std::array<Value, 2>> parts(count);
  SmallVector<unsigned> numbers(count, 0);
  for (auto [reg, value] : llvm::enumerate(values)) {
    int64_t its = resultOf[reg];
    Value &part = parts[its][numbers[its]++ % 2];
    part = part ? combine(kind, part, value) : value;
  }
  Registers results;
  for (auto [first, second] : parts)
    results.push_back(second ? combine(kind, first, second) : first);
  return results;
}

void Emitter::reduceLanes(tile::Combine kind, const LinearLayout &layout,
                          int64_t axis, Registers &values) {
  int64_t lanes = layout.getBitsAlong(LinearLayout::Lane, axis);
  for (int64_t lane = 1; lane < machine.getLanes(); lane *= 2)
    for (Value &value : values)
      if (lanes & lane)
        value = combine(kind, value, shuffle(value, lane));
}

LogicalResult Emitter::emitReduce(tile::ReduceOp op) {
  auto type = cast<RankedTensorType>(op.getInput().getType());
  int64_t axis = op.getAxis();
  SmallVector<int64_t> source;
  LinearLayout layout =
      getLayout(op.getInput()).withoutRepeatedRegisters(source);
  Registers values = get(op.getInput(), layout);
  neutralizeBeyond(op, layout, values);
  LinearLayout result = layout.project(getOtherDims(type.getRank(), axis))
                            .withoutRepeatedRegisters(source);

  Registers sums = combineRegisters(op.getKind(), values, source,
                                    result.getSize(LinearLayout::Register));
  if (!partial.contains(op))
    reduceLanes(op.getKind(), layout, axis, sums);

  if (int64_t bits = layout.getBitsAlong(LinearLayout::Warp, axis)) {
    int64_t parts = int64_t(1) << llvm::popcount(uint64_t(bits));
    SmallVector<int64_t> shape{parts};
    llvm::append_range(shape, op.getType().getShape());
    int64_t top = scopes.back().top;
    Home home = createHome(RankedTensorType::get(shape, type.getElementType()),
                           getIdentityOrder(shape.size()));
    SmallVector<int64_t> start(shape.size(), 0);
    writeHome(home, getPartial(result, bits), start, sums, shape);
    Home part = home;
    part.strides.erase(part.strides.begin());
    int64_t bytes = home.element.getIntOrFloatBitWidth() / 8;
    sums.clear();
    for (int64_t i = 0; i < parts; ++i) {
      part.offset = home.offset + i * home.strides[0] * bytes;
      Registers own = readHome(part, result);
      for (Value &value : own)
        value = fromMemory(value, type.getElementType());
      for (auto [sum, value] : llvm::zip(sums, own))
        sum = combine(op.getKind(), sum, value);
      if (sums.empty())
        sums = own;
    }
    scopes.back().top = top;
  }
  anchor(op.getResult(), result, sums);
  return success();
}

LogicalResult Emitter::emitScan(tile::ScanOp op) {
  auto type = cast<RankedTensorType>(op.getType());
  SmallVector<int64_t> source;
  LinearLayout layout = getAlongRegisters(type.getShape(), warps, op.getAxis())
                            .withoutRepeatedRegisters(source);
  Registers values = get(op.getInput(), layout);
  // Registers by their place along the axis; the others stay apart.
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, values.size()));
  auto placeOf = [&](int64_t reg) {
    return layout.applyRegister(reg)[op.getAxis()];
  };
  llvm::sort(order, [&](int64_t x, int64_t y) {
    return std::make_pair(placeOf(x), x) < std::make_pair(placeOf(y), y);
  });
  std::map<std::vector<int64_t>, Value> running;
  for (int64_t reg : order) {
    LinearLayout::Position at = layout.applyRegister(reg);
    at.erase(at.begin() + op.getAxis());
    Value &sum = running[{at.begin(), at.end()}];
    if (sum)
      values[reg] = combine(op.getKind(), sum, values[reg]);
    sum = values[reg];
  }
  anchor(op.getResult(), layout, values);
  return success();
}
