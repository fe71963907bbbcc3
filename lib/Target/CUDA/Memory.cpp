// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Views, loads and stores. An access is wide where it is known to be aligned
// and to lie inside of the view or outside as a whole; a test each says which,
// where that is not known. Else the tile has two forms, chosen at run time once
// for all of it: wide and without tests, and element by element, each with a
// test.

#include "lib/Target/CUDA/Emitter.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// A load or store of a tile in a layout.
struct Emitter::Access {
  const View &view;
  RankedTensorType type;
  ValueRange indices;     ///< Per view dim.
  ArrayRef<int64_t> dims; ///< View dims, per tile dim.
  ArrayRef<int64_t> inBounds;
  std::optional<int64_t> gatherDim = {}; ///< A tile dim.
  Registers gathered = {};               ///< Positions along it, per register.
  Attribute pad = {};
  // What `prepare` fills in.
  SmallVector<Coord> start = {}; ///< Per view dim.
  LinearLayout layout = LinearLayout();
  Value pointer = {};              ///< Of the thread's first register.
  SmallVector<Value> threads = {}; ///< Per tile dim, as getThreadPosition.
  int64_t run = 1;                 ///< Elements of a wide access.
  bool isAligned = false;          ///< Wide accesses are known to be.
  bool isWhole = false;            ///< None of them leaves the view halfway.
  Value outer = {}; ///< Whether its index is inside where no tile dim runs.
  std::map<std::pair<unsigned, int64_t>, Value> tests = {};

  bool isPromised(unsigned tileDim) const {
    return llvm::is_contained(inBounds, int64_t(tileDim));
  }
  bool isGathered(unsigned tileDim) const {
    return gatherDim && *gatherDim == int64_t(tileDim);
  }
  /// Whether its elements are anywhere but at the access's start along the view
  /// dim. Those that are gathered may be, even if there is one.
  bool leavesStart(unsigned tileDim) const {
    return dims[tileDim] >= 0 &&
           (isGathered(tileDim) || layout.getExtent(tileDim) > 1);
  }
  int64_t getStartDivisor() const;
  bool keepsAlignment(unsigned along, int64_t run) const;
  /// Whether its only form is wide, with tests if there are any to make.
  bool isTestedWide() const { return isAligned && isWhole; }
  int64_t getRun(bool isInside) const {
    return isInside || isTestedWide() ? run : 1;
  }
  bool isNamed(unsigned viewDim) const {
    return llvm::is_contained(dims, int64_t(viewDim));
  }
};

//===----------------------------------------------------------------------===//
// Alignment
//===----------------------------------------------------------------------===//

/// No access of memory has more elements.
static constexpr int64_t kMostDivisor = kAccessBytes;

static int64_t getDivisorOf(int64_t number) {
  int64_t power = number & -number;
  return number == 0 ? kMostDivisor : std::min(power, kMostDivisor);
}

/// A power of two that divides a scalar of the kernel.
static int64_t getDivisor(OpFoldResult scalar) {
  if (auto constant = getConstantIntValue(scalar))
    return getDivisorOf(*constant);
  auto value = cast<Value>(scalar);
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (!loop || argument != loop.getInductionVar())
      return 1;
    return std::min(getDivisor(loop.getLowerBound()),
                    getDivisor(loop.getStep()));
  }
  Operation *op = value.getDefiningOp();
  if (isa<arith::MulIOp>(op))
    return std::min(getDivisor(op->getOperand(0)) *
                        getDivisor(op->getOperand(1)),
                    kMostDivisor);
  if (isa<arith::IndexCastOp>(op))
    return getDivisor(op->getOperand(0));
  if (isa<arith::AddIOp, arith::SubIOp, arith::RemUIOp>(op))
    return std::min(getDivisor(op->getOperand(0)),
                    getDivisor(op->getOperand(1)));
  return 1;
}

/// A power of two that divides the distance, in elements, of where a tile
/// begins from where its buffer does.
int64_t Emitter::Access::getStartDivisor() const {
  int64_t divisor = view.offsetDivisor;
  for (auto [at, stride] : llvm::zip_equal(indices, view.strideDivisors))
    divisor = std::min(divisor, getDivisor(at) * stride);
  return divisor;
}

//===----------------------------------------------------------------------===//
// Views and scalars
//===----------------------------------------------------------------------===//

Value Emitter::offsetPointer(Value pointer, Type element, Value offset) {
  Value wide = arith::IndexCastOp::create(b, b.getI64Type(), offset);
  return machine.advance(b, pointer, getMemoryType(element), wide);
}

