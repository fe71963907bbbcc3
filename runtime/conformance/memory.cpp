// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every byte comes from the caller's allocator and goes back to it; each
// allocation may fail.

#include "runtime/conformance/conformance.h"

#include <atomic>

namespace lathe::test {
namespace {

struct Counts {
  std::atomic<int64_t> calls{0};
  std::atomic<int64_t> live{0};
  std::atomic<int64_t> limit{INT64_MAX};
  size_t largest = SIZE_MAX; ///< What is asked for beyond this is refused.
};

void *countedAllocate(void *context, size_t size, size_t alignment) {
  auto &counts = *static_cast<Counts *>(context);
  if (counts.calls.fetch_add(1) >= counts.limit || size > counts.largest)
    return nullptr;
  counts.live += static_cast<int64_t>(size);
  void *memory = nullptr;
  if (alignment < sizeof(void *))
    alignment = sizeof(void *);
  return posix_memalign(&memory, alignment, size) ? nullptr : memory;
}

void countedDeallocate(void *context, void *memory, size_t size, size_t) {
  static_cast<Counts *>(context)->live -= static_cast<int64_t>(size);
  free(memory);
}

TEST_P(Conformance, AllocatesNothingAfterTheFirstRun) {
  Counts counts;
  lathe_allocator_t allocator = {sizeof(allocator), countedAllocate,
                                 countedDeallocate, &counts};
  {
    AlignedBytes bytes(port(addAndScale()).write());
    auto bundleOptions = LATHE_INIT(lathe_bundle_options_t);
    lathe_model_options_t options = getOptions();
    bundleOptions.allocator = options.allocator = &allocator;
    options.num_threads = 2;
    LoadedModel loaded = load(addAndScale()); // Only for its owners.
    lathe_bundle_t *bundle = nullptr;
    lathe_model_t *model = nullptr;
    ASSERT_EQ(take(lathe_bundle_from_memory(bytes.data(), bytes.size(),
                                            &bundleOptions, &bundle)),
              "");
    loaded.model.reset();
    loaded.bundle.reset(bundle);
    ASSERT_EQ(take(lathe_model_create(bundle, &options, &model)), "");
    loaded.model.reset(model);
    Tensor<float> large = ramp(1000, 0), small = ramp(3, 0);
    EXPECT_EQ(runMessage(loaded, {large.view(), large.view()}), "");
    int64_t calls = counts.calls;
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(runMessage(loaded, {small.view(), small.view()}), "");
      EXPECT_EQ(runMessage(loaded, {large.view(), large.view()}), "");
    }
    EXPECT_EQ(counts.calls, calls);
    // The order of destruction is free: the model keeps the bundle.
    loaded.bundle.reset();
    ResultsPtr results = runModel(loaded, {small.view(), small.view()});
    loaded.model.reset();
    EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
              expected(small, small));
  }
  EXPECT_EQ(counts.live, 0);
}

TEST_P(Conformance, EveryAllocationMayFail) {
  AlignedBytes bytes(port(addAndScale()).write());
  bool done = false;
  for (int64_t limit = 0; !done; ++limit) {
    ASSERT_LT(limit, 500);
    Counts counts;
    counts.limit = limit;
    lathe_allocator_t allocator = {sizeof(allocator), countedAllocate,
                                   countedDeallocate, &counts};
    auto bundleOptions = LATHE_INIT(lathe_bundle_options_t);
    lathe_model_options_t options = getOptions();
    bundleOptions.allocator = options.allocator = &allocator;
    lathe_bundle_t *bundle = nullptr;
    lathe_model_t *model = nullptr;
    lathe_results_t *results = nullptr;
    Tensor<float> x = ramp(3, 0);
    lathe_tensor_t inputs[] = {x.view(), x.view()};
    lathe_status_t status = lathe_bundle_from_memory(bytes.data(), bytes.size(),
                                                     &bundleOptions, &bundle);
    if (!status)
      status = lathe_model_create(bundle, &options, &model);
    if (!status)
      status = lathe_model_run(model, nullptr, 2, inputs, &results);
    done = !status;
    EXPECT_EQ(lathe_status_code(status), done ? LATHE_OK : LATHE_OUT_OF_MEMORY);
    lathe_status_destroy(status);
    lathe_results_destroy(results);
    lathe_model_destroy(model);
    lathe_bundle_destroy(bundle);
    EXPECT_EQ(counts.live, 0);
  }
}

TEST_P(Conformance, AShapeThatNeedsTooMuchIsRefused) {
  // One element of input asks for 2^50 bytes of working memory.
  TestBundle b;
  int32_t n = b.symbol("n");
  int32_t big = b.binary(bundle::ExprOp::Mul, n, b.constant(int64_t(1) << 47));
  uint32_t x = b.input("x", bundle::DType::I64, {n});
  uint32_t y = b.transient(bundle::DType::I64, {big});
  b.launch(b.kernel("iota", 1, 1), n, {n}, {}, {y});
  b.output("x", x);
  b.output("y", y);
  Counts counts;
  counts.largest = size_t(1) << 30;
  lathe_allocator_t allocator = {sizeof(allocator), countedAllocate,
                                 countedDeallocate, &counts};
  lathe_model_options_t options = getOptions();
  options.allocator = &allocator;
  LoadedModel loaded = load(std::move(b));
  lathe_model_t *model = nullptr;
  ASSERT_EQ(take(lathe_model_create(loaded.bundle.get(), &options, &model)),
            "");
  loaded.model.reset(model);
  Tensor<int64_t> one = {{1}, {5}};
  lathe_tensor_t input = one.view();
  lathe_results_t *results = nullptr;
  lathe_status_t status =
      lathe_model_run(loaded.model.get(), nullptr, 1, &input, &results);
  EXPECT_EQ(lathe_status_code(status), LATHE_OUT_OF_MEMORY);
  EXPECT_NE(take(status), "");
  // What fits still runs.
  Tensor<int64_t> none = {{0}, {}};
  EXPECT_EQ(runMessage(loaded, {none.view()}), "");
  loaded.model.reset();
  EXPECT_EQ(counts.live, 0);
}

} // namespace
} // namespace lathe::test
