// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integer expressions over an entry's symbols: dims, grids, scalars.

#ifndef LATHE_RUNTIME_BUNDLE_EXPR_H
#define LATHE_RUNTIME_BUNDLE_EXPR_H

#include "runtime/base/memory.h"
#include "runtime/bundle/schema.h"

namespace lathe::rt {

using Exprs = const flatbuffers::Vector<const bundle::Expr *> *;

/// The value of an expression or symbol, or why there is none. An expression
/// that has no value does no harm until it is asked for.
struct ExprValue {
  enum State : uint8_t { Unbound, Known, Overflow, DividedByZero };
  int64_t value = 0;
  State state = Unbound;

  static ExprValue known(int64_t value) { return {value, Known}; }
};

/// Evaluates one node. `earlier` holds the values of all nodes before it.
/// Division rounds as affine maps do and demands a positive divisor.
ExprValue evaluate(const bundle::Expr &expr, const ExprValue *earlier,
                   const ExprValue *symbols);

/// Names for inspection and messages: "384", "seq", "(batch * seq) floordiv 2".
/// Writes at most `capacity` bytes, 0 included, ends a text that is too long in
/// "...", and returns the length.
size_t
formatExpr(Exprs exprs, uint32_t index,
           const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>
               *symbols,
           char *text, size_t capacity);

/// True for Add to Max.
bool isBinary(bundle::ExprOp op);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BUNDLE_EXPR_H
