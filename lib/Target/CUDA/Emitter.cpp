// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Control flow, and what the other files of the emitter share.

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/Float8.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

Type lathe::cuda::getMemoryType(Type element) {
  MLIRContext *context = element.getContext();
  // LLVM has no floats of 8 bits.
  if (element.isInteger(1) || isFloat8(element))
    return IntegerType::get(context, 8);
  return element.isIndex() ? IntegerType::get(context, 64) : element;
}

int64_t lathe::cuda::getMemoryBytes(Type element) {
  return getMemoryType(element).getIntOrFloatBitWidth() / 8;
}

RankedTensorType lathe::cuda::typeOf(Value tile) {
  return cast<RankedTensorType>(tile.getType());
}

SmallVector<int64_t> lathe::cuda::getOtherDims(unsigned rank, int64_t axis) {
  SmallVector<int64_t> others;
  for (unsigned dim = 0; dim < rank; ++dim)
    if (dim != axis)
      others.push_back(dim);
  return others;
}

bool lathe::cuda::isElementwise(Operation *op) {
  return isa_and_nonnull<arith::ArithDialect, math::MathDialect>(
      op->getDialect());
}

SmallVector<unsigned> lathe::cuda::getIdentityOrder(unsigned rank) {
  return llvm::to_vector(llvm::seq(0u, rank));
}

Value Emitter::toMemory(Value scalar) {
  Type type = getMemoryType(scalar.getType());
  if (scalar.getType().isInteger(1))
    return arith::ExtUIOp::create(b, type, scalar);
  if (isFloat8(scalar.getType()))
    return arith::BitcastOp::create(b, type, scalar);
  if (scalar.getType().isIndex())
    return arith::IndexCastOp::create(b, type, scalar);
  return scalar;
}

Value Emitter::fromMemory(Value scalar, Type element) {
  if (element.isInteger(1)) {
    Value zero = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, scalar, zero);
  }
  if (isFloat8(element))
    return arith::BitcastOp::create(b, element, scalar);
  if (element.isIndex())
    return arith::IndexCastOp::create(b, element, scalar);
  return scalar;
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

Emitter::RegionScope::RegionScope(Emitter &emitter) : emitter(emitter) {
  int64_t top = emitter.scopes.empty() ? 0 : emitter.scopes.back().top;
  emitter.scopes.emplace_back();
  emitter.scopes.back().top = top;
  emitter.pendingReads = emitter.pendingWrites = true;
}

Emitter::RegionScope::~RegionScope() {
  emitter.scopes.pop_back();
  emitter.pendingReads = emitter.pendingWrites = true;
}

/// Whether a tile is computed from a product's sums, element by element or row
/// by row.
static bool isFromSums(Value tile) {
  SmallVector<Value> open{tile};
  DenseSet<Value> seen;
  while (!open.empty()) {
    Operation *op = open.pop_back_val().getDefiningOp();
    if (!op)
      continue;
    if (isa<tile::MmaOp>(op))
      return true;
    if (!isElementwise(op) && !isa<tile::BroadcastOp, tile::ReduceOp>(op))
      continue;
    for (Value operand : op->getOperands())
      if (seen.insert(operand).second)
        open.push_back(operand);
  }
  return false;
}

/// Whether rows of sums are reduced, or multiplied again.
static bool findsRowWork(tile::KernelOp kernel) {
  bool found = false;
  kernel.walk([&](tile::MmaOp op) { found |= isFromSums(op.getA()); });
  kernel.walk([&](tile::ReduceOp op) {
    found |= op.getAxis() == 1 && isFromSums(op.getInput());
  });
  return found;
}

/// How far an index moves at least from one step of `loop` to the next: 0 if
/// that is not known.
static int64_t getAdvance(Value index, scf::ForOp loop) {
  if (index == loop.getInductionVar())
    return std::max<int64_t>(getConstantIntValue(loop.getStep()).value_or(1),
                             1);
  Operation *op = index.getDefiningOp();
  if (!op || op->getNumOperands() != 2)
    return 0;
  Value x = op->getOperand(0), y = op->getOperand(1);
  if (isa<arith::AddIOp>(op) && loop.isDefinedOutsideOfLoop(y))
    return getAdvance(x, loop);
  if (isa<arith::AddIOp>(op) && loop.isDefinedOutsideOfLoop(x))
    return getAdvance(y, loop);
  if (auto factor = getConstantIntValue(y); isa<arith::MulIOp>(op) && factor)
    return getAdvance(x, loop) * std::max<int64_t>(*factor, 0);
  return 0;
}

