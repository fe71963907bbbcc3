// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The functions behind the table in builtin.cpp, by file.

#ifndef LATHE_RUNTIME_BUILTINS_TABLE_H
#define LATHE_RUNTIME_BUILTINS_TABLE_H

#include "runtime/builtins/builtin.h"

namespace lathe::rt {

// select.cpp
Status bindNonzero(const BuiltinArgs &args);
Status runNonzero(const BuiltinArgs &args);
Status runTopK(const BuiltinArgs &args);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BUILTINS_TABLE_H
