// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/hip/hip_device.h"

#include "runtime/device/gpu/gpu_device.h"

#include <cstdio>
#include <cstring>

namespace lathe::rt {

using namespace gpu;

static const char *const libraries[] = {"libamdhip64.so.7", "libamdhip64.so.6",
                                        "libamdhip64.so"};

// Addresses are pointers there, which is the same to a caller.
static constexpr Symbol symbols[] = {
    LATHE_GPU_FUNCTION(initialize, "hipInit"),
    LATHE_GPU_FUNCTION(getVersion, "hipDriverGetVersion"),
    LATHE_GPU_FUNCTION(getErrorName, "hipDrvGetErrorName"),
    LATHE_GPU_FUNCTION(getErrorString, "hipDrvGetErrorString"),
    LATHE_GPU_FUNCTION(getDeviceCount, "hipGetDeviceCount"),
    LATHE_GPU_FUNCTION(getDevice, "hipDeviceGet"),
    LATHE_GPU_FUNCTION(getDeviceName, "hipDeviceGetName"),
    LATHE_GPU_FUNCTION(getDeviceAttribute, "hipDeviceGetAttribute"),
    LATHE_GPU_FUNCTION(getDeviceMemory, "hipDeviceTotalMem"),
    LATHE_GPU_FUNCTION(getProperties, "hipGetDevicePropertiesR0600"),
    LATHE_GPU_FUNCTION(getCurrentDevice, "hipGetDevice"),
    LATHE_GPU_FUNCTION(setDevice, "hipSetDevice"),
    LATHE_GPU_FUNCTION(loadModule, "hipModuleLoadDataEx"),
    LATHE_GPU_FUNCTION(unloadModule, "hipModuleUnload"),
    LATHE_GPU_FUNCTION(getFunction, "hipModuleGetFunction"),
    LATHE_GPU_FUNCTION(getFunctionAttribute, "hipFuncGetAttribute"),
    LATHE_GPU_FUNCTION(launch, "hipModuleLaunchKernel"),
    LATHE_GPU_FUNCTION(countResident,
                       "hipModuleOccupancyMaxActiveBlocksPerMultiprocessor"),
    LATHE_GPU_FUNCTION(createStream, "hipStreamCreateWithFlags"),
    LATHE_GPU_FUNCTION(destroyStream, "hipStreamDestroy"),
    LATHE_GPU_FUNCTION(synchronizeStream, "hipStreamSynchronize"),
    LATHE_GPU_FUNCTION(waitForEvent, "hipStreamWaitEvent"),
    LATHE_GPU_FUNCTION(createEvent, "hipEventCreateWithFlags"),
    LATHE_GPU_FUNCTION(destroyEvent, "hipEventDestroy"),
    LATHE_GPU_FUNCTION(recordEvent, "hipEventRecord"),
    LATHE_GPU_FUNCTION(synchronizeEvent, "hipEventSynchronize"),
    LATHE_GPU_FUNCTION(elapsedTime, "hipEventElapsedTime"),
    LATHE_GPU_FUNCTION(allocate, "hipMalloc"),
    LATHE_GPU_FUNCTION(deallocate, "hipFree"),
    LATHE_GPU_FUNCTION(allocateAsync, "hipMallocAsync"),
    LATHE_GPU_FUNCTION(deallocateAsync, "hipFreeAsync"),
    LATHE_GPU_FUNCTION(allocateHost, "hipHostMalloc"),
    LATHE_GPU_FUNCTION(deallocateHost, "hipHostFree"),
    LATHE_GPU_FUNCTION(copyToDevice, "hipMemcpyHtoDAsync"),
    LATHE_GPU_FUNCTION(copyToHost, "hipMemcpyDtoHAsync"),
    LATHE_GPU_FUNCTION(copyOnDevice, "hipMemcpyDtoDAsync"),
    LATHE_GPU_FUNCTION(beginCapture, "hipStreamBeginCapture"),
    LATHE_GPU_FUNCTION(isCapturing, "hipStreamIsCapturing"),
    LATHE_GPU_FUNCTION(endCapture, "hipStreamEndCapture"),
    LATHE_GPU_FUNCTION(instantiateGraph, "hipGraphInstantiateWithFlags"),
    LATHE_GPU_FUNCTION(launchGraph, "hipGraphLaunch"),
    LATHE_GPU_FUNCTION(destroyGraphExec, "hipGraphExecDestroy"),
    LATHE_GPU_FUNCTION(destroyGraph, "hipGraphDestroy"),
};

static Status checkVersion(int version) {
  constexpr int major = 10000000, minor = 100000, oldest = 6 * major;
  if (version >= oldest)
    return ok();
  return error(LATHE_INCOMPATIBLE,
               "the AMD driver is too old: it is for HIP %d.%d, and %d.%d is "
               "needed",
               version / major, version % major / minor, oldest / major, 0);
}

static bool isLost(int result) {
  switch (result) {
  case 214: // hipErrorECCNotCorrectable
  case 700: // hipErrorIllegalAddress
  case 702: // hipErrorLaunchTimeOut
  case 709: // hipErrorContextIsDestroyed
  case 710: // hipErrorAssert
  case 719: // hipErrorLaunchFailure
    return true;
  default:
    return false;
  }
}

/// The architecture is one of the device's properties (hipDeviceProp_tR0600, of
/// ROCm 6.0 and later), and has no function of its own.
static Status readArchitecture(const LoadedDriver &driver, int device,
                               Facts &facts) {
  constexpr size_t size = 1472, offset = 1160, longest = 256;
  // Twice as long: a later version may have added to the end.
  alignas(8) char properties[2 * size] = {};
  LATHE_TRY(driver.call(&Driver::getProperties, static_cast<void *>(properties),
                        device));
  // "gfx90a:sramecc+:xnack-"
  const char *name = properties + offset;
  size_t length = 0;
  while (length < longest && name[length] && name[length] != ':')
    ++length;
  if (length == 0 || length >= sizeof(facts.architecture))
    return error(LATHE_INCOMPATIBLE,
                 "hipGetDeviceProperties: device %d has no architecture "
                 "name",
                 device);
  memcpy(facts.architecture, name, length);
  facts.architecture[length] = 0;
  return ok();
}

/// Code runs on the architecture that it is for, and no other.
static bool hasFeature(const Facts &facts, const char *feature) {
  return strcmp(facts.architecture, feature) == 0;
}

namespace {
/// From AMD's papers on each architecture.
struct Figures {
  const char *architecture;
  uint64_t matrixFlops; ///< of a compute unit in a clock: f16, sums in f32
  uint64_t transfers;   ///< of the memory, in a clock
};
} // namespace

static Figures figuresOf(const Facts &facts) {
  static constexpr Figures known[] = {
      {"gfx90a", 1024, 2},  // MI210, MI250X: HBM2e
      {"gfx942", 2048, 4},  // MI300X: HBM3
      {"gfx950", 4096, 4},  // MI355X: HBM3E
      {"gfx1100", 512, 16}, // RX 7900 XTX: GDDR6
      {"gfx1201", 1024, 16} // RX 9070 XT: GDDR6
  };
  for (const Figures &its : known)
    if (strcmp(its.architecture, facts.architecture) == 0)
      return its;
  return {"", 0, 0};
}

static uint64_t matrixFlopsPerClock(const Facts &facts) {
  return figuresOf(facts).matrixFlops;
}

static uint64_t transfersPerClock(const Facts &facts) {
  return figuresOf(facts).transfers;
}

static bool hasClusters(const Facts &) { return false; }

static void nameVersion(int version, char *text, size_t size) {
  snprintf(text, size, "HIP %d.%d", version / 10000000,
           version % 10000000 / 100000);
}

static constexpr Vendor amd = {
    "hip",
    "AMD driver",
    LATHE_MEMORY_ROCM,
    {libraries, sizeof(libraries) / sizeof(libraries[0])},
    {symbols, sizeof(symbols) / sizeof(symbols[0])},
    checkVersion,
    isLost,
    {/*clockKHz=*/5, /*processors=*/63, /*memoryClockKHz=*/60,
     /*memoryBusBits=*/59, /*maxGrid=*/{29, 30, 31}, /*memoryPools=*/88},
    /*maxThreads=*/4294967295,
    "code object",
    /*takesText=*/false,
    readArchitecture,
    hasFeature,
    matrixFlopsPerClock,
    transfersPerClock,
    hasClusters,
    nameVersion,
};

const DeviceType hipDevice = makeDeviceType<amd>("rocm");

} // namespace lathe::rt
