// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The memory of a machine in the LLVM dialect. Pointers are `!llvm.ptr`, of
// global memory in address space 1 and of shared memory in space 3, as NVIDIA's
// and AMD's back ends number them. What threads do together a target adds.

#ifndef LATHE_LIB_TARGET_GPU_LLVMMACHINE_H
#define LATHE_LIB_TARGET_GPU_LLVMMACHINE_H

#include "lib/Target/Gpu/Machine.h"

namespace lathe::gpu {

/// The memory that the kernels of a module share: symbols that a pass makes.
struct ModuleSymbols {
  /// The program's shared memory, whose size the launch gives.
  static constexpr llvm::StringLiteral shared = "lathe_shared";
  /// Sixteen zeros in global memory, read instead of what is out of bounds.
  static constexpr llvm::StringLiteral zeros = "lathe_zeros";
};

class LLVMMachine : public Machine {
public:
  mlir::Value getShared(Builder &b) const override;
  mlir::Value orZeros(Builder &b, mlir::Value isRead,
                      mlir::Value pointer) const override;
  mlir::Value advance(Builder &b, mlir::Value pointer, mlir::Type element,
                      mlir::Value elements) const override;
  mlir::Value advance(Builder &b, mlir::Value pointer, mlir::Type element,
                      int64_t elements) const override;
  mlir::Value getNumber(Builder &b, mlir::Value pointer) const override;
  Registers load(Builder &b, mlir::Value pointer, mlir::Type element,
                 int64_t count, int64_t alignment) const override;
  void store(Builder &b, mlir::Value pointer, mlir::ValueRange elements,
             int64_t alignment) const override;
};

/// Scalars of one type as a vector, and one of them.
mlir::Value packVector(Machine::Builder &b, mlir::ValueRange scalars);
mlir::Value extractLane(Machine::Builder &b, mlir::Value vector, int64_t lane);

} // namespace lathe::gpu

#endif // LATHE_LIB_TARGET_GPU_LLVMMACHINE_H
