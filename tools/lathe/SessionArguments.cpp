// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/SessionArguments.h"

#include <cstdlib>

using namespace llvm;

namespace lathe::tool {

static std::string getDefaultLevel() {
  const char *level = std::getenv("LATHE_CPU_LEVEL");
  return level ? level : "";
}

SessionArguments::SessionArguments(cl::SubCommand &parser, StringRef positional)
    : bundle(cl::Positional, cl::desc(positional), cl::sub(parser),
             cl::cat(optionCategory)),
      device("device", cl::value_desc("cpu"),
             cl::desc("cpu, cuda[:N], vulkan[:N] or hip[:N] (default: the best "
                      "there is)"),
             cl::sub(parser), cl::cat(optionCategory)),
      entry("entry", cl::value_desc("NAME"),
            cl::desc("Which of the bundle's functions (default: the first)"),
            cl::sub(parser), cl::cat(optionCategory)),
      level("level", cl::value_desc("x86-64-v3"),
            cl::desc("Which of the bundle's variants (default: the value of "
                     "LATHE_CPU_LEVEL, or the best that this machine runs)"),
            cl::init(getDefaultLevel()), cl::sub(parser),
            cl::cat(optionCategory)),
      threads("threads", cl::value_desc("N"),
              cl::desc("Threads for a run (default: one for each core)"),
              cl::sub(parser), cl::cat(optionCategory)),
      guard("guard", cl::desc("Stop kernels that leave their operands (slow)"),
            cl::sub(parser), cl::cat(optionCategory)) {}

} // namespace lathe::tool
