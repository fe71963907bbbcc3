// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Block/Block.h"

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Encodings/Block/Pruning.h"
#include "lib/Encodings/Compensation.h"
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

llvm::Error refuse(const Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                 "#graph.block: " + message);
}

/// A weight as a matrix [k, n], and the sizes of its lists.
struct Layout {
  BlockGrid grid;
  int64_t k, n, strips, groups, kept;
  bool isTransposed, isInteger;

  Layout(RankedTensorType type, BlockAttr encoding)
      : k(type.getDimSize(1 - encoding.getAxis())),
        n(type.getDimSize(encoding.getAxis())),
        strips(llvm::divideCeil(n, kStripColumns * kStripsTogether) *
               kStripsTogether),
        isTransposed(encoding.getAxis() == 0),
        isInteger(encoding.getType().isInteger(8)) {
    grid = {k, n, encoding.getSize()};
    kept = std::llround(encoding.getDensity() *
                        static_cast<double>(grid.getNumBlocks()));
    // Each strip may waste what its last group lacks.
    int64_t used = llvm::divideCeil(n, kStripColumns);
    int64_t blocks = kept * (grid.size / kStripColumns);
    groups =
        std::min((blocks + (kBlockGroup - 1) * used) / kBlockGroup,
                 used * static_cast<int64_t>(llvm::divideCeil(k, kBlockGroup)));
    groups = std::max<int64_t>(groups, 1);
  }

  int64_t getElement(int64_t row, int64_t column) const {
    return isTransposed ? column * k + row : row * n + column;
  }
};

llvm::Error checkWeight(RankedTensorType type) {
  if (!type.hasStaticShape() || type.getRank() != 2 ||
      !isWeightElement(type.getElementType()))
    return refuse("holds static matrices of f32, f16 or bf16");
  return llvm::Error::success();
}

llvm::Error checkSize(StringRef what, size_t found, int64_t wanted) {
  if (static_cast<int64_t>(found) == wanted)
    return llvm::Error::success();
  return refuse(what + " has " + Twine(found) + " bytes, expected " +
                Twine(wanted));
}

int64_t getBytes(const EncodedBuffer &buffer) {
  return buffer.type.getNumElements() * buffer.type.getElementTypeBitWidth() /
         8;
}

template <typename T> T loadAt(ArrayRef<char> bytes, int64_t at) {
  T value;
  std::memcpy(&value, &bytes[at * sizeof(T)], sizeof(T));
  return value;
}

template <typename T>
void storeAt(MutableArrayRef<char> bytes, int64_t at, T value) {
  std::memcpy(&bytes[at * sizeof(T)], &value, sizeof(T));
}

/// Encodes one weight into buffers of the right sizes, all zeros.
class Encoder {
public:
  Encoder(RankedTensorType type, BlockAttr encoding,
          MutableArrayRef<SmallVector<char, 0>> buffers)
      : layout(type, encoding), buffers(buffers), values(layout.k * layout.n),
        scales(layout.n, 0.0f) {}

  llvm::Error run(Type element, ArrayRef<char> dense,
                  const Compensation *compensation) {
    if (!load(element, dense))
      return refuse("the weight holds NaN or infinity");
    ArrayRef<float> weights;
    if (compensation)
      weights = compensation->getResiduals();
    kept = chooseBlocks(values, layout.grid, weights, layout.kept);
    prune(values, layout.grid, kept, compensation);
    // Compensation makes values larger; what rounding to 8 bits adds to the
    // error is small.
    if (layout.isInteger) {
      findScales();
      round();
    }
    storeDense();
    storeLists();
    return llvm::Error::success();
  }

private:
  bool load(Type element, ArrayRef<char> dense) {
    int64_t width = element.getIntOrFloatBitWidth() / 8;
    bool isFinite = true;
    for (int64_t row = 0; row < layout.k; ++row)
      for (int64_t column = 0; column < layout.n; ++column) {
        int64_t at = layout.getElement(row, column);
        float value = loadElement(element, &dense[at * width]);
        isFinite &= std::isfinite(value);
        values[row * layout.n + column] = value;
      }
    return isFinite;
  }

  bool isKept(int64_t row, int64_t column) const {
    return kept[row * layout.grid.getColumnBlocks() +
                column / layout.grid.size];
  }

