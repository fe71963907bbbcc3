// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Options that compile and check share, and what both do with messages.

#ifndef LATHE_TOOLS_LATHE_COMPILEARGUMENTS_H
#define LATHE_TOOLS_LATHE_COMPILEARGUMENTS_H

#include "lib/Pipeline/Compiler.h"
#include "tools/lathe/Console.h"

namespace lathe::tool {

/// Parses "x86[,cuda...][:OPTION=V...]": targets separated by commas, each with
/// options separated by colons. A name that is no target of Lathe is a usage
/// error; one that this build lacks is an error.
llvm::Expected<std::vector<TargetRequest>> parseTargets(llvm::StringRef text);

/// Parses "NAME=V" each; `option` names them in messages.
llvm::Expected<std::vector<std::pair<std::string, int64_t>>>
parseSizes(llvm::StringRef option, llvm::ArrayRef<std::string> texts);

/// Parses the values of --specialize: "NAME=V[,V...]" each.
llvm::Expected<std::vector<std::pair<std::string, int64_t>>>
parseSpecializations(llvm::ArrayRef<std::string> texts);

/// Shows progress and, with `verbose`, remarks as they come. Keeps all
/// messages, so that problems can be told at the end.
class MessageLog {
public:
  explicit MessageLog(bool verbose) : progress(verbose), verbose(verbose) {}

  /// Calls back into this object, which must outlive it.
  CompileListener listener();

  /// Takes the progress bar away and returns the warnings and errors there
  /// were, except for the text `known`, each after a line break: what follows
  /// the line that says what failed.
  std::string formatProblems(llvm::StringRef known = "");

  llvm::ArrayRef<Message> getMessages() const { return messages; }

private:
  void take(const Message &message);

  Progress progress;
  bool verbose;
  std::vector<Message> messages;
};

/// An error of lib/Pipeline, with `details` behind its text: a usage error if
/// it says that an option was wrong.
llvm::Error pipelineError(llvm::Error error, MessageLog &log);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_COMPILEARGUMENTS_H
