// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/gpu/driver.h"

#include <cstring>
#include <dlfcn.h>

namespace lathe::rt::gpu {

static const char *findName(const Vendor &vendor, size_t offset) {
  for (const Symbol &symbol : vendor.symbols)
    if (symbol.offset == offset)
      return symbol.name;
  return "?";
}

Status LoadedDriver::fail(int result, size_t offset) const {
  const char *name = nullptr, *text = nullptr;
  getErrorName(result, &name);
  getErrorString(result, &text);
  lathe_code_t code = result == outOfMemory    ? LATHE_OUT_OF_MEMORY
                      : vendor->isLost(result) ? LATHE_DEVICE_LOST
                                               : LATHE_INTERNAL;
  // The name without the number that marks a later ABI of the same function.
  const char *symbol = findName(*vendor, offset);
  size_t length = strlen(symbol);
  if (length > 3 && strcmp(symbol + length - 3, "_v2") == 0)
    length -= 3;
  return error(code, "%.*s: %s (%s)", static_cast<int>(length), symbol,
               text ? text : "unknown error", name ? name : "?");
}

static Status openLibrary(const Vendor &vendor, void **library) {
  for (const char *name : vendor.libraries)
    if ((*library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)))
      return ok();
  const char *why = dlerror();
  return error(LATHE_INCOMPATIBLE, "no %s: %s", vendor.driver,
               why ? why : "it cannot be loaded");
}

Status LoadedDriver::load(const Vendor &its) {
  vendor = &its;
  static_cast<Driver &>(*this) = Driver();
  void *library = nullptr;
  LATHE_TRY(openLibrary(its, &library));
  const Symbol *missing = nullptr;
  for (const Symbol &symbol : its.symbols) {
    void *function = dlsym(library, symbol.name);
    if (!function && !symbol.isOptional && !missing)
      missing = &symbol;
    memcpy(reinterpret_cast<char *>(static_cast<Driver *>(this)) +
               symbol.offset,
           &function, sizeof(function));
  }
  // Its version first: an old driver lacks functions, and should say why.
  int version = 0;
  if (getVersion && getVersion(&version) == success)
    LATHE_TRY(its.checkVersion(version));
  if (missing)
    return error(LATHE_INCOMPATIBLE, "the %s has no function %s", its.driver,
                 missing->name);
  Status status = call(&Driver::initialize, 0u);
  if (!status.failed())
    return ok();
  return error(LATHE_INCOMPATIBLE, "%s", status.message());
}

} // namespace lathe::rt::gpu