  void findScales() {
    for (int64_t row = 0; row < layout.k; ++row)
      for (int64_t column = 0; column < layout.n; ++column)
        scales[column] = std::max(scales[column],
                                  std::fabs(values[row * layout.n + column]));
    for (float &scale : scales) {
      scale /= 127.0f;
      scale = std::isnormal(scale) ? scale : 0.0f;
    }
  }

  /// Values to codes, and what follows from them.
  void round() {
    std::vector<int64_t> sums(layout.n, 0);
    for (int64_t at = 0, size = values.size(); at < size; ++at) {
      float scale = scales[at % layout.n];
      float code = scale ? std::nearbyint(values[at] / scale) : 0.0f;
      values[at] = std::clamp(code, -127.0f, 127.0f);
      sums[at % layout.n] += static_cast<int64_t>(values[at]);
    }
    for (int64_t column = 0; column < layout.n; ++column) {
      storeAt(buffers[kBlockScales], column, scales[column]);
      storeAt(buffers[kBlockSums], column,
              static_cast<float>(sums[column]) * scales[column]);
    }
  }

  void storeValue(BlockBuffer buffer, int64_t at, float value) {
    if (layout.isInteger)
      storeAt(buffers[buffer], at, static_cast<int8_t>(value));
    else
      storeAt(buffers[buffer], at, value);
  }

  void storeDense() {
    for (int64_t row = 0; row < layout.k; ++row)
      for (int64_t column = 0; column < layout.n; ++column)
        storeValue(kBlockDense, layout.getElement(row, column),
                   values[row * layout.n + column]);
  }

  void storeLists() {
    int64_t entry = 0; // Counts k of groups.
    for (int64_t strip = 0; strip < layout.strips; ++strip) {
      int64_t first = strip * kStripColumns;
      int64_t count = std::min(kStripColumns, layout.n - first);
      for (int64_t row = 0; row < layout.k && count > 0; ++row) {
        // Blocks are as wide as a strip, or wider.
        if (!isKept(row, first))
          continue;
        storeAt(buffers[kBlockIndices], entry, static_cast<uint16_t>(row));
        for (int64_t i = 0; i < count; ++i)
          storeValue(kBlockValues,
                     (entry / kBlockGroup * kStripColumns + i) * kBlockGroup +
                         entry % kBlockGroup,
                     values[row * layout.n + first + i]);
        ++entry;
      }
      entry = llvm::alignTo(entry, kBlockGroup);
      storeAt(buffers[kBlockOffsets], strip + 1,
              static_cast<int32_t>(entry / kBlockGroup));
    }
  }

  Layout layout;
  MutableArrayRef<SmallVector<char, 0>> buffers;
  std::vector<float> values; ///< [k, n]
  std::vector<float> scales; ///< Zeros unless values are integers.
  std::vector<bool> kept;
};

struct BlockModel : EncodingInterface::ExternalModel<BlockModel, BlockAttr> {
  SmallVector<EncodedBuffer> getBuffers(Attribute attr,
                                        RankedTensorType logical) const {
    auto encoding = cast<BlockAttr>(attr);
    MLIRContext *context = attr.getContext();
    Layout layout(logical, encoding);
    Type type = encoding.getType();
    auto f32 = Float32Type::get(context);
    auto get = [](ArrayRef<int64_t> shape, Type element) {
      return RankedTensorType::get(shape, element);
    };
    SmallVector<EncodedBuffer> buffers{
        {"offsets", get(layout.strips + 1, IntegerType::get(context, 32)), 0},
        {"indices",
         get({layout.groups, kBlockGroup}, IntegerType::get(context, 16)), 0},
        {"values", get({layout.groups, kStripColumns, kBlockGroup}, type), 0},
        {"dense", get(logical.getShape(), type), 1}};
    if (layout.isInteger) {
      buffers.push_back({"scales", get(layout.n, f32), 0});
      buffers.push_back({"sums", get(layout.n, f32), 0});
    }
    return buffers;
  }

  llvm::Error encode(Attribute attr, RankedTensorType logical,
                     ArrayRef<char> dense, ArrayRef<float> moments,
                     SmallVectorImpl<SmallVector<char, 0>> &buffers) const {
    auto encoding = cast<BlockAttr>(attr);
    if (llvm::Error error = checkWeight(logical))
      return error;
    int64_t width = logical.getElementTypeBitWidth() / 8;
    if (llvm::Error error = checkSize("the weight", dense.size(),
                                      logical.getNumElements() * width))
      return error;
    std::optional<Compensation> compensation;
    if (!moments.empty()) {
      auto created = Compensation::create(
          moments, logical.getDimSize(1 - encoding.getAxis()));
      if (!created)
        return created.takeError();
      compensation = std::move(*created);
    }
    buffers.clear();
    for (const EncodedBuffer &buffer : getBuffers(attr, logical))
      buffers.emplace_back(getBytes(buffer), 0);
    return Encoder(logical, encoding, buffers)
        .run(logical.getElementType(), dense,
             compensation ? &*compensation : nullptr);
  }

