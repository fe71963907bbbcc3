// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Launches: each program once, at every size, with operands and scalars in
// their places.

#include "runtime/conformance/conformance.h"

namespace lathe::test {
namespace {

using bundle::DType;
using bundle::ExprOp;

TEST_P(Conformance, RunsAnyShape) {
  LoadedModel loaded = load(addAndScale());
  ASSERT_TRUE(loaded.model);
  for (int64_t n : {7, 1, 0, 100, 20000, 7}) {
    Tensor<float> x = ramp(n, 1), y = ramp(n, -2);
    ResultsPtr results = runModel(loaded, {x.view(), y.view()});
    ASSERT_EQ(lathe_results_count(results.get()), 1u);
    const lathe_tensor_t &out = *lathe_results_tensor(results.get(), 0);
    EXPECT_EQ(out.rank, 2u);
    EXPECT_EQ(out.dims[0], n);
    EXPECT_EQ(elements<float>(out), expected(x, y));
    EXPECT_EQ(lathe_results_tensor(results.get(), 1), nullptr);
  }
}

TEST_P(Conformance, AGridHasThreeDims) {
  // 3 * 2 * 2 programs: all of them, whatever the order.
  TestBundle b;
  int32_t n = b.constant(12 * 16);
  uint32_t z = b.transient(DType::I64, {n});
  auto &launch = b.launch(b.kernel("iota", 1, 1), n, {n}, {}, {z});
  launch.choices[0]->grid = {b.constant(3), b.constant(2), b.constant(2)};
  b.output("z", z);
  LoadedModel loaded = load(std::move(b));
  ResultsPtr results = runModel(loaded, {});
  std::vector<int64_t> all(12 * 16);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(elements<int64_t>(*lathe_results_tensor(results.get(), 0)), all);
}

TEST_P(Conformance, ConstantsAreOperands) {
  LoadedModel loaded = load(addConstant());
  Tensor<float> input = {{4}, {1, 2, 3, 4}};
  ResultsPtr results = runModel(loaded, {input.view()});
  EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
            (std::vector<float>{11, 22, 33, 44}));
}

TEST_P(Conformance, GuardStopsKernelsThatLeaveTheirOperands) {
  if (!GetParam().canGuard)
    GTEST_SKIP() << "the vendor's tools do this";
  lathe_model_options_t options = getOptions();
  options.guard = 1;
  auto run = [&](int64_t excess) {
    TestBundle b = addAndScale();
    bundle::LaunchT &add = *b.program().steps[0]->body.AsLaunch();
    add.scalars[0] = b.binary(ExprOp::Add, add.scalars[0], b.constant(excess));
    LoadedModel loaded = load(std::move(b));
    lathe_model_t *model = nullptr;
    EXPECT_EQ(take(lathe_model_create(loaded.bundle.get(), &options, &model)),
              "");
    loaded.model.reset(model);
    Tensor<float> x = ramp(3, 1); // 15 elements of the 16 of a program.
    return runMessage(loaded, {x.view(), x.view()});
  };
  EXPECT_EQ(run(0), "");
  EXPECT_EQ(run(1), "launch 'add': kernel 'add': it touches byte 60 of operand "
                    "0, which has 60 and is read");
  EXPECT_EQ(run(0), "");
}

} // namespace
} // namespace lathe::test
