// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/cuda/cuda_device.h"

#include "runtime/device/gpu/gpu_device.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lathe::rt {

using namespace gpu;

static const char *const libraries[] = {"libcuda.so.1"};

static constexpr Symbol symbols[] = {
    LATHE_GPU_FUNCTION(initialize, "cuInit"),
    LATHE_GPU_FUNCTION(getVersion, "cuDriverGetVersion"),
    LATHE_GPU_FUNCTION(getErrorName, "cuGetErrorName"),
    LATHE_GPU_FUNCTION(getErrorString, "cuGetErrorString"),
    LATHE_GPU_FUNCTION(getDeviceCount, "cuDeviceGetCount"),
    LATHE_GPU_FUNCTION(getDevice, "cuDeviceGet"),
    LATHE_GPU_FUNCTION(getDeviceName, "cuDeviceGetName"),
    LATHE_GPU_FUNCTION(getDeviceAttribute, "cuDeviceGetAttribute"),
    LATHE_GPU_FUNCTION(getCurrentDevice, "cuCtxGetDevice"),
    LATHE_GPU_FUNCTION(getDeviceMemory, "cuDeviceTotalMem_v2"),
    LATHE_GPU_FUNCTION(retainPrimaryContext, "cuDevicePrimaryCtxRetain"),
    LATHE_GPU_FUNCTION(releasePrimaryContext, "cuDevicePrimaryCtxRelease_v2"),
    LATHE_GPU_FUNCTION(getCurrentContext, "cuCtxGetCurrent"),
    LATHE_GPU_FUNCTION(pushContext, "cuCtxPushCurrent_v2"),
    LATHE_GPU_FUNCTION(popContext, "cuCtxPopCurrent_v2"),
    LATHE_GPU_FUNCTION(loadModule, "cuModuleLoadDataEx"),
    LATHE_GPU_FUNCTION(unloadModule, "cuModuleUnload"),
    LATHE_GPU_FUNCTION(getFunction, "cuModuleGetFunction"),
    LATHE_GPU_FUNCTION(getFunctionAttribute, "cuFuncGetAttribute"),
    LATHE_GPU_FUNCTION(setFunctionAttribute, "cuFuncSetAttribute"),
    LATHE_GPU_FUNCTION(launch, "cuLaunchKernel"),
    LATHE_GPU_FUNCTION(countResident,
                       "cuOccupancyMaxActiveBlocksPerMultiprocessor"),
    LATHE_GPU_FUNCTION(createStream, "cuStreamCreate"),
    LATHE_GPU_FUNCTION(destroyStream, "cuStreamDestroy_v2"),
    LATHE_GPU_FUNCTION(synchronizeStream, "cuStreamSynchronize"),
    LATHE_GPU_FUNCTION(waitForEvent, "cuStreamWaitEvent"),
    LATHE_GPU_FUNCTION(createEvent, "cuEventCreate"),
    LATHE_GPU_FUNCTION(destroyEvent, "cuEventDestroy_v2"),
    LATHE_GPU_FUNCTION(recordEvent, "cuEventRecord"),
    LATHE_GPU_FUNCTION(synchronizeEvent, "cuEventSynchronize"),
    LATHE_GPU_FUNCTION(elapsedTime, "cuEventElapsedTime"),
    LATHE_GPU_FUNCTION(allocate, "cuMemAlloc_v2"),
    LATHE_GPU_FUNCTION(deallocate, "cuMemFree_v2"),
    LATHE_GPU_FUNCTION(allocateAsync, "cuMemAllocAsync"),
    LATHE_GPU_FUNCTION(deallocateAsync, "cuMemFreeAsync"),
    LATHE_GPU_FUNCTION(allocateHost, "cuMemHostAlloc"),
    LATHE_GPU_FUNCTION(deallocateHost, "cuMemFreeHost"),
    LATHE_GPU_FUNCTION(copyToDevice, "cuMemcpyHtoDAsync_v2"),
    LATHE_GPU_FUNCTION(copyToHost, "cuMemcpyDtoHAsync_v2"),
    LATHE_GPU_FUNCTION(copyOnDevice, "cuMemcpyDtoDAsync_v2"),
    LATHE_GPU_FUNCTION(beginCapture, "cuStreamBeginCapture_v2"),
    LATHE_GPU_FUNCTION(isCapturing, "cuStreamIsCapturing"),
    LATHE_GPU_FUNCTION(endCapture, "cuStreamEndCapture"),
    LATHE_GPU_FUNCTION(instantiateGraph, "cuGraphInstantiateWithFlags"),
    LATHE_GPU_FUNCTION(launchGraph, "cuGraphLaunch"),
    LATHE_GPU_FUNCTION(destroyGraphExec, "cuGraphExecDestroy"),
    LATHE_GPU_FUNCTION(destroyGraph, "cuGraphDestroy"),
    LATHE_GPU_OPTIONAL(launchWith, "cuLaunchKernelEx"),
    LATHE_GPU_OPTIONAL(countClusters, "cuOccupancyMaxActiveClusters"),
    LATHE_GPU_OPTIONAL(encodeMap, "cuTensorMapEncodeTiled"),
};

