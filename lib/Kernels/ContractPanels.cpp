// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A weight that is computed at run time, and whose columns do not lie beside
// each other (a transposed activation), in the panels of a packed one.

#include "lib/Kernels/ContractKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

Temporary lathe::kernels::getPanels(const Contraction &c,
                                    const ContractBranch &branch) {
  Dims dims = c.getSpace(c.n.ceilDiv(c.panelColumns), c.k);
  dims.push_back(getAffineConstantExpr(c.panelColumns, c.root->getContext()));
  auto type = cast<RankedTensorType>(branch.weight.getType());
  return {type.getElementType(), dims};
}

LogicalResult lathe::kernels::buildPanelsKernel(LaunchBuilder &launch,
                                                const Contraction &c,
                                                const ContractBranch &branch) {
  constexpr int64_t steps = 16;
  KernelBuilder kernel = launch.addKernel("contract", {steps, c.panelColumns});
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  Value panel = kernel.getProgramId(0);
  SmallVector<Value> batch =
      kernel.delinearize(kernel.getProgramId(1), c.batch);
  Value column = kernel.mul(panel, kernel.getIndex(c.panelColumns));
  BlockArgument buffer =
      kernel.getWrittenBuffer(BufferRef::temporary(*branch.panels));
  Temporary panels = getPanels(c, branch);
  StridedView view = StridedView::getContiguous(b.getContext(), panels.dims);
  unsigned first = batch.size();
  bool failed = false;
  auto body = [&](Value k, ValueRange, bool inBounds) -> SmallVector<Value> {
    TileWindow read, write;
    read.bases.assign(batch.begin(), batch.end());
    write.bases = read.bases;
    read.bases.append({k, column});
    read.extents = {{first, steps, inBounds},
                    {first + 1, c.panelColumns, false}};
    write.bases.append({panel, k, kernel.getIndex(0)});
    write.extents = {{first + 1, steps, inBounds},
                     {first + 2, c.panelColumns, true}};
    TileEvaluator evaluator(kernel, launch.getGroup(), launch.getContext(),
                            read);
    FailureOr<Value> tile = evaluator.evaluate(branch.weight, branch.access);
    failed |= llvm::failed(tile);
    if (failed)
      return {};
    Type element = getTileElementType(panels.elementType);
    kernel.store(fromComputeType(b, *tile, element), buffer, view, write);
    return {};
  };
  kernel.forEachTile(c.k, steps, {}, body);
  if (failed)
    return failure();
  kernel.setGrid({c.n.ceilDiv(c.panelColumns),
                  graph::getProduct(b.getContext(), c.batch)});
  return success();
}
