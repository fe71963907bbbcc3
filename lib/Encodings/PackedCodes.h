// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What encodings share whose weights are integer codes of a few bits, several
// in a byte, with a scale per column and group of k:
//
//   w[k, n] = scale[k / group, n] * (code[k, n] - zero[k / group, n])
//
// Buffers of a weight whose columns are n and whose other dim is k, with P
// codes in a byte:
//
//   "codes"   [r, n], or [n, r] if columns lie along dim 0, i8, r = ceil(k /
//             4P) * 4: row s holds in part p, the bits from bits * p on, the
//             code of k = s / 4 * 4P + 4p + s % 4, so that four rows are P dot
//             products of four. Codes past k stand for zero.
//   "scales"  [ceil(k / group), n], or [n] if a group is all of k
//   "zeros"   the same, i8; if zeros differ
//   "lines"   the codes again, the last buffer: r = ceil(k / 64P) * 64, part p
//             of row s is the code of k = s / 64 * 64P + 64p + s % 64, so that
//             each part of 64 rows is a line of 64 k, as tensor cores want them
//
// A kernel names "codes" or "lines", and only what is named is stored.
//
// An encoding says how many bits, which scales, and how they are found.

#ifndef LATHE_LIB_ENCODINGS_PACKEDCODES_H
#define LATHE_LIB_ENCODINGS_PACKEDCODES_H

#include "dialects/Graph/IR/Graph.h"

#include <functional>

namespace lathe {

/// Columns that are rounded together, so that loops over them are vectors.
inline constexpr int64_t kPackedColumns = 64;

/// Rows of "lines" whose parts are consecutive k.
inline constexpr int64_t kPackedLine = 64;

/// The order of the buffers, as `getBuffers`, `encode` and `decode` have them.
enum PackedBuffer : unsigned { kPackedCodes, kPackedScales, kPackedZeros };

/// What decodes a group of k of `kPackedColumns` columns. Zeros are integers.
struct GroupScales {
  float scale[kPackedColumns], zero[kPackedColumns];
};

/// Chooses scales for a group of values, [k, kPackedColumns], of which the
/// error in row k weighs weights[k]; no weights stand for equal ones.
using FindScales = std::function<GroupScales(llvm::ArrayRef<float> values,
                                             llvm::ArrayRef<float> weights)>;

/// The code of `value`, an integer in 0..most: nearest, ties to even.
float getPackedCode(float value, float scale, float zero, float most);

/// To nearest even, for magnitudes below 2^22, in a form that compilers make
/// vectors of.
inline float roundEven(float value) {
  constexpr float shift = 12582912.0f; // 1.5 * 2^23
  return (value + shift) - shift;
}

struct PackedFormat {
  std::string name;     ///< Of the attribute, for errors.
  int64_t axis = 1;     ///< The dim that columns lie along.
  int64_t group = 0;    ///< Elements of k that share a scale; 0: all of them.
  int64_t bits = 4;     ///< 1, 2 or 4.
  float most = 15.0f;   ///< The largest code.
  mlir::Type scaleType; ///< f32 or bf16, in which scales are exact.
  bool hasZeros = false;
  float zero = 8.0f; ///< Of all groups, unless zeros differ.
};

// The methods of graph::EncodingInterface, for any format.

llvm::SmallVector<graph::EncodedBuffer>
getPackedBuffers(const PackedFormat &format, mlir::RankedTensorType logical);

/// Rounds to nearest or, with moments, by Compensation.h. Refuses types other
/// than static matrices of floats, and weights with NaN or infinity.
/// `getSearch` is called once the type and the size of `dense` are known to be
/// right.
llvm::Error
encodePacked(const PackedFormat &format, mlir::RankedTensorType logical,
             llvm::ArrayRef<char> dense, llvm::ArrayRef<float> moments,
             llvm::function_ref<FindScales()> getSearch,
             llvm::SmallVectorImpl<llvm::SmallVector<char, 0>> &buffers);

llvm::Error unpackPacked(const PackedFormat &format,
                         mlir::RankedTensorType logical,
                         llvm::ArrayRef<llvm::ArrayRef<char>> buffers,
                         llvm::SmallVectorImpl<char> &dense);

graph::IntegerForm getPackedForm(const PackedFormat &format);

mlir::Value decodePackedInteger(const PackedFormat &format,
                                mlir::OpBuilder &builder, mlir::Location loc,
                                mlir::Value codes, int64_t part);

mlir::Value decodePacked(const PackedFormat &format, mlir::OpBuilder &builder,
                         mlir::Location loc, mlir::ValueRange tiles,
                         int64_t part, mlir::Type elementType);

/// The external model of an attribute. `ModelT` has
///
///   static PackedFormat getFormat(AttrT);
///   static FindScales getSearch(AttrT, mlir::RankedTensorType logical,
///                               llvm::ArrayRef<char> dense);
template <typename ModelT, typename AttrT>
struct PackedModel : graph::EncodingInterface::ExternalModel<ModelT, AttrT> {
  llvm::SmallVector<graph::EncodedBuffer>
  getBuffers(mlir::Attribute attr, mlir::RankedTensorType logical) const {
    return getPackedBuffers(formatOf(attr), logical);
  }
  llvm::Error
  encode(mlir::Attribute attr, mlir::RankedTensorType logical,
         llvm::ArrayRef<char> dense, llvm::ArrayRef<float> moments,
         llvm::SmallVectorImpl<llvm::SmallVector<char, 0>> &buffers) const {
    auto getSearch = [&] {
      return ModelT::getSearch(mlir::cast<AttrT>(attr), logical, dense);
    };
    return encodePacked(formatOf(attr), logical, dense, moments, getSearch,
                        buffers);
  }
  llvm::Error unpack(mlir::Attribute attr, mlir::RankedTensorType logical,
                     llvm::ArrayRef<llvm::ArrayRef<char>> buffers,
                     llvm::SmallVectorImpl<char> &dense) const {
    return unpackPacked(formatOf(attr), logical, buffers, dense);
  }
  std::optional<int64_t> getColumnDim(mlir::Attribute attr) const {
    return formatOf(attr).axis;
  }
  std::optional<graph::IntegerForm> getIntegerForm(mlir::Attribute attr) const {
    return getPackedForm(formatOf(attr));
  }
  mlir::Value decodeInteger(mlir::Attribute attr, mlir::OpBuilder &builder,
                            mlir::Location loc, mlir::Value codes,
                            int64_t part) const {
    return decodePackedInteger(formatOf(attr), builder, loc, codes, part);
  }
  mlir::Value decode(mlir::Attribute attr, mlir::OpBuilder &builder,
                     mlir::Location loc, mlir::ValueRange tiles, int64_t part,
                     mlir::Type elementType) const {
    return decodePacked(formatOf(attr), builder, loc, tiles, part, elementType);
  }

private:
  static PackedFormat formatOf(mlir::Attribute attr) {
    return ModelT::getFormat(mlir::cast<AttrT>(attr));
  }
};

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_PACKEDCODES_H
