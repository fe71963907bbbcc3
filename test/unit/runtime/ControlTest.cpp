// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Steps that run entries: what they compute, and what is refused.

#include "TestModels.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace lathe::test {
namespace {

using bundle::DType;

TEST(Control, InternalEntriesAreHidden) {
  LoadedModel loaded(branchAndLoop());
  ASSERT_TRUE(loaded.model);
  auto info = LATHE_INIT(lathe_bundle_info_t);
  EXPECT_EQ(take(lathe_bundle_info(loaded.bundle.get(), &info)), "");
  EXPECT_EQ(info.num_entries, 1u);
  size_t index;
  EXPECT_NE(
      take(lathe_bundle_find_entry(loaded.bundle.get(), "entry1", &index)), "");
  auto options = LATHE_INIT(lathe_run_options_t);
  options.entry = 1;
  lathe_results_t *raw = nullptr;
  EXPECT_EQ(
      take(lathe_model_run(loaded.model.get(), &options, 0, nullptr, &raw)),
      "entry 1 of 1");
}

std::string open(const TestBundle &bundle) {
  AlignedBytes bytes(bundle.write());
  lathe_bundle_t *raw = nullptr;
  std::string message =
      take(lathe_bundle_from_memory(bytes.data(), bytes.size(), nullptr, &raw));
  lathe_bundle_destroy(raw);
  return message;
}

bundle::CallT &callOf(TestBundle &b) {
  return *b.program().steps[1]->body.AsCall();
}

bundle::LoopT &loopOf(TestBundle &b) {
  return *b.program().steps[3]->body.AsLoop();
}

/// Opens the model after `damage` and expects `part` in the message.
void expectRefusal(void (*damage)(TestBundle &), const std::string &part) {
  TestBundle b = branchAndLoop();
  damage(b);
  std::string message = open(b);
  EXPECT_NE(message.find(part), std::string::npos)
      << "expected: " << part << "\ngot: " << message;
}

TEST(Control, RefusesCallsThatDoNotFit) {
  expectRefusal([](TestBundle &b) { callOf(b).callees[0]->entry = 9; },
                "entry 9 is out of range");
  expectRefusal([](TestBundle &b) { callOf(b).callees[0]->entry = 0; },
                "entry 0 is not internal, or does not stand after its caller");
  expectRefusal([](TestBundle &b) { callOf(b).callees.clear(); },
                "it has no callee");
  expectRefusal([](TestBundle &b) { callOf(b).symbols.clear(); },
                "is given 0 symbols instead of 1");
  expectRefusal([](TestBundle &b) { callOf(b).reads.push_back(0); },
                "takes 1 inputs and gives 1 outputs instead of 2 and 1");
  expectRefusal([](TestBundle &b) { callOf(b).reads[0] = 99; },
                "buffer 99 is out of range");
  expectRefusal([](TestBundle &b) { callOf(b).reads[0] = 2; },
                "differs in dtype or rank from 'in'");
  expectRefusal([](TestBundle &b) { callOf(b).writes[0] = 0; },
                "buffer 0 is read-only");
  expectRefusal([](TestBundle &b) { callOf(b).callees[0]->conditions = {2}; },
                "uses a symbol that is not bound yet");
}

TEST(Control, RefusesLoopsThatDoNotFit) {
  expectRefusal([](TestBundle &b) { loopOf(b).body = 1; },
                "takes 1 inputs and gives 1 outputs instead of 3 and 3");
  expectRefusal([](TestBundle &b) { loopOf(b).count = 0; },
                "buffer 0 is of the wrong dtype");
  expectRefusal([](TestBundle &b) { loopOf(b).condition = 77; },
                "buffer 77 is out of range");
  expectRefusal([](TestBundle &b) { loopOf(b).writes.clear(); },
                "1 carried values, 1 reads, 0 writes");
  expectRefusal([](TestBundle &b) { loopOf(b).binds = {1}; }, "is bound twice");
  expectRefusal(
      [](TestBundle &b) {
        b.manifest.entries[3]->outputs[0]->dtype = DType::I8;
      },
      "");
}

TEST(Control, RefusesEntriesThatDoNotFit) {
  expectRefusal([](TestBundle &b) { b.manifest.entries[1]->given = 7; },
                "a caller cannot give it 7 symbols");
  expectRefusal([](TestBundle &b) { b.manifest.entries[0]->given = 1; },
                "a caller cannot give it 1 symbols");
  expectRefusal([](TestBundle &b) { b.manifest.entries[1]->internal = false; },
                "");
}

/// Each of `depth` entries runs the next one `times` times.
TestBundle tower(uint32_t depth, uint32_t times) {
  TestBundle b;
  uint32_t flag = b.input("flag", DType::I64, {});
  for (uint32_t i = 0; i < depth; ++i) {
    for (uint32_t c = 0; i + 1 < depth && c < times; ++c)
      b.call({{i + 1, {}}}, {}, {flag}, {});
    if (i + 1 < depth) {
      b.beginEntry(0);
      flag = b.input("flag", DType::I64, {});
    }
  }
  b.current = 0;
  return b;
}

/// A manifest with right hashes and wrong bytes opens as a model or is refused.
/// (Nothing runs: a loop may have become an endless one.)
TEST(Control, DamageIsRefusedOrHarmless) {
  Bytes good = branchAndLoop().write();
  uint64_t begin;
  memcpy(&begin, good.data() + 8, sizeof(begin));
  std::mt19937 random(11);
  for (int i = 0; i < 4000; ++i) {
    AlignedBytes bytes(good);
    for (unsigned n = 1 + random() % 3; n; --n) {
      uint8_t *at = bytes.data() + begin + random() % (good.size() - begin);
      *at =
          random() % 2 ? uint8_t(random()) : uint8_t(*at ^ 1u << random() % 8);
    }
    rehashManifest(bytes.data(), good.size());
    lathe_bundle_t *raw = nullptr;
    lathe_status_t status =
        lathe_bundle_from_memory(bytes.data(), good.size(), nullptr, &raw);
    BundlePtr bundle(raw);
    lathe_model_t *model = nullptr;
    if (!status)
      status = lathe_model_create(raw, nullptr, &model);
    lathe_model_destroy(model);
    if (status)
      EXPECT_STRNE(lathe_status_message(status), "");
    lathe_status_destroy(status);
  }
}

TEST(Control, LimitsNesting) {
  EXPECT_EQ(open(tower(64, 1)), "");
  EXPECT_NE(open(tower(65, 1)), "");
  EXPECT_EQ(open(tower(11, 2)), "");
  EXPECT_NE(open(tower(13, 2)), "");
}

TEST(Control, WrongShapesOfCalleesAreErrors) {
  TestBundle b = branchAndLoop();
  // The branch gives one element less than its caller expects.
  b.current = 1;
  int32_t less = b.binary(bundle::ExprOp::Add, 0, b.constant(-1));
  b.program().buffers[1]->dims = {less};
  b.entry().outputs[0]->dims = {less};
  b.current = 0;
  LoadedModel loaded(b);
  ASSERT_TRUE(loaded.model);
  Tensor<float> x = {{3}, {1, 2, 3}};
  Tensor<uint8_t> flag = {{}, {1}};
  Tensor<int64_t> count = {{}, {1}};
  lathe_tensor_t condition = flag.view();
  condition.dtype = LATHE_DTYPE_BOOL;
  EXPECT_EQ(runMessage(loaded, {x.view(), condition, count.view()}),
            "call 'branch': output 'out': dim 0 is 2, and that of the buffer "
            "for it 3");
}

} // namespace
} // namespace lathe::test
