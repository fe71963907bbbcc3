// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `#graph.ternary<axis = a, group = g>`: weights -s, 0 and s in 2 bits, as
// BitLinear layers are trained (Zhu et al., "Scalable MatMul-free Language
// Modeling", arXiv 2406.02528): w = scale * (code - 1), codes 0, 1, 2, in the
// buffers of PackedCodes.h with 2 bits a code. Scales are f32, so that weights
// that are -s, 0 and s already are stored without any error.
//
// Without a group the whole weight has one scale (stored once per column): the
// mean magnitude, by which such layers round in training. With groups each
// column and g elements along k have the scale of least squared error, weighed
// by the inputs' second moments if they are known; codes then round by
// Compensation.h too.

#ifndef LATHE_LIB_ENCODINGS_TERNARY_TERNARY_H
#define LATHE_LIB_ENCODINGS_TERNARY_TERNARY_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {

/// Attaches the behavior of `graph::TernaryAttr`.
void registerTernaryEncoding(mlir::DialectRegistry &registry);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_TERNARY_TERNARY_H
