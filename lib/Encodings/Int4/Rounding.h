// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which 4-bit codes and scales stand for a group of weights.

#ifndef LATHE_LIB_ENCODINGS_INT4_ROUNDING_H
#define LATHE_LIB_ENCODINGS_INT4_ROUNDING_H

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>

namespace lathe {

/// Columns that are rounded together, so that loops over them are vectors.
inline constexpr int64_t kInt4Columns = 64;

/// What decodes a group of k of `kInt4Columns` columns: scale * (code - zero).
/// Scales are bf16 values, zeros integers in 0..15.
struct Int4Scales {
  float scale[kInt4Columns], zero[kInt4Columns];
};

/// The code of `value`, an integer in 0..15: nearest, ties to even.
float getInt4Code(float value, float scale, float zero);

/// Scales for a group of `values`, [k, kInt4Columns], for which the sum of
/// weight[k] * error^2 is least among a grid of candidates: symmetric ones
/// shrink or stretch the range in which the largest magnitude is code 0 or 15,
/// those with zeros each end of the range. No weights stand for equal ones. A
/// scale is 0 where all values are.
Int4Scales findInt4Scales(llvm::ArrayRef<float> values,
                          llvm::ArrayRef<float> weights, bool hasZeros);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_INT4_ROUNDING_H
