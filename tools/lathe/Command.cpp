// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Command.h"
#include "tools/lathe/Console.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
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

Error fileError(StringRef path, StringRef message) {
  if (message.starts_with(path))
    return failure(message);
  return failure(path + ": " + message);
}

namespace {
class SilentError : public ErrorInfo<SilentError> {
public:
  static char ID;
  explicit SilentError(int code) : code(code) {}
  void log(raw_ostream &) const override {}
  std::error_code convertToErrorCode() const override {
    return inconvertibleErrorCode();
  }
  int code;
};
} // namespace

char SilentError::ID = 0;

Error silentError(int code) { return make_error<SilentError>(code); }

static void printError(StringRef message) {
  WithColor::error(errs(), "lathe")
      << escapeControls(message, /*keepLines=*/true) << '\n';
}

int reportUsage(const Twine &message) {
  printError(message.str());
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

/// Also of files that are not there yet: one name in one folder.
static bool isSameFile(StringRef a, StringRef b) {
  if (sys::fs::equivalent(a, b))
    return true;
  auto folder = [](StringRef name) {
    StringRef parent = sys::path::parent_path(name);
    return parent.empty() ? StringRef(".") : parent;
  };
  return sys::path::filename(a) == sys::path::filename(b) &&
         sys::fs::equivalent(folder(a), folder(b));
}

Error checkOutput(StringRef path, ArrayRef<StringRef> inputs) {
  if (sys::fs::exists(path) && !sys::fs::is_regular_file(path))
    return failure(path +
                   ": exists and is no regular file; nothing is written");
  StringRef folder = sys::path::parent_path(path);
  if (!folder.empty() && !sys::fs::is_directory(folder))
    return failure(path + ": there is no folder '" + folder +
                   "'; nothing is written");
  for (StringRef input : inputs)
    if (!input.empty() && isSameFile(path, input))
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
      printError(line);
    else if (line.starts_with("Did you mean"))
      errs() << escapeControls(line) << '\n';
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
  bool isSilent = false;
  // Only the first line carries the prefix: details may follow it.
  handleAllErrors(
      std::move(error),
      [&](const SilentError &silent) {
        code = silent.code;
        isSilent = true;
      },
      [](const ErrorInfoBase &info) { printError(info.message()); });
  if (code == 2 && !isSilent)
    errs() << "See 'lathe " << command << " --help'.\n";
  return code;
}

/// What an empty variable of a script leaves behind, or a slip; LLVM's parser
/// takes both.
static Error checkOccurrences(ArrayRef<const char *> arguments,
                              cl::SubCommand &parser) {
  for (auto [i, argument] : enumerate(arguments))
    if (StringRef(argument).empty() || (StringRef(argument).starts_with("-") &&
                                        StringRef(argument).ends_with("=")))
      return usageError("argument " + Twine(i) + " is empty" +
                        (*argument ? " behind '" + Twine(argument) + "'" : ""));
  for (const auto &[name, option] : cl::getRegisteredOptions(parser))
    if (option->getNumOccurrences() > 1 &&
        option->getNumOccurrencesFlag() == cl::Optional)
      return usageError(Twine(name.size() == 1 ? "-" : "--") + name +
                        " is given twice");
  return Error::success();
}

static Error flushOutput() {
  outs().flush();
  if (!outs().has_error())
    return Error::success();
  std::string reason = outs().error().message();
  outs().clear_error();
  return failure("standard output: " + reason);
}

/// Help, by LLVM's parser, but for the end: that would not notice a full disk.
static Error printHelp(const Command *command, StringRef overview) {
  const char *arguments[] = {
      "lathe", command ? command->parser->getName().data() : nullptr};
  std::string ignored;
  raw_string_ostream stream(ignored);
  (void)cl::ParseCommandLineOptions(command ? 2 : 1, arguments, overview,
                                    &stream);
  // Parsing forgets what was to follow the options.
  std::optional<cl::extrahelp> examples;
  if (command)
    examples.emplace(command->examples);
  cl::PrintHelpMessage();
  return flushOutput();
}

int dispatch(int argc, char **argv, ArrayRef<Command> commands,
             StringRef overview) {
  StringRef name = argc > 1 ? argv[1] : "";
  const Command *command = findCommand(commands, name);

  cl::SetVersionPrinter(printVersion);
  if (command) {
    cl::HideUnrelatedOptions(optionCategory, *command->parser);
    overview = "";
  }
  std::string problems;
  raw_string_ostream stream(problems);
  // The name that help and errors show, however the program was started.
  SmallVector<const char *> arguments(argv, argv + argc);
  arguments[0] = "lathe";
  auto isHelp = [](StringRef argument) {
    return argument == "--help" || argument == "-help" || argument == "-h";
  };
  if (any_of(arguments, isHelp)) {
    Error error = printHelp(command, overview);
    return error ? reportError(std::move(error), name) : 0;
  }
  if (!cl::ParseCommandLineOptions(argc, arguments.data(), overview, &stream))
    return reportParseErrors(problems, command ? name : "");
  if (!command)
    return reportUsage("no command. See 'lathe --help'.");
  if (Error error = checkOccurrences(arguments, *command->parser))
    return reportError(std::move(error), name);
  if (Error error = command->run())
    return reportError(std::move(error), name);
  if (Error error = flushOutput())
    return reportError(std::move(error), name);
  return 0;
}

} // namespace lathe::tool