/// Whether two steps of a loop around `store` may write the same element.
static bool meetsItself(tile::StoreOp store) {
  ArrayRef<int64_t> shape = store.getTile().getType().getShape();
  for (auto loop = store->getParentOfType<scf::ForOp>(); loop;
       loop = loop->getParentOfType<scf::ForOp>()) {
    bool movesOn = false;
    for (auto [dim, index] : llvm::enumerate(store.getIndices())) {
      int64_t extent = 1;
      for (auto [size, its] : llvm::zip_equal(shape, store.getDims()))
        if (its == int64_t(dim))
          extent += size - 1;
      movesOn |= getAdvance(index, loop) >= extent;
    }
    if (!movesOn)
      return true;
  }
  return false;
}

/// Whether at most one of both runs: they stand in branches of one `scf.if`.
static bool isExclusive(Operation *x, Operation *y) {
  for (auto branch = x->getParentOfType<scf::IfOp>(); branch;
       branch = branch->getParentOfType<scf::IfOp>())
    if (Operation *its = branch->getBlock()->findAncestorOpInBlock(*y);
        its == branch)
      return branch.getThenRegion().isAncestor(x->getParentRegion()) !=
                 branch.getThenRegion().isAncestor(y->getParentRegion()) &&
             !branch->getParentOfType<scf::ForOp>();
  return false;
}

Emitter::Emitter(tile::KernelOp kernel, const ThreadGroup &group,
                 ImplicitLocOpBuilder &b)
    : CoordEmitter(b), kernel(kernel), warps(group.warps),
      threadId(group.thread), shared(group.shared), groupBarrier(group.barrier),
      sharedLimit(group.sharedLimit) {
  if (!threadId)
    threadId = machine.getThread(b);
  Value whole = machine.getShared(b);
  entryEnd = whole.getDefiningOp();
  if (!shared)
    shared = whole;
  collectAccesses();
  auto bufferOf = [](Value view) {
    return view.getDefiningOp<tile::ViewOp>().getBuffer();
  };
  // A store and another access may meet, in layouts that give an element to
  // different threads; or a store and itself, in another step of a loop.
  DenseMap<Value, SmallVector<Operation *>> users;
  kernel.walk([&](Operation *op) {
    if (isa<tile::LoadOp, tile::LoadScalarOp, tile::StoreOp>(op))
      users[bufferOf(op->getOperand(isa<tile::StoreOp>(op)))].push_back(op);
  });
  for (auto &[buffer, ops] : users)
    for (Operation *op : ops) {
      auto store = dyn_cast<tile::StoreOp>(op);
      auto meets = [&](Operation *other) {
        return other == op ? meetsItself(store) : !isExclusive(op, other);
      };
      if (store && llvm::any_of(ops, meets))
        orderedBuffers.insert(buffer);
    }
  hasRowWork = findsRowWork(kernel);
}

void Emitter::replaceLoop(scf::ForOp loop, LoopEmitter emit) {
  replaced[loop] = std::move(emit);
}

void Emitter::replaceStore(tile::StoreOp store,
                           std::function<LogicalResult()> emit) {
  replacedStores[store] = std::move(emit);
}

LogicalResult Emitter::emitProgram(bool isRepeated) {
  RegionScope scope(*this);
  pendingReads = isRepeated;
  pendingWrites = false;
  return emitBlock(kernel.getBody().front());
}

LogicalResult Emitter::emitBefore(Operation *end) {
  RegionScope scope(*this);
  for (Operation &op : *end->getBlock()) {
    if (&op == end)
      break;
    if (failed(emitOp(&op)))
      return failure();
  }
  return success();
}

LogicalResult Emitter::emitBody(scf::ForOp loop, Value place, bool onlyScalars,
                                llvm::function_ref<LogicalResult()> finish) {
  RegionScope scope(*this);
  mapping.map(loop.getInductionVar(), place);
  for (Operation &op : loop.getBody()->without_terminator())
    if (!isa<tile::MmaOp>(op) && !(onlyScalars && isa<tile::ReduceOp>(op)) &&
        failed(emitOp(&op)))
      return failure();
  return finish();
}

LogicalResult Emitter::emitBlock(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(emitOp(&op)))
      return failure();
  return success();
}

static bool isTile(Value value) {
  return isa<RankedTensorType>(value.getType());
}

/// Element types that registers hold, or are widened to.
static bool isSupported(Type element) {
  return element.isIndex() || element.isInteger(1) || element.isInteger(8) ||
         element.isInteger(16) || element.isInteger(32) ||
         element.isInteger(64) ||
         isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(element) ||
         isFloat8(element);
}

