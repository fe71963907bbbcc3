// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A step sees what the steps before it wrote, on the device and on the host.

#include "runtime/conformance/conformance.h"

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

} // namespace
} // namespace lathe::test
