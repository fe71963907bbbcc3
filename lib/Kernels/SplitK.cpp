// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/SplitK.h"

#include "lib/Kernels/IterationSpace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::StridedView;

/// The tile of a program that adds up: four elements a thread, of which all
/// parts are on their way at once.
static constexpr int64_t kRows = 4, kColumns = 128;

Temporary SplitK::getSums() const {
  MLIRContext *context = rows.getContext();
  return {Float32Type::get(context),
          {getAffineConstantExpr(parts, context), rows, columns}};
}

StridedView SplitK::getView() const {
  return StridedView::getContiguous(rows.getContext(), getSums().dims);
}

std::pair<Value, Value> SplitK::getRange(KernelBuilder &kernel, Value part,
                                         int64_t steps, int64_t depth) const {
  Value own = kernel.getIndex(llvm::divideCeil(steps, parts) * depth);
  Value begin = kernel.mul(part, own);
  Value end =
      arith::MinSIOp::create(kernel.getBuilder(), kernel.add(begin, own),
                             kernel.getIndex(steps * depth));
  return {begin, end};
}

/// The window in one part of the sums.
static TileWindow getWindow(Value part, TileWindow window) {
  window.bases.insert(window.bases.begin(), part);
  for (TileWindow::Extent &extent : window.extents)
    ++extent.dim;
  return window;
}

void SplitK::store(KernelBuilder &kernel, Value tile, Value part,
                   const TileWindow &window) const {
  kernel.store(tile, kernel.getWrittenBuffer(BufferRef::temporary(temporary)),
               getView(), getWindow(part, window));
}

LogicalResult
SplitK::addKernel(LaunchBuilder &launch, StringRef strategy,
                  llvm::function_ref<LogicalResult(KernelBuilder &, Value,
                                                   const TileWindow &)>
                      finish) const {
  KernelBuilder kernel = launch.addKernel(strategy, {kRows, kColumns});
  TileWindow window;
  window.bases = {
      kernel.mul(kernel.getProgramId(0), kernel.getIndex(kRows)),
      kernel.mul(kernel.getProgramId(1), kernel.getIndex(kColumns))};
  window.extents = {{0, kRows, isMultipleOf(rows, kRows)},
                    {1, kColumns, isMultipleOf(columns, kColumns)}};
  BlockArgument buffer = kernel.getBuffer(BufferRef::temporary(temporary));
  Value sums;
  for (int64_t part = 0; part < parts; ++part) {
    Value tile = kernel.load(buffer, getView(),
                             getWindow(kernel.getIndex(part), window));
    sums = sums ? arith::AddFOp::create(kernel.getBuilder(), sums, tile) : tile;
  }
  if (failed(finish(kernel, sums, window)))
    return failure();
  kernel.setGrid({rows.ceilDiv(kRows), columns.ceilDiv(kColumns)});
  return success();
}
