// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Int4/Int4.h"

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Encodings/Compensation.h"
#include "lib/Encodings/Elements.h"
#include "lib/Encodings/Int4/Rounding.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/Error.h"

#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

/// Rows of codes that lie beside each other, and codes in a byte.
constexpr int64_t kRun = 4, kParts = 2;
constexpr int64_t kImpliedZero = 8;

llvm::Error refuse(const Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                 "#graph.int4: " + message);
}

/// A weight as a matrix [k, n], and where its parts are in the buffers.
struct Layout {
  int64_t k, n, group;
  bool hasZeros, isTransposed;

  Layout(RankedTensorType type, Int4Attr encoding)
      : k(type.getDimSize(1 - encoding.getAxis())),
        n(type.getDimSize(encoding.getAxis())), group(encoding.getGroup()),
        hasZeros(encoding.getZeros()), isTransposed(encoding.getAxis() == 0) {}

  int64_t getCodeRows() const {
    return llvm::divideCeil(k, kRun * kParts) * kRun;
  }
  int64_t getNumGroups() const { return llvm::divideCeil(k, group); }
  int64_t getNumScales() const { return getNumGroups() * n; }
  int64_t getSize() const { return k * n; }
  int64_t getElement(int64_t row, int64_t column) const {
    return isTransposed ? column * k + row : row * n + column;
  }
  /// The byte of row `row` of the matrix, and the part of it.
  int64_t getByte(int64_t row, int64_t column) const {
    int64_t s = row / (kRun * kParts) * kRun + row % kRun;
    return isTransposed ? column * getCodeRows() + s : s * n + column;
  }
  static int64_t getPart(int64_t row) { return row / kRun % kParts; }
  int64_t getScale(int64_t row, int64_t column) const {
    return row / group * n + column;
  }
};

llvm::Error checkWeight(RankedTensorType type) {
  if (type.hasStaticShape() && type.getRank() == 2 &&
      isWeightElement(type.getElementType()))
    return llvm::Error::success();
  return refuse("holds static matrices of f32, f16 or bf16");
}

llvm::Error checkSize(StringRef what, size_t found, int64_t wanted) {
  if (static_cast<int64_t>(found) == wanted)
    return llvm::Error::success();
  return refuse(what + " has " + Twine(found) + " bytes, expected " +
                Twine(wanted));
}

/// Encodes a weight, some columns at a time.
class Encoder {
public:
  Encoder(RankedTensorType type, Int4Attr encoding, ArrayRef<char> dense,
          MutableArrayRef<SmallVector<char, 0>> buffers)
      : layout(type, encoding), element(type.getElementType()),
        dense(dense.data()), buffers(buffers), block(layout.k * kInt4Columns) {}

  /// Fills the buffers, which have their sizes.
  llvm::Error run(const Compensation *compensation) {
    for (int64_t first = 0; first < layout.n; first += kInt4Columns) {
      if (!load(first))
        return refuse("the weight holds NaN or infinity");
      findScales(compensation);
      round(compensation);
      store(first);
    }
    return llvm::Error::success();
  }

private:
  int64_t countColumns(int64_t first) const {
    return std::min(kInt4Columns, layout.n - first);
  }
  MutableArrayRef<float> getRow(int64_t row) {
    return MutableArrayRef(block).slice(row * kInt4Columns, kInt4Columns);
  }

  /// Reads columns into the block, zeros for those past the last.
  bool load(int64_t first) {
    int64_t width = element.getIntOrFloatBitWidth() / 8;
    std::fill(block.begin(), block.end(), 0.0f);
    bool isFinite = true;
    for (int64_t row = 0; row < layout.k; ++row)
      for (int64_t i = 0; i < countColumns(first); ++i) {
        int64_t at = layout.getElement(row, first + i);
        float value = loadElement(element, dense + at * width);
        isFinite &= std::isfinite(value);
        getRow(row)[i] = value;
      }
    return isFinite;
  }

  void findScales(const Compensation *compensation) {
    scales.clear();
    for (int64_t row = 0; row < layout.k; row += layout.group) {
      int64_t rows = std::min(layout.group, layout.k - row);
      ArrayRef<float> weights;
      if (compensation)
        weights = compensation->getWeights().slice(row, rows);
      auto values =
          ArrayRef(block).slice(row * kInt4Columns, rows * kInt4Columns);
      scales.push_back(findInt4Scales(values, weights, layout.hasZeros));
    }
  }

