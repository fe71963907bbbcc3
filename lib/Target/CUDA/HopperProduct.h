// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The skeleton of products on Hopper. It takes a kernel whose outermost block
// has one loop of the form
//
//   %sums = scf.for %k = 0 to K step 64 iter_args(%c = 0) {
//     %a = tile.load %x[...]    // [rows, 64], f16 or bf16; or, of 8-bit
//     %b = tile.load %w[...]    // [64, columns]        floats, 128 steps
//     scf.yield tile.mma %a, %b, %c
//   }
//
// and before it only scalars and what can be computed at any place, and
// replaces the loop; everything else of the kernel is the Emitter's, on the
// sums where products leave them (getWarpgroupSums).
//
//   block     one warpgroup per 64 rows or more of a program, and a last one
//             that loads. A program of one warpgroup leaves room for another:
//             two then take turns at the tensor cores (ping-pong), one in its
//             loop while the other is in its epilogue.
//   loads     one thread copies boxes into a ring of stages, ahead of the
//             products across programs, and waits only for stages to be free
//   products  each stage: wait until it is full, four k steps of 16, wait for
//             the previous stage's products, free it
//   clusters  programs of rows beside each other may run as one (the schedule
//             says how many): each block loads its share of w for all of them
//   residual  a tile that the epilogue adds comes by a copy that begins before
//             the program's products do
//   programs  as many blocks as the device has room for, each runs every so
//             manieth program, in an order that keeps operands in the
//             second-level cache: groups of rows, all columns of a group
//
// It follows CUTLASS's kernels for sm_90 ("warp specialized, persistent,
// cooperative" and "ping-pong"). What it does not match, the generic path
// computes.

#ifndef LATHE_LIB_TARGET_CUDA_HOPPERPRODUCT_H
#define LATHE_LIB_TARGET_CUDA_HOPPERPRODUCT_H

#include "lib/Target/CUDA/Levels.h"
#include "lib/Target/CUDA/TileBoxes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace lathe::cuda {

/// A kernel of this form.
struct ProductLoop {
  tile::KernelOp kernel;
  mlir::scf::ForOp loop;
  tile::MmaOp mma;
  TileBoxes a, b;
  /// Warpgroups of a program, and programs that a block runs at once.
  int64_t warpgroups = 1, programs = 1;
  int64_t stages = 1;
  /// Blocks whose programs are of rows beside each other: each one's copies of
  /// B, of as many of its lines, are for all of them.
  int64_t cluster = 1;
  /// Stores that go through shared memory and copies, and a warpgroup's buffers
  /// for them.
  llvm::SmallVector<std::pair<tile::StoreOp, TileBoxes>, 1> stores;
  int64_t buffers = 0;
  /// What the epilogue reads of a tensor as large as the one store's, a
  /// residual: it comes to the store's buffers, which are enough for all of it
  /// then, while the loop runs, and what is stored takes its place.
  std::optional<std::pair<tile::LoadOp, TileBoxes>> residual;

  /// Where things are in shared memory, which begins with the stages: barriers
  /// that tell that stages are full or empty, and each warpgroup's buffers with
  /// a residual; buffers of stores, the rest.
  struct Memory {
    int64_t full, empty, residual, stores, end;
  };

  int64_t getRows() const { return a.shape[0]; }
  int64_t getColumns() const { return b.shape[1]; }
  /// k of one stage: a line.
  int64_t getDepth() const { return a.getLineElements(); }
  /// Products read 64 rows, and use those that the tile has.
  int64_t getBytesOfA() const {
    return std::max(a.getBytes(), kWgmmaRows * kSwizzleBytes);
  }
  int64_t getStageBytes() const { return getBytesOfA() + b.getBytes(); }
  /// Lines of B that one block of the cluster loads.
  int64_t getSharedLines() const { return b.getLines() / cluster; }
  /// Blocks of 64 rows of a warpgroup.
  int64_t getBlocks() const {
    return std::max<int64_t>(getRows() / kWgmmaRows / warpgroups, 1);
  }
  /// Boxes that a warpgroup makes of a tile.
  int64_t getBoxesOfStore() const;
  Memory getMemory() const;
};

/// Nothing, with the reason, if the kernel has another form or does not fit
/// the level. "" is the reason for kernels without such products.
std::optional<ProductLoop> matchProductLoop(tile::KernelOp kernel,
                                            const Level &level,
                                            std::string &reason);

/// Replaces the kernel by a function. False, with the reason, if what the
/// emitter keeps in shared memory beside the stages does not fit the level: the
/// kernel is as it was. Fails with an error on an op that has no lowering.
mlir::FailureOr<bool> lowerProductLoop(ProductLoop product, const Level &level,
                                       std::string &reason);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_HOPPERPRODUCT_H
