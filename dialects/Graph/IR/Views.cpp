// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/IR/Views.h"
#include "dialects/Graph/IR/Polynomial.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace lathe::graph;

static bool isConstant(AffineExpr expr, int64_t value) {
  auto constant = dyn_cast<AffineConstantExpr>(expr);
  return constant && constant.getValue() == value;
}

//===----------------------------------------------------------------------===//
// StridedView
//===----------------------------------------------------------------------===//

/// Row-major strides in units of `unit`.
static Dims getRowMajorStrides(ArrayRef<AffineExpr> dims, AffineExpr unit) {
  Dims strides(dims.size(), unit);
  for (size_t i = dims.size(); i-- > 1;)
    strides[i - 1] = canonicalizeSize(strides[i] * dims[i]);
  return strides;
}

StridedView StridedView::getContiguous(MLIRContext *context,
                                       ArrayRef<AffineExpr> dims) {
  AffineExpr one = getAffineConstantExpr(1, context);
  return {Dims(dims), getRowMajorStrides(dims, one),
          getAffineConstantExpr(0, context)};
}

StridedView StridedView::getIndex(MLIRContext *context,
                                  ArrayRef<AffineExpr> dims, unsigned axis) {
  AffineExpr zero = getAffineConstantExpr(0, context);
  StridedView view{Dims(dims), Dims(dims.size(), zero), zero};
  view.strides[axis] = getAffineConstantExpr(1, context);
  return view;
}

void StridedView::transpose(ArrayRef<int64_t> permutation) {
  Dims oldDims = dims, oldStrides = strides;
  for (auto [i, from] : llvm::enumerate(permutation)) {
    dims[i] = oldDims[from];
    strides[i] = oldStrides[from];
  }
}

void StridedView::slice(ArrayRef<AffineExpr> starts, ArrayRef<AffineExpr> sizes,
                        ArrayRef<int64_t> steps) {
  for (size_t i = 0; i < dims.size(); ++i) {
    offset = offset + strides[i] * starts[i];
    strides[i] = canonicalizeSize(strides[i] * steps[i]);
    dims[i] = sizes[i];
  }
  offset = canonicalizeSize(offset);
}

void StridedView::broadcast(ArrayRef<AffineExpr> to) {
  AffineExpr zero = getAffineConstantExpr(0, offset.getContext());
  Dims result(to.size(), zero);
  size_t added = to.size() - dims.size();
  for (size_t i = 0; i < dims.size(); ++i)
    if (!isConstant(dims[i], 1) || isConstant(to[added + i], 1))
      result[added + i] = strides[i];
  dims.assign(to.begin(), to.end());
  strides = std::move(result);
}

namespace {
/// The dims of a reshape that are not 1, with the products of the dims from
/// each on: two shapes can be cut where these products are equal.
struct Suffixes {
  explicit Suffixes(ArrayRef<AffineExpr> dims) {
    for (auto [i, dim] : llvm::enumerate(dims))
      if (!isConstant(dim, 1))
        positions.push_back(i);
    if (positions.empty())
      return;
    products.resize(positions.size());
    AffineExpr product = dims[positions.back()];
    products.back() = canonicalizeSize(product);
    for (size_t i = positions.size() - 1; i-- > 0;)
      products[i] = canonicalizeSize(products[i + 1] * dims[positions[i]]);
  }
  SmallVector<unsigned> positions;
  SmallVector<AffineExpr> products;
};
} // namespace

/// The end of the run of `to` dims from `begin` on that covers the same
/// elements as `from` dims up to `fromEnd`; nothing if there is no such cut.
static std::optional<size_t> findCut(const Suffixes &from, size_t fromEnd,
                                     const Suffixes &to, size_t begin) {
  if (fromEnd == from.positions.size())
    return to.positions.size();
  for (size_t end = begin + 1; end < to.positions.size(); ++end)
    if (to.products[end] == from.products[fromEnd])
      return end;
  return std::nullopt;
}

