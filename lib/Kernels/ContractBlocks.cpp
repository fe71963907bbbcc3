// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/ContractBlocks.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Encodings/BlockLists.h"
#include "lib/Kernels/ContractKernel.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

/// Rows that lie beside each other in the transposed input: bytes of a vector.
static constexpr int64_t kPanelRows = 64;
/// Columns of a program.
static constexpr int64_t kColumns = kStripColumns * kStripsTogether;

static graph::GroupOp getGroup(const Contraction &c) {
  return cast<graph::GroupOp>(c.root->getParentOp());
}

//===----------------------------------------------------------------------===//
// Whether, and how
//===----------------------------------------------------------------------===//

namespace {
/// Cycles that four columns by four k of 64 rows take.
struct BlockCosts {
  double listed;   ///< As a group of a list.
  double dense;    ///< As a part of a dense weight.
  double perStrip; ///< Beside its groups: four columns of 64 rows.
};
} // namespace

/// Measured on Zen 5 (benchmarks/sparse.py), and made worse for lists by what
/// shuffles take on Intel.
static BlockCosts getCosts(const Capability &capability, const Contraction &c) {
  double vectors = 64.0 / static_cast<double>(capability.getLanes(32));
  if (!c.quantizer || !capability.int8Dot)
    return {10.5 * vectors, 9.0 * vectors, 40.0 * vectors};
  return {14.0, capability.matrixUnit ? 2.0 : 9.5, 160.0};
}

bool lathe::kernels::usesBlocks(const Capability &capability,
                                const Contraction &c, std::string &remark) {
  const ContractBranch &branch = c.branches.front();
  graph::BlockAttr blocks = branch.getBlocks();
  auto k = getConstantSize(c.k), n = getConstantSize(c.n);
  if (!blocks || !k || !n)
    return false;
  if (c.branches.size() == 1 && capability.kind == Capability::Kind::Cpu) {
    BlockCosts costs = getCosts(capability, c);
    int64_t groups =
        branch.getBuffers(getGroup(c))[kBlockValues].type.getDimSize(0);
    double strips = static_cast<double>(*n) / kStripColumns;
    double listed =
        static_cast<double>(groups) * costs.listed + strips * costs.perStrip;
    double dense = strips * static_cast<double>(*k) / kBlockGroup * costs.dense;
    // Few rows leave lanes of the lists empty.
    if (auto m = getConstantSize(c.m); m && *m < kPanelRows)
      dense *= static_cast<double>(std::max<int64_t>(*m, 1)) / kPanelRows;
    if (listed < dense)
      return true;
  }
  remark = llvm::formatv("blocks at density {0:f2} of {1}x{2} are stored and "
                         "multiplied as a dense weight, which is faster here",
                         static_cast<double>(blocks.getDensity()), *k, *n);
  return false;
}

SmallVector<SmallVector<int64_t, 3>>
lathe::kernels::listBlockTiles(const Capability &capability,
                               std::optional<int64_t> rows) {
  // Four columns of accumulators leave room for operands.
  int64_t lanes = capability.getLanes(32);
  int64_t vectors = capability.vectorRegisters >= 32 ? 4 : 2;
  if (rows && *rows <= lanes)
    vectors = 1;
  return {{std::min(vectors * lanes, kPanelRows), kColumns}};
}

//===----------------------------------------------------------------------===//
// The input
//===----------------------------------------------------------------------===//

Temporary lathe::kernels::getTransposedInput(const Contraction &c) {
  MLIRContext *context = c.root->getContext();
  Dims dims = c.getSpace(c.m.ceilDiv(kPanelRows), c.k);
  dims.push_back(getAffineConstantExpr(kPanelRows, context));
  if (c.quantizer)
    return {IntegerType::get(context, 8), dims};
  return {Float32Type::get(context), dims};
}

LogicalResult lathe::kernels::buildTransposeKernel(LaunchBuilder &launch,
                                                   const Contraction &c,
                                                   unsigned transposed) {
  constexpr int64_t depth = 64;
  KernelBuilder kernel = launch.addKernel("contract", {kPanelRows, depth});
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Value panel = kernel.getProgramId(1);
  Value k = kernel.mul(kernel.getProgramId(0), kernel.getIndex(depth));
  SmallVector<Value> batch =
      kernel.delinearize(kernel.getProgramId(2), c.batch);
  unsigned first = batch.size();
  bool isWhole = isMultipleOf(c.k, depth);
  TileWindow read, write;
  read.bases.assign(batch.begin(), batch.end());
  write.bases = read.bases;
  read.bases.append({kernel.mul(panel, kernel.getIndex(kPanelRows)), k});
  read.extents = {{first, kPanelRows, isMultipleOf(c.m, kPanelRows)},
                  {first + 1, depth, isWhole}};
  write.bases.append({panel, k, kernel.getIndex(0)});
  write.extents = {{first + 2, kPanelRows, true}, {first + 1, depth, isWhole}};
  Value tile;
  if (c.quantizer) {
    StridedView codes = StridedView::getContiguous(
        b.getContext(), getQuantizedInput(c)[kInputCodes].dims);
    tile = kernel.load(kernel.getBuffer(BufferRef::temporary(kInputCodes)),
                       codes, read);
  } else {
    TileEvaluator evaluator(kernel, launch.getGroup(), launch.getContext(),
                            read);
    FailureOr<Value> input = evaluator.evaluate(c.input, c.inputAccess);
    if (failed(input))
      return failure();
    tile = *input;
  }
  kernel.store(
      tile, kernel.getWrittenBuffer(BufferRef::temporary(transposed)),
      StridedView::getContiguous(b.getContext(), getTransposedInput(c).dims),
      write);
  kernel.setGrid({c.k.ceilDiv(depth), c.m.ceilDiv(kPanelRows),
                  graph::getProduct(b.getContext(), c.batch)});
  return success();
}

