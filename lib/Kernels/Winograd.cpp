// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// With x the point and E_k(x^2) the product over the other pairs, the
// polynomial that vanishes at all samples but +-p_k is x (x +- p_k) E_k(x^2):
// its even and its odd part are shared by both. Samples are in the order 0,
// +p_0, -p_0, +p_1, -p_1, .., infinity.

#include "lib/Kernels/Winograd.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

Winograd::Winograd(int64_t outputs) {
  assert((outputs == 2 || outputs == 4) && "no points for other tiles");
  if (outputs == 2)
    points = {1.0};
  else
    points = {0.75, 1.5};
  for (double point : points)
    squares.push_back(point * point);
}

SmallVector<double> Winograd::getPolynomial(size_t except) const {
  SmallVector<double> coefficients{1.0};
  for (auto [i, square] : llvm::enumerate(squares)) {
    if (i == except)
      continue;
    coefficients.insert(coefficients.begin(), 0.0);
    for (size_t j = 0; j + 1 < coefficients.size(); ++j)
      coefficients[j] -= square * coefficients[j + 1];
  }
  return coefficients;
}

SmallVector<double> Winograd::transformFilter(ArrayRef<double> g) const {
  SmallVector<double> samples{g[0] / getPolynomial().front()};
  for (auto [k, square] : llvm::enumerate(squares)) {
    double scale = 2.0 * square, power = 1.0, others = 0.0;
    for (double coefficient : getPolynomial(k)) {
      others += coefficient * power;
      power *= square;
    }
    double even = g[0] + square * g[2], odd = points[k] * g[1];
    samples.push_back((even + odd) / (scale * others));
    samples.push_back((even - odd) / (scale * others));
  }
  samples.push_back(g[2]);
  return samples;
}

/// The sum of coefficient times value, the values being those of `from` at
/// `first` and every second from there.
static Value combine(ImplicitLocOpBuilder &b, ArrayRef<double> coefficients,
                     ValueRange from, size_t first, double scale = 1.0) {
  auto type = cast<RankedTensorType>(from.front().getType());
  auto splat = [&](double value) -> Value {
    Attribute element = b.getFloatAttr(type.getElementType(), value);
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, element));
  };
  Value sum;
  // From the highest on: its coefficient is 1 where there is no scale.
  for (size_t i = coefficients.size(); i-- > 0;) {
    double coefficient = coefficients[i] * scale;
    Value value = from[first + 2 * i];
    if (sum)
      sum = math::FmaOp::create(b, value, splat(coefficient), sum);
    else if (coefficient == 1.0)
      sum = value;
    else
      sum = arith::MulFOp::create(b, value, splat(coefficient));
  }
  return sum;
}

SmallVector<Value> Winograd::transformInput(ImplicitLocOpBuilder &b,
                                            ValueRange d) const {
  SmallVector<double> all = getPolynomial();
  SmallVector<Value> samples{combine(b, all, d, 0)};
  for (size_t k = 0; k < points.size(); ++k) {
    SmallVector<double> others = getPolynomial(k);
    Value even = combine(b, others, d, 2);
    Value odd = combine(b, others, d, 1, points[k]);
    samples.push_back(arith::AddFOp::create(b, even, odd));
    samples.push_back(arith::SubFOp::create(b, even, odd));
  }
  samples.push_back(combine(b, all, d, 1));
  return samples;
}

SmallVector<Value> Winograd::transformOutput(ImplicitLocOpBuilder &b,
                                             ValueRange s) const {
  // The even outputs weigh the sums of a pair with even powers of its point,
  // the odd ones the differences with odd powers.
  SmallVector<Value> sums, differences, outputs;
  for (size_t k = 0; k < points.size(); ++k) {
    Value plus = s[1 + 2 * k], minus = s[2 + 2 * k];
    // combine() steps over every second value.
    sums.append(2, arith::AddFOp::create(b, plus, minus));
    differences.append(2, arith::SubFOp::create(b, plus, minus));
  }
  SmallVector<double> powers(points.size(), 1.0);
  for (int64_t i = 0; i < getOutputs(); ++i) {
    Value y = combine(b, powers, i % 2 ? differences : sums, 0);
    if (i == 0)
      y = arith::AddFOp::create(b, y, s.front());
    if (i + 1 == getOutputs())
      y = arith::AddFOp::create(b, y, s.back());
    outputs.push_back(y);
    for (auto [power, point] : llvm::zip_equal(powers, points))
      power *= point;
  }
  return outputs;
}
