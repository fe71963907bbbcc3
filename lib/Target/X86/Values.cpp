// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The vector of a tile at a position: from registers, from scratch, or
// computed from the vectors of what it depends on.

#include "lib/Target/Float8.h"
#include "lib/Target/X86/Emitter.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

static RankedTensorType typeOf(Value tile) {
  return cast<RankedTensorType>(tile.getType());
}

Value Emitter::vec(Value tile, const Position &position) {
  MemoKey key = {tile.getAsOpaquePointer(), position.lane, {}};
  for (Coord coord : position.at)
    std::get<2>(key).emplace_back(coord.base.getAsOpaquePointer(),
                                  coord.offset);
  for (auto &scope : llvm::reverse(memo))
    if (auto it = scope.find(key); it != scope.end())
      return it->second;
  Value result = computeVec(tile, position);
  memo.back()[key] = result;
  return result;
}

Value Emitter::computeVec(Value tile, const Position &position) {
  const Storage storage = tiles.lookup(tile);
  if (storage.kind == Storage::Registers)
    return readRegisters(tile, storage, position);
  if (storage.kind == Storage::Scratch)
    return readScratch(tile, storage.memory, position);

  return llvm::TypeSwitch<Operation *, Value>(tile.getDefiningOp())
      .Case([&](tile::LoadOp op) {
        return loadVec(accessOf(op), position, op.getPadAttr());
      })
      .Case([&](tile::SplatOp op) {
        return splat(mapping.lookup(op.getInput()));
      })
      .Case([&](tile::IotaOp op) { return iota(op, position); })
      .Case([&](tile::BroadcastOp op) {
        Position source;
        for (auto [from, to] : llvm::enumerate(op.getDims())) {
          source.at.push_back(position.at[to]);
          if (to == position.lane)
            source.lane = from;
        }
        return vec(op.getInput(), source);
      })
      .Case([&](tile::TransposeOp op) {
        Position source;
        source.at.resize(position.at.size());
        for (auto [to, from] : llvm::enumerate(op.getPermutation())) {
          source.at[from] = position.at[to];
          if (static_cast<int>(to) == position.lane)
            source.lane = from;
        }
        return vec(op.getInput(), source);
      })
      .Case([&](arith::ConstantOp op) { return constant(op, position); })
      .Default([&](Operation *op) { return elementwise(op, position); });
}

/// Integers that are loaded and computed with need no vector registers, which
/// multiplies are short of.
Value Emitter::element(Value tile, const Position &position) {
  Operation *op = tile.getDefiningOp();
  auto fallBack = [&]() -> Value {
    return vector::ExtractOp::create(b, vec(tile, position), 0);
  };
  if (tiles.lookup(tile).kind != Storage::Deferred ||
      !typeOf(tile).getElementType().isIntOrIndex())
    return fallBack();
  if (auto load = dyn_cast<tile::LoadOp>(op)) {
    Access access = accessOf(load);
    SmallVector<Coord> coords = coordsAt(access, position);
    Value row;
    laneMask(access, coords, position, row);
    if (row || access.view->element.isInteger(1) ||
        access.view->element.isIndex())
      return fallBack();
    return LLVM::LoadOp::create(b, access.view->element,
                                address(access, coords), 1);
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto value = dyn_cast<SplatElementsAttr>(constant.getValue());
    if (!value)
      return fallBack();
    return arith::ConstantOp::create(
        b, cast<TypedAttr>(value.getSplatValue<Attribute>()));
  }
  bool isArithmetic =
      isa<arith::ExtUIOp, arith::ExtSIOp, arith::TruncIOp, arith::IndexCastOp,
          arith::IndexCastUIOp, arith::AddIOp, arith::MulIOp, arith::MinSIOp,
          arith::MaxSIOp, arith::MinUIOp, arith::MaxUIOp>(op);
  if (!isArithmetic)
    return fallBack();
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(element(operand, position));
  OperationState state(op->getLoc(), op->getName(), operands,
                       typeOf(tile).getElementType(), op->getAttrs());
  return b.create(state)->getResult(0);
}

Value Emitter::constant(arith::ConstantOp op, const Position &position) {
  auto value = cast<DenseElementsAttr>(op.getValue());
  Type element = value.getElementType();
  if (value.isSplat())
    return constantVec(element, value.getSplatValue<Attribute>());
  ArrayRef<int64_t> shape = value.getType().getShape();
  auto elements = value.getValues<Attribute>();
  SmallVector<Attribute> lanes;
  for (int64_t lane = 0; lane < unit.lanes; ++lane) {
    int64_t at = 0;
    for (auto [dim, size] : llvm::enumerate(shape)) {
      int64_t step = static_cast<int>(dim) == position.lane ? lane : 0;
      // Lanes beyond the tile hold its last element.
      at = at * size + std::min(position.at[dim].offset + step, size - 1);
    }
    lanes.push_back(elements[at]);
  }
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(vectorOf(element), lanes));
}

