// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A ring of stages in shared memory that copies fill and threads read, for as
// many turns as it takes: turn n uses stage n % `stages`. Each stage has a
// barrier that tells that it is full and one that it is empty. Turns are
// counted by whoever fills or reads, numbers of `i32`.

#ifndef LATHE_LIB_TARGET_CUDA_HOPPERRING_H
#define LATHE_LIB_TARGET_CUDA_HOPPERRING_H

#include "lib/Target/CUDA/Hopper.h"

namespace lathe::cuda {

class CopyRing {
public:
  /// Where a ring is in shared memory: bytes from its beginning.
  struct Place {
    int64_t stages = 0, stageBytes = 0;
    int64_t first = 0, barriers = 0; ///< The first stage, and its barriers.

    int64_t getBytes() const { return stages * stageBytes; }
    int64_t getBarrierBytes() const { return 2 * stages * kBarrierBytes; }
  };

  CopyRing() = default;
  CopyRing(mlir::ImplicitLocOpBuilder &builder, mlir::Value shared,
           const Place &place)
      : b(&builder), shared(shared), place(place) {}

  /// One thread initializes the barriers, for so many that free each stage.
  void init(int64_t readers) const;
  /// Bytes from the first stage to that of a turn.
  mlir::Value getOffset(mlir::Value turn) const;
  mlir::Value getAddress(mlir::Value turn) const;
  /// Waits until the turn's stage is empty, and promises copies of all of it,
  /// which tell the barrier that is returned.
  mlir::Value beginFill(mlir::Value turn) const;
  /// Waits until the turn's copies have come.
  void waitFull(mlir::Value turn) const;
  /// Says that this reader is done with the turn's stage.
  void free(mlir::Value turn) const;

private:
  RingPosition getPosition(mlir::Value turn) const;
  mlir::Value getBarrier(mlir::Value stage, bool isFull) const;

  mlir::ImplicitLocOpBuilder *b = nullptr;
  mlir::Value shared;
  Place place;
};

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_HOPPERRING_H
