// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `#graph.int4<axis = a, group = g, zeros = z>`: 4-bit codes of a matrix, two a
// byte, with a scale per column and group of g elements along the other dim k:
// w = scale * (code - zero), in the buffers of PackedCodes.h with 4 bits a
// code. Scales are bf16, of either sign, 0 for groups of zeros; zeros are in
// 0..15, without `zeros` all are 8.
//
// Codes and scales are chosen for the least squared error of each group, by
// search (Rounding.h), and codes with moments of the inputs for the least error
// of products (Compensation.h).

#ifndef LATHE_LIB_ENCODINGS_INT4_INT4_H
#define LATHE_LIB_ENCODINGS_INT4_INT4_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {

/// Attaches the behavior of `graph::Int4Attr`.
void registerInt4Encoding(mlir::DialectRegistry &registry);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_INT4_INT4_H
