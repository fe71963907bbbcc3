// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/TileEvaluator.h"
#include "dialects/Graph/IR/Polynomial.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

/// The splat value of a constant; null for anything else.
static DenseElementsAttr getSplatConstant(Value value) {
  auto constant = value.getDefiningOp<graph::ConstantOp>();
  auto dense =
      constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
  return dense && dense.isSplat() ? dense : nullptr;
}

void TileEvaluator::bind(Value value, graph::Access access, Value tile) {
  entries.push_back({value, std::move(access), tile});
}

FailureOr<Value> TileEvaluator::evaluate(Value value,
                                         const graph::Access &access) {
  for (const Entry &entry : entries)
    if (entry.value == value && entry.access == access)
      return entry.tile;
  FailureOr<Value> tile = compute(value, access);
  if (succeeded(tile))
    entries.push_back({value, access, *tile});
  return tile;
}

FailureOr<graph::StridedView>
TileEvaluator::getView(Value value, const graph::Access &access) {
  std::optional<graph::StridedView> view = graph::applyAccess(
      graph::StridedView::getContiguous(value.getContext(), getDims(value)),
      access);
  if (view)
    return *view;
  return emitError(value.getLoc(), "cannot compute this kernel: the position "
                                   "of an operand is no strided function of "
                                   "the kernel's iteration space (a defect of "
                                   "--graph-form-groups)");
}

FailureOr<Value> TileEvaluator::compute(Value value,
                                        const graph::Access &access) {
  for (const Entry &entry : entries) {
    if (entry.value != value)
      continue;
    auto bound = getView(value, entry.access), wanted = getView(value, access);
    if (succeeded(bound) && succeeded(wanted) && *bound == *wanted)
      return entry.tile;
  }
  if (auto argument = dyn_cast<BlockArgument>(value))
    return computeArgument(argument, access);
  if (DenseElementsAttr splat = getSplatConstant(value))
    return computeConstant(splat);
  Operation *op = value.getDefiningOp();
  if (graph::isView(op))
    return evaluate(
        op->getOperand(0),
        graph::prepend(graph::ViewStep::get(op, context.dimsOf), access));
  if (auto iota = dyn_cast<graph::IotaOp>(op))
    return computeIota(iota, access);
  if (graph::isGather(op))
    return computeGather(op, access);
  if (auto dim = dyn_cast<graph::DimOp>(op))
    return computeSize(getDims(dim.getInput())[dim.getAxis()]);
  if (!op->hasTrait<graph::OpTrait::Elementwise>())
    return op->emitOpError("cannot be computed inside another kernel (a "
                           "defect of --graph-form-groups)");
  SmallVector<Value> tiles;
  for (Value operand : op->getOperands()) {
    FailureOr<Value> tile = evaluate(
        operand, graph::getOperandAccess(op, operand, access, context.dimsOf));
    if (failed(tile))
      return failure();
    tiles.push_back(*tile);
  }
  if (Value tile = emitElementwise(kernel.getBuilder(), op, tiles))
    return tile;
  return op->emitOpError("has no kernel");
}

//===----------------------------------------------------------------------===//
// Leaves
//===----------------------------------------------------------------------===//

FailureOr<Value> TileEvaluator::computeArgument(BlockArgument value,
                                                const graph::Access &access) {
  Value operand = group->getOperand(value.getArgNumber());
  if (DenseElementsAttr splat = getSplatConstant(operand))
    return computeConstant(splat);
  FailureOr<graph::StridedView> view = getView(value, access);
  if (failed(view))
    return failure();
  BlockArgument buffer =
      kernel.getBuffer(BufferRef::operand(value.getArgNumber()));
  return toComputeType(kernel.getBuilder(), kernel.load(buffer, *view, window));
}

Value TileEvaluator::computeConstant(DenseElementsAttr value) {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  auto element = value.getSplatValue<TypedAttr>();
  Type compute = getComputeType(element.getType());
  if (auto number = dyn_cast<FloatAttr>(element))
    element = b.getFloatAttr(compute, number.getValueAsDouble());
  else
    element = b.getIntegerAttr(compute, cast<IntegerAttr>(element).getValue());
  if (window.extents.empty())
    return arith::ConstantOp::create(b, element);
  auto type = RankedTensorType::get(window.getTileShape(), compute);
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, element));
}

