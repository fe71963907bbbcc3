// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/PassUtils.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace lathe::graph;

static remark::RemarkOpts getOptions(StringRef pass, Operation *op) {
  return remark::RemarkOpts::name(op->getName().getStringRef()).category(pass);
}

void lathe::graph::remarkPassed(StringRef pass, Operation *op,
                                const Twine &message) {
  remark::passed(op->getLoc(), getOptions(pass, op)) << message.str();
}

void lathe::graph::remarkMissed(StringRef pass, Operation *op,
                                const Twine &message) {
  remark::missed(op->getLoc(), getOptions(pass, op)) << message.str();
}

AffineMap lathe::graph::getSizeMap(const ShapeAnalysis &shapes,
                                   MLIRContext *context,
                                   ArrayRef<AffineExpr> sizes) {
  return AffineMap::get(0, shapes.getSymbols().size(), sizes, context);
}

bool lathe::graph::areSameSizes(ArrayRef<AffineExpr> a,
                                ArrayRef<AffineExpr> b) {
  return llvm::equal(a, b, isSameSize);
}

LogicalResult lathe::graph::rewriteOps(
    func::FuncOp function,
    function_ref<Value(ShapeAnalysis &, Operation *)> rewrite) {
  if (function.isExternal())
    return success();
  ShapeAnalysis shapes(function);
  if (failed(shapes.run()))
    return failure();
  auto ops = llvm::map_to_vector(function.getBody().getOps(),
                                 [](Operation &op) { return &op; });
  for (Operation *op : ops) {
    Value result = rewrite(shapes, op);
    if (!result)
      continue;
    shapes.setDims(result, Dims(shapes.getDims(op->getResult(0))));
    op->getResult(0).replaceAllUsesWith(result);
    shapes.forget(op->getResult(0));
    op->erase();
  }
  eraseDeadOps(function);
  return success();
}

void lathe::graph::eraseDeadOps(FunctionOpInterface function) {
  if (function.isExternal())
    return;
  Block &body = function.getFunctionBody().front();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isOpTriviallyDead(&op))
      op.erase();
}

FailureOr<FloatType> lathe::graph::parseNarrowType(Operation *op,
                                                   StringRef name) {
  if (name == "bf16")
    return FloatType(BFloat16Type::get(op->getContext()));
  if (name == "f16")
    return FloatType(Float16Type::get(op->getContext()));
  return op->emitError("no narrow float '")
         << name << "'; allowed are bf16 and f16";
}
