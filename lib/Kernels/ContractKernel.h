// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernels of the contract strategy:
//
//   tile      one program computes [rows, columns] of the result: the whole k
//             in one loop per branch, then the epilogue on the accumulator
//   quantize  one program turns one row of the input into u8 codes and, per
//             group of k, the scale and the offset that decode them
//   panels    one program writes one panel of a weight that is no constant

#ifndef LATHE_KERNELS_CONTRACTKERNEL_H
#define LATHE_KERNELS_CONTRACTKERNEL_H

#include "lib/Kernels/ContractAnalysis.h"
#include "lib/Kernels/KernelBuilder.h"

namespace lathe::kernels {

/// The schedule of one tile kernel.
struct ContractSchedule {
  int64_t rows = 1, columns = 1;
  /// Steps of k that one product takes, where operands are not decoded.
  int64_t depth = 1;
  /// Of a program with threads: warps, and steps of k on their way at once.
  int64_t warps = 4, stages = 1;
  /// Programs of neighbouring rows that share what they load of the weight; of
  /// few rows, programs of neighbouring columns that share k.
  int64_t cluster = 1;
  /// Row tiles that programs run through before they move on to the next
  /// columns, so that these rows stay in the second-level cache; 0: all rows.
  int64_t groupTiles = 0;
  /// It is one of few rows (FlatTile.h).
  bool isFlat = false;

  bool operator==(const ContractSchedule &other) const {
    return std::tie(rows, columns, depth, warps, stages, cluster, groupTiles,
                    isFlat) == std::tie(other.rows, other.columns, other.depth,
                                        other.warps, other.stages,
                                        other.cluster, other.groupTiles,
                                        other.isFlat);
  }
  tile::ScheduleAttr getAttr(mlir::MLIRContext *context) const;
};

/// Temporaries of a quantized input, by index.
/// Of symmetric codes, sums instead of offsets.
enum ContractTemporary : unsigned {
  kInputCodes,
  kInputScales,
  kInputOffsets,
  kInputSums = kInputOffsets
};

/// 8-bit codes over (batch.., m, k rounded up to what the weights' dot products
/// take), f32 scales and offsets over (batch.., m, groups of k), x = offset +
/// scale * code; or, of symmetric codes, x = scale * code, and the sums of the
/// decoded groups.
llvm::SmallVector<Temporary> getQuantizedInput(const Contraction &c);

/// Adds the tile kernel to `launch`. Fails with an error on the op.
llvm::LogicalResult buildContractKernel(LaunchBuilder &launch,
                                        const Contraction &c,
                                        const ContractSchedule &schedule,
                                        KernelBuilder &kernel);

/// The ops that follow the root, on `total`, its sums in `window` over
/// (batch.., m, n), and the stores. Fails with an error on the op.
llvm::LogicalResult buildContractEpilogue(LaunchBuilder &launch,
                                          const Contraction &c,
                                          KernelBuilder &kernel,
                                          const TileWindow &window,
                                          mlir::Value total);

/// A weight that is no constant in panels: (batch.., panels, k, columns).
Temporary getPanels(const Contraction &c, const ContractBranch &branch);

/// Adds the kernel that writes the temporary `branch.panels`.
llvm::LogicalResult buildPanelsKernel(LaunchBuilder &launch,
                                      const Contraction &c,
                                      const ContractBranch &branch);

/// Adds the quantize kernel to `launch`.
llvm::LogicalResult buildQuantizeKernel(LaunchBuilder &launch,
                                        const Contraction &c);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_CONTRACTKERNEL_H
