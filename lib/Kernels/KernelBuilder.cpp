// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/KernelBuilder.h"
#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/Workload.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Iterators.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

Type lathe::kernels::getTileElementType(Type graphType) {
  if (auto integer = dyn_cast<IntegerType>(graphType))
    return IntegerType::get(graphType.getContext(), integer.getWidth());
  return graphType;
}

SmallVector<int64_t> TileWindow::getTileShape() const {
  return llvm::map_to_vector(extents,
                             [](const Extent &extent) { return extent.size; });
}

//===----------------------------------------------------------------------===//
// Arguments, constants and views
//===----------------------------------------------------------------------===//

BlockArgument KernelBuilder::getBuffer(const BufferRef &ref) {
  LaunchBuilder &launch = *state->launch;
  unsigned position = launch.getPosition(launch.reads, 0, ref);
  return state->choice.kernel.getBody().getArgument(position);
}

BlockArgument KernelBuilder::getWrittenBuffer(const BufferRef &ref) {
  LaunchBuilder &launch = *state->launch;
  unsigned offset = launch.reads.size();
  unsigned position = launch.getPosition(launch.writes, offset, ref);
  return state->choice.kernel.getBody().getArgument(offset + position);
}

Value KernelBuilder::buildAtTop(llvm::function_ref<Value()> build) {
  OpBuilder::InsertionGuard guard(*state->builder);
  if (state->lastTopOp)
    state->builder->setInsertionPointAfter(state->lastTopOp);
  else
    state->builder->setInsertionPointToStart(
        &state->choice.kernel.getBody().front());
  Value value = build();
  state->lastTopOp = value.getDefiningOp();
  return value;
}

Value KernelBuilder::getIndex(int64_t value) {
  Value &constant = state->constants[value];
  if (!constant)
    constant = buildAtTop([&] {
      return arith::ConstantIndexOp::create(*state->builder, value).getResult();
    });
  return constant;
}

/// Splits a sum into what is added and what is taken away.
static void splitSum(AffineExpr expr, AffineExpr &added, AffineExpr &taken) {
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (binary && binary.getKind() == AffineExprKind::Add) {
    splitSum(binary.getLHS(), added, taken);
    splitSum(binary.getRHS(), added, taken);
    return;
  }
  auto factor = dyn_cast<AffineConstantExpr>(
      binary && binary.getKind() == AffineExprKind::Mul ? binary.getRHS()
                                                        : expr);
  if (factor && factor.getValue() < 0)
    taken = taken - expr;
  else
    added = added + expr;
}

Value KernelBuilder::getSize(AffineExpr size) {
  size = graph::canonicalizeSize(size);
  if (auto constant = dyn_cast<AffineConstantExpr>(size))
    return getIndex(constant.getValue());
  // Targets rely on it that no scalar is negative.
  if (!graph::isSizeAtLeast(size, 0)) {
    AffineExpr added = getAffineConstantExpr(0, getContext()), taken = added;
    splitSum(size, added, taken);
    if (graph::isSizeAtLeast(added, 0) && graph::isSizeAtLeast(taken, 0))
      return buildAtTop([&]() -> Value {
        return arith::SubIOp::create(getBuilder(), getSize(added),
                                     getSize(taken));
      });
  }
  return getArgument(size);
}

Value KernelBuilder::getArgument(AffineExpr size) {
  LaunchBuilder &launch = *state->launch;
  unsigned position = launch.getScalarPosition(size);
  unsigned buffers = launch.reads.size() + launch.writes.size();
  return state->choice.kernel.getBody().getArgument(buffers + position);
}

OpFoldResult KernelBuilder::getFolded(AffineExpr expr) {
  expr = graph::canonicalizeSize(expr);
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return state->builder->getIndexAttr(constant.getValue());
  return getSize(expr);
}

Value KernelBuilder::getView(BlockArgument buffer,
                             const graph::StridedView &view,
                             ArrayRef<unsigned> dims) {
  graph::StridedView shape{{}, {}, graph::canonicalizeSize(view.offset)};
  for (unsigned dim : dims) {
    shape.dims.push_back(graph::canonicalizeSize(view.dims[dim]));
    shape.strides.push_back(graph::canonicalizeSize(view.strides[dim]));
  }
  for (State::View &old : state->views)
    if (old.buffer == buffer && old.shape.dims == shape.dims &&
        old.shape.strides == shape.strides && old.shape.offset == shape.offset)
      return old.value;
  auto fold = [&](AffineExpr expr) { return getFolded(expr); };
  SmallVector<OpFoldResult> sizes = llvm::map_to_vector(shape.dims, fold);
  SmallVector<OpFoldResult> strides = llvm::map_to_vector(shape.strides, fold);
  auto constant = dyn_cast<AffineConstantExpr>(shape.offset);
  Value offset =
      constant && constant.getValue() == 0 ? Value() : getSize(shape.offset);
  Value value = buildAtTop([&]() -> Value {
    return tile::ViewOp::create(*state->builder, buffer, offset, sizes,
                                strides);
  });
  state->views.push_back({buffer, shape, value});
  return value;
}

