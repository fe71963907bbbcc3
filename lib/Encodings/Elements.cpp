// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Elements.h"

#include "dialects/Tile/IR/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/APFloat.h"

#include <cstring>

using namespace mlir;

bool lathe::isWeightElement(Type type) {
  return type.isF32() || type.isF16() || type.isBF16();
}

float lathe::loadElement(Type type, const char *bytes) {
  uint16_t half;
  if (type.isF32()) {
    float value;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
  }
  std::memcpy(&half, bytes, sizeof(half));
  if (type.isBF16()) {
    uint32_t bits = static_cast<uint32_t>(half) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  return llvm::APFloat(llvm::APFloat::IEEEhalf(), llvm::APInt(16, half))
      .convertToFloat();
}

void lathe::storeElement(Type type, float value, char *bytes) {
  if (type.isF32()) {
    std::memcpy(bytes, &value, sizeof(value));
    return;
  }
  llvm::APFloat wide(value);
  bool lost;
  wide.convert(type.isBF16() ? llvm::APFloat::BFloat()
                             : llvm::APFloat::IEEEhalf(),
               llvm::APFloat::rmNearestTiesToEven, &lost);
  auto half = static_cast<uint16_t>(wide.bitcastToAPInt().getZExtValue());
  std::memcpy(bytes, &half, sizeof(half));
}

Value lathe::decodeScaled(OpBuilder &builder, Location loc, Value codes,
                          Value scales, Type elementType) {
  auto shape = cast<RankedTensorType>(codes.getType()).getShape();
  auto wide = RankedTensorType::get(shape, builder.getF32Type());
  Value value = arith::SIToFPOp::create(builder, loc, wide, codes);
  Value scale = tile::BroadcastOp::create(builder, loc, wide, scales,
                                          builder.getDenseI64ArrayAttr(1));
  value = arith::MulFOp::create(builder, loc, value, scale);
  if (elementType.isF32())
    return value;
  return arith::TruncFOp::create(builder, loc, wide.clone(elementType), value);
}
