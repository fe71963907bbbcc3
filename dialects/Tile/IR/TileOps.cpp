// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Tile/IR/Tile.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionImplementation.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace lathe::tile;

#define GET_OP_CLASSES
#include "dialects/Tile/IR/TileOps.cpp.inc"

/// The type of a tile operand.
static RankedTensorType typeOf(Value tile) {
  return cast<RankedTensorType>(tile.getType());
}

//===----------------------------------------------------------------------===//
// KernelOp
//===----------------------------------------------------------------------===//

void KernelOp::build(OpBuilder &builder, OperationState &state, StringRef name,
                     FunctionType type, ScheduleAttr schedule) {
  state.addAttribute(SymbolTable::getSymbolAttrName(),
                     builder.getStringAttr(name));
  state.addAttribute(getFunctionTypeAttrName(state.name), TypeAttr::get(type));
  state.addAttribute(getScheduleAttrName(state.name), schedule);
  Region *body = state.addRegion();
  Block *entry = new Block;
  body->push_back(entry);
  for (Type input : type.getInputs())
    entry->addArgument(input, state.location);
}

ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &state) {
  StringAttr name;
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<DictionaryAttr> resultAttrs;
  SmallVector<Type> resultTypes;
  bool variadic = false;
  ScheduleAttr schedule;
  if (parser.parseSymbolName(name, SymbolTable::getSymbolAttrName(),
                             state.attributes) ||
      function_interface_impl::parseFunctionSignatureWithArguments(
          parser, /*allowVariadic=*/false, arguments, variadic, resultTypes,
          resultAttrs) ||
      parser.parseKeyword("schedule") ||
      parser.parseCustomAttributeWithFallback(schedule, Type(),
                                              getScheduleAttrName(state.name),
                                              state.attributes) ||
      parser.parseOptionalAttrDictWithKeyword(state.attributes))
    return failure();
  SmallVector<Type> types;
  for (OpAsmParser::Argument &argument : arguments)
    types.push_back(argument.type);
  state.addAttribute(
      getFunctionTypeAttrName(state.name),
      TypeAttr::get(parser.getBuilder().getFunctionType(types, resultTypes)));
  call_interface_impl::addArgAndResultAttrs(
      parser.getBuilder(), state, arguments, resultAttrs,
      getArgAttrsAttrName(state.name), getResAttrsAttrName(state.name));
  return parser.parseRegion(*state.addRegion(), arguments);
}

void KernelOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  printer.printSymbolName(getSymName());
  call_interface_impl::printFunctionSignature(
      printer, getArgumentTypes(), getArgAttrsAttr(), /*isVariadic=*/false,
      getResultTypes(), getResAttrsAttr(), &getBody(),
      /*printEmptyResult=*/false);
  printer << " schedule ";
  printer.printStrippedAttrOrType(getScheduleAttr());
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(),
      {getSymNameAttrName(), getFunctionTypeAttrName(), getScheduleAttrName(),
       getArgAttrsAttrName(), getResAttrsAttrName()});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

unsigned KernelOp::getNumBuffers() {
  return llvm::count_if(getArgumentTypes(), llvm::IsaPred<BufferType>);
}

LogicalResult KernelOp::verify() {
  if (!getResultTypes().empty())
    return emitOpError("returns nothing; a program stores its results");
  unsigned buffers = getNumBuffers();
  for (auto [i, type] : llvm::enumerate(getArgumentTypes()))
    if (!isa<BufferType, IndexType>(type) ||
        isa<BufferType>(type) != (i < buffers))
      return emitOpError("argument ")
             << i << " has type " << type
             << "; arguments are buffers, then 'index' scalars";
  return success();
}

//===----------------------------------------------------------------------===//
// ViewOp, loads and stores
//===----------------------------------------------------------------------===//

void ViewOp::build(OpBuilder &builder, OperationState &state, Value buffer,
                   Value offset, ArrayRef<OpFoldResult> sizes,
                   ArrayRef<OpFoldResult> strides) {
  SmallVector<Value> dynamicSizes, dynamicStrides;
  SmallVector<int64_t> staticSizes, staticStrides;
  dispatchIndexOpFoldResults(sizes, dynamicSizes, staticSizes);
  dispatchIndexOpFoldResults(strides, dynamicStrides, staticStrides);
  auto element = cast<BufferType>(buffer.getType()).getElementType();
  build(
      builder, state,
      ViewType::get(builder.getContext(), staticSizes, element, staticStrides),
      buffer, offset, dynamicSizes, dynamicStrides, staticSizes, staticStrides);
}