Value KernelBuilder::getProgramId(unsigned axis) {
  Value &id = state->programIds[axis];
  if (!id)
    id = buildAtTop([&]() -> Value {
      return tile::ProgramIdOp::create(*state->builder, axis);
    });
  return id;
}

Value KernelBuilder::getSplat(ArrayRef<int64_t> shape, Type elementType,
                              double value) {
  ImplicitLocOpBuilder &b = getBuilder();
  auto type = RankedTensorType::get(shape, elementType);
  TypedAttr element =
      isa<FloatType>(elementType)
          ? TypedAttr(b.getFloatAttr(elementType, value))
          : b.getIntegerAttr(elementType, static_cast<int64_t>(value));
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, element));
}

//===----------------------------------------------------------------------===//
// Loads and stores
//===----------------------------------------------------------------------===//

namespace {
/// The dims of an iteration space that move an address, and how a window's
/// extents lie in them. A load repeats along an extent that does not move the
/// address or has one element; a store names every extent.
struct Addressing {
  Addressing(const graph::StridedView &view, const TileWindow &window,
             bool isStore) {
    SmallVector<int64_t> positions(view.dims.size(), -1);
    for (unsigned i = 0; i < view.dims.size(); ++i) {
      bool isExtent = llvm::any_of(
          window.extents, [&](const auto &extent) { return extent.dim == i; });
      auto stride = dyn_cast<AffineConstantExpr>(view.strides[i]);
      if (stride && stride.getValue() == 0 && !(isStore && isExtent))
        continue;
      positions[i] = dims.size();
      dims.push_back(i);
      indices.push_back(window.bases[i]);
    }
    for (auto [t, extent] : llvm::enumerate(window.extents)) {
      bool repeats = !isStore && extent.size == 1;
      tileDims.push_back(repeats ? -1 : positions[extent.dim]);
      if (extent.inBounds || tileDims.back() < 0)
        inBounds.push_back(t);
    }
  }
  bool isScalar() const {
    return llvm::all_of(tileDims, [](int64_t dim) { return dim < 0; });
  }

  SmallVector<unsigned> dims;
  SmallVector<Value> indices;
  SmallVector<int64_t> tileDims, inBounds;
};
} // namespace

Value KernelBuilder::load(BlockArgument buffer, const graph::StridedView &view,
                          const TileWindow &window) {
  Addressing addressing(view, window, /*isStore=*/false);
  Value source = getView(buffer, view, addressing.dims);
  Type element = cast<tile::BufferType>(buffer.getType()).getElementType();
  ImplicitLocOpBuilder &b = getBuilder();
  auto type = RankedTensorType::get(window.getTileShape(), element);
  if (addressing.isScalar()) {
    Value scalar =
        tile::LoadScalarOp::create(b, element, source, addressing.indices);
    if (window.extents.empty())
      return scalar;
    return tile::SplatOp::create(b, type, scalar);
  }
  return tile::LoadOp::create(b, type, source, addressing.indices,
                              /*gather=*/Value(), addressing.tileDims,
                              /*gather_dim=*/IntegerAttr(),
                              /*pad=*/TypedAttr(), addressing.inBounds);
}

void KernelBuilder::store(Value tile, BlockArgument buffer,
                          const graph::StridedView &view,
                          const TileWindow &window) {
  if (window.extents.empty()) {
    storeScalar(tile, buffer, view, window);
    return;
  }
  Addressing addressing(view, window, /*isStore=*/true);
  Value target = getView(buffer, view, addressing.dims);
  tile::StoreOp::create(getBuilder(), tile, target, addressing.indices,
                        addressing.tileDims, addressing.inBounds);
}

/// A scalar is stored as a tile of one element along a dim of its own.
void KernelBuilder::storeScalar(Value scalar, BlockArgument buffer,
                                graph::StridedView view, TileWindow window) {
  AffineExpr one = getAffineConstantExpr(1, getContext());
  view.dims.push_back(one);
  view.strides.push_back(one);
  unsigned dim = window.bases.size();
  window.bases.push_back(getIndex(0));
  window.extents.push_back({dim, 1, /*inBounds=*/true});
  auto type = RankedTensorType::get({1}, scalar.getType());
  store(tile::SplatOp::create(getBuilder(), type, scalar), buffer, view,
        window);
}

