// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/DimText.h"

#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;

namespace lathe::tool {

using Value = std::optional<int64_t>;

namespace {
/// operand := number | name | '(' binary ')' | ('min'|'max') '(' a ', ' b ')'
/// binary  := operand [' op ' operand]
class DimParser {
public:
  DimParser(StringRef text, const std::map<std::string, int64_t> &sizes)
      : rest(text), sizes(sizes) {}

  Value parse() {
    Value value = parseBinary();
    return rest.empty() ? value : std::nullopt;
  }

private:
  Value parseBinary();
  Value parseOperand();
  Value parseCall(bool isMin);

  StringRef rest;
  const std::map<std::string, int64_t> &sizes;
};
} // namespace

static Value apply(StringRef op, int64_t a, int64_t b) {
  if (op == "+")
    return checkedAdd(a, b);
  if (op == "*")
    return checkedMul(a, b);
  if (b <= 0)
    return std::nullopt;
  if (op == "floordiv")
    return divideFloorSigned(a, b);
  if (op == "ceildiv")
    return divideCeilSigned(a, b);
  if (op == "mod")
    return llvm::mod(a, b);
  return std::nullopt;
}

Value DimParser::parseCall(bool isMin) {
  Value a = parseBinary();
  if (!a || !rest.consume_front(", "))
    return std::nullopt;
  Value b = parseBinary();
  if (!b || !rest.consume_front(")"))
    return std::nullopt;
  return isMin ? std::min(*a, *b) : std::max(*a, *b);
}

Value DimParser::parseOperand() {
  if (rest.consume_front("min("))
    return parseCall(true);
  if (rest.consume_front("max("))
    return parseCall(false);
  if (rest.consume_front("(")) {
    Value value = parseBinary();
    return rest.consume_front(")") ? value : std::nullopt;
  }
  StringRef word =
      rest.take_until([](char c) { return StringRef(" ,()").contains(c); });
  rest = rest.drop_front(word.size());
  int64_t number;
  if (!word.getAsInteger(10, number))
    return number;
  auto found = sizes.find(word.str());
  return found == sizes.end() ? std::nullopt : Value(found->second);
}

Value DimParser::parseBinary() {
  Value a = parseOperand();
  if (!a || !rest.consume_front(" "))
    return a;
  auto [op, right] = rest.split(' ');
  rest = right;
  Value b = parseOperand();
  return b ? apply(op, *a, *b) : std::nullopt;
}

std::optional<int64_t>
evaluateDim(StringRef text, const std::map<std::string, int64_t> &sizes) {
  auto whole = sizes.find(text.str());
  if (whole != sizes.end())
    return whole->second;
  return DimParser(text, sizes).parse();
}

} // namespace lathe::tool