void Emitter::emitView(tile::ViewOp op) {
  auto view = std::make_unique<View>();
  view->element = op.getType().getElementType();
  view->pointer = mapping.lookup(op.getBuffer());
  if (op.getOffset()) {
    view->pointer = offsetPointer(view->pointer, view->element,
                                  indexValue(coordOf(op.getOffset())));
    view->offsetDivisor = getDivisor(op.getOffset());
  }
  for (OpFoldResult size : op.getMixedSizes()) {
    view->sizes.push_back(coordOf(size));
    view->sizeDivisors.push_back(getDivisor(size));
  }
  for (OpFoldResult stride : op.getMixedStrides()) {
    view->strides.push_back(coordOf(stride));
    view->strideDivisors.push_back(getDivisor(stride));
  }
  views[op.getResult()] = std::move(view);
}

void Emitter::emitLoadScalar(tile::LoadScalarOp op) {
  const View &view = *views.at(op.getView());
  Coord offset;
  for (auto [at, stride] : llvm::zip_equal(op.getIndices(), view.strides))
    offset = add(offset, mul(coordOf(at), stride));
  Value pointer = offsetPointer(view.pointer, view.element, indexValue(offset));
  Registers value = machine.load(b, pointer, getMemoryType(view.element),
                                 /*count=*/1, /*alignment=*/0);
  mapping.map(op.getResult(), fromMemory(value[0], view.element));
}

//===----------------------------------------------------------------------===//
// Addresses
//===----------------------------------------------------------------------===//

/// Whether all of the access is a multiple of `run` away from its start, apart
/// from the dim along which the run lies; unknown strides are not asked.
bool Emitter::Access::keepsAlignment(unsigned along, int64_t run) const {
  for (auto [t, dim] : llvm::enumerate(dims)) {
    if (t == along || !leavesStart(t))
      continue;
    const Coord &stride = view.strides[dim];
    if (stride.isStatic() && stride.offset % run)
      return false;
  }
  return true;
}

/// Fills in what all registers share.
void Emitter::prepare(Access &access, const LinearLayout &layout) {
  access.layout = layout;
  const View &view = access.view;
  for (Value at : access.indices)
    access.start.push_back(coordOf(at));
  Coord offset;
  for (auto [at, stride] : llvm::zip_equal(access.start, view.strides))
    offset = add(offset, mul(at, stride));
  for (unsigned t = 0; t < access.dims.size(); ++t) {
    Value thread = getThreadPosition(layout, t);
    access.threads.push_back(thread);
    if (!thread || access.dims[t] < 0 || access.isGathered(t))
      continue;
    offset = add(offset, mul(Coord{thread, 0}, view.strides[access.dims[t]]));
  }
  access.pointer = view.pointer;
  if (!offset.isStatic() || offset.offset)
    access.pointer =
        offsetPointer(view.pointer, view.element, indexValue(offset));
  int64_t most = kAccessBytes / getMemoryBytes(view.element);
  for (unsigned t = 0; t < access.dims.size(); ++t) {
    if (access.dims[t] < 0 || access.isGathered(t))
      continue;
    const Coord &stride = view.strides[access.dims[t]];
    int64_t run = std::min(layout.getRun(t), most);
    while (access.type.getDimSize(t) % run)
      run /= 2;
    if (run > 1 && stride.isStatic() && stride.offset == 1 &&
        llvm::count(access.dims, access.dims[t]) == 1 &&
        access.keepsAlignment(t, run)) {
      access.run = run;
      unsigned dim = access.dims[t];
      access.isWhole =
          run > 1 && (access.isPromised(t) ||
                      (getDivisor(access.indices[dim]) % run == 0 &&
                       view.sizeDivisors[dim] % run == 0));
    }
  }
  // Buffers begin at multiples of the widest access.
  access.isAligned = access.getStartDivisor() % access.run == 0;
  for (unsigned t = 0; t < access.dims.size(); ++t)
    if (access.leavesStart(t) && view.strides[access.dims[t]].base)
      access.isAligned &= view.strideDivisors[access.dims[t]] % access.run == 0;
  access.outer = getUniformBounds(access, /*isNamed=*/false);
}

