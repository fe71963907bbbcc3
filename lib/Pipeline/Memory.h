// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How much memory a run of a plan works in, beside inputs and weights.

#ifndef LATHE_LIB_PIPELINE_MEMORY_H
#define LATHE_LIB_PIPELINE_MEMORY_H

#include "dialects/Plan/IR/Plan.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace lathe {

struct MemoryEstimate {
  uint64_t bytes = 0; ///< Buffers alive at once at most, outputs included.
  /// The dims of the inputs that it holds for.
  std::vector<std::pair<std::string, int64_t>> sizes;
};

/// The estimate for the first program that callers see. Dims without a size
/// are 1 where they come first in every input (the batch), else 128; so are
/// sizes that only a run knows. The runtime packs buffers into one arena, which
/// takes little more than this. An unknown name is an error.
llvm::Expected<MemoryEstimate>
estimateMemory(mlir::ModuleOp plan,
               llvm::ArrayRef<std::pair<std::string, int64_t>> sizes);

} // namespace lathe

#endif // LATHE_LIB_PIPELINE_MEMORY_H
