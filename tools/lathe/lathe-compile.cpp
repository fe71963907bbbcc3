// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The program behind `lathe compile` and `lathe check`: see lathe.cpp.

#include "tools/lathe/Commands.h"

#include "llvm/Support/InitLLVM.h"

using namespace lathe::tool;

static const char overview[] =
    "The part of Lathe that compiles; 'lathe compile' and 'lathe check' call "
    "it\n";

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  const Command commands[] = {compileCommand, checkCommand};
  return dispatch(argc, argv, commands, overview);
}
