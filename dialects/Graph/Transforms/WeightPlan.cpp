// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/WeightPlan.h"
#include "lib/Support/MappedFile.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"

using namespace llvm;
using namespace lathe;
using namespace lathe::graph;

static Error fail(StringRef text, const Twine &why) {
  return makeError("weight format '" + text + "': " + why +
                   "; there are keep, int8[:GROUP][:float], "
                   "int4[:GROUP][:zeros][:float] and "
                   "ternary[:GROUP][:float]");
}

Expected<WeightFormat> WeightFormat::parse(StringRef text) {
  SmallVector<StringRef> words;
  text.split(words, ':');
  WeightFormat format;
  if (words[0] == "int8")
    format.kind = Kind::Int8;
  else if (words[0] == "int4")
    format.kind = Kind::Int4;
  else if (words[0] == "ternary")
    format.kind = Kind::Ternary;
  else if (words[0] != "keep")
    return fail(text, "'" + words[0] + "' is no encoding");
  int64_t unit = format.kind == Kind::Ternary ? 16 : 8;
  format.hasGroups = format.kind != Kind::Ternary;
  bool hasGroup = false;
  for (auto [i, word] : enumerate(ArrayRef(words).drop_front())) {
    int64_t group;
    if (is_contained(ArrayRef(words).slice(1, i), word) ||
        (hasGroup && to_integer(word, group, 10)))
      return fail(text, "'" + word + "' is one too many");
    if (format.kind == Kind::Keep)
      return fail(text, "'keep' takes no '" + word + "'");
    if (word == "float") {
      format.quantizesInputs = false;
    } else if (word == "zeros" && format.kind == Kind::Int4) {
      format.hasZeros = true;
    } else if (to_integer(word, group, 10)) {
      if (group < unit || group > 1024 || group % unit != 0)
        return fail(text, "a group is a multiple of " + Twine(unit) + " in " +
                              Twine(unit) + "..1024, not " + word);
      format.group = group;
      format.hasGroups = hasGroup = true;
    } else {
      return fail(text, "'" + word + "' says nothing about " + words[0]);
    }
  }
  return format;
}

mlir::Attribute WeightFormat::getEncoding(mlir::MLIRContext *context,
                                          int64_t axis) const {
  switch (kind) {
  case Kind::Keep:
    return {};
  case Kind::Int8:
    return Int8Attr::get(context, axis, group);
  case Kind::Int4:
    return Int4Attr::get(context, axis, group, hasZeros);
  case Kind::Ternary:
    return TernaryAttr::get(context, axis, hasGroups ? group : 0);
  }
  llvm_unreachable("all kinds are listed");
}

mlir::Attribute WeightFormat::getQuantizer(mlir::MLIRContext *context) const {
  if (kind == Kind::Keep || !quantizesInputs)
    return {};
  // Codes of a few bits are unsigned, so that inputs are signed.
  return DynamicInt8Attr::get(context, group, kind != Kind::Int8);
}

Expected<WeightPlan> WeightPlan::parse(StringRef path, StringRef text) {
  WeightPlan plan;
  plan.path = path.str();
  plan.text = std::make_shared<const std::string>(text);
  SmallVector<StringRef> lines;
  StringRef(*plan.text).split(lines, '\n');
  for (auto [i, whole] : enumerate(lines)) {
    auto failAt = [&, line = i + 1](const Twine &why) {
      return makeError(path + ":" + Twine(line) + ": " + why);
    };
    StringRef line = whole.split('#').first.trim();
    if (line.empty())
      continue;
    auto [pattern, rest] = getToken(line);
    StringRef word = rest.trim();
    if (word.empty() || word.find_first_of(" \t") != StringRef::npos)
      return failAt("a line holds a layer pattern and a weight format, not '" +
                    line + "'");
    Expected<GlobPattern> glob = GlobPattern::create(pattern);
    if (!glob)
      return failAt("pattern '" + pattern + "': " + toString(glob.takeError()));
    Expected<WeightFormat> format = WeightFormat::parse(word);
    if (!format)
      return failAt(toString(format.takeError()));
    plan.rules.push_back({std::move(*glob), *format, pattern.str(),
                          static_cast<unsigned>(i + 1)});
  }
  if (plan.rules.empty())
    return makeError(path + ": the plan has no line");
  return plan;
}

Expected<WeightPlan> WeightPlan::read(StringRef formatOrFile) {
  Expected<WeightFormat> format = WeightFormat::parse(formatOrFile);
  if (!format && sys::fs::is_regular_file(formatOrFile)) {
    consumeError(format.takeError());
    auto file = MappedFile::open(formatOrFile);
    if (!file)
      return file.takeError();
    ArrayRef<char> bytes = (*file)->getBytes();
    return parse(formatOrFile, StringRef(bytes.data(), bytes.size()));
  }
  if (!format)
    return makeError(
        toString(format.takeError()) +
        ", or a file with a layer pattern and one of these a line");
  Expected<GlobPattern> all = GlobPattern::create("*");
  if (!all)
    return all.takeError();
  WeightPlan plan;
  plan.rules.push_back({std::move(*all), *format, "*", 0});
  return plan;
}
