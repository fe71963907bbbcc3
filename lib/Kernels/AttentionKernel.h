// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernel of the attention strategy for CPUs. One program computes a block
// of queries of one head; queries run along the lanes, so that nothing is ever
// reduced across lanes:
//
//   Q^T [d, lanes]          once
//   for each block of keys:    a range of positions, or a list of blocks
//     S^T = K . Q^T         [keys, lanes]; the additive mask is its start
//     P^T = score(S^T)      online maximum and sum, or the sigmoid
//     O^T += V^T . P^T      [dv, lanes]
//   O^T / sum               then the epilogue, and a transposed store
//
// Q, K and V are read where they lie, through any views. The online softmax is
// that of Milakov and Gimelshein (arXiv 1805.02867), with the blocks of
// FlashAttention (arXiv 2205.14135).

#ifndef LATHE_KERNELS_ATTENTIONKERNEL_H
#define LATHE_KERNELS_ATTENTIONKERNEL_H

#include "lib/Kernels/AttentionBlocks.h"
#include "lib/Kernels/KernelBuilder.h"

namespace lathe::kernels {

/// The schedule of one attention kernel.
struct AttentionSchedule {
  int64_t lanes = 64;    ///< Queries of one program.
  int64_t keys = 64;     ///< Keys of a block that every query sees.
  int64_t edgeKeys = 16; ///< Keys of a block that is masked by position.
  /// Multiplies what is rounded to bf16, weights too, on a matrix unit.
  bool isNarrow = false;
};

/// What the strategy knows about its group.
struct AttentionShape {
  graph::AttentionOp op;
  mlir::AffineExpr batch, heads, queries, keys;
  int64_t headsPerKey = 1;  ///< Query heads that share a key head.
  int64_t headsPerList = 1; ///< Query heads that share a block list.
  int64_t size = 0, valueSize = 0;
  bool isNarrow = false; ///< Queries, keys and values are stored as bf16.
  /// Null without a block list.
  graph::BlockListAttr list;
  /// From each result of the group to (batch, heads, queries, value size).
  llvm::SmallVector<graph::Access, 1> yieldAccesses;
  /// From the mask to (batch, heads, queries, keys).
  graph::Access maskAccess;
};

/// The table of the shape's block list for one schedule.
AttentionBlocks getAttentionBlocks(const AttentionShape &shape,
                                   const AttentionSchedule &schedule);

/// Adds the kernel to `launch`. Fails with an error on the op.
llvm::LogicalResult buildAttentionKernel(LaunchBuilder &launch,
                                         const AttentionShape &shape,
                                         const AttentionSchedule &schedule,
                                         KernelBuilder &kernel);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_ATTENTIONKERNEL_H
