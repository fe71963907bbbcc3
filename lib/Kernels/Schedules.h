// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which of the schedules that a strategy lists for a workload are built: the
// cost model's choice, the one that a tuning table names, or all of them, for a
// bundle that `lathe tune` measures.

#ifndef LATHE_KERNELS_SCHEDULES_H
#define LATHE_KERNELS_SCHEDULES_H

#include "dialects/Tile/IR/Tile.h"
#include "lib/Tuning/TuningTable.h"
#include <memory>

namespace lathe::kernels {

class Schedules {
public:
  /// The cost model's choices: the first schedule of each list.
  Schedules() = default;

  /// Every schedule, in the strategy's order.
  static Schedules getAll();

  /// What `table` knows about a level of a target; else as the default.
  static Schedules getTuned(std::shared_ptr<const tuning::TuningTable> table,
                            llvm::StringRef target, llvm::StringRef level);

  /// Indices of those of `listed` to build, at least one. `isStale` tells that
  /// the table names a schedule which is not among them.
  llvm::SmallVector<unsigned, 1>
  select(llvm::StringRef workload, llvm::ArrayRef<tile::ScheduleAttr> listed,
         bool &isStale) const;

  /// Convolutions are computed as the plain sums that they are, not by
  /// Winograd's filtering (lib/Kernels/Winograd.h states its error).
  void setPlainSums(bool its) { plainSums = its; }
  bool hasPlainSums() const { return plainSums; }

private:
  bool isAll = false, plainSums = false;
  std::shared_ptr<const tuning::TuningTable> table;
  std::string target, level;
};

} // namespace lathe::kernels

#endif // LATHE_KERNELS_SCHEDULES_H