/// Graphs as they are made here, and memory pools, came with 11.4.
static Status checkVersion(int version) {
  constexpr int oldest = 11040;
  if (version >= oldest)
    return ok();
  return error(LATHE_INCOMPATIBLE,
               "the NVIDIA driver is too old: it is for CUDA %d.%d, and %d.%d "
               "is needed",
               version / 1000, version % 1000 / 10, oldest / 1000,
               oldest % 1000 / 10);
}

static bool isLost(int result) {
  switch (result) {
  case 214: // CUDA_ERROR_ECC_UNCORRECTABLE
  case 220: // CUDA_ERROR_NVLINK_UNCORRECTABLE
  case 226: // CUDA_ERROR_CONTAINED
  case 700: // CUDA_ERROR_ILLEGAL_ADDRESS
  case 702: // CUDA_ERROR_LAUNCH_TIMEOUT
  case 709: // CUDA_ERROR_CONTEXT_IS_DESTROYED
  case 710: // CUDA_ERROR_ASSERT
  case 714: // CUDA_ERROR_HARDWARE_STACK_ERROR
  case 715: // CUDA_ERROR_ILLEGAL_INSTRUCTION
  case 716: // CUDA_ERROR_MISALIGNED_ADDRESS
  case 717: // CUDA_ERROR_INVALID_ADDRESS_SPACE
  case 718: // CUDA_ERROR_INVALID_PC
  case 719: // CUDA_ERROR_LAUNCH_FAILED
  case 721: // CUDA_ERROR_TENSOR_MEMORY_LEAK
    return true;
  default:
    return false;
  }
}

static Status readArchitecture(const LoadedDriver &driver, int device,
                               Facts &facts) {
  constexpr int capabilityMajor = 75, capabilityMinor = 76;
  LATHE_TRY(driver.call(&Driver::getDeviceAttribute, &facts.major,
                        capabilityMajor, device));
  LATHE_TRY(driver.call(&Driver::getDeviceAttribute, &facts.minor,
                        capabilityMinor, device));
  snprintf(facts.architecture, sizeof(facts.architecture), "sm_%d%d",
           facts.major, facts.minor);
  return ok();
}

/// "sm_80": this capability or a later one. "sm_90a": exactly this one, since
/// what the letter stands for is not in later devices.
static bool hasFeature(const Facts &facts, const char *feature) {
  if (strncmp(feature, "sm_", 3) != 0)
    return false;
  if (feature[3] < '0' || feature[3] > '9')
    return false;
  char *end;
  long wanted = strtol(feature + 3, &end, 10);
  long found = facts.major * 10 + facts.minor;
  return *end ? strcmp(end, "a") == 0 && found == wanted : found >= wanted;
}

/// "CUDA C++ Programming Guide", and the vendor's papers on each architecture.
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

static uint64_t transfersPerClock(const Facts &) { return 2; }

static bool hasClusters(const Facts &facts) { return facts.major >= 9; }

static void nameVersion(int version, char *text, size_t size) {
  snprintf(text, size, "CUDA %d.%d", version / 1000, version % 1000 / 10);
}

static constexpr Vendor nvidia = {
    "cuda",
    "NVIDIA driver",
    LATHE_MEMORY_CUDA,
    {libraries, 1},
    {symbols, sizeof(symbols) / sizeof(symbols[0])},
    checkVersion,
    isLost,
    {/*clockKHz=*/13, /*processors=*/16, /*memoryClockKHz=*/36,
     /*memoryBusBits=*/37, /*maxGrid=*/{5, 6, 7}, /*memoryPools=*/115},
    /*maxThreads=*/0,
    "cubin",
    /*takesText=*/true,
    readArchitecture,
    hasFeature,
    matrixFlopsPerClock,
    transfersPerClock,
    hasClusters,
    nameVersion,
};

const DeviceType cudaDevice = makeDeviceType<nvidia>("cuda");

} // namespace lathe::rt
