// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Read before every other header in builds with assertions. Debian's LLVM and
// MLIR are built without them, and Statistic.h gives a pass's statistics other
// members with than without: what libMLIR.so constructs must be what we use.

#ifndef LATHE_CMAKE_STATISTICS_H
#define LATHE_CMAKE_STATISTICS_H

#ifndef NDEBUG
#define NDEBUG
#include "llvm/ADT/Statistic.h"
#undef NDEBUG
#endif

#endif // LATHE_CMAKE_STATISTICS_H
