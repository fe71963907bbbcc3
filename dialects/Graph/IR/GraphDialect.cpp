// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/IR/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace lathe::graph;

#include "dialects/Graph/IR/GraphDialect.cpp.inc"

#include "dialects/Graph/IR/GraphEnums.cpp.inc"

#include "dialects/Graph/IR/GraphAttrInterfaces.cpp.inc"
#include "dialects/Graph/IR/GraphOpInterfaces.cpp.inc"

void GraphDialect::initialize() {
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "dialects/Graph/IR/GraphOps.cpp.inc"
      >();
}

Operation *GraphDialect::materializeConstant(OpBuilder &builder,
                                             Attribute value, Type type,
                                             Location loc) {
  auto elements = dyn_cast<ElementsAttr>(value);
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!elements || !tensor || elements.getShapedType() != getDenseType(tensor))
    return nullptr;
  return ConstantOp::create(builder, loc, type, elements);
}

LogicalResult GraphDialect::verifyOperationAttribute(Operation *op,
                                                     NamedAttribute attr) {
  if (attr.getName() == kInRangeAttr) {
    bool isIndexed = isa<GatherOp, GatherElementsOp, GatherNdOp,
                         ScatterElementsOp, ScatterNdOp>(op);
    if (isIndexed && isa<UnitAttr>(attr.getValue()))
      return success();
    return op->emitOpError("attribute '")
           << kInRangeAttr << "' is for gathers and scatters, and has no value";
  }
  if (attr.getName() == kGivenAttr) {
    auto given = dyn_cast<IntegerAttr>(attr.getValue());
    auto symbols = op->getAttrOfType<ArrayAttr>(kSymbolsAttr);
    int64_t known = symbols ? symbols.size() : 0;
    if (given && given.getInt() >= 0 && given.getInt() <= known)
      return success();
    return op->emitOpError("attribute '")
           << kGivenAttr << "' must count some of the " << known << " symbols";
  }
  if (attr.getName() != kSymbolsAttr)
    return op->emitOpError("has unknown attribute '")
           << attr.getName().getValue() << "'; functions may carry '"
           << kSymbolsAttr << "' and '" << kGivenAttr << "'";
  auto names = dyn_cast<ArrayAttr>(attr.getValue());
  if (!names || !llvm::all_of(names, llvm::IsaPred<StringAttr>))
    return op->emitOpError("attribute '")
           << kSymbolsAttr << "' must be an array of strings";
  return success();
}

LogicalResult GraphDialect::verifyRegionArgAttribute(Operation *op,
                                                     unsigned /*region*/,
                                                     unsigned argument,
                                                     NamedAttribute attr) {
  if (attr.getName() == kNameAttr) {
    if (isa<StringAttr>(attr.getValue()))
      return success();
    return op->emitOpError("argument ")
           << argument << ": '" << kNameAttr << "' must be a string";
  }
  if (attr.getName() != kDimsAttr)
    return op->emitOpError("argument ")
           << argument << " has unknown attribute '"
           << attr.getName().getValue() << "'";
  auto map = dyn_cast<AffineMapAttr>(attr.getValue());
  auto type = dyn_cast<RankedTensorType>(
      cast<FunctionOpInterface>(op).getArgumentTypes()[argument]);
  auto symbols = op->getAttrOfType<ArrayAttr>(kSymbolsAttr);
  unsigned known = symbols ? symbols.size() : 0;
  if (!map || !type || map.getValue().getNumDims() != 0 ||
      map.getValue().getNumResults() != type.getRank() ||
      map.getValue().getNumSymbols() > known)
    return op->emitOpError("argument ")
           << argument << ": '" << kDimsAttr
           << "' must be an affine map without dims, over at most the " << known
           << " symbols of '" << kSymbolsAttr
           << "', with one result per dim of the argument";
  return success();
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static void collectNames(Location loc, llvm::SetVector<StringRef> &names) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    names.insert(name.getName());
    return;
  }
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      collectNames(part, names);
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    collectNames(call.getCallee(), names);
}

SmallVector<StringRef> lathe::graph::getNodeNames(Location loc) {
  llvm::SetVector<StringRef> names;
  collectNames(loc, names);
  return names.takeVector();
}