//===----------------------------------------------------------------------===//
// The lists
//===----------------------------------------------------------------------===//

namespace {

class BlocksKernel {
public:
  BlocksKernel(LaunchBuilder &launch, const Contraction &c, unsigned transposed,
               int64_t rows, KernelBuilder &kernel)
      : launch(launch), c(c), branch(c.branches.front()),
        buffers(branch.getBuffers(launch.getGroup())), transposed(transposed),
        rows(rows), kernel(kernel), b(kernel.getBuilder()) {}

  LogicalResult build();

private:
  int64_t getNumGroups() const {
    return buffers[kBlockValues].type.getDimSize(0);
  }
  BlockArgument getList(BlockBuffer buffer, StridedView &view);
  Value loadOffset(Value strip);
  Value loadIndices(Value group);
  Value loadValues(Value group);
  Value loadInput(Value indices);
  Value buildStrip(Value strip);
  Value loadRows(unsigned temporary);
  Value loadColumns(BlockBuffer buffer);
  Value decode(Value sums);
  TileWindow getWindow() const;

  LaunchBuilder &launch;
  const Contraction &c;
  const ContractBranch &branch;
  SmallVector<graph::EncodedBuffer> buffers;
  unsigned transposed;
  int64_t rows;
  KernelBuilder &kernel;
  ImplicitLocOpBuilder &b;

  SmallVector<Value> batch;
  Value row, column;
  Value panel, panelRow; ///< `row` within panels of the transposed input.
};

} // namespace

/// The buffer of a list, and a view of all of it.
BlockArgument BlocksKernel::getList(BlockBuffer buffer, StridedView &view) {
  BufferRef ref = BufferRef::operand(*branch.packedOperand);
  ref.encodedBuffer = buffers[buffer].name;
  Dims dims;
  for (int64_t size : buffers[buffer].type.getShape())
    dims.push_back(getAffineConstantExpr(size, b.getContext()));
  view = StridedView::getContiguous(b.getContext(), dims);
  return kernel.getBuffer(ref);
}

/// Groups before `strip`, a number of groups that there are.
Value BlocksKernel::loadOffset(Value strip) {
  StridedView view;
  BlockArgument list = getList(kBlockOffsets, view);
  TileWindow window;
  window.bases.push_back(strip);
  Value offset = kernel.load(list, view, window);
  offset = arith::IndexCastOp::create(b, b.getIndexType(), offset);
  offset = arith::MaxSIOp::create(b, offset, kernel.getIndex(0));
  return arith::MinSIOp::create(b, offset, kernel.getIndex(getNumGroups()));
}

/// The group's k, each of which there is.
Value BlocksKernel::loadIndices(Value group) {
  StridedView view;
  BlockArgument list = getList(kBlockIndices, view);
  TileWindow window;
  window.bases = {group, kernel.getIndex(0)};
  window.extents = {{1, kBlockGroup, true}};
  Value narrow = kernel.load(list, view, window);
  auto i32 = RankedTensorType::get({kBlockGroup}, b.getI32Type());
  Value last = kernel.getSplat({kBlockGroup}, b.getI32Type(),
                               static_cast<double>(*getConstantSize(c.k) - 1));
  Value indices = arith::ExtUIOp::create(b, i32, narrow);
  indices = arith::MinSIOp::create(b, indices, last);
  return arith::IndexCastOp::create(b, i32.clone(b.getIndexType()), indices);
}

/// [columns of the strip, k].
Value BlocksKernel::loadValues(Value group) {
  StridedView view;
  BlockArgument list = getList(kBlockValues, view);
  TileWindow window;
  window.bases = {group, kernel.getIndex(0), kernel.getIndex(0)};
  window.extents = {{1, kStripColumns, true}, {2, kBlockGroup, true}};
  return kernel.load(list, view, window);
}

/// [k, rows].
Value BlocksKernel::loadInput(Value indices) {
  Temporary input = getTransposedInput(c);
  StridedView view = StridedView::getContiguous(b.getContext(), input.dims);
  SmallVector<unsigned> dims(
      llvm::to_vector(llvm::seq<unsigned>(0, input.dims.size())));
  Value source = kernel.getView(
      kernel.getBuffer(BufferRef::temporary(transposed)), view, dims);
  SmallVector<Value> bases(batch);
  bases.append({panel, kernel.getIndex(0), panelRow});
  int64_t first = batch.size();
  auto type = RankedTensorType::get({kBlockGroup, rows}, input.elementType);
  return tile::LoadOp::create(
      b, type, source, bases, indices, ArrayRef<int64_t>{first + 1, first + 2},
      b.getI64IntegerAttr(0), /*pad=*/TypedAttr(), ArrayRef<int64_t>{0, 1});
}

