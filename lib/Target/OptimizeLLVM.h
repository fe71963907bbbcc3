// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_LIB_TARGET_OPTIMIZELLVM_H
#define LATHE_LIB_TARGET_OPTIMIZELLVM_H

#include "llvm/Passes/PassBuilder.h"

namespace lathe {

/// LLVM's default pipeline of a level from 0 to 3 (more is 3), but for making
/// vectors: kernels are written in those of their target already. Nor does it
/// run passes named in `without`, by their classes' names.
void optimizeLLVM(llvm::Module &module, llvm::TargetMachine &machine,
                  llvm::PipelineTuningOptions tuning, unsigned level,
                  llvm::ArrayRef<llvm::StringRef> without = {});

} // namespace lathe

#endif // LATHE_LIB_TARGET_OPTIMIZELLVM_H