Value TileEvaluator::getSplat(Value scalar) {
  if (window.extents.empty())
    return scalar;
  auto type = RankedTensorType::get(window.getTileShape(), scalar.getType());
  return tile::SplatOp::create(kernel.getBuilder(), type, scalar);
}

Value TileEvaluator::computeSize(AffineExpr size) {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  return getSplat(
      arith::IndexCastOp::create(b, b.getI64Type(), kernel.getSize(size)));
}

Value TileEvaluator::getAddresses(const graph::StridedView &view, Type type) {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  auto cast = [&](Value index) -> Value {
    if (isa<IndexType>(type))
      return index;
    return arith::IndexCastOp::create(b, type, index);
  };
  Value base = kernel.getSize(view.offset);
  for (auto [i, stride] : llvm::enumerate(view.strides))
    base =
        kernel.add(base, kernel.mul(window.bases[i], kernel.getSize(stride)));
  Value addresses = getSplat(cast(base));
  for (auto [t, extent] : llvm::enumerate(window.extents)) {
    AffineExpr stride = view.strides[extent.dim];
    auto constant = dyn_cast<AffineConstantExpr>(stride);
    if (extent.size == 1 || (constant && constant.getValue() == 0))
      continue;
    Value steps = tile::IotaOp::create(b, addresses.getType(), t);
    if (!constant || constant.getValue() != 1)
      steps = arith::MulIOp::create(b, steps,
                                    getSplat(cast(kernel.getSize(stride))));
    addresses = arith::AddIOp::create(b, addresses, steps);
  }
  return addresses;
}

FailureOr<Value> TileEvaluator::computeIota(graph::IotaOp op,
                                            const graph::Access &access) {
  FailureOr<graph::StridedView> view = getView(op.getResult(), access);
  if (failed(view))
    return failure();
  view->offset = graph::canonicalizeSize(view->offset + op.getStart());
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Type element = op.getType().getElementType(),
       compute = getComputeType(element);
  if (isa<IntegerType>(element))
    return getAddresses(*view, compute);
  Value positions = getAddresses(*view, b.getI64Type());
  Type type = compute;
  if (auto tileType = dyn_cast<RankedTensorType>(positions.getType()))
    type = tileType.clone(compute);
  return Value(arith::SIToFPOp::create(b, type, positions));
}

//===----------------------------------------------------------------------===//
// Gathers
//===----------------------------------------------------------------------===//

bool TileEvaluator::isUniform(Value value, const graph::Access &access) {
  bool uniform = true;
  auto visit = [&](const graph::Leaf &leaf) {
    for (const TileWindow::Extent &extent : window.extents) {
      if (extent.size == 1)
        continue;
      auto stride = dyn_cast<AffineConstantExpr>(leaf.view.strides[extent.dim]);
      uniform &= stride && stride.getValue() == 0;
    }
  };
  auto isLeaf = [](Value leaf) { return isa<BlockArgument>(leaf); };
  return succeeded(graph::walkLeaves(value, access, context.dimsOf, isLeaf,
                                     visit, [](Operation *, StringRef) {})) &&
         uniform;
}

/// A position within `[0, size)`: negative ones count from the end; others are
/// clamped, since a kernel cannot fail.
Value TileEvaluator::getPosition(Value index, AffineExpr size) {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  auto tileType = dyn_cast<RankedTensorType>(index.getType());
  Type type = b.getIndexType();
  if (tileType)
    type = tileType.clone(type);
  Value position = arith::IndexCastOp::create(b, type, index);
  auto splat = [&](Value scalar) -> Value {
    return tileType ? tile::SplatOp::create(b, type, scalar).getResult()
                    : scalar;
  };
  Value zero = splat(kernel.getIndex(0)), count = splat(kernel.getSize(size));
  Value last = splat(kernel.getSize(size - 1));
  Value isNegative =
      arith::CmpIOp::create(b, arith::CmpIPredicate::slt, position, zero);
  Value fromEnd = arith::AddIOp::create(b, position, count);
  position = arith::SelectOp::create(b, isNegative, fromEnd, position);
  position = arith::MaxSIOp::create(b, position, zero);
  return arith::MinSIOp::create(b, position, last);
}

