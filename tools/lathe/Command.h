// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A subcommand of `lathe`, and the part of main() that the two programs behind
// that name share: `lathe` itself, which answers run, bench, inspect and verify
// without LLVM's code generators in the process, and `lathe-compile`, which it
// turns into for compile and check.

#ifndef LATHE_TOOLS_LATHE_COMMAND_H
#define LATHE_TOOLS_LATHE_COMMAND_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Error.h"

namespace lathe::tool {

/// The group that `--help` shows; everything else is LLVM's own.
extern llvm::cl::OptionCategory optionCategory;

/// One subcommand. Options are globals beside `run`, tied to `parser`.
struct Command {
  llvm::cl::SubCommand *parser;
  /// Shown after the options: commands to copy.
  const char *examples;
  /// Does the work. A UsageError ends the program with exit code 2, any other
  /// error with 1.
  llvm::Error (*run)();
};

/// Arguments that can't be meant: told apart from work that failed.
class UsageError : public llvm::ErrorInfo<UsageError> {
public:
  static char ID;
  explicit UsageError(std::string message) : message(std::move(message)) {}

  void log(llvm::raw_ostream &os) const override { os << message; }
  std::error_code convertToErrorCode() const override {
    return std::make_error_code(std::errc::invalid_argument);
  }

private:
  std::string message;
};

/// An error whose text is the message as the user will read it.
llvm::Error failure(const llvm::Twine &message);
llvm::Error usageError(const llvm::Twine &message);
/// The same about the file `path`, which is put in front unless `message`
/// begins with it.
llvm::Error fileError(llvm::StringRef path, llvm::StringRef message);
/// An error that was printed already, by another process: exit code `code`.
llvm::Error silentError(int code);

/// A usage error that names the arguments whose value is empty.
struct Argument {
  llvm::StringRef name, value;
};
llvm::Error requireArguments(llvm::ArrayRef<Argument> arguments);

/// Whether `path` may be written, which happens by putting a finished file in
/// its place: not if a device or folder is there, nor one of `inputs`, the
/// files that the command reads or also writes.
llvm::Error checkOutput(llvm::StringRef path,
                        llvm::ArrayRef<llvm::StringRef> inputs);

/// Parses the command line against `commands`, runs the one it names and
/// returns the exit code: 0 done, 1 the work failed, 2 wrong usage (an option
/// given twice and an empty argument too). Prints the errors. `overview`
/// introduces `lathe --help`.
int dispatch(int argc, char **argv, llvm::ArrayRef<Command> commands,
             llvm::StringRef overview);

/// Prints "lathe: error: ..." and returns 2.
int reportUsage(const llvm::Twine &message);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_COMMAND_H