/// Whether the op's result can be computed in any layout at any time.
static bool isDeferrable(Operation *op) {
  if (isa<tile::LoadOp, tile::SplatOp, tile::IotaOp, tile::BroadcastOp,
          tile::TransposeOp>(op))
    return true;
  return op->getNumResults() == 1 && op->getNumRegions() == 0 &&
         isElementwise(op);
}

bool cuda::isAnywhere(Operation &op) {
  if (isa<tile::ViewOp, tile::ProgramIdOp, tile::LoadOp, tile::LoadScalarOp,
          tile::SplatOp, tile::IotaOp, tile::BroadcastOp, tile::TransposeOp>(
          op))
    return true;
  return op.getNumRegions() == 0 &&
         isa_and_nonnull<arith::ArithDialect, math::MathDialect>(
             op.getDialect());
}

LogicalResult Emitter::emitOp(Operation *op) {
  b.setLoc(op->getLoc());
  for (Value result : op->getResults())
    if (isTile(result) && !isSupported(getElementTypeOrSelf(result)))
      return op->emitOpError("has elements of ")
             << getElementTypeOrSelf(result)
             << ", which tiles on CUDA cannot hold";
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](tile::ViewOp view) { return emitView(view), success(); })
      .Case([&](tile::LoadScalarOp load) {
        return emitLoadScalar(load), success();
      })
      .Case([&](tile::StoreOp store) { return emitStore(store); })
      .Case([&](tile::ReduceOp reduce) { return emitReduce(reduce); })
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
          return other->emitOpError("has no CUDA lowering");
        // What a later store may change is read where it stands.
        auto load = dyn_cast<tile::LoadOp>(other);
        if (load &&
            orderedBuffers.contains(
                load.getView().getDefiningOp<tile::ViewOp>().getBuffer())) {
          LinearLayout layout = getLayout(load);
          anchor(load, layout, compute(load, layout));
        }
        return success();
      });
}

/// Whether a scalar is below 2^32: positions of programs, and parts of them.
static bool isWord(Value scalar) {
  Operation *op = scalar.getDefiningOp();
  if (isa_and_nonnull<arith::DivUIOp, arith::RemUIOp>(op))
    return isWord(op->getOperand(0));
  return isa_and_nonnull<tile::ProgramIdOp>(op);
}

/// Divisions of words are much faster than those of 64 bits.
Value Emitter::divideWords(Operation *op) {
  Type i64 = b.getI64Type(), i32 = b.getI32Type();
  Value most = arith::ConstantOp::create(b, b.getI64IntegerAttr(UINT32_MAX));
  auto narrow = [&](Value value) -> Value {
    value = arith::IndexCastOp::create(b, i64, mapping.lookup(value));
    return arith::MinUIOp::create(b, value, most);
  };
  Value x = arith::TruncIOp::create(b, i32, narrow(op->getOperand(0)));
  Value y = arith::TruncIOp::create(b, i32, narrow(op->getOperand(1)));
  Value result = isa<arith::DivUIOp>(op)
                     ? Value(arith::DivUIOp::create(b, x, y))
                     : arith::RemUIOp::create(b, x, y);
  return arith::IndexCastUIOp::create(b, b.getIndexType(), result);
}

LogicalResult Emitter::emitScalarOp(Operation *op) {
  if (op->getNumRegions() || llvm::any_of(op->getOperands(), isTile) ||
      op->getNumResults() != 1)
    return op->emitOpError("has no CUDA lowering");
  if (isa<arith::DivUIOp, arith::RemUIOp>(op) && isWord(op->getOperand(0)))
    return mapping.map(op->getResult(0), divideWords(op)), success();
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(mapping.lookup(operand));
  mapping.map(op->getResult(0),
              createScalar(op, operands, op->getResult(0).getType()));
  return success();
}

//===----------------------------------------------------------------------===//
// Regions
//===----------------------------------------------------------------------===//

/// Tiles become their registers; scalars stay what they are.
void Emitter::flatten(ValueRange values, ArrayRef<LinearLayout> layouts,
                      SmallVectorImpl<Value> &flat) {
  for (auto [value, layout] : llvm::zip_equal(values, layouts)) {
    if (isTile(value))
      llvm::append_range(flat, get(value, layout));
    else
      flat.push_back(mapping.lookup(value));
  }
}

void Emitter::unflatten(ValueRange values, ArrayRef<LinearLayout> layouts,
                        ValueRange flat) {
  for (auto [value, layout] : llvm::zip_equal(values, layouts)) {
    if (!isTile(value)) {
      mapping.map(value, flat.front());
      flat = flat.drop_front();
      continue;
    }
    int64_t count = layout.getSize(LinearLayout::Register);
    anchor(value, layout, Registers(flat.take_front(count)));
    flat = flat.drop_front(count);
  }
}

