// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// scf.for and scf.if with tiles. Carried tiles are vectors in the loop's own
// iteration arguments while registers last, then scratch updated in place.

#include "lib/Target/X86/Emitter.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// Iterations of a multiply of a few steps of k that are unrolled.
static constexpr int kMmaUnroll = 4;

static bool isTile(Value value) {
  return isa<RankedTensorType>(value.getType());
}

/// All vectors of `tile`, in register order.
SmallVector<Value> Emitter::vectorsOf(Value tile) {
  SmallVector<Value> vectors;
  SmallVector<int64_t> shape = shapeOf(tile);
  forEachUnrolled(shape, static_cast<int>(shape.size()) - 1,
                  [&](const Position &position) {
                    vectors.push_back(vec(tile, position));
                  });
  return vectors;
}

/// The iteration argument of which `op` computes the next value, and nothing
/// else reads: then the accumulator may be overwritten.
Value Emitter::inPlaceMemory(tile::MmaOp op) {
  if (!op->hasOneUse())
    return Value();
  OpOperand &use = *op->use_begin();
  auto loop = dyn_cast<scf::ForOp>(use.getOwner()->getParentOp());
  if (!loop || !isa<scf::YieldOp>(use.getOwner()) ||
      op->getParentOp() != loop.getOperation())
    return Value();
  Value carried = loop.getRegionIterArg(use.getOperandNumber());
  Storage storage = tiles.lookup(carried);
  if (storage.kind != Storage::Scratch ||
      !reachesOnly(carried, op.getAccMutable()))
    return Value();
  return storage.memory;
}

/// Whether `tile` only goes, position by position, into `end`.
bool Emitter::reachesOnly(Value tile, OpOperand &end) {
  return llvm::all_of(tile.getUses(), [&](OpOperand &use) {
    Operation *user = use.getOwner();
    if (&use == &end)
      return true;
    return OpTrait::hasElementwiseMappableTraits(user) &&
           tiles.lookup(user->getResult(0)).kind == Storage::Deferred &&
           reachesOnly(user->getResult(0), end);
  });
}

//===----------------------------------------------------------------------===//
// scf.for
//===----------------------------------------------------------------------===//

/// Whether `tile` was made beside `loop`, which alone reads it: then it may be
/// carried where it is.
static bool endsIn(Value tile, scf::ForOp loop) {
  Operation *made = tile.getDefiningOp();
  return made && made->getBlock() == loop->getBlock() && tile.hasOneUse();
}

/// Where the loop's carried tiles live, holding their initial values; the
/// values of its other iteration arguments go to `scalars`.
SmallVector<Storage> Emitter::placeCarried(scf::ForOp op,
                                           SmallVectorImpl<Value> &scalars) {
  SmallVector<Storage> carried;
  int64_t registers = 0;
  for (Value init : op.getInitArgs()) {
    Storage storage;
    if (!isTile(init)) {
      scalars.push_back(mapping.lookup(init));
      carried.push_back(storage);
      continue;
    }
    registers += vectorCount(init);
    if (fitsRegisters(init) && registers <= unit.registers) {
      storage.kind = Storage::Registers;
      storage.registers = vectorsOf(init);
    } else {
      registers -= vectorCount(init);
      Storage source = tiles.lookup(init);
      storage.kind = Storage::Scratch;
      storage.memory = endsIn(init, op) ? source.memory : Value();
      if (source.kind != Storage::Scratch || !storage.memory) {
        storage.memory = allocate(init);
        fill(init, storage.memory);
      }
    }
    carried.push_back(storage);
  }
  return carried;
}

/// Whether the loop's body is a multiply of one step of k.
static bool isMmaLoop(scf::ForOp op) {
  bool hasLoops = false, isShort = false;
  for (Operation &inner : *op.getBody()) {
    hasLoops |= isa<scf::ForOp, scf::IfOp>(inner);
    if (auto mma = dyn_cast<tile::MmaOp>(inner))
      isShort = mma.getA().getType().getDimSize(1) <= 4;
  }
  return isShort && !hasLoops;
}

static Attribute unrollBy(OpBuilder &b, int count) {
  MLIRContext *context = b.getContext();
  auto no = b.getBoolAttr(false);
  auto unroll = LLVM::LoopUnrollAttr::get(
      context, no, b.getI32IntegerAttr(count), {}, {}, {}, {}, {});
  return LLVM::LoopAnnotationAttr::get(context, {}, {}, {}, unroll, {}, {}, {},
                                       {}, {}, {}, {}, {}, {}, {}, {});
}

