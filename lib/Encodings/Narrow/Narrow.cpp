// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Narrow/Narrow.h"

#include "dialects/Graph/IR/Graph.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/Support/Error.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

llvm::Error refuse(const Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                 "#graph.narrow: " + message);
}

llvm::Error checkWeight(RankedTensorType type, size_t bytes, size_t width) {
  if (!type.hasStaticShape() || !type.getElementType().isF32())
    return refuse("holds static tensors of f32");
  size_t wanted = type.getNumElements() * width;
  if (bytes != wanted)
    return refuse("the weight has " + Twine(bytes) + " bytes, expected " +
                  Twine(wanted));
  return llvm::Error::success();
}

/// Rounds the upper half of the bits to nearest even; NaN stays quiet NaN.
uint16_t toBF16(uint32_t bits) {
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

llvm::Expected<uint16_t> toF16(float value) {
  llvm::APFloat narrow(value);
  bool lost;
  narrow.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven,
                 &lost);
  if (narrow.isInfinity() && std::isfinite(value))
    return refuse("a value of " + Twine(std::to_string(value)) +
                  " is beyond the range of f16");
  return static_cast<uint16_t>(narrow.bitcastToAPInt().getZExtValue());
}

float fromNarrow(uint16_t bits, bool isBF16) {
  if (!isBF16)
    return llvm::APFloat(llvm::APFloat::IEEEhalf(), llvm::APInt(16, bits))
        .convertToFloat();
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

struct NarrowModel : EncodingInterface::ExternalModel<NarrowModel, NarrowAttr> {
  SmallVector<EncodedBuffer> getBuffers(Attribute attr,
                                        RankedTensorType logical) const {
    return {
        {"values", RankedTensorType::get(logical.getShape(),
                                         cast<NarrowAttr>(attr).getType())}};
  }

  llvm::Error encode(Attribute attr, RankedTensorType logical,
                     ArrayRef<char> dense, ArrayRef<float>,
                     SmallVectorImpl<SmallVector<char, 0>> &buffers) const {
    if (llvm::Error error = checkWeight(logical, dense.size(), sizeof(float)))
      return error;
    bool isBF16 = cast<NarrowAttr>(attr).getType().isBF16();
    size_t count = logical.getNumElements();
    buffers.clear();
    buffers.resize(1);
    buffers[0].resize_for_overwrite(count * sizeof(uint16_t));
    for (size_t i = 0; i < count; ++i) {
      uint32_t bits;
      std::memcpy(&bits, &dense[i * sizeof(bits)], sizeof(bits));
      uint16_t narrow = toBF16(bits);
      if (!isBF16) {
        float value;
        std::memcpy(&value, &bits, sizeof(value));
        llvm::Expected<uint16_t> half = toF16(value);
        if (!half)
          return half.takeError();
        narrow = *half;
      }
      std::memcpy(&buffers[0][i * sizeof(narrow)], &narrow, sizeof(narrow));
    }
    return llvm::Error::success();
  }

  llvm::Error unpack(Attribute attr, RankedTensorType logical,
                     ArrayRef<ArrayRef<char>> buffers,
                     SmallVectorImpl<char> &dense) const {
    if (buffers.size() != 1)
      return refuse("unpacking needs the buffer 'values'");
    if (llvm::Error error =
            checkWeight(logical, buffers[0].size(), sizeof(uint16_t)))
      return error;
    bool isBF16 = cast<NarrowAttr>(attr).getType().isBF16();
    size_t count = logical.getNumElements();
    dense.resize_for_overwrite(count * sizeof(float));
    for (size_t i = 0; i < count; ++i) {
      uint16_t bits;
      std::memcpy(&bits, &buffers[0][i * sizeof(bits)], sizeof(bits));
      float value = fromNarrow(bits, isBF16);
      std::memcpy(&dense[i * sizeof(value)], &value, sizeof(value));
    }
    return llvm::Error::success();
  }

  Value decode(Attribute, OpBuilder &builder, Location loc, ValueRange tiles,
               int64_t, Type elementType) const {
    auto type = cast<RankedTensorType>(tiles[0].getType());
    if (type.getElementType() == elementType)
      return tiles[0];
    return arith::ExtFOp::create(builder, loc, type.clone(elementType),
                                 tiles[0]);
  }
};

} // namespace

void lathe::registerNarrowEncoding(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, GraphDialect *) {
    NarrowAttr::attachInterface<NarrowModel>(*context);
  });
}
