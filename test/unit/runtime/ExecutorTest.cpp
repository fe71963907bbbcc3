// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// runtime/exec through the C API.

#include "TestModels.h"

#include <gtest/gtest.h>
#include <numeric>

namespace lathe::test {
namespace {

using bundle::DType;
using bundle::ExprOp;

TEST(Executor, RefusesBuffersThatDoNotFit) {
  LoadedModel loaded(addAndScale());
  Tensor<float> x = ramp(9, 1), y = ramp(9, 5), out = ramp(9, 0);
  lathe_tensor_t inputs[] = {x.view(), y.view()}, output = out.view();
  auto runInto = [&] {
    return take(lathe_model_run_into(loaded.model.get(), nullptr, 2, inputs, 1,
                                     &output));
  };
  int64_t dims[] = {9, 6};
  output.dims = dims;
  EXPECT_EQ(runInto(),
            "output 'y': dim 1 is 5, and that of the buffer for it 6");
  output.rank = 1;
  EXPECT_EQ(runInto(), "output 'y' has rank 2, and the buffer for it 1");
  output = out.view();
  output.dtype = LATHE_DTYPE_I32;
  EXPECT_EQ(runInto(), "output 'y' is f32, and the buffer for it i32");
  output = out.view();
  output.data = reinterpret_cast<char *>(out.data.data()) + 1;
  EXPECT_EQ(runInto(), "output 'y': its buffer is not aligned to 4 bytes");
  output.data = nullptr;
  EXPECT_EQ(runInto(), "output 'y': no buffer was given");
  EXPECT_EQ(take(lathe_model_run_into(loaded.model.get(), nullptr, 2, inputs, 3,
                                      nullptr)),
            "3 buffers were given for 1 outputs");
}

TEST(Executor, ChecksInputs) {
  LoadedModel loaded(addAndScale());
  Tensor<float> x = ramp(2, 0), y = ramp(3, 0);
  EXPECT_EQ(runMessage(loaded, {x.view(), y.view()}),
            "input 'other': dim 0 ('n') is 3, but dim 0 of input 'x' made 'n' "
            "2");
  EXPECT_EQ(runMessage(loaded, {x.view()}),
            "entry 'main' takes 2 inputs and was given 1");
  lathe_tensor_t wrong = x.view();
  wrong.dtype = LATHE_DTYPE_F64;
  EXPECT_EQ(runMessage(loaded, {x.view(), wrong}),
            "input 'other' is f64 instead of f32");
  wrong = x.view();
  wrong.rank = 1;
  EXPECT_EQ(runMessage(loaded, {x.view(), wrong}),
            "input 'other' has rank 1 instead of 2");
  Tensor<float> narrow = {{2, 4}, std::vector<float>(8)};
  EXPECT_EQ(runMessage(loaded, {x.view(), narrow.view()}),
            "input 'other': dim 1 is 4 instead of 5");
  Tensor<float> negative = {{-1, 5}, {}};
  EXPECT_EQ(runMessage(loaded, {negative.view(), x.view()}),
            "input 'x': dim 0 is -1");
  wrong = x.view();
  wrong.data = nullptr;
  EXPECT_EQ(runMessage(loaded, {wrong, x.view()}), "input 'x' has no data");
  Tensor<float> huge = {{int64_t(1) << 62, 5}, {}};
  EXPECT_EQ(runMessage(loaded, {huge.view(), huge.view()}),
            "input 'x': its size overflows");
}

TEST(Executor, ComputedDimsOfInputs) {
  TestBundle b;
  int32_t n = b.symbol("n");
  int32_t next = b.binary(ExprOp::Add, n, b.constant(1));
  b.input("x", DType::F32, {n});
  uint32_t y = b.input("y", DType::F32, {next});
  b.output("y_again", y);
  LoadedModel loaded(b);
  Tensor<float> x = {{3}, {1, 2, 3}}, good = {{4}, {1, 2, 3, 4}};
  ResultsPtr results = runModel(loaded, {x.view(), good.view()});
  const lathe_tensor_t *out = lathe_results_tensor(results.get(), 0);
  EXPECT_EQ(elements<float>(*out), good.data);
  EXPECT_NE(out->data, good.data.data()); // A copy: results own their memory.
  EXPECT_EQ(runMessage(loaded, {x.view(), x.view()}),
            "input 'y': dim 0 is 3 and should be n + 1 (n = 3)");
}

TEST(Executor, ChecksAliases) {
  LoadedModel loaded(partsOfBuffers());
  // With no rows the tail would begin before its source.
  Tensor<float> empty = {{0, 4}, {}};
  EXPECT_EQ(runMessage(loaded, {empty.view()}),
            "buffer 3: 4 elements at -4 exceed their source of 0");
}

TEST(Executor, ChecksConditions) {
  TestBundle b = addAndScale();
  int32_t room = b.binary(ExprOp::Add, b.constant(8),
                          b.binary(ExprOp::Mul, 0, b.constant(-1)));
  b.check({room}, "n must be at most 8");
  LoadedModel loaded(b);
  Tensor<float> x = ramp(8, 0), y = ramp(9, 0);
  EXPECT_EQ(runMessage(loaded, {x.view(), x.view()}), "");
  EXPECT_EQ(runMessage(loaded, {y.view(), y.view()}),
            "n must be at most 8 (n = 9)");
  EXPECT_EQ(runMessage(loaded, {x.view(), x.view()}), "");
}

TEST(Executor, TakesTheFirstKernelThatFits) {
  // scale by 2 for n >= 10, by 3 for n >= 5, none below.
  TestBundle b;
  int32_t n = b.symbol("n"), one = b.constant(1);
  int32_t programs = b.binary(ExprOp::CeilDiv, n, b.constant(16));
  uint32_t x = b.input("x", DType::F32, {n});
  uint32_t y = b.transient(DType::F32, {n});
  b.code = compileC(R"(
    #define KERNEL(name, factor) \
      void name(void *const *b, const long *s, const long *grid, long begin, \
                long end) { \
        (void)grid; (void)begin; (void)end; \
        for (long i = 0; i < s[0]; ++i) \
          ((float *)b[1])[i] = factor * ((float *)b[0])[i]; \
      }
    KERNEL(twice, 2) KERNEL(thrice, 3))");
  uint32_t twice = b.kernel("twice", 2, 1), thrice = b.kernel("thrice", 2, 1);
  bundle::LaunchT &launch = b.launch(twice, one, {n}, {x}, {y}, "pick");
  (void)programs;
  launch.choices[0]->conditions = {b.binary(ExprOp::Add, n, b.constant(-10))};
  launch.choices.emplace_back(new bundle::ChoiceT(*launch.choices[0]));
  launch.choices[1]->kernel = thrice;
  launch.choices[1]->conditions = {b.binary(ExprOp::Add, n, b.constant(-5))};
  b.output("y", y);
  LoadedModel loaded(b);
  for (int64_t size : {10, 5, 12, 9}) {
    Tensor<float> input = {{size}, std::vector<float>(size_t(size), 1.f)};
    ResultsPtr results = runModel(loaded, {input.view()});
    EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
              std::vector<float>(size_t(size), size >= 10 ? 2.f : 3.f));
  }
  Tensor<float> four = {{4}, std::vector<float>(4)};
  EXPECT_EQ(runMessage(loaded, {four.view()}),
            "launch 'pick': no kernel takes these sizes (n = 4)");
}

TEST(Executor, ChecksSizesFromData) {
  LoadedModel loaded(sizesFromData());
  Tensor<int64_t> bad = {{2}, {1, -3}};
  EXPECT_EQ(runMessage(loaded, {bad.view()}),
            "the run computed -3 for 'count', a size");
  bad.data[1] = int64_t(1) << 61;
  EXPECT_NE(runMessage(loaded, {bad.view()}), "");

  int64_t dims[LATHE_MAX_RANK];
  uint32_t rank;
  lathe_tensor_t shape = bad.view();
  ASSERT_EQ(take(lathe_model_output_shape(loaded.model.get(), 0, 1, &shape, 1,
                                          dims, &rank)),
            "");
  EXPECT_EQ(rank, 2u);
  EXPECT_EQ(dims[0], 1);
  EXPECT_EQ(dims[1], -1);
}

TEST(Executor, ChecksSizesOfConstants) {
  TestBundle b = addConstant();
  b.program().buffers[1]->dims = {b.constant(5)};
  LoadedModel larger(b);
  Tensor<float> input = {{4}, {1, 2, 3, 4}};
  EXPECT_EQ(runMessage(larger, {input.view()}),
            "buffer 1: 20 bytes of a constant that has 16");
}

TEST(Executor, OverflowIsAnError) {
  TestBundle b;
  int32_t n = b.symbol("n");
  int32_t big = b.binary(ExprOp::Mul, n, b.constant(int64_t(1) << 62));
  int32_t none = b.binary(ExprOp::FloorDiv, n, b.constant(0));
  uint32_t x = b.input("x", DType::F32, {n});
  uint32_t y = b.transient(DType::F32, {big});
  uint32_t z = b.transient(DType::F32, {none});
  b.launch(b.kernel("scale", 2, 2), n, {n, n}, {x}, {y});
  b.output("y", y);
  {
    LoadedModel loaded(b);
    Tensor<float> input = {{4}, {1, 2, 3, 4}};
    EXPECT_EQ(runMessage(loaded, {input.view()}),
              "buffer 1: a dim overflows (n = 4)");
  }
  b.program().steps[0]->body.AsLaunch()->writes = {z};
  b.program().outputs = {z};
  LoadedModel loaded(b);
  Tensor<float> input = {{4}, {1, 2, 3, 4}};
  EXPECT_EQ(runMessage(loaded, {input.view()}),
            "buffer 2: a dim divides by a number that is not positive (n = 4)");
}

} // namespace
} // namespace lathe::test
