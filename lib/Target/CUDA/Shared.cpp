// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tiles in shared memory, and the barriers around them.

#include "lib/Target/CUDA/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

int64_t Emitter::allocate(int64_t bytes) {
  int64_t offset = scopes.back().top;
  scopes.back().top = llvm::alignTo(offset + bytes, kAccessBytes);
  sharedBytes = std::max(sharedBytes, scopes.back().top);
  return offset;
}

Emitter::Mark Emitter::getMark() const {
  const Scope &scope = scopes.back();
  return {scope.homes.size(), scope.matrixHomes.size(), scope.top};
}

void Emitter::release(const Mark &mark) {
  Scope &scope = scopes.back();
  scope.homes.erase(scope.homes.begin() + mark.homes, scope.homes.end());
  scope.matrixHomes.erase(scope.matrixHomes.begin() + mark.matrixHomes,
                          scope.matrixHomes.end());
  scope.top = mark.top;
}

void Emitter::barrier() {
  if (groupBarrier)
    machine.meet(b, groupBarrier, warps * machine.getLanes());
  else
    machine.meet(b);
  pendingReads = pendingWrites = false;
}

void Emitter::beforeWrite() {
  if (pendingReads)
    barrier();
  pendingWrites = true;
}

void Emitter::beforeRead() {
  if (pendingWrites)
    barrier();
  pendingReads = true;
}

/// Rows begin in other banks than the rows beside them.
Home Emitter::createHome(RankedTensorType type, ArrayRef<unsigned> order) {
  Home home;
  home.element = getMemoryType(type.getElementType());
  int64_t bytes = getMemoryBytes(type.getElementType());
  home.strides.assign(type.getRank(), 0);
  int64_t stride = 1;
  for (auto [i, dim] : llvm::enumerate(llvm::reverse(order))) {
    home.strides[dim] = stride;
    stride *=
        int64_t(llvm::PowerOf2Ceil(std::max<int64_t>(type.getDimSize(dim), 1)));
    if (i == 0 && type.getRank() > 1 && stride * bytes >= 64)
      stride += kAccessBytes / bytes;
  }
  home.offset = allocate(stride * bytes);
  return home;
}

Value Emitter::getSharedPointer(Value bytes, int64_t offset) {
  Value pointer = shared;
  if (bytes) {
    Value wide = arith::IndexCastOp::create(b, b.getI32Type(), bytes);
    pointer = machine.advance(b, pointer, b.getI8Type(), wide);
  }
  if (offset == 0)
    return pointer;
  return machine.advance(b, pointer, b.getI8Type(), offset);
}

Home Home::getBox(Type element, unsigned lineDim, int64_t lineBytes) {
  constexpr int64_t bankBytes = 128;
  Home home;
  home.element = getMemoryType(element);
  home.strides.assign(2, 1);
  home.strides[1 - lineDim] = lineBytes / getMemoryBytes(element);
  home.chunkMask = lineBytes / kAccessBytes - 1;
  home.rowShift = llvm::Log2_64(bankBytes / lineBytes);
  return home;
}

int64_t Home::getOffset(ArrayRef<int64_t> position) const {
  int64_t elements = 0;
  for (auto [at, stride] : llvm::zip_equal(position, strides))
    elements += at * stride;
  int64_t offset = elements * (element.getIntOrFloatBitWidth() / 8);
  if (!chunkMask)
    return offset;
  int64_t row = position[1 - getInnerDim()];
  return offset ^ (row >> rowShift & chunkMask) * kAccessBytes;
}

Value Emitter::getHomeThread(const Home &home, const LinearLayout &layout) {
  int64_t bytes = home.element.getIntOrFloatBitWidth() / 8;
  Coord thread;
  for (unsigned dim = 0; dim < layout.getRank(); ++dim)
    if (Value at = getThreadPosition(layout, dim))
      thread = add(thread, mul({at, 0}, {{}, home.strides[dim] * bytes}));
  Value row;
  if (home.chunkMask)
    row = getThreadPosition(layout, 1 - home.getInnerDim());
  if (!row)
    return thread.base;
  row = arith::ShRUIOp::create(b, row, index(home.rowShift));
  row = arith::AndIOp::create(b, row, index(home.chunkMask));
  row = arith::MulIOp::create(b, row, index(kAccessBytes));
  return arith::XOrIOp::create(b, indexValue(thread), row);
}

/// The bits of what the thread and what a register adds differ, but for those
/// of the chunk.
Value Emitter::getHomePointer(const Home &home, Value thread, int64_t offset) {
  int64_t chunk = offset & home.chunkMask * kAccessBytes;
  if (thread && chunk) {
    thread = arith::XOrIOp::create(b, thread, index(chunk));
    offset -= chunk;
  }
  return getSharedPointer(add({home.base, 0}, {thread, 0}).base,
                          home.offset + offset);
}

namespace {
/// How a layout's registers lie at home.
struct HomeAccess {
  SmallVector<int64_t> offsets; ///< Of each register, in bytes.
  int64_t run = 1;              ///< Registers of one access.
};
} // namespace

