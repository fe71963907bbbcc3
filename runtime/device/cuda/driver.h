// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The functions of a GPU's driver that this device uses, found at run time by
// the names in a table. The library is never linked, so that one build runs
// with and without it, and no header of the vendor is needed: handles are
// pointers, and the few numbers are part of the driver's ABI.
//
// The ideas, and the order of the arguments, are those of CUDA's driver API
// ("CUDA Driver API", NVIDIA, 12.0). HIP has them under other names.

#ifndef LATHE_RUNTIME_DEVICE_CUDA_DRIVER_H
#define LATHE_RUNTIME_DEVICE_CUDA_DRIVER_H

#include "runtime/base/status.h"

#include <cstddef>
#include <cstdint>

namespace lathe::rt::cuda {

using Address = uint64_t; // in the device's memory
using Stream = void *;
using Event = void *;
using Module = void *;
using Function = void *;
using GpuContext = void *;
using Graph = void *;
using GraphExec = void *;

// Results that are treated in a way of their own.
constexpr int success = 0;
constexpr int outOfMemory = 2;
constexpr int notFound = 500;

// Attributes of a device.
constexpr int clockKHz = 13;
constexpr int multiprocessors = 16;
constexpr int memoryClockKHz = 36;
constexpr int memoryBusBits = 37;
constexpr int capabilityMajor = 75;
constexpr int capabilityMinor = 76;
constexpr int maxGridX = 5; // Y and Z follow.
constexpr int memoryPools = 115;

// Attributes of a function.
constexpr int functionMaxThreads = 0;
constexpr int functionDynamicShared = 8;

// Options for loading a module.
constexpr int jitErrorLog = 5;
constexpr int jitErrorLogSize = 6;

/// The driver's form of a tensor map: opaque.
struct alignas(64) EncodedMap {
  uint8_t bytes[128];
};

/// What a launch may have beyond its dims, and all of it.
struct LaunchAttribute {
  int kind;
  alignas(8) int value[16];
};
constexpr int clusterDimension = 4;
constexpr int programmaticSerialization = 6;
struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  Stream stream;
  LaunchAttribute *attributes;
  unsigned numAttributes;
};
static_assert(sizeof(LaunchAttribute) == 72 && sizeof(LaunchConfig) == 56,
              "they are the driver's");

// Of tensor maps.
constexpr int noInterleave = 0;
constexpr int promoteTo256Bytes = 3;
constexpr int zerosOutside = 0;

constexpr unsigned streamNonBlocking = 1;
constexpr unsigned eventDefault = 0;
constexpr unsigned eventWithoutTime = 2;
constexpr int captureThreadLocal = 1;

/// The driver's functions; all return a result. cuda/driver.cpp has the table.
struct Driver {
  int (*initialize)(unsigned flags);
  int (*getVersion)(int *version);
  int (*getErrorName)(int result, const char **name);
  int (*getErrorString)(int result, const char **text);
  int (*getDeviceCount)(int *count);
  int (*getDevice)(int *device, int ordinal);
  int (*getDeviceName)(char *name, int size, int device);
  int (*getDeviceAttribute)(int *value, int attribute, int device);
  int (*getDeviceMemory)(size_t *bytes, int device);

  int (*retainPrimaryContext)(GpuContext *context, int device);
  int (*releasePrimaryContext)(int device);
  int (*getCurrentContext)(GpuContext *context);
  int (*getContextDevice)(int *device);
  int (*pushContext)(GpuContext context);
  int (*popContext)(GpuContext *context);

  int (*loadModule)(Module *module, const void *image, unsigned numOptions,
                    int *options, void **values);
  int (*unloadModule)(Module module);
  int (*getFunction)(Function *function, Module module, const char *name);
  int (*getFunctionAttribute)(int *value, int attribute, Function function);
  int (*setFunctionAttribute)(Function function, int attribute, int value);
  int (*launch)(Function function, unsigned gridX, unsigned gridY,
                unsigned gridZ, unsigned blockX, unsigned blockY,
                unsigned blockZ, unsigned sharedBytes, Stream stream,
                void **parameters, void **extra);

  int (*countResident)(int *blocks, Function function, int threads,
                       size_t sharedBytes);

  int (*createStream)(Stream *stream, unsigned flags);
  int (*destroyStream)(Stream stream);
  int (*synchronizeStream)(Stream stream);
  int (*waitForEvent)(Stream stream, Event event, unsigned flags);
  int (*createEvent)(Event *event, unsigned flags);
  int (*destroyEvent)(Event event);
  int (*recordEvent)(Event event, Stream stream);
  int (*synchronizeEvent)(Event event);
  int (*elapsedTime)(float *milliseconds, Event from, Event to);

  int (*allocate)(Address *address, size_t size);
  int (*deallocate)(Address address);
  int (*allocateAsync)(Address *address, size_t size, Stream stream);
  int (*deallocateAsync)(Address address, Stream stream);
  int (*allocateHost)(void **memory, size_t size);
  int (*deallocateHost)(void *memory);
  int (*copyToDevice)(Address to, const void *from, size_t size, Stream stream);
  int (*copyToHost)(void *to, Address from, size_t size, Stream stream);
  int (*copyOnDevice)(Address to, Address from, size_t size, Stream stream);

  int (*beginCapture)(Stream stream, int mode);
  int (*isCapturing)(Stream stream, int *status);
  int (*endCapture)(Stream stream, Graph *graph);
  int (*instantiateGraph)(GraphExec *executable, Graph graph,
                          unsigned long long flags);
  int (*launchGraph)(GraphExec executable, Stream stream);
  int (*destroyGraphExec)(GraphExec executable);
  int (*destroyGraph)(Graph graph);

  // NULL before version 11.8.
  int (*launchWith)(const LaunchConfig *config, Function function,
                    void **parameters, void **extra);
  int (*countClusters)(int *clusters, Function function,
                       const LaunchConfig *config);
  // NULL before version 12.0.
  int (*encodeMap)(EncodedMap *map, int dtype, uint32_t rank, Address address,
                   const uint64_t *sizes, const uint64_t *strides,
                   const uint32_t *box, const uint32_t *steps, int interleave,
                   int swizzle, int promotion, int outside);
};

/// A loaded driver. May be copied; the library stays for as long as the
/// process, as drivers expect.
class LoadedDriver : public Driver {
public:
  /// Fails with LATHE_INCOMPATIBLE where there is no driver, one too old, or
  /// one that finds no device to work with.
  Status load();

  /// An error if `result` is one: "cuLaunchKernel: an illegal memory access was
  /// encountered (CUDA_ERROR_ILLEGAL_ADDRESS)".
  Status check(int result, const char *call) const {
    return result == success ? ok() : fail(result, call);
  }

private:
  Status fail(int result, const char *call) const;
};

} // namespace lathe::rt::cuda

#endif // LATHE_RUNTIME_DEVICE_CUDA_DRIVER_H