//===----------------------------------------------------------------------===//
// Index arithmetic and loops
//===----------------------------------------------------------------------===//

Value KernelBuilder::add(Value a, Value b) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x && y)
    return getIndex(*x + *y);
  if (x && *x == 0)
    return b;
  if (y && *y == 0)
    return a;
  return arith::AddIOp::create(getBuilder(), a, b);
}

Value KernelBuilder::mul(Value a, Value b) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x && y)
    return getIndex(*x * *y);
  if ((x && *x == 1) || (y && *y == 0))
    return b;
  if ((y && *y == 1) || (x && *x == 0))
    return a;
  return arith::MulIOp::create(getBuilder(), a, b);
}

Value KernelBuilder::div(Value a, int64_t divisor) {
  if (auto x = getConstantIntValue(a))
    return getIndex(*x / divisor);
  if (divisor == 1)
    return a;
  return arith::DivUIOp::create(getBuilder(), a, getIndex(divisor));
}

SmallVector<Value> KernelBuilder::delinearize(Value id,
                                              ArrayRef<AffineExpr> dims) {
  SmallVector<Value> indices(dims.size());
  ImplicitLocOpBuilder &b = getBuilder();
  for (size_t i = dims.size(); i-- > 0;) {
    Value size = getSize(dims[i]);
    if (getConstantIntValue(size) == 1) {
      indices[i] = getIndex(0);
      continue;
    }
    bool isLast = llvm::all_of(dims.take_front(i), [](AffineExpr dim) {
      auto constant = dyn_cast<AffineConstantExpr>(dim);
      return constant && constant.getValue() == 1;
    });
    if (isLast) {
      indices[i] = id;
      id = getIndex(0);
      continue;
    }
    indices[i] = arith::RemUIOp::create(b, id, size);
    id = arith::DivUIOp::create(b, id, size);
  }
  return indices;
}

SmallVector<Value> KernelBuilder::forEach(
    Value begin, Value end, Value step, ArrayRef<Value> carried,
    llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  ImplicitLocOpBuilder &b = getBuilder();
  auto loop = scf::ForOp::create(b, begin, end, step, carried);
  OpBuilder::InsertionGuard guard(b);
  if (carried.empty()) {
    b.setInsertionPoint(loop.getBody()->getTerminator());
    body(loop.getInductionVar(), {});
    return {};
  }
  b.setInsertionPointToEnd(loop.getBody());
  SmallVector<Value> next =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  scf::YieldOp::create(b, next);
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> KernelBuilder::forEachTile(
    AffineExpr size, int64_t tile, ArrayRef<Value> carried,
    llvm::function_ref<SmallVector<Value>(Value, ValueRange, bool)> body) {
  size = graph::canonicalizeSize(size);
  AffineExpr whole = graph::canonicalizeSize(size.floorDiv(tile) * tile);
  SmallVector<Value> values(carried);
  auto constant = dyn_cast<AffineConstantExpr>(whole);
  if (constant && constant.getValue() == tile)
    values = body(getIndex(0), values, /*inBounds=*/true);
  else if (!constant || constant.getValue() != 0)
    values = forEach(getIndex(0), getSize(whole), getIndex(tile), values,
                     [&](Value base, ValueRange old) {
                       return body(base, old, /*inBounds=*/true);
                     });
  if (graph::isSameSize(whole, size))
    return values;
  Value base = getSize(whole);
  if (constant)
    return body(base, values, /*inBounds=*/false);

  ImplicitLocOpBuilder &b = getBuilder();
  Value isPartial =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, base, getSize(size));
  auto ifOp = scf::IfOp::create(b, TypeRange(ValueRange(values)), isPartial,
                                /*withElseRegion=*/!values.empty());
  OpBuilder::InsertionGuard guard(b);
  if (values.empty()) {
    b.setInsertionPoint(ifOp.thenBlock()->getTerminator());
    body(base, {}, /*inBounds=*/false);
    return {};
  }
  b.setInsertionPointToEnd(ifOp.thenBlock());
  SmallVector<Value> last = body(base, values, /*inBounds=*/false);
  scf::YieldOp::create(b, last);
  b.setInsertionPointToEnd(ifOp.elseBlock());
  scf::YieldOp::create(b, values);
  return SmallVector<Value>(ifOp.getResults());
}