static HomeAccess getAccess(const Home &home, const LinearLayout &layout) {
  HomeAccess access;
  int64_t bytes = home.element.getIntOrFloatBitWidth() / 8;
  for (int64_t reg = 0; reg < layout.getSize(LinearLayout::Register); ++reg)
    access.offsets.push_back(home.getOffset(layout.applyRegister(reg)));
  for (unsigned dim = 0; dim < layout.getRank(); ++dim)
    if (home.strides[dim] == 1 && layout.getExtent(dim) > 1)
      access.run = std::min(layout.getRun(dim), kAccessBytes / bytes);
  for (int64_t stride : home.strides)
    while (stride != 1 && stride % access.run)
      access.run /= 2;
  return access;
}

void Emitter::writeHome(const Home &home, const LinearLayout &layout,
                        ArrayRef<int64_t> start, const Registers &values,
                        ArrayRef<int64_t> shape, bool isExact) {
  beforeWrite();
  int64_t bytes = home.element.getIntOrFloatBitWidth() / 8;
  HomeAccess access = getAccess(home, layout);
  int64_t first = 0;
  for (unsigned dim = 0; dim < layout.getRank(); ++dim) {
    first += start[dim] * home.strides[dim] * bytes;
    while (home.strides[dim] == 1 &&
           (start[dim] % access.run || (isExact && shape[dim] % access.run)))
      access.run /= 2;
    if (start[dim] * home.strides[dim] % access.run)
      access.run = 1;
  }
  OpBuilder::InsertionGuard guard(b);
  Value thread = getHomeThread(home, layout);
  if (Value speaks = isSpeaker(layout)) {
    auto branch = scf::IfOp::create(b, speaks);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
  }
  for (int64_t reg = 0; reg < int64_t(values.size()); reg += access.run) {
    OpBuilder::InsertionGuard guard(b);
    for (unsigned dim = 0; isExact && dim < layout.getRank(); ++dim) {
      if (layout.getExtent(dim) <= shape[dim])
        continue;
      Coord at{getThreadPosition(layout, dim), layout.applyRegister(reg)[dim]};
      Value isInside = arith::CmpIOp::create(b, arith::CmpIPredicate::ult,
                                             indexValue(at), index(shape[dim]));
      auto branch = scf::IfOp::create(b, isInside);
      b.setInsertionPoint(branch.thenBlock()->getTerminator());
    }
    SmallVector<Value> parts;
    for (int64_t i = 0; i < access.run; ++i)
      parts.push_back(toMemory(values[reg + i]));
    Value to = getHomePointer(home, thread, first + access.offsets[reg]);
    machine.store(b, to, parts, access.run * bytes);
  }
}

Registers Emitter::readHome(const Home &home, const LinearLayout &layout,
                            Value at) {
  beforeRead();
  int64_t bytes = home.element.getIntOrFloatBitWidth() / 8;
  HomeAccess access = getAccess(home, layout);
  Home from = home;
  if (at)
    from.base = indexValue(add({home.base, 0}, {at, 0}));
  Value thread = getHomeThread(from, layout);
  Registers result;
  for (int64_t reg = 0; reg < int64_t(access.offsets.size());
       reg += access.run) {
    Value pointer = getHomePointer(from, thread, access.offsets[reg]);
    llvm::append_range(result, machine.load(b, pointer, home.element,
                                            access.run, access.run * bytes));
  }
  return result;
}

Home Emitter::getHome(Value tile, ArrayRef<unsigned> order) {
  if (auto it = anchors.find(tile);
      it != anchors.end() && it->second.home && llvm::is_sorted(order))
    return *it->second.home;
  for (Scope &scope : scopes)
    for (auto &[value, its, home] : scope.homes)
      if (value == tile && ArrayRef(its) == order)
        return home;
  auto type = cast<RankedTensorType>(tile.getType());
  SmallVector<int64_t> source;
  LinearLayout layout = getLayout(tile).withoutRepeatedRegisters(source);
  // Other homes may be read on the way to the values.
  Registers values = get(tile, layout);
  Home home = createHome(type, order);
  SmallVector<int64_t> start(type.getRank(), 0);
  writeHome(home, layout, start, values, type.getShape());
  scopes.back().homes.emplace_back(tile, SmallVector<unsigned>(order), home);
  return home;
}

//===----------------------------------------------------------------------===//
// Operands of tensor cores
//===----------------------------------------------------------------------===//

/// The rows of a line of all banks have their chunks in the same order, those
/// of the next one in another.
Home Emitter::createMatrixHome(RankedTensorType type, ArrayRef<unsigned> order,
                               unsigned kDim, int64_t depth) {
  int64_t bytes = getMemoryBytes(type.getElementType());
  int64_t least = kAccessBytes / bytes;
  auto sizeOf = [&](unsigned dim) {
    int64_t size = std::max(type.getDimSize(dim), dim == kDim ? depth : 1);
    return int64_t(llvm::PowerOf2Ceil(size));
  };
  Home home;
  home.element = getMemoryType(type.getElementType());
  int64_t row = std::max(sizeOf(order[1]), least);
  constexpr int64_t lineBytes = 128;
  home.chunkMask = std::min(lineBytes, row * bytes) / kAccessBytes - 1;
  home.rowShift =
      llvm::Log2_64(std::max(lineBytes / (row * bytes), int64_t(1)));
  home.strides.assign(2, 1);
  home.strides[order[0]] = row;
  home.offset = allocate(sizeOf(order[0]) * row * bytes);
  return home;
}

