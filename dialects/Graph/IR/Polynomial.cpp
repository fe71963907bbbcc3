// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/IR/Polynomial.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace lathe::graph;

/// A structural order, so that results do not depend on addresses.
static int compareExprs(AffineExpr a, AffineExpr b) {
  if (a == b)
    return 0;
  if (a.getKind() != b.getKind())
    return a.getKind() < b.getKind() ? -1 : 1;
  if (auto symbol = dyn_cast<AffineSymbolExpr>(a))
    return symbol.getPosition() < cast<AffineSymbolExpr>(b).getPosition() ? -1
                                                                          : 1;
  if (auto dim = dyn_cast<AffineDimExpr>(a))
    return dim.getPosition() < cast<AffineDimExpr>(b).getPosition() ? -1 : 1;
  if (auto constant = dyn_cast<AffineConstantExpr>(a))
    return constant.getValue() < cast<AffineConstantExpr>(b).getValue() ? -1
                                                                        : 1;
  auto left = cast<AffineBinaryOpExpr>(a), right = cast<AffineBinaryOpExpr>(b);
  if (int order = compareExprs(left.getLHS(), right.getLHS()))
    return order;
  return compareExprs(left.getRHS(), right.getRHS());
}

bool Polynomial::Order::operator()(const Monomial &a, const Monomial &b) const {
  if (a.size() != b.size())
    return a.size() > b.size();
  for (auto [left, right] : llvm::zip_equal(a, b))
    if (int order = compareExprs(left, right))
      return order < 0;
  return false;
}

/// What a coefficient beyond 64 bits becomes, or its negative.
static constexpr int64_t kMost = INT64_MAX;

void Polynomial::add(const Monomial &monomial, int64_t coefficient) {
  auto [entry, isNew] = terms.try_emplace(monomial, 0);
  int64_t before = entry->second;
  if (llvm::AddOverflow(before, coefficient, entry->second)) {
    entry->second = before < 0 ? -kMost : kMost;
    isPoisoned = true;
  }
  if (entry->second == 0)
    terms.erase(entry);
}

int64_t Polynomial::multiply(int64_t a, int64_t b) {
  int64_t product;
  if (!llvm::MulOverflow(a, b, product))
    return product;
  isPoisoned = true;
  return (a < 0) == (b < 0) ? kMost : -kMost;
}

Polynomial Polynomial::constant(MLIRContext *context, int64_t value) {
  Polynomial result(context);
  if (value != 0)
    result.add({}, value);
  return result;
}

/// A quotient or remainder of canonical operands: simplified, or an atom.
static AffineExpr divide(AffineExprKind kind, const Polynomial &lhs,
                         const Polynomial &rhs) {
  if (std::optional<Polynomial> quotient = lhs.divideExactly(rhs))
    return kind == AffineExprKind::Mod
               ? getAffineConstantExpr(0, lhs.toExpr().getContext())
               : quotient->toExpr();
  return getAffineBinaryOpExpr(kind, lhs.toExpr(), rhs.toExpr());
}

Polynomial Polynomial::get(AffineExpr expr) {
  Polynomial result(expr.getContext());
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return Polynomial::constant(expr.getContext(), constant.getValue());
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary) {
    result.add({expr}, 1);
    return result;
  }
  Polynomial lhs = get(binary.getLHS()), rhs = get(binary.getRHS());
  if (expr.getKind() == AffineExprKind::Add)
    return lhs + rhs;
  if (expr.getKind() == AffineExprKind::Mul)
    return lhs * rhs;
  AffineExpr quotient = divide(expr.getKind(), lhs, rhs);
  if (quotient.getKind() == expr.getKind())
    result.add({quotient}, 1); // A new atom.
  else
    result = get(quotient);
  return result;
}

Polynomial Polynomial::operator+(const Polynomial &other) const {
  Polynomial result = *this;
  result.isPoisoned |= other.isPoisoned;
  for (const auto &[monomial, coefficient] : other.terms)
    result.add(monomial, coefficient);
  return result;
}

Polynomial Polynomial::operator-(const Polynomial &other) const {
  Polynomial result = *this;
  result.isPoisoned |= other.isPoisoned;
  for (const auto &[monomial, coefficient] : other.terms)
    result.add(monomial, result.multiply(coefficient, -1));
  return result;
}

