// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Builders, types and groups. Verifiers are in GraphVerifiers.cpp, shape
// functions in GraphShapes*.cpp, folders in GraphFolds.cpp.

#include "dialects/Graph/IR/Graph.h"

using namespace mlir;
using namespace lathe::graph;

#define GET_OP_CLASSES
#include "dialects/Graph/IR/GraphOps.cpp.inc"

//===-- Types -------------------------------------------------------------===//

RankedTensorType lathe::graph::getDenseType(RankedTensorType type) {
  return RankedTensorType::get(type.getShape(), type.getElementType());
}

/// The broadcast of two sizes; dynamic if it cannot be told.
static int64_t broadcastSize(int64_t a, int64_t b) {
  if (a == 1)
    return b;
  if (b == 1)
    return a;
  return ShapedType::isDynamic(a) ? b : a;
}

RankedTensorType lathe::graph::broadcastType(Type lhs, Type rhs) {
  ArrayRef<int64_t> a = cast<RankedTensorType>(lhs).getShape();
  ArrayRef<int64_t> b = cast<RankedTensorType>(rhs).getShape();
  if (a.size() < b.size())
    std::swap(a, b);
  SmallVector<int64_t> shape(a);
  for (size_t i = 0; i < b.size(); ++i) {
    int64_t &size = shape[a.size() - b.size() + i];
    size = broadcastSize(size, b[i]);
  }
  return RankedTensorType::get(shape, getElementTypeOrSelf(lhs));
}

//===-- Builders ----------------------------------------------------------===//

void CastOp::build(OpBuilder &builder, OperationState &state, Value input,
                   Type elementType) {
  auto type = cast<RankedTensorType>(input.getType());
  build(builder, state, RankedTensorType::get(type.getShape(), elementType),
        input);
}

void TransposeOp::build(OpBuilder &builder, OperationState &state, Value input,
                        ArrayRef<int64_t> permutation) {
  auto type = cast<RankedTensorType>(input.getType());
  SmallVector<int64_t> shape = llvm::map_to_vector(
      permutation, [&](int64_t dim) { return type.getDimSize(dim); });
  build(builder, state, RankedTensorType::get(shape, type.getElementType()),
        input, permutation);
}

// What `ensureTerminator` calls: a group without results.
void YieldOp::build(OpBuilder &, OperationState &) {}

//===-- GroupOp -----------------------------------------------------------===//

bool lathe::graph::isControlFlow(Operation *op) {
  return isa<IfOp, CallOp, LoopOp>(op);
}

bool lathe::graph::isRoot(Operation *op) {
  return isa<ContractOp, MatmulOp, ConvOp, PoolOp, AttentionOp, ReduceOp,
             ArgReduceOp, SoftmaxOp, LayerNormOp, RmsNormOp, CumulateOp>(op);
}

Operation *GroupOp::getRoot() {
  for (Operation &op : getBody().front())
    if (isRoot(&op))
      return &op;
  return nullptr;
}

YieldOp GroupOp::getYield() {
  return cast<YieldOp>(getBody().front().getTerminator());
}

// graph.group KIND (%argument = %input, ...) attributes {...}
//   : (input types) -> result types { body }
//
// The types stand before the body, whose arguments get theirs from them.
void GroupOp::print(OpAsmPrinter &printer) {
  Block &body = getBody().front();
  printer << " " << stringifyGroupKind(getKind()) << " (";
  llvm::interleaveComma(llvm::zip_equal(body.getArguments(), getInputs()),
                        printer, [&](auto pair) {
                          printer << std::get<0>(pair) << " = "
                                  << std::get<1>(pair);
                        });
  printer << ")";
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                           {getKindAttrName()});
  printer << " : ";
  printer.printFunctionalType(*this);
  printer << " ";
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false,
                      /*printBlockTerminators=*/true);
}

static ParseResult parseGroupKind(OpAsmParser &parser, GroupKindAttr &kind) {
  StringRef name;
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseKeyword(&name))
    return failure();
  std::optional<GroupKind> value = symbolizeGroupKind(name);
  if (!value)
    return parser.emitError(location, "unknown group kind '")
           << name
           << "'; allowed are pointwise, reduce, contract, attention, scan";
  kind = GroupKindAttr::get(parser.getContext(), *value);
  return success();
}

ParseResult GroupOp::parse(OpAsmParser &parser, OperationState &state) {
  GroupKindAttr kind;
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> inputs;
  auto parsePair = [&]() -> ParseResult {
    return failure(failed(parser.parseArgument(arguments.emplace_back())) ||
                   failed(parser.parseEqual()) ||
                   failed(parser.parseOperand(inputs.emplace_back())));
  };
  Region *body = state.addRegion();
  if (parseGroupKind(parser, kind) ||
      parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren,
                                     parsePair) ||
      parser.parseOptionalAttrDictWithKeyword(state.attributes))
    return failure();
  state.getOrAddProperties<Properties>().kind = kind;

  FunctionType type;
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseColonType(type) ||
      parser.resolveOperands(inputs, type.getInputs(), location,
                             state.operands))
    return failure();
  for (auto [argument, argumentType] :
       llvm::zip_equal(arguments, type.getInputs()))
    argument.type = argumentType;
  state.addTypes(type.getResults());
  if (parser.parseRegion(*body, arguments))
    return failure();
  ensureTerminator(*body, parser.getBuilder(), state.location);
  return success();
}

LogicalResult GroupOp::verify() {
  Block &body = getBody().front();
  if (body.getNumArguments() != getInputs().size())
    return emitOpError("has ") << getInputs().size() << " inputs and "
                               << body.getNumArguments() << " arguments";
  for (auto [i, argument, input] :
       llvm::enumerate(body.getArguments(), getInputs()))
    if (argument.getType() != input.getType())
      return emitOpError("argument ") << i << " has type " << argument.getType()
                                      << ", its input " << input.getType();
  TypeRange yielded = getYield()->getOperandTypes();
  if (yielded != getResultTypes())
    return emitOpError("yields types (")
           << yielded << ") and has result types (" << getResultTypes() << ")";
  Operation *root = nullptr;
  for (Operation &op : body.without_terminator()) {
    if (!isa<ShapeOpInterface>(op) || isa<GroupOp, BuiltinOp, BindOp>(op) ||
        isControlFlow(&op))
      return emitOpError("must hold ops of one kernel, found '")
             << op.getName() << "'";
    if (root && isRoot(&op))
      return emitOpError("must hold at most one root, found '")
             << root->getName() << "' and '" << op.getName() << "'";
    root = isRoot(&op) ? &op : root;
  }
  return success();
}
