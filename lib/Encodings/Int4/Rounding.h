// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which scales make 4-bit codes stand for a group of weights.

#ifndef LATHE_LIB_ENCODINGS_INT4_ROUNDING_H
#define LATHE_LIB_ENCODINGS_INT4_ROUNDING_H

#include "lib/Encodings/PackedCodes.h"

namespace lathe {

/// Scales for a group of `values`, [k, kPackedColumns], for which the sum of
/// weight[k] * error^2 is least among a grid of candidates: symmetric ones
/// shrink or stretch the range in which the largest magnitude is code 0 or 15,
/// those with zeros each end of the range. No weights stand for equal ones. A
/// scale is 0 where all values are.
GroupScales findInt4Scales(llvm::ArrayRef<float> values,
                           llvm::ArrayRef<float> weights, bool hasZeros);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_INT4_ROUNDING_H
