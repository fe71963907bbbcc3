// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Tile/IR/Tile.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/InterleavedRange.h"

using namespace mlir;
using namespace lathe::tile;

#include "dialects/Tile/IR/TileDialect.cpp.inc"

#include "dialects/Tile/IR/TileEnums.cpp.inc"

/// The tile sizes of a schedule: `[6, 64]`.
static ParseResult parseTileSizes(AsmParser &parser,
                                  SmallVector<int64_t> &sizes) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
    return parser.parseInteger(sizes.emplace_back());
  });
}

static void printTileSizes(AsmPrinter &printer, ArrayRef<int64_t> sizes) {
  printer << '[' << llvm::interleaved(sizes) << ']';
}

#define GET_ATTRDEF_CLASSES
#include "dialects/Tile/IR/TileAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Tile/IR/TileTypes.cpp.inc"

void TileDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Tile/IR/TileAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Tile/IR/TileTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Tile/IR/TileOps.cpp.inc"
      >();
}

LogicalResult TileDialect::verifyRegionArgAttribute(Operation *op,
                                                    unsigned /*region*/,
                                                    unsigned argument,
                                                    NamedAttribute attr) {
  auto kernel = dyn_cast<KernelOp>(op);
  if (kernel && attr.getName() == kWrittenAttr &&
      isa<UnitAttr>(attr.getValue()) &&
      isa<BufferType>(kernel.getArgumentTypes()[argument]))
    return success();
  if (kernel && attr.getName() == kMultipleOfAttr &&
      kernel.getArgumentTypes()[argument].isIndex())
    if (auto number = dyn_cast<IntegerAttr>(attr.getValue());
        number && number.getType().isInteger(64) && number.getInt() > 0)
      return success();
  return op->emitOpError("argument ")
         << argument << ": '" << attr.getName().getValue()
         << "' is not allowed; buffers of a kernel may carry '" << kWrittenAttr
         << "', scalars '" << kMultipleOfAttr << "', a positive i64";
}

/// Parses one dim or stride: an integer or `?`.
static ParseResult parseExtent(AsmParser &parser,
                               SmallVectorImpl<int64_t> &extents) {
  if (succeeded(parser.parseOptionalQuestion())) {
    extents.push_back(ShapedType::kDynamic);
    return success();
  }
  return parser.parseInteger(extents.emplace_back());
}

Type ViewType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape, strides;
  Type element;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() ||
      parser.parseDimensionList(shape, /*allowDynamic=*/true) ||
      parser.parseType(element) || parser.parseComma() ||
      parser.parseCommaSeparatedList(
          AsmParser::Delimiter::Square,
          [&] { return parseExtent(parser, strides); }) ||
      parser.parseGreater())
    return {};
  return parser.getChecked<ViewType>(loc, parser.getContext(), shape, element,
                                     strides);
}

void ViewType::print(AsmPrinter &printer) const {
  printer << '<';
  printer.printDimensionList(getShape());
  if (getRank() > 0)
    printer << 'x';
  printer << getElementType() << ", [";
  llvm::interleaveComma(getStrides(), printer, [&](int64_t stride) {
    if (ShapedType::isDynamic(stride))
      printer << '?';
    else
      printer << stride;
  });
  printer << "]>";
}

LogicalResult ViewType::verify(function_ref<InFlightDiagnostic()> error,
                               ArrayRef<int64_t> shape, Type,
                               ArrayRef<int64_t> strides) {
  if (shape.size() != strides.size())
    return error() << "a view needs one stride per dim, got " << shape.size()
                   << " dims and " << strides.size() << " strides";
  return success();
}
