// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the convolution and pooling strategies know about a group: windows that
// move over the spatial dims of (batch, spatial.., channels), whichever order
// the model's tensors have.

#ifndef LATHE_KERNELS_CONVANALYSIS_H
#define LATHE_KERNELS_CONVANALYSIS_H

#include "lib/Kernels/ContractAnalysis.h"

namespace lathe::kernels {

/// Windows over the spatial dims of an input.
struct Windows {
  mlir::Operation *root = nullptr;
  mlir::AffineExpr batch, channels;
  graph::Dims input, output; ///< Spatial sizes.
  /// One per spatial dim; `low` is the padding before the first element.
  llvm::SmallVector<int64_t, 3> kernel, strides, dilations, low;

  /// The group argument that the root reads, widened if its type is narrower,
  /// and the way from there to (batch, input.., channels).
  mlir::BlockArgument argument;
  graph::Access inputAccess;
  /// From the root's result, and from each result of the group, to (batch,
  /// output.., channels of the result).
  graph::Access resultAccess;
  llvm::SmallVector<graph::Access, 1> yieldAccesses;
  /// Whether a padded copy of the input has its channels before the spatial
  /// dims, as the input does.
  bool copiesChannelsFirst = false;
  /// Whether the kernel minds the borders itself.
  bool readsBorders = false;

  unsigned getRank() const { return kernel.size(); }
  /// What the windows span: the sizes of a padded copy of the input.
  graph::Dims getSpan() const;
  /// Whether windows reach outside the input.
  bool reachesOutside() const;
  /// Whether the kernel reads a padded copy of the input.
  bool needsCopy() const { return !readsBorders && reachesOutside(); }
  /// For kernels whose lanes are channels: they mind the borders of rows of a
  /// few pixels, which they unroll.
  void setLanes() { readsBorders = kernel.back() <= 8; }
  graph::Dims getKernelDims() const;
  /// (batch, spatial.., channels).
  graph::Dims getSpace(llvm::ArrayRef<mlir::AffineExpr> spatial,
                       mlir::AffineExpr channels) const;
  /// The input over (batch, input.., channels); its element 0 is the
  /// argument's.
  graph::StridedView getInputView(graph::DimsOf dimsOf) const;
  /// `input`, over (batch, span.., channels), seen over (batch, output..,
  /// kernel.., channels).
  graph::StridedView getWindowView(const graph::StridedView &input) const;
};

/// Fills in `windows` for a root whose result has `resultChannels`; the fields
/// up to `low` are set. False, with the reason, if no kernel computes it.
bool analyzeWindows(graph::GroupOp group, Windows &windows, bool channelsLast,
                    mlir::AffineExpr resultChannels, graph::DimsOf dimsOf,
                    std::string &reason);

/// A convolution.
struct Convolution {
  Windows windows;
  int64_t groups = 1;
  mlir::AffineExpr outputs; ///< Channels of the result.
  mlir::Value weight;
  /// From the weight to (kernel.., channels / groups, outputs).
  graph::Access weightAccess;
  /// Set if the weight is a constant that a packing re-lays: the group operand,
  /// and which of its dims are kernel.., channels / groups, outputs.
  std::optional<unsigned> packedOperand;
  llvm::SmallVector<int64_t, 5> weightDims;
  /// One input and one output channel per group.
  bool isDepthwise = false;

  /// The packed weight, stored as `packing` says.
  BufferRef getPackedWeight(graph::GroupOp group, Packing packing) const;
  /// Its type there: narrower than the weight's if that has an encoding.
  mlir::Type getStoredElement(graph::GroupOp group) const;

  mlir::AffineExpr getGroupChannels() const;
  mlir::AffineExpr getGroupOutputs() const;
  /// Products that are summed for an element of the result, if known.
  std::optional<int64_t> getSteps() const;
  mlir::AffineExpr getFlops() const;
};

std::optional<Convolution> analyzeConvolution(graph::GroupOp group,
                                              graph::DimsOf dimsOf,
                                              std::string &reason);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_CONVANALYSIS_H
