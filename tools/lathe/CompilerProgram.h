// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where `lathe` finds the program that compiles.

#ifndef LATHE_TOOLS_LATHE_COMPILERPROGRAM_H
#define LATHE_TOOLS_LATHE_COMPILERPROGRAM_H

#include <string>

namespace lathe::tool {

/// The path of `lathe-compile`, which belongs to this installation or build.
std::string getCompilerProgram();

/// Why it could not be started, for `error` as errno has it.
std::string describeMissingCompiler(const std::string &program, int error);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_COMPILERPROGRAM_H
