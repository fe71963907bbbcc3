// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/SessionArguments.h"

#include <cstdlib>

using namespace llvm;

namespace lathe::tool {

SessionArguments::SessionArguments(cl::SubCommand &parser, StringRef positional)
    : bundle(cl::Positional, cl::desc(positional), cl::sub(parser),
             cl::cat(optionCategory)),
      device("device", cl::value_desc("DEVICE"),
             cl::desc("cpu, cuda, cuda:N or hip, as 'lathe devices' lists "
                      "them "
                      "(default: the first that the bundle has code for)"),
             cl::sub(parser), cl::cat(optionCategory)),
      entry("entry", cl::value_desc("NAME"),
            cl::desc("Which of the bundle's functions (default: the first)"),
            cl::sub(parser), cl::cat(optionCategory)),
      level(
          "level", cl::value_desc("LEVEL"),
          cl::desc("Which of the bundle's variants, as in x86-64-v3 (default: "
                   "the value of LATHE_CPU_LEVEL, or the best that this "
                   "machine runs)"),
          cl::sub(parser), cl::cat(optionCategory)),
      threads("threads", cl::value_desc("N"),
              cl::desc("Threads for a run (default: one for each core)"),
              cl::sub(parser), cl::cat(optionCategory)),
      guard("guard", cl::desc("Stop kernels that leave their operands (slow)"),
            cl::sub(parser), cl::cat(optionCategory)) {}

Expected<SessionOptions> SessionArguments::getOptions() const {
  if (threads.getNumOccurrences() && threads == 0)
    return usageError("--threads: at least 1 is needed, 0 was given");
  SessionOptions options;
  options.bundle = bundle;
  options.device = device;
  options.entry = entry;
  options.level = level;
  options.threads = threads;
  options.guard = guard;
  const char *preset = std::getenv("LATHE_CPU_LEVEL");
  StringRef kind = StringRef(options.device).split(':').first;
  bool isOther = !kind.empty() && kind != "cpu";
  if (options.level.empty() && preset && !isOther) {
    options.level = preset;
    options.isLevelPreset = true;
  }
  return options;
}

} // namespace lathe::tool
