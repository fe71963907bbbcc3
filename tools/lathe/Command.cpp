// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Command.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace lathe::tool {

cl::OptionCategory optionCategory("Options");

char UsageError::ID = 0;

Error failure(const Twine &message) {
  return createStringError(inconvertibleErrorCode(), message);
}

Error usageError(const Twine &message) {
  return make_error<UsageError>(message.str());
}

int reportUsage(const Twine &message) {
  WithColor::error(errs(), "lathe") << message << '\n';
  return 2;
}

Error requireArguments(ArrayRef<Argument> arguments) {
  std::string missing;
  for (const Argument &argument : arguments)
    if (argument.value.empty())
      missing += ((missing.empty() ? "" : ", ") + argument.name).str();
  if (missing.empty())
    return Error::success();
  return usageError("missing " + missing);
}

Error checkOutput(StringRef path, ArrayRef<StringRef> inputs) {
  if (sys::fs::exists(path) && !sys::fs::is_regular_file(path))
    return failure(path +
                   ": exists and is no regular file; nothing is written");
  for (StringRef input : inputs)
    if (path == input || sys::fs::equivalent(path, input))
      return failure(path + ": is " +
                     (sys::fs::exists(path) ? "read" : "written") +
                     " by this command, too; nothing is written");
  return Error::success();
}

static void printVersion(raw_ostream &os) {
  os << "lathe " << LATHE_VERSION << '\n';
}

/// LLVM's parser says "lathe: Unknown command line argument '--x'.  Try:
/// 'build/bin/lathe --help'"; the pointer to help should name the subcommand.
static int reportParseErrors(StringRef text, StringRef subcommand) {
  SmallVector<StringRef> lines;
  text.split(lines, '\n', -1, /*KeepEmpty=*/false);
  // After a first problem it stumbles over others that aren't there.
  for (auto [index, line] : enumerate(lines)) {
    line.consume_front("lathe: ");
    line = line.split("  Try: ").first.rtrim();
    if (index == 0)
      WithColor::error(errs(), "lathe") << line << '\n';
    else if (line.starts_with("Did you mean"))
      errs() << line << '\n';
    else
      break;
  }
  errs() << "See 'lathe " << subcommand << (subcommand.empty() ? "" : " ")
         << "--help'.\n";
  return 2;
}

static const Command *findCommand(ArrayRef<Command> commands, StringRef name) {
  const auto *found = find_if(commands, [&](const Command &command) {
    return command.parser->getName() == name;
  });
  return found == commands.end() ? nullptr : found;
}

static int reportError(Error error, StringRef command) {
  int code = error.isA<UsageError>() ? 2 : 1;
  // Only the first line carries the prefix: details may follow it.
  handleAllErrors(std::move(error), [](const ErrorInfoBase &info) {
    WithColor::error(errs(), "lathe") << info.message() << '\n';
  });
  if (code == 2)
    errs() << "See 'lathe " << command << " --help'.\n";
  return code;
}

int dispatch(int argc, char **argv, ArrayRef<Command> commands,
             StringRef overview) {
  StringRef name = argc > 1 ? argv[1] : "";
  const Command *command = findCommand(commands, name);

  cl::SetVersionPrinter(printVersion);
  std::optional<cl::extrahelp> examples;
  if (command) {
    examples.emplace(command->examples);
    cl::HideUnrelatedOptions(optionCategory, *command->parser);
    overview = "";
  }
  std::string problems;
  raw_string_ostream stream(problems);
  // The name that help and errors show, however the program was started.
  SmallVector<const char *> arguments(argv, argv + argc);
  arguments[0] = "lathe";
  if (!cl::ParseCommandLineOptions(argc, arguments.data(), overview, &stream))
    return reportParseErrors(problems, command ? name : "");
  if (!command)
    return reportUsage("no command. See 'lathe --help'.");

  if (Error error = command->run())
    return reportError(std::move(error), name);
  outs().flush();
  if (outs().has_error()) {
    std::string reason = outs().error().message();
    outs().clear_error();
    return reportError(failure("standard output: " + reason), name);
  }
  return 0;
}

} // namespace lathe::tool
