// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weight encodings: how stored bytes stand for a dense tensor. An encoding is
// an attribute of the graph dialect (data: GraphAttrs.td) and one folder here
// (behavior: `graph::EncodingInterface` as an external model). Nothing outside
// its folder knows its format: the bundle writer calls `encode`, tests call
// `unpack`, kernel strategies call `decode`.

#ifndef LATHE_LIB_ENCODINGS_ENCODINGS_H
#define LATHE_LIB_ENCODINGS_ENCODINGS_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {

/// Attaches the behavior of every encoding to its attribute. To be called once
/// on the registry of each context that compiles models; without it an encoded
/// type still parses and prints, but does not implement `EncodingInterface`.
///
/// A new encoding is one folder and one line in the definition.
void registerEncodings(mlir::DialectRegistry &registry);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_ENCODINGS_H
