// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The order of independent chains of arithmetic. A function such as exp is a
// chain of a dozen ops that wait for each other. When several are emitted one
// after the other, a core must look far ahead to find a second one, further
// than its schedulers reach; side by side they keep all units busy. LLVM keeps
// the order it is given.

#ifndef LATHE_LIB_TARGET_X86_INTERLEAVE_H
#define LATHE_LIB_TARGET_X86_INTERLEAVE_H

#include "mlir/IR/Block.h"
#include "llvm/ADT/DenseSet.h"

namespace lathe::x86 {

/// Orders the ops of `block` by the length of the chain that leads to them,
/// between any two ops that write memory or have regions. Runs with less than
/// two or more than eight of `results`, the ends of chains, stay as they are:
/// there is nothing to interleave, or not enough registers.
void interleaveChains(mlir::Block &block,
                      const llvm::DenseSet<mlir::Operation *> &results);

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_INTERLEAVE_H