SmallVector<OpFoldResult> ViewOp::getMixedSizes() {
  return getMixedValues(getStaticSizes(), getSizes(), getContext());
}

SmallVector<OpFoldResult> ViewOp::getMixedStrides() {
  return getMixedValues(getStaticStrides(), getStrides(), getContext());
}

LogicalResult ViewOp::verify() {
  ViewType type = getType();
  if (type.getElementType() !=
      cast<BufferType>(getBuffer().getType()).getElementType())
    return emitOpError("has element type ")
           << type.getElementType() << ", but 'buffer' is "
           << getBuffer().getType();
  if (type.getShape() != getStaticSizes() ||
      type.getStrides() != getStaticStrides())
    return emitOpError("sizes and strides must be those of its type ") << type;
  auto isDynamic = [](int64_t extent) { return ShapedType::isDynamic(extent); };
  if (llvm::count_if(getStaticSizes(), isDynamic) !=
          static_cast<int64_t>(getSizes().size()) ||
      llvm::count_if(getStaticStrides(), isDynamic) !=
          static_cast<int64_t>(getStrides().size()))
    return emitOpError("needs one value per dynamic size and stride");
  return success();
}

/// Checks what loads and stores share: one index per view dim, one entry of
/// `dims` per tile dim, and element types.
static LogicalResult verifyAccess(Operation *op, ViewType view,
                                  RankedTensorType tile, size_t indices,
                                  ArrayRef<int64_t> dims,
                                  ArrayRef<int64_t> inBounds,
                                  bool allowBroadcast) {
  if (static_cast<int64_t>(indices) != view.getRank())
    return op->emitOpError("needs one index per dim of the view (")
           << view.getRank() << "), got " << indices;
  if (static_cast<int64_t>(dims.size()) != tile.getRank())
    return op->emitOpError("'dims' needs one entry per dim of the tile (")
           << tile.getRank() << "), got " << dims.size();
  llvm::SmallDenseSet<int64_t> seen;
  for (int64_t dim : dims) {
    if (dim == -1 && allowBroadcast)
      continue;
    if (dim < 0 || dim >= view.getRank() || !seen.insert(dim).second)
      return op->emitOpError("'dims' entry ")
             << dim << " must be a dim of the view, named once"
             << (allowBroadcast ? ", or -1" : "");
  }
  for (int64_t dim : inBounds)
    if (dim < 0 || dim >= tile.getRank())
      return op->emitOpError("'in_bounds' entry ")
             << dim << " is not a dim of the tile";
  if (view.getElementType() != tile.getElementType())
    return op->emitOpError("tile ")
           << tile << " and view " << view << " differ in element type";
  return success();
}

LogicalResult LoadOp::verify() {
  RankedTensorType tile = typeOf(getResult());
  if (failed(verifyAccess(*this, getView().getType(), tile, getIndices().size(),
                          getDims(), getInBounds(),
                          /*allowBroadcast=*/true)))
    return failure();
  if (std::optional<TypedAttr> pad = getPad();
      pad && pad->getType() != tile.getElementType())
    return emitOpError("'pad' must have the tile's element type ")
           << tile.getElementType();
  if (static_cast<bool>(getGather()) != getGatherDim().has_value())
    return emitOpError("'gather' and 'gather_dim' go together");
  if (!getGather())
    return success();
  int64_t dim = *getGatherDim();
  auto indices = cast<RankedTensorType>(getGather().getType());
  if (dim < 0 || dim >= tile.getRank() || getDims()[dim] < 0 ||
      indices.getShape() != ArrayRef<int64_t>{tile.getDimSize(dim)})
    return emitOpError("'gather' must be a rank-1 tile with one index per "
                       "element along a tile dim that runs along the view");
  return success();
}

LogicalResult LoadScalarOp::verify() {
  ViewType view = getView().getType();
  if (static_cast<int64_t>(getIndices().size()) != view.getRank())
    return emitOpError("needs one index per dim of the view (")
           << view.getRank() << "), got " << getIndices().size();
  if (getType() != view.getElementType())
    return emitOpError("result must have the view's element type ")
           << view.getElementType();
  return success();
}

LogicalResult StoreOp::verify() {
  return verifyAccess(*this, getView().getType(), typeOf(getTile()),
                      getIndices().size(), getDims(), getInBounds(),
                      /*allowBroadcast=*/false);
}

//===----------------------------------------------------------------------===//
// Compute
//===----------------------------------------------------------------------===//

