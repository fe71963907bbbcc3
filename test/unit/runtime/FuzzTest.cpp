// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Damaged bundles: each is refused with a message or still gives right results.
// LATHE_FUZZ_ITERATIONS sets how many (default 4000); the seed is fixed.

#include "TestBundle.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace lathe::test {
namespace {

using namespace bundle;

int numIterations() {
  const char *text = getenv("LATHE_FUZZ_ITERATIONS");
  return text ? atoi(text) : 4000;
}

/// Something of everything, so that damage finds every check.
TestBundle everything() {
  TestBundle b;
  int32_t n = b.symbol("n"), two = b.constant(2);
  int32_t found = b.symbol("found"), count = b.symbol("count");
  int32_t total = b.binary(ExprOp::Mul, n, two);
  int32_t programs = b.binary(ExprOp::CeilDiv, total, b.constant(16));
  uint32_t x = b.input("x", DType::F32, {n, two});
  uint32_t size = b.input("size", DType::I64, {two});
  float values[64] = {1, 2, 3};
  uint32_t w = b.weight(DType::F32, {b.constant(64)}, values, sizeof(values));
  uint32_t sum = b.transient(DType::F32, {n, two});
  uint32_t flat = b.alias(sum, DType::F32, {total}, b.constant(0));
  uint32_t where = b.transient(DType::I64, {two, found});
  uint32_t list = b.transient(DType::I64, {count});
  b.check({n, b.binary(ExprOp::Max, n, two)}, "n is fine");
  b.launch(b.kernel("add", 3, 1), programs, {total}, {x, x}, {sum}, "first");
  b.launch(b.kernel("scale", 2, 2), b.constant(1), {two, two}, {w}, {sum});
  BuiltinCallT &call = b.builtin("nonzero", {sum}, {where}, {1});
  setOption(call, "axis", int64_t(-1));
  setOption(call, "list", std::vector<int64_t>{1, 2});
  b.bind(2, size, 1);
  b.launch(b.kernel("iota", 1, 1),
           b.binary(ExprOp::CeilDiv, count, b.constant(16)), {count}, {},
           {list});
  b.output("flat", flat);
  b.output("where", where);
  b.output("list", list);
  b.variant().features = {"sse2"};
  return b;
}

class Damage {
public:
  explicit Damage(uint32_t seed) : random(seed) {}

  void apply(Bytes &bytes, size_t begin) {
    for (unsigned i = 1 + random() % 3; i; --i)
      damageOnce(bytes, begin);
  }

private:
  size_t place(const Bytes &bytes, size_t begin) {
    begin = begin < bytes.size() ? begin : 0;
    return begin + random() % (bytes.size() - begin);
  }

  void damageOnce(Bytes &bytes, size_t begin) {
    if (bytes.size() < 16)
      return;
    size_t at = place(bytes, begin);
    switch (random() % 5) {
    case 0: // A bit.
      bytes[at] ^= static_cast<uint8_t>(1u << random() % 8);
      break;
    case 1: // A byte that is often interesting.
      bytes[at] = std::array<uint8_t, 4>{0, 1, 0x7F, 0xFF}[random() % 4];
      break;
    case 2: { // A word.
      const uint32_t words[] = {0, 1, 0x7FFFFFFF, 0xFFFFFFFF,
                                static_cast<uint32_t>(random())};
      uint32_t word = words[random() % 5];
      memcpy(bytes.data() + std::min(at, bytes.size() - 4), &word, 4);
      break;
    }
    case 3: // The end is lost.
      if (random() % 4 == 0)
        bytes.resize(at);
      break;
    default: { // A splice.
      size_t from = place(bytes, begin), length = random() % 64;
      length = std::min({length, bytes.size() - from, bytes.size() - at});
      memmove(bytes.data() + at, bytes.data() + from, length);
    }
    }
  }

  std::mt19937 random;
};

/// Opens a damaged file; runs it only if `run`.
bool tryFile(const Bytes &bytes, bool run) {
  AlignedBytes aligned(bytes);
  auto options = LATHE_INIT(lathe_bundle_options_t);
  options.verify = LATHE_VERIFY_ALL;
  lathe_bundle_t *rawBundle = nullptr;
  lathe_status_t status = lathe_bundle_from_memory(
      aligned.data(), aligned.size(), &options, &rawBundle);
  BundlePtr bundle(rawBundle);
  lathe_model_t *rawModel = nullptr;
  auto modelOptions = LATHE_INIT(lathe_model_options_t);
  modelOptions.num_threads = 1;
  if (!status)
    status = lathe_model_create(rawBundle, &modelOptions, &rawModel);
  ModelPtr model(rawModel);
  if (!status && run) {
    Tensor<float> x = {{3, 2}, {0, 1, 2, 0, 4, 5}};
    Tensor<int64_t> size = {{2}, {0, 5}};
    lathe_tensor_t inputs[] = {x.view(), size.view()};
    lathe_results_t *results = nullptr;
    status = lathe_model_run(rawModel, nullptr, 2, inputs, &results);
    if (!status)
      EXPECT_EQ(elements<float>(*lathe_results_tensor(results, 0)),
                (std::vector<float>{2, 4, 4, 0, 8, 10}));
    lathe_results_destroy(results);
  }
  bool refused = status != nullptr;
  if (refused)
    EXPECT_STRNE(lathe_status_message(status), "");
  lathe_status_destroy(status);
  return refused;
}

TEST(Fuzz, DamagedFilesAreRefused) {
  Bytes good = everything().write();
  ASSERT_FALSE(tryFile(good, true));
  for (int i = 0; i < numIterations(); ++i) {
    Bytes bytes = good;
    Damage(static_cast<uint32_t>(i)).apply(bytes, 0);
    if (bytes != good)
      EXPECT_TRUE(tryFile(bytes, true)) << "seed " << i;
  }
}

// With its hash mended, a damaged manifest reaches the checks behind it.
// Kernels are not run: code that was told wrong sizes by an honest hash may do
// anything.
TEST(Fuzz, DamagedManifestsWithRightHashes) {
  Bytes good = everything().write();
  Header header;
  memcpy(&header, good.data(), sizeof(header));
  int refused = 0;
  for (int i = 0; i < numIterations(); ++i) {
    Bytes bytes = good;
    Damage(static_cast<uint32_t>(i)).apply(bytes, header.manifestOffset);
    uint64_t size = bytes.size() > header.manifestOffset
                        ? bytes.size() - header.manifestOffset
                        : 0;
    if (bytes.size() < sizeof(header))
      continue;
    memcpy(bytes.data() + offsetof(Header, manifestSize), &size, sizeof(size));
    rehashManifest(bytes.data(), bytes.size());
    refused += tryFile(bytes, false);
  }
  EXPECT_GT(refused, numIterations() / 10);
}

} // namespace
} // namespace lathe::test
