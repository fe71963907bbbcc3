// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the threads of a GPU can do, as ops: memory, and how threads meet. A
// target's emitter of tiles makes these ops by a machine alone; products of
// matrix units are still its own. A machine is written in the LLVM dialect
// (LLVMMachine.h), or by other means, as where buffers are addresses and shared
// memory is an array.
//
// Pointers are whatever the machine makes of them: one of a buffer's, given by
// who creates the function, and one of shared memory, from `getShared`. Only
// the machine looks into them. Elements are of types that memory has
// (integers, floats of 16 bits and more).

#ifndef LATHE_LIB_TARGET_GPU_MACHINE_H
#define LATHE_LIB_TARGET_GPU_MACHINE_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace lathe::gpu {

/// One scalar for each register of a thread.
using Registers = llvm::SmallVector<mlir::Value>;

class Machine {
public:
  using Builder = mlir::ImplicitLocOpBuilder;

  /// Bits of a number of elements that is known.
  static constexpr unsigned kStepBits = 29;

  virtual ~Machine();

  //===-- Threads ---------------------------------------------------------===//

  /// Threads that exchange words without memory: a power of two.
  virtual int64_t getLanes() const = 0;
  /// The thread's number in its block, an i32.
  virtual mlir::Value getThread(Builder &b) const = 0;
  /// All threads of the block meet, and see what each has written before.
  virtual void meet(Builder &b) const = 0;
  /// So do `threads` threads of it, at the barrier of a number (i32).
  virtual void meet(Builder &b, mlir::Value barrier, int64_t threads) const = 0;
  /// The word (i32) of the lane whose number differs in the bits `lanes`.
  virtual mlir::Value shuffle(Builder &b, mlir::Value word,
                              int64_t lanes) const = 0;

  //===-- Memory ----------------------------------------------------------===//

  /// Where the block's shared memory begins.
  virtual mlir::Value getShared(Builder &b) const = 0;
  /// The pointer, or where it must not be read (`isRead`, an i1, is false)
  /// one of 16 zeros.
  virtual mlir::Value orZeros(Builder &b, mlir::Value isRead,
                              mlir::Value pointer) const = 0;
  /// `elements` elements on: an i64 for buffers, an i32 for shared memory.
  virtual mlir::Value advance(Builder &b, mlir::Value pointer,
                              mlir::Type element,
                              mlir::Value elements) const = 0;
  /// The same, of a number of `kStepBits` bits.
  virtual mlir::Value advance(Builder &b, mlir::Value pointer,
                              mlir::Type element, int64_t elements) const = 0;
  /// A buffer's pointer as an i64.
  virtual mlir::Value getNumber(Builder &b, mlir::Value pointer) const = 0;
  /// Elements in a row: a power of two of them, of 16 bytes at most, aligned to
  /// `alignment` bytes (their own size if it is zero).
  virtual Registers load(Builder &b, mlir::Value pointer, mlir::Type element,
                         int64_t count, int64_t alignment) const = 0;
  virtual void store(Builder &b, mlir::Value pointer, mlir::ValueRange elements,
                     int64_t alignment) const = 0;

  //===-- Copies ahead ----------------------------------------------------===//

  /// Starts a copy of 16 bytes of a buffer to shared memory, both aligned;
  /// zeros from `bytes` (an i32) on, where it is given.
  virtual void copy(Builder &b, mlir::Value to, mlir::Value from,
                    mlir::Value bytes) const = 0;
  /// What was started since the last group is one more.
  virtual void endGroup(Builder &b) const = 0;
  /// Waits until all of the thread's groups but the last `pending` are there.
  virtual void waitGroups(Builder &b, int64_t pending) const = 0;
};

} // namespace lathe::gpu

#endif // LATHE_LIB_TARGET_GPU_MACHINE_H
