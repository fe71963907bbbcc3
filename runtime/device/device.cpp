// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/device.h"

#include "runtime/device/cpu/cpu_device.h"

#include <cstring>

namespace lathe::rt {

static const DeviceType *const types[] = {&cpuDevice};

Span<const DeviceType *const> deviceTypes() {
  return {types, sizeof(types) / sizeof(types[0])};
}

const DeviceType *findDeviceForTarget(const char *target) {
  for (const DeviceType *type : deviceTypes())
    if (strcmp(type->target, target) == 0)
      return type;
  return nullptr;
}

} // namespace lathe::rt
