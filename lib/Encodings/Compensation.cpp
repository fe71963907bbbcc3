// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Compensation.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <numeric>

using namespace lathe;

static llvm::Error refuse(const char *why) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), why);
}

/// Factors the symmetric matrix `a` of size n as R R^T with R upper triangular,
/// in place. False if it is not positive.
static bool factorBackwards(std::vector<double> &a, int64_t n) {
  std::vector<double> column(n);
  for (int64_t j = n - 1; j >= 0; --j) {
    double pivot = a[j * n + j];
    if (!(pivot > 0.0))
      return false;
    double root = std::sqrt(pivot);
    a[j * n + j] = root;
    for (int64_t i = 0; i < j; ++i)
      column[i] = a[i * n + j] /= root;
    // What is left of the matrix, its part on and above the diagonal.
    for (int64_t i = 0; i < j; ++i) {
      double factor = column[i];
      double *row = &a[i * n];
      for (int64_t m = i; m < j; ++m)
        row[m] -= factor * column[m];
    }
  }
  return true;
}

/// Inverts an upper triangular matrix in place.
static void invertUpper(std::vector<double> &r, int64_t n) {
  std::vector<double> row(n);
  for (int64_t i = n - 1; i >= 0; --i) {
    double inverse = 1.0 / r[i * n + i];
    std::fill(row.begin() + i, row.end(), 0.0);
    row[i] = inverse;
    for (int64_t m = i + 1; m < n; ++m) {
      double factor = -inverse * r[i * n + m];
      const double *below = &r[m * n];
      for (int64_t j = m; j < n; ++j)
        row[j] += factor * below[j];
    }
    std::copy(row.begin() + i, row.end(), r.begin() + i * n + i);
  }
}

llvm::Expected<Compensation> Compensation::create(llvm::ArrayRef<float> moments,
                                                  int64_t k) {
  if (static_cast<int64_t>(moments.size()) != k * k)
    return refuse("the moments of the inputs do not fit the weight");
  Compensation result;
  double trace = 0.0;
  for (int64_t i = 0; i < k; ++i) {
    result.weights.push_back(moments[i * k + i]);
    trace += moments[i * k + i];
  }
  if (!llvm::all_of(moments, [](float x) { return std::isfinite(x); }) ||
      trace < 0.0)
    return refuse("the moments of the inputs are no finite squares");
  // What was never seen is no reason to round it anyhow: in a group of such
  // inputs all errors would weigh nothing.
  double damping = trace == 0.0 ? 1.0 : 0.01 * trace / static_cast<double>(k);
  for (float &weight : result.weights)
    weight += static_cast<float>(damping);
  result.order.resize(k);
  std::iota(result.order.begin(), result.order.end(), 0);
  llvm::stable_sort(result.order, [&](int64_t a, int64_t b) {
    return result.weights[a] > result.weights[b];
  });
  std::vector<double> matrix(k * k);
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < k; ++j)
      matrix[i * k + j] = moments[result.order[i] * k + result.order[j]];
    matrix[i * k + i] += damping;
  }
  if (!factorBackwards(matrix, k))
    return refuse("the moments of the inputs are not positive");
  invertUpper(matrix, k);
  result.spread.resize(k * k);
  result.residuals.resize(k);
  for (int64_t i = 0; i < k; ++i) {
    double pivot = matrix[i * k + i];
    result.residuals[result.order[i]] =
        static_cast<float>(1.0 / (pivot * pivot));
    for (int64_t j = i + 1; j < k; ++j)
      result.spread[i * k + j] = static_cast<float>(matrix[i * k + j] / pivot);
  }
  return result;
}

void Compensation::run(
    llvm::MutableArrayRef<float> values, int64_t columns,
    llvm::function_ref<void(int64_t, llvm::MutableArrayRef<float>)> round)
    const {
  int64_t k = order.size();
  std::vector<float> error(columns);
  for (int64_t i = 0; i < k; ++i) {
    auto row = values.slice(order[i] * columns, columns);
    llvm::copy(row, error.begin());
    round(order[i], row);
    for (int64_t n = 0; n < columns; ++n)
      error[n] -= row[n];
    for (int64_t j = i + 1; j < k; ++j) {
      float factor = spread[i * k + j];
      float *later = &values[order[j] * columns];
      for (int64_t n = 0; n < columns; ++n)
        later[n] -= factor * error[n];
    }
  }
}
