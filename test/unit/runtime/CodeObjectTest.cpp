// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// runtime/device/cpu: the code loader and CPU features.

#include "TestBundle.h"
#include "runtime/device/cpu/code_object.h"
#include "runtime/device/cpu/features.h"

#include <cstring>
#include <elf.h>
#include <gtest/gtest.h>
#include <random>

namespace lathe::test {
namespace {

std::string loadMessage(const Bytes &bytes) {
  rt::CodeObject code;
  rt::Status status = code.load(bytes.data(), bytes.size());
  return status.message();
}

TEST(CodeObject, RunsCodeWithDataAndImports) {
  Bytes bytes = compileC(R"(
    float sinf(float);
    void *memcpy(void *, const void *, unsigned long);
    static const char *const names[] = {"zero", "one", "two"};
    int third(int i) { return names[i][2]; }
    float wave(float x) { return sinf(x); }
    void copy(char *to, const char *from, unsigned long n) {
      memcpy(to, from, n);
    }
    static int counter = 40;
    int count(void) { return ++counter; }
    int hidden_zero[100];
    int zero(int i) { return hidden_zero[i]; })");
  rt::CodeObject code;
  ASSERT_EQ(std::string(code.load(bytes.data(), bytes.size()).message()), "");
  auto third =
      reinterpret_cast<int (*)(int)>(const_cast<void *>(code.find("third")));
  ASSERT_TRUE(third);
  EXPECT_EQ(third(2), 'o');
  auto wave =
      reinterpret_cast<float (*)(float)>(const_cast<void *>(code.find("wave")));
  EXPECT_NEAR(wave(1), 0.841471, 1e-6);
  auto count =
      reinterpret_cast<int (*)()>(const_cast<void *>(code.find("count")));
  EXPECT_EQ(count(), 41);
  EXPECT_EQ(count(), 42);
  auto zero =
      reinterpret_cast<int (*)(int)>(const_cast<void *>(code.find("zero")));
  EXPECT_EQ(zero(99), 0);
  EXPECT_EQ(code.find("hidden_zero"), nullptr); // No function.
  EXPECT_EQ(code.find("absent"), nullptr);
}

TEST(CodeObject, RefusesWhatKernelsDoNotNeed) {
  EXPECT_EQ(loadMessage(compileC("int system(const char *);"
                                 "int f(void) { return system(\"id\"); }",
                                 "-nostdlib -Wl,--unresolved-symbols=ignore-"
                                 "all")),
            "the code object calls 'system', which the runtime does not "
            "provide");
  EXPECT_EQ(loadMessage(compileC("__thread int x; int *f(void) { return &x; }",
                                 "-nostdlib -Wl,--unresolved-symbols=ignore-"
                                 "all")),
            "malformed code object: it has thread-local storage");
  EXPECT_EQ(loadMessage(compileC("volatile int x; __attribute__((constructor))"
                                 "void f(void) { x = 1; }")),
            "malformed code object: it has initializers");
  EXPECT_EQ(loadMessage({}), "malformed code object: too short");
  Bytes other = commonKernels();
  other[18] = 183; // e_machine: AArch64
  EXPECT_EQ(loadMessage(other),
            "malformed code object: no x86-64 shared object");
}

TEST(CodeObject, DamageNeverCrashes) {
  const Bytes &good = commonKernels();
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) {
    Bytes bytes = good;
    if (i % 4 == 0)
      bytes.resize(random() % bytes.size());
    // Most of a file is code and padding: aim at headers and tables.
    for (unsigned flips = 1 + random() % 4; flips && !bytes.empty(); --flips) {
      size_t range = random() % 2 ? bytes.size() : 1024;
      bytes[random() % std::min(range, bytes.size())] =
          static_cast<uint8_t>(random());
    }
    rt::CodeObject code;
    if (!code.load(bytes.data(), bytes.size()).failed())
      code.find("add");
  }
}

// The symbols are read after the code has been protected.
TEST(CodeObject, SegmentsStayReadable) {
  Bytes bytes = commonKernels();
  Elf64_Ehdr header;
  memcpy(&header, bytes.data(), sizeof(header));
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    size_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
    Elf64_Phdr segment;
    memcpy(&segment, bytes.data() + at, sizeof(segment));
    segment.p_flags &= ~uint32_t(PF_R);
    memcpy(bytes.data() + at, &segment, sizeof(segment));
  }
  rt::CodeObject code;
  EXPECT_EQ(std::string(code.load(bytes.data(), bytes.size()).message()), "");
  EXPECT_NE(code.find("add"), nullptr);
}

TEST(Features, KnowsThisMachine) {
  EXPECT_TRUE(rt::cpuHasFeature("sse2")); // Part of x86-64.
  EXPECT_FALSE(rt::cpuHasFeature("avx9000"));
  EXPECT_EQ(rt::cpuHasFeature("avx2"), bool(__builtin_cpu_supports("avx2")));
  EXPECT_EQ(rt::cpuHasFeature("fma"), bool(__builtin_cpu_supports("fma")));
  EXPECT_EQ(rt::cpuHasFeature("avx512f"),
            bool(__builtin_cpu_supports("avx512f")));
  EXPECT_EQ(rt::cpuHasFeature("avx512vnni"),
            bool(__builtin_cpu_supports("avx512vnni")));
}

} // namespace
} // namespace lathe::test
