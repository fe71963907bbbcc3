// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/cuda/cuda_device.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lathe::rt {

using namespace cuda;

namespace {
/// What is known of a device without using it.
struct Facts {
  char name[96] = "";
  int major = 0, minor = 0;
  int multiprocessorCount = 0;
  size_t memory = 0;
};

class CudaDevice final : public Device {
public:
  explicit CudaDevice(const Allocator &allocator) : allocator(allocator) {}
  ~CudaDevice() {
    if (isRetained)
      gpu.driver.releasePrimaryContext(gpu.device);
  }

  Status open(const DeviceOptions &options);

  bool hasFeature(const char *feature) const override;
  Status enableFeature(const char *) override { return ok(); }
  Status load(Span<const uint8_t> code, size_t numKernels,
              Executable **executable) override {
    // Not before: a context costs a good part of a second and of a gigabyte.
    LATHE_TRY(useContext());
    return loadCode(allocator, gpu, code, numKernels, executable);
  }
  Status createQueue(Queue **queue) override {
    return cuda::createQueue(allocator, gpu, queue);
  }
  void destroy() override { deleteObject(allocator, this); }

private:
  Status useContext();

  Allocator allocator;
  Gpu gpu;
  Facts facts;
  bool isRetained = false;
  bool adopt = false;
};
} // namespace

//===----------------------------------------------------------------------===//
// The current context
//===----------------------------------------------------------------------===//

Current::Current(const Gpu &gpu) : gpu(gpu) {
  GpuContext now = nullptr;
  isPushed =
      gpu.driver.getCurrentContext(&now) != success || now != gpu.context;
  if (isPushed)
    result = gpu.driver.pushContext(gpu.context);
}

Current::~Current() {
  GpuContext popped;
  if (isPushed && result == success)
    gpu.driver.popContext(&popped);
}

Status Current::status() const {
  return gpu.driver.check(result, "cuCtxPushCurrent");
}

//===----------------------------------------------------------------------===//
// Devices that there are
//===----------------------------------------------------------------------===//

static Status countDevices(const LoadedDriver &driver, int *count) {
  LATHE_TRY(driver.check(driver.getDeviceCount(count), "cuDeviceGetCount"));
  if (*count == 0)
    return error(LATHE_INCOMPATIBLE, "the NVIDIA driver has no device");
  return ok();
}

