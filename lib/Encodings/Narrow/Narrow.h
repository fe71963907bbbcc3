// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `#graph.narrow<bf16>`: the weight in a narrower float.
//
// Buffers of a weight:
//
//   "values"  the weight's shape, bf16 or f16   rounded to nearest, ties to
//   even
//
// NaN stays NaN and infinity infinity; a finite value beyond the range of f16
// is refused, since it would become infinity.

#ifndef LATHE_LIB_ENCODINGS_NARROW_NARROW_H
#define LATHE_LIB_ENCODINGS_NARROW_NARROW_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {

/// Attaches the behavior of `graph::NarrowAttr`.
void registerNarrowEncoding(mlir::DialectRegistry &registry);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_NARROW_NARROW_H
