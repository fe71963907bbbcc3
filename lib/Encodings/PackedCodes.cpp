// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/PackedCodes.h"

#include "dialects/Tile/IR/Tile.h"
#include "lib/Encodings/Compensation.h"
#include "lib/Encodings/Elements.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/Error.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

/// Rows of codes that lie beside each other.
static constexpr int64_t kRun = 4;

float lathe::getPackedCode(float value, float scale, float zero, float most) {
  if (scale == 0.0f)
    return zero;
  float code = std::clamp(value / scale, -2.0f * most, 2.0f * most);
  return std::clamp(roundEven(code) + zero, 0.0f, most);
}

static llvm::Error refuse(const PackedFormat &format, const Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                 format.name + ": " + message);
}

static llvm::Error checkWeight(const PackedFormat &format,
                               RankedTensorType type) {
  if (type.hasStaticShape() && type.getRank() == 2 &&
      isWeightElement(type.getElementType()))
    return llvm::Error::success();
  return refuse(format, "holds static matrices of f32, f16 or bf16");
}

static llvm::Error checkSize(const PackedFormat &format, StringRef what,
                             size_t found, int64_t wanted) {
  if (static_cast<int64_t>(found) == wanted)
    return llvm::Error::success();
  return refuse(format, what + " has " + Twine(found) + " bytes, expected " +
                            Twine(wanted));
}

static int64_t getNumBytes(RankedTensorType type) {
  return type.getNumElements() * type.getElementTypeBitWidth() / 8;
}

namespace {

/// A weight as a matrix [k, n], and where its parts are in the buffers.
struct Layout {
  int64_t k, n, bits, parts, group;
  bool isTransposed;

  Layout(const PackedFormat &format, RankedTensorType type)
      : k(type.getDimSize(1 - format.axis)), n(type.getDimSize(format.axis)),
        bits(format.bits), parts(8 / bits),
        group(format.group ? format.group : std::max<int64_t>(k, 1)),
        isTransposed(format.axis == 0) {}

  int64_t getCodeRows(int64_t run = kRun) const {
    return llvm::divideCeil(k, run * parts) * run;
  }
  int64_t getNumGroups() const { return llvm::divideCeil(k, group); }
  int64_t getSize() const { return k * n; }
  int64_t getElement(int64_t row, int64_t column) const {
    return isTransposed ? column * k + row : row * n + column;
  }
  /// The byte of row `row` of the matrix, and where in it the code is.
  int64_t getByte(int64_t row, int64_t column, int64_t run = kRun) const {
    int64_t s = row / (run * parts) * run + row % run;
    return isTransposed ? column * getCodeRows(run) + s : s * n + column;
  }
  int64_t getShift(int64_t row, int64_t run = kRun) const {
    return row / run % parts * bits;
  }
  int64_t getScale(int64_t row, int64_t column) const {
    return row / group * n + column;
  }
};

/// Encodes a weight, some columns at a time.
class Encoder {
public:
  Encoder(const PackedFormat &format, RankedTensorType type,
          ArrayRef<char> dense, const FindScales &findScales,
          MutableArrayRef<SmallVector<char, 0>> buffers)
      : format(format), layout(format, type), element(type.getElementType()),
        dense(dense.data()), search(findScales), buffers(buffers),
        block(layout.k * kPackedColumns) {}

  /// Fills the buffers, which have their sizes.
  llvm::Error run(const Compensation *compensation) {
    for (int64_t first = 0; first < layout.n; first += kPackedColumns) {
      if (!load(first))
        return refuse(format, "the weight holds NaN or infinity");
      findScales(compensation);
      round(compensation);
      store(first);
    }
    return llvm::Error::success();
  }

private:
  int64_t countColumns(int64_t first) const {
    return std::min(kPackedColumns, layout.n - first);
  }
  MutableArrayRef<float> getRow(int64_t row) {
    return MutableArrayRef(block).slice(row * kPackedColumns, kPackedColumns);
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
          ArrayRef(block).slice(row * kPackedColumns, rows * kPackedColumns);
      scales.push_back(search(values, weights));
    }
  }

