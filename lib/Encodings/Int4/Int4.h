// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `#graph.int4<axis = a, group = g, zeros = z>`: 4-bit codes of a matrix, two a
// byte, with a scale per column and group of g elements along the other dim k:
// w = scale * (code - zero).
//
// Buffers of a weight whose dim `axis` has size n and its other dim size k:
//
//   "codes"   [r, n], or [n, r] if axis is 0, i8, r = ceil(k / 8) * 4: row s
//             holds the codes of k = s / 4 * 8 + s % 4 in its lower four bits
//             and of k + 4 in its upper ones, so that four rows are two dot
//             products of four
//   "scales"  [ceil(k / g), n], bf16, of either sign; 0 for groups of zeros
//   "zeros"   the same, i8 in 0..15; only with `zeros`, else all zeros are 8
//
// Codes and scales are chosen for the least squared error of each group, by
// search (Rounding.h), and codes with moments of the inputs for the least error
// of products (Compensation.h). Codes past k stand for zero. Weights with NaN
// or infinity are refused.

#ifndef LATHE_LIB_ENCODINGS_INT4_INT4_H
#define LATHE_LIB_ENCODINGS_INT4_INT4_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {

/// The order of the buffers, as `getBuffers`, `encode` and `decode` have them.
enum Int4Buffer : unsigned { kInt4Codes, kInt4Scales, kInt4Zeros };

/// Attaches the behavior of `graph::Int4Attr`.
void registerInt4Encoding(mlir::DialectRegistry &registry);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_INT4_INT4_H
