// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where the time of a run goes, by step and by kernel.

#ifndef LATHE_TOOLS_LATHE_PROFILE_H
#define LATHE_TOOLS_LATHE_PROFILE_H

#include "tools/lathe/Inputs.h"
#include "llvm/Support/JSON.h"

namespace lathe::tool {

/// One launch or built-in, or all of one kernel together.
struct ProfileRow {
  std::string kernel;
  std::string label; ///< Leads to the model's nodes.
  std::string schedule;
  unsigned calls = 1;
  double seconds = 0;
  double flops = 0; ///< Below 0 if not known.
  double bytes = 0; ///< Of all operands.
  int64_t programs = 0;
  unsigned threads = 0;
};

struct Profile {
  double seconds = 0; ///< A whole profiled run.
  double gaps = 0;    ///< Between the end of a step and the next one's start.
  uint64_t arenaBytes = 0;
  /// Of the device, a second; 0 if not known.
  double limitFlops = 0, limitBytes = 0;
  std::vector<ProfileRow> steps;   ///< In order.
  std::vector<ProfileRow> kernels; ///< The most expensive one first.
};

/// Runs the model `runs` times with the profile on; each figure is a median.
llvm::Expected<Profile> measureProfile(const Session &session,
                                       const Inputs &inputs, unsigned runs);

/// Both tables, for people.
void printProfile(const Profile &profile, llvm::raw_ostream &os);

/// The same as the attribute "profile" of the current object.
void writeProfile(const Profile &profile, llvm::json::OStream &out);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_PROFILE_H
