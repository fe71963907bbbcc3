// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Walks the body of a kernel: what each op emits, or leaves for later.

#include "lib/Target/X86/Emitter.h"
#include "lib/Target/Float8.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

Emitter::Emitter(tile::KernelOp kernel, const VectorUnit &unit,
                 const DimClasses &classes, const Bounds &bounds,
                 const TileLoops &tileLoops, ImplicitLocOpBuilder &builder,
                 mlir::Block *entry)
    : CoordEmitter(builder), kernel(kernel), unit(unit), classes(classes),
      bounds(bounds), tileLoops(tileLoops), entry(entry) {
  memo.emplace_back();
  spills.emplace_back();
  usedScratch.emplace_back();
}

Emitter::MemoScope::MemoScope(Emitter &emitter) : emitter(emitter) {
  emitter.memo.emplace_back();
  emitter.spills.emplace_back();
  emitter.usedScratch.emplace_back();
}

Emitter::MemoScope::~MemoScope() {
  emitter.memo.pop_back();
  emitter.spills.pop_back();
  llvm::append_range(emitter.freeScratch, emitter.usedScratch.pop_back_val());
}

//===----------------------------------------------------------------------===//
// Small things
//===----------------------------------------------------------------------===//

int64_t Emitter::extent(Value tile, unsigned dim) const {
  auto it = cuts.find(classes.classOf(tile, dim));
  return it != cuts.end()
             ? it->second.extent
             : cast<RankedTensorType>(tile.getType()).getDimSize(dim);
}

SmallVector<int64_t> Emitter::shapeOf(Value tile) const {
  SmallVector<int64_t> shape;
  int64_t rank = cast<RankedTensorType>(tile.getType()).getRank();
  for (int64_t dim = 0; dim < rank; ++dim)
    shape.push_back(extent(tile, dim));
  return shape;
}

Coord Emitter::cutStart(Value tile, unsigned dim) const {
  auto it = cuts.find(classes.classOf(tile, dim));
  return it != cuts.end() ? it->second.start : Coord();
}

VectorType Emitter::vectorOf(Type element) const {
  return VectorType::get({unit.lanes}, element);
}

Value Emitter::splat(Value scalar) {
  return vector::BroadcastOp::create(b, vectorOf(scalar.getType()), scalar);
}

Value Emitter::constantVec(Type element, Attribute value) {
  if (!value)
    value = b.getZeroAttr(element);
  VectorType type = vectorOf(element);
  return arith::ConstantOp::create(
      b, cast<TypedAttr>(SplatElementsAttr::get(type, value)));
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

LogicalResult Emitter::emitBlock(mlir::Block &block) {
  for (Operation &op : block.without_terminator()) {
    TileEpilogue epilogue;
    if (auto loop = dyn_cast<scf::ForOp>(op);
        loop && findEpilogue(loop, epilogue))
      return emitOverlapped(loop, epilogue); // And all that follows it.
    if (failed(emitOp(&op)))
      return failure();
  }
  return success();
}

static bool isTile(Value value) {
  return isa<RankedTensorType>(value.getType());
}

/// Element types that vectors of x86 have, or are converted to.
static bool isSupported(Type element) {
  return element.isIndex() || element.isInteger(1) || element.isInteger(8) ||
         element.isInteger(16) || element.isInteger(32) ||
         element.isInteger(64) ||
         isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(element) ||
         isFloat8(element);
}

LogicalResult Emitter::emitOp(Operation *op) {
  b.setLoc(op->getLoc());
  for (Value result : op->getResults())
    if (isTile(result) && !isSupported(getElementTypeOrSelf(result)))
      return op->emitOpError("has elements of ")
             << getElementTypeOrSelf(result) << ", which x86 tiles cannot hold";
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](tile::ViewOp view) { return emitView(view); })
      .Case([&](tile::LoadScalarOp load) { return emitLoadScalar(load); })
      .Case([&](tile::StoreOp store) { return emitStore(store); })
      .Case([&](tile::ReduceOp reduce) {
        return computedAhead.erase(reduce) ? success() : emitReduce(reduce);
      })
      .Case([&](tile::ScanOp scan) { return emitScan(scan); })
      .Case([&](tile::MmaOp mma) { return emitMma(mma); })
      .Case([&](tile::ConcatOp concat) { return emitConcat(concat); })
      .Case([&](scf::ForOp loop) { return emitFor(loop); })
      .Case([&](scf::IfOp branch) { return emitIf(branch); })
      .Case<tile::ProgramIdOp>([](Operation *) { return success(); })
      .Default([&](Operation *other) -> LogicalResult {
        if (llvm::none_of(other->getResults(), isTile))
          return emitScalarOp(other);
        if (!isDeferrable(other))
          return other->emitOpError("has no x86 lowering");
        Value tile = other->getResult(0);
        if (computedAhead.erase(other))
          return success();
        tiles[tile] = Storage();
        if (SummedPairs pairs; findSummedPairs(tile, pairs)) {
          emitSummedPairs(tile, pairs);
          return success();
        }
        if (isPairsOperand(tile))
          return materializePairs(tile);
        return mustMaterialize(tile) ? materialize(tile) : success();
      });
}