  /// Turns the block into codes.
  void round(const Compensation *compensation) {
    if (compensation) {
      auto toNearest = [&](int64_t row, MutableArrayRef<float> values) {
        const Int4Scales &group = scales[row / layout.group];
        for (auto [i, value] : llvm::enumerate(values)) {
          float code = getInt4Code(value, group.scale[i], group.zero[i]);
          value = group.scale[i] * (code - group.zero[i]);
        }
      };
      compensation->run(block, kInt4Columns, toNearest);
    }
    for (int64_t row = 0; row < layout.k; ++row) {
      const Int4Scales &group = scales[row / layout.group];
      for (auto [i, value] : llvm::enumerate(getRow(row)))
        value = getInt4Code(value, group.scale[i], group.zero[i]);
    }
  }

  void store(int64_t first) {
    auto bf16 = BFloat16Type::get(element.getContext());
    for (auto [g, group] : llvm::enumerate(scales))
      for (int64_t i = 0; i < countColumns(first); ++i) {
        int64_t at = layout.getScale(g * layout.group, first + i);
        storeElement(bf16, group.scale[i], &buffers[kInt4Scales][at * 2]);
        if (layout.hasZeros)
          buffers[kInt4Zeros][at] = static_cast<char>(group.zero[i]);
      }
    // None if there is no k, and then no last group.
    int64_t padded = layout.getCodeRows() * kParts;
    for (int64_t row = 0; row < padded; ++row)
      for (int64_t i = 0; i < countColumns(first); ++i) {
        float code = row < layout.k ? getRow(row)[i] : scales.back().zero[i];
        buffers[kInt4Codes][layout.getByte(row, first + i)] |=
            static_cast<char>(static_cast<unsigned>(code)
                              << 4 * Layout::getPart(row));
      }
  }

  Layout layout;
  Type element;
  const char *dense;
  MutableArrayRef<SmallVector<char, 0>> buffers;
  std::vector<float> block; ///< [k, kInt4Columns]
  std::vector<Int4Scales> scales;
};

struct Int4Model : EncodingInterface::ExternalModel<Int4Model, Int4Attr> {
  SmallVector<EncodedBuffer> getBuffers(Attribute attr,
                                        RankedTensorType logical) const {
    auto encoding = cast<Int4Attr>(attr);
    MLIRContext *context = attr.getContext();
    Layout layout(logical, encoding);
    SmallVector<int64_t> codes{layout.getCodeRows(), layout.n};
    if (layout.isTransposed)
      std::swap(codes[0], codes[1]);
    int64_t scales[] = {layout.getNumGroups(), layout.n};
    auto i8 = IntegerType::get(context, 8);
    SmallVector<EncodedBuffer> buffers{
        {"codes", RankedTensorType::get(codes, i8), 1, kParts, kRun},
        {"scales", RankedTensorType::get(scales, BFloat16Type::get(context)),
         layout.group}};
    if (layout.hasZeros)
      buffers.push_back(
          {"zeros", RankedTensorType::get(scales, i8), layout.group});
    return buffers;
  }

  llvm::Error encode(Attribute attr, RankedTensorType logical,
                     ArrayRef<char> dense, ArrayRef<float> moments,
                     SmallVectorImpl<SmallVector<char, 0>> &buffers) const {
    auto encoding = cast<Int4Attr>(attr);
    if (llvm::Error error = checkWeight(logical))
      return error;
    Layout layout(logical, encoding);
    int64_t width = logical.getElementTypeBitWidth() / 8;
    if (llvm::Error error =
            checkSize("the weight", dense.size(), layout.getSize() * width))
      return error;
    std::optional<Compensation> compensation;
    if (!moments.empty()) {
      auto created = Compensation::create(moments, layout.k);
      if (!created)
        return created.takeError();
      compensation = std::move(*created);
    }
    buffers.clear();
    for (const EncodedBuffer &buffer : getBuffers(attr, logical))
      buffers.emplace_back(buffer.type.getNumElements() *
                               buffer.type.getElementTypeBitWidth() / 8,
                           0);
    return Encoder(logical, encoding, dense, buffers)
        .run(compensation ? &*compensation : nullptr);
  }

