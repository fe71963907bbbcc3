// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Dims as the runtime prints them: "384", "seq", "(past + seq) floordiv 2".

#ifndef LATHE_TOOLS_LATHE_DIMTEXT_H
#define LATHE_TOOLS_LATHE_DIMTEXT_H

#include "llvm/ADT/StringRef.h"
#include <map>
#include <optional>
#include <string>

namespace lathe::tool {

/// The value of `text` with the symbols at `sizes`. Nothing if it overflows,
/// divides by zero or is no such text. Names that hold operators or spaces are
/// understood where they stand alone.
std::optional<int64_t> evaluateDim(llvm::StringRef text,
                                   const std::map<std::string, int64_t> &sizes);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_DIMTEXT_H