/// Ops that x86 has no 16-bit float form of are computed in f32 and rounded.
static bool isSmallFloat(Type element) {
  return isa<Float16Type, BFloat16Type>(element);
}

Value Emitter::elementwise(Operation *op, const Position &position) {
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(isa<RankedTensorType>(operand.getType())
                           ? vec(operand, position)
                           : mapping.lookup(operand));
  Type element = typeOf(op->getResult(0)).getElementType();
  if (isa<arith::ExtFOp, arith::TruncFOp>(op))
    return convertFloat(operands[0], element);

  Type computed = element;
  if (!isa<arith::SelectOp, arith::BitcastOp>(op)) {
    for (Value &operand : operands)
      if (isSmallFloat(getElementTypeOrSelf(operand)))
        operand = convertFloat(operand, b.getF32Type());
    if (isSmallFloat(element))
      computed = b.getF32Type();
  }
  if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp,
          arith::CeilDivSIOp, arith::CeilDivUIOp, arith::FloorDivSIOp>(op))
    operands[1] = harmlessDivisor(operands[0], operands[1]);
  OperationState state(op->getLoc(), op->getName(), operands,
                       vectorOf(computed), op->getAttrs());
  Value result = b.create(state)->getResult(0);
  return computed == element ? result : convertFloat(result, element);
}

/// Integer division traps, also in lanes that nothing uses: by zero, and where
/// the quotient overflows. Divides by one there.
Value Emitter::harmlessDivisor(Value dividend, Value divisor) {
  if (matchPattern(divisor, m_Constant()))
    return divisor;
  Type element = getElementTypeOrSelf(divisor);
  unsigned width = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
  auto equals = [&](Value vector, APInt value) -> Value {
    return arith::CmpIOp::create(
        b, arith::CmpIPredicate::eq, vector,
        constantVec(element, b.getIntegerAttr(element, value)));
  };
  Value overflows =
      arith::AndIOp::create(b, equals(divisor, APInt::getAllOnes(width)),
                            equals(dividend, APInt::getSignedMinValue(width)));
  Value traps =
      arith::OrIOp::create(b, equals(divisor, APInt(width, 0)), overflows);
  return arith::SelectOp::create(
      b, traps, constantVec(element, b.getIntegerAttr(element, 1)), divisor);
}

Value Emitter::convertFloat(Value vector, Type element) {
  Type from = getElementTypeOrSelf(vector);
  if (from == element)
    return vector;
  if (isFloat8(from))
    return convertFloat(widenFloat8(b, vector), element);
  if (isFloat8(element))
    return roundToFloat8(b, convertFloat(vector, b.getF32Type()), element);
  VectorType halves = vectorOf(b.getI16Type()),
             words = vectorOf(b.getI32Type());
  auto constant = [&](int64_t value) {
    return constantVec(b.getI32Type(), b.getI32IntegerAttr(value));
  };
  Value sixteen = constant(16);
  // Instruction selection has no vector form of conversions to bf16 below
  // AVX512-BF16, so they are spelled out: round to nearest even, keep NaN.
  if (isa<BFloat16Type>(from)) {
    Value bits = arith::BitcastOp::create(b, halves, vector);
    bits = arith::ExtUIOp::create(b, words, bits);
    bits = arith::ShLIOp::create(b, bits, sixteen);
    Value wide = arith::BitcastOp::create(b, vectorOf(b.getF32Type()), bits);
    return convertFloat(wide, element);
  }
  if (isa<BFloat16Type>(element)) {
    Value x = convertFloat(vector, b.getF32Type());
    if (unit.bf16Dot)
      return arith::TruncFOp::create(b, vectorOf(element), x);
    Value bits = arith::BitcastOp::create(b, words, x);
    Value odd = arith::AndIOp::create(
        b, arith::ShRUIOp::create(b, bits, sixteen), constant(1));
    Value bias = arith::AddIOp::create(b, odd, constant(0x7fff));
    Value rounded = arith::AddIOp::create(b, bits, bias);
    Value quiet = arith::OrIOp::create(b, bits, constant(0x400000));
    Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
    rounded = arith::SelectOp::create(b, isNan, quiet, rounded);
    rounded = arith::ShRUIOp::create(b, rounded, sixteen);
    rounded = arith::TruncIOp::create(b, halves, rounded);
    return arith::BitcastOp::create(b, vectorOf(element), rounded);
  }
  if (from.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, vectorOf(element), vector);
  return arith::TruncFOp::create(b, vectorOf(element), vector);
}

