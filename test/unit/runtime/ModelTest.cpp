// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Models as objects: variants, built-ins, profiles. What each device must do is
// in runtime/conformance.

#include "TestModels.h"

#include <gtest/gtest.h>

// Structs without struct_size: another size needs another SONAME.
static_assert(sizeof(lathe_tensor_t) == 32 && sizeof(lathe_dim_t) == 16,
              "the ABI of programs that are built already");

namespace lathe::test {
namespace {

using bundle::DType;

TEST(Model, SaysWhyNoVariantFits) {
  TestBundle b = addAndScale();
  b.variant().features = {"sse2", "avx9000", "teleport"};
  OpenedBundle opened(b);
  EXPECT_EQ(take(createModel(opened)),
            "bundle: no variant fits this machine; there are: x86 'baseline' "
            "(lacking here: avx9000, teleport)");
  auto options = LATHE_INIT(lathe_model_options_t);
  options.device = "abacus";
  EXPECT_EQ(take(createModel(opened, &options)),
            "bundle: no device 'abacus'; there are: 'cuda', 'hip', "
            "'cpu'");
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
  EXPECT_NE(take(createModel(loaded, &options)), "");
}

TEST(Model, RefusesUnknownBuiltins) {
  TestBundle b;
  int32_t one = b.constant(1);
  uint32_t x = b.input("x", DType::F32, {one});
  uint32_t y = b.transient(DType::F32, {one});
  b.builtin("divine", {x}, {y});
  b.output("y", y);
  EXPECT_EQ(take(createModel(OpenedBundle(b))),
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
