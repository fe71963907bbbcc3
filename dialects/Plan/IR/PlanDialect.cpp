// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Plan/IR/Plan.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace lathe::plan;

#include "dialects/Plan/IR/PlanDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Plan/IR/PlanAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Plan/IR/PlanTypes.cpp.inc"

void PlanDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Plan/IR/PlanAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Plan/IR/PlanTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Plan/IR/PlanOps.cpp.inc"
      >();
}

SmallVector<int64_t>
PackAttr::getSampledShape(ArrayRef<int64_t> logical) const {
  SmallVector<int64_t> sampled(logical);
  if (!getWinograd().empty())
    for (int64_t dim : getWinograd().drop_front())
      sampled[dim] += getWinograd().front() - 1;
  return sampled;
}

SmallVector<int64_t> PackAttr::getStoredShape(ArrayRef<int64_t> logical) const {
  SmallVector<int64_t> stored, sampled = getSampledShape(logical);
  for (int64_t dim : getOuter())
    stored.push_back(llvm::divideCeil(sampled[dim], getBlocks()[dim]));
  for (int64_t dim : getInner())
    stored.push_back(getBlocks()[dim]);
  return stored;
}

LogicalResult PackAttr::verify(function_ref<InFlightDiagnostic()> error,
                               ArrayRef<int64_t> blocks,
                               ArrayRef<int64_t> outer, ArrayRef<int64_t> inner,
                               ArrayRef<int64_t> winograd) {
  if (llvm::any_of(blocks, [](int64_t block) { return block <= 0; }))
    return error() << "'blocks' must be positive";
  auto permutesDims = [&](ArrayRef<int64_t> order) {
    SmallVector<int64_t> sorted(order);
    llvm::sort(sorted);
    return llvm::equal(sorted, llvm::seq<int64_t>(0, blocks.size()));
  };
  if (!permutesDims(outer) || !permutesDims(inner))
    return error() << "'outer' and 'inner' must each permute the "
                   << blocks.size() << " dims of 'blocks'";
  auto isDim = [&](int64_t dim) {
    return dim >= 0 && dim < int64_t(blocks.size());
  };
  if (!winograd.empty() &&
      (winograd.size() != 3 || (winograd[0] != 2 && winograd[0] != 4) ||
       !isDim(winograd[1]) || !isDim(winograd[2]) ||
       winograd[1] == winograd[2]))
    return error() << "'winograd' must be 2 or 4 and two dims of 'blocks'";
  return success();
}