void KernelBuilder::setGrid(ArrayRef<AffineExpr> grid) {
  for (AffineExpr size : grid)
    state->choice.grid.push_back(graph::canonicalizeSize(size));
  while (state->choice.grid.size() < 3)
    state->choice.grid.push_back(getAffineConstantExpr(1, getContext()));
  state->builder->setInsertionPointToEnd(
      &state->choice.kernel.getBody().front());
  tile::ReturnOp::create(*state->builder);
}

void KernelBuilder::addCondition(AffineExpr expr, bool isEquality) {
  state->choice.when.push_back({expr, isEquality});
}

//===----------------------------------------------------------------------===//
// LaunchBuilder
//===----------------------------------------------------------------------===//

LaunchBuilder::LaunchBuilder(graph::GroupOp group, LoweringContext &context)
    : group(group), context(context) {}

LaunchBuilder::~LaunchBuilder() {
  for (auto &kernel : kernels)
    if (kernel->choice.kernel)
      kernel->choice.kernel.erase();
}

/// The element type of one of the buffers of an encoded operand.
static Type getEncodedElementType(RankedTensorType type, StringRef buffer) {
  auto encoding = cast<graph::EncodingInterface>(type.getEncoding());
  for (const graph::EncodedBuffer &encoded :
       encoding.getBuffers(graph::getDenseType(type)))
    if (encoded.name == buffer)
      return encoded.type.getElementType();
  llvm_unreachable("a strategy names a buffer that the encoding has");
}

Type LaunchBuilder::getElementType(const BufferRef &ref) const {
  if (ref.kind == BufferRef::Kind::Temporary)
    return getTileElementType(temporaries[ref.index].elementType);
  if (ref.kind == BufferRef::Kind::Constant)
    return getTileElementType(ref.constant.getElementType());
  bool isResult = ref.kind == BufferRef::Kind::Result;
  Value value = isResult ? Value(group->getResult(ref.index))
                         : group->getOperand(ref.index);
  auto type = cast<RankedTensorType>(value.getType());
  if (!ref.encodedBuffer.empty())
    return getTileElementType(getEncodedElementType(type, ref.encodedBuffer));
  return getTileElementType(type.getElementType());
}

static bool isSameBuffer(const BufferRef &a, const BufferRef &b) {
  return a.kind == b.kind && a.index == b.index && a.packing == b.packing &&
         a.encodedBuffer == b.encodedBuffer && a.constant == b.constant;
}

unsigned LaunchBuilder::getPosition(SmallVectorImpl<BufferRef> &refs,
                                    unsigned offset, const BufferRef &ref) {
  auto *old = llvm::find_if(
      refs, [&](const BufferRef &other) { return isSameBuffer(other, ref); });
  unsigned position = old - refs.begin();
  if (old != refs.end())
    return position;
  refs.push_back(ref);
  auto type = tile::BufferType::get(group.getContext(), getElementType(ref));
  for (auto &kernel : kernels)
    kernel->choice.kernel.getBody().insertArgument(offset + position, type,
                                                   group.getLoc());
  return position;
}

unsigned LaunchBuilder::getScalarPosition(AffineExpr expr) {
  unsigned position = llvm::find(scalars, expr) - scalars.begin();
  if (position < scalars.size())
    return position;
  scalars.push_back(expr);
  for (auto &kernel : kernels)
    kernel->choice.kernel.getBody().addArgument(
        IndexType::get(group.getContext()), group.getLoc());
  return position;
}

static tile::ScheduleAttr getSchedule(MLIRContext *context, StringRef strategy,
                                      ArrayRef<int64_t> tile) {
  return tile::ScheduleAttr::get(context, strategy, tile, /*stages=*/1,
                                 /*warps=*/4);
}

KernelBuilder LaunchBuilder::addKernel(StringRef strategy,
                                       ArrayRef<int64_t> tile) {
  return addKernel(getSchedule(group.getContext(), strategy, tile));
}

KernelBuilder LaunchBuilder::addKernel(tile::ScheduleAttr schedule) {
  MLIRContext *mlirContext = group.getContext();
  auto state = std::make_unique<KernelBuilder::State>();
  state->launch = this;
  OpBuilder atEnd = OpBuilder::atBlockEnd(context.cache.getModule().getBody());
  SmallVector<Type> inputs;
  for (const auto &refs : {reads, writes})
    for (const BufferRef &ref : refs)
      inputs.push_back(tile::BufferType::get(mlirContext, getElementType(ref)));
  inputs.append(scalars.size(), IndexType::get(mlirContext));
  auto kernel = tile::KernelOp::create(
      atEnd, group.getLoc(), "kernel",
      FunctionType::get(mlirContext, inputs, {}), schedule);
  state->choice.kernel = kernel;
  state->builder =
      std::make_unique<ImplicitLocOpBuilder>(ImplicitLocOpBuilder::atBlockEnd(
          group.getLoc(), &kernel.getBody().front()));
  kernels.push_back(std::move(state));
  return KernelBuilder(kernels.back().get());
}

