// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes that take tile kernels to the LLVM dialect of a GPU.
// `--cuda-to-llvm` is all of them in order.

#ifndef LATHE_LIB_TARGET_CUDA_PASSES_H
#define LATHE_LIB_TARGET_CUDA_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace lathe::cuda {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "lib/Target/CUDA/Passes.h.inc"

/// Adds the passes from `tile.kernel` to the LLVM dialect for the level.
void buildToLLVMPipeline(mlir::OpPassManager &manager, llvm::StringRef level);

/// Registers the passes (registerCUDAPasses is generated) and `cuda-to-llvm`.
void registerCUDAPipelines();

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_PASSES_H
