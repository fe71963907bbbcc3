// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The functions of a GPU's driver that this library uses, found at run time by
// the names in a vendor's table. The driver is never linked, so that one build
// runs with and without it, and no header of the vendor is needed: handles are
// pointers, and the few numbers are part of the driver's ABI.
//
// The ideas, and the order of the arguments, are those of CUDA's driver API
// ("CUDA Driver API", NVIDIA, 12.0). HIP has the same functions under other
// names ("HIP Runtime API", AMD, 7.1): cuda/ and hip/ hold a table each, and
// what the drivers number or know differently.

#ifndef LATHE_RUNTIME_DEVICE_GPU_DRIVER_H
#define LATHE_RUNTIME_DEVICE_GPU_DRIVER_H

#include "lathe-c/runtime.h"
#include "runtime/base/memory.h"
#include "runtime/base/status.h"

#include <cstddef>
#include <cstdint>

namespace lathe::rt::gpu {

using Address = uint64_t; // in the device's memory
using Stream = void *;
using Event = void *;
using Module = void *;
using Function = void *;
using GpuContext = void *;
using Graph = void *;
using GraphExec = void *;

// Results that are treated in a way of their own, of all drivers.
constexpr int success = 0;
constexpr int outOfMemory = 2;
constexpr int notFound = 500;

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

/// The driver's functions; all return a result. Those that a vendor's table
/// lists as optional, or does not list, may be NULL.
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
  // In the vendor's form; NULL where attributes say all.
  int (*getProperties)(void *properties, int device);

  int (*getCurrentDevice)(int *device);
  // A driver without contexts, where devices themselves are current.
  int (*setDevice)(int device);
  // NULL there.
  int (*retainPrimaryContext)(GpuContext *context, int device);
  int (*releasePrimaryContext)(int device);
  int (*getCurrentContext)(GpuContext *context);
  int (*pushContext)(GpuContext context);
  int (*popContext)(GpuContext *context);

  int (*loadModule)(Module *module, const void *image, unsigned numOptions,
                    int *options, void **values);
  int (*unloadModule)(Module module);
  int (*getFunction)(Function *function, Module module, const char *name);
  int (*getFunctionAttribute)(int *value, int attribute, Function function);
  // NULL: kernels get all shared memory that there is without asking.
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
  int (*allocateHost)(void **memory, size_t size, unsigned flags);
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

  // Attributes of launches: NULL before version 11.8 of CUDA.
  int (*launchWith)(const LaunchConfig *config, Function function,
                    void **parameters, void **extra);
  int (*countClusters)(int *clusters, Function function,
                       const LaunchConfig *config);
  // Tensor maps: NULL before version 12.0 of CUDA.
  int (*encodeMap)(EncodedMap *map, int dtype, uint32_t rank, Address address,
                   const uint64_t *sizes, const uint64_t *strides,
                   const uint32_t *box, const uint32_t *steps, int interleave,
                   int swizzle, int promotion, int outside);
};

/// What is known of a device without using it.
struct Facts {
  char name[96] = "";
  char architecture[64] = ""; ///< "sm_90", "gfx942"
  int major = 0, minor = 0;   ///< the same, where it is two numbers
  int processors = 0;
  size_t memory = 0;
};

/// A place in Driver, and the name that a vendor's library has for it.
struct Symbol {
  size_t offset;
  const char *name;
  bool isOptional;
};
#define LATHE_GPU_FUNCTION(member, symbol)                                     \
  {offsetof(lathe::rt::gpu::Driver, member), symbol, false}
#define LATHE_GPU_OPTIONAL(member, symbol)                                     \
  {offsetof(lathe::rt::gpu::Driver, member), symbol, true}

class LoadedDriver;

/// All in which drivers differ: static data of cuda/ and hip/.
struct Vendor {
  const char *device; ///< "cuda"
  const char *driver; ///< "NVIDIA driver"
  lathe_memory_t memory;
  /// Names of the library, tried in this order; the last one stands in the
  /// error if none is there.
  Span<const char *const> libraries;
  /// Of all functions that the driver has, in any order.
  Span<const Symbol> symbols;
  /// Fails if the driver is older than what is used here.
  Status (*checkVersion)(int version);
  /// Errors after which the context is of no use: faults of kernels and of the
  /// hardware.
  bool (*isLost)(int result);

  /// The driver's numbers of a device's attributes.
  struct {
    int clockKHz, processors, memoryClockKHz, memoryBusBits;
    int maxGrid[3];
    int memoryPools;
  } attributes;
  /// The most threads of a launch in one dim; 0: no such limit.
  int64_t maxThreads;
  /// What an ELF file with code is called: "cubin".
  const char *object;
  /// Code may also be text, which the driver assembles, with a log.
  bool takesText;

  /// Fills in architecture, major and minor.
  Status (*readArchitecture)(const LoadedDriver &driver, int device,
                             Facts &facts);
  bool (*hasFeature)(const Facts &facts, const char *feature);
  /// Floating-point operations of a processor's matrix unit in a clock, on
  /// 16-bit floats with f32 sums; transfers of the memory in a clock; 0: not
  /// known.
  uint64_t (*matrixFlopsPerClock)(const Facts &facts);
  uint64_t (*transfersPerClock)(const Facts &facts);
  /// Blocks can run in clusters and overlap with those of the next kernel.
  bool (*hasClusters)(const Facts &facts);
  /// The version for people: "CUDA 12.8".
  void (*nameVersion)(int version, char *text, size_t size);
};

/// T, not deduced from an argument.
template <typename T> struct AsIs {
  using Type = T;
};
template <typename T> using As = typename AsIs<T>::Type;

/// A loaded driver. May be copied; the library stays for as long as the
/// process, as drivers expect.
class LoadedDriver : public Driver {
public:
  /// Fails with LATHE_INCOMPATIBLE where there is no driver, one too old, or
  /// one that finds no device to work with.
  Status load(const Vendor &vendor);

  const Vendor &getVendor() const { return *vendor; }

  /// Calls a function; an error if it returns one, in the driver's words:
  /// "cuLaunchKernel: an illegal memory access was encountered
  /// (CUDA_ERROR_ILLEGAL_ADDRESS)".
  template <typename... Parameters>
  Status call(int (*Driver::*function)(Parameters...),
              As<Parameters>... arguments) const {
    return check((this->*function)(arguments...), function);
  }

  /// The same for a result that has been had already.
  template <typename... Parameters>
  Status check(int result, int (*Driver::*function)(Parameters...)) const {
    if (result == success)
      return ok();
    const Driver *base = this;
    auto offset = reinterpret_cast<const char *>(&(base->*function)) -
                  reinterpret_cast<const char *>(base);
    return fail(result, static_cast<size_t>(offset));
  }

private:
  Status fail(int result, size_t offset) const;

  const Vendor *vendor = nullptr;
};

} // namespace lathe::rt::gpu

#endif // LATHE_RUNTIME_DEVICE_GPU_DRIVER_H
