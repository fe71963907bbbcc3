// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Int8/Int8.h"

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Encodings/Elements.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/Error.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

constexpr float kMaxCode = 127.0f;

/// A dense row-major weight as `[outer][count][inner]` around the scale axis,
/// and which scale each element has.
struct Slices {
  int64_t outer = 1, count = 1, inner = 1, group = 0;

  Slices(RankedTensorType type, Int8Attr encoding)
      : group(encoding.getGroup()) {
    for (auto [d, size] : llvm::enumerate(type.getShape())) {
      int64_t dim = d, axis = encoding.getAxis();
      (dim < axis ? outer : dim > axis ? inner : count) *= size;
    }
  }

  int64_t getSize() const { return outer * count * inner; }
  int64_t getNumGroups() const {
    return group ? llvm::divideCeil(outer * inner, group) : 1;
  }
  int64_t getNumScales() const { return getNumGroups() * count; }

  /// Calls `visit(element, scale)` for every element, in memory order.
  template <typename Visitor> void forEach(Visitor visit) const {
    int64_t element = 0;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t slice = 0; slice < count; ++slice)
        for (int64_t i = 0; i < inner; ++i) {
          // Of a matrix, `outer` or `inner` is 1.
          int64_t first = group ? (o * inner + i) / group * count : 0;
          visit(element++, first + slice);
        }
  }
};

template <typename T> T *resizeTo(SmallVectorImpl<char> &bytes, int64_t count) {
  bytes.resize_for_overwrite(count * sizeof(T));
  return reinterpret_cast<T *>(bytes.data());
}

llvm::Error refuse(const Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                 "#graph.int8: " + message);
}

/// Checks the type, the axis, and that `bytes` holds a dense weight.
llvm::Error checkWeight(Int8Attr encoding, RankedTensorType type) {
  Type element = type.getElementType();
  if (!type.hasStaticShape() || !isWeightElement(element))
    return refuse("holds static tensors of f32, f16 or bf16");
  if (encoding.getAxis() < 0 || encoding.getAxis() >= type.getRank())
    return refuse("axis " + Twine(encoding.getAxis()) +
                  " is not a dim of a weight of rank " + Twine(type.getRank()));
  if (encoding.getGroup() && type.getRank() != 2)
    return refuse("has groups in matrices only, not in a weight of rank " +
                  Twine(type.getRank()));
  return llvm::Error::success();
}

llvm::Error checkSize(StringRef what, size_t found, int64_t wanted) {
  if (static_cast<int64_t>(found) == wanted)
    return llvm::Error::success();
  return refuse(what + " has " + Twine(found) + " bytes, expected " +
                Twine(wanted));
}

/// The largest magnitude of what each scale is for.
llvm::Expected<std::vector<float>> getMagnitudes(Slices slices, Type element,
                                                 ArrayRef<char> dense) {
  int64_t width = element.getIntOrFloatBitWidth() / 8;
  std::vector<float> magnitudes(slices.getNumScales(), 0.0f);
  bool finite = true;
  slices.forEach([&](int64_t at, int64_t i) {
    float magnitude = std::fabs(loadElement(element, &dense[at * width]));
    finite &= std::isfinite(magnitude);
    magnitudes[i] = std::max(magnitudes[i], magnitude);
  });
  if (!finite)
    return refuse("the weight holds NaN or infinity");
  return magnitudes;
}

struct Int8Model : EncodingInterface::ExternalModel<Int8Model, Int8Attr> {
  SmallVector<EncodedBuffer> getBuffers(Attribute attr,
                                        RankedTensorType logical) const {
    MLIRContext *context = attr.getContext();
    auto encoding = cast<Int8Attr>(attr);
    int64_t axis = encoding.getAxis();
    SmallVector<int64_t, 2> scales{logical.getDimSize(axis)};
    if (int64_t group = encoding.getGroup()) {
      int64_t k = logical.getDimSize(1 - axis);
      scales.insert(scales.begin(), llvm::divideCeil(k, group));
    }
    auto i8 = IntegerType::get(context, 8);
    auto f32 = Float32Type::get(context);
    int64_t group = encoding.getGroup();
    return {{"codes", RankedTensorType::get(logical.getShape(), i8)},
            {"scales", RankedTensorType::get(scales, f32), group},
            {"sums", RankedTensorType::get(scales, f32), group}};
  }

