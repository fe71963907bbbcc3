// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_TOOLS_LATHE_REPORT_H
#define LATHE_TOOLS_LATHE_REPORT_H

#include "lib/Pipeline/Compiler.h"

namespace lathe::tool {

/// Writes a self-contained HTML page on a compilation: where its time went, the
/// bundle's sizes, kernels and weights, and every message. Whole or not at all.
llvm::Error writeReport(llvm::StringRef path, llvm::StringRef model,
                        llvm::StringRef bundle, const CompileReport &report,
                        llvm::ArrayRef<Message> messages);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_REPORT_H
