// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `#graph.block<axis = a, size = s, density = d, type = t>`: a matrix of which
// blocks are kept, as lists (BlockLists.h) or as a dense weight.
//
// The blocks of the largest sum of squares are kept, round(d * their number) of
// them; with moments of the inputs, squares count by what the product loses
// and the others make up for the loss (Pruning.h). A weight that has no more
// blocks than that keeps them all. Weights with NaN or infinity are refused.

#ifndef LATHE_LIB_ENCODINGS_BLOCK_BLOCK_H
#define LATHE_LIB_ENCODINGS_BLOCK_BLOCK_H

#include "lib/Encodings/BlockLists.h"

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {

/// Attaches the behavior of `graph::BlockAttr`.
void registerBlockEncoding(mlir::DialectRegistry &registry);

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_BLOCK_BLOCK_H