bool StridedView::reshape(ArrayRef<AffineExpr> to) {
  AffineExpr zero = getAffineConstantExpr(0, offset.getContext());
  Suffixes source(dims), target(to);
  Dims result(to.size(), zero);
  size_t targetBegin = 0;
  for (size_t begin = 0; begin < source.positions.size();) {
    size_t end = begin + 1;
    std::optional<size_t> cut = findCut(source, end, target, targetBegin);
    for (; !cut; cut = findCut(source, ++end, target, targetBegin)) {
    }
    for (size_t i = begin; i + 1 < end; ++i) {
      unsigned outer = source.positions[i], inner = source.positions[i + 1];
      if (!isSameSize(strides[outer], strides[inner] * dims[inner]))
        return false;
    }
    Dims run;
    for (size_t i = targetBegin; i < *cut; ++i)
      run.push_back(to[target.positions[i]]);
    Dims inner = getRowMajorStrides(run, strides[source.positions[end - 1]]);
    for (size_t i = targetBegin; i < *cut; ++i)
      result[target.positions[i]] = inner[i - targetBegin];
    targetBegin = *cut;
    begin = end;
  }
  dims.assign(to.begin(), to.end());
  strides = std::move(result);
  return true;
}

bool StridedView::isContiguous() const {
  return *this == getContiguous(offset.getContext(), dims);
}

bool StridedView::operator==(const StridedView &other) const {
  if (dims.size() != other.dims.size() || !isSameSize(offset, other.offset))
    return false;
  for (size_t i = 0; i < dims.size(); ++i)
    if (!isSameSize(dims[i], other.dims[i]) ||
        (!isConstant(dims[i], 1) && !isSameSize(strides[i], other.strides[i])))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// ViewStep
//===----------------------------------------------------------------------===//

ViewStep ViewStep::getReshape(ArrayRef<AffineExpr> to) {
  return {Kind::Reshape, Dims(to), {}, {}};
}

ViewStep ViewStep::getBroadcast(ArrayRef<AffineExpr> to) {
  return {Kind::Broadcast, Dims(to), {}, {}};
}

ViewStep ViewStep::getTranspose(ArrayRef<AffineExpr> to,
                                ArrayRef<int64_t> permutation) {
  return {Kind::Transpose, Dims(to), {}, llvm::to_vector(permutation)};
}

/// The slice that undoes a pitch of rows of these dims.
static ViewStep getRows(ArrayRef<AffineExpr> dims) {
  AffineExpr zero = getAffineConstantExpr(0, dims.front().getContext());
  return {ViewStep::Kind::Slice, Dims(dims), Dims(dims.size(), zero),
          SmallVector<int64_t>(dims.size(), 1)};
}

ViewStep ViewStep::get(Operation *op, DimsOf dimsOf) {
  ArrayRef<AffineExpr> to = dimsOf(op->getResult(0));
  if (auto transpose = dyn_cast<TransposeOp>(op))
    return getTranspose(to, transpose.getPermutation());
  if (isa<ReshapeOp>(op))
    return getReshape(to);
  if (isa<BroadcastOp>(op))
    return getBroadcast(to);
  if (isa<PitchOp>(op))
    return {Kind::Pitch, Dims(to), Dims(dimsOf(op->getOperand(0))), {}};
  auto slice = cast<SliceOp>(op);
  return {Kind::Slice, Dims(to), Dims(slice.getStarts().getResults()),
          llvm::to_vector(slice.getSteps())};
}

ViewStep ViewStep::getInverse(Operation *op, DimsOf dimsOf) {
  ArrayRef<AffineExpr> to = dimsOf(op->getOperand(0));
  if (isa<PitchOp>(op))
    return getRows(to);
  auto transpose = dyn_cast<TransposeOp>(op);
  if (!transpose)
    return getReshape(to);
  SmallVector<int64_t> inverse(to.size());
  for (auto [i, from] : llvm::enumerate(transpose.getPermutation()))
    inverse[from] = i;
  return getTranspose(to, inverse);
}

bool ViewStep::apply(StridedView &view) const {
  switch (kind) {
  case Kind::Reshape:
    return view.reshape(dims);
  case Kind::Transpose:
    view.transpose(numbers);
    return true;
  case Kind::Slice:
    view.slice(starts, dims, numbers);
    return true;
  case Kind::Broadcast:
    view.broadcast(dims);
    return true;
  case Kind::Pitch:
    return false;
  }
  llvm_unreachable("all kinds are listed");
}

bool ViewStep::operator==(const ViewStep &other) const {
  return kind == other.kind && dims == other.dims && starts == other.starts &&
         numbers == other.numbers;
}

//===----------------------------------------------------------------------===//
// Accesses
//===----------------------------------------------------------------------===//

static bool sameDims(ArrayRef<AffineExpr> a, ArrayRef<AffineExpr> b) {
  return llvm::equal(a, b, isSameSize);
}

/// The transpose that does `first`, then `second`; nothing if they cancel.
static std::optional<ViewStep> mergeTransposes(const ViewStep &first,
                                               const ViewStep &second) {
  SmallVector<int64_t> permutation;
  for (int64_t dim : second.numbers)
    permutation.push_back(first.numbers[dim]);
  if (llvm::is_sorted(permutation))
    return std::nullopt;
  return ViewStep::getTranspose(second.dims, permutation);
}

// Steps that undo each other cancel, so that what an epilogue does to the
// root's result is undone without asking for strides in between.
Access lathe::graph::prepend(ViewStep step, const Access &access) {
  using Kind = ViewStep::Kind;
  ArrayRef<ViewStep> rest = access;
  if (step.kind == Kind::Pitch && !rest.empty() &&
      rest.front() == getRows(step.starts))
    return Access(rest.drop_front());
  if (!rest.empty() && rest.front().kind == Kind::Reshape) {
    if (step.kind == Kind::Reshape)
      return Access(rest);
    if (sameDims(step.dims, rest.front().dims))
      rest = rest.drop_front();
  }
  if (step.kind == Kind::Transpose && !rest.empty() &&
      rest.front().kind == Kind::Transpose) {
    std::optional<ViewStep> merged = mergeTransposes(step, rest.front());
    rest = rest.drop_front();
    if (!merged)
      return Access(rest);
    step = std::move(*merged);
  }
  Access result = {std::move(step)};
  llvm::append_range(result, rest);
  return result;
}

std::optional<StridedView> lathe::graph::applyAccess(StridedView view,
                                                     const Access &access) {
  for (const ViewStep &step : access)
    if (!step.apply(view))
      return std::nullopt;
  return view;
}

bool lathe::graph::isView(Operation *op) {
  return isa<ReshapeOp, TransposeOp, SliceOp, BroadcastOp, PitchOp>(op);
}

Value lathe::graph::traceViews(Value value, Access &access, DimsOf dimsOf) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isView(op))
      break;
    access = prepend(ViewStep::get(op, dimsOf), access);
    value = op->getOperand(0);
  }
  return value;
}

