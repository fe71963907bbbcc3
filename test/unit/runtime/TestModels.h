// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model that several tests run.

#ifndef LATHE_TEST_UNIT_RUNTIME_TESTMODELS_H
#define LATHE_TEST_UNIT_RUNTIME_TESTMODELS_H

#include "TestBundle.h"

#include <gtest/gtest.h>
#include <numeric>

namespace lathe::test {

/// y = (x + other) * 3 over [n, 5], both inputs.
inline TestBundle addAndScale() {
  TestBundle b;
  int32_t n = b.symbol("n"), five = b.constant(5);
  int32_t count = b.binary(bundle::ExprOp::Mul, n, five);
  int32_t programs = b.binary(bundle::ExprOp::CeilDiv, count, b.constant(16));
  uint32_t x = b.input("x", bundle::DType::F32, {n, five});
  uint32_t other = b.input("other", bundle::DType::F32, {n, five});
  uint32_t sum = b.transient(bundle::DType::F32, {n, five});
  uint32_t y = b.transient(bundle::DType::F32, {n, five});
  uint32_t add = b.kernel("add", 3, 1), scale = b.kernel("scale", 2, 2);
  b.launch(add, programs, {count}, {x, other}, {sum}, "add");
  b.launch(scale, programs, {count, b.constant(3)}, {sum}, {y}, "scale");
  b.output("y", y);
  return b;
}

inline Tensor<float> ramp(int64_t n, float first) {
  Tensor<float> tensor = {{n, 5}, std::vector<float>(size_t(n * 5))};
  std::iota(tensor.data.begin(), tensor.data.end(), first);
  return tensor;
}

inline std::vector<float> expected(const Tensor<float> &x,
                                   const Tensor<float> &y) {
  std::vector<float> result;
  for (size_t i = 0; i < x.data.size(); ++i)
    result.push_back((x.data[i] + y.data[i]) * 3);
  return result;
}

/// The message of a run of the model, whose results are thrown away.
inline std::string runMessage(const LoadedModel &loaded,
                              std::vector<lathe_tensor_t> inputs) {
  lathe_results_t *raw = nullptr;
  std::string message = take(lathe_model_run(
      loaded.model.get(), nullptr, inputs.size(), inputs.data(), &raw));
  lathe_results_destroy(raw);
  return message;
}

inline ResultsPtr runModel(const LoadedModel &loaded,
                           std::vector<lathe_tensor_t> inputs) {
  lathe_results_t *raw = nullptr;
  EXPECT_EQ(take(lathe_model_run(loaded.model.get(), nullptr, inputs.size(),
                                 inputs.data(), &raw)),
            "");
  return ResultsPtr(raw);
}

} // namespace lathe::test

#endif // LATHE_TEST_UNIT_RUNTIME_TESTMODELS_H
