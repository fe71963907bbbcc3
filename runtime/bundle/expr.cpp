// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/bundle/expr.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace lathe::rt {

using bundle::Expr;
using bundle::ExprOp;
using Names =
    const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>> *;

bool isBinary(ExprOp op) { return op >= ExprOp::Add && op <= ExprOp::Max; }

static ExprValue divide(ExprOp op, int64_t a, int64_t b) {
  if (b <= 0)
    return {0, ExprValue::DividedByZero};
  int64_t quotient = a / b, rest = a % b;
  if (op == ExprOp::Mod)
    return ExprValue::known(rest < 0 ? rest + b : rest);
  if (op == ExprOp::FloorDiv)
    return ExprValue::known(quotient - (rest < 0));
  return ExprValue::known(quotient + (rest > 0));
}

ExprValue evaluate(const Expr &expr, const ExprValue *earlier,
                   const ExprValue *symbols) {
  if (expr.op() == ExprOp::Const)
    return ExprValue::known(expr.value());
  if (expr.op() == ExprOp::Symbol)
    return symbols[expr.value()];

  ExprValue lhs = earlier[expr.lhs()], rhs = earlier[expr.rhs()];
  if (lhs.state != ExprValue::Known)
    return lhs;
  if (rhs.state != ExprValue::Known)
    return rhs;
  int64_t a = lhs.value, b = rhs.value, result = 0;
  bool overflow = false;
  switch (expr.op()) {
  case ExprOp::Add:
    overflow = __builtin_add_overflow(a, b, &result);
    break;
  case ExprOp::Mul:
    overflow = __builtin_mul_overflow(a, b, &result);
    break;
  case ExprOp::Min:
    result = a < b ? a : b;
    break;
  case ExprOp::Max:
    result = a > b ? a : b;
    break;
  default:
    return divide(expr.op(), a, b);
  }
  if (overflow)
    return {0, ExprValue::Overflow};
  return ExprValue::known(result);
}

namespace {
/// Text of a fixed capacity; what does not fit is dropped.
class Printer {
public:
  Printer(Exprs exprs, Names symbols, char *text, size_t capacity)
      : exprs(exprs), symbols(symbols), text(text), capacity(capacity) {}

  void print(uint32_t index, bool nested, int depth);
  size_t finish();

private:
  void put(const char *part);
  void putBinary(const Expr &expr, bool nested, int depth);

  Exprs exprs;
  Names symbols;
  char *text;
  size_t capacity;
  size_t length = 0;
  bool full = false;
};
} // namespace

void Printer::put(const char *part) {
  size_t size = strlen(part);
  if (full || size >= capacity - length) {
    full = true;
    return;
  }
  memcpy(text + length, part, size);
  length += size;
}

void Printer::putBinary(const Expr &expr, bool nested, int depth) {
  static const char *const infix[] = {" + ", " * ", " floordiv ", " ceildiv ",
                                      " mod "};
  bool call = expr.op() == ExprOp::Min || expr.op() == ExprOp::Max;
  if (call)
    put(expr.op() == ExprOp::Min ? "min" : "max");
  if (call || nested)
    put("(");
  print(static_cast<uint32_t>(expr.lhs()), !call, depth + 1);
  put(call
          ? ", "
          : infix[static_cast<int>(expr.op()) - static_cast<int>(ExprOp::Add)]);
  print(static_cast<uint32_t>(expr.rhs()), !call, depth + 1);
  if (call || nested)
    put(")");
}

void Printer::print(uint32_t index, bool nested, int depth) {
  // Nodes may be shared, so that the tree can be far larger than the list: stop
  // as soon as nothing more fits.
  if (full || depth > 32) {
    full = true;
    return;
  }
  const Expr &expr = *exprs->Get(index);
  if (isBinary(expr.op()))
    return putBinary(expr, nested, depth);
  if (expr.op() == ExprOp::Symbol)
    return put(symbols->Get(static_cast<uint32_t>(expr.value()))->c_str());
  char number[32];
  snprintf(number, sizeof(number), "%" PRId64, expr.value());
  put(number);
}

size_t Printer::finish() {
  if (full && capacity >= 4) {
    length = length > capacity - 4 ? capacity - 4 : length;
    memcpy(text + length, "...", 3);
    length += 3;
  }
  text[length] = 0;
  return length;
}

size_t formatExpr(Exprs exprs, uint32_t index, Names symbols, char *text,
                  size_t capacity) {
  Printer printer(exprs, symbols, text, capacity);
  printer.print(index, false, 0);
  return printer.finish();
}

} // namespace lathe::rt
