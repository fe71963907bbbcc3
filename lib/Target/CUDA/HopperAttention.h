// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The skeleton of two dependent products on Hopper. It takes a kernel whose
// outermost block has a chain of loops over the same operands, each of the form
//
//   %q = tile.load                       // [rows, d], f16 or bf16
//   %o:n = scf.for %i = ... iter_args(%m, ..., %c = 0) {
//     %k = tile.load                     // [d, keys]
//     %s = tile.mma %q, %k, 0
//     ... anything on tiles [rows, keys] and [rows]
//     %v = tile.load                     // [keys, dv]
//     scf.yield ..., tile.mma (truncf %p), %v, (something of %c)
//   }
//
// and before it only scalars and what can be computed at any place. It replaces
// the chain's products and loads; what is between the two products, and all
// after the chain, is the Emitter's, on sums where products leave them
// (getWarpgroupSums): the first product's stay in registers, and are the second
// one's operand there.
//
//   block     a warpgroup for 64 rows each, and a last one that loads
//   loads     one thread copies Q, K, V and masks into rings of their own
//   products  the next block's first product and this one's second are issued
//             together; what is between them runs on the other sums meanwhile
//   turns     warpgroups pass a token, so that one computes scores while
//             another one's products run
//   results   rounded, over the program's own queries, and from there copied
//   programs  as many blocks as the device has room for, each runs every so
//             manieth program. Where the number of blocks of keys depends on
//             the place, long and short programs take turns.
//
// The schedule is FlashAttention-3's (arXiv 2407.08608).

#ifndef LATHE_LIB_TARGET_CUDA_HOPPERATTENTION_H
#define LATHE_LIB_TARGET_CUDA_HOPPERATTENTION_H

#include "lib/Target/CUDA/HopperRing.h"
#include "lib/Target/CUDA/Levels.h"
#include "lib/Target/CUDA/TileBoxes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace lathe::cuda {

/// A tile [rows, keys] that a loop reads beside its operands, a mask, as one
/// swizzled box.
struct MaskBox {
  tile::LoadOp load;
  TensorMap map;
  llvm::SmallVector<mlir::Value> indices; ///< As in TileBoxes.
  int64_t lineBytes = 0;                  ///< Of a line, which runs along keys.
  int64_t bytes = 0;
};

/// One loop of the chain.
struct AttentionLoop {
  mlir::scf::ForOp loop;
  tile::MmaOp scores, outputs;
  TileBoxes keys, values;
  /// The same in all loops, or none: the rest is read by threads.
  std::vector<MaskBox> masks;
  /// For each carried tile, the sum over keys that it adds to itself, if it
  /// does nothing else: lanes may then add up parts of their own until the end.
  llvm::SmallVector<tile::ReduceOp, 3> totals;

  /// What the second product multiplies, before it is rounded.
  mlir::Value getWeights() const;
};

/// A kernel of this form.
struct AttentionChain {
  tile::KernelOp kernel;
  TileBoxes queries;
  llvm::SmallVector<AttentionLoop, 3> loops;
  unsigned sums = 0; ///< Which of the carried tiles are the outputs.
  /// Where the outputs go through the queries' memory, and how.
  tile::StoreOp store;
  TileBoxes results;
  int64_t warpgroups = 1, queryStages = 1;
  /// The number of blocks of keys depends on the first program id.
  bool isUneven = false;

  static constexpr int64_t kStages = 2; ///< Of K, of V and of masks.

  /// Where things are in shared memory.
  struct Memory {
    CopyRing::Place queries, keys, values, masks;
    int64_t end;
  };
  Memory getMemory() const;

  int64_t getRows() const { return queries.shape[0]; }
  int64_t getKeys() const { return loops.front().keys.shape[1]; }
  int64_t getSize() const { return queries.shape[1]; }
  int64_t getValueSize() const { return loops.front().values.shape[1]; }
};

/// Nothing, with the reason, if the kernel has another form or does not fit
/// the level. "" is the reason for kernels without such products.
std::optional<AttentionChain>
matchAttention(tile::KernelOp kernel, const Level &level, std::string &reason);

/// Replaces the kernel by a function. False, with the reason, if what the
/// emitter keeps in shared memory beside the stages does not fit the level: the
/// kernel is as it was. Fails with an error on an op that has no lowering.
mlir::FailureOr<bool> lowerAttention(const AttentionChain &chain,
                                     const Level &level, std::string &reason);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_HOPPERATTENTION_H