FailureOr<Value> TileEvaluator::computeGather(Operation *op,
                                              const graph::Access &access) {
  auto gather = graph::getGatherAccess(op, access, context.dimsOf);
  auto argument =
      gather ? dyn_cast<BlockArgument>(gather->source) : BlockArgument();
  if (!argument)
    return op->emitOpError("gathers from a computed value, or at rows that are "
                           "no strided function of the iteration space (a "
                           "defect of --graph-form-groups)");
  BlockArgument buffer =
      kernel.getBuffer(BufferRef::operand(argument.getArgNumber()));
  Value indices = op->getOperand(1);
  bool uniform = llvm::all_of(gather->indices, [&](const auto &index) {
    return isUniform(indices, index.access);
  });
  FailureOr<Value> tile = uniform ? gatherUniform(buffer, indices, *gather)
                                  : gatherEach(buffer, indices, *gather);
  if (failed(tile))
    return failure();
  return toComputeType(kernel.getBuilder(), *tile);
}

/// All elements of the window have the same indices: a plain load at them.
FailureOr<Value>
TileEvaluator::gatherUniform(BlockArgument buffer, Value indices,
                             const graph::GatherAccess &gather) {
  TileEvaluator scalar(kernel, group, context, {window.bases, {}});
  graph::StridedView rows = gather.rows;
  TileWindow extended = window;
  for (const graph::GatherAccess::Index &index : gather.indices) {
    FailureOr<Value> value = scalar.evaluate(indices, index.access);
    if (failed(value))
      return failure();
    rows.dims.push_back(index.size);
    rows.strides.push_back(index.stride);
    extended.bases.push_back(getPosition(*value, index.size));
  }
  return kernel.load(buffer, rows, extended);
}

FailureOr<Value> TileEvaluator::gatherEach(BlockArgument buffer, Value indices,
                                           const graph::GatherAccess &gather) {
  if (window.extents.size() != 1)
    return emitError(indices.getLoc(), "gathers into a tile of rank ")
           << window.extents.size() << ", only rank 1 is possible";
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Value addresses = getAddresses(gather.rows, b.getIndexType());
  for (const graph::GatherAccess::Index &index : gather.indices) {
    FailureOr<Value> value = evaluate(indices, index.access);
    if (failed(value))
      return failure();
    Value step = getSplat(kernel.getSize(index.stride));
    addresses = arith::AddIOp::create(
        b, addresses,
        arith::MulIOp::create(b, getPosition(*value, index.size), step));
  }
  return gatherAt(buffer, addresses,
                  graph::getProduct(b.getContext(), getDims(gather.source)));
}

Value TileEvaluator::gatherAt(BlockArgument buffer, Value addresses,
                              AffineExpr bufferSize) {
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  graph::Dims dims{bufferSize};
  Value view = kernel.getView(
      buffer, graph::StridedView::getContiguous(b.getContext(), dims), {0});
  Type element = cast<tile::BufferType>(buffer.getType()).getElementType();
  auto type = RankedTensorType::get(window.getTileShape(), element);
  return tile::LoadOp::create(b, type, view, kernel.getIndex(0), addresses,
                              ArrayRef<int64_t>{0}, b.getI64IntegerAttr(0),
                              /*pad=*/TypedAttr(), ArrayRef<int64_t>{});
}

//===----------------------------------------------------------------------===//
// Stores
//===----------------------------------------------------------------------===//

LogicalResult TileEvaluator::store(Value tile, unsigned index,
                                   const graph::Access &access) {
  Value yielded = group.getYield().getValues()[index];
  FailureOr<graph::StridedView> view = getView(yielded, access);
  if (failed(view))
    return failure();
  BlockArgument buffer = kernel.getWrittenBuffer(BufferRef::result(index));
  Type element = cast<RankedTensorType>(yielded.getType()).getElementType();
  kernel.store(fromComputeType(kernel.getBuilder(), tile, element), buffer,
               *view, window);
  return success();
}
