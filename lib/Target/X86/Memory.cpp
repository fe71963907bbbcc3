// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Vectors in memory: the addresses and masks of loads and stores.

#include "lib/Target/Float8.h"
#include "lib/Target/X86/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// Floats that no op of instruction selection knows: they are stored, and move,
/// as their bits.
static bool isBits(Type element) {
  return isa<BFloat16Type>(element) || isFloat8(element);
}

/// How an element is stored: i1 as a byte, index as i64.
static Type memoryType(Type element) {
  MLIRContext *context = element.getContext();
  if (element.isInteger(1))
    return IntegerType::get(context, 8);
  if (isBits(element))
    return IntegerType::get(context, element.getIntOrFloatBitWidth());
  if (element.isIndex())
    return IntegerType::get(context, 64);
  return element;
}

static unsigned byteSize(Type element) {
  return memoryType(element).getIntOrFloatBitWidth() / 8;
}

//===----------------------------------------------------------------------===//
// Plain reads and writes
//===----------------------------------------------------------------------===//

Value Emitter::offsetPointer(Value pointer, Type element, Coord offset) {
  auto type = LLVM::LLVMPointerType::get(b.getContext());
  Type stored = memoryType(element);
  if (offset.base) {
    Value base = arith::IndexCastOp::create(b, b.getI64Type(), offset.base);
    pointer = LLVM::GEPOp::create(b, type, stored, pointer,
                                  ArrayRef<LLVM::GEPArg>{base});
  }
  if (offset.offset == 0)
    return pointer;
  // GEPArg holds 32 bits.
  if (llvm::isInt<31>(offset.offset))
    return LLVM::GEPOp::create(
        b, type, stored, pointer,
        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset.offset)});
  Value wide = arith::ConstantOp::create(b, b.getI64IntegerAttr(offset.offset));
  return LLVM::GEPOp::create(b, type, stored, pointer,
                             ArrayRef<LLVM::GEPArg>{wide});
}

Value Emitter::fromMemoryForm(Value vector, Type element) {
  VectorType type = vectorOf(element);
  if (element.isInteger(1))
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, vector,
                                 constantVec(b.getI8Type(), Attribute()));
  if (isBits(element))
    return arith::BitcastOp::create(b, type, vector);
  if (element.isIndex())
    return arith::IndexCastOp::create(b, type, vector);
  return vector;
}

Value Emitter::toMemoryForm(Value vector) {
  Type element = getElementTypeOrSelf(vector);
  VectorType type = vectorOf(memoryType(element));
  if (element.isInteger(1))
    return arith::ExtUIOp::create(b, type, vector);
  if (isBits(element))
    return arith::BitcastOp::create(b, type, vector);
  if (element.isIndex())
    return arith::IndexCastOp::create(b, type, vector);
  return vector;
}

Value Emitter::rawLoad(Type element, Value pointer, bool uniform) {
  Type stored = memoryType(element);
  unsigned alignment = byteSize(element);
  Value vector;
  if (uniform)
    vector = splat(LLVM::LoadOp::create(b, stored, pointer, alignment));
  else
    vector = LLVM::LoadOp::create(b, vectorOf(stored), pointer, alignment);
  return fromMemoryForm(vector, element);
}

void Emitter::rawStore(Value vector, Value pointer) {
  unsigned alignment = byteSize(getElementTypeOrSelf(vector));
  LLVM::StoreOp::create(b, toMemoryForm(vector), pointer, alignment);
}

Value Emitter::laneOffsets(Coord stride) {
  Value numbers = laneNumbers(b.getI64Type());
  if (stride.isStatic())
    return arith::MulIOp::create(
        b, numbers,
        constantVec(b.getI64Type(), b.getI64IntegerAttr(stride.offset)));
  Value step =
      arith::IndexCastOp::create(b, b.getI64Type(), indexValue(stride));
  return arith::MulIOp::create(b, numbers, splat(step));
}

Value Emitter::allLanes() {
  return constantVec(b.getI1Type(), b.getBoolAttr(true));
}

Value Emitter::lanePointers(Type element, Value pointer, Value offsets) {
  auto type = LLVM::LLVMPointerType::get(b.getContext());
  return LLVM::GEPOp::create(b, VectorType::get({unit.lanes}, type),
                             memoryType(element), pointer,
                             ArrayRef<LLVM::GEPArg>{offsets});
}