Polynomial Polynomial::operator*(const Polynomial &other) const {
  Polynomial result(context);
  result.isPoisoned = isPoisoned || other.isPoisoned;
  for (const auto &[left, leftCoefficient] : terms)
    for (const auto &[right, rightCoefficient] : other.terms) {
      Monomial product = left;
      product.append(right.begin(), right.end());
      llvm::sort(product, [](AffineExpr a, AffineExpr b) {
        return compareExprs(a, b) < 0;
      });
      result.add(product, result.multiply(leftCoefficient, rightCoefficient));
    }
  return result;
}

std::optional<int64_t> Polynomial::getConstant() const {
  if (isPoisoned)
    return std::nullopt;
  if (terms.empty())
    return 0;
  if (terms.size() == 1 && terms.begin()->first.empty())
    return terms.begin()->second;
  return std::nullopt;
}

/// `a / b` as multisets of atoms.
static std::optional<Polynomial::Monomial>
divideMonomials(const Polynomial::Monomial &a, const Polynomial::Monomial &b) {
  Polynomial::Monomial rest = a;
  for (AffineExpr atom : b) {
    auto *found = llvm::find(rest, atom);
    if (found == rest.end())
      return std::nullopt;
    rest.erase(found);
  }
  return rest;
}

std::optional<Polynomial>
Polynomial::divideExactly(const Polynomial &divisor) const {
  if (divisor.terms.empty() || isPoisoned || divisor.isPoisoned)
    return std::nullopt;
  const auto &[leading, factor] = *divisor.terms.begin();
  Polynomial rest = *this, quotient(context);
  while (!rest.terms.empty()) {
    const auto &[monomial, coefficient] = *rest.terms.begin();
    std::optional<Monomial> part = divideMonomials(monomial, leading);
    // The lowest number over -1 has no quotient.
    if (!part || coefficient == INT64_MIN || coefficient % factor != 0 ||
        rest.isPoisoned)
      return std::nullopt;
    Polynomial term(context);
    term.add(*part, coefficient / factor);
    quotient = quotient + term;
    rest = rest - term * divisor;
  }
  return quotient;
}

/// Whether an atom can be told to be at least zero.
static bool isAtomNonNegative(AffineExpr atom) {
  auto binary = dyn_cast<AffineBinaryOpExpr>(atom);
  if (!binary)
    return true;
  return Polynomial::get(binary.getRHS()).isAtLeast(0) &&
         (atom.getKind() == AffineExprKind::Mod ||
          Polynomial::get(binary.getLHS()).isAtLeast(0));
}

bool Polynomial::isAtLeast(int64_t bound) const {
  if (isPoisoned)
    return false;
  int64_t lowest = 0;
  for (const auto &[monomial, coefficient] : terms) {
    if (monomial.empty())
      lowest = coefficient; // There is one such term.
    else if (coefficient < 0 || !llvm::all_of(monomial, isAtomNonNegative))
      return false;
  }
  return lowest >= bound;
}

AffineExpr Polynomial::toExpr() const {
  AffineExpr sum = getAffineConstantExpr(0, context);
  for (const auto &[monomial, coefficient] : terms) {
    AffineExpr product = getAffineConstantExpr(1, context);
    for (AffineExpr atom : monomial)
      product = product * atom;
    sum = sum + product * coefficient;
  }
  return sum;
}

AffineExpr lathe::graph::canonicalizeSize(AffineExpr expr) {
  return Polynomial::get(expr).toExpr();
}

bool lathe::graph::isSameSize(AffineExpr a, AffineExpr b) {
  return a == b || Polynomial::get(a) == Polynomial::get(b);
}

bool lathe::graph::isSizeAtLeast(AffineExpr expr, int64_t bound) {
  return Polynomial::get(expr).isAtLeast(bound);
}

AffineExpr lathe::graph::getProduct(MLIRContext *context,
                                    ArrayRef<AffineExpr> sizes) {
  Polynomial product = Polynomial::constant(context, 1);
  for (AffineExpr size : sizes)
    product = product * Polynomial::get(size);
  return product.toExpr();
}

AffineExpr lathe::graph::divideExactly(AffineExpr a, AffineExpr b) {
  std::optional<Polynomial> quotient =
      Polynomial::get(a).divideExactly(Polynomial::get(b));
  return quotient ? quotient->toExpr() : AffineExpr();
}
