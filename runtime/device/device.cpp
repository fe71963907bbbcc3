// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/device.h"

#include "runtime/base/options.h"
#include "runtime/device/cpu/cpu_device.h"
#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/hip/hip_device.h"

#include <cstring>

namespace lathe::rt {

static const DeviceType *const types[] = {&cudaDevice, &hipDevice, &cpuDevice};

Span<const DeviceType *const> deviceTypes() {
  return {types, sizeof(types) / sizeof(types[0])};
}

const DeviceType *findDeviceForTarget(const char *target) {
  for (const DeviceType *type : deviceTypes())
    if (strcmp(type->target, target) == 0)
      return type;
  return nullptr;
}

Status parseDeviceName(const char *name, const DeviceType **result,
                       int32_t *index) {
  const char *colon = strchr(name, ':');
  size_t length = colon ? size_t(colon - name) : strlen(name);
  Text<256> names;
  for (const DeviceType *type : deviceTypes()) {
    names.separate();
    names.add("'%s'", type->name);
    if (strlen(type->name) == length && !strncmp(type->name, name, length))
      *result = type;
  }
  if (!*result)
    return error(LATHE_NOT_FOUND, "no device '%s'; there are: %s", name,
                 names.c_str());
  *index = -1;
  if (!colon)
    return ok();
  uint32_t number = 0;
  const char *digit = colon + 1;
  for (; *digit >= '0' && *digit <= '9' && number < 1024; ++digit)
    number = 10 * number + static_cast<uint32_t>(*digit - '0');
  bool isCanonical = colon[1] != '0' || !colon[2];
  if (digit == colon + 1 || *digit || number > 1023 || !isCanonical)
    return error(LATHE_INVALID_ARGUMENT,
                 "device '%s': its number is '%s', and should be 0 to 1023",
                 name, colon + 1);
  *index = static_cast<int32_t>(number);
  return ok();
}

//===----------------------------------------------------------------------===//
// The list of devices
//===----------------------------------------------------------------------===//

/// Rows of a type: one at least, which says why there are no devices.
static uint32_t countRows(const DeviceType &type) {
  uint32_t count = 0;
  Status status = type.count(&count);
  return status.failed() || !count ? 1 : count;
}

static Status describeDevice(const DeviceType &type, uint32_t index,
                             lathe_device_info_t *info) {
  uint32_t count = 0;
  LATHE_TRY(type.count(&count));
  if (count == 0)
    return error(LATHE_NOT_FOUND, "there are none");
  LATHE_TRY(type.describe(index, info));
  if (info->memory != LATHE_MEMORY_HOST)
    snprintf(info->name, sizeof(info->name), "%s:%u", type.name, index);
  return ok();
}

static Status deviceInfo(size_t index, lathe_device_info_t *info) {
  size_t first = 0;
  for (const DeviceType *type : deviceTypes()) {
    uint32_t rows = countRows(*type);
    if (index >= first + rows) {
      first += rows;
      continue;
    }
    auto value = LATHE_INIT(lathe_device_info_t);
    snprintf(value.name, sizeof(value.name), "%s", type->name);
    value.device_index = static_cast<int32_t>(index - first);
    Status status =
        describeDevice(*type, static_cast<uint32_t>(index - first), &value);
    value.usable = !status.failed();
    if (status.failed())
      snprintf(value.description, sizeof(value.description), "%s",
               status.message());
    return copyInfo(value, "lathe_device_info_t", info);
  }
  return error(LATHE_INVALID_ARGUMENT, "device %zu of %zu", index, first);
}

} // namespace lathe::rt

using namespace lathe::rt;

lathe_status_t lathe_device_info(size_t index, lathe_device_info_t *info) {
  return deviceInfo(index, info).release();
}

size_t lathe_device_count(void) {
  size_t count = 0;
  for (const DeviceType *type : deviceTypes())
    count += countRows(*type);
  return count;
}
