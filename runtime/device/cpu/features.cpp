// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/cpu/features.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lathe::rt {

#if defined(__x86_64__)

namespace {
enum Register : uint8_t { EAX, EBX, ECX, EDX };

/// Registers that the system must save (bits of XCR0).
enum SystemState : uint32_t { Any = 0, Ymm = 0x6, Zmm = 0xE6, Tile = 0x60000 };

struct Feature {
  const char *name;
  uint32_t leaf;
  uint32_t subleaf;
  Register reg;
  uint8_t bit;
  SystemState state;
};
} // namespace

// Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E.
static constexpr Feature features[] = {
    {"sse3", 1, 0, ECX, 0, Any},
    {"pclmul", 1, 0, ECX, 1, Any},
    {"ssse3", 1, 0, ECX, 9, Any},
    {"fma", 1, 0, ECX, 12, Ymm},
    {"cx16", 1, 0, ECX, 13, Any},
    {"sse4.1", 1, 0, ECX, 19, Any},
    {"sse4.2", 1, 0, ECX, 20, Any},
    {"movbe", 1, 0, ECX, 22, Any},
    {"popcnt", 1, 0, ECX, 23, Any},
    {"aes", 1, 0, ECX, 25, Any},
    {"xsave", 1, 0, ECX, 26, Any},
    {"avx", 1, 0, ECX, 28, Ymm},
    {"f16c", 1, 0, ECX, 29, Ymm},
    {"cx8", 1, 0, EDX, 8, Any},
    {"cmov", 1, 0, EDX, 15, Any},
    {"mmx", 1, 0, EDX, 23, Any},
    {"fxsr", 1, 0, EDX, 24, Any},
    {"sse", 1, 0, EDX, 25, Any},
    {"sse2", 1, 0, EDX, 26, Any},
    {"bmi", 7, 0, EBX, 3, Any},
    {"avx2", 7, 0, EBX, 5, Ymm},
    {"bmi2", 7, 0, EBX, 8, Any},
    {"avx512f", 7, 0, EBX, 16, Zmm},
    {"avx512dq", 7, 0, EBX, 17, Zmm},
    {"adx", 7, 0, EBX, 19, Any},
    {"avx512ifma", 7, 0, EBX, 21, Zmm},
    {"avx512cd", 7, 0, EBX, 28, Zmm},
    {"sha", 7, 0, EBX, 29, Any},
    {"avx512bw", 7, 0, EBX, 30, Zmm},
    {"avx512vl", 7, 0, EBX, 31, Zmm},
    {"avx512vbmi", 7, 0, ECX, 1, Zmm},
    {"avx512vbmi2", 7, 0, ECX, 6, Zmm},
    {"gfni", 7, 0, ECX, 8, Any},
    {"vaes", 7, 0, ECX, 9, Ymm},
    {"vpclmulqdq", 7, 0, ECX, 10, Ymm},
    {"avx512vnni", 7, 0, ECX, 11, Zmm},
    {"avx512bitalg", 7, 0, ECX, 12, Zmm},
    {"avx512vpopcntdq", 7, 0, ECX, 14, Zmm},
    {"amx-bf16", 7, 0, EDX, 22, Tile},
    {"avx512fp16", 7, 0, EDX, 23, Zmm},
    {"amx-tile", 7, 0, EDX, 24, Tile},
    {"amx-int8", 7, 0, EDX, 25, Tile},
    {"avxvnni", 7, 1, EAX, 4, Ymm},
    {"avx512bf16", 7, 1, EAX, 5, Zmm},
    {"amx-fp16", 7, 1, EAX, 21, Tile},
    {"avxifma", 7, 1, EAX, 23, Ymm},
    {"avxvnniint8", 7, 1, EDX, 4, Ymm},
    {"avxneconvert", 7, 1, EDX, 5, Ymm},
    {"lahf_lm", 0x80000001, 0, ECX, 0, Any},
    {"sahf", 0x80000001, 0, ECX, 0, Any},
    {"lzcnt", 0x80000001, 0, ECX, 5, Any},
    {"prfchw", 0x80000001, 0, ECX, 8, Any},
    {"64bit", 0x80000001, 0, EDX, 29, Any},
};

static uint64_t savedState() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
    return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

static const Feature *findFeature(const char *name) {
  for (const Feature &feature : features)
    if (strcmp(feature.name, name) == 0)
      return &feature;
  return nullptr;
}

bool cpuHasFeature(const char *name) {
  const Feature *feature = findFeature(name);
  unsigned r[4];
  if (!feature || !__get_cpuid_count(feature->leaf, feature->subleaf, &r[EAX],
                                     &r[EBX], &r[ECX], &r[EDX]))
    return false;
  if (!(r[feature->reg] >> feature->bit & 1))
    return false;
  return (savedState() & feature->state) == feature->state;
}

bool enableCpuFeature(const char *name) {
  const Feature *feature = findFeature(name);
  if (!feature || feature->state != Tile)
    return true;
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

#else

bool cpuHasFeature(const char *) { return false; }
bool enableCpuFeature(const char *) { return true; }

#endif

} // namespace lathe::rt
