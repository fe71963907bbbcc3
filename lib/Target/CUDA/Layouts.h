// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The layouts that the generic path chooses from.

#ifndef LATHE_LIB_TARGET_CUDA_LAYOUTS_H
#define LATHE_LIB_TARGET_CUDA_LAYOUTS_H

#include "lib/Target/Gpu/LinearLayout.h"

namespace lathe::cuda {

using gpu::LinearLayout;

constexpr int64_t kWarpSize = 32;

/// Neighbors in registers, lanes and warps along the dims of `order`, the
/// fastest first: `run` registers in a row along the first one (fewer if there
/// would be threads without elements), then lanes, then warps, then what is
/// left in registers. Threads beyond the tile repeat it.
LinearLayout getBlocked(llvm::ArrayRef<int64_t> shape, int64_t warps,
                        llvm::ArrayRef<unsigned> order, int64_t run);

/// The same, but warps run along the other dims first and along the first one
/// last: what combines along that dim then stays within a warp.
LinearLayout getWarpRows(llvm::ArrayRef<int64_t> shape, int64_t warps,
                         llvm::ArrayRef<unsigned> order, int64_t run);

/// Square blocks of up to `run` registers along two dims, the first one's in a
/// row. A thread has the same elements whichever of the dims is the first one:
/// what is read along one dim is written along the other without leaving it.
LinearLayout getTransposing(llvm::ArrayRef<int64_t> shape, int64_t warps,
                            unsigned first, unsigned second, int64_t run);

/// All of `axis` in registers of one thread: for what runs along it.
LinearLayout getAlongRegisters(llvm::ArrayRef<int64_t> shape, int64_t warps,
                               unsigned axis);

/// Sums of products [m, n] in blocks of registers, up to 4x4 in a row and as
/// many such as it takes: each element of an operand serves four sums.
LinearLayout getOuterProduct(llvm::ArrayRef<int64_t> shape, int64_t warps);

/// Sums of products [m, n] of warpgroups (wgmma): each has consecutive blocks
/// of 64 rows, and a warp 16 rows of each of them. A thread has two neighbors
/// in columns 8j + 2 (lane % 4), in rows lane / 4 and eight further down: of
/// registers r of a block, j is r / 4. As of PTX's "register fragments".
LinearLayout getWarpgroupSums(llvm::ArrayRef<int64_t> shape,
                              int64_t warpgroups);

//===-- Fragments of tensor cores -----------------------------------------===//
//
// `mma.sync` multiplies 16 rows by 8 columns over 32 bytes of k. Of the sums a
// lane 4g + t has columns 2t, 2t + 1 of rows g and g + 8; of an operand the
// same word of 4 bytes along k, and the word 16 bytes on (PTX ISA, "Matrix
// Fragments for mma.m16n8k16"). Where a tile has fewer rows or columns, lanes
// and registers repeat them.

/// Sums [m, n] of such products: registers are numbered as the instruction
/// wants them, then over blocks of columns, then over blocks of rows. `asRows`:
/// warps lie along rows as far as these go, so that what follows a row (a
/// softmax, another product) stays within a warp; else as operands are read
/// least often.
LinearLayout getFragments(llvm::ArrayRef<int64_t> shape, int64_t warps,
                          bool asRows);

/// What the products of `sums` want of an operand: [m, k] if `dim` is 0, [k, n]
/// if it is 1, `perWord` elements of k in 4 bytes. It has at least 32 bytes of
/// k, even where `depth` is less. Registers: the elements of a word, the words
/// of an instruction, blocks along `dim`, steps of k.
LinearLayout getOperandFragments(const LinearLayout &sums, unsigned dim,
                                 int64_t depth, int64_t perWord);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_LAYOUTS_H