LogicalResult Emitter::emitScalarOp(Operation *op) {
  if (op->getNumRegions() || llvm::any_of(op->getOperands(), isTile))
    return op->emitOpError("has no x86 lowering");
  if (isa<arith::ExtFOp, arith::TruncFOp>(op)) {
    Value vector = convertFloat(splat(mapping.lookup(op->getOperand(0))),
                                op->getResult(0).getType());
    mapping.map(op->getResult(0), vector::ExtractOp::create(b, vector, 0));
    return success();
  }
  b.clone(*op, mapping);
  return success();
}

LogicalResult Emitter::emitView(tile::ViewOp op) {
  auto info = std::make_unique<ViewInfo>();
  info->element = op.getType().getElementType();
  if (!isSupported(info->element))
    return op.emitOpError("has elements of ")
           << info->element << ", which x86 tiles cannot hold";
  info->pointer = mapping.lookup(op.getBuffer());
  if (op.getOffset())
    info->pointer =
        offsetPointer(info->pointer, info->element, coordOf(op.getOffset()));
  for (OpFoldResult size : op.getMixedSizes())
    info->sizes.push_back(coordOf(size));
  for (OpFoldResult stride : op.getMixedStrides())
    info->strides.push_back(coordOf(stride));
  views[op.getResult()] = std::move(info);
  return success();
}

LogicalResult Emitter::emitLoadScalar(tile::LoadScalarOp op) {
  const ViewInfo &view = *views.at(op.getView());
  Coord offset;
  for (auto [index, stride] : llvm::zip_equal(op.getIndices(), view.strides))
    offset = add(offset, mul(coordOf(index), stride));
  Value vector = rawLoad(
      view.element, offsetPointer(view.pointer, view.element, offset), true);
  mapping.map(op.getResult(), vector::ExtractOp::create(b, vector, 0));
  return success();
}

/// Parts that were made in place are there; the others are written now.
LogicalResult Emitter::emitConcat(tile::ConcatOp op) {
  Storage storage;
  storage.kind = Storage::Scratch;
  storage.memory = concatMemory(op);
  for (OpOperand &part : op->getOpOperands())
    if (!partsInPlace.erase(&part))
      writePart(part, storage.memory);
  tiles[op.getResult()] = storage;
  concatMemories.erase(op);
  return success();
}

Value Emitter::concatMemory(tile::ConcatOp op) {
  Value &memory = concatMemories[op];
  if (!memory)
    memory = allocate(op.getResult());
  return memory;
}

/// Writes a part to where it stands in the concatenation.
void Emitter::writePart(OpOperand &part, Value memory) {
  auto op = cast<tile::ConcatOp>(part.getOwner());
  Value tile = part.get();
  int axis = op.getAxis();
  int64_t start = 0;
  for (Value before : op.getInputs().take_front(part.getOperandNumber()))
    start += extent(before, axis);
  SmallVector<int64_t> shape = shapeOf(tile);
  int lane = static_cast<int>(shape.size()) - 1;
  // Vectors would write over the next part, or the next row.
  bool isSplit =
      axis == lane && (start % unit.lanes || shape[lane] % unit.lanes);
  auto write = [&](const Position &position) {
    Position place = position;
    place.at[axis] = place.at[axis] + start;
    Value vector = vec(tile, position);
    if (isSplit)
      writeScratchElement(op.getResult(), memory, place, vector);
    else
      writeScratch(op.getResult(), memory, place, vector);
  };
  if (isSplit)
    lane = -1;
  if (tiles.lookup(tile).kind == Storage::Registers)
    forEachUnrolled(shape, lane, write);
  else
    forEachInBox(shape, lane, write);
}

/// Moves a tile in registers to where it stands in the concatenation that alone
/// reads it: they are free then for the next part.
void Emitter::placePart(Value tile) {
  if (!tile.hasOneUse() || tiles.lookup(tile).kind != Storage::Registers)
    return;
  OpOperand &use = *tile.use_begin();
  auto op = dyn_cast<tile::ConcatOp>(use.getOwner());
  if (!op || op->getBlock() != tile.getParentBlock())
    return;
  writePart(use, concatMemory(op));
  partsInPlace.insert(&use);
}

LogicalResult Emitter::emitStore(tile::StoreOp op) {
  Access access = accessOf(op);
  if (storeTransposed(op, access))
    return success();
  SmallVector<int64_t> shape = shapeOf(op.getTile());
  // Lanes run where elements are neighbors in memory, if anywhere.
  int lane = static_cast<int>(shape.size()) - 1;
  auto isUnit = [&](int dim) {
    Coord stride = access.view->strides[access.dims[dim]];
    return stride.isStatic() && stride.offset == 1 && shape[dim] > 1;
  };
  if (lane >= 0 && !isUnit(lane))
    for (int dim = 0; dim < lane; ++dim)
      if (isUnit(dim)) {
        lane = dim;
        break;
      }
  forEachInBox(shape, lane, [&](const Position &position) {
    storeVec(access, position, vec(op.getTile(), position));
  });
  return success();
}