/// Where the loop must end so that `tests` hold in it: a multiple of its step
/// from its lower bound on.
Value Emitter::peeledBound(scf::ForOp op, ArrayRef<const BoundTest *> tests) {
  Value lower = mapping.lookup(op.getLowerBound());
  Value upper = mapping.lookup(op.getUpperBound());
  Value step = mapping.lookup(op.getStep());
  for (const BoundTest *test : tests) {
    Coord limit = coordOf(test->size) + -test->extent;
    if (test->rest)
      limit = add(limit, mul(coordOf(scalarAhead(test->rest)), {Value(), -1}));
    Value last =
        arith::FloorDivSIOp::create(b, indexValue(limit), index(test->scale));
    Value end = arith::AddIOp::create(b, last, index(1));
    upper = arith::MinSIOp::create(b, upper, end);
  }
  Value span = arith::SubIOp::create(b, upper, lower);
  Value count = arith::CeilDivSIOp::create(b, span, step);
  count = arith::MaxSIOp::create(b, count, index(0));
  return arith::AddIOp::create(b, lower, arith::MulIOp::create(b, count, step));
}

LogicalResult Emitter::emitFor(scf::ForOp op) {
  if (std::optional<TileLoop> loop = tileLoops.lookup(op))
    return emitTileLoop(op, *loop);
  if (TileGroups groups; findGroups(op, groups))
    return emitGroups(op, groups);
  SmallVector<Value> scalars;
  SmallVector<Storage> carried = placeCarried(op, scalars);
  Value lower = mapping.lookup(op.getLowerBound());
  Value upper = mapping.lookup(op.getUpperBound());

  SmallVector<const BoundTest *> tests;
  for (const BoundTest &test : bounds.getTests())
    if (test.loop == op && !test.mayBeNegative &&
        !assumed.contains(test.bound) &&
        (!isa<Value>(test.size) ||
         isAvailableBefore(cast<Value>(test.size), &op.getRegion())))
      tests.push_back(&test);
  if (!tests.empty()) {
    Value middle = peeledBound(op, tests);
    for (const BoundTest *test : tests)
      assumed.insert(test->bound);
    LogicalResult result = emitLoopCopy(op, lower, middle, carried, scalars);
    for (const BoundTest *test : tests)
      assumed.erase(test->bound);
    if (failed(result))
      return failure();
    lower = middle;
  }
  if (failed(emitLoopCopy(op, lower, upper, carried, scalars)))
    return failure();
  unsigned scalar = 0;
  for (auto [result, storage] : llvm::zip_equal(op.getResults(), carried)) {
    if (!isTile(result)) {
      mapping.map(result, scalars[scalar++]);
      continue;
    }
    tiles[result] = storage;
    placePart(result);
  }
  return success();
}

/// Emits the loop from `lower` to `upper`. `carried` and `scalars` hold the
/// initial values, and the final ones afterwards.
LogicalResult Emitter::emitLoopCopy(scf::ForOp op, Value lower, Value upper,
                                    MutableArrayRef<Storage> carried,
                                    SmallVectorImpl<Value> &scalars) {
  SmallVector<Value> inits(scalars.begin(), scalars.end());
  for (const Storage &storage : carried)
    llvm::append_range(inits, storage.registers);
  b.setLoc(op.getLoc());
  auto loop =
      scf::ForOp::create(b, lower, upper, mapping.lookup(op.getStep()), inits);
  {
    OpBuilder::InsertionGuard guard(b);
    MemoScope scope(*this);
    b.setInsertionPointToStart(loop.getBody());
    mapping.map(op.getInductionVar(), loop.getInductionVar());
    unpackCarried(op.getRegionIterArgs(), loop.getRegionIterArgs(), carried);
    if (failed(emitBlock(*op.getBody())))
      return failure();
    prefetchWeights(op);
    SmallVector<Value> yielded = yieldTiles(op, carried);
    if (!loop.getBody()->empty() && isa<scf::YieldOp>(loop.getBody()->back()))
      loop.getBody()->back().erase();
    b.setInsertionPointToEnd(loop.getBody());
    scf::YieldOp::create(b, yielded);
  }
  if (isMmaLoop(op))
    loop->setAttr("llvm.loop_annotation", unrollBy(b, kMmaUnroll));
  ValueRange results = loop.getResults();
  for (Value &scalar : scalars) {
    scalar = results.front();
    results = results.drop_front();
  }
  for (Storage &storage : carried) {
    auto taken = results.take_front(storage.registers.size());
    results = results.drop_front(taken.size());
    storage.registers.assign(taken.begin(), taken.end());
  }
  return success();
}

