// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where NVIDIA's assembler and math library are on this machine. Neither comes
// with Lathe; PyPI has both (tools/setup.sh).

#ifndef LATHE_LIB_TARGET_CUDA_TOOLKIT_H
#define LATHE_LIB_TARGET_CUDA_TOOLKIT_H

#include "llvm/ADT/ArrayRef.h"
#include <string>

namespace lathe::cuda {

struct Toolkit {
  /// The program ptxas; "" if there is none: PTX is then not checked before a
  /// driver sees it.
  std::string ptxas;
  /// libdevice.10.bc; "" if there is none: kernels that need it do not compile.
  std::string device;

  /// Looks for each in `folders` (toolkits: `bin/ptxas`, `nvvm/libdevice`),
  /// then where `getSearched` says.
  static Toolkit find(llvm::ArrayRef<std::string> folders);

  /// For messages: "looked in ...".
  static std::string getSearched();
};

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_TOOLKIT_H