  llvm::Error encode(Attribute attr, RankedTensorType logical,
                     ArrayRef<char> dense, ArrayRef<float>,
                     SmallVectorImpl<SmallVector<char, 0>> &buffers) const {
    auto encoding = cast<Int8Attr>(attr);
    if (llvm::Error error = checkWeight(encoding, logical))
      return error;
    Type element = logical.getElementType();
    int64_t width = element.getIntOrFloatBitWidth() / 8;
    Slices slices(logical, encoding);
    if (llvm::Error error =
            checkSize("the weight", dense.size(), slices.getSize() * width))
      return error;
    auto magnitudes = getMagnitudes(slices, element, dense);
    if (!magnitudes)
      return magnitudes.takeError();

    buffers.clear();
    buffers.resize(3);
    auto *codes = resizeTo<int8_t>(buffers[kInt8Codes], slices.getSize());
    int64_t numScales = slices.getNumScales();
    auto *scales = resizeTo<float>(buffers[kInt8Scales], numScales);
    auto *sums = resizeTo<float>(buffers[kInt8Sums], numScales);
    std::vector<int64_t> codeSums(numScales, 0);
    for (int64_t i = 0; i < numScales; ++i) {
      float scale = (*magnitudes)[i] / kMaxCode;
      scales[i] = std::isnormal(scale) ? scale : 0.0f;
    }
    slices.forEach([&](int64_t at, int64_t i) {
      float value = loadElement(element, &dense[at * width]);
      float code = scales[i] ? std::nearbyint(value / scales[i]) : 0.0f;
      codes[at] = static_cast<int8_t>(std::clamp(code, -kMaxCode, kMaxCode));
      codeSums[i] += codes[at];
    });
    for (int64_t i = 0; i < numScales; ++i)
      sums[i] = static_cast<float>(codeSums[i]) * scales[i];
    return llvm::Error::success();
  }

  llvm::Error unpack(Attribute attr, RankedTensorType logical,
                     ArrayRef<ArrayRef<char>> buffers,
                     SmallVectorImpl<char> &dense) const {
    auto encoding = cast<Int8Attr>(attr);
    if (llvm::Error error = checkWeight(encoding, logical))
      return error;
    Slices slices(logical, encoding);
    if (buffers.size() <= kInt8Scales)
      return refuse("unpacking needs the buffers 'codes' and 'scales'");
    ArrayRef<char> codes = buffers[kInt8Codes], scales = buffers[kInt8Scales];
    if (llvm::Error error =
            checkSize("'codes'", codes.size(), slices.getSize()))
      return error;
    if (llvm::Error error = checkSize("'scales'", scales.size(),
                                      slices.getNumScales() * sizeof(float)))
      return error;
    Type element = logical.getElementType();
    int64_t width = element.getIntOrFloatBitWidth() / 8;
    dense.resize_for_overwrite(slices.getSize() * width);
    slices.forEach([&](int64_t at, int64_t i) {
      float scale;
      std::memcpy(&scale, &scales[i * sizeof(float)], sizeof(float));
      auto code = static_cast<int8_t>(codes[at]);
      storeElement(element, static_cast<float>(code) * scale,
                   &dense[at * width]);
    });
    return llvm::Error::success();
  }

  std::optional<int64_t> getColumnDim(Attribute attr) const {
    return cast<Int8Attr>(attr).getAxis();
  }

  std::optional<IntegerForm> getIntegerForm(Attribute attr) const {
    IntegerForm form;
    form.codes = kInt8Codes;
    form.scales = kInt8Scales;
    form.sums = kInt8Sums;
    form.group = cast<Int8Attr>(attr).getGroup();
    return form;
  }

  Value decode(Attribute, OpBuilder &builder, Location loc, ValueRange tiles,
               int64_t, Type elementType) const {
    return decodeScaled(builder, loc, tiles[kInt8Codes], tiles[kInt8Scales],
                        elementType);
  }
};

} // namespace

void lathe::registerInt8Encoding(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, GraphDialect *) {
    Int8Attr::attachInterface<Int8Model>(*context);
  });
}
