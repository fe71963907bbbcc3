// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bytes arrive as they were sent: inputs, outputs into memory of the model or
// of the caller, parts of buffers.

#include "runtime/conformance/conformance.h"

namespace lathe::test {
namespace {

using bundle::DType;

TEST_P(Conformance, InputsPassThroughAsCopies) {
  TestBundle b;
  uint32_t x = b.input("x", DType::F32, {b.symbol("n")});
  b.output("y", x);
  b.output("again", x);
  LoadedModel loaded = load(std::move(b));
  for (size_t n : {0, 1, 5, 4097}) {
    Tensor<float> input = {{int64_t(n)}, std::vector<float>(n)};
    std::iota(input.data.begin(), input.data.end(), -3.f);
    ResultsPtr results = runModel(loaded, {input.view()});
    for (size_t i : {0, 1}) {
      const lathe_tensor_t *out = lathe_results_tensor(results.get(), i);
      EXPECT_EQ(elements<float>(*out), input.data);
      if (n)
        EXPECT_NE(out->data, input.data.data());
    }
  }
}

TEST_P(Conformance, ResultsOutliveTheNextRun) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), y = ramp(9, 100);
  ResultsPtr first = runModel(loaded, {x.view(), x.view()});
  ResultsPtr second = runModel(loaded, {y.view(), y.view()});
  EXPECT_EQ(elements<float>(*lathe_results_tensor(first.get(), 0)),
            expected(x, x));
  EXPECT_EQ(elements<float>(*lathe_results_tensor(second.get(), 0)),
            expected(y, y));
}

TEST_P(Conformance, WritesIntoTheCallersBuffers) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), y = ramp(9, 5);
  // An address that suits the dtype and nothing more.
  std::vector<float> room(9 * 5 + 2, -1.f);
  Tensor<float> shape = ramp(9, 0);
  lathe_tensor_t inputs[] = {x.view(), y.view()}, output = shape.view();
  output.data = room.data() + 1;
  EXPECT_EQ(take(lathe_model_run_into(loaded.model.get(), nullptr, 2, inputs, 1,
                                      &output)),
            "");
  EXPECT_EQ(std::vector<float>(room.begin() + 1, room.end() - 1),
            expected(x, y));
  EXPECT_EQ(room.front(), -1.f);
  EXPECT_EQ(room.back(), -1.f);
}

TEST_P(Conformance, PartsOfBuffersAreOutputs) {
  LoadedModel loaded = load(partsOfBuffers());
  Tensor<float> input = {{3, 4}, std::vector<float>(12)};
  std::iota(input.data.begin(), input.data.end(), 0.f);
  ResultsPtr results = runModel(loaded, {input.view()});
  std::vector<float> twice;
  for (float value : input.data)
    twice.push_back(2 * value);
  auto result = [&](size_t i) {
    return elements<float>(*lathe_results_tensor(results.get(), i));
  };
  EXPECT_EQ(result(0), std::vector<float>(twice.begin() + 8, twice.end()));
  EXPECT_EQ(result(1), twice);
  EXPECT_EQ(result(2), twice);
  EXPECT_EQ(result(3), input.data);
}

TEST_P(Conformance, TensorsInMemoryOfTheDevice) {
  LoadedModel loaded = load(addAndScale());
  auto info = LATHE_INIT(lathe_model_info_t);
  ASSERT_EQ(take(lathe_model_info(loaded.model.get(), &info)), "");
  Tensor<float> x = ramp(9, 1), y = ramp(9, 5);
  constexpr size_t size = 45 * sizeof(float);
  // In place, and where only the dtype's alignment is given.
  for (size_t offset : {0, 4}) {
    lathe_buffer_t *in = nullptr, *out = nullptr;
    ASSERT_EQ(take(lathe_buffer_create(loaded.model.get(), 64 + size, &in)),
              "");
    ASSERT_EQ(take(lathe_buffer_create(loaded.model.get(), 64 + size, &out)),
              "");
    EXPECT_EQ(take(lathe_buffer_write(in, offset, y.data.data(), size)), "");
    lathe_tensor_t inputs[] = {x.view(), y.view()}, output = y.view();
    for (lathe_tensor_t *tensor : {&inputs[1], &output}) {
      lathe_buffer_t *buffer = tensor == &output ? out : in;
      tensor->data = static_cast<char *>(lathe_buffer_data(buffer)) + offset;
      tensor->memory = info.memory;
      tensor->device_index = info.device_index;
    }
    EXPECT_EQ(take(lathe_model_run_into(loaded.model.get(), nullptr, 2, inputs,
                                        1, &output)),
              "");
    std::vector<float> result(45);
    EXPECT_EQ(take(lathe_buffer_read(out, offset, result.data(), size)), "");
    EXPECT_EQ(result, expected(x, y));
    EXPECT_NE(take(lathe_buffer_read(out, 65, result.data(), size)), "");
    lathe_buffer_destroy(in);
    lathe_buffer_destroy(out);
  }
}

} // namespace
} // namespace lathe::test
