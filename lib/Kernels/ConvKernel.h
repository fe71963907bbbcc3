// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernels of convolution and pooling. Channels run along the lanes and
// consecutive pixels of an output row along the rows of a tile; the input is
// read where it lies, or from a copy with its padding written out, so that no
// window ever tests a border.

#ifndef LATHE_KERNELS_CONVKERNEL_H
#define LATHE_KERNELS_CONVKERNEL_H

#include "lib/Kernels/ConvAnalysis.h"
#include "lib/Kernels/KernelBuilder.h"
#include "lib/Kernels/Winograd.h"

namespace lathe::kernels {

/// Pixels and channels of the tile of one program.
struct ConvSchedule {
  int64_t pixels = 1, channels = 1;
  /// Programs run through all channels before they move on to other pixels, so
  /// that memory is read in order; else through all pixels, so that the
  /// weights of some channels stay in a cache.
  bool channelsInner = false;
  /// Elements of the windows, along their innermost dim, of one product. More
  /// than one on GPUs.
  int64_t depth = 1;
};

/// Pixels of a row of the output, and channels of `channels`, whose
/// accumulators `capability` can hold in registers while it sums `steps`
/// products; the preferred schedule first.
llvm::SmallVector<ConvSchedule, 3>
listConvSchedules(const Capability &capability, const Windows &windows,
                  mlir::AffineExpr channels, std::optional<int64_t> steps,
                  bool channelsInner);

/// The same for a convolution on a GPU.
llvm::SmallVector<ConvSchedule, 3>
listGpuConvSchedules(const Capability &capability, const Convolution &conv);

/// A copy of the input with `outside` around it, and its view over (batch,
/// span.., channels).
Temporary getPaddedInput(const Windows &windows);
graph::StridedView getPaddedView(const Windows &windows);
void buildPadKernel(LaunchBuilder &launch, const Windows &windows,
                    double outside);

/// The launches of a convolution or a pool: the padded copy, if the kernel
/// needs one, and a kernel for each schedule that is to be built.
llvm::FailureOr<LoweredGroup> lowerWindows(
    graph::GroupOp group, LoweringContext &context, const Windows &windows,
    llvm::StringRef strategy, llvm::StringRef name, mlir::AffineExpr flops,
    double outside, llvm::ArrayRef<ConvSchedule> schedules,
    llvm::function_ref<llvm::LogicalResult(LaunchBuilder &launch,
                                           const ConvSchedule &schedule,
                                           KernelBuilder &kernel)>
        build);

/// The input over (batch, output.., kernel.., channels), and its buffer: the
/// operand, or temporary 0 if there is a padded copy.
std::pair<mlir::BlockArgument, graph::StridedView>
getWindowInput(KernelBuilder &kernel, LaunchBuilder &launch,
               const Windows &windows);

/// Where a program stands: indices of a window over (batch, output..,
/// channels), pixels along the last output dim.
struct ConvPosition {
  llvm::SmallVector<mlir::Value> outer; ///< Batch and all output dims but one.
  mlir::Value pixel, channel;

  /// The window over (batch, output.., channels).
  TileWindow getOutputWindow(const ConvSchedule &schedule, bool pixelsInBounds,
                             bool channelsInBounds) const;
};

/// The position of this program in the grid that `setConvGrid` sets.
ConvPosition findConvPosition(KernelBuilder &kernel, const Windows &windows,
                              const ConvSchedule &schedule);
void setConvGrid(KernelBuilder &kernel, const Windows &windows,
                 mlir::AffineExpr channels, const ConvSchedule &schedule,
                 int64_t groups);

/// Calls `body` for every index below `sizes`, as nested loops.
mlir::Value forEachIndex(
    KernelBuilder &kernel, llvm::ArrayRef<mlir::AffineExpr> sizes,
    mlir::Value carried,
    llvm::function_ref<mlir::Value(llvm::ArrayRef<mlir::Value>, mlir::Value)>
        body);

/// A tile of a kernel whose lanes are channels.
struct LaneTile {
  ConvPosition position;
  bool pixelsInBounds; ///< Of the result.
  bool readsInside;    ///< Along the row, no window leaves what it reads.
};

/// Calls `body` for every kind of tile of a row: those at its ends, each in a
/// branch of its own and at a constant pixel, and all others.
void forEachKindOfTile(KernelBuilder &kernel, const Windows &windows,
                       const ConvSchedule &schedule,
                       llvm::function_ref<void(const LaneTile &)> body);

/// Gets a position in the kernel, the elements of all windows of a tile there
/// and what has been computed so far; returns what comes next.
using WindowStep = llvm::function_ref<mlir::Value(
    llvm::ArrayRef<mlir::Value> at, mlir::Value x, mlir::Value carried)>;

/// Calls `step` for every element of the windows of `tile`, from `init` on.
/// Elements outside of the input are left out or are `outside`.
mlir::Value reduceWindows(KernelBuilder &kernel, LaunchBuilder &launch,
                          const Windows &windows, const ConvSchedule &schedule,
                          const LaneTile &tile, double outside,
                          mlir::Value init, WindowStep step);

/// Whether tiles of `size` always end inside `dim`.
bool dividesSize(int64_t size, mlir::AffineExpr dim);

/// The rest of the group from the root's tile on. `window` is over the space
/// that `rootAccess` and `yieldAccesses` lead to.
llvm::LogicalResult
buildConvEpilogue(KernelBuilder &kernel, LaunchBuilder &launch,
                  mlir::Operation *root, mlir::Value tile,
                  const TileWindow &window, const graph::Access &rootAccess,
                  llvm::ArrayRef<graph::Access> yieldAccesses);

llvm::LogicalResult buildConvKernel(LaunchBuilder &launch,
                                    const Convolution &conv,
                                    const ConvSchedule &schedule,
                                    KernelBuilder &kernel);
llvm::LogicalResult buildDepthwiseKernel(LaunchBuilder &launch,
                                         const Convolution &conv,
                                         const ConvSchedule &schedule,
                                         KernelBuilder &kernel);

/// The tile by which Winograd's filtering is expected to beat a kernel that
/// adds up all products, if there is one.
std::optional<Winograd> chooseWinograd(const Capability &capability,
                                       const Convolution &conv);
llvm::FailureOr<LoweredGroup> lowerWinograd(graph::GroupOp group,
                                            LoweringContext &context,
                                            const Convolution &conv,
                                            const Winograd &winograd,
                                            llvm::StringRef name);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_CONVKERNEL_H