  /// Turns the block into codes.
  void round(const Compensation *compensation) {
    if (compensation) {
      auto toNearest = [&](int64_t row, MutableArrayRef<float> values) {
        const GroupScales &group = scales[row / layout.group];
        for (auto [i, value] : llvm::enumerate(values)) {
          float code =
              getPackedCode(value, group.scale[i], group.zero[i], format.most);
          value = group.scale[i] * (code - group.zero[i]);
        }
      };
      compensation->run(block, kPackedColumns, toNearest);
    }
    for (int64_t row = 0; row < layout.k; ++row) {
      const GroupScales &group = scales[row / layout.group];
      for (auto [i, value] : llvm::enumerate(getRow(row)))
        value =
            getPackedCode(value, group.scale[i], group.zero[i], format.most);
    }
  }

  void store(int64_t first) {
    int64_t width = format.scaleType.getIntOrFloatBitWidth() / 8;
    for (auto [g, group] : llvm::enumerate(scales))
      for (int64_t i = 0; i < countColumns(first); ++i) {
        int64_t at = layout.getScale(g * layout.group, first + i);
        storeElement(format.scaleType, group.scale[i],
                     &buffers[kPackedScales][at * width]);
        if (format.hasZeros)
          buffers[kPackedZeros][at] = static_cast<char>(group.zero[i]);
      }
    storeCodes(first, kRun, buffers[kPackedCodes]);
    storeCodes(first, kPackedLine, buffers.back());
  }

  void storeCodes(int64_t first, int64_t run, MutableArrayRef<char> bytes) {
    // None if there is no k, and then no last group.
    int64_t padded = layout.getCodeRows(run) * layout.parts;
    for (int64_t row = 0; row < padded; ++row)
      for (int64_t i = 0; i < countColumns(first); ++i) {
        float code = row < layout.k ? getRow(row)[i] : scales.back().zero[i];
        bytes[layout.getByte(row, first + i, run)] |= static_cast<char>(
            static_cast<unsigned>(code) << layout.getShift(row, run));
      }
  }

  const PackedFormat &format;
  Layout layout;
  Type element;
  const char *dense;
  const FindScales &search;
  MutableArrayRef<SmallVector<char, 0>> buffers;
  std::vector<float> block; ///< [k, kPackedColumns]
  std::vector<GroupScales> scales;
};

} // namespace

SmallVector<EncodedBuffer> lathe::getPackedBuffers(const PackedFormat &format,
                                                   RankedTensorType logical) {
  Layout layout(format, logical);
  auto getCodes = [&](int64_t run) {
    SmallVector<int64_t> codes{layout.getCodeRows(run), layout.n};
    if (layout.isTransposed)
      std::swap(codes[0], codes[1]);
    return RankedTensorType::get(codes,
                                 IntegerType::get(logical.getContext(), 8));
  };
  SmallVector<int64_t> scales{layout.n};
  if (format.group)
    scales.insert(scales.begin(), layout.getNumGroups());
  auto i8 = IntegerType::get(logical.getContext(), 8);
  SmallVector<EncodedBuffer> buffers{
      {"codes", getCodes(kRun), 1, layout.parts, kRun},
      {"scales", RankedTensorType::get(scales, format.scaleType),
       format.group}};
  if (format.hasZeros)
    buffers.push_back(
        {"zeros", RankedTensorType::get(scales, i8), format.group});
  buffers.push_back(
      {"lines", getCodes(kPackedLine), 1, layout.parts, kPackedLine});
  return buffers;
}

llvm::Error
lathe::encodePacked(const PackedFormat &format, RankedTensorType logical,
                    ArrayRef<char> dense, ArrayRef<float> moments,
                    llvm::function_ref<FindScales()> getSearch,
                    SmallVectorImpl<SmallVector<char, 0>> &buffers) {
  if (llvm::Error error = checkWeight(format, logical))
    return error;
  Layout layout(format, logical);
  int64_t width = logical.getElementTypeBitWidth() / 8;
  if (llvm::Error error = checkSize(format, "the weight", dense.size(),
                                    layout.getSize() * width))
    return error;
  std::optional<Compensation> compensation;
  if (!moments.empty()) {
    auto created = Compensation::create(moments, layout.k);
    if (!created)
      return created.takeError();
    compensation = std::move(*created);
  }
  buffers.clear();
  for (const EncodedBuffer &buffer : getPackedBuffers(format, logical))
    buffers.emplace_back(getNumBytes(buffer.type), 0);
  FindScales search = getSearch();
  return Encoder(format, logical, dense, search, buffers)
      .run(compensation ? &*compensation : nullptr);
}

