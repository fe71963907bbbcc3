// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/cuda/driver.h"

#include <cstring>
#include <dlfcn.h>

namespace lathe::rt::cuda {

static const char libraryName[] = "libcuda.so.1";
// Graphs as they are made here, and memory pools, came with 11.4.
static constexpr int oldestVersion = 11040;

namespace {
struct Entry {
  size_t offset; ///< in Driver
  const char *symbol;
  bool isOptional;
};
} // namespace

#define FUNCTION(member, symbol) {offsetof(Driver, member), symbol, false}
#define OPTIONAL(member, symbol) {offsetof(Driver, member), symbol, true}
static constexpr Entry functions[] = {
    FUNCTION(initialize, "cuInit"),
    FUNCTION(getVersion, "cuDriverGetVersion"),
    FUNCTION(getErrorName, "cuGetErrorName"),
    FUNCTION(getErrorString, "cuGetErrorString"),
    FUNCTION(getDeviceCount, "cuDeviceGetCount"),
    FUNCTION(getDevice, "cuDeviceGet"),
    FUNCTION(getDeviceName, "cuDeviceGetName"),
    FUNCTION(getDeviceAttribute, "cuDeviceGetAttribute"),
    FUNCTION(getDeviceMemory, "cuDeviceTotalMem_v2"),
    FUNCTION(retainPrimaryContext, "cuDevicePrimaryCtxRetain"),
    FUNCTION(releasePrimaryContext, "cuDevicePrimaryCtxRelease_v2"),
    FUNCTION(getCurrentContext, "cuCtxGetCurrent"),
    FUNCTION(getContextDevice, "cuCtxGetDevice"),
    FUNCTION(pushContext, "cuCtxPushCurrent_v2"),
    FUNCTION(popContext, "cuCtxPopCurrent_v2"),
    FUNCTION(loadModule, "cuModuleLoadDataEx"),
    FUNCTION(unloadModule, "cuModuleUnload"),
    FUNCTION(getFunction, "cuModuleGetFunction"),
    FUNCTION(getFunctionAttribute, "cuFuncGetAttribute"),
    FUNCTION(setFunctionAttribute, "cuFuncSetAttribute"),
    FUNCTION(launch, "cuLaunchKernel"),
    FUNCTION(countResident, "cuOccupancyMaxActiveBlocksPerMultiprocessor"),
    FUNCTION(createStream, "cuStreamCreate"),
    FUNCTION(destroyStream, "cuStreamDestroy_v2"),
    FUNCTION(synchronizeStream, "cuStreamSynchronize"),
    FUNCTION(waitForEvent, "cuStreamWaitEvent"),
    FUNCTION(createEvent, "cuEventCreate"),
    FUNCTION(destroyEvent, "cuEventDestroy_v2"),
    FUNCTION(recordEvent, "cuEventRecord"),
    FUNCTION(synchronizeEvent, "cuEventSynchronize"),
    FUNCTION(elapsedTime, "cuEventElapsedTime"),
    FUNCTION(allocate, "cuMemAlloc_v2"),
    FUNCTION(deallocate, "cuMemFree_v2"),
    FUNCTION(allocateAsync, "cuMemAllocAsync"),
    FUNCTION(deallocateAsync, "cuMemFreeAsync"),
    FUNCTION(allocateHost, "cuMemAllocHost_v2"),
    FUNCTION(deallocateHost, "cuMemFreeHost"),
    FUNCTION(copyToDevice, "cuMemcpyHtoDAsync_v2"),
    FUNCTION(copyToHost, "cuMemcpyDtoHAsync_v2"),
    FUNCTION(copyOnDevice, "cuMemcpyDtoDAsync_v2"),
    FUNCTION(beginCapture, "cuStreamBeginCapture_v2"),
    FUNCTION(isCapturing, "cuStreamIsCapturing"),
    FUNCTION(endCapture, "cuStreamEndCapture"),
    FUNCTION(instantiateGraph, "cuGraphInstantiateWithFlags"),
    FUNCTION(launchGraph, "cuGraphLaunch"),
    FUNCTION(destroyGraphExec, "cuGraphExecDestroy"),
    FUNCTION(destroyGraph, "cuGraphDestroy"),
    OPTIONAL(launchWith, "cuLaunchKernelEx"),
    OPTIONAL(countClusters, "cuOccupancyMaxActiveClusters"),
    OPTIONAL(encodeMap, "cuTensorMapEncodeTiled"),
};
#undef FUNCTION
#undef OPTIONAL
static_assert(sizeof(functions) / sizeof(functions[0]) * sizeof(void *) ==
                  sizeof(Driver),
              "each function has its name");

/// Errors after which the context is of no use: faults of kernels and of the
/// hardware.
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

Status LoadedDriver::fail(int result, const char *call) const {
  const char *name = nullptr, *text = nullptr;
  getErrorName(result, &name);
  getErrorString(result, &text);
  lathe_code_t code = result == outOfMemory ? LATHE_OUT_OF_MEMORY
                      : isLost(result)      ? LATHE_DEVICE_LOST
                                            : LATHE_INTERNAL;
  return error(code, "%s: %s (%s)", call, text ? text : "unknown error",
               name ? name : "?");
}

Status LoadedDriver::load() {
  void *library = dlopen(libraryName, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    const char *why = dlerror();
    return error(LATHE_INCOMPATIBLE, "no NVIDIA driver: %s",
                 why ? why : libraryName);
  }
  // Its version first: an old driver lacks functions, and should say why.
  using GetVersion = int (*)(int *);
  int version = 0;
  auto getVersionOf =
      reinterpret_cast<GetVersion>(dlsym(library, "cuDriverGetVersion"));
  if (getVersionOf && getVersionOf(&version) == success &&
      version < oldestVersion)
    return error(
        LATHE_INCOMPATIBLE,
        "the NVIDIA driver is too old: it is for CUDA %d.%d, and %d.%d "
        "is needed",
        version / 1000, version % 1000 / 10, oldestVersion / 1000,
        oldestVersion % 1000 / 10);
  for (const Entry &entry : functions) {
    void *function = dlsym(library, entry.symbol);
    if (!function && !entry.isOptional)
      return error(LATHE_INCOMPATIBLE, "%s has no function %s", libraryName,
                   entry.symbol);
    memcpy(reinterpret_cast<char *>(static_cast<Driver *>(this)) + entry.offset,
           &function, sizeof(function));
  }
  Status status = check(initialize(0), "cuInit");
  if (!status.failed())
    return ok();
  return error(LATHE_INCOMPATIBLE, "%s", status.message());
}

} // namespace lathe::rt::cuda
