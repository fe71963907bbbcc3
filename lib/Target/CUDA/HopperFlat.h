// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The skeleton of products of few rows on Hopper, which read their weights
// once: what counts is that all processors read all of the time. It takes
// kernels of the form of HopperProduct.h whose schedule's strategy is "flat",
//
//   %sums = scf.for %k = 0 to K step 64 iter_args(%c = 0) {
//     %x = tile.load %xs[...]    // [rows, 64], f16 or bf16; rows <= 64
//     %w = tile.load %ws[...]    // [64, columns]
//     scf.yield tile.mma %x, %w, %c
//   }
//
// and replaces the loop; the rest of the kernel is the Emitter's. Instead of
// being loaded, %w may be computed element by element from tiles that are (an
// encoding's decode); a step then may have several products, of 64 k each:
//
//     %codes = tile.load ... : tensor<64xCxi8>    %scales = tile.load ... : [C]
//     %c1 = tile.mma %x0, decode(%codes, %scales, part 0), %c
//     %c2 = tile.mma %x1, decode(%codes, %scales, part 1), %c1
//
//   products  The operands change places: weights have 64 rows of a wgmma each,
//             and x, however few rows it has, its columns. Weights that are
//             computed come from registers: the emitter computes them in the
//             layout of the instruction's fragments, from what they depend on
//             in shared memory.
//   blocks    As many programs as the schedule's cluster has split k. They are
//             beside each other along the columns. Each block multiplies for
//             the columns of all of them, over its share of k, and sends each
//             block the sums of that one's columns (distributed shared
//             memory). Each adds up what it got in the order of the blocks,
//             so that the result is the same every time, and goes on with its
//             own columns. x is read once per cluster.
//   loads     one thread copies boxes into a ring, ahead of products and of
//             programs, as in HopperProduct
//
// What it does not match goes on to HopperProduct, then to the generic path.

#ifndef LATHE_LIB_TARGET_CUDA_HOPPERFLAT_H
#define LATHE_LIB_TARGET_CUDA_HOPPERFLAT_H

#include "lib/Target/CUDA/Levels.h"
#include "lib/Target/CUDA/TileBoxes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace lathe::cuda {

/// What a computed weight depends on: a tile of rank 2 in lines along k, or one
/// of a number for each column, copied for all programs of a cluster.
struct FlatInput {
  tile::LoadOp load;
  TensorMap map;
  /// As in TileBoxes.
  llvm::SmallVector<mlir::Value> indices;
  int64_t bytes = 0;
  int64_t lineBytes = 0; ///< 0 if it is of rank 1.
};

/// A kernel of this form.
struct FlatProduct {
  tile::KernelOp kernel;
  mlir::scf::ForOp loop;
  /// In the order in which they add up, and the x of each.
  llvm::SmallVector<tile::MmaOp> products;
  std::vector<TileBoxes> x;
  /// The weight's boxes, or what it is computed from.
  std::optional<TileBoxes> w;
  std::vector<FlatInput> inputs;
  /// Columns of a program.
  int64_t columns = 0;
  /// Blocks of a cluster, warpgroups of a block that multiply. Where weights
  /// are computed, `turns` groups of them take turns at the steps of k.
  int64_t split = 1, warpgroups = 1, turns = 1;
  int64_t stages = 1;

  /// Where things are in shared memory, which begins with the stages: barriers
  /// that tell that stages are full or empty and that sums have come, the
  /// sums, the rest.
  struct Memory {
    int64_t full, empty, come, sums, end;
  };

  int64_t getRows() const { return x.front().shape[0]; }
  int64_t getAllColumns() const { return columns * split; }
  /// k of a step.
  int64_t getDepth() const {
    return int64_t(products.size()) * SharedMatrix::kLineElements;
  }
  /// Warpgroups that share the columns, each of which has blocks of 64.
  int64_t getColumnGroups() const { return warpgroups / turns; }
  int64_t getBlocks() const;
  /// Sums of the same columns that are added up.
  int64_t getShares() const { return split * turns; }
  /// A stage: the weight, or its inputs, then each x.
  int64_t getBytesOfInput(unsigned number) const;
  int64_t getBytesOfW() const;
  int64_t getStageBytes() const;
  /// Those of a stage that are copied.
  int64_t getCopiedBytes() const;
  /// Of a row of sums in shared memory: neighbors begin in other banks.
  int64_t getPitch() const { return columns + 4; }
  /// The sums of one block's share.
  int64_t getShareBytes() const { return 4 * getRows() * getPitch(); }
  /// Two where other blocks may send the next program's while these are read.
  int64_t getBuffers() const { return split > 1 ? 2 : 1; }
  Memory getMemory() const;
};

/// Nothing, with the reason, if the kernel has another form or does not fit
/// the level. "" is the reason for kernels whose schedule does not ask for it.
std::optional<FlatProduct> matchFlatProduct(tile::KernelOp kernel,
                                            const Level &level,
                                            std::string &reason);

/// Replaces the kernel by a function. False, with the reason, if what the
/// emitter keeps in shared memory beside the stages does not fit the level: the
/// kernel is as it was. Fails with an error on an op that has no lowering.
mlir::FailureOr<bool> lowerFlatProduct(FlatProduct product, const Level &level,
                                       std::string &reason);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_HOPPERFLAT_H