Value Emitter::gather(Type element, Value pointer, Value offsets, Value mask,
                      Attribute pad) {
  Value pointers = lanePointers(element, pointer, offsets);
  if (!mask)
    mask = allLanes();
  Value others = toMemoryForm(constantVec(element, pad));
  Value vector = LLVM::masked_gather::create(
      b, vectorOf(memoryType(element)), pointers, mask, ValueRange{others},
      b.getI32IntegerAttr(byteSize(element)));
  return fromMemoryForm(vector, element);
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

Access Emitter::accessOf(tile::LoadOp op) {
  Access access;
  access.op = op;
  access.tile = op.getResult();
  access.view = views.at(op.getView()).get();
  access.dims = op.getDims();
  access.gather = op.getGather();
  access.gatherDim = op.getGather() ? *op.getGatherDim() : -1;
  for (Value index : op.getIndices())
    access.start.push_back(coordOf(index));
  return access;
}

Access Emitter::accessOf(tile::StoreOp op) {
  Access access;
  access.op = op;
  access.tile = op.getTile();
  access.view = views.at(op.getView()).get();
  access.dims = op.getDims();
  for (Value index : op.getIndices())
    access.start.push_back(coordOf(index));
  return access;
}

SmallVector<Coord> Emitter::coordsAt(const Access &access,
                                     const Position &position) {
  SmallVector<Coord> coords(access.start);
  for (auto [tileDim, viewDim] : llvm::enumerate(access.dims)) {
    if (viewDim < 0)
      continue;
    int dim = tileDim;
    if (dim != access.gatherDim) {
      coords[viewDim] = add(add(coords[viewDim], position.at[dim]),
                            cutStart(access.tile, dim));
      continue;
    }
    if (dim == position.lane)
      continue; // The lanes' own positions are added by loadVec.
    Coord at = {element(access.gather, {{position.at[dim]}, -1}), 0};
    coords[viewDim] = add(coords[viewDim], at);
  }
  return coords;
}

Value Emitter::address(const Access &access, ArrayRef<Coord> coords) {
  Coord offset;
  for (auto [coord, stride] : llvm::zip_equal(coords, access.view->strides))
    offset = add(offset, mul(coord, stride));
  return offsetPointer(access.view->pointer, access.view->element, offset);
}

/// The conjunction of two conditions, of which null is true.
static Value conjunction(ImplicitLocOpBuilder &b, Value x, Value y) {
  if (!x || !y)
    return x ? x : y;
  return arith::AndIOp::create(b, x, y);
}

Value Emitter::extentMask(Value tile, const Position &position) {
  if (position.lane < 0)
    return Value();
  int64_t size = extent(tile, position.lane);
  Coord at = position.at[position.lane];
  if (size % unit.lanes == 0 && at.offset % unit.lanes == 0)
    return Value();
  if (at.isStatic() && at.offset + unit.lanes <= size)
    return Value();
  return lanesBelow(add({Value(), size}, mul(at, {Value(), -1})));
}

Value Emitter::lanesBelow(Coord count) {
  Type word = b.getI32Type();
  if (count.isStatic()) {
    SmallVector<bool> bits;
    for (int64_t lane = 0; lane < unit.lanes; ++lane)
      bits.push_back(lane < count.offset);
    return arith::ConstantOp::create(
        b,
        DenseElementsAttr::get(vectorOf(b.getI1Type()), ArrayRef<bool>(bits)));
  }
  Value limit = arith::MinSIOp::create(b, indexValue(count), index(unit.lanes));
  limit = arith::MaxSIOp::create(b, limit, index(0));
  limit = arith::IndexCastOp::create(b, word, limit);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, laneNumbers(word),
                               splat(limit));
}

Value Emitter::laneMask(const Access &access, ArrayRef<Coord> coords,
                        const Position &position, Value &row) {
  Value mask = extentMask(access.tile, position);
  for (auto [viewDim, coord] : llvm::enumerate(coords)) {
    Bound bound = {access.op, viewDim};
    if (bounds.isProven(bound) || assumed.contains(bound))
      continue;
    Coord size = access.view->sizes[viewDim];
    bool alongLanes = position.lane >= 0 && access.dims[position.lane] ==
                                                static_cast<int64_t>(viewDim);
    if (alongLanes && position.lane == access.gatherDim)
      continue; // Tested where the lanes' positions are known.
    if (!alongLanes) {
      Value inside = arith::CmpIOp::create(b, arith::CmpIPredicate::ult,
                                           indexValue(coord), indexValue(size));
      row = conjunction(b, row, inside);
      continue;
    }
    Coord before = mul(coord, {Value(), -1});
    mask = conjunction(b, mask, lanesBelow(add(size, before)));
    if (bounds.mayBeNegative(bound)) {
      Value outside = lanesBelow(before);
      mask =
          conjunction(b, mask, arith::XOrIOp::create(b, outside, allLanes()));
    }
  }
  return mask;
}

/// From lane to lane; nothing depends on it where there is one lane.
Coord Emitter::laneStride(const Access &access, const Position &position) {
  if (position.lane < 0 || extent(access.tile, position.lane) == 1)
    return {Value(), 1};
  return access.view->strides[access.dims[position.lane]];
}

