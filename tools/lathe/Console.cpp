// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Console.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Locale.h"
#include "llvm/Support/WithColor.h"
#include <cmath>

using namespace llvm;

namespace lathe::tool {

static std::string threeDigits(double value, StringRef unit) {
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::string text;
  raw_string_ostream os(text);
  os << format("%.*f ", decimals, value) << unit;
  return text;
}

std::string formatSeconds(double seconds) {
  if (seconds >= 0.9995)
    return threeDigits(seconds, "s");
  if (seconds >= 0.9995e-3)
    return threeDigits(seconds * 1e3, "ms");
  return threeDigits(seconds * 1e6, "us");
}

std::string formatBytes(uint64_t bytes) {
  if (bytes < 1024)
    return std::to_string(bytes) + " B";
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = bytes / 1024.0;
  unsigned unit = 0;
  for (; value >= 1023.5 && unit + 1 < std::size(units); ++unit)
    value /= 1024;
  return threeDigits(value, units[unit]);
}

std::string formatCount(uint64_t count, StringRef what) {
  return std::to_string(count) + " " + what.str() + (count == 1 ? "" : "s");
}

std::string formatShape(ArrayRef<int64_t> dims) {
  if (dims.empty())
    return "scalar";
  return join(map_range(dims, [](int64_t dim) { return std::to_string(dim); }),
              "x");
}

std::string formatFigure(double value) {
  if (value < 99.95)
    return StringRef(threeDigits(value, "")).rtrim().str();
  std::string digits = std::to_string(std::llround(value));
  for (int place = int(digits.size()) - 3; place > 0; place -= 3)
    digits.insert(place, ",");
  return digits;
}

std::string escapeControls(StringRef text, bool keepLines) {
  std::string result;
  auto escape = [&](StringRef bytes) {
    for (unsigned char byte : bytes)
      result += "\\x" + utohexstr(byte, /*LowerCase=*/true, /*Width=*/2);
  };
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = text[i];
    // U+0080 to U+009F, the second set of control characters.
    bool isUpper = byte == 0xc2 && i + 1 < text.size() &&
                   static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (isUpper)
      escape(text.substr(i++, 2));
    else if ((byte < 0x20 && !(keepLines && byte == '\n')) || byte == 0x7f)
      escape(text.substr(i, 1));
    else
      result += text[i];
  }
  return result;
}

void printBold(raw_ostream &os, StringRef text) {
  WithColor(os, raw_ostream::SAVEDCOLOR, /*Bold=*/true) << text;
}

Table::Table(std::vector<std::string> columns) {
  for (std::string &column : columns) {
    right.push_back(StringRef(column).starts_with(">"));
    if (right.back())
      column.erase(0, 1);
  }
  rows.push_back(std::move(columns));
}

void Table::addRow(std::vector<std::string> cells) {
  assert(cells.size() == right.size() && "one cell for each column");
  for (std::string &cell : cells)
    cell = escapeControls(cell);
  rows.push_back(std::move(cells));
}

void Table::print(raw_ostream &os, unsigned indent) const {
  std::vector<int> widths(right.size(), 0);
  for (const auto &row : rows)
    for (auto [width, cell] : zip(widths, row))
      width = std::max(width, sys::locale::columnWidth(cell));
  for (auto [number, row] : enumerate(rows)) {
    std::string line;
    for (auto [width, alignRight, cell] : zip(widths, right, row)) {
      std::string padding(width - sys::locale::columnWidth(cell), ' ');
      line += alignRight ? padding + cell : cell + padding;
      line += "  ";
    }
    os.indent(indent);
    StringRef text = StringRef(line).rtrim();
    number == 0 ? printBold(os, text) : void(os << text);
    os << '\n';
  }
}

Progress::Progress(bool verbose)
    : terminal(errs().is_displayed() && !verbose), verbose(verbose) {}

void Progress::update(double fraction, StringRef what) {
  int now = int(std::lround(std::clamp(fraction, 0.0, 1.0) * 100));
  if (verbose && what != current)
    errs() << format("[%3d%%] ", now) << escapeControls(what) << '\n';
  bool changed = now != percent || what != current;
  percent = now;
  current = what.str();
  if (!terminal || !changed)
    return;
  constexpr int width = 30;
  errs() << "\r\x1b[K[" << std::string(now * width / 100, '#')
         << std::string(width - now * width / 100, ' ')
         << format("] %3d%% ", now) << escapeControls(what.take_front(40));
  shown = true;
}

void Progress::clear() {
  if (shown)
    errs() << "\r\x1b[K";
  shown = false;
}

} // namespace lathe::tool
