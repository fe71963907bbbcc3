// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/Strategy.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

std::string lathe::kernels::getLabel(Location loc) {
  return llvm::join(graph::getNodeNames(loc), "+");
}

std::string lathe::kernels::getShapeName(ArrayRef<AffineExpr> dims) {
  std::string name;
  for (AffineExpr dim : dims) {
    if (!name.empty())
      name += 'x';
    auto constant = dyn_cast<AffineConstantExpr>(dim);
    name += constant ? std::to_string(constant.getValue()) : "n";
  }
  return name;
}

/// Casts of `--precision`: so many that names say nothing else.
static bool isBetweenFloats(Operation *op) {
  return isa<graph::CastOp>(op) &&
         isa<FloatType>(getElementTypeOrSelf(op->getOperand(0))) &&
         isa<FloatType>(getElementTypeOrSelf(op->getResult(0)));
}

std::string lathe::kernels::getOpsName(graph::GroupOp group,
                                       Operation *except) {
  constexpr size_t maxLength = 40;
  std::string name;
  for (Operation &op : group.getBody().front().without_terminator()) {
    StringRef mnemonic = op.getName().stripDialect();
    if (&op == except || isa<graph::ConstantOp>(op) || graph::isView(&op) ||
        isBetweenFloats(&op))
      continue;
    if (name.size() + mnemonic.size() > maxLength)
      return name + "_etc";
    if (!name.empty())
      name += '_';
    name += mnemonic;
  }
  return name;
}
