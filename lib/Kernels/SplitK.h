// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products whose k is split among programs, where rows and columns are too few
// to give every processor one. Each program stores sums of its part to a
// temporary (parts, rows, columns); a second launch adds the parts up, always
// in the same order, and does what follows the product.

#ifndef LATHE_KERNELS_SPLITK_H
#define LATHE_KERNELS_SPLITK_H

#include "lib/Kernels/KernelBuilder.h"

namespace lathe::kernels {

class SplitK {
public:
  /// `temporary`: the number of the temporary that `getSums` is.
  SplitK(mlir::AffineExpr rows, mlir::AffineExpr columns, int64_t parts,
         unsigned temporary)
      : rows(rows), columns(columns), parts(parts), temporary(temporary) {}

  int64_t getParts() const { return parts; }

  /// Of f32.
  Temporary getSums() const;

  /// The first k of `part`, and one past its last, of `steps` steps of `depth`.
  std::pair<mlir::Value, mlir::Value> getRange(KernelBuilder &kernel,
                                               mlir::Value part, int64_t steps,
                                               int64_t depth) const;
  /// Stores a tile of sums, in `window` over (rows, columns).
  void store(KernelBuilder &kernel, mlir::Value tile, mlir::Value part,
             const TileWindow &window) const;

  /// Adds a kernel that adds the parts up, tile by tile, and has `finish` do
  /// the rest: it gets the sums and their window over (rows, columns).
  llvm::LogicalResult addKernel(
      LaunchBuilder &launch, llvm::StringRef strategy,
      llvm::function_ref<llvm::LogicalResult(
          KernelBuilder &kernel, mlir::Value sums, const TileWindow &window)>
          finish) const;

private:
  graph::StridedView getView() const;

  mlir::AffineExpr rows, columns;
  int64_t parts;
  unsigned temporary;
};

} // namespace lathe::kernels

#endif // LATHE_KERNELS_SPLITK_H
