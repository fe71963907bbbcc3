// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `#graph.int8<axis = a>`: symmetric int8 with one f32 scale per slice of
// `axis`, the form that vector neural-network instructions multiply directly.
//
// Buffers of a weight whose dim `axis` has size n:
//
//   "codes"   the weight's shape, i8    round(w / scale[i]), in -127..127
//   "scales"  [n], f32                  max |w[.., i, ..]| / 127
//   "sums"    [n], i32                  sum of the codes of slice i
//
// Activations that a kernel shifts into unsigned range (u8 = s8 + 128, what
// VNNI's u8 x s8 product wants) are corrected by 128 * sums[i]. A kernel that
// does not need the sums does not name the buffer, and it is not stored.
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
