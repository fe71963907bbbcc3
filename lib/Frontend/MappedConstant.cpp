// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/MappedConstant.h"
#include "mlir/IR/BuiltinDialect.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace lathe;
using namespace mlir;

std::optional<uint64_t> lathe::getDenseSize(RankedTensorType type) {
  uint64_t size = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  if (llvm::is_contained(type.getShape(), 0))
    return 0;
  for (int64_t dim : type.getShape())
    if (ShapedType::isDynamic(dim) || dim < 0 ||
        __builtin_mul_overflow(size, uint64_t(dim), &size) || size >> 62)
      return std::nullopt;
  return size;
}

/// The constant in the IR itself.
static ElementsAttr makeInline(RankedTensorType type, ArrayRef<char> bytes) {
  if (type.getNumElements() == 0)
    return DenseElementsAttr::get(type, ArrayRef<Attribute>());
  if (!type.getElementType().isInteger(1))
    return DenseElementsAttr::getFromRawBuffer(type, bytes);
  auto bits = llvm::map_to_vector(bytes, [](char byte) { return byte != 0; });
  return DenseElementsAttr::get(type, ArrayRef<bool>(bits));
}

static ElementsAttr makeResource(RankedTensorType type, llvm::StringRef name,
                                 AsmResourceBlob blob) {
  auto &manager =
      DenseResourceElementsHandle::getManagerInterface(type.getContext());
  return DenseResourceElementsAttr::get(
      type, manager.insert(name.empty() ? "weight" : name, std::move(blob)));
}

ElementsAttr lathe::makeMappedConstant(RankedTensorType type,
                                       llvm::StringRef name,
                                       std::shared_ptr<const MappedFile> file,
                                       ArrayRef<char> bytes) {
  if (bytes.size() <= kInlineConstantBytes)
    return makeInline(type, bytes);
  // The bytes of a truth value are 0 and 1 from here on.
  if (type.getElementType().isInteger(1) &&
      llvm::any_of(bytes, [](char byte) { return byte & ~1; }))
    return makeOwnedConstant(type, name, bytes);
  size_t align = llvm::MinAlign(reinterpret_cast<uintptr_t>(bytes.data()), 64);
  return makeResource(type, name,
                      AsmResourceBlob(
                          bytes, align,
                          [file = std::move(file)](void *, size_t, size_t) {},
                          /*dataIsMutable=*/false));
}

ElementsAttr lathe::makeOwnedConstant(RankedTensorType type,
                                      llvm::StringRef name,
                                      ArrayRef<char> bytes) {
  if (bytes.size() <= kInlineConstantBytes)
    return makeInline(type, bytes);
  AsmResourceBlob blob = HeapAsmResourceBlob::allocateAndCopyWithAlign(
      bytes, /*align=*/64, /*dataIsMutable=*/true);
  if (type.getElementType().isInteger(1))
    for (char &byte : blob.getMutableData())
      byte = byte != 0;
  return makeResource(type, name, std::move(blob));
}
