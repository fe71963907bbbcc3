// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Measures the schedules of a bundle that was compiled with all of them. It
// needs the runtime only, so that it works where no compiler is installed.
//
// Every launch of such a bundle offers several kernels for the same sizes. The
// model is loaded once for each position in these lists (alternative 0 is the
// cost model's choice everywhere), and the copies run by turns in an order that
// is shuffled anew each round: whatever the machine does meanwhile happens to
// all of them. A schedule is judged by the median over rounds of its time
// divided by that of the cost model's choice in the same round.

#ifndef LATHE_TOOLS_LATHE_TUNER_H
#define LATHE_TOOLS_LATHE_TUNER_H

#include "lib/Tuning/TuningTable.h"
#include "tools/lathe/Console.h"
#include "tools/lathe/Inputs.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"
#include <deque>
#include <random>

namespace lathe::tool {

/// One schedule of a workload.
struct TunedSchedule {
  llvm::StringRef schedule;
  std::vector<double> ratios; ///< To the first schedule's time, per round.
  double ratio = 1;           ///< Their median.
};

/// A workload that was met, with its schedules; the first is the cost model's.
struct TunedWorkload {
  std::vector<TunedSchedule> schedules;
  std::vector<double> seconds; ///< With the first schedule, per round.
  size_t best = 0;
  double share = 0; ///< Of a run's time with the first schedule.
};

class Tuner {
public:
  /// `sizes` are the dims to measure at, one run for each. There is
  /// something to measure if the bundle holds alternatives.
  static llvm::Expected<Tuner> create(const SessionOptions &options,
                                      std::vector<SymbolSizes> sizes);

  bool hasAlternatives() const { return sessions.size() > 1; }

  /// Measures for about `budget` seconds, at least a few rounds, then judges.
  llvm::Error measure(double budget, Progress &progress);

  /// By name, as they were met.
  const llvm::MapVector<llvm::StringRef, TunedWorkload> &getWorkloads() const {
    return workloads;
  }
  size_t getNumRounds() const { return totals.size(); }

  /// What was found, as entries of a table.
  void addTo(tuning::TuningTable &table) const;

private:
  struct Kernel {
    llvm::StringRef workload, schedule; ///< Of the bundle.
  };
  /// Seconds by workload and schedule, and how many copies they are from.
  using Samples =
      std::map<std::pair<size_t, size_t>, std::pair<double, unsigned>>;

  llvm::Error openAlternatives(const SessionOptions &options);
  void readKernels();
  llvm::Error runCopy(size_t alternative, Samples &samples, double &total);
  llvm::Error runRound();
  std::pair<size_t, size_t> find(const Kernel &kernel);
  void prune();
  void judge();

  std::deque<Session> sessions; ///< One for each alternative.
  std::vector<bool> isActive;   ///< Of these.
  std::vector<SymbolSizes> sizes;
  std::vector<Inputs> inputs;      ///< One for each of `sizes`.
  llvm::StringMap<Kernel> kernels; ///< By symbol; those with alternatives.
  std::string target, level;
  ProfilePtr profile;
  llvm::MapVector<llvm::StringRef, TunedWorkload> workloads;
  std::vector<double> totals; ///< Seconds of the steps of copy 0, per round.
  std::minstd_rand random;
};

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_TUNER_H
