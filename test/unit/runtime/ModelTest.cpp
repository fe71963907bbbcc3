// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Models as objects: memory, threads, variants, profiles.

#include "TestModels.h"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>

namespace lathe::test {
namespace {

using bundle::DType;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

struct Counts {
  std::atomic<int64_t> calls{0};
  std::atomic<int64_t> live{0};
  std::atomic<int64_t> limit{INT64_MAX};
};

void *countedAllocate(void *context, size_t size, size_t alignment) {
  auto &counts = *static_cast<Counts *>(context);
  if (counts.calls.fetch_add(1) >= counts.limit)
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

TEST(Model, AllocatesNothingAfterTheFirstRun) {
  Counts counts;
  lathe_allocator_t allocator = {sizeof(allocator), countedAllocate,
                                 countedDeallocate, &counts};
  {
    AlignedBytes bytes(addAndScale().write());
    auto bundleOptions = LATHE_INIT(lathe_bundle_options_t);
    auto options = LATHE_INIT(lathe_model_options_t);
    bundleOptions.allocator = options.allocator = &allocator;
    options.num_threads = 2;
    LoadedModel loaded(addAndScale()); // Only for its owners.
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

TEST(Model, EveryAllocationMayFail) {
  AlignedBytes bytes(addAndScale().write());
  bool done = false;
  for (int64_t limit = 0; !done; ++limit) {
    ASSERT_LT(limit, 500);
    Counts counts;
    counts.limit = limit;
    lathe_allocator_t allocator = {sizeof(allocator), countedAllocate,
                                   countedDeallocate, &counts};
    auto bundleOptions = LATHE_INIT(lathe_bundle_options_t);
    auto options = LATHE_INIT(lathe_model_options_t);
    bundleOptions.allocator = options.allocator = &allocator;
    options.num_threads = 1;
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

//===----------------------------------------------------------------------===//
// Threads, variants, profiles
//===----------------------------------------------------------------------===//

TEST(Model, ConcurrentRunsOfOneModel) {
  LoadedModel loaded(addAndScale(), /*threads=*/2);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) {
        Tensor<float> x = ramp((i * 7 + t * 31) % 50, float(t)),
                      y = ramp(x.dims[0], 2);
        lathe_tensor_t inputs[] = {x.view(), y.view()};
        lathe_results_t *raw = nullptr;
        lathe_status_t status =
            lathe_model_run(loaded.model.get(), nullptr, 2, inputs, &raw);
        ResultsPtr results(raw);
        if (status ||
            elements<float>(*lathe_results_tensor(raw, 0)) != expected(x, y))
          ++wrong;
        lathe_status_destroy(status);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Model, SaysWhyNoVariantFits) {
  TestBundle b = addAndScale();
  b.variant().features = {"sse2", "avx9000", "teleport"};
  AlignedBytes bytes(b.write());
  lathe_bundle_t *bundle = nullptr;
  ASSERT_EQ(take(lathe_bundle_from_memory(bytes.data(), bytes.size(), nullptr,
                                          &bundle)),
            "");
  BundlePtr owner(bundle);
  lathe_model_t *model = nullptr;
  lathe_status_t status = lathe_model_create(bundle, nullptr, &model);
  EXPECT_EQ(lathe_status_code(status), LATHE_INCOMPATIBLE);
  EXPECT_EQ(take(status),
            "bundle: no variant fits this machine; there are: x86 'baseline' "
            "(lacking here: avx9000, teleport)");
  auto options = LATHE_INIT(lathe_model_options_t);
  options.device = "abacus";
  EXPECT_EQ(take(lathe_model_create(bundle, &options, &model)),
            "bundle: no device 'abacus'; there are: 'cpu'");
}

TEST(Model, PicksTheHighestRankOrTheOneAskedFor) {
  TestBundle b = addAndScale();
  // The second variant calls `scale` for both kernels' names: another result.
  b.manifest.variants.emplace_back(new bundle::VariantT(b.variant()));
  b.manifest.variants[1]->level = "better";
  b.manifest.variants[1]->rank = 5;
  LoadedModel loaded(b);
  auto info = LATHE_INIT(lathe_model_info_t);
  ASSERT_EQ(take(lathe_model_info(loaded.model.get(), &info)), "");
  EXPECT_EQ(info.variant, 1u);
  EXPECT_STREQ(info.device, "cpu");
  auto options = LATHE_INIT(lathe_model_options_t);
  options.variant = "baseline";
  lathe_model_t *model = nullptr;
  ASSERT_EQ(take(lathe_model_create(loaded.bundle.get(), &options, &model)),
            "");
  ModelPtr owner(model);
  ASSERT_EQ(take(lathe_model_info(model, &info)), "");
  EXPECT_EQ(info.variant, 0u);
  options.variant = "none";
  EXPECT_NE(take(lathe_model_create(loaded.bundle.get(), &options, &model)),
            "");
}

TEST(Model, GuardStopsKernelsThatLeaveTheirOperands) {
  auto options = LATHE_INIT(lathe_model_options_t);
  options.num_threads = 1;
  options.guard = 1;
  auto run = [&](int64_t excess) {
    TestBundle b = addAndScale();
    bundle::LaunchT &add = *b.program().steps[0]->body.AsLaunch();
    add.scalars[0] =
        b.binary(bundle::ExprOp::Add, add.scalars[0], b.constant(excess));
    LoadedModel loaded(b);
    lathe_model_t *model = nullptr;
    EXPECT_EQ(take(lathe_model_create(loaded.bundle.get(), &options, &model)),
              "");
    loaded.model.reset(model);
    Tensor<float> x = ramp(3, 1); // 15 elements of the 16 of a program.
    ResultsPtr results = runModel(loaded, {x.view(), x.view()});
    return elements<float>(*lathe_results_tensor(results.get(), 0)) ==
           expected(x, x);
  };
  EXPECT_TRUE(run(0));
  EXPECT_DEATH(run(1), "");
}

TEST(Model, RefusesUnknownBuiltins) {
  TestBundle b;
  int32_t one = b.constant(1);
  uint32_t x = b.input("x", DType::F32, {one});
  uint32_t y = b.transient(DType::F32, {one});
  b.builtin("divine", {x}, {y});
  b.output("y", y);
  AlignedBytes bytes(b.write());
  lathe_bundle_t *bundle = nullptr;
  ASSERT_EQ(take(lathe_bundle_from_memory(bytes.data(), bytes.size(), nullptr,
                                          &bundle)),
            "");
  BundlePtr owner(bundle);
  lathe_model_t *model = nullptr;
  EXPECT_EQ(take(lathe_model_create(bundle, nullptr, &model)),
            "bundle: entry 'main': step 0 ('divine'): this runtime has no "
            "built-in 'divine'");
}

TEST(Model, Profiles) {
  TestBundle b = addAndScale();
  b.program().steps[0]->body.AsLaunch()->flops = 0; // n
  LoadedModel loaded(b);
  lathe_profile_t *profile = nullptr;
  ASSERT_EQ(take(lathe_profile_create(nullptr, &profile)), "");
  ProfilePtr owner(profile);
  auto options = LATHE_INIT(lathe_run_options_t);
  options.profile = profile;
  Tensor<float> x = ramp(20, 0);
  lathe_tensor_t inputs[] = {x.view(), x.view()};
  for (int i = 0; i < 2; ++i) {
    lathe_results_t *results = nullptr;
    ASSERT_EQ(take(lathe_model_run(loaded.model.get(), &options, 2, inputs,
                                   &results)),
              "");
    lathe_results_destroy(results);
  }
  auto info = LATHE_INIT(lathe_profile_info_t);
  ASSERT_EQ(take(lathe_profile_info(profile, &info)), "");
  EXPECT_EQ(info.num_steps, 2u);
  EXPECT_GT(info.total_ns, 0u);
  EXPECT_GE(info.arena_bytes, 800u);
  auto step = LATHE_INIT(lathe_profile_step_t);
  ASSERT_EQ(take(lathe_profile_step(profile, 0, &step)), "");
  EXPECT_STREQ(step.label, "add");
  EXPECT_STREQ(step.kernel, "add");
  EXPECT_EQ(step.flops, 20);
  EXPECT_EQ(step.bytes, 3 * 400);
  EXPECT_EQ(step.programs, 7);
  ASSERT_EQ(take(lathe_profile_step(profile, 1, &step)), "");
  EXPECT_EQ(step.flops, -1);
  EXPECT_NE(take(lathe_profile_step(profile, 2, &step)), "");
}

} // namespace
} // namespace lathe::test
