// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table of measured schedules that `lathe tune` writes and `lathe compile
// --tuning` reads: a JSON file of one line per workload, in a fixed order, that
// people can read, commit, diff and merge.
//
//   {"lathe-tuning": 1, "workloads": [
//     {"target": "x86", "level": "avx512-vnni",
//      "workload": "linear_384x1536_gelu, rows",
//      "schedule": "#tile.schedule<...>", "instead-of": "#tile.schedule<...>",
//      "speedup": 1.07, "sizes": "batch=1,seq=128", "machine": "AMD EPYC"},
//     ...
//
// A workload is a kernel and a class of sizes, named by its strategy. An entry
// is advice: one that names a workload or a schedule that does not exist any
// more changes nothing.

#ifndef LATHE_LIB_TUNING_TUNINGTABLE_H
#define LATHE_LIB_TUNING_TUNINGTABLE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <map>
#include <string>
#include <tuple>

namespace lathe::tuning {

/// What was found out about one workload.
struct TuningEntry {
  std::string target, level, workload; ///< The key.
  std::string schedule;                ///< The fastest, printed.
  std::string insteadOf;               ///< The cost model's choice, printed.
  double speedup = 1; ///< Of `schedule` over `insteadOf`, a ratio of times.
  std::string sizes;  ///< Named dims it was measured at, "seq=128".
  std::string machine;
};

class TuningTable {
public:
  /// Reads a file. An error names the file, the line or workload, and what is
  /// wrong there.
  static llvm::Expected<TuningTable> read(llvm::StringRef path);

  /// The same for text in memory; `path` is for messages.
  static llvm::Expected<TuningTable> parse(llvm::StringRef text,
                                           llvm::StringRef path);

  /// Writes the file, whole or not at all.
  llvm::Error write(llvm::StringRef path) const;

  /// The entry of a workload, or null.
  const TuningEntry *lookup(llvm::StringRef target, llvm::StringRef level,
                            llvm::StringRef workload) const;

  /// Adds an entry, in place of an older one for its workload.
  void insert(TuningEntry entry);

  size_t size() const { return entries.size(); }

private:
  using Key = std::tuple<std::string, std::string, std::string>;
  std::map<Key, TuningEntry> entries;
};

} // namespace lathe::tuning

#endif // LATHE_LIB_TUNING_TUNINGTABLE_H
