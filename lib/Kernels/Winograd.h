// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Winograd's minimal filtering F(m x m, 3 x 3) for convolutions of stride 1
// (Lavin and Gray, arXiv 1509.09308): an output tile of m x m pixels is
//
//   Y = A^T [(G g G^T) . (B^T d B)] A
//
// with (m + 2)^2 products for m^2 outputs of a filter g instead of 9 m^2. The
// three transforms evaluate polynomials at 0, at pairs of points +-p and at
// infinity. Small tiles and points close to 1 keep the error low (Barabasz et
// al., arXiv 1803.10986): beside f64, the largest error of a convolution of 64
// to 512 channels is 2 to 5e-7 of the largest output for m = 2 and 1.2 to 2e-6
// for m = 4, that of the plain sum 1.5 to 4e-7; {1, 2}, the usual points of m =
// 4, give 5e-6 to 1.2e-5.

#ifndef LATHE_KERNELS_WINOGRAD_H
#define LATHE_KERNELS_WINOGRAD_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace lathe::kernels {

/// One size of tile: the transforms of its operands, which the weights' packing
/// and the kernels must agree on.
class Winograd {
public:
  static constexpr int64_t kFilter = 3;

  /// `outputs` is m: 2 or 4.
  explicit Winograd(int64_t outputs);

  int64_t getOutputs() const { return 2 * squares.size(); }
  /// Along one dim: of the input read, and of every operand of the product.
  int64_t getSamples() const { return getOutputs() + kFilter - 1; }

  /// G g, for three elements of a filter.
  llvm::SmallVector<double> transformFilter(llvm::ArrayRef<double> g) const;

  /// B^T d, of tiles of floats of one type.
  llvm::SmallVector<mlir::Value> transformInput(mlir::ImplicitLocOpBuilder &b,
                                                mlir::ValueRange d) const;

  /// A^T s, of the products.
  llvm::SmallVector<mlir::Value> transformOutput(mlir::ImplicitLocOpBuilder &b,
                                                 mlir::ValueRange s) const;

private:
  /// The product of (x - square) over all squares but one, and all of them.
  llvm::SmallVector<double> getPolynomial(size_t except) const;
  llvm::SmallVector<double> getPolynomial() const {
    return getPolynomial(squares.size());
  }

  llvm::SmallVector<double, 2> points;  ///< The positive one of each pair.
  llvm::SmallVector<double, 2> squares; ///< Of `points`.
};

} // namespace lathe::kernels

#endif // LATHE_KERNELS_WINOGRAD_H
