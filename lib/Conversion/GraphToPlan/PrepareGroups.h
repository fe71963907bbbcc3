// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Makes a function's ops ready for one kernel each.

#ifndef LATHE_CONVERSION_GRAPHTOPLAN_PREPAREGROUPS_H
#define LATHE_CONVERSION_GRAPHTOPLAN_PREPAREGROUPS_H

#include "dialects/Graph/IR/Graph.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace lathe {

/// Erases ops without uses, and moves constants that a kernel cannot hold (all
/// but splats) from the bodies of groups to their operands.
void prepareGroups(mlir::FunctionOpInterface function);

/// Whether `op` needs a kernel, and is in no group.
bool needsGroup(mlir::Operation *op);

/// Puts `op` into a group of its own, in its place. The op moves into the
/// group's body and reads block arguments; `visit` is told which operand each
/// argument stands for, and each result of the group for which result of `op`.
graph::GroupOp wrapInGroup(
    mlir::Operation *op,
    llvm::function_ref<void(mlir::Value copy, mlir::Value original)> visit);

/// Moves the ops of `group` in front of it and erases it. The ops are returned
/// in order.
llvm::SmallVector<mlir::Operation *> dissolveGroup(graph::GroupOp group);

} // namespace lathe

#endif // LATHE_CONVERSION_GRAPHTOPLAN_PREPAREGROUPS_H