LogicalResult LaunchBuilder::addKernels(
    StringRef strategy, StringRef workload,
    ArrayRef<SmallVector<int64_t, 3>> tiles,
    llvm::function_ref<LogicalResult(KernelBuilder &, unsigned)> build) {
  auto schedules = llvm::map_to_vector(tiles, [&](ArrayRef<int64_t> tile) {
    return getSchedule(group.getContext(), strategy, tile);
  });
  return addKernels(workload, schedules, build);
}

LogicalResult LaunchBuilder::addKernels(
    StringRef workload, ArrayRef<tile::ScheduleAttr> listed,
    llvm::function_ref<LogicalResult(KernelBuilder &, unsigned)> build) {
  std::string name = getWorkload(group, workload);
  bool isStale;
  for (unsigned i : context.schedules.select(name, listed, isStale)) {
    KernelBuilder kernel = addKernel(listed[i]);
    kernel.state->choice.kernel.setWorkload(name);
    if (failed(build(kernel, i)))
      return failure();
  }
  if (isStale)
    group.emitWarning("the tuning table names a schedule for '")
        << name << "' that there is no longer; " << listed.front()
        << " is used";
  return success();
}

/// Erases what turned out not to be needed.
static void eraseDeadOps(tile::KernelOp kernel) {
  kernel.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
}

/// A buffer of a weight that no kernel reads need not be stored.
void LaunchBuilder::eraseUnusedReads() {
  for (size_t i = reads.size(); i-- > 0;) {
    bool isUsed = llvm::any_of(kernels, [&](const auto &kernel) {
      return !kernel->choice.kernel.getBody().getArgument(i).use_empty();
    });
    if (isUsed)
      continue;
    reads.erase(reads.begin() + i);
    for (auto &kernel : kernels)
      kernel->choice.kernel.getBody().eraseArgument(i);
  }
}

void LaunchBuilder::complete(tile::KernelOp kernel) {
  MLIRContext *mlirContext = group.getContext();
  SmallVector<Attribute> attrs(kernel.getBody().getNumArguments(),
                               DictionaryAttr::get(mlirContext));
  NamedAttribute written(StringAttr::get(mlirContext, tile::kWrittenAttr),
                         UnitAttr::get(mlirContext));
  for (size_t i = reads.size(); i < reads.size() + writes.size(); ++i)
    attrs[i] = DictionaryAttr::get(mlirContext, written);
  // What wide accesses and copies of tiles ask for.
  constexpr uint64_t worthKnowing = 8;
  for (auto [i, scalar] : llvm::enumerate(scalars)) {
    uint64_t divisor = scalar.getLargestKnownDivisor();
    if (divisor == 0 || divisor % worthKnowing != 0)
      continue;
    NamedAttribute multiple(
        StringAttr::get(mlirContext, tile::kMultipleOfAttr),
        IntegerAttr::get(IntegerType::get(mlirContext, 64), divisor));
    attrs[reads.size() + writes.size() + i] =
        DictionaryAttr::get(mlirContext, multiple);
  }
  kernel.setFunctionType(
      FunctionType::get(mlirContext, kernel.getBody().getArgumentTypes(), {}));
  kernel.setArgAttrsAttr(ArrayAttr::get(mlirContext, attrs));
}

LaunchSpec LaunchBuilder::finish(StringRef name, AffineExpr flops) {
  LaunchSpec spec;
  for (auto &kernel : kernels)
    eraseDeadOps(kernel->choice.kernel);
  eraseUnusedReads();
  for (auto &kernel : kernels) {
    complete(kernel->choice.kernel);
    kernel->choice.kernel = context.cache.intern(kernel->choice.kernel, name);
    spec.choices.push_back(std::move(kernel->choice));
  }
  kernels.clear();
  spec.scalars = std::move(scalars);
  spec.reads = std::move(reads);
  spec.writes = std::move(writes);
  Operation *root = group.getRoot();
  spec.label = getLabel(root ? root->getLoc() : group.getLoc());
  spec.flops = flops;
  return spec;
}
