// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_TOOLS_LATHE_SESSIONARGUMENTS_H
#define LATHE_TOOLS_LATHE_SESSIONARGUMENTS_H

#include "tools/lathe/Command.h"
#include "tools/lathe/Session.h"

namespace lathe::tool {

/// The arguments that every subcommand that runs a bundle takes: BUNDLE,
/// --device, --level, --threads, --entry, --guard. A static object beside the
/// subcommand.
class SessionArguments {
public:
  explicit SessionArguments(llvm::cl::SubCommand &parser,
                            llvm::StringRef positional = "BUNDLE");

  const std::string &getBundle() const { return bundle; }
  llvm::Expected<SessionOptions> getOptions() const;

private:
  llvm::cl::opt<std::string> bundle, device, entry, level;
  llvm::cl::opt<unsigned> threads;
  llvm::cl::opt<bool> guard;
};

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_SESSIONARGUMENTS_H