  llvm::Error unpack(Attribute attr, RankedTensorType logical,
                     ArrayRef<ArrayRef<char>> buffers,
                     SmallVectorImpl<char> &dense) const {
    if (llvm::Error error = checkWeight(logical))
      return error;
    SmallVector<EncodedBuffer> wanted = getBuffers(attr, logical);
    if (buffers.size() != wanted.size())
      return refuse("unpacking needs " + Twine(wanted.size()) +
                    " buffers, got " + Twine(buffers.size()));
    for (auto [buffer, bytes] : llvm::zip_equal(wanted, buffers))
      if (llvm::Error error =
              checkSize("'" + buffer.name + "'", bytes.size(),
                        buffer.type.getNumElements() *
                            buffer.type.getElementTypeBitWidth() / 8))
        return error;
    Layout layout(logical, cast<Int4Attr>(attr));
    Type element = logical.getElementType();
    auto bf16 = BFloat16Type::get(attr.getContext());
    int64_t width = element.getIntOrFloatBitWidth() / 8;
    dense.resize_for_overwrite(layout.getSize() * width);
    for (int64_t row = 0; row < layout.k; ++row)
      for (int64_t column = 0; column < layout.n; ++column) {
        int64_t at = layout.getScale(row, column);
        float scale = loadElement(bf16, &buffers[kInt4Scales][at * 2]);
        int zero = layout.hasZeros ? buffers[kInt4Zeros][at] : kImpliedZero;
        auto byte = static_cast<unsigned char>(
            buffers[kInt4Codes][layout.getByte(row, column)]);
        int code = byte >> 4 * Layout::getPart(row) & 15;
        storeElement(element, scale * static_cast<float>(code - zero),
                     &dense[layout.getElement(row, column) * width]);
      }
    return llvm::Error::success();
  }

  std::optional<int64_t> getColumnDim(Attribute attr) const {
    return cast<Int4Attr>(attr).getAxis();
  }

  std::optional<IntegerForm> getIntegerForm(Attribute attr) const {
    auto encoding = cast<Int4Attr>(attr);
    IntegerForm form;
    form.codes = kInt4Codes;
    form.scales = kInt4Scales;
    form.isUnsigned = true;
    form.group = encoding.getGroup();
    form.zero = kImpliedZero;
    if (encoding.getZeros())
      form.zeros = kInt4Zeros;
    return form;
  }

  Value decodeInteger(Attribute, OpBuilder &builder, Location loc, Value codes,
                      int64_t part) const {
    auto type = cast<RankedTensorType>(codes.getType());
    auto constant = [&](int8_t value) -> Value {
      return arith::ConstantOp::create(
          builder, loc,
          DenseElementsAttr::get(type, builder.getI8IntegerAttr(value)));
    };
    if (part == 1)
      return arith::ShRUIOp::create(builder, loc, codes, constant(4));
    return arith::AndIOp::create(builder, loc, codes, constant(15));
  }

  Value decode(Attribute attr, OpBuilder &builder, Location loc,
               ValueRange tiles, int64_t part, Type elementType) const {
    Value codes = decodeInteger(attr, builder, loc, tiles[kInt4Codes], part);
    auto shape = cast<RankedTensorType>(codes.getType()).getShape();
    auto wide = RankedTensorType::get(shape, builder.getF32Type());
    auto repeat = [&](Value line) -> Value {
      return tile::BroadcastOp::create(builder, loc, wide, line,
                                       builder.getDenseI64ArrayAttr(1));
    };
    auto perColumn = RankedTensorType::get(shape[1], builder.getF32Type());
    Value scale =
        arith::ExtFOp::create(builder, loc, perColumn, tiles[kInt4Scales]);
    Value zero;
    if (cast<Int4Attr>(attr).getZeros())
      zero = repeat(
          arith::UIToFPOp::create(builder, loc, perColumn, tiles[kInt4Zeros]));
    else
      zero = arith::ConstantOp::create(
          builder, loc,
          DenseElementsAttr::get(wide, builder.getF32FloatAttr(kImpliedZero)));
    Value value = arith::UIToFPOp::create(builder, loc, wide, codes);
    value = arith::SubFOp::create(builder, loc, value, zero);
    value = arith::MulFOp::create(builder, loc, value, repeat(scale));
    if (elementType.isF32())
      return value;
    return arith::TruncFOp::create(builder, loc, wide.clone(elementType),
                                   value);
  }

  double getBitsPerElement(Attribute attr, RankedTensorType logical) const {
    if (logical.getNumElements() == 0)
      return 4.0;
    int64_t bits = 0;
    for (const EncodedBuffer &buffer : getBuffers(attr, logical))
      bits +=
          buffer.type.getNumElements() * buffer.type.getElementTypeBitWidth();
    return static_cast<double>(bits) /
           static_cast<double>(logical.getNumElements());
  }
};

} // namespace

void lathe::registerInt4Encoding(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, GraphDialect *) {
    Int4Attr::attachInterface<Int4Model>(*context);
  });
}
