// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/IR/Graph.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe::graph;

FailureOr<Float64> Float64::parse(AsmParser &parser) {
  double value;
  if (parser.parseFloat(value))
    return failure();
  return Float64(value);
}

void Float64::print(AsmPrinter &printer, double value) {
  printer.printFloat(llvm::APFloat(value));
}

#define GET_ATTRDEF_CLASSES
#include "dialects/Graph/IR/GraphAttrs.cpp.inc"

void GraphDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Graph/IR/GraphAttrs.cpp.inc"
      >();
}

ConcatAttr ConcatAttr::get(int64_t axis, ArrayRef<ElementsAttr> parts) {
  ShapedType type = parts.front().getShapedType();
  SmallVector<int64_t> shape(type.getShape());
  for (ElementsAttr part : parts.drop_front())
    shape[axis] += part.getShapedType().getDimSize(axis);
  return get(parts.front().getContext(), type.clone(shape), axis, parts);
}

LogicalResult ConcatAttr::verify(function_ref<InFlightDiagnostic()> error,
                                 ShapedType type, int64_t axis,
                                 ArrayRef<ElementsAttr> parts) {
  auto whole = dyn_cast<RankedTensorType>(type);
  if (!whole || !whole.hasStaticShape() || axis < 0 || axis >= whole.getRank())
    return error() << "'axis' " << axis << " must be a dim of a static tensor, "
                   << "got " << type;
  SmallVector<int64_t> shape(whole.getShape());
  shape[axis] = 0;
  for (ElementsAttr part : parts) {
    ShapedType found = part.getShapedType();
    SmallVector<int64_t> expected(whole.getShape());
    if (found.getRank() == whole.getRank())
      expected[axis] = found.getDimSize(axis);
    if (found != whole.clone(expected))
      return error() << "a part of " << whole << " along axis " << axis
                     << " can't be " << found;
    shape[axis] += expected[axis];
  }
  if (shape[axis] != whole.getDimSize(axis))
    return error() << "the parts have " << shape[axis] << " elements along "
                   << "axis " << axis << ", the whole is " << whole;
  return success();
}

LogicalResult Int8Attr::verify(function_ref<InFlightDiagnostic()> error,
                               int64_t axis, int64_t group) {
  if (axis < 0 || group < 0)
    return error() << "'axis' and 'group' must not be negative, got " << axis
                   << " and " << group;
  return success();
}

LogicalResult
Int8Attr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                         function_ref<InFlightDiagnostic()> error) const {
  int64_t rank = shape.size();
  if (getAxis() >= rank)
    return error() << "'axis' " << getAxis() << " of " << *this
                   << " is not a dim of a tensor of rank " << rank;
  if (getGroup() != 0 && rank != 2)
    return error() << *this << " has groups, which are for matrices, not for "
                   << "rank " << rank;
  return success();
}

/// Checks the axis and the group of codes of a few bits in a matrix: a group is
/// `unit`s of k, whole bytes of codes in each of four rows, and at most a tile.
static LogicalResult
verifyPackedMatrix(function_ref<InFlightDiagnostic()> error, int64_t axis,
                   int64_t group, int64_t unit) {
  if (axis < 0 || axis > 1)
    return error() << "'axis' of a matrix must be 0 or 1, got " << axis;
  if (group <= 0 || group % unit != 0 || group > 1024)
    return error() << "'group' must be a multiple of " << unit << " in " << unit
                   << "..1024, got " << group;
  return success();
}

static LogicalResult verifyMatrix(function_ref<InFlightDiagnostic()> error,
                                  Attribute encoding, ArrayRef<int64_t> shape) {
  if (shape.size() != 2)
    return error() << encoding << " is for matrices, not for rank "
                   << shape.size();
  return success();
}

LogicalResult Int4Attr::verify(function_ref<InFlightDiagnostic()> error,
                               int64_t axis, int64_t group, bool) {
  return verifyPackedMatrix(error, axis, group, 8);
}

LogicalResult
Int4Attr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                         function_ref<InFlightDiagnostic()> error) const {
  return verifyMatrix(error, *this, shape);
}

LogicalResult TernaryAttr::verify(function_ref<InFlightDiagnostic()> error,
                                  int64_t axis, int64_t group) {
  return verifyPackedMatrix(error, axis, group == 0 ? 16 : group, 16);
}

LogicalResult
TernaryAttr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                            function_ref<InFlightDiagnostic()> error) const {
  return verifyMatrix(error, *this, shape);
}