Value Emitter::readRegisters(Value tile, const Storage &storage,
                             const Position &position) {
  SmallVector<int64_t> shape = shapeOf(tile);
  if (shape.empty())
    return storage.registers[0];
  int last = shape.size() - 1;
  bool isStatic =
      llvm::all_of(position.at, [](const Coord &at) { return at.isStatic(); });
  int64_t column = position.at[last].offset;
  bool along = position.lane == last && column % unit.lanes == 0;
  if (!isStatic || !(along || position.lane < 0))
    return readScratch(tile, ensureScratch(tile), position);

  int64_t row = 0;
  for (int dim = 0; dim < last; ++dim)
    row = row * shape[dim] + position.at[dim].offset;
  int64_t perRow = llvm::divideCeil(shape[last], unit.lanes);
  Value vector = storage.registers[row * perRow + column / unit.lanes];
  if (along)
    return vector;
  return splat(vector::ExtractOp::create(b, vector, column % unit.lanes));
}

/// Row-major strides of a scratch tile, whose rows are padded to `lanes`.
static SmallVector<int64_t> scratchStrides(ArrayRef<int64_t> shape,
                                           int64_t lanes) {
  SmallVector<int64_t> strides(shape.size(), 1);
  int64_t stride = shape.empty() ? 1 : llvm::alignTo(shape.back(), lanes);
  for (int dim = static_cast<int>(shape.size()) - 2; dim >= 0; --dim) {
    strides[dim] = stride;
    stride *= shape[dim];
  }
  return strides;
}

Value Emitter::readScratch(Value tile, Value memory, const Position &position) {
  SmallVector<int64_t> shape = shapeOf(tile);
  SmallVector<int64_t> strides = scratchStrides(shape, unit.lanes);
  Type element = typeOf(tile).getElementType();
  Coord offset;
  for (auto [at, stride] : llvm::zip_equal(position.at, strides))
    offset = add(offset, mul(at, {Value(), stride}));
  Value pointer = offsetPointer(memory, element, offset);
  int last = static_cast<int>(shape.size()) - 1;
  if (position.lane < 0 || position.lane == last)
    return rawLoad(element, pointer, position.lane < 0);
  return gather(element, pointer,
                laneOffsets({Value(), strides[position.lane]}),
                extentMask(tile, position), Attribute());
}

void Emitter::writeScratch(Value tile, Value memory, const Position &position,
                           Value vector) {
  SmallVector<int64_t> strides = scratchStrides(shapeOf(tile), unit.lanes);
  Coord offset;
  for (auto [at, stride] : llvm::zip_equal(position.at, strides))
    offset = add(offset, mul(at, {Value(), stride}));
  rawStore(vector,
           offsetPointer(memory, typeOf(tile).getElementType(), offset));
}

Value Emitter::laneNumbers(Type element) {
  SmallVector<Attribute> values;
  for (int64_t lane = 0; lane < unit.lanes; ++lane)
    values.push_back(b.getIntegerAttr(element, lane));
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(vectorOf(element), values));
}

Value Emitter::iota(tile::IotaOp op, const Position &position) {
  int axis = op.getAxis();
  Type element = typeOf(op.getResult()).getElementType();
  Coord at = add(position.at[axis], cutStart(op.getResult(), axis));
  Value first = indexValue(at);
  if (!element.isIndex())
    first = arith::IndexCastOp::create(b, element, first);
  if (position.lane != axis)
    return splat(first);
  return arith::AddIOp::create(b, splat(first), laneNumbers(element));
}

void Emitter::writeScratchElement(Value tile, Value memory,
                                  const Position &position, Value vector) {
  SmallVector<int64_t> strides = scratchStrides(shapeOf(tile), unit.lanes);
  Coord offset;
  for (auto [at, stride] : llvm::zip_equal(position.at, strides))
    offset = add(offset, mul(at, {Value(), stride}));
  Value element = vector::ExtractOp::create(b, toMemoryForm(vector), 0);
  LLVM::StoreOp::create(
      b, element, offsetPointer(memory, typeOf(tile).getElementType(), offset));
}