Access lathe::graph::getOperandAccess(Operation *op, Value operand,
                                      const Access &access, DimsOf dimsOf) {
  ArrayRef<AffineExpr> dims = dimsOf(op->getResult(0));
  if (sameDims(dimsOf(operand), dims))
    return access;
  return prepend(ViewStep::getBroadcast(dims), access);
}

bool lathe::graph::isGather(Operation *op) {
  return isa<GatherOp, GatherElementsOp, GatherNdOp>(op);
}

/// A window of one position along the last dim, which disappears.
static Access getLastComponent(ArrayRef<AffineExpr> dims, int64_t position) {
  MLIRContext *context = dims.front().getContext();
  ViewStep slice{ViewStep::Kind::Slice, Dims(dims), {}, {}};
  slice.starts.assign(dims.size(), getAffineConstantExpr(0, context));
  slice.numbers.assign(dims.size(), 1);
  slice.starts.back() = getAffineConstantExpr(position, context);
  slice.dims.back() = getAffineConstantExpr(1, context);
  return {slice, ViewStep::getReshape(dims.drop_back())};
}

namespace {
/// Collects a GatherAccess over the result's dims.
struct GatherReader {
  Operation *op;
  const Access &access;
  DimsOf dimsOf;
  StridedView input;
  GatherAccess result;

  void readGather(GatherOp gather);
  void readElements(GatherElementsOp gather);
  void readNd(GatherNdOp gather);
  void addIndex(Access steps, unsigned axis);
  AffineExpr zero() const { return getAffineConstantExpr(0, op->getContext()); }
};
} // namespace

