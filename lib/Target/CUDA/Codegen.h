// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the LLVM dialect to PTX, and from PTX to a cubin.

#ifndef LATHE_LIB_TARGET_CUDA_CODEGEN_H
#define LATHE_LIB_TARGET_CUDA_CODEGEN_H

#include "lib/Target/CUDA/Levels.h"
#include "lib/Target/CUDA/Toolkit.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

namespace lathe::cuda {

/// Translates, links with libdevice where it is called, optimizes and compiles
/// `module`, which holds only the LLVM and NVVM dialects, to PTX. Fails if
/// libdevice is called and the toolkit has none.
llvm::Expected<std::string> emitPTX(mlir::ModuleOp module, const Level &level,
                                    const Toolkit &toolkit,
                                    const TargetOptions &options);

/// Runs ptxas, which the toolkit must have, and gives the cubin. The error has
/// what ptxas printed.
llvm::Expected<llvm::SmallVector<char>> assemble(llvm::StringRef ptx,
                                                 const Level &level,
                                                 const Toolkit &toolkit,
                                                 const TargetOptions &options);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_CODEGEN_H