/// The sums of a strip: [its columns, rows].
Value BlocksKernel::buildStrip(Value strip) {
  Value begin = loadOffset(strip);
  Value end = loadOffset(kernel.add(strip, kernel.getIndex(1)));
  Type sums = c.quantizer ? Type(b.getI32Type()) : Type(b.getF32Type());
  auto body = [&](Value group, ValueRange carried) -> SmallVector<Value> {
    Value x = loadInput(loadIndices(group)), w = loadValues(group);
    return {tile::MmaOp::create(b, carried[0].getType(), w, x, carried[0],
                                /*unsigned_a=*/false,
                                /*unsigned_b=*/c.quantizer != nullptr)};
  };
  return kernel.forEach(begin, end, kernel.getIndex(1),
                        {kernel.getSplat({kStripColumns, rows}, sums, 0)},
                        body)[0];
}

/// Over (batch.., m, n): this program's columns, then its rows.
TileWindow BlocksKernel::getWindow() const {
  TileWindow window;
  window.bases.assign(batch.begin(), batch.end());
  window.bases.append({row, column});
  unsigned first = batch.size();
  window.extents = {{first + 1, kColumns, isMultipleOf(c.n, kColumns)},
                    {first, rows, isMultipleOf(c.m, rows)}};
  return window;
}

/// The scales or offsets of the input, repeated along columns.
Value BlocksKernel::loadRows(unsigned temporary) {
  StridedView view = StridedView::getContiguous(
      b.getContext(), getQuantizedInput(c)[temporary].dims);
  view.broadcast(c.getSpace(c.m, c.n));
  return kernel.load(kernel.getBuffer(BufferRef::temporary(temporary)), view,
                     getWindow());
}

/// What the weight has per column, repeated along rows.
Value BlocksKernel::loadColumns(BlockBuffer buffer) {
  StridedView view;
  BlockArgument list = getList(buffer, view);
  view.broadcast(c.getSpace(c.m, c.n));
  return kernel.load(list, view, getWindow());
}

/// sum_k (offset + xscale * x[k]) * (wscale * w[k]).
Value BlocksKernel::decode(Value sums) {
  auto type = cast<RankedTensorType>(sums.getType()).clone(b.getF32Type());
  Value total = arith::SIToFPOp::create(b, type, sums);
  total = arith::MulFOp::create(b, total, loadRows(kInputScales));
  total = arith::MulFOp::create(b, total, loadColumns(kBlockScales));
  Value shift = arith::MulFOp::create(b, loadRows(kInputOffsets),
                                      loadColumns(kBlockSums));
  return arith::AddFOp::create(b, total, shift);
}

LogicalResult BlocksKernel::build() {
  Value columnTile = kernel.getProgramId(0), rowTile = kernel.getProgramId(1);
  batch = kernel.delinearize(kernel.getProgramId(2), c.batch);
  row = kernel.mul(rowTile, kernel.getIndex(rows));
  column = kernel.mul(columnTile, kernel.getIndex(kColumns));
  panel = rowTile;
  panelRow = kernel.getIndex(0);
  if (int64_t parts = kPanelRows / rows; parts > 1) {
    Value count = kernel.getIndex(parts);
    panel = arith::DivUIOp::create(b, rowTile, count);
    panelRow = kernel.mul(arith::RemUIOp::create(b, rowTile, count),
                          kernel.getIndex(rows));
  }
  Value strip = kernel.mul(columnTile, kernel.getIndex(kStripsTogether));
  SmallVector<Value> sums;
  for (int64_t i = 0; i < kStripsTogether; ++i)
    sums.push_back(buildStrip(kernel.add(strip, kernel.getIndex(i))));
  auto type = cast<RankedTensorType>(sums.front().getType());
  Value total = tile::ConcatOp::create(
      b, RankedTensorType::get({kColumns, rows}, type.getElementType()), sums,
      0);
  if (c.quantizer)
    total = decode(total);
  if (branch.scale != 1.0)
    total = arith::MulFOp::create(
        b, total,
        kernel.getSplat({kColumns, rows}, b.getF32Type(), branch.scale));
  if (failed(buildContractEpilogue(launch, c, kernel, getWindow(), total)))
    return failure();
  // Rows of the input stay in the first cache while all columns run.
  kernel.setGrid({c.n.ceilDiv(kColumns), c.m.ceilDiv(rows),
                  graph::getProduct(b.getContext(), c.batch)});
  return success();
}

LogicalResult lathe::kernels::buildBlocksKernel(LaunchBuilder &launch,
                                                const Contraction &c,
                                                unsigned transposed,
                                                ArrayRef<int64_t> tile,
                                                KernelBuilder &kernel) {
  return BlocksKernel(launch, c, transposed, tile[0], kernel).build();
}