/// `steps` lead from `indices` to dims that broadcast to the result's.
void GatherReader::addIndex(Access steps, unsigned axis) {
  steps.push_back(ViewStep::getBroadcast(dimsOf(op->getResult(0))));
  steps.append(access.begin(), access.end());
  result.indices.push_back(
      {std::move(steps), input.dims[axis], input.strides[axis]});
}

void GatherReader::readGather(GatherOp gather) {
  size_t axis = gather.getAxis();
  Dims dims(dimsOf(gather.getIndices()));
  Dims &strides = result.rows.strides;
  strides.assign(input.strides.begin(), input.strides.begin() + axis);
  strides.append(dims.size(), zero());
  strides.append(input.strides.begin() + axis + 1, input.strides.end());
  dims.append(input.dims.size() - axis - 1,
              getAffineConstantExpr(1, op->getContext()));
  addIndex({ViewStep::getReshape(dims)}, axis);
}

void GatherReader::readElements(GatherElementsOp gather) {
  result.rows.strides = input.strides;
  result.rows.strides[gather.getAxis()] = zero();
  addIndex({}, gather.getAxis());
}

void GatherReader::readNd(GatherNdOp gather) {
  size_t batch = gather.getBatchDims();
  ArrayRef<AffineExpr> dims = dimsOf(gather.getIndices());
  int64_t tuple = cast<AffineConstantExpr>(dims.back()).getValue();
  size_t sliced = input.dims.size() - batch - tuple;
  Dims &strides = result.rows.strides;
  strides.assign(input.strides.begin(), input.strides.begin() + batch);
  strides.append(dims.size() - 1 - batch, zero());
  strides.append(input.strides.end() - sliced, input.strides.end());
  Dims padded(dims.drop_back());
  padded.append(sliced, getAffineConstantExpr(1, op->getContext()));
  for (int64_t i = 0; i < tuple; ++i) {
    Access steps = getLastComponent(dims, i);
    steps.push_back(ViewStep::getReshape(padded));
    addIndex(std::move(steps), batch + i);
  }
}

std::optional<GatherAccess> lathe::graph::getGatherAccess(Operation *op,
                                                          const Access &access,
                                                          DimsOf dimsOf) {
  Access inputAccess;
  Value source = traceViews(op->getOperand(0), inputAccess, dimsOf);
  auto input =
      applyAccess(StridedView::getContiguous(op->getContext(), dimsOf(source)),
                  inputAccess);
  auto nd = dyn_cast<GatherNdOp>(op);
  if (!input ||
      (nd && !isa<AffineConstantExpr>(dimsOf(nd.getIndices()).back())))
    return std::nullopt;
  GatherReader reader{op, access, dimsOf, *input, {}};
  reader.result.source = source;
  reader.result.rows = {Dims(dimsOf(op->getResult(0))), {}, input->offset};
  if (auto gather = dyn_cast<GatherOp>(op))
    reader.readGather(gather);
  else if (nd)
    reader.readNd(nd);
  else
    reader.readElements(cast<GatherElementsOp>(op));
  auto rows = applyAccess(std::move(reader.result.rows), access);
  if (!rows)
    return std::nullopt;
  reader.result.rows = std::move(*rows);
  return std::move(reader.result);
}

/// The operands of `op` that its result has the place of each element from.
static SmallVector<Value> getUndoableOperands(Operation *op, DimsOf dimsOf) {
  if (isa<ReshapeOp, TransposeOp, PitchOp>(op))
    return {op->getOperand(0)};
  SmallVector<Value> operands;
  if (op->hasTrait<lathe::graph::OpTrait::Elementwise>())
    llvm::copy_if(op->getOperands(), std::back_inserter(operands),
                  [&](Value operand) {
                    return sameDims(dimsOf(operand), dimsOf(op->getResult(0)));
                  });
  return operands;
}

