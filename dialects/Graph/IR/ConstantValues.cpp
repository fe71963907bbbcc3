// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/Graph.h"
#include "llvm/Support/Endian.h"
#include <cstring>

using namespace mlir;
using namespace lathe::graph;

unsigned lathe::graph::getElementBytes(Type elementType) {
  return llvm::divideCeil(elementType.getIntOrFloatBitWidth(), 8);
}

/// The bits of element `i` of raw little-endian bytes.
static llvm::APInt getBits(ArrayRef<char> bytes, Type elementType, int64_t i) {
  unsigned size = getElementBytes(elementType);
  uint64_t bits = 0;
  for (unsigned b = 0; b < size; ++b)
    bits |= uint64_t(uint8_t(bytes[i * size + b])) << (8 * b);
  unsigned width = elementType.getIntOrFloatBitWidth();
  return llvm::APInt(width, bits, /*isSigned=*/false, /*implicitTrunc=*/true);
}

void lathe::graph::forEachIndex(ArrayRef<int64_t> shape,
                                function_ref<void(ArrayRef<int64_t>)> visit) {
  SmallVector<int64_t> index(shape.size(), 0);
  for (int64_t n = ShapedType::getNumElements(shape); n-- > 0;) {
    visit(index);
    for (size_t i = shape.size(); i-- > 0;) {
      if (++index[i] < shape[i])
        break;
      index[i] = 0;
    }
  }
}

std::optional<ArrayRef<char>> lathe::graph::getRawBytes(ElementsAttr value) {
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob)
      return std::nullopt;
    return blob->getData();
  }
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense || (dense.isSplat() && dense.getNumElements() != 1) ||
      dense.getElementType().getIntOrFloatBitWidth() < 8)
    return std::nullopt;
  return dense.getRawData();
}

/// Calls `visit` with the bits of each element. False if there are more than
/// `limit`, or the bits are not at hand.
static bool forEachElement(ElementsAttr value, int64_t limit,
                           function_ref<void(const llvm::APInt &)> visit) {
  Type type = value.getShapedType().getElementType();
  int64_t count = value.getNumElements();
  if (!type.isIntOrFloat() || count > limit)
    return false;
  if (auto dense = dyn_cast<DenseIntElementsAttr>(value)) {
    for (llvm::APInt bits : dense.getValues<llvm::APInt>())
      visit(bits);
    return true;
  }
  if (auto dense = dyn_cast<DenseFPElementsAttr>(value)) {
    for (llvm::APFloat number : dense.getValues<llvm::APFloat>())
      visit(number.bitcastToAPInt());
    return true;
  }
  std::optional<ArrayRef<char>> bytes = getRawBytes(value);
  if (!bytes ||
      static_cast<int64_t>(bytes->size()) < count * getElementBytes(type))
    return false;
  for (int64_t i = 0; i < count; ++i)
    visit(getBits(*bytes, type, i));
  return true;
}

static int64_t toInteger(const llvm::APInt &bits, Type type) {
  return type.isUnsignedInteger() || bits.getBitWidth() == 1
             ? static_cast<int64_t>(bits.getZExtValue())
             : bits.getSExtValue();
}

std::optional<SmallVector<int64_t>>
lathe::graph::getIntegers(ElementsAttr value, int64_t limit) {
  Type type = value.getShapedType().getElementType();
  SmallVector<int64_t> result;
  if (!isa<IntegerType>(type) ||
      !forEachElement(value, limit, [&](const llvm::APInt &bits) {
        result.push_back(toInteger(bits, type));
      }))
    return std::nullopt;
  return result;
}

static double toNumber(const llvm::APInt &bits, Type type) {
  if (auto real = dyn_cast<FloatType>(type)) {
    llvm::APFloat number(real.getFloatSemantics(), bits);
    bool inexact;
    number.convert(llvm::APFloat::IEEEdouble(),
                   llvm::APFloat::rmNearestTiesToEven, &inexact);
    return number.convertToDouble();
  }
  if (type.isUnsignedInteger())
    return static_cast<double>(bits.getZExtValue());
  return static_cast<double>(toInteger(bits, type));
}

std::optional<SmallVector<double>> lathe::graph::getNumbers(ElementsAttr value,
                                                            int64_t limit) {
  Type type = value.getShapedType().getElementType();
  SmallVector<double> result;
  if (!forEachElement(value, limit, [&](const llvm::APInt &bits) {
        result.push_back(toNumber(bits, type));
      }))
    return std::nullopt;
  return result;
}

std::optional<double> lathe::graph::getSplatNumber(Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  if (!constant)
    return std::nullopt;
  ElementsAttr elements = constant.getValue();
  Type type = elements.getShapedType().getElementType();
  auto splat = dyn_cast<SplatElementsAttr>(elements);
  if (splat && isa<FloatType>(type))
    return toNumber(splat.getSplatValue<llvm::APFloat>().bitcastToAPInt(),
                    type);
  if (splat && isa<IntegerType>(type))
    return toNumber(splat.getSplatValue<llvm::APInt>(), type);
  if (elements.getNumElements() != 1)
    return std::nullopt;
  auto numbers = getNumbers(elements, 1);
  return numbers ? std::optional<double>(numbers->front()) : std::nullopt;
}

std::optional<double> lathe::graph::getUniformNumber(Value value) {
  if (auto number = getSplatNumber(value))
    return number;
  auto constant = value.getDefiningOp<ConstantOp>();
  if (!constant)
    return std::nullopt;
  Type type = constant.getValue().getShapedType().getElementType();
  auto bytes = getRawBytes(constant.getValue());
  size_t width = type.isIntOrFloat() ? getElementBytes(type) : 0;
  if (!bytes || width == 0 || bytes->size() < width ||
      std::memcmp(bytes->data(), bytes->data() + width, bytes->size() - width))
    return std::nullopt;
  return toNumber(getBits(*bytes, type, 0), type);
}
