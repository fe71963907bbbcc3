// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The loops of a kernel: dims merged where every buffer allows, and the dim
// along which vectors run.

#ifndef LATHE_KERNELS_ITERATIONSPACE_H
#define LATHE_KERNELS_ITERATIONSPACE_H

#include "lib/Kernels/KernelBuilder.h"

namespace lathe::kernels {

/// Merges neighbouring dims wherever every view in `views`, all over `dims`,
/// stays strided, and drops unit dims. `boundary` (a position in `dims`) keeps
/// what is before it apart from what is behind. At least one dim remains on
/// each side (of size 1 if need be); `boundary` becomes the new position.
///
///   [batch, seq, 384], all contiguous   ->  [batch * seq * 384]
///   the same with a bias over 384       ->  [batch * seq, 384]
graph::Dims collapseDims(llvm::ArrayRef<mlir::AffineExpr> dims,
                         llvm::ArrayRef<graph::StridedView> views,
                         std::optional<unsigned> *boundary = nullptr);

/// The dim of `[first, last)` along which most views are contiguous or
/// constant; short dims and those further out are worse. Stored views should
/// be given first: the first view counts double.
unsigned chooseLaneDim(llvm::ArrayRef<graph::StridedView> views, unsigned first,
                       unsigned last);

/// Applies a reshape to `to` to every view; all must fold.
void reshapeAll(llvm::MutableArrayRef<graph::StridedView> views,
                llvm::ArrayRef<mlir::AffineExpr> to);

/// `size` rounded up to whole multiples of `step`, over `step`.
mlir::AffineExpr ceilDivide(mlir::AffineExpr size, int64_t step);

/// Whether `size` is a multiple of `step` for all symbols.
bool isMultipleOf(mlir::AffineExpr size, int64_t step);

/// The value of a constant size.
std::optional<int64_t> getConstantSize(mlir::AffineExpr size);

/// A power of two of elements to work on at once along a dim of `size`:
/// `unroll` vectors of `bits`-bit elements, or what the dim has.
int64_t chooseTileSize(const Capability &capability, unsigned bits,
                       int64_t unroll, mlir::AffineExpr size);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_ITERATIONSPACE_H