// A search for a path from `value` back to `root`, without recursion and every
// op once: it may leave the group that is planned.
std::optional<Access> lathe::graph::getAccessFrom(Value root,
                                                  const Access &rootAccess,
                                                  Value value, DimsOf dimsOf) {
  struct Step {
    Operation *op;
    SmallVector<Value> rest; ///< Last first.
  };
  SmallVector<Step> path;
  llvm::SmallPtrSet<Operation *, 16> seen;
  Operation *first = root.getDefiningOp();
  while (value != root) {
    Operation *op = value.getDefiningOp();
    bool isBefore = op && first && op->getBlock() == first->getBlock() &&
                    op->isBeforeInBlock(first);
    if (op && !isBefore && seen.insert(op).second) {
      path.push_back({op, getUndoableOperands(op, dimsOf)});
      std::reverse(path.back().rest.begin(), path.back().rest.end());
    }
    while (!path.empty() && path.back().rest.empty())
      path.pop_back();
    if (path.empty())
      return std::nullopt;
    value = path.back().rest.pop_back_val();
  }
  Access access = rootAccess;
  for (const Step &step : llvm::reverse(path))
    if (isa<ReshapeOp, TransposeOp, PitchOp>(step.op))
      access = prepend(ViewStep::getInverse(step.op, dimsOf), access);
  return access;
}

//===----------------------------------------------------------------------===//
// walkLeaves
//===----------------------------------------------------------------------===//

/// A kernel computes a value once for each access to it. More of both together
/// are no kernel: overlapping slices double them at each step.
static constexpr unsigned kMaxAccesses = 1024;

namespace {
struct LeafWalker {
  DimsOf dimsOf;
  llvm::function_ref<bool(Value)> isLeaf;
  llvm::function_ref<void(const Leaf &)> visit;
  llvm::function_ref<void(Operation *, StringRef)> refuse;
  llvm::DenseMap<Value, SmallVector<Access, 1>> walked{};
  unsigned numWalked = 0;

  LogicalResult walk(Value value, const Access &access);
  LogicalResult walkGather(Operation *op, const Access &access);
};
} // namespace

LogicalResult LeafWalker::walk(Value value, const Access &access) {
  Operation *op = value.getDefiningOp();
  SmallVector<Access, 1> &known = walked[value];
  if (llvm::is_contained(known, access))
    return success();
  known.push_back(access);
  if (++numWalked > kMaxAccesses) {
    refuse(op, "its group reads values in too many ways for one kernel");
    return failure();
  }
  if (isLeaf(value) || !op || isa<ConstantOp, IotaOp>(op)) {
    auto view = applyAccess(
        StridedView::getContiguous(value.getContext(), dimsOf(value)), access);
    if (!view) {
      refuse(op, "its position is no strided function of the kernel's "
                 "iteration space");
      return failure();
    }
    visit({value, *view});
    return success();
  }
  if (isView(op))
    return walk(op->getOperand(0), prepend(ViewStep::get(op, dimsOf), access));
  if (isGather(op))
    return walkGather(op, access);
  if (isa<DimOp>(op))
    return success();
  if (!op->hasTrait<lathe::graph::OpTrait::Elementwise>()) {
    refuse(op, "neither elementwise nor a view");
    return failure();
  }
  for (Value operand : op->getOperands())
    if (failed(walk(operand, getOperandAccess(op, operand, access, dimsOf))))
      return failure();
  return success();
}

LogicalResult LeafWalker::walkGather(Operation *op, const Access &access) {
  std::optional<GatherAccess> gather = getGatherAccess(op, access, dimsOf);
  if (!gather) {
    refuse(op, "its rows are no strided function of the kernel's iteration "
               "space");
    return failure();
  }
  if (!isLeaf(gather->source) && !gather->source.getDefiningOp<ConstantOp>()) {
    refuse(op, "gathers from a computed value");
    return failure();
  }
  visit({gather->source, gather->rows});
  for (const GatherAccess::Index &index : gather->indices)
    if (failed(walk(op->getOperand(1), index.access)))
      return failure();
  return success();
}

LogicalResult lathe::graph::walkLeaves(
    Value value, const Access &access, DimsOf dimsOf,
    llvm::function_ref<bool(Value)> isLeaf,
    llvm::function_ref<void(const Leaf &)> visit,
    llvm::function_ref<void(Operation *, StringRef)> refuse) {
  return LeafWalker{dimsOf, isLeaf, visit, refuse}.walk(value, access);
}
