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
                   "int4[:GROUP][:zeros][:float], "
                   "ternary[:GROUP][:float] and block4x1[:DENSITY][:float]");
}

/// Decimal, so that a digit is there: `to_float` takes "" for 0, and "0x1".
static bool isDensity(StringRef word, double &share) {
  return word.find_first_of("0123456789") != StringRef::npos &&
         word.find_first_of("xX") == StringRef::npos && to_float(word, share);
}

Error WeightFormat::parseWord(StringRef word, StringRef name) {
  int64_t number;
  double share;
  if (kind == Kind::Keep)
    return makeError("'keep' takes no '" + word + "'");
  if (word == "float") {
    quantizesInputs = false;
  } else if (word == "zeros" && kind == Kind::Int4) {
    hasZeros = true;
  } else if (kind == Kind::Block && isDensity(word, share)) {
    if (!(share >= 0.0 && share <= 1.0))
      return makeError("a density is in 0..1, not " + word);
    density = share;
  } else if (kind != Kind::Block && to_integer(word, number, 10)) {
    int64_t unit = kind == Kind::Ternary ? 16 : 8;
    if (number < unit || number > 1024 || number % unit != 0)
      return makeError("a group is a multiple of " + Twine(unit) + " in " +
                       Twine(unit) + "..1024, not " + word);
    group = number;
    hasGroups = true;
  } else {
    return makeError("'" + word + "' says nothing about " + name);
  }
  return Error::success();
}

Expected<WeightFormat> WeightFormat::parse(StringRef text) {
  SmallVector<StringRef> words;
  text.split(words, ':');
  WeightFormat format;
  StringRef name = words[0], size = name;
  if (name == "int8")
    format.kind = Kind::Int8;
  else if (name == "int4")
    format.kind = Kind::Int4;
  else if (name == "ternary")
    format.kind = Kind::Ternary;
  else if (size.consume_front("block") && size.consume_back("x1") &&
           to_integer(size, format.blockSize, 10) &&
           is_contained({4, 8, 16}, format.blockSize))
    format.kind = Kind::Block;
  else if (name != "keep")
    return fail(text, "'" + name + "' is no encoding");
  format.hasGroups = format.kind != Kind::Ternary;
  bool hasNumber = false;
  for (auto [i, word] : enumerate(ArrayRef(words).drop_front())) {
    double number;
    bool isNumber = isDensity(word, number);
    if (is_contained(ArrayRef(words).slice(1, i), word) ||
        (hasNumber && isNumber))
      return fail(text, "'" + word + "' is one too many");
    hasNumber |= isNumber;
    if (Error error = format.parseWord(word, name))
      return fail(text, toString(std::move(error)));
  }
  return format;
}

int64_t WeightFormat::getGroup(int64_t k) const {
  if (group)
    return *group;
  if (kind != Kind::Int8)
    return 128;
  // Each group costs as much as 16 of its k beside the products. Longer ones
  // save little of that, and err more. AMX takes 64 k at once.
  constexpr int64_t most = 384, unit = 64;
  int64_t count = std::max<int64_t>(divideCeil(k, most), 1);
  return std::max<int64_t>(alignTo(divideCeil(k, count), unit), unit);
}

mlir::Attribute WeightFormat::getEncoding(mlir::MLIRContext *context,
                                          int64_t axis, int64_t k) const {
  switch (kind) {
  case Kind::Keep:
    return {};
  case Kind::Int8:
    return Int8Attr::get(context, axis, getGroup(k));
  case Kind::Int4:
    return Int4Attr::get(context, axis, getGroup(k), hasZeros);
  case Kind::Ternary:
    return TernaryAttr::get(context, axis, hasGroups ? getGroup(k) : 0);
  case Kind::Block: {
    mlir::Type type = mlir::Float32Type::get(context);
    if (quantizesInputs)
      type = mlir::IntegerType::get(context, 8);
    return BlockAttr::get(context, axis, blockSize, density, type);
  }
  }
  llvm_unreachable("all kinds are listed");
}

mlir::Attribute WeightFormat::getQuantizer(mlir::MLIRContext *context,
                                           int64_t k) const {
  if (kind == Kind::Keep || !quantizesInputs)
    return {};
  // Lists know no groups of k: a row has one scale.
  if (kind == Kind::Block)
    return DynamicInt8Attr::get(context, llvm::alignTo(k, 4), false);
  // Codes of a few bits are unsigned, so that inputs are signed.
  return DynamicInt8Attr::get(context, getGroup(k), kind != Kind::Int8);
}

Expected<WeightPlan> WeightPlan::parse(StringRef path, StringRef text) {
  WeightPlan plan;
  plan.path = path.str();
  plan.text = std::make_shared<const std::string>(text);
  SmallVector<StringRef> lines;
  StringRef rest = *plan.text;
  rest.consume_front("\xEF\xBB\xBF"); // the mark that some editors leave
  rest.split(lines, '\n');
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
  if (!format && !formatOrFile.contains(':') &&
      formatOrFile.find_first_of("./") != StringRef::npos &&
      !sys::fs::exists(formatOrFile)) {
    consumeError(format.takeError());
    return makeError("'" + formatOrFile +
                     "' is no weight format, and there is "
                     "no such file");
  }
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
