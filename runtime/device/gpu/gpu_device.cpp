// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/gpu/gpu_device.h"

#include <cstdio>

namespace lathe::rt::gpu {

namespace {
class GpuDevice final : public Device {
public:
  explicit GpuDevice(const Allocator &allocator) : allocator(allocator) {}
  ~GpuDevice() {
    if (isRetained)
      gpu.driver.releasePrimaryContext(gpu.device);
  }

  Status open(const Vendor &vendor, const DeviceOptions &options);

  bool hasFeature(const char *feature) const override {
    return gpu.driver.getVendor().hasFeature(facts, feature);
  }
  Status enableFeature(const char *) override { return ok(); }
  Status load(Span<const uint8_t> code, size_t numKernels,
              Executable **executable) override {
    // Not before: a context costs a good part of a second and of a gigabyte.
    LATHE_TRY(useContext());
    return loadCode(allocator, gpu, code, numKernels, executable);
  }
  Status createQueue(Queue **queue) override {
    return gpu::createQueue(allocator, gpu, queue);
  }
  void destroy() override { deleteObject(allocator, this); }

private:
  Status useContext();
  Status adoptContext();

  Allocator allocator;
  Gpu gpu;
  Facts facts;
  bool isKnown = false; ///< the context
  bool isRetained = false;
  bool adopt = false;
};
} // namespace

//===----------------------------------------------------------------------===//
// The current context
//===----------------------------------------------------------------------===//

Current::Current(const Gpu &gpu) : gpu(gpu) {
  if (gpu.driver.setDevice) {
    makeDeviceCurrent();
    return;
  }
  GpuContext now = nullptr;
  isChanged =
      gpu.driver.getCurrentContext(&now) != success || now != gpu.context;
  if (isChanged)
    result = gpu.driver.pushContext(gpu.context);
}

void Current::makeDeviceCurrent() {
  result = gpu.driver.getCurrentDevice(&previous);
  isChanged = result == success && previous != gpu.device;
  if (isChanged)
    result = gpu.driver.setDevice(gpu.device);
}

Current::~Current() {
  if (!isChanged || result != success)
    return;
  GpuContext popped;
  if (gpu.driver.setDevice)
    gpu.driver.setDevice(previous);
  else
    gpu.driver.popContext(&popped);
}

Status Current::status() const {
  return gpu.driver.setDevice ? gpu.driver.check(result, &Driver::setDevice)
                              : gpu.driver.check(result, &Driver::pushContext);
}

//===----------------------------------------------------------------------===//
// Devices that there are
//===----------------------------------------------------------------------===//

static Status count(const LoadedDriver &driver, int *count) {
  LATHE_TRY(driver.call(&Driver::getDeviceCount, count));
  if (*count == 0)
    return error(LATHE_INCOMPATIBLE, "the %s has no device",
                 driver.getVendor().driver);
  return ok();
}

static Status readFacts(const LoadedDriver &driver, int device, Facts &facts) {
  const Vendor &vendor = driver.getVendor();
  LATHE_TRY(driver.call(&Driver::getDeviceName, facts.name,
                        static_cast<int>(sizeof(facts.name)), device));
  LATHE_TRY(driver.call(&Driver::getDeviceMemory, &facts.memory, device));
  LATHE_TRY(driver.call(&Driver::getDeviceAttribute, &facts.processors,
                        vendor.attributes.processors, device));
  return vendor.readArchitecture(driver, device, facts);
}

/// An attribute that a driver may have stopped telling: 0 then.
static uint64_t attributeOr0(const LoadedDriver &driver, int device,
                             int attribute) {
  int value = 0;
  return driver.getDeviceAttribute(&value, attribute, device) == success &&
                 value > 0
             ? static_cast<uint64_t>(value)
             : 0;
}

static Status findDevice(const LoadedDriver &driver, int32_t index,
                         int *device) {
  int found = 0;
  LATHE_TRY(count(driver, &found));
  const char *name = driver.getVendor().device;
  if (index >= found)
    return error(LATHE_NOT_FOUND,
                 "no device %s:%d; this machine has %d, from %s:0 on", name,
                 index, found, name);
  return driver.call(&Driver::getDevice, device, index);
}

Status countDevices(const Vendor &vendor, uint32_t *result) {
  LoadedDriver driver;
  LATHE_TRY(driver.load(vendor));
  int found = 0;
  LATHE_TRY(count(driver, &found));
  *result = static_cast<uint32_t>(found);
  return ok();
}

Status describeDevice(const Vendor &vendor, uint32_t index,
                      lathe_device_info_t *info) {
  LoadedDriver driver;
  LATHE_TRY(driver.load(vendor));
  int device, version = 0;
  LATHE_TRY(findDevice(driver, static_cast<int32_t>(index), &device));
  Facts facts;
  LATHE_TRY(readFacts(driver, device, facts));
  LATHE_TRY(driver.call(&Driver::getVersion, &version));
  const auto &its = vendor.attributes;
  info->memory = vendor.memory;
  info->memory_bytes = facts.memory;
  info->memory_bandwidth = attributeOr0(driver, device, its.memoryClockKHz) *
                           1000 * vendor.transfersPerClock(facts) *
                           attributeOr0(driver, device, its.memoryBusBits) / 8;
  info->matrix_flops = attributeOr0(driver, device, its.clockKHz) * 1000 *
                       vendor.matrixFlopsPerClock(facts) *
                       static_cast<uint64_t>(facts.processors);
  char name[32];
  vendor.nameVersion(version, name, sizeof(name));
  snprintf(info->description, sizeof(info->description),
           "%s, %s, %d multiprocessors; its driver is for %s", facts.name,
           facts.architecture, facts.processors, name);
  return ok();
}

//===----------------------------------------------------------------------===//
// One device
//===----------------------------------------------------------------------===//

/// Takes the current context if that is asked for, or the primary one.
Status GpuDevice::useContext() {
  if (isKnown)
    return ok();
  if (adopt) {
    LATHE_TRY(adoptContext());
  } else if (gpu.driver.retainPrimaryContext) {
    LATHE_TRY(gpu.driver.call(&Driver::retainPrimaryContext, &gpu.context,
                              gpu.device));
    isRetained = true;
  }
  isKnown = true;
  return ok();
}

Status GpuDevice::adoptContext() {
  if (gpu.driver.getCurrentContext) {
    LATHE_TRY(gpu.driver.call(&Driver::getCurrentContext, &gpu.context));
    if (!gpu.context)
      return error(LATHE_INVALID_ARGUMENT,
                   "adopt_context: no context is current in this thread");
  }
  int device;
  LATHE_TRY(gpu.driver.call(&Driver::getCurrentDevice, &device));
  if (device != gpu.device)
    return error(LATHE_INVALID_ARGUMENT,
                 "adopt_context: the current context is of device %d, and the "
                 "model is for device %d",
                 device, gpu.device);
  return ok();
}

Status GpuDevice::open(const Vendor &vendor, const DeviceOptions &options) {
  LATHE_TRY(gpu.driver.load(vendor));
  LATHE_TRY(findDevice(gpu.driver, options.index, &gpu.device));
  LATHE_TRY(readFacts(gpu.driver, gpu.device, facts));
  for (int d = 0; d < 3; ++d) {
    int value = 0;
    LATHE_TRY(gpu.driver.call(&Driver::getDeviceAttribute, &value,
                              vendor.attributes.maxGrid[d], gpu.device));
    gpu.maxGrid[d] = value;
  }
  int pools = 0;
  LATHE_TRY(gpu.driver.call(&Driver::getDeviceAttribute, &pools,
                            vendor.attributes.memoryPools, gpu.device));
  gpu.hasPools = pools != 0;
  gpu.processors = facts.processors;
  gpu.hasClusters = vendor.hasClusters(facts);
  memory = vendor.memory;
  index = options.index;
  adopt = options.adoptContext;
  description.add("%s", facts.name);
  return ok();
}

Status openDevice(const Vendor &vendor, const Allocator &allocator,
                  const DeviceOptions &options, Device **result) {
  GpuDevice *device;
  LATHE_TRY(newObject(allocator, &device));
  Status status = device->open(vendor, options);
  if (status.failed())
    device->destroy();
  else
    *result = device;
  return status;
}

} // namespace lathe::rt::gpu
