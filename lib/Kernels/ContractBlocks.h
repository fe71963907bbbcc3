// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Contractions with a weight of which only blocks are stored (#graph.block):
// a column's neighbors read the same elements of the input, so the input lies
// transposed, rows in the lanes, and each value of a block is a scalar that
// meets a vector of rows (systems.md [5]).
//
//   transpose  one program turns 64 rows by 64 k of the input, or of its codes,
//              into [k][64 rows]
//   blocks     one program computes 64 columns of up to 64 rows: the lists of
//              sixteen strips one after the other, then the epilogue on
//              [columns, rows]

#ifndef LATHE_KERNELS_CONTRACTBLOCKS_H
#define LATHE_KERNELS_CONTRACTBLOCKS_H

#include "lib/Kernels/ContractAnalysis.h"
#include "lib/Kernels/KernelBuilder.h"

namespace lathe::kernels {

/// Whether the contraction is one with a weight of blocks, and multiplying
/// their lists takes less time than the dense weight would, by a model of this
/// machine. `remark` says so if it is the first and not the second.
bool usesBlocks(const Capability &capability, const Contraction &c,
                std::string &remark);

/// The schedules of the kernel for that many rows (nothing: not known), the
/// preferred one first: rows and columns of a program.
llvm::SmallVector<llvm::SmallVector<int64_t, 3>>
listBlockTiles(const Capability &capability, std::optional<int64_t> rows);

/// The input or its codes as (batch.., ceil(m / 64), k, 64).
Temporary getTransposedInput(const Contraction &c);

/// Adds the kernel that writes temporary `transposed`, from the codes if the
/// input is quantized. Fails with an error on the op.
llvm::LogicalResult buildTransposeKernel(LaunchBuilder &launch,
                                         const Contraction &c,
                                         unsigned transposed);

/// Completes the kernel for programs of `tile` rows and columns. Indices and
/// offsets of the lists are brought into range, whatever the bundle holds.
/// Fails with an error on the op.
llvm::LogicalResult buildBlocksKernel(LaunchBuilder &launch,
                                      const Contraction &c, unsigned transposed,
                                      llvm::ArrayRef<int64_t> tile,
                                      KernelBuilder &kernel);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_CONTRACTBLOCKS_H
