// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stores of what products left in registers: through shared memory, by copies
// of boxes of 64 x 64 elements. A warpgroup fills one buffer while the copy
// engine empties the other; positions outside of the tensor are not written.

#ifndef LATHE_LIB_TARGET_CUDA_HOPPERSTORE_H
#define LATHE_LIB_TARGET_CUDA_HOPPERSTORE_H

#include "lib/Target/CUDA/TileBoxes.h"

namespace lathe::cuda {

/// Rows and columns of a box, and its bytes.
constexpr int64_t kStoreLines = 64;
constexpr int64_t kStoreBytes = kStoreLines * kSwizzleBytes;

/// What a warpgroup stores with.
struct StoreGroup {
  mlir::Value thread;  ///< In the warpgroup.
  mlir::Value barrier; ///< The number of one of its own.
  mlir::Value buffers; ///< Its memory: `count` buffers of kStoreBytes, aligned
  int64_t count = 2;   ///< as swizzled boxes are.
  /// Whether there is a buffer for each box, free when the store begins: what
  /// `readBoxes` reads has come there.
  bool isInPlace = false;
};

/// What copies have brought to the group's buffers, boxes as `emitStore` writes
/// them, one for each of the sums that are stored. Loads that are done where
/// the values are used (DemandOrder.h), before a warp stores in their place.
llvm::SmallVector<mlir::Value> readBoxes(mlir::ImplicitLocOpBuilder &builder,
                                         const StoreGroup &group,
                                         mlir::Type element);

/// Stores f32 `sums`, rounded to the tensor's elements: blocks of 64 rows of
/// `columns`, each as a product leaves it. `start` has the coordinates of the
/// first element, the fastest first.
void emitStore(mlir::ImplicitLocOpBuilder &builder, const StoreGroup &group,
               const TileBoxes &boxes, mlir::Value map,
               llvm::ArrayRef<mlir::Value> start, mlir::ValueRange sums,
               int64_t columns);

/// Until all that the warpgroup stored is read from its buffers: before the
/// block ends, which whoever reads the results waits for.
void emitStoresDone(mlir::ImplicitLocOpBuilder &builder,
                    const StoreGroup &group);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_HOPPERSTORE_H