llvm::Error lathe::unpackPacked(const PackedFormat &format,
                                RankedTensorType logical,
                                ArrayRef<ArrayRef<char>> buffers,
                                SmallVectorImpl<char> &dense) {
  if (llvm::Error error = checkWeight(format, logical))
    return error;
  SmallVector<EncodedBuffer> wanted = getPackedBuffers(format, logical);
  if (buffers.size() != wanted.size())
    return refuse(format, "unpacking needs " + Twine(wanted.size()) +
                              " buffers, got " + Twine(buffers.size()));
  for (auto [buffer, bytes] : llvm::zip_equal(wanted, buffers))
    if (llvm::Error error = checkSize(format, "'" + buffer.name + "'",
                                      bytes.size(), getNumBytes(buffer.type)))
      return error;
  Layout layout(format, logical);
  Type element = logical.getElementType();
  int64_t width = element.getIntOrFloatBitWidth() / 8;
  int64_t scaleWidth = format.scaleType.getIntOrFloatBitWidth() / 8;
  dense.resize_for_overwrite(layout.getSize() * width);
  for (int64_t row = 0; row < layout.k; ++row)
    for (int64_t column = 0; column < layout.n; ++column) {
      int64_t at = layout.getScale(row, column);
      float scale = loadElement(format.scaleType,
                                &buffers[kPackedScales][at * scaleWidth]);
      float zero = format.zero;
      if (format.hasZeros)
        zero = static_cast<float>(buffers[kPackedZeros][at]);
      auto byte = static_cast<unsigned char>(
          buffers[kPackedCodes][layout.getByte(row, column)]);
      int code = byte >> layout.getShift(row) & ((1 << format.bits) - 1);
      storeElement(element, scale * (static_cast<float>(code) - zero),
                   &dense[layout.getElement(row, column) * width]);
    }
  return llvm::Error::success();
}

IntegerForm lathe::getPackedForm(const PackedFormat &format) {
  IntegerForm form;
  form.codes = kPackedCodes;
  form.scales = kPackedScales;
  form.isUnsigned = true;
  form.group = format.group;
  form.zero = format.zero;
  if (format.hasZeros)
    form.zeros = kPackedZeros;
  return form;
}

Value lathe::decodePackedInteger(const PackedFormat &format, OpBuilder &builder,
                                 Location loc, Value codes, int64_t part) {
  auto type = cast<RankedTensorType>(codes.getType());
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(
        builder, loc,
        DenseElementsAttr::get(type, builder.getI8IntegerAttr(value)));
  };
  if (part > 0)
    codes = arith::ShRUIOp::create(builder, loc, codes,
                                   constant(part * format.bits));
  if ((part + 1) * format.bits == 8)
    return codes;
  return arith::AndIOp::create(builder, loc, codes,
                               constant((1 << format.bits) - 1));
}

Value lathe::decodePacked(const PackedFormat &format, OpBuilder &builder,
                          Location loc, ValueRange tiles, int64_t part,
                          Type elementType) {
  Value codes =
      decodePackedInteger(format, builder, loc, tiles[kPackedCodes], part);
  auto shape = cast<RankedTensorType>(codes.getType()).getShape();
  auto wide = RankedTensorType::get(shape, builder.getF32Type());
  auto repeat = [&](Value line) -> Value {
    return tile::BroadcastOp::create(builder, loc, wide, line,
                                     builder.getDenseI64ArrayAttr(1));
  };
  auto perColumn = RankedTensorType::get(shape[1], builder.getF32Type());
  Value scale = tiles[kPackedScales];
  if (!format.scaleType.isF32())
    scale = arith::ExtFOp::create(builder, loc, perColumn, scale);
  Value zero;
  if (format.hasZeros)
    zero = repeat(
        arith::UIToFPOp::create(builder, loc, perColumn, tiles[kPackedZeros]));
  else
    zero = arith::ConstantOp::create(
        builder, loc,
        DenseElementsAttr::get(wide, builder.getF32FloatAttr(format.zero)));
  Value value = arith::UIToFPOp::create(builder, loc, wide, codes);
  value = arith::SubFOp::create(builder, loc, value, zero);
  value = arith::MulFOp::create(builder, loc, value, repeat(scale));
  if (elementType.isF32())
    return value;
  return arith::TruncFOp::create(builder, loc, wide.clone(elementType), value);
}
