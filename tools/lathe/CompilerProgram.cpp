// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/CompilerProgram.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <cstring>

using namespace llvm;

namespace lathe::tool {

std::string getCompilerProgram() {
  static int anchor;
  std::string self = sys::fs::getMainExecutable(nullptr, &anchor);
  SmallString<128> program(sys::path::parent_path(self));
  sys::path::append(program, LATHE_LIBEXEC, "lathe-compile");
  sys::path::remove_dots(program, /*remove_dot_dot=*/true);
  return program.str().str();
}

std::string describeMissingCompiler(const std::string &program, int error) {
  return program + ": " + std::strerror(error) +
         "; 'lathe compile', 'lathe check' and 'lathe tune' need this program, "
         "which this installation lacks";
}

} // namespace lathe::tool