LogicalResult MmaOp::verify() {
  RankedTensorType a = typeOf(getA()), b = typeOf(getB()), c = typeOf(getAcc());
  if (a.getRank() != 2 || b.getRank() != 2 || c.getRank() != 2 ||
      a.getDimSize(1) != b.getDimSize(0) ||
      a.getDimSize(0) != c.getDimSize(0) || b.getDimSize(1) != c.getDimSize(1))
    return emitOpError("needs a [m, k], b [k, n] and acc [m, n], got ")
           << a << ", " << b << " and " << c;
  if (a.getElementType() != b.getElementType())
    return emitOpError("'a' and 'b' must have one element type");
  bool integer = a.getElementType().isInteger(8);
  if (integer
          ? !c.getElementType().isInteger(32)
          : !isa<FloatType>(a.getElementType()) || !c.getElementType().isF32())
    return emitOpError("accumulates i8 in i32 and floats in f32, got ")
           << a << " in " << c;
  if ((getUnsignedA() || getUnsignedB()) && !integer)
    return emitOpError("'unsigned_a' and 'unsigned_b' are for i8 operands");
  return success();
}

/// `input` without dim `axis`.
static RankedTensorType dropDim(RankedTensorType input, int64_t axis) {
  SmallVector<int64_t> shape(input.getShape());
  shape.erase(shape.begin() + axis);
  return RankedTensorType::get(shape, input.getElementType());
}

void ReduceOp::build(OpBuilder &builder, OperationState &state, Combine kind,
                     Value input, int64_t axis) {
  build(builder, state, dropDim(typeOf(input), axis), kind, input, axis);
}

static LogicalResult verifyAxis(Operation *op, RankedTensorType type,
                                int64_t axis) {
  if (axis < 0 || axis >= type.getRank())
    return op->emitOpError("'axis' must be a dim of ")
           << type << ", got " << axis;
  return success();
}

LogicalResult ReduceOp::verify() {
  RankedTensorType input = typeOf(getInput());
  if (failed(verifyAxis(*this, input, getAxis())))
    return failure();
  if (getType() != dropDim(input, getAxis()))
    return emitOpError("result must be ") << dropDim(input, getAxis());
  return success();
}

LogicalResult ScanOp::verify() {
  return verifyAxis(*this, typeOf(getInput()), getAxis());
}

LogicalResult SplatOp::verify() {
  if (getInput().getType() != typeOf(getResult()).getElementType())
    return emitOpError("'input' must have the tile's element type ")
           << typeOf(getResult()).getElementType();
  return success();
}

LogicalResult BroadcastOp::verify() {
  RankedTensorType input = typeOf(getInput()), result = typeOf(getResult());
  if (input.getElementType() != result.getElementType() ||
      static_cast<int64_t>(getDims().size()) != input.getRank())
    return emitOpError("needs one entry of 'dims' per dim of 'input' and one "
                       "element type");
  int64_t last = -1;
  for (auto [dim, size] : llvm::zip_equal(getDims(), input.getShape())) {
    if (dim <= last || dim >= result.getRank() ||
        result.getDimSize(dim) != size)
      return emitOpError("'dims' must ascend and name dims of the result of "
                         "the input's sizes");
    last = dim;
  }
  return success();
}

LogicalResult TransposeOp::verify() {
  RankedTensorType input = typeOf(getInput()), result = typeOf(getResult());
  SmallVector<int64_t> sorted(getPermutation());
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, input.getRank())))
    return emitOpError("'permutation' must permute the ")
           << input.getRank() << " dims of 'input'";
  for (auto [i, dim] : llvm::enumerate(getPermutation()))
    if (result.getRank() != input.getRank() ||
        result.getDimSize(i) != input.getDimSize(dim))
      return emitOpError("result dim ") << i << " must be input dim " << dim;
  return success();
}

LogicalResult ConcatOp::verify() {
  RankedTensorType result = typeOf(getResult());
  if (failed(verifyAxis(*this, result, getAxis())))
    return failure();
  int64_t size = 0;
  for (Value input : getInputs()) {
    RankedTensorType type = typeOf(input);
    SmallVector<int64_t> expected(result.getShape());
    if (type.getRank() == result.getRank())
      expected[getAxis()] = type.getDimSize(getAxis());
    if (type != result.clone(expected))
      return emitOpError("an input of ")
             << result << " along dim " << getAxis() << " can't be " << type;
    size += expected[getAxis()];
  }
  if (size != result.getDimSize(getAxis()))
    return emitOpError("inputs have ")
           << size << " positions along dim " << getAxis() << ", the result "
           << result.getDimSize(getAxis());
  return success();
}

LogicalResult IotaOp::verify() {
  if (!typeOf(getResult()).getElementType().isIntOrIndex())
    return emitOpError("needs integer or index elements");
  return verifyAxis(*this, typeOf(getResult()), getAxis());
}