static Status readFacts(const LoadedDriver &driver, int device, Facts &facts) {
  LATHE_TRY(
      driver.check(driver.getDeviceName(facts.name, sizeof(facts.name), device),
                   "cuDeviceGetName"));
  LATHE_TRY(driver.check(driver.getDeviceMemory(&facts.memory, device),
                         "cuDeviceTotalMem"));
  const struct {
    int attribute;
    int *value;
  } wanted[] = {{capabilityMajor, &facts.major},
                {capabilityMinor, &facts.minor},
                {multiprocessors, &facts.multiprocessorCount}};
  for (const auto &item : wanted)
    LATHE_TRY(driver.check(
        driver.getDeviceAttribute(item.value, item.attribute, device),
        "cuDeviceGetAttribute"));
  return ok();
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

/// Floating-point operations of a multiprocessor's tensor cores in a clock, on
/// 16-bit floats with f32 sums ("CUDA C++ Programming Guide", and the vendor's
/// papers on each architecture).
static uint64_t matrixFlopsPerClock(const Facts &facts) {
  switch (facts.major * 10 + facts.minor) {
  case 80:
    return 2048;
  case 86:
  case 89:
    return 1024;
  case 90:
    return 4096;
  case 100:
    return 8192;
  default:
    return 0;
  }
}

static Status findDevice(const LoadedDriver &driver, int32_t index,
                         int *device) {
  int count = 0;
  LATHE_TRY(countDevices(driver, &count));
  if (index >= count)
    return error(LATHE_NOT_FOUND,
                 "no device cuda:%d; this machine has %d, from cuda:0 on",
                 index, count);
  return driver.check(driver.getDevice(device, index), "cuDeviceGet");
}

static Status count(uint32_t *result) {
  LoadedDriver driver;
  LATHE_TRY(driver.load());
  int found = 0;
  LATHE_TRY(countDevices(driver, &found));
  *result = static_cast<uint32_t>(found);
  return ok();
}

static Status describe(uint32_t index, lathe_device_info_t *info) {
  LoadedDriver driver;
  LATHE_TRY(driver.load());
  int device, version = 0;
  LATHE_TRY(findDevice(driver, static_cast<int32_t>(index), &device));
  Facts facts;
  LATHE_TRY(readFacts(driver, device, facts));
  LATHE_TRY(driver.check(driver.getVersion(&version), "cuDriverGetVersion"));
  info->memory = LATHE_MEMORY_CUDA;
  info->memory_bytes = facts.memory;
  // Two transfers a clock.
  info->memory_bandwidth = attributeOr0(driver, device, memoryClockKHz) * 1000 *
                           2 * attributeOr0(driver, device, memoryBusBits) / 8;
  info->matrix_flops = attributeOr0(driver, device, clockKHz) * 1000 *
                       matrixFlopsPerClock(facts) *
                       static_cast<uint64_t>(facts.multiprocessorCount);
  snprintf(info->description, sizeof(info->description),
           "%s, sm_%d%d, %d multiprocessors; its driver is for CUDA %d.%d",
           facts.name, facts.major, facts.minor, facts.multiprocessorCount,
           version / 1000, version % 1000 / 10);
  return ok();
}

//===----------------------------------------------------------------------===//
// One device
//===----------------------------------------------------------------------===//

/// "sm_80": this capability or a later one. "sm_90a": exactly this one, since
/// what the letter stands for is not in later devices.
bool CudaDevice::hasFeature(const char *feature) const {
  if (strncmp(feature, "sm_", 3) != 0)
    return false;
  if (feature[3] < '0' || feature[3] > '9')
    return false;
  char *end;
  long wanted = strtol(feature + 3, &end, 10);
  long found = facts.major * 10 + facts.minor;
  return *end ? strcmp(end, "a") == 0 && found == wanted : found >= wanted;
}

/// Takes the current context if that is asked for, or the primary one.
Status CudaDevice::useContext() {
  if (gpu.context)
    return ok();
  if (!adopt) {
    LATHE_TRY(gpu.driver.check(
        gpu.driver.retainPrimaryContext(&gpu.context, gpu.device),
        "cuDevicePrimaryCtxRetain"));
    isRetained = true;
    return ok();
  }
  LATHE_TRY(gpu.driver.check(gpu.driver.getCurrentContext(&gpu.context),
                             "cuCtxGetCurrent"));
  if (!gpu.context)
    return error(LATHE_INVALID_ARGUMENT,
                 "adopt_context: no context is current in this thread");
  int device;
  LATHE_TRY(
      gpu.driver.check(gpu.driver.getContextDevice(&device), "cuCtxGetDevice"));
  if (device != gpu.device)
    return error(LATHE_INVALID_ARGUMENT,
                 "adopt_context: the current context is of device %d, and the "
                 "model is for device %d",
                 device, gpu.device);
  return ok();
}

Status CudaDevice::open(const DeviceOptions &options) {
  LATHE_TRY(gpu.driver.load());
  LATHE_TRY(findDevice(gpu.driver, options.index, &gpu.device));
  LATHE_TRY(readFacts(gpu.driver, gpu.device, facts));
  for (int d = 0; d < 3; ++d) {
    int value = 0;
    LATHE_TRY(gpu.driver.check(
        gpu.driver.getDeviceAttribute(&value, maxGridX + d, gpu.device),
        "cuDeviceGetAttribute"));
    gpu.maxGrid[d] = value;
  }
  int pools = 0;
  LATHE_TRY(gpu.driver.check(
      gpu.driver.getDeviceAttribute(&pools, memoryPools, gpu.device),
      "cuDeviceGetAttribute"));
  gpu.hasPools = pools != 0;
  gpu.processors = facts.multiprocessorCount;
  gpu.major = facts.major;
  memory = LATHE_MEMORY_CUDA;
  index = options.index;
  adopt = options.adoptContext;
  description.add("%s", facts.name);
  return ok();
}

static Status open(const Allocator &allocator, const DeviceOptions &options,
                   Device **result) {
  CudaDevice *device;
  LATHE_TRY(newObject(allocator, &device));
  Status status = device->open(options);
  if (status.failed())
    device->destroy();
  else
    *result = device;
  return status;
}

const DeviceType cudaDevice = {"cuda", "cuda", LATHE_MEMORY_CUDA,
                               open,   count,  describe};

} // namespace lathe::rt
