// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One model, many threads; many models, one device.

#include "runtime/conformance/conformance.h"

#include <atomic>
#include <thread>

namespace lathe::test {
namespace {

/// Runs of many shapes; counts those that go wrong.
void runShapes(const lathe_model_t *model, int thread,
               std::atomic<int> &wrong) {
  for (int i = 0; i < 300; ++i) {
    Tensor<float> x = ramp((i * 7 + thread * 31) % 50, float(thread)),
                  y = ramp(x.dims[0], 2);
    lathe_tensor_t inputs[] = {x.view(), y.view()};
    lathe_results_t *raw = nullptr;
    lathe_status_t status = lathe_model_run(model, nullptr, 2, inputs, &raw);
    ResultsPtr results(raw);
    if (status ||
        elements<float>(*lathe_results_tensor(raw, 0)) != expected(x, y))
      ++wrong;
    lathe_status_destroy(status);
  }
}

TEST_P(Conformance, ConcurrentRunsOfOneModel) {
  LoadedModel loaded = load(addAndScale(), /*threads=*/2);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] { runShapes(loaded.model.get(), t, wrong); });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(Conformance, ModelsComeAndGoWhileOthersRun) {
  LoadedModel loaded = load(addAndScale(), /*threads=*/2);
  std::atomic<int> wrong{0};
  std::thread runner([&] { runShapes(loaded.model.get(), 1, wrong); });
  lathe_model_options_t options = getOptions();
  options.num_threads = 3;
  for (int i = 0; i < 20; ++i) {
    lathe_model_t *other = nullptr;
    EXPECT_EQ(take(lathe_model_create(loaded.bundle.get(), &options, &other)),
              "");
    lathe_model_destroy(other);
  }
  runner.join();
  EXPECT_EQ(wrong, 0);
}

} // namespace
} // namespace lathe::test
