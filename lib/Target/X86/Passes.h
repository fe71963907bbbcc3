// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes that take tile kernels to the LLVM dialect. `--x86-to-llvm` is
// all of them in order.

#ifndef LATHE_LIB_TARGET_X86_PASSES_H
#define LATHE_LIB_TARGET_X86_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace lathe::x86 {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "lib/Target/X86/Passes.h.inc"

/// Adds the passes from `tile.kernel` to the LLVM dialect for the level.
void buildToLLVMPipeline(mlir::OpPassManager &manager, llvm::StringRef level);

/// Registers the passes (registerX86Passes is generated) and `x86-to-llvm`.
void registerX86Pipelines();

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_PASSES_H
