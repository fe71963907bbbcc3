// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/ContractKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Encodings/BlockLists.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

tile::ScheduleAttr ContractSchedule::getAttr(MLIRContext *context) const {
  SmallVector<int64_t> tile{rows, columns, groupTiles};
  if (depth > 1)
    tile.push_back(depth);
  return tile::ScheduleAttr::get(context, isFlat ? "flat" : "contract", tile,
                                 stages, warps, cluster);
}

namespace {

/// A group of k of a weight that is decoded: its buffers, and the tiles of
/// those that hold for all of the group (null for others).
struct DecodedGroup {
  Value begin; ///< Its first k.
  SmallVector<graph::EncodedBuffer> buffers;
  SmallVector<Value> tiles;
  /// Of the codes, as in EncodedBuffer.
  int64_t parts = 1, run = 1;
};

/// Builds one tile kernel.
class TileKernel {
public:
  TileKernel(LaunchBuilder &launch, const Contraction &c,
             const ContractSchedule &schedule, KernelBuilder &kernel)
      : launch(launch), c(c), schedule(schedule), kernel(kernel),
        b(kernel.getBuilder()) {}

  LogicalResult build();

private:
  void findPosition();
  AffineExpr getRowTiles() const { return c.m.ceilDiv(schedule.rows); }
  AffineExpr getGroupCount() const;
  AffineExpr getGroupSize() const;
  Value buildBranch(const ContractBranch &branch);
  Value buildMma(const ContractBranch &branch);
  Value toUnit(Value tile);
  Value buildDecoded(const ContractBranch &branch);
  Value buildDecodedLines(const ContractBranch &branch);
  Value addDecodedGroup(const ContractBranch &branch, const DecodedGroup &group,
                        int64_t count, Value sum);
  Value addDecodedRows(const ContractBranch &branch, const DecodedGroup &group,
                       Value first, int64_t count, Value sum);
  Value buildMultiplyAdd(const ContractBranch &branch);
  Value buildBF16Pairs(const ContractBranch &branch);
  Value buildInt8(const ContractBranch &branch);
  Value loadInput(Value k, int64_t depth = 1, int64_t step = 0);
  Value loadWeight(const ContractBranch &branch, Value k, int64_t depth = 1);
  Value loadPanel(const ContractBranch &branch,
                  const graph::EncodedBuffer *buffer, Value k, int64_t group,
                  int64_t depth = 1);
  Value loadTurned(const ContractBranch &branch, Value k, int64_t depth);
  Value loadColumns(const ContractBranch &branch,
                    const graph::EncodedBuffer &buffer, Value group,
                    bool asRow);
  Value buildDot(const ContractBranch &branch, Value first, int64_t count);
  Value addDot(const ContractBranch &branch, Value dot, Value group, Value sum);
  Value loadRows(unsigned temporary, Value group);

  /// A window over (batch.., x, y).
  TileWindow getWindow(Value x, int64_t xSize, bool xInBounds, Value y,
                       int64_t ySize, bool yInBounds) const;
  RankedTensorType getTileType(Type element) const {
    return RankedTensorType::get({schedule.rows, schedule.columns}, element);
  }
  Value getZero(Type element) {
    return kernel.getSplat({schedule.rows, schedule.columns}, element, 0);
  }
  Type getElementType(Value value) const {
    return cast<RankedTensorType>(value.getType()).getElementType();
  }
  /// Whether tiles of `size` always end inside `dim`.
  static bool divides(int64_t size, AffineExpr dim) {
    auto constant = getConstantSize(dim);
    return size == 1 || (constant && *constant % size == 0);
  }

  LaunchBuilder &launch;
  const Contraction &c;
  const ContractSchedule &schedule;
  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;

  SmallVector<Value> batch;
  Value row, column;
  Value panel, panelColumn; ///< `column` within panels of packed weights.
};

} // namespace

