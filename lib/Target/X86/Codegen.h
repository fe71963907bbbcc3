// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the LLVM dialect to a shared object.

#ifndef LATHE_LIB_TARGET_X86_CODEGEN_H
#define LATHE_LIB_TARGET_X86_CODEGEN_H

#include "lib/Target/X86/Levels.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

namespace lathe::x86 {

/// Translates, optimizes and compiles `module`, which holds only the LLVM
/// dialect, to a relocatable ELF object.
llvm::Expected<llvm::SmallVector<char>>
emitObject(mlir::ModuleOp module, const Level &level,
           const TargetOptions &options);

/// Links a relocatable object to a shared one. It must need no symbol from
/// elsewhere, and the result holds no path, time or build id. Serialized
/// inside: lld keeps its state in globals.
llvm::Expected<llvm::SmallVector<char>> linkShared(llvm::ArrayRef<char> object);

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_CODEGEN_H
