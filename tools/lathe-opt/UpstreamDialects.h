// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The upstream dialects that our IR is written in, at any stage. They stand
// apart from lathe-opt.cpp because their headers take long to compile.

#ifndef LATHE_TOOLS_LATHE_OPT_UPSTREAMDIALECTS_H
#define LATHE_TOOLS_LATHE_OPT_UPSTREAMDIALECTS_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {
void registerUpstreamDialects(mlir::DialectRegistry &registry);
} // namespace lathe

#endif // LATHE_TOOLS_LATHE_OPT_UPSTREAMDIALECTS_H