Value Emitter::getAddress(const Access &access, int64_t reg) {
  LinearLayout::Position at = access.layout.applyRegister(reg);
  Coord offset;
  for (auto [t, dim] : llvm::enumerate(access.dims)) {
    if (dim < 0)
      continue;
    const Coord &stride = access.view.strides[dim];
    if (access.isGathered(t))
      offset = add(offset, mul(Coord{access.gathered[reg], 0}, stride));
    else
      offset = add(offset, mul(Coord{Value(), at[t]}, stride));
  }
  if (offset.isStatic() && offset.offset == 0)
    return access.pointer;
  if (offset.isStatic() && llvm::isInt<gpu::Machine::kStepBits>(offset.offset))
    return machine.advance(b, access.pointer,
                           getMemoryType(access.view.element), offset.offset);
  return offsetPointer(access.pointer, access.view.element, indexValue(offset));
}

//===----------------------------------------------------------------------===//
// Tests
//===----------------------------------------------------------------------===//

static Value both(ImplicitLocOpBuilder &b, Value x, Value y) {
  if (!x || !y)
    return x ? x : y;
  return b.createOrFold<arith::AndIOp>(x, y);
}

static Value isBelow(ImplicitLocOpBuilder &b, Value x, Value limit) {
  return b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::ult, x, limit);
}

/// Whether the whole tile lies inside of the view along the dims that tile dims
/// name, gathered positions apart, or along the others; null if that is known.
Value Emitter::getUniformBounds(const Access &access, bool isNamed) {
  Value result;
  for (unsigned dim = 0; dim < access.start.size(); ++dim) {
    if (access.isNamed(dim) != isNamed)
      continue;
    int64_t reach = 0;
    bool isTested = true;
    for (auto [t, its] : llvm::enumerate(access.dims)) {
      if (its != int64_t(dim))
        continue;
      isTested &= !access.isPromised(t) && !access.isGathered(t);
      reach += access.type.getDimSize(t) - 1;
    }
    if (!isTested)
      continue;
    const Coord &start = access.start[dim], &size = access.view.sizes[dim];
    if (start.isStatic() && size.isStatic() && start.offset >= 0 &&
        start.offset + reach < size.offset)
      continue;
    Value first = indexValue(start), limit = indexValue(size);
    result = both(b, result, isBelow(b, first, limit));
    if (reach)
      result =
          both(b, result,
               isBelow(b, indexValue(add(start, {Value(), reach})), limit));
  }
  return result;
}

/// Whether wide accesses are aligned; null if that is known.
Value Emitter::getAlignment(const Access &access) {
  if (access.isAligned)
    return {};
  const View &view = access.view;
  Coord offset;
  for (auto [at, stride] : llvm::zip_equal(access.start, view.strides))
    offset = add(offset, mul(at, stride));
  Value first = offsetPointer(view.pointer, view.element, indexValue(offset));
  Value bits = machine.getNumber(b, first);
  int64_t bytes = getMemoryBytes(view.element);
  for (auto [t, dim] : llvm::enumerate(access.dims)) {
    if (!access.leavesStart(t) || view.strides[dim].isStatic())
      continue;
    Value stride = arith::IndexCastOp::create(
        b, b.getI64Type(), indexValue(mul(view.strides[dim], {{}, bytes})));
    bits = arith::OrIOp::create(b, bits, stride);
  }
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
  };
  Value low = arith::AndIOp::create(b, bits, constant(access.run * bytes - 1));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, low, constant(0));
}

/// Whether the form without tests may run; null if there is one form only.
Value Emitter::chooseForm(const Access &access) {
  if (access.isTestedWide())
    return {};
  return both(b, getUniformBounds(access, /*isNamed=*/true),
              getAlignment(access));
}

