// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// V^T, which the second product of attention takes from its left: written once
// for all queries of a head.

#include "lib/Kernels/AttentionKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

/// Keys that one program takes.
static constexpr int64_t kProgramKeys = 32;

Temporary lathe::kernels::getTransposedValues(const AttentionShape &shape,
                                              int64_t block) {
  MLIRContext *context = shape.op->getContext();
  auto constant = [&](int64_t size) {
    return getAffineConstantExpr(size, context);
  };
  return {BFloat16Type::get(context),
          {shape.batch, shape.keyHeads,
           graph::canonicalizeSize(shape.keys.ceilDiv(block)),
           constant(shape.valueSize), constant(block)}};
}

TileWindow lathe::kernels::getTransposedWindow(KernelBuilder &kernel,
                                               int64_t block, Value batch,
                                               Value head, Value key) {
  TileWindow window;
  Value inner =
      arith::RemUIOp::create(kernel.getBuilder(), key, kernel.getIndex(block));
  window.bases = {batch, head, kernel.div(key, block), kernel.getIndex(0),
                  inner};
  return window;
}

Value lathe::kernels::toNarrow(ImplicitLocOpBuilder &b, Value tile,
                               Type element) {
  auto extended = tile.getDefiningOp<arith::ExtFOp>();
  if (extended && getElementTypeOrSelf(extended.getIn()) == element)
    return extended.getIn();
  auto type = cast<RankedTensorType>(tile.getType());
  return arith::TruncFOp::create(b, type.clone(element), tile);
}

LogicalResult lathe::kernels::buildTransposedValues(LaunchBuilder &launch,
                                                    const AttentionShape &shape,
                                                    int64_t block) {
  KernelBuilder kernel =
      launch.addKernel("attention", {shape.valueSize, kProgramKeys});
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  graph::AttentionOp op = shape.op;
  Value key = kernel.mul(kernel.getProgramId(0), kernel.getIndex(kProgramKeys));
  Value head = kernel.getProgramId(1), batch = kernel.getProgramId(2);
  auto keys = dyn_cast<AffineConstantExpr>(shape.keys);
  bool isInside = keys && keys.getValue() % kProgramKeys == 0;
  TileWindow from;
  from.bases = {batch, head, key, kernel.getIndex(0)};
  from.extents = {{2, kProgramKeys, isInside}, {3, shape.valueSize, true}};
  FailureOr<Value> tile =
      TileEvaluator(kernel, launch.getGroup(), launch.getContext(), from)
          .evaluate(op.getValue(), {});
  if (failed(tile))
    return failure();
  TileWindow to = getTransposedWindow(kernel, block, batch, head, key);
  to.extents = {{4, kProgramKeys, true}, {3, shape.valueSize, true}};
  kernel.store(toNarrow(b, *tile, b.getBF16Type()),
               kernel.getWrittenBuffer(BufferRef::temporary(0)),
               graph::StridedView::getContiguous(
                   b.getContext(), getTransposedValues(shape, block).dims),
               to);
  kernel.setGrid(
      {shape.keys.ceilDiv(kProgramKeys), shape.keyHeads, shape.batch});
  return success();
}
