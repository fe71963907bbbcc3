// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A step sees what the steps before it wrote, on the device and on the host.

#include "runtime/conformance/conformance.h"

#include <algorithm>

namespace lathe::test {
namespace {

using bundle::DType;
using bundle::ExprOp;

TEST_P(Conformance, StepsSeeThoseBefore) {
  // Forty doublings, each from one buffer to another and back.
  TestBundle b;
  int32_t n = b.symbol("n");
  int32_t programs = b.binary(ExprOp::CeilDiv, n, b.constant(16));
  uint32_t kernel = b.kernel("add", 3, 1);
  uint32_t from = b.input("x", DType::F32, {n});
  for (int i = 0; i < 40; ++i) {
    uint32_t to = b.transient(DType::F32, {n});
    b.launch(kernel, programs, {n}, {from, from}, {to});
    from = to;
  }
  b.output("y", from);
  LoadedModel loaded = load(std::move(b), /*threads=*/4);
  for (int64_t size : {1, 1000, 100000}) {
    Tensor<float> x = {{size}, std::vector<float>(size_t(size), 1.f)};
    ResultsPtr results = runModel(loaded, {x.view()});
    EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
              std::vector<float>(size_t(size), 0x1p40f));
  }
}

TEST_P(Conformance, TheHostReadsWhatTheDeviceWrote) {
  LoadedModel loaded = load(sizesFromData());
  for (int64_t n : {5, 1, 0, 4000, 5}) {
    Tensor<int64_t> input = {{2}, {99, n}};
    ResultsPtr results = runModel(loaded, {input.view()});
    std::vector<int64_t> all(static_cast<size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(elements<int64_t>(*lathe_results_tensor(results.get(), 0)), all);
    if (!all.empty())
      all.erase(all.begin());
    EXPECT_EQ(elements<int64_t>(*lathe_results_tensor(results.get(), 1)), all);
  }
}

std::vector<float> times(const std::vector<float> &x, float factor) {
  std::vector<float> result;
  for (float value : x)
    result.push_back(value * factor);
  return result;
}

TEST_P(Conformance, BranchesAndLoops) {
  LoadedModel loaded = load(branchAndLoop());
  ASSERT_TRUE(loaded.model);
  for (int64_t n : {3, 0, 40})
    for (int64_t count : {2, 0, 1, 9, -1})
      for (uint8_t flag : {0, 1}) {
        Tensor<float> x = {{n}, std::vector<float>(size_t(n), 1.5f)};
        Tensor<uint8_t> flags = {{}, {flag}};
        Tensor<int64_t> counts = {{}, {count}};
        lathe_tensor_t condition = flags.view();
        condition.dtype = LATHE_DTYPE_BOOL;
        ResultsPtr results =
            runModel(loaded, {x.view(), condition, counts.view()});
        ASSERT_TRUE(results);
        int64_t steps = std::clamp<int64_t>(count, 0, 6);
        EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
                  times(x.data, flag ? 2 : 3));
        EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 1)),
                  times(x.data, float(steps)));
        const lathe_tensor_t &all = *lathe_results_tensor(results.get(), 2);
        EXPECT_EQ(all.dims[0], steps);
        EXPECT_EQ(all.dims[1], n);
        std::vector<float> expected;
        for (int64_t i = 0; i < steps; ++i)
          for (float value : times(x.data, float(i)))
            expected.push_back(value);
        EXPECT_EQ(elements<float>(all), expected);
      }
}

} // namespace
} // namespace lathe::test
