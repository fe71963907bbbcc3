// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `#graph.int8<axis = a, group = g>`: symmetric int8 with one f32 scale per
// slice of `axis` and g elements along the other dim of a matrix (without a
// group: per slice), the form that vector neural-network instructions multiply
// directly.
//
// Buffers of a weight whose dim `axis` has size n and, with a group, its other
// dim size k (groups are the outer dim wherever `axis` is):
//
//   "codes"   the weight's shape, i8   round(w / scale), in -127..127
//   "scales"  [k / g, n] or [n], f32   max |w| of the slice's group / 127
//   "sums"    the same, f32            sum of the slice's group, decoded
//
// Activations with an offset, x = offset + scale * code, add offset * sums. A
// kernel that does not need the sums does not name the buffer, and it is not
// stored.
//
// A slice that holds only zeros (or whose scale would not be a normal number)
// has scale 0 and codes 0. Weights with NaN or infinity are refused.

#ifndef LATHE_LIB_ENCODINGS_INT8_INT8_H
#define LATHE_LIB_ENCODINGS_INT8_INT8_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {

/// The order of the buffers, as `getBuffers`, `encode` and `decode` have them.
enum Int8Buffer : unsigned { kInt8Codes, kInt8Scales, kInt8Sums };

/// Attaches the behavior of `graph::Int8Attr`.
void registerInt8Encoding(mlir::DialectRegistry &registry);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_INT8_INT8_H