Value Emitter::padSlot(Type element, Attribute pad) {
  if (!pad)
    pad = b.getZeroAttr(element);
  Value &slot = padSlots[pad];
  if (slot)
    return slot;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(entry);
  Value one = arith::ConstantOp::create(b, b.getI64IntegerAttr(1));
  slot = LLVM::AllocaOp::create(b, LLVM::LLVMPointerType::get(b.getContext()),
                                vectorOf(memoryType(element)), one, 64);
  rawStore(constantVec(element, pad), slot);
  return slot;
}

Value Emitter::sinkSlot() {
  if (sink)
    return sink;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(entry);
  Value bytes =
      arith::ConstantOp::create(b, b.getI64IntegerAttr(unit.lanes * 8));
  sink = LLVM::AllocaOp::create(b, LLVM::LLVMPointerType::get(b.getContext()),
                                b.getI8Type(), bytes, 64);
  return sink;
}

Value Emitter::loadGathered(const Access &access, ArrayRef<Coord> coords,
                            const Position &position, Value mask,
                            Attribute pad) {
  int64_t viewDim = access.dims[position.lane];
  Value rows = vec(access.gather, {{position.at[position.lane]}, 0});
  Type wide = b.getI64Type();
  rows = arith::IndexCastOp::create(b, vectorOf(wide), rows);
  auto splatIndex = [&](Coord coord) {
    return splat(arith::IndexCastOp::create(b, wide, indexValue(coord)));
  };
  Bound bound = {access.op, viewDim};
  if (!bounds.isProven(bound) && !assumed.contains(bound)) {
    Value at =
        arith::AddIOp::create(b, rows, splatIndex(access.start[viewDim]));
    Value inside =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, at,
                              splatIndex(access.view->sizes[viewDim]));
    mask = conjunction(b, mask, inside);
  }
  Value offsets =
      arith::MulIOp::create(b, rows, splatIndex(access.view->strides[viewDim]));
  return gather(access.view->element, address(access, coords), offsets, mask,
                pad);
}

Value Emitter::loadVec(const Access &access, const Position &position,
                       Attribute pad) {
  Type element = access.view->element;
  Position place = position;
  if (place.lane >= 0 && access.dims[place.lane] < 0)
    place.lane = -1; // A broadcast.
  SmallVector<Coord> coords = coordsAt(access, place);
  Value row, mask = laneMask(access, coords, place, row);

  if (place.lane < 0) {
    Value pointer = address(access, coords);
    if (row)
      pointer = LLVM::SelectOp::create(b, row, pointer, padSlot(element, pad));
    return rawLoad(element, pointer, true);
  }
  if (row)
    mask = conjunction(b, mask, splat(row));
  if (place.lane == access.gatherDim)
    return loadGathered(access, coords, place, mask, pad);
  Value pointer = address(access, coords);
  Coord stride = laneStride(access, place);
  if (!stride.isStatic() || stride.offset != 1)
    return gather(element, pointer, laneOffsets(stride), mask, pad);
  if (!mask)
    return rawLoad(element, pointer, false);
  Value others = toMemoryForm(constantVec(element, pad));
  Value vector =
      LLVM::MaskedLoadOp::create(b, vectorOf(memoryType(element)), pointer,
                                 mask, others, byteSize(element));
  return fromMemoryForm(vector, element);
}

void Emitter::storeVec(const Access &access, const Position &position,
                       Value vector) {
  Type element = access.view->element;
  SmallVector<Coord> coords = coordsAt(access, position);
  Value row, mask = laneMask(access, coords, position, row);
  Value pointer = address(access, coords);
  if (position.lane < 0) {
    // One element: a vector of which only the first lane is written.
    Value first = lanesBelow({Value(), 1});
    mask = conjunction(b, mask, first);
  }
  Coord stride = laneStride(access, position);
  IntegerAttr alignment = b.getI32IntegerAttr(byteSize(element));
  bool isScattered = !stride.isStatic() || stride.offset != 1;
  // Masks would do, but where the row is no memory they take an assist each.
  if (row && !isScattered)
    pointer = LLVM::SelectOp::create(b, row, pointer, sinkSlot());
  else if (row)
    mask = conjunction(b, mask, splat(row));
  if (isScattered) {
    LLVM::masked_scatter::create(
        b, toMemoryForm(vector),
        lanePointers(element, pointer, laneOffsets(stride)),
        mask ? mask : allLanes(), alignment);
    return;
  }
  if (!mask)
    return rawStore(vector, pointer);
  LLVM::MaskedStoreOp::create(b, toMemoryForm(vector), pointer, mask,
                              alignment);
}