static SmallVector<LinearLayout>
getLayouts(ValueRange values, llvm::function_ref<LinearLayout(Value)> of) {
  SmallVector<LinearLayout> layouts;
  for (Value value : values) {
    LinearLayout layout;
    SmallVector<int64_t> source;
    if (isTile(value))
      layout = of(value).withoutRepeatedRegisters(source);
    layouts.push_back(layout);
  }
  return layouts;
}

/// Operands of products that the loop does not change are at home before it, or
/// in registers.
void Emitter::bringHome(scf::ForOp op) {
  op.getBody()->walk([&](tile::MmaOp mma) {
    for (unsigned dim : {0u, 1u}) {
      Value tile = dim == 0 ? mma.getA() : mma.getB();
      if (!op.isDefinedOutsideOfLoop(tile))
        continue;
      if (auto kind = getMatrixKind(mma))
        readAhead(mma, dim, *kind);
      else
        getHome(tile, {1 - dim, dim});
    }
  });
}

LogicalResult Emitter::emitFor(scf::ForOp op) {
  if (auto it = replaced.find(op); it != replaced.end())
    return it->second(op);
  bringHome(op);
  auto layouts = getLayouts(op.getRegionIterArgs(),
                            [&](Value tile) { return getLayout(tile); });
  SmallVector<Value> inits;
  flatten(op.getInitArgs(), layouts, inits);
  b.setLoc(op.getLoc());
  auto bound = [&](Value value) { return indexValue(coordOf(value)); };
  Value lower = mapping.lookupOrDefault(op.getLowerBound());
  Value upper = mapping.lookupOrDefault(op.getUpperBound());
  Value step = mapping.lookupOrDefault(op.getStep());
  if (op.getLowerBound().getType().isIndex()) {
    lower = bound(op.getLowerBound());
    upper = bound(op.getUpperBound());
    step = bound(op.getStep());
  }
  int64_t top = scopes.back().top;
  std::optional<Ring> ring = createRing(op);
  size_t carried = inits.size();
  if (ring) {
    ring->upper = upper, ring->step = step;
    llvm::append_range(inits, startRing(op, *ring, lower));
  }
  auto loop = scf::ForOp::create(b, lower, upper, step, inits);
  {
    OpBuilder::InsertionGuard guard(b);
    RegionScope scope(*this);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> slots;
    if (ring)
      slots = advanceRing(op, *ring, loop.getInductionVar(),
                          loop.getRegionIterArgs().drop_front(carried));
    mapping.map(op.getInductionVar(), loop.getInductionVar());
    unflatten(op.getRegionIterArgs(), layouts, loop.getRegionIterArgs());
    if (failed(emitBlock(*op.getBody())))
      return failure();
    SmallVector<Value> yields;
    auto yield = cast<scf::YieldOp>(op.getBody()->getTerminator());
    flatten(yield.getOperands(), layouts, yields);
    llvm::append_range(yields, slots);
    if (inits.empty())
      b.setInsertionPointToEnd(loop.getBody());
    else
      scf::YieldOp::create(b, yields);
  }
  scopes.back().top = top;
  unflatten(op.getResults(), layouts, loop.getResults());
  return success();
}

LogicalResult Emitter::emitIf(scf::IfOp op) {
  auto layouts =
      getLayouts(op.getResults(), [&](Value tile) { return getLayout(tile); });
  SmallVector<Type> types;
  for (auto [value, layout] : llvm::zip_equal(op.getResults(), layouts))
    types.append(isTile(value) ? layout.getSize(LinearLayout::Register) : 1,
                 getElementTypeOrSelf(value));
  auto branch = scf::IfOp::create(b, types, mapping.lookup(op.getCondition()),
                                  /*withElse=*/!op.getElseRegion().empty());
  for (auto [from, to] : llvm::zip(op->getRegions(), branch->getRegions())) {
    if (from.empty())
      continue;
    OpBuilder::InsertionGuard guard(b);
    RegionScope scope(*this);
    if (!types.empty())
      b.setInsertionPointToEnd(&to.front());
    else
      b.setInsertionPoint(to.front().getTerminator());
    if (failed(emitBlock(from.front())))
      return failure();
    SmallVector<Value> yields;
    flatten(from.front().getTerminator()->getOperands(), layouts, yields);
    if (!types.empty())
      scf::YieldOp::create(b, yields);
  }
  unflatten(op.getResults(), layouts, branch.getResults());
  return success();
}
