// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Convolutions as one product on a GPU's matrix unit:
//
//   y[m, n] = sum_k x[pixel(m, tap(k)), channel(k)] * w[n, k]
//
// Rows are the result's pixels, of all images and all spatial dims in one; k
// runs through the channels of one place of the kernel (a tap) after the other.
// The input is read where it lies, as a matrix of pixels by channels, of which
// each tap gathers rows; a pixel outside of its image is a row beyond the
// matrix, which reads as zeros. Nothing is copied or padded beforehand.
//
// An input of a few channels (the first layer's) is copied once, with zeros
// around it and up to a whole number of accesses. A row of a window then lies
// in one piece, and is a tap.
//
// Where rows and columns leave most processors without a program, k is split:
// programs store sums of a part of it, and a second launch adds them up, in
// order, and does what follows.

#ifndef LATHE_KERNELS_CONVPRODUCT_H
#define LATHE_KERNELS_CONVPRODUCT_H

#include "lib/Kernels/ConvAnalysis.h"
#include "lib/Kernels/Strategy.h"

namespace lathe::kernels {

/// A convolution of this form.
struct ConvProduct {
  /// Result pixels of all images; channels of the result.
  mlir::AffineExpr rows, columns;
  /// (pixels, channels) of what is read: the input, or its copy.
  graph::StridedView pixels;
  /// Whether that is a copy, over (batch, span.., channels), and the channels
  /// that it has.
  bool isCopied = false;
  int64_t copiedChannels = 0;
  /// Sizes of the spatial dims of an image there, and steps along them from a
  /// pixel of the result to the next one, and from a tap to the next one.
  graph::Dims image;
  llvm::SmallVector<int64_t, 3> taps, strides, dilations, low;
  /// Whether taps may be outside of an image.
  bool reachesOutside = false;
  /// Elements of one tap, in the input and as the weight stores them.
  int64_t channels = 0, storedChannels = 0;
  /// From the root's result, and from each of the group's, to (rows, columns).
  graph::Access resultAccess;
  llvm::SmallVector<graph::Access, 1> yieldAccesses;

  int64_t countTaps() const;
};

/// Pixels are numbered by 31 bits: that there are fewer is checked where sizes
/// are constants, and up to the caller of the model where they are symbols.
/// Nothing if the device has no such unit, or the convolution has groups, other
/// elements than f16 or bf16, a weight that is no constant, or is not laid out
/// so that pixels of all images are rows (channels last).
std::optional<ConvProduct> analyzeConvProduct(graph::GroupOp group,
                                              const LoweringContext &context,
                                              const Convolution &conv);

/// One launch; before it the copy, after it the sum of the parts of k. Fails
/// with an error on the op.
llvm::FailureOr<LoweredGroup> lowerConvProduct(graph::GroupOp group,
                                               LoweringContext &context,
                                               const Convolution &conv,
                                               const ConvProduct &product,
                                               llvm::StringRef name);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_CONVPRODUCT_H
