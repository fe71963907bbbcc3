// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The order in which a thread computes its elements of a tile.

#ifndef LATHE_LIB_TARGET_CUDA_DEMANDORDER_H
#define LATHE_LIB_TARGET_CUDA_DEMANDORDER_H

#include "llvm/ADT/StringRef.h"

namespace mlir {
class Block;
} // namespace mlir

namespace lathe::cuda {

/// On a load of memory that nobody writes between the load and its users.
constexpr llvm::StringLiteral kUnchangedAttr = "lathe.unchanged";

/// Moves each op of `block` that does nothing but compute, or loads what the
/// kernel only reads or what is marked, to its first user. A tile is emitted op
/// by op, each for all of a thread's elements; afterwards an element goes
/// through all ops before the next one does, so that hardly more registers are
/// taken than its inputs and results have.
void computeOnDemand(mlir::Block &block);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_DEMANDORDER_H