/// Whether register `reg` is an element of the tile and of the view; null if
/// that is known. `isInside`: the tile lies inside of the view.
Value Emitter::getPredicate(Access &access, int64_t reg, bool isInside) {
  LinearLayout::Position at = access.layout.applyRegister(reg);
  auto remember = [&](unsigned key, int64_t number,
                      llvm::function_ref<Value()> make) {
    Value &test = access.tests[{key, number}];
    return test ? test : test = make();
  };
  Value result = access.outer;
  SmallVector<Coord> positions = access.start;
  SmallVector<bool> isTested(positions.size(), !isInside);
  SmallVector<int64_t> numbers(positions.size(), 0);
  unsigned views = positions.size();
  for (auto [t, dim] : llvm::enumerate(access.dims)) {
    int64_t extent = access.type.getDimSize(t);
    if (access.layout.getExtent(t) > extent) {
      Coord own{access.threads[t], at[t]};
      result = both(b, result, remember(views + t, at[t], [&] {
                      return isBelow(b, indexValue(own), index(extent));
                    }));
    }
    if (dim < 0)
      continue;
    if (access.isGathered(t)) {
      positions[dim] = add(positions[dim], {access.gathered[reg], 0});
      isTested[dim] = !access.isPromised(t);
      numbers[dim] = reg;
      continue;
    }
    positions[dim] = add(positions[dim], {access.threads[t], at[t]});
    numbers[dim] = numbers[dim] * (int64_t(1) << 31) + at[t];
    if (access.isPromised(t))
      isTested[dim] = false;
  }
  for (unsigned dim = 0; dim < views; ++dim) {
    const Coord &size = access.view.sizes[dim];
    bool isKnown = positions[dim].isStatic() && size.isStatic() &&
                   positions[dim].offset >= 0 &&
                   positions[dim].offset < size.offset;
    if (isTested[dim] && !isKnown && access.isNamed(dim))
      result = both(b, result, remember(dim, numbers[dim], [&] {
                      return isBelow(b, indexValue(positions[dim]),
                                     indexValue(size));
                    }));
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

Registers Emitter::loadAll(Access &access, bool isInside) {
  Type element = access.view.element, memory = getMemoryType(element);
  int64_t run = access.getRun(isInside);
  Registers result;
  int64_t count = access.layout.getSize(LinearLayout::Register);
  for (int64_t reg = 0; reg < count; reg += run) {
    Value pointer = getAddress(access, reg);
    Value test = getPredicate(access, reg, isInside);
    if (test)
      pointer = machine.orZeros(b, test, pointer);
    for (Value loaded :
         machine.load(b, pointer, memory, run, run * getMemoryBytes(element))) {
      Value value = fromMemory(loaded, element);
      if (test && access.pad) {
        Value pad = arith::ConstantOp::create(b, cast<TypedAttr>(access.pad));
        value = arith::SelectOp::create(b, test, value, pad);
      }
      result.push_back(value);
    }
  }
  return result;
}

Emitter::Access Emitter::getLoadAccess(tile::LoadOp op) {
  Access access{*views.at(op.getView()), op.getType(), op.getIndices(),
                op.getDims(), op.getInBounds()};
  if (auto pad = op.getPadAttr(); pad && !isa<UnitAttr>(pad))
    access.pad = pad;
  return access;
}

/// Finds the positions along the dim that is gathered, if one is.
void Emitter::gather(Access &access, tile::LoadOp op,
                     const LinearLayout &layout) {
  if (!op.getGather())
    return;
  access.gatherDim = *op.getGatherDim();
  access.gathered = get(op.getGather(), layout.project({*access.gatherDim}));
}

Registers Emitter::load(tile::LoadOp op, const LinearLayout &layout) {
  Access access = getLoadAccess(op);
  gather(access, op, layout);
  prepare(access, layout);
  Value isFast = chooseForm(access);
  if (!isFast)
    return loadAll(access, !access.isTestedWide());
  SmallVector<Type> types(layout.getSize(LinearLayout::Register),
                          access.view.element);
  auto branch = scf::IfOp::create(b, types, isFast, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(b);
  for (bool fast : {true, false}) {
    b.setInsertionPointToEnd(fast ? branch.thenBlock() : branch.elseBlock());
    access.tests.clear();
    scf::YieldOp::create(b, loadAll(access, fast));
  }
  return Registers(branch.getResults());
}

//===----------------------------------------------------------------------===//
// Copies to shared memory
//===----------------------------------------------------------------------===//

/// How many bytes of the chunk from register `reg` on exist, as an i32; null if
/// all do. `along`: the dim of the chunk.
Value Emitter::getBytesInside(Access &access, unsigned along, int64_t reg) {
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  };
  Value test = getPredicate(access, reg, /*isInside=*/false);
  Value bytes;
  const Coord &size = access.view.sizes[access.dims[along]];
  Coord at = access.start[access.dims[along]];
  bool isWhole = access.isPromised(along) ||
                 (at.isStatic() && size.isStatic() && at.offset >= 0 &&
                  at.offset + access.type.getDimSize(along) <= size.offset);
  if (!isWhole) {
    at = add(at,
             {access.threads[along], access.layout.applyRegister(reg)[along]});
    Value left = arith::SubIOp::create(b, indexValue(size), indexValue(at));
    left = arith::MinUIOp::create(b, left, index(access.run));
    bytes = arith::IndexCastOp::create(
        b, b.getI32Type(),
        indexValue(mul({left, 0}, {{}, getMemoryBytes(access.view.element)})));
  }
  if (!test)
    return bytes;
  return arith::SelectOp::create(
      b, test, bytes ? bytes : constant(kAccessBytes), constant(0));
}

/// Chunks of 16 bytes on their way to `home`, zeros for what does not exist.
void Emitter::copyAll(Access &access, const Home &home) {
  Value thread = getHomeThread(home, access.layout);
  int64_t count = access.layout.getSize(LinearLayout::Register);
  for (int64_t reg = 0; reg < count; reg += access.run) {
    Value to = getHomePointer(home, thread,
                              home.getOffset(access.layout.applyRegister(reg)));
    Value from = getAddress(access, reg);
    machine.copy(b, to, from, getBytesInside(access, home.getInnerDim(), reg));
  }
}

/// Where chunks are aligned they are on their way afterwards; else the tile is
/// at home. No barrier: that is up to the caller.
void Emitter::copyTile(tile::LoadOp op, const Home &home) {
  auto view = op.getView().getDefiningOp<tile::ViewOp>();
  SmallVector<int64_t> source;
  LinearLayout layout = getCoalesced(op.getType(), view, op.getDims())
                            .withoutRepeatedRegisters(source);
  Access access = getLoadAccess(op);
  gather(access, op, layout);
  prepare(access, layout);
  OpBuilder::InsertionGuard guard(b);
  if (Value speaks = isSpeaker(layout)) {
    auto branch = scf::IfOp::create(b, speaks);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
  }
  SmallVector<int64_t> start(2, 0);
  auto copySlowly = [&] {
    writeHome(home, layout, start, loadAll(access, /*isFast=*/false),
              op.getType().getShape());
  };
  if (access.run * getMemoryBytes(access.view.element) < kAccessBytes)
    return copySlowly();
  Value isAligned = getAlignment(access);
  if (!isAligned)
    return copyAll(access, home);
  auto branch = scf::IfOp::create(b, isAligned, /*withElseRegion=*/true);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  copyAll(access, home);
  b.setInsertionPoint(branch.elseBlock()->getTerminator());
  access.tests.clear();
  copySlowly();
}

//===----------------------------------------------------------------------===//
// Stores
//===----------------------------------------------------------------------===//

void Emitter::storeAll(Access &access, const Registers &values, bool isInside) {
  int64_t run = access.getRun(isInside);
  for (int64_t reg = 0; reg < int64_t(values.size()); reg += run) {
    OpBuilder::InsertionGuard guard(b);
    if (Value test = getPredicate(access, reg, isInside)) {
      auto branch = scf::IfOp::create(b, test);
      b.setInsertionPoint(branch.thenBlock()->getTerminator());
    }
    Value pointer = getAddress(access, reg);
    SmallVector<Value> parts;
    for (int64_t i = 0; i < run; ++i)
      parts.push_back(toMemory(values[reg + i]));
    machine.store(b, pointer, parts, run * getMemoryBytes(access.view.element));
  }
}

LogicalResult Emitter::emitStore(tile::StoreOp op) {
  if (auto it = replacedStores.find(op); it != replacedStores.end())
    return it->second();
  auto viewOp = op.getView().getDefiningOp<tile::ViewOp>();
  RankedTensorType type = op.getTile().getType();
  std::optional<LinearLayout> natural = getNatural(op.getTile());
  LinearLayout layout =
      natural ? *natural : getCoalesced(type, viewOp, op.getDims());
  SmallVector<int64_t> source;
  layout = layout.withoutRepeatedRegisters(source);
  Registers values = get(op.getTile(), layout);

  Access access{*views.at(op.getView()), type, op.getIndices(), op.getDims(),
                op.getInBounds()};
  bool isOrdered = orderedBuffers.contains(viewOp.getBuffer());
  if (isOrdered)
    barrier();
  {
    OpBuilder::InsertionGuard guard(b);
    prepare(access, layout);
    if (Value writes = both(b, isSpeaker(layout), access.outer)) {
      auto branch = scf::IfOp::create(b, writes);
      b.setInsertionPoint(branch.thenBlock()->getTerminator());
    }
    access.outer = {};
    Value isFast = chooseForm(access);
    if (!isFast) {
      storeAll(access, values, !access.isTestedWide());
    } else {
      auto branch = scf::IfOp::create(b, isFast, /*withElseRegion=*/true);
      for (bool fast : {true, false}) {
        Block *block = fast ? branch.thenBlock() : branch.elseBlock();
        b.setInsertionPoint(block->getTerminator());
        access.tests.clear();
        storeAll(access, values, fast);
      }
    }
  }
  if (isOrdered)
    barrier();
  return success();
}
