// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rounds in a process of their own: what kills it costs one round.

#ifndef LATHE_TOOLS_LATHE_FUZZ_ISOLATION_H
#define LATHE_TOOLS_LATHE_FUZZ_ISOLATION_H

#include "tools/lathe-fuzz/Subject.h"

namespace lathe::fuzz {

struct Rounds {
  uint64_t seed = 0;
  uint64_t first = 0;
  uint64_t count = 0;
};

struct Totals {
  uint64_t refused = 0;
  uint64_t accepted = 0;
  uint64_t problems = 0;
  uint64_t peakBytes = 0; ///< Of one round; 0 where it is not measured.
};

/// What a round may take.
constexpr unsigned kMaxSeconds = 10; ///< Of processor time.
constexpr size_t kMaxBytesPerByte = 4;
constexpr size_t kMaxBytes = size_t(64) << 20;

/// Runs the rounds and tells each problem on stderr: a crash, a leak, a report
/// of a sanitizer, too much time, too much memory, or what the subject finds
/// wrong. Memory is what malloc gave out under ASan, and the process's data
/// elsewhere.
Totals runRounds(Subject &subject, const Rounds &rounds);

} // namespace lathe::fuzz

#endif // LATHE_TOOLS_LATHE_FUZZ_ISOLATION_H