  llvm::Error unpack(Attribute attr, RankedTensorType logical,
                     ArrayRef<ArrayRef<char>> buffers,
                     SmallVectorImpl<char> &dense) const {
    auto encoding = cast<BlockAttr>(attr);
    if (llvm::Error error = checkWeight(logical))
      return error;
    SmallVector<EncodedBuffer> wanted = getBuffers(attr, logical);
    if (buffers.size() != wanted.size())
      return refuse("unpacking needs " + Twine(wanted.size()) +
                    " buffers, got " + Twine(buffers.size()));
    for (auto [buffer, bytes] : llvm::zip_equal(wanted, buffers))
      if (llvm::Error error = checkSize("'" + buffer.name + "'", bytes.size(),
                                        getBytes(buffer)))
        return error;
    Layout layout(logical, encoding);
    Type element = logical.getElementType();
    int64_t width = element.getIntOrFloatBitWidth() / 8;
    dense.assign(logical.getNumElements() * width, 0);
    for (int64_t strip = 0; strip < layout.strips; ++strip) {
      int64_t begin = loadAt<int32_t>(buffers[kBlockOffsets], strip);
      int64_t end = loadAt<int32_t>(buffers[kBlockOffsets], strip + 1);
      if (begin < 0 || end < begin || end > layout.groups)
        return refuse("'offsets' do not ascend within the " +
                      Twine(layout.groups) + " groups");
      for (int64_t entry = begin * kBlockGroup; entry < end * kBlockGroup;
           ++entry) {
        int64_t row = loadAt<uint16_t>(buffers[kBlockIndices], entry);
        if (row >= layout.k)
          return refuse("index " + Twine(row) + " is not below " +
                        Twine(layout.k));
        for (int64_t i = 0; i < kStripColumns; ++i) {
          int64_t column = strip * kStripColumns + i;
          int64_t at = (entry / kBlockGroup * kStripColumns + i) * kBlockGroup +
                       entry % kBlockGroup;
          float value = decodeValue(layout, buffers, at, column);
          if (column < layout.n && value != 0.0f)
            storeElement(element, value,
                         &dense[layout.getElement(row, column) * width]);
        }
      }
    }
    return llvm::Error::success();
  }

  std::optional<int64_t> getColumnDim(Attribute attr) const {
    return cast<BlockAttr>(attr).getAxis();
  }

  /// Blocks are ranked over all columns.
  bool hasIndependentColumns(Attribute) const { return false; }

  std::optional<IntegerForm> getIntegerForm(Attribute attr) const {
    if (!cast<BlockAttr>(attr).getType().isInteger(8))
      return std::nullopt;
    IntegerForm form;
    form.codes = kBlockDense;
    form.scales = kBlockScales;
    form.sums = kBlockSums;
    return form;
  }

  Value decode(Attribute attr, OpBuilder &builder, Location loc,
               ValueRange tiles, int64_t, Type elementType) const {
    Value values = tiles[kBlockDense];
    if (cast<BlockAttr>(attr).getType().isInteger(8))
      return decodeScaled(builder, loc, values, tiles[kBlockScales],
                          elementType);
    if (elementType.isF32())
      return values;
    auto type = cast<RankedTensorType>(values.getType());
    return arith::TruncFOp::create(builder, loc, type.clone(elementType),
                                   values);
  }

private:
  static float decodeValue(const Layout &layout,
                           ArrayRef<ArrayRef<char>> buffers, int64_t at,
                           int64_t column) {
    if (column >= layout.n)
      return 0.0f;
    if (!layout.isInteger)
      return loadAt<float>(buffers[kBlockValues], at);
    return static_cast<float>(loadAt<int8_t>(buffers[kBlockValues], at)) *
           loadAt<float>(buffers[kBlockScales], column);
  }
};

} // namespace

void lathe::registerBlockEncoding(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, GraphDialect *) {
    BlockAttr::attachInterface<BlockModel>(*context);
  });
}
