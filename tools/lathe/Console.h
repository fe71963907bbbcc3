// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the tool shows to people: figures with units, tables, progress.

#ifndef LATHE_TOOLS_LATHE_CONSOLE_H
#define LATHE_TOOLS_LATHE_CONSOLE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>
#include <string>
#include <vector>

namespace lathe::tool {

/// "412 us", "1.25 ms", "3.40 s": three figures and the unit that suits.
std::string formatSeconds(double seconds);

/// "0 B", "17.3 KiB", "86.9 MiB".
std::string formatBytes(uint64_t bytes);

/// "1 node", "2 nodes".
std::string formatCount(uint64_t count, llvm::StringRef what);

/// "1x128x384"; "scalar" for no dims.
std::string formatShape(llvm::ArrayRef<int64_t> dims);

/// "12.3", "1,234": a figure with three digits or grouped thousands.
std::string formatFigure(double value);

/// `text` as a terminal may show it: names come from models, and control
/// characters (escape sequences, lines that look like ours) become \xNN. Line
/// ends stay with `keepLines`. UTF-8 stays.
std::string escapeControls(llvm::StringRef text, bool keepLines = false);

/// In bold where `os` is a terminal.
void printBold(llvm::raw_ostream &os, llvm::StringRef text);

/// Runs since its construction.
class Stopwatch {
public:
  double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
};

/// Rows of cells, padded to columns when printed. Columns whose name begins
/// with '>' are aligned to the right.
class Table {
public:
  explicit Table(std::vector<std::string> columns);

  /// As many cells as there are columns. Control characters are escaped.
  void addRow(std::vector<std::string> cells);

  /// Indents each line by `indent`; none ends in spaces.
  void print(llvm::raw_ostream &os, unsigned indent = 0) const;

private:
  std::vector<bool> right;
  std::vector<std::vector<std::string>> rows; ///< The first one is the header.
};

/// How far a long piece of work has come, on stderr: a bar that redraws itself
/// on a terminal; elsewhere nothing, or with `verbose` a line for each step.
class Progress {
public:
  explicit Progress(bool verbose);
  ~Progress() { clear(); }

  /// `fraction` is in [0, 1].
  void update(double fraction, llvm::StringRef what);

  /// Takes the bar away, so that something else can be printed.
  void clear();

private:
  bool terminal;
  bool verbose;
  bool shown = false;
  int percent = -1;
  std::string current;
};

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_CONSOLE_H
