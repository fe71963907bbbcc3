// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// runtime/exec through the C API.

#include "TestBundle.h"

#include <gtest/gtest.h>
#include <numeric>

namespace lathe::test {
namespace {

using bundle::DType;
using bundle::ExprOp;

/// y = (x + w) * 3 over [n, 5], w constant.
TestBundle addAndScale() {
  TestBundle b;
  int32_t n = b.symbol("n"), five = b.constant(5);
  int32_t count = b.binary(ExprOp::Mul, n, five);
  int32_t programs = b.binary(ExprOp::CeilDiv, count, b.constant(16));
  uint32_t x = b.input("x", DType::F32, {n, five});
  uint32_t other = b.input("other", DType::F32, {n, five});
  uint32_t sum = b.transient(DType::F32, {n, five});
  uint32_t y = b.transient(DType::F32, {n, five});
  uint32_t add = b.kernel("add", 3, 1), scale = b.kernel("scale", 2, 2);
  b.launch(add, programs, {count}, {x, other}, {sum}, "add");
  b.launch(scale, programs, {count, b.constant(3)}, {sum}, {y}, "scale");
  b.output("y", y);
  return b;
}

Tensor<float> ramp(int64_t n, float first) {
  Tensor<float> tensor = {{n, 5}, std::vector<float>(size_t(n * 5))};
  std::iota(tensor.data.begin(), tensor.data.end(), first);
  return tensor;
}

std::vector<float> expected(const Tensor<float> &x, const Tensor<float> &y) {
  std::vector<float> result;
  for (size_t i = 0; i < x.data.size(); ++i)
    result.push_back((x.data[i] + y.data[i]) * 3);
  return result;
}

TEST(Executor, RunsAnyShape) {
  LoadedModel loaded(addAndScale());
  ASSERT_TRUE(loaded.model);
  for (int64_t n : {7, 1, 0, 100, 7}) {
    Tensor<float> x = ramp(n, 1), y = ramp(n, -2);
    lathe_tensor_t inputs[] = {x.view(), y.view()};
    lathe_results_t *raw = nullptr;
    ASSERT_EQ(
        take(lathe_model_run(loaded.model.get(), nullptr, 2, inputs, &raw)),
        "");
    ResultsPtr results(raw);
    ASSERT_EQ(lathe_results_count(raw), 1u);
    const lathe_tensor_t &out = *lathe_results_tensor(raw, 0);
    EXPECT_EQ(out.rank, 2u);
    EXPECT_EQ(out.dims[0], n);
    EXPECT_EQ(elements<float>(out), expected(x, y));
    EXPECT_EQ(lathe_results_tensor(raw, 1), nullptr);
  }
}

} // namespace
} // namespace lathe::test
