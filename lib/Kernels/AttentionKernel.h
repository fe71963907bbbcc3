// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernel of the attention strategy. One program computes a block of queries
// of one head; queries run along the lanes, so that nothing is ever reduced
// across lanes:
//
//   Q^T [d, lanes]          once
//   for each block of keys:    a range of positions, or a list of blocks
//     S^T = K . Q^T         [keys, lanes]; the additive mask is its start
//     P^T = score(S^T)      online maximum and sum, or the sigmoid
//     O^T += V^T . P^T      [dv, lanes]
//   O^T / sum               then the epilogue, and a transposed store
//
// For the matrix unit of a GPU, whose threads hold parts of rows, queries are
// rows instead:
//
//   Q [rows, d]             once
//   for each block of keys:
//     S = Q . K^T           [rows, keys], sums of f16 or bf16 in f32
//     P = score(S)          rounded to what Q has
//     O += P . V            [rows, dv]
//
// Q, K and V are read where they lie, through any views; for the matrix unit of
// a CPU and many queries, another kernel writes V^T first. The online softmax
// is that of Milakov and Gimelshein (arXiv 1805.02867), with the blocks of
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
  /// Multiplies what is rounded to `AttentionShape::narrow`, weights too, on a
  /// matrix unit.
  bool isNarrow = false;
  /// Queries are rows: `lanes` of them. Blocks of keys start at multiples of
  /// their sizes.
  bool isRows = false;
  int64_t warps = 4; ///< Of a GPU.
  /// V^T is there as `getTransposedValues` has it, in blocks of as many keys, a
  /// multiple of `keys`. Blocks of keys then start at multiples of their sizes.
  /// 0: V is read where it lies.
  int64_t valueBlock = 0;
};

/// What the strategy knows about its group.
struct AttentionShape {
  graph::AttentionOp op;
  mlir::AffineExpr batch, heads, keyHeads, queries, keys;
  int64_t headsPerKey = 1;  ///< Query heads that share a key head.
  int64_t headsPerList = 1; ///< Query heads that share a block list.
  int64_t size = 0, valueSize = 0;
  /// As which queries, keys and values are all stored: f16, bf16, or null.
  mlir::FloatType narrow;
  /// Null without a block list.
  graph::BlockListAttr list;
  /// From each result of the group to (batch, heads, queries, value size).
  llvm::SmallVector<graph::Access, 1> yieldAccesses;
  /// From the mask to (batch, heads, queries, keys).
  graph::Access maskAccess;
};

/// Whether a GPU's matrix unit multiplies rows of queries: heads are whole
/// steps of its k, and sums of long ones would leave no registers.
bool takesRows(const Capability &capability, const AttentionShape &shape);

/// The table of the shape's block list for one schedule.
AttentionBlocks getAttentionBlocks(const AttentionShape &shape,
                                   const AttentionSchedule &schedule);

/// Rounded to `element`, or what was widened from it.
mlir::Value toNarrow(mlir::ImplicitLocOpBuilder &b, mlir::Value tile,
                     mlir::Type element);

/// V^T [batch, key heads, blocks, dv, `block` keys], of bf16. Of the last
/// block, keys beyond the next multiple of 32 are not written.
Temporary getTransposedValues(const AttentionShape &shape, int64_t block);
/// Its window at a key; `extents` are the caller's.
TileWindow getTransposedWindow(KernelBuilder &kernel, int64_t block,
                               mlir::Value batch, mlir::Value head,
                               mlir::Value key);
/// Adds the kernel that writes it to `launch`, whose temporary it is. Fails
/// with an error on the op.
llvm::LogicalResult buildTransposedValues(LaunchBuilder &launch,
                                          const AttentionShape &shape,
                                          int64_t block);

/// Adds the kernel to `launch`. Fails with an error on the op.
llvm::LogicalResult buildAttentionKernel(LaunchBuilder &launch,
                                         const AttentionShape &shape,
                                         const AttentionSchedule &schedule,
                                         KernelBuilder &kernel);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_ATTENTIONKERNEL_H
