// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/Schedules.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

Schedules Schedules::getAll() {
  Schedules schedules;
  schedules.isAll = true;
  return schedules;
}

Schedules Schedules::getTuned(std::shared_ptr<const tuning::TuningTable> table,
                              StringRef target, StringRef level) {
  Schedules schedules;
  schedules.table = std::move(table);
  schedules.target = target.str();
  schedules.level = level.str();
  return schedules;
}

SmallVector<unsigned, 1> Schedules::select(StringRef workload,
                                           ArrayRef<tile::ScheduleAttr> listed,
                                           bool &isStale) const {
  isStale = false;
  if (isAll)
    return llvm::to_vector<1>(llvm::seq<unsigned>(0, listed.size()));
  const tuning::TuningEntry *entry =
      table ? table->lookup(target, level, workload) : nullptr;
  if (!entry)
    return {0};
  for (auto [i, schedule] : llvm::enumerate(listed)) {
    std::string text;
    llvm::raw_string_ostream(text) << schedule;
    if (text == entry->schedule)
      return {unsigned(i)};
  }
  isStale = true;
  return {0};
}
