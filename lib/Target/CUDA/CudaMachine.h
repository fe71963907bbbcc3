// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the threads of an NVIDIA GPU do together: `nvvm` ops.

#ifndef LATHE_LIB_TARGET_CUDA_CUDAMACHINE_H
#define LATHE_LIB_TARGET_CUDA_CUDAMACHINE_H

#include "lib/Target/Gpu/LLVMMachine.h"

namespace lathe::cuda {

class CudaMachine final : public gpu::LLVMMachine {
public:
  int64_t getLanes() const override;
  mlir::Value getThread(Builder &b) const override;
  void meet(Builder &b) const override;
  void meet(Builder &b, mlir::Value barrier, int64_t threads) const override;
  mlir::Value shuffle(Builder &b, mlir::Value word,
                      int64_t lanes) const override;
  void copy(Builder &b, mlir::Value to, mlir::Value from,
            mlir::Value bytes) const override;
  void endGroup(Builder &b) const override;
  void waitGroups(Builder &b, int64_t pending) const override;
};

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_CUDAMACHINE_H
