// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of few queries over many keys, as a step of decoding has it: the
// keys of a head are cut into parts, so that all of a GPU reads them, and what
// the parts have come to is merged (Flash-Decoding; how two states merge is the
// score function's).
//
//   first launch, a program for each part of each key head:
//     Q [rows, d]           the query heads that share the key head are rows
//     for each block of its keys:
//       S = Q . K^T;  P = score(S);  O += P . V
//     the state (maximum, sum, O) to temporaries
//   second launch, a program for each query of each head:
//     the states of all parts, merged; then the epilogue
//
// Where key heads alone keep a GPU busy there is one part of each, and a
// program of the second launch computes all of it: nothing is merged.
//
// K and V are read once for all heads of a group. How many parts there are
// follows from the shape at run time, by expressions on sizes, so that one
// kernel serves any number of keys and any batch.

#ifndef LATHE_KERNELS_ATTENTIONSPLIT_H
#define LATHE_KERNELS_ATTENTIONSPLIT_H

#include "lib/Kernels/AttentionKernel.h"

namespace lathe::kernels {

/// The schedule of what reads keys.
struct SplitSchedule {
  int64_t rows = 16; ///< Queries of a program.
  int64_t keys = 32; ///< Keys of a block.
  int64_t stages = 3, warps = 1;

  tile::ScheduleAttr getAttr(mlir::MLIRContext *context) const;
};

/// What both launches know.
struct AttentionSplit {
  /// Rows are the heads of a group, of one query; else the queries of a head.
  bool areHeads = false;
  /// As many as the shape has, where the kernels run; never many, since
  /// temporaries are sized by it.
  mlir::AffineExpr queries;
  mlir::AffineExpr partKeys; ///< Keys of a part: whole blocks.
  mlir::AffineExpr parts;
  /// When to run the launches: all `condition >= 0`; always if there are none.
  llvm::SmallVector<mlir::AffineExpr, 2> conditions;
  /// >= 0 where there are several parts, to be merged.
  mlir::AffineExpr severalParts;
  /// For parts of keys, and for all keys of a head at once: the preferred one
  /// first. None where the shape never asks for them.
  llvm::SmallVector<SplitSchedule, 3> schedules, wholeSchedules;
  /// From each result of the group to (batch, key heads, heads of a group,
  /// queries, value size).
  llvm::SmallVector<graph::Access, 1> groupedAccesses;
  /// The states of all parts, f32: statistics [batch, heads, queries, parts],
  /// then outputs [.., parts, size]. They are the group's first temporaries.
  llvm::SmallVector<Temporary, 3> temporaries;

  /// Whether one of the launches' kernels serves all sizes.
  bool isAlways(bool isWhole) const {
    return conditions.empty() && (isWhole || wholeSchedules.empty());
  }
  /// Kernels of whole heads come after those that merge.
  void addConditions(KernelBuilder &kernel, bool isWhole) const;
};

/// Nothing where the keys are not split: on a CPU, without a matrix unit for
/// what is multiplied, for many queries or few keys, and under block lists.
std::optional<AttentionSplit> getAttentionSplit(const Capability &capability,
                                                const AttentionShape &shape,
                                                graph::DimsOf dimsOf);

/// Completes a kernel of the first launch, or, if it `isWhole`, one that
/// computes all keys of a head. Fails with an error on the op.
llvm::LogicalResult buildPartKernel(LaunchBuilder &launch,
                                    const AttentionShape &shape,
                                    const AttentionSplit &split,
                                    const SplitSchedule &schedule, bool isWhole,
                                    KernelBuilder &kernel);

/// Adds the kernel of the second launch. Fails with an error on the op.
llvm::LogicalResult buildMergeKernel(LaunchBuilder &launch,
                                     const AttentionShape &shape,
                                     const AttentionSplit &split);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_ATTENTIONSPLIT_H