TileWindow TileKernel::getWindow(Value x, int64_t xSize, bool xInBounds,
                                 Value y, int64_t ySize, bool yInBounds) const {
  TileWindow window;
  window.bases.assign(batch.begin(), batch.end());
  window.bases.append({x, y});
  unsigned first = batch.size();
  window.extents.push_back({first, xSize, xInBounds});
  window.extents.push_back({first + 1, ySize, yInBounds});
  return window;
}

/// Never zero, so that it can divide.
AffineExpr TileKernel::getGroupCount() const {
  return getRowTiles().floorDiv(schedule.groupTiles) + 1;
}

/// Row tiles of a group, at most what the schedule says: groups of one size
/// leave fewer programs without rows than a last one that is almost empty.
AffineExpr TileKernel::getGroupSize() const {
  return getRowTiles().ceilDiv(getGroupCount());
}

void TileKernel::findPosition() {
  Value tile = kernel.getProgramId(0);
  if (schedule.groupTiles > 0)
    tile = kernel.add(
        kernel.mul(kernel.getProgramId(2), kernel.getSize(getGroupSize())),
        tile);
  else
    batch = kernel.delinearize(kernel.getProgramId(2), c.batch);
  row = kernel.mul(tile, kernel.getIndex(schedule.rows));

  Value columnTile = kernel.getProgramId(1);
  column = kernel.mul(columnTile, kernel.getIndex(schedule.columns));
  panel = columnTile;
  panelColumn = kernel.getIndex(0);
  if (c.unitElement && !c.readsCodes) {
    // One panel of all columns, which tiles need not divide.
    panel = kernel.getIndex(0);
    panelColumn = column;
  } else if (int64_t parts = c.panelColumns / schedule.columns; parts > 1) {
    Value count = kernel.getIndex(parts);
    panel = arith::DivUIOp::create(b, columnTile, count);
    Value part = arith::RemUIOp::create(b, columnTile, count);
    panelColumn = kernel.mul(part, kernel.getIndex(schedule.columns));
  }
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

/// The input's [rows, depth] at `k`, in its compute type; null after an error.
/// `step`: what k is read in steps of, if not `depth`.
Value TileKernel::loadInput(Value k, int64_t depth, int64_t step) {
  TileWindow window = getWindow(row, schedule.rows, divides(schedule.rows, c.m),
                                k, depth, divides(step ? step : depth, c.k));
  TileEvaluator evaluator(kernel, launch.getGroup(), launch.getContext(),
                          window);
  return evaluator.evaluate(c.input, c.inputAccess).value_or(Value());
}

/// The weight's [depth, columns] at `k`, in its compute type; null after an
/// error.
Value TileKernel::loadWeight(const ContractBranch &branch, Value k,
                             int64_t depth) {
  if (branch.getBlocks()) {
    graph::EncodedBuffer dense =
        branch.getBuffers(launch.getGroup())[kBlockDense];
    return loadPanel(branch, &dense, k, 1, depth);
  }
  if (branch.kind == ContractKind::BF16Pairs) {
    graph::EncodedBuffer values = branch.getBuffers(launch.getGroup()).front();
    return loadPanel(branch, &values, k, 1, depth);
  }
  if (branch.isTurned)
    return toComputeType(b, loadTurned(branch, k, depth));
  if (branch.packedOperand)
    return toComputeType(b, loadPanel(branch, nullptr, k, 1, depth));
  if (branch.panels) {
    TileWindow window;
    window.bases.assign(batch.begin(), batch.end());
    window.bases.append({panel, k, panelColumn});
    unsigned first = batch.size();
    window.extents.push_back({first + 1, depth, divides(depth, c.k)});
    window.extents.push_back({first + 2, schedule.columns, true});
    StridedView view =
        StridedView::getContiguous(b.getContext(), getPanels(c, branch).dims);
    BlockArgument buffer =
        kernel.getBuffer(BufferRef::temporary(*branch.panels));
    return toComputeType(b, kernel.load(buffer, view, window));
  }
  TileWindow window =
      getWindow(k, depth, divides(depth, c.k), column, schedule.columns,
                divides(schedule.columns, c.n));
  TileEvaluator evaluator(kernel, launch.getGroup(), launch.getContext(),
                          window);
  return evaluator.evaluate(branch.weight, branch.access).value_or(Value());
}

/// [group, columns] of a weight, or of one of its encoded buffers that is tiled
/// as it is, stored in panels as [batch..][panels][k / group][columns][group].
/// `k` counts rows of the buffer, and `depth` of them are read if they are not
/// grouped.
Value TileKernel::loadPanel(const ContractBranch &branch,
                            const graph::EncodedBuffer *buffer, Value k,
                            int64_t group, int64_t depth) {
  unsigned operand = *branch.packedOperand;
  MLIRContext *context = b.getContext();
  Dims logical(launch.getDims(launch.getGroup().getInputs()[operand]));
  BufferRef ref = BufferRef::operand(operand);
  if (buffer) {
    ref.encodedBuffer = buffer->name;
    logical.clear();
    for (int64_t size : buffer->type.getShape())
      logical.push_back(getAffineConstantExpr(size, context));
  }
  unsigned rank = logical.size(), kDim = rank - 2, nDim = rank - 1;
  if (branch.isTransposed)
    std::swap(kDim, nDim);
  Packing packing;
  packing.blocks.assign(rank, 1);
  packing.blocks[kDim] = group;
  packing.blocks[nDim] = c.panelColumns;
  for (unsigned d = 0; d + 2 < rank; ++d) {
    packing.outer.push_back(d);
    packing.inner.push_back(d);
  }
  packing.outer.append({nDim, kDim});
  packing.inner.append({nDim, kDim});
  ref.packing = std::move(packing);

  Dims stored(logical.begin(), logical.end() - 2);
  Dims inner{logical[nDim].ceilDiv(c.panelColumns),
             logical[kDim].ceilDiv(group),
             getAffineConstantExpr(c.panelColumns, context),
             getAffineConstantExpr(group, context)};
  stored.append(inner.begin(), inner.end());
  StridedView view = StridedView::getContiguous(context, stored);
  Dims space = c.batch;
  space.append(inner.begin(), inner.end());
  view.broadcast(space);

  TileWindow window;
  window.bases.assign(batch.begin(), batch.end());
  window.bases.append(
      {panel, kernel.div(k, group), panelColumn, kernel.getIndex(0)});
  unsigned first = batch.size();
  unsigned kExtent = group == 1 ? first + 1 : first + 3;
  if (group == 1)
    window.extents.push_back({kExtent, depth, divides(depth, c.k)});
  else
    window.extents.push_back({kExtent, group, true});
  window.extents.push_back(
      {first + 2, schedule.columns, c.panelColumns % schedule.columns == 0});
  return kernel.load(kernel.getBuffer(ref), view, window);
}

/// [depth, columns] of a weight that is stored as (n, k).
Value TileKernel::loadTurned(const ContractBranch &branch, Value k,
                             int64_t depth) {
  BufferRef ref = BufferRef::operand(*branch.packedOperand);
  ref.packing = Packing{{1, 1}, {1, 0}, {1, 0}, {}};
  StridedView view = StridedView::getContiguous(b.getContext(), {c.n, c.k});
  view.broadcast(c.getSpace(c.n, c.k));
  TileWindow window;
  window.bases.assign(batch.begin(), batch.end());
  window.bases.append({column, k});
  unsigned first = batch.size();
  window.extents.push_back({first + 1, depth, divides(depth, c.k)});
  window.extents.push_back(
      {first, schedule.columns, divides(schedule.columns, c.n)});
  return kernel.load(kernel.getBuffer(ref), view, window);
}

/// [columns] of a buffer over (groups of k, n), or over (n) if `group` is null:
/// as a row that repeats down the tile, or as a tile of rank 1. Groups are
/// stored in panels too, so that a program reads them in a row.
Value TileKernel::loadColumns(const ContractBranch &branch,
                              const graph::EncodedBuffer &buffer, Value group,
                              bool asRow) {
  BufferRef ref = BufferRef::operand(*branch.packedOperand);
  ref.encodedBuffer = buffer.name;
  Dims dims{c.n};
  SmallVector<Value> bases{column};
  bool isInside = divides(schedule.columns, c.n);
  if (group) {
    ref.packing = Packing{{1, c.panelColumns}, {1, 0}, {0, 1}};
    dims = {c.n.ceilDiv(c.panelColumns), c.k.ceilDiv(buffer.group),
            getAffineConstantExpr(c.panelColumns, b.getContext())};
    bases = {panel, group, panelColumn};
    isInside = true;
  }
  StridedView view = StridedView::getContiguous(b.getContext(), dims);
  TileWindow window;
  if (asRow) {
    dims.insert(dims.begin(), c.m);
    view.broadcast(dims);
    window.bases.push_back(row);
    window.extents.push_back({0, schedule.rows, true});
  }
  window.bases.append(bases);
  unsigned last = window.bases.size() - 1;
  window.extents.push_back({last, schedule.columns, isInside});
  return kernel.load(kernel.getBuffer(ref), view, window);
}

//===----------------------------------------------------------------------===//
// Branches
//===----------------------------------------------------------------------===//

/// An operand as the matrix unit takes it, if one multiplies.
Value TileKernel::toUnit(Value tile) {
  if (!tile || !c.unitElement || getElementType(tile) == c.unitElement)
    return tile;
  // What was widened only for the sake of arithmetic that there is none of.
  if (auto widened = tile.getDefiningOp<arith::ExtFOp>();
      widened && getElementType(widened.getIn()) == c.unitElement)
    return widened.getIn();
  return fromComputeType(b, tile, c.unitElement);
}

Value TileKernel::buildMma(const ContractBranch &branch) {
  bool failed = false;
  auto body = [&](Value k, ValueRange carried) -> SmallVector<Value> {
    Value x = toUnit(loadInput(k, schedule.depth));
    Value w = toUnit(loadWeight(branch, k, schedule.depth));
    failed = !x || !w;
    if (failed)
      return {carried[0]};
    return {tile::MmaOp::create(b, x, w, carried[0])};
  };
  Value sum = kernel.forEach(kernel.getIndex(0), kernel.getSize(c.k),
                             kernel.getIndex(schedule.depth),
                             {getZero(b.getF32Type())}, body)[0];
  return failed ? Value() : sum;
}

/// Adds the products of `run` rows of codes from `first` on, counted in the
/// group; of the k that they stand for, those below `count` exist. Null after
/// an error.
Value TileKernel::addDecodedRows(const ContractBranch &branch,
                                 const DecodedGroup &group, Value first,
                                 int64_t count, Value sum) {
  for (int64_t r = 0; r < group.run; ++r)
    for (int64_t p = 0; p < group.parts && p * group.run + r < count; ++p) {
      Value offset = kernel.add(kernel.mul(first, kernel.getIndex(group.parts)),
                                kernel.getIndex(p * group.run + r));
      Value s =
          kernel.add(kernel.add(kernel.div(group.begin, group.parts), first),
                     kernel.getIndex(r));
      SmallVector<Value> tiles;
      for (auto [buffer, tile] : llvm::zip_equal(group.buffers, group.tiles))
        tiles.push_back(tile ? tile : loadPanel(branch, &buffer, s, 1));
      Value x = loadInput(kernel.add(group.begin, offset));
      if (!x)
        return {};
      Value w = branch.encoding.decode(b, b.getLoc(), tiles, p, b.getF32Type());
      sum = tile::MmaOp::create(b, x, w, sum);
    }
  return sum;
}

/// Adds the products of the `count` k of a group.
Value TileKernel::addDecodedGroup(const ContractBranch &branch,
                                  const DecodedGroup &group, int64_t count,
                                  Value sum) {
  int64_t step = group.run * group.parts, whole = count / step;
  bool failed = false;
  auto body = [&](Value first, ValueRange carried) -> SmallVector<Value> {
    Value next = addDecodedRows(branch, group, first, step, carried[0]);
    failed = !next;
    return {failed ? carried[0] : next};
  };
  sum = kernel.forEach(kernel.getIndex(0), kernel.getIndex(whole * group.run),
                       kernel.getIndex(group.run), {sum}, body)[0];
  if (int64_t rest = failed ? 0 : count % step)
    return addDecodedRows(branch, group, kernel.getIndex(whole * group.run),
                          rest, sum);
  return failed ? Value() : sum;
}

/// Decodes lines of the weight for a matrix unit: each part of a tile of codes
/// is multiplied by itself.
Value TileKernel::buildDecodedLines(const ContractBranch &branch) {
  auto buffers = branch.getBuffers(launch.getGroup());
  unsigned codes = *getUnitCodes(buffers);
  int64_t parts = buffers[codes].parts;
  bool failed = false;
  auto body = [&](Value k, ValueRange carried) -> SmallVector<Value> {
    Value sum = carried[0];
    Value packed =
        loadPanel(branch, &buffers[codes], kernel.div(k, parts), kUnitRun);
    SmallVector<Value> tiles(buffers.size());
    for (int64_t p = 0; p < parts && !failed; ++p) {
      Value at = kernel.add(k, kernel.getIndex(p * kUnitRun));
      for (auto [i, buffer] : llvm::enumerate(buffers)) {
        if (buffer.group == 1) {
          // Decodes take codes where the first buffer of them is.
          if (!tiles[i])
            tiles[i] = packed;
          continue;
        }
        bool isShared = buffer.group % (kUnitRun * parts) == 0;
        if (p > 0 && isShared)
          continue;
        Value its = buffer.group ? kernel.div(isShared ? k : at, buffer.group)
                                 : Value();
        tiles[i] = loadColumns(branch, buffer, its, /*asRow=*/false);
      }
      Value x = toUnit(loadInput(at, kUnitRun, kUnitRun * parts));
      failed |= !x;
      if (failed)
        break;
      Value w = branch.encoding.decode(b, b.getLoc(), tiles, p, c.unitElement);
      sum = tile::MmaOp::create(b, x, w, sum);
    }
    return {sum};
  };
  Value sum = kernel.forEach(kernel.getIndex(0), kernel.getSize(c.k),
                             kernel.getIndex(kUnitRun * parts),
                             {getZero(b.getF32Type())}, body)[0];
  return failed ? Value() : sum;
}

/// Decodes rows of the weight to f32, group by group of k: what holds for a
/// group is loaded once.
Value TileKernel::buildDecoded(const ContractBranch &branch) {
  DecodedGroup group;
  // Codes come first; further ones are the same in another order.
  group.buffers = branch.getBuffers(launch.getGroup());
  llvm::erase_if(group.buffers, [](const graph::EncodedBuffer &buffer) {
    return buffer.run == kUnitRun;
  });
  int64_t depth = *getConstantSize(c.k), size = depth;
  for (const graph::EncodedBuffer &buffer : group.buffers) {
    group.parts = std::max(group.parts, buffer.parts);
    group.run = std::max(group.run, buffer.run);
    if (buffer.group > 1)
      size = std::min(size, buffer.group);
  }
  bool failed = false;
  auto add = [&](Value begin, int64_t count, Value sum) -> Value {
    group.begin = begin;
    group.tiles.clear();
    for (const graph::EncodedBuffer &buffer : group.buffers) {
      Value index = buffer.group ? kernel.div(begin, buffer.group) : Value();
      group.tiles.push_back(buffer.group == 1
                                ? Value()
                                : loadColumns(branch, buffer, index, false));
    }
    Value next = addDecodedGroup(branch, group, count, sum);
    failed |= !next;
    return failed ? sum : next;
  };
  Value sum = getZero(b.getF32Type());
  if (size == depth)
    sum = add(kernel.getIndex(0), depth, sum);
  else
    sum = kernel.forEachTile(
        c.k, size, {sum},
        [&](Value begin, ValueRange carried,
            bool isWhole) -> SmallVector<Value> {
          return {add(begin, isWhole ? size : depth % size, carried[0])};
        })[0];
  return failed ? Value() : sum;
}

Value TileKernel::buildBF16Pairs(const ContractBranch &branch) {
  BlockArgument input = kernel.getBuffer(BufferRef::operand(*c.narrowInput));
  graph::EncodedBuffer values = branch.getBuffers(launch.getGroup()).front();
  auto body = [&](Value k, ValueRange carried) -> SmallVector<Value> {
    Value x =
        kernel.load(input, c.narrowView,
                    getWindow(row, schedule.rows, divides(schedule.rows, c.m),
                              k, kBF16Group, true));
    Value w = loadPanel(branch, &values, k, kBF16Group);
    return {tile::MmaOp::create(b, x, w, carried[0])};
  };
  return kernel.forEach(kernel.getIndex(0), kernel.getSize(c.k),
                        kernel.getIndex(kBF16Group), {getZero(b.getF32Type())},
                        body)[0];
}

/// Repeats a tile that is 1 long along `unit`.
static Value repeat(ImplicitLocOpBuilder &b, Value tile, int64_t unit,
                    RankedTensorType to) {
  Value line = tile::ReduceOp::create(b, tile::Combine::Add, tile, unit);
  return tile::BroadcastOp::create(b, to, line,
                                   b.getDenseI64ArrayAttr(1 - unit));
}

Value TileKernel::buildMultiplyAdd(const ContractBranch &branch) {
  Type element = getComputeType(getElementType(c.getResult()));
  RankedTensorType type = getTileType(element);
  bool failed = false;
  auto body = [&](Value k, ValueRange carried) -> SmallVector<Value> {
    Value x = loadInput(k), w = loadWeight(branch, k);
    failed = !x || !w;
    if (failed)
      return {carried[0]};
    x = repeat(b, x, 1, type);
    w = repeat(b, w, 0, type);
    if (isa<FloatType>(element)) {
      Value product = arith::MulFOp::create(b, x, w);
      return {arith::AddFOp::create(b, carried[0], product)};
    }
    Value product = arith::MulIOp::create(b, x, w);
    return {arith::AddIOp::create(b, carried[0], product)};
  };
  Value sum = kernel.forEach(kernel.getIndex(0), kernel.getSize(c.k),
                             kernel.getIndex(1), {getZero(element)}, body)[0];
  return failed ? Value() : sum;
}

/// The sum over `count` k from `first` on of codes times codes, in i32. `count`
/// is rounded up to whole dot products: both operands have codes there.
Value TileKernel::buildDot(const ContractBranch &branch, Value first,
                           int64_t count) {
  BlockArgument codes = kernel.getBuffer(BufferRef::temporary(kInputCodes));
  StridedView view = StridedView::getContiguous(
      b.getContext(), getQuantizedInput(c)[kInputCodes].dims);
  graph::IntegerForm form = *branch.encoding.getIntegerForm();
  auto buffers = branch.getBuffers(launch.getGroup());
  graph::EncodedBuffer buffer =
      buffers[c.readsCodes ? *getUnitCodes(buffers) : form.codes];
  int64_t parts = buffer.parts;
  int64_t run = c.readsCodes ? kUnitRun : kInt8Group;
  int64_t rows = llvm::divideCeil(count, run * parts) * run;
  // From zero, so that a constant range is seen to lie inside the views.
  auto body = [&](Value offset, ValueRange carried) -> SmallVector<Value> {
    Value s = kernel.add(kernel.div(first, parts), offset);
    Value packed = loadPanel(branch, &buffer, s, run);
    Value sum = carried[0];
    for (int64_t p = 0; p < parts; ++p) {
      Value k = kernel.add(
          kernel.add(first, kernel.mul(offset, kernel.getIndex(parts))),
          kernel.getIndex(p * run));
      Value x =
          kernel.load(codes, view,
                      getWindow(row, schedule.rows, divides(schedule.rows, c.m),
                                k, run, true));
      Value w = branch.encoding.decodeInteger(b, b.getLoc(), packed, p);
      sum = tile::MmaOp::create(b, sum.getType(), x, w, sum,
                                /*unsigned_a=*/!c.quantizer.getSymmetric(),
                                /*unsigned_b=*/form.isUnsigned);
    }
    return {sum};
  };
  return kernel.forEach(kernel.getIndex(0), kernel.getIndex(rows),
                        kernel.getIndex(run), {getZero(b.getI32Type())},
                        body)[0];
}

/// The scales or offsets of the input for one group, repeated along columns.
Value TileKernel::loadRows(unsigned temporary, Value group) {
  Dims dims = getQuantizedInput(c)[temporary].dims;
  StridedView view = StridedView::getContiguous(b.getContext(), dims);
  dims.push_back(getAffineConstantExpr(1, b.getContext()));
  view.reshape(dims);
  dims.back() = c.n;
  view.broadcast(dims);
  TileWindow window;
  window.bases.assign(batch.begin(), batch.end());
  window.bases.append({row, group, column});
  unsigned first = batch.size();
  window.extents.push_back({first, schedule.rows, divides(schedule.rows, c.m)});
  window.extents.push_back({first + 2, schedule.columns, true});
  return kernel.load(kernel.getBuffer(BufferRef::temporary(temporary)), view,
                     window);
}

/// Adds a group's share, `dot` being the sum of the products of its codes:
///
///   sum_k (offset + xscale * x[k]) * (wscale * w[k])
///     = xscale * wscale * dot + offset * the decoded weights' sum
///   sum_k (xscale * x[k]) * wscale * (w[k] - zero)
///     = wscale * (xscale * dot - zero * the decoded inputs' sum)
Value TileKernel::addDot(const ContractBranch &branch, Value dot, Value group,
                         Value sum) {
  auto buffers = branch.getBuffers(launch.getGroup());
  graph::IntegerForm form = *branch.encoding.getIntegerForm();
  RankedTensorType f32 = getTileType(b.getF32Type());
  auto loadRow = [&](unsigned buffer) -> Value {
    Value its = buffers[buffer].group ? group : Value();
    Value tile = loadColumns(branch, buffers[buffer], its, true);
    if (getElementType(tile).isF32())
      return tile;
    if (isa<FloatType>(getElementType(tile)))
      return arith::ExtFOp::create(b, f32, tile);
    return arith::UIToFPOp::create(b, f32, tile);
  };
  Value share = arith::SIToFPOp::create(b, f32, dot);
  share = arith::MulFOp::create(b, share, loadRows(kInputScales, group));
  if (form.isUnsigned) {
    Value zero = form.zeros ? loadRow(*form.zeros)
                            : kernel.getSplat({schedule.rows, schedule.columns},
                                              b.getF32Type(), form.zero);
    Value shift = arith::MulFOp::create(b, zero, loadRows(kInputSums, group));
    share = arith::SubFOp::create(b, share, shift);
  }
  share = arith::MulFOp::create(b, share, loadRow(form.scales));
  sum = arith::AddFOp::create(b, sum, share);
  if (form.isUnsigned)
    return sum;
  Value shift = arith::MulFOp::create(b, loadRows(kInputOffsets, group),
                                      loadRow(*form.sums));
  return arith::AddFOp::create(b, sum, shift);
}

Value TileKernel::buildInt8(const ContractBranch &branch) {
  int64_t group = c.quantizer.getGroup();
  int64_t rest = *getConstantSize(c.k) % group;
  auto body = [&](Value k, ValueRange carried,
                  bool isWhole) -> SmallVector<Value> {
    Value dot = buildDot(branch, k, isWhole ? group : rest);
    return {addDot(branch, dot, kernel.div(k, group), carried[0])};
  };
  return kernel.forEachTile(c.k, group, {getZero(b.getF32Type())}, body)[0];
}

Value TileKernel::buildBranch(const ContractBranch &branch) {
  Value sum;
  switch (branch.kind) {
  case ContractKind::Mma:
    // Blocks that are not worth their lists are a dense f32 weight.
    if (!branch.encoding || branch.getBlocks())
      sum = buildMma(branch);
    else
      sum = c.readsCodes ? buildDecodedLines(branch) : buildDecoded(branch);
    break;
  case ContractKind::MultiplyAdd:
    sum = buildMultiplyAdd(branch);
    break;
  case ContractKind::BF16Pairs:
    // Pairs beside each other are what CPUs want.
    sum = c.unitElement ? buildMma(branch) : buildBF16Pairs(branch);
    break;
  case ContractKind::DynamicInt8:
    sum = buildInt8(branch);
    break;
  case ContractKind::Blocks:
    llvm_unreachable("blocks have a kernel of their own");
  }
  if (!sum || branch.scale == 1.0)
    return sum;
  Value scale = kernel.getSplat({schedule.rows, schedule.columns},
                                getElementType(sum), branch.scale);
  return arith::MulFOp::create(b, sum, scale);
}

LogicalResult lathe::kernels::buildContractEpilogue(LaunchBuilder &launch,
                                                    const Contraction &c,
                                                    KernelBuilder &kernel,
                                                    const TileWindow &window,
                                                    Value total) {
  graph::GroupOp group = launch.getGroup();
  TileEvaluator evaluator(kernel, group, launch.getContext(), window);
  evaluator.bind(c.getResult(), c.resultAccess, total);
  Operation *yield = group.getBody().front().getTerminator();
  for (auto [i, value] : llvm::enumerate(yield->getOperands())) {
    FailureOr<Value> tile = evaluator.evaluate(value, c.yieldAccesses[i]);
    if (failed(tile) || failed(evaluator.store(*tile, i, c.yieldAccesses[i])))
      return failure();
  }
  return success();
}

LogicalResult TileKernel::build() {
  findPosition();
  Value total;
  for (const ContractBranch &branch : c.branches) {
    Value sum = buildBranch(branch);
    if (!sum)
      return failure();
    if (!total)
      total = sum;
    else if (isa<FloatType>(getElementType(sum)))
      total = arith::AddFOp::create(b, total, sum);
    else
      total = arith::AddIOp::create(b, total, sum);
  }
  TileWindow window =
      getWindow(row, schedule.rows, divides(schedule.rows, c.m), column,
                schedule.columns, divides(schedule.columns, c.n));
  if (failed(buildContractEpilogue(launch, c, kernel, window, total)))
    return failure();

  AffineExpr columnTiles = c.n.ceilDiv(schedule.columns);
  if (schedule.groupTiles == 0)
    kernel.setGrid({getRowTiles(), columnTiles,
                    graph::getProduct(b.getContext(), c.batch)});
  else
    kernel.setGrid({getGroupSize(), columnTiles, getGroupCount()});
  return success();
}

LogicalResult
lathe::kernels::buildContractKernel(LaunchBuilder &launch, const Contraction &c,
                                    const ContractSchedule &schedule,
                                    KernelBuilder &kernel) {
  return TileKernel(launch, c, schedule, kernel).build();
}