/// Maps a region's arguments: scalars first, then the registers of tiles.
void Emitter::unpackCarried(ValueRange args, ValueRange values,
                            ArrayRef<Storage> carried) {
  for (Value arg : args)
    if (!isTile(arg)) {
      mapping.map(arg, values.front());
      values = values.drop_front();
    }
  for (auto [arg, storage] : llvm::zip_equal(args, carried)) {
    if (!isTile(arg))
      continue;
    Storage inner = storage;
    auto taken = values.take_front(storage.registers.size());
    inner.registers.assign(taken.begin(), taken.end());
    values = values.drop_front(taken.size());
    tiles[arg] = inner;
  }
}

/// Brings the yielded tiles to where `carried` says, and returns the values
/// that the new loop yields. Registers and copies are computed before any
/// carried scratch is overwritten.
SmallVector<Value> Emitter::yieldTiles(scf::ForOp op,
                                       ArrayRef<Storage> carried) {
  SmallVector<Value> yielded;
  for (Value value : op.getYieldedValues())
    if (!isTile(value))
      yielded.push_back(mapping.lookup(value));
  for (auto [value, storage] : llvm::zip_equal(op.getYieldedValues(), carried))
    if (storage.kind == Storage::Registers)
      llvm::append_range(yielded, vectorsOf(value));

  SmallVector<std::tuple<Value, Value, Value>> copies;
  for (auto [i, value, storage] :
       llvm::enumerate(op.getYieldedValues(), carried)) {
    if (storage.kind != Storage::Scratch)
      continue;
    Storage source = tiles.lookup(value);
    Operation *made = value.getDefiningOp();
    if (source.kind == Storage::Deferred && made &&
        OpTrait::hasElementwiseMappableTraits(made) &&
        reachesOnly(op.getRegionIterArg(i),
                    op.getBody()->getTerminator()->getOpOperand(i))) {
      fill(value, storage.memory);
      continue;
    }
    if (source.kind == Storage::Scratch && source.memory == storage.memory)
      continue;
    Value memory = source.memory;
    if (source.kind != Storage::Scratch) {
      memory = allocate(value);
      fill(value, memory);
    }
    copies.emplace_back(value, memory, storage.memory);
  }
  for (auto [tile, from, to] : copies) {
    SmallVector<int64_t> shape = shapeOf(tile);
    forEachInBox(shape, static_cast<int>(shape.size()) - 1,
                 [&, tile = tile, from = from, to = to](const Position &at) {
                   writeScratch(tile, to, at, readScratch(tile, from, at));
                 });
  }
  return yielded;
}

//===----------------------------------------------------------------------===//
// scf.if
//===----------------------------------------------------------------------===//

LogicalResult Emitter::emitIf(scf::IfOp op) {
  SmallVector<Storage> places;
  SmallVector<Type> types;
  for (Value result : op.getResults())
    if (!isTile(result))
      types.push_back(result.getType());
  for (Value result : op.getResults()) {
    Storage storage;
    if (isTile(result) && fitsRegisters(result)) {
      storage.kind = Storage::Registers;
      storage.registers.resize(vectorCount(result));
      Type element = getElementTypeOrSelf(result);
      types.append(storage.registers.size(), vectorOf(element));
    } else if (isTile(result)) {
      storage.kind = Storage::Scratch;
      storage.memory = allocate(result);
    }
    places.push_back(storage);
  }
  auto branch =
      scf::IfOp::create(b, types, mapping.lookup(op.getCondition()),
                        /*addElseRegion=*/!op.getElseRegion().empty());
  auto emitRegion = [&](Region &from, Region &to) -> LogicalResult {
    OpBuilder::InsertionGuard guard(b);
    MemoScope scope(*this);
    if (to.front().empty() || !to.front().mightHaveTerminator())
      b.setInsertionPointToEnd(&to.front());
    else
      b.setInsertionPoint(to.front().getTerminator());
    if (failed(emitBlock(from.front())))
      return failure();
    auto yield = cast<scf::YieldOp>(from.front().getTerminator());
    SmallVector<Value> scalars, vectors;
    for (auto [value, place] : llvm::zip_equal(yield.getOperands(), places)) {
      if (place.kind == Storage::Scratch)
        fill(value, place.memory);
      else if (place.kind == Storage::Registers)
        llvm::append_range(vectors, vectorsOf(value));
      else
        scalars.push_back(mapping.lookup(value));
    }
    llvm::append_range(scalars, vectors);
    if (!types.empty())
      scf::YieldOp::create(b, scalars);
    return success();
  };
  if (failed(emitRegion(op.getThenRegion(), branch.getThenRegion())))
    return failure();
  if (!op.getElseRegion().empty() &&
      failed(emitRegion(op.getElseRegion(), branch.getElseRegion())))
    return failure();
  b.setInsertionPointAfter(branch);
  for (Value result : op.getResults())
    if (isTile(result))
      tiles[result] = Storage();
  ValueRange values = branch.getResults();
  unpackCarried(op.getResults(), values, places);
  return success();
}
