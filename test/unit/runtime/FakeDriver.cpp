// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "FakeDriver.h"

#include "TestBundle.h"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

namespace lathe::test {

FakeDriver::FakeDriver() {
  // Whoever asks for libcuda.so.1 later gets what has that SONAME already.
  library = dlopen(LATHE_TEST_FAKE_DRIVER, RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    abort();
  }
  resetCalls = function<void (*)()>("fakeReset");
  failCall = function<void (*)(const char *, int, int)>("fakeFail");
  countCalls = function<int (*)(const char *)>("fakeCount");
  liveBytes = function<size_t (*)()>("fakeLive");
  limitMemory = function<void (*)(size_t)>("fakeLimit");
}

void *FakeDriver::find(const char *symbol) { return dlsym(library, symbol); }

FakeDriver &FakeDriver::get() {
  static FakeDriver driver;
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
  )");
  return code;
}

} // namespace lathe::test
