// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Compensation.h"

#include "llvm/ADT/SmallVector.h"
#include "gtest/gtest.h"

#include <cmath>
#include <random>

using namespace lathe;

namespace {

using Matrix = std::vector<float>;

void roundRow(llvm::MutableArrayRef<float> row) {
  for (float &value : row)
    value = std::nearbyint(value);
}

/// E[(x . (a - b))^2] summed over columns, for inputs of these moments.
double getProductError(const Matrix &a, const Matrix &b, const Matrix &moments,
                       int64_t k, int64_t n) {
  double error = 0.0;
  for (int64_t column = 0; column < n; ++column)
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < k; ++j)
        error += moments[i * k + j] * (a[i * n + column] - b[i * n + column]) *
                 (a[j * n + column] - b[j * n + column]);
  return error;
}

/// Moments of inputs that are mixtures of `rank` signals.
Matrix makeMoments(int64_t k, int64_t rank, std::mt19937 &random) {
  std::normal_distribution<float> normal;
  Matrix mixture(k * rank), moments(k * k);
  for (float &value : mixture)
    value = normal(random);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j)
      for (int64_t r = 0; r < rank; ++r)
        moments[i * k + j] += mixture[i * rank + r] * mixture[j * rank + r];
  return moments;
}

TEST(CompensationTest, ProductsErrLess) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  constexpr int64_t k = 48, n = 7;
  Matrix moments = makeMoments(k, 12, random), weight(k * n);
  for (float &value : weight)
    value = 4 * normal(random);
  Matrix nearest = weight, compensated = weight;
  roundRow(nearest);
  auto compensation = Compensation::create(moments, k);
  ASSERT_TRUE(bool(compensation));
  std::vector<bool> seen(k);
  compensation->run(compensated, n, [&](int64_t row, auto values) {
    EXPECT_FALSE(seen[row]);
    seen[row] = true;
    roundRow(values);
  });
  for (float value : compensated)
    EXPECT_EQ(value, std::nearbyint(value));
  EXPECT_LT(getProductError(compensated, weight, moments, k, n),
            0.3 * getProductError(nearest, weight, moments, k, n));
}

TEST(CompensationTest, IndependentInputsRoundToNearest) {
  constexpr int64_t k = 5;
  Matrix moments(k * k), weight{0.4f, 1.6f, -2.3f, 0.0f, 7.2f};
  for (int64_t i = 0; i < k; ++i)
    moments[i * k + i] = float(i);
  auto compensation = Compensation::create(moments, k);
  ASSERT_TRUE(bool(compensation));
  std::vector<int64_t> order;
  compensation->run(weight, 1, [&](int64_t row, auto values) {
    order.push_back(row);
    roundRow(values);
  });
  EXPECT_EQ(order, (std::vector<int64_t>{4, 3, 2, 1, 0}));
  EXPECT_EQ(weight, (Matrix{0.0f, 2.0f, -2.0f, 0.0f, 7.0f}));
  // And a hundredth of the mean, 2.
  EXPECT_FLOAT_EQ(compensation->getWeights()[0], 0.02f);
  EXPECT_FLOAT_EQ(compensation->getWeights()[3], 3.02f);
}

TEST(CompensationTest, RefusesWhatAreNoMoments) {
  auto getError = [](Matrix moments, int64_t k) {
    auto created = Compensation::create(moments, k);
    return created ? "" : llvm::toString(created.takeError());
  };
  EXPECT_EQ(getError({1.0f, 2.0f}, 2),
            "the moments of the inputs do not fit the weight");
  EXPECT_EQ(getError({1.0f, 5.0f, 5.0f, 1.0f}, 2),
            "the moments of the inputs are not positive");
  EXPECT_EQ(getError({NAN}, 1),
            "the moments of the inputs are no finite squares");
  EXPECT_EQ(getError({0.0f}, 1), "");
  EXPECT_EQ(getError({}, 0), "");
}

} // namespace