/// The dim of the load that a tile is computed from which is contiguous, if
/// that is known.
static std::optional<unsigned> getContiguousDim(Value tile) {
  constexpr int deepest = 8;
  bool isTurned = false;
  for (int depth = 0; depth < deepest; ++depth) {
    Operation *op = tile.getDefiningOp();
    if (auto load = dyn_cast_or_null<tile::LoadOp>(op)) {
      auto view = load.getView().getDefiningOp<tile::ViewOp>();
      for (auto [t, dim] : llvm::enumerate(load.getDims()))
        if (dim >= 0 && view.getStaticStrides()[dim] == 1)
          return isTurned ? 1 - unsigned(t) : unsigned(t);
      return std::nullopt;
    }
    if (auto transpose = dyn_cast_or_null<tile::TransposeOp>(op)) {
      isTurned ^= transpose.getPermutation()[0] == 1;
      tile = transpose.getInput();
      continue;
    }
    if (!op || !isElementwise(op))
      return std::nullopt;
    auto operand = llvm::find_if(op->getOperands(), [](Value its) {
      return isa<RankedTensorType>(its.getType()) &&
             !its.getDefiningOp<arith::ConstantOp>();
    });
    if (operand == op->getOperands().end())
      return std::nullopt;
    tile = *operand;
  }
  return std::nullopt;
}

/// Whether `ldmatrix` can read it, and zeros are where there are no products.
static bool isMatrixHome(const Home &home, RankedTensorType type, unsigned kDim,
                         const MatrixKind &kind) {
  unsigned inner = home.getInnerDim();
  return home.strides[inner] == 1 && type.getElementType() == home.element &&
         home.strides[1 - inner] % (4 * kind.perWord) == 0 &&
         type.getDimSize(kDim) % kind.getDepth() == 0 &&
         (kind.perWord == 2 || inner == kDim);
}

Home Emitter::getMatrixHome(Value tile, unsigned kDim, const MatrixKind &kind) {
  RankedTensorType type = typeOf(tile);
  if (auto it = anchors.find(tile);
      it != anchors.end() && it->second.home &&
      isMatrixHome(*it->second.home, type, kDim, kind))
    return *it->second.home;
  for (Scope &scope : scopes)
    for (auto &[value, home] : scope.matrixHomes)
      if (value == tile)
        return home;
  SmallVector<int64_t> source;
  LinearLayout layout = getLayout(tile).withoutRepeatedRegisters(source);
  // Other homes may be read on the way to the values.
  Registers values = get(tile, layout);
  // Bytes are not transposed on the way to registers.
  unsigned inner =
      kind.perWord == 2 ? getContiguousDim(tile).value_or(1) : kDim;
  bool isWhole = type.getDimSize(kDim) % kind.getDepth() == 0;
  Home home = createMatrixHome(type, {1 - inner, inner}, kDim, kind.getDepth());
  SmallVector<int64_t> start(2, 0);
  if (!isWhole) {
    SmallVector<int64_t> padded(type.getShape());
    padded[kDim] = llvm::alignTo(padded[kDim], kind.getDepth());
    LinearLayout all =
        getBlocked(padded, warps, {1, 0}, 4).withoutRepeatedRegisters(source);
    Value zero = arith::ConstantOp::create(
        b, cast<TypedAttr>(b.getZeroAttr(type.getElementType())));
    writeHome(home, all, start,
              Registers(all.getSize(LinearLayout::Register), zero), padded);
    barrier();
  }
  writeHome(home, layout, start, values, type.getShape(), /*isExact=*/!isWhole);
  scopes.back().matrixHomes.emplace_back(tile, home);
  return home;
}

/// Parts are written one after the other; the whole stays at home.
LogicalResult Emitter::emitConcat(tile::ConcatOp op) {
  RankedTensorType type = op.getType();
  SmallVector<std::pair<LinearLayout, Registers>> parts;
  for (Value input : op.getInputs()) {
    SmallVector<int64_t> source;
    LinearLayout layout = getLayout(input).withoutRepeatedRegisters(source);
    parts.emplace_back(layout, get(input, layout));
  }
  Home home = createHome(type, getIdentityOrder(type.getRank()));
  SmallVector<int64_t> start(type.getRank(), 0);
  for (auto [input, part] : llvm::zip_equal(op.getInputs(), parts)) {
    auto its = cast<RankedTensorType>(input.getType());
    writeHome(home, part.first, start, part.second, its.getShape(),
              /*isExact=*/true);
    start[op.getAxis()] += its.getDimSize(op.getAxis());
  }
  anchors[op.getResult()] = {LinearLayout(type.getRank()), {}, home};
  return success();
}
