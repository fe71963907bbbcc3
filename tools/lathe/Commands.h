// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The subcommands, one source file each. Their options stand there.

#ifndef LATHE_TOOLS_LATHE_COMMANDS_H
#define LATHE_TOOLS_LATHE_COMMANDS_H

#include "tools/lathe/Command.h"

namespace lathe::tool {

// In `lathe`.
extern const Command runCommand;
extern const Command benchCommand;
extern const Command inspectCommand;
extern const Command verifyCommand;
extern const Command tuneCommand;
extern const Command devicesCommand;

// In `lathe-compile`.
extern const Command compileCommand;
extern const Command checkCommand;

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_COMMANDS_H
