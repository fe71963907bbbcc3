// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "FakeDriver.h"

#include "TestBundle.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <type_traits>

namespace lathe::test {

FakeDriver::FakeDriver(const char *path, bool isHip) : isHip(isHip) {
  // Whoever asks for the library later gets what has that SONAME already.
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    abort();
  }
  auto load = [&](const char *symbol, auto &function) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(
        dlsym(library, symbol));
  };
  load("fakeReset", resetCalls);
  load("fakeFail", failCall);
  load("fakeCount", countCalls);
  load("fakeLive", liveBytes);
  load("fakeLimit", limitMemory);
}

void *FakeDriver::find(const char *name) {
  static const struct {
    const char *name, *cuda, *hip;
  } functions[] = {
      {"pushContext", "cuCtxPushCurrent_v2", nullptr},
      {"popContext", "cuCtxPopCurrent_v2", nullptr},
      {"getCurrentContext", "cuCtxGetCurrent", nullptr},
      {"getCurrentDevice", "cuCtxGetDevice", "hipGetDevice"},
      {"setDevice", nullptr, "hipSetDevice"},
      {"createStream", "cuStreamCreate", "hipStreamCreateWithFlags"},
      {"destroyStream", "cuStreamDestroy_v2", "hipStreamDestroy"},
      {"beginCapture", "cuStreamBeginCapture_v2", "hipStreamBeginCapture"},
      {"endCapture", "cuStreamEndCapture", "hipStreamEndCapture"},
      {"destroyGraph", "cuGraphDestroy", "hipGraphDestroy"},
      {"copyToDevice", "cuMemcpyHtoDAsync_v2", "hipMemcpyHtoDAsync"},
  };
  for (const auto &its : functions)
    if (strcmp(its.name, name) == 0)
      return dlsym(library, isHip ? its.hip : its.cuda);
  fprintf(stderr, "the fake driver has no '%s' for tests\n", name);
  abort();
}

FakeDriver &FakeDriver::cuda() {
  static FakeDriver driver(LATHE_TEST_FAKE_CUDA, /*isHip=*/false);
  return driver;
}

FakeDriver &FakeDriver::hip() {
  static FakeDriver driver(LATHE_TEST_FAKE_HIP, /*isHip=*/true);
  return driver;
}

const Bytes &fakeKernels() {
  static const Bytes code = compileC(R"(
    #include <stdint.h>
    #define KERNEL(name, count) \
        uint32_t name##_parameters = count; \
        void name(const uint64_t *p, const uint32_t *grid)
    /* One program per 16 elements; p[n] = number of elements. */
    #define RANGE(n) int64_t all = (int64_t)p[n], \
        e = 16ll * grid[0] * grid[1] * grid[2], i = 0; \
        e = e < all ? e : all
    KERNEL(add, 4) {
      RANGE(3);
      for (; i < e; ++i)
        ((float *)p[2])[i] = ((float *)p[0])[i] + ((float *)p[1])[i];
    }
    KERNEL(scale, 4) {
      RANGE(2);
      for (; i < e; ++i)
        ((float *)p[1])[i] = ((float *)p[0])[i] * (float)(int64_t)p[3];
    }
    KERNEL(iota, 2) { RANGE(1); for (; i < e; ++i) ((int64_t *)p[0])[i] = i; }
    KERNEL(below, 3) {
      (void)grid;
      *(uint8_t *)p[1] = *(const int64_t *)p[0] + 1 < (int64_t)p[2];
    }
    KERNEL(fill, 3) {
      RANGE(1);
      for (; i < e; ++i) ((int64_t *)p[0])[i] = (int64_t)p[2];
    }
    /* Kernels that are given their grid, X * Y * Z, from p[n] on. */
    #define PROGRAMS(n) uint64_t all = p[n] * p[(n) + 1] * p[(n) + 2], \
        blocks = (uint64_t)grid[0] * grid[1] * grid[2]; \
        (void)all, (void)blocks
    KERNEL(position, 4) {
      PROGRAMS(1);
      for (uint64_t b = 0; b < blocks; ++b)
        for (uint64_t i = b; i < all; i += blocks)
          ((int64_t *)p[0])[i] = (int64_t)i;
      ((int64_t *)p[0])[all] = (int64_t)blocks;
    }
    KERNEL(rank, 4) {
      PROGRAMS(1);
      for (uint64_t i = 0; i < all; ++i)
        ((int64_t *)p[0])[i] = (int64_t)(i % 2);
      ((int64_t *)p[0])[all] = (int64_t)blocks;
    }
    struct FakeMap {
      uint64_t address, sizes[5], strides[4];
      uint32_t box[5], rank, dtype, swizzle;
    };
    uint32_t box_maps = 1;
    KERNEL(box, 8) {
      PROGRAMS(5);
      const struct FakeMap *map = (const struct FakeMap *)p[8];
      for (uint64_t i = 0; i < all * 128; ++i) {
        uint64_t row = i / 128 / p[5] * 8 + i % 128 / 16;
        uint64_t column = i / 128 % p[5] * 16 + i % 16;
        ((float *)p[1])[i] = row < map->sizes[1] && column < map->sizes[0]
            ? *(float *)(map->address + row * map->strides[0] + column * 4)
            : 0;
      }
    }
  )");
  return code;
}

} // namespace lathe::test
