// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The program `lathe`. It holds the runtime and answers within milliseconds;
// compile and check need LLVM's code generators, whose shared libraries alone
// take longer to load than many models to run, so for these it becomes
// `lathe-compile`.

#include "tools/lathe/Commands.h"
#include "tools/lathe/CompilerProgram.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"
#include <cerrno>
#include <unistd.h>

using namespace llvm;
using namespace lathe::tool;

// Only their names and lines in `lathe --help` are used here.
static cl::SubCommand compileParser("compile", "Compile a model into a bundle");
static cl::SubCommand
    checkParser("check", "List what would not compile, without compiling");

static const char overview[] =
    R"(Lathe, an ahead-of-time compiler for neural networks

  lathe compile model.onnx -o model.lathe
  lathe run model.lathe --inputs in.npz --outputs out.npz
  lathe bench model.lathe --shape batch=1,seq=128

'lathe COMMAND --help' explains a command.
Exit codes: 0 done; 1 the input or the machine can't do it; 2 wrong usage: an
unknown option, or a value that its option does not allow.)";

/// Returns only if it fails.
static int becomeCompiler(char **argv) {
  std::string program = getCompilerProgram();
  // Crash reports find their symbols by it.
  argv[0] = program.data();
  execv(argv[0], argv);
  WithColor::error(errs(), "lathe")
      << describeMissingCompiler(program, errno) << '\n';
  return 1;
}

static int reportUnknown(StringRef name) {
  StringRef nearest;
  unsigned best = 3; // a distance that is still a slip
  for (cl::SubCommand *known : cl::getRegisteredSubcommands()) {
    unsigned distance = name.edit_distance(known->getName(), true, best);
    if (distance < best) {
      nearest = known->getName();
      best = distance;
    }
  }
  return reportUsage(
      "unknown command '" + name + "'" +
      (nearest.empty() ? "." : "; did you mean '" + nearest + "'?") +
      "\nSee 'lathe --help'.");
}

int main(int argc, char **argv) {
  // A reader that went away ends the program as it ends others: by SIGPIPE.
  InitLLVM init(argc, argv, /*InstallPipeSignalExitHandler=*/false);
  StringRef name = argc > 1 ? argv[1] : "";
  if (name == compileParser.getName() || name == checkParser.getName())
    return becomeCompiler(argv);

  const Command commands[] = {runCommand,    benchCommand, inspectCommand,
                              verifyCommand, tuneCommand,  devicesCommand};
  bool known = any_of(commands, [&](const Command &command) {
    return command.parser->getName() == name;
  });
  if (!known && !name.empty() && !name.starts_with("-"))
    return reportUnknown(name);
  return dispatch(argc, argv, commands, overview);
}
