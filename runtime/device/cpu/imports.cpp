// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/cpu/code_object.h"

#include <cstring>
#include <math.h>

namespace lathe::rt {

namespace {
struct Import {
  const char *name;
  void *address;
};
} // namespace

template <typename Result, typename... Args>
static void *addressOf(Result (*function)(Args...)) {
  return reinterpret_cast<void *>(function);
}

#define LATHE_UNARY(name)                                                      \
  {#name, addressOf<double, double>(::name)}, {                                \
    #name "f", addressOf<float, float>(::name##f)                              \
  }
#define LATHE_BINARY(name)                                                     \
  {#name, addressOf<double, double, double>(::name)}, {                        \
    #name "f", addressOf<float, float, float>(::name##f)                       \
  }

void *importedFunction(const char *name) {
  const Import imports[] = {
      {"memcpy", addressOf<void *, void *, const void *, size_t>(memcpy)},
      {"memmove", addressOf<void *, void *, const void *, size_t>(memmove)},
      {"memset", addressOf<void *, void *, int, size_t>(memset)},
      {"memcmp", addressOf<int, const void *, const void *, size_t>(memcmp)},
      LATHE_UNARY(acos),
      LATHE_UNARY(acosh),
      LATHE_UNARY(asin),
      LATHE_UNARY(asinh),
      LATHE_UNARY(atan),
      LATHE_UNARY(atanh),
      LATHE_UNARY(cbrt),
      LATHE_UNARY(ceil),
      LATHE_UNARY(cos),
      LATHE_UNARY(cosh),
      LATHE_UNARY(erf),
      LATHE_UNARY(erfc),
      LATHE_UNARY(exp),
      LATHE_UNARY(exp2),
      LATHE_UNARY(expm1),
      LATHE_UNARY(floor),
      LATHE_UNARY(log),
      LATHE_UNARY(log10),
      LATHE_UNARY(log1p),
      LATHE_UNARY(log2),
      LATHE_UNARY(nearbyint),
      LATHE_UNARY(rint),
      LATHE_UNARY(round),
      LATHE_UNARY(sin),
      LATHE_UNARY(sinh),
      LATHE_UNARY(sqrt),
      LATHE_UNARY(tan),
      LATHE_UNARY(tanh),
      LATHE_UNARY(trunc),
      LATHE_BINARY(atan2),
      LATHE_BINARY(fmax),
      LATHE_BINARY(fmin),
      LATHE_BINARY(fmod),
      LATHE_BINARY(pow),
      {"fma", addressOf<double, double, double, double>(::fma)},
      {"fmaf", addressOf<float, float, float, float>(::fmaf)},
  };
  for (const Import &import : imports)
    if (strcmp(import.name, name) == 0)
      return import.address;
  return nullptr;
}

} // namespace lathe::rt