LogicalResult BlockAttr::verify(function_ref<InFlightDiagnostic()> error,
                                int64_t axis, int64_t size, Float64 density,
                                Type type) {
  if (axis < 0 || axis > 1)
    return error() << "'axis' of a matrix must be 0 or 1, got " << axis;
  if (size != 4 && size != 8 && size != 16)
    return error() << "'size' must be 4, 8 or 16 columns, got " << size;
  if (!(density >= 0.0 && density <= 1.0))
    return error() << "'density' must be in 0..1, got " << double(density);
  if (!type.isInteger(8) && !type.isF32())
    return error() << "'type' must be i8 or f32, got " << type;
  return success();
}

LogicalResult
BlockAttr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                          function_ref<InFlightDiagnostic()> error) const {
  if (failed(verifyMatrix(error, *this, shape)))
    return failure();
  // Lists hold indices of 16 bits.
  constexpr int64_t most = 65536;
  if (int64_t k = shape[1 - getAxis()]; k > most)
    return error() << *this << " holds at most " << most
                   << " elements a column, got " << k;
  return success();
}

LogicalResult DynamicInt8Attr::verify(function_ref<InFlightDiagnostic()> error,
                                      int64_t group, bool) {
  // Dot products take four at a time, and sums of a group fit 32 bits.
  if (group <= 0 || group % 4 != 0 || group > 65536)
    return error() << "'group' must be a multiple of 4 in 4..65536, got "
                   << group;
  return success();
}

bool SoftmaxAttr::isRowSumOne() const { return true; }
// A cap bends the logits, so a shift no longer cancels.
bool SoftmaxAttr::isShiftInvariant() const { return getCap() == 0.0; }

bool SigmoidAttr::isRowSumOne() const { return false; }
bool SigmoidAttr::isShiftInvariant() const { return false; }

bool DenseSelectionAttr::isSelected(int64_t, int64_t, int64_t, int64_t, int64_t,
                                    int64_t) const {
  return true;
}

/// Whether a key `distance` places after a query's own is in the window.
static bool isInWindow(int64_t distance, int64_t left, int64_t right) {
  return (left < 0 || -distance <= left) && (right < 0 || distance <= right);
}

bool WindowAttr::isSelected(int64_t, int64_t, int64_t query, int64_t key,
                            int64_t queries, int64_t keys) const {
  return isInWindow(key - (query + keys - queries), getLeft(), getRight());
}

ArrayRef<int32_t> BlockListAttr::getBlocks(int64_t head, int64_t row) const {
  ArrayRef<int32_t> offsets = getRowOffsets().asArrayRef();
  int64_t entry = head * getRows() + row;
  return getColumns().asArrayRef().slice(offsets[entry],
                                         offsets[entry + 1] - offsets[entry]);
}

bool BlockListAttr::isSelected(int64_t head, int64_t heads, int64_t query,
                               int64_t key, int64_t queries,
                               int64_t keys) const {
  int64_t row = query / getBlock();
  return row < getRows() &&
         llvm::is_contained(getBlocks(head * getHeads() / heads, row),
                            key / getBlock()) &&
         isInWindow(key - (query + keys - queries), getLeft(), getRight());
}

LogicalResult NarrowAttr::verify(function_ref<InFlightDiagnostic()> error,
                                 Type type) {
  if (type.isBF16() || type.isF16())
    return success();
  return error() << "a narrow float is bf16 or f16, got " << type;
}

LogicalResult BlockListAttr::verify(function_ref<InFlightDiagnostic()> error,
                                    int64_t block, int64_t heads, int64_t rows,
                                    DenseI32ArrayAttr rowOffsets,
                                    DenseI32ArrayAttr columns, int64_t,
                                    int64_t) {
  if (block <= 0 || heads <= 0 || rows < 0)
    return error() << "'block' and 'heads' must be positive and 'rows' not "
                      "negative, got "
                   << block << ", " << heads << ", " << rows;
  ArrayRef<int32_t> offsets = rowOffsets.asArrayRef();
  if (static_cast<int64_t>(offsets.size()) != heads * rows + 1)
    return error() << "'rowOffsets' must have heads * rows + 1 = "
                   << heads * rows + 1 << " entries, got " << offsets.size();
  if (offsets.front() != 0 || !llvm::is_sorted(offsets) ||
      offsets.back() != columns.size())
    return error() << "'rowOffsets' must ascend from 0 to the number of "
                      "columns, "
                   << columns.size();
  for (int64_t row = 0; row < heads * rows; ++row) {
    ArrayRef<int32_t> blocks = columns.asArrayRef().slice(
        offsets[row], offsets[row + 1] - offsets[row]);
    for (auto [i, column] : llvm::enumerate(blocks))
      if (column < 0 || (i > 0 && column <= blocks[i - 1]))
        return error() << "'columns' of row " << row
                       << " must ascend and not be negative";
  }
  return success();
}
