// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/Transforms/AttentionPattern.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;
using namespace lathe::graph;

namespace {
/// One number of a pattern.
struct Field {
  StringRef name;
  int64_t AttentionPattern::*member;
  int64_t least;
  bool isRequired;
};
} // namespace

static constexpr int64_t kMost = 1 << 20;

static ArrayRef<Field> getFields(AttentionPattern::Kind kind) {
  static const Field s2[] = {{"block", &AttentionPattern::block, 1, true},
                             {"local", &AttentionPattern::local, 1, true},
                             {"stride", &AttentionPattern::stride, 1, true},
                             {"offset", &AttentionPattern::offset, 0, false}};
  static const Field window[] = {{"block", &AttentionPattern::block, 1, true},
                                 {"local", &AttentionPattern::local, 1, true},
                                 {"sink", &AttentionPattern::sink, 0, false}};
  if (kind == AttentionPattern::Kind::S2)
    return s2;
  return window;
}

static Error fail(StringRef text, const Twine &why) {
  return createStringError(
      "attention pattern '" + text + "': " + why +
      "; there are s2:block=N,local=N,stride=N[,offset=N] and "
      "window:block=N,local=N[,sink=N]");
}

Expected<AttentionPattern> AttentionPattern::parse(StringRef text) {
  auto [name, rest] = text.split(':');
  AttentionPattern pattern;
  if (name == "s2")
    pattern.kind = Kind::S2;
  else if (name != "window")
    return fail(text, "'" + name + "' is no pattern");
  ArrayRef<Field> fields = getFields(pattern.kind);
  SmallVector<StringRef> items, seen;
  rest.split(items, ',', -1, /*KeepEmpty=*/false);
  for (StringRef item : items) {
    auto [key, value] = item.split('=');
    const Field *field =
        find_if(fields, [key = key](const Field &f) { return f.name == key; });
    if (field == fields.end())
      return fail(text, "'" + key + "' is no number of " + name);
    if (is_contained(seen, key))
      return fail(text, "'" + key + "' is given twice");
    seen.push_back(key);
    int64_t number;
    if (value.getAsInteger(10, number) || number < field->least ||
        number > kMost)
      return fail(text, "'" + key + "' must be a number from " +
                            Twine(field->least) + " to " + Twine(kMost) +
                            ", got '" + value + "'");
    pattern.*field->member = number;
  }
  for (const Field &field : fields)
    if (field.isRequired && !is_contained(seen, field.name))
      return fail(text, "'" + field.name + "' is missing");
  return pattern;
}

bool AttentionPattern::isListed(int64_t head, int64_t heads, int64_t row,
                                int64_t column, bool isCausal) const {
  if (isCausal && column > row)
    return false;
  if (std::abs(row - column) < local)
    return true;
  if (kind == Kind::Window)
    return column < sink;
  int64_t step = std::max<int64_t>(1, stride / heads);
  return (column + head * step + offset) % stride == 0;
}
