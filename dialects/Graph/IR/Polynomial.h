// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic on symbolic sizes. AffineExpr keeps products of symbols in the
// order they were written, so `s0 * s1` and `s1 * s0` differ; here every size
// has one canonical form, and equality and exact division can be decided.

#ifndef LATHE_DIALECTS_GRAPH_IR_POLYNOMIAL_H
#define LATHE_DIALECTS_GRAPH_IR_POLYNOMIAL_H

#include "mlir/IR/AffineExpr.h"
#include "mlir/Support/LLVM.h"
#include <map>
#include <optional>

namespace lathe::graph {

/// A polynomial with integer coefficients over *atoms*: symbols, and quotients
/// and remainders that do not simplify. Terms are ordered, so equal
/// polynomials have equal representations.
///
/// A damaged model may claim any size. A polynomial with a coefficient beyond
/// 64 bits is *poisoned*: it equals nothing, itself included, has no value and
/// no bounds, and so is all that is computed from it. As an expression it stays
/// beyond any size that there is memory for, and keeps its sign.
class Polynomial {
public:
  /// Atoms with repetition, in a fixed order.
  using Monomial = llvm::SmallVector<mlir::AffineExpr, 2>;

  /// The polynomial of `expr`. Dims (as opposed to symbols) are atoms too.
  static Polynomial get(mlir::AffineExpr expr);
  static Polynomial constant(mlir::MLIRContext *context, int64_t value);

  Polynomial operator+(const Polynomial &other) const;
  Polynomial operator-(const Polynomial &other) const;
  Polynomial operator*(const Polynomial &other) const;
  bool operator==(const Polynomial &other) const {
    return !isPoisoned && !other.isPoisoned && terms == other.terms;
  }

  /// The value, if there are no atoms.
  std::optional<int64_t> getConstant() const;

  /// The quotient if `divisor` divides this polynomial as a polynomial; a
  /// divisor that can be zero at run time is taken not to be.
  std::optional<Polynomial> divideExactly(const Polynomial &divisor) const;

  /// Whether the value is at least `bound` for all sizes; symbols, quotients
  /// and remainders of sizes are never negative. False when in doubt.
  bool isAtLeast(int64_t bound) const;

  /// The canonical expression.
  mlir::AffineExpr toExpr() const;

private:
  /// Graded order, so that division finds leading terms.
  struct Order {
    bool operator()(const Monomial &a, const Monomial &b) const;
  };
  explicit Polynomial(mlir::MLIRContext *context) : context(context) {}
  void add(const Monomial &monomial, int64_t coefficient);
  int64_t multiply(int64_t a, int64_t b);

  mlir::MLIRContext *context;
  std::map<Monomial, int64_t, Order> terms;
  bool isPoisoned = false;
};

/// The canonical form of a size.
mlir::AffineExpr canonicalizeSize(mlir::AffineExpr expr);

/// Whether two sizes are equal for every value of the symbols.
bool isSameSize(mlir::AffineExpr a, mlir::AffineExpr b);

/// Whether `expr >= bound` for every value of the symbols.
bool isSizeAtLeast(mlir::AffineExpr expr, int64_t bound);

/// The product of `sizes`; 1 if there are none.
mlir::AffineExpr getProduct(mlir::MLIRContext *context,
                            llvm::ArrayRef<mlir::AffineExpr> sizes);

/// `a / b` where it is exact, else null.
mlir::AffineExpr divideExactly(mlir::AffineExpr a, mlir::AffineExpr b);

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_IR_POLYNOMIAL_H
