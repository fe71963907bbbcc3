// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The library behind FakeDriver.h. For programs that cannot call it, variables:
//
//   LATHE_FAKE_DEVICES=N           how many devices there are (1)
//   LATHE_FAKE_CAPABILITY=M.N      of each (9.0), or of the first, the second
//                                  and so on, with commas between them
//   LATHE_FAKE_ARCHITECTURE=NAME   the same for AMD (gfx942:sramecc+:xnack-)
//   LATHE_FAKE_VERSION=NNNN        as the driver says it (12080; 60342134)
//   LATHE_FAKE_MEMORY=BYTES        of the device (1 GiB)
//   LATHE_FAKE_FAIL=FUNCTION:N:RESULT   as FakeDriver::fail

#include "FakeDriver.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <elf.h>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

using lathe::test::FakeMap;

namespace {

constexpr int success = 0, invalidValue = 1, outOfMemory = 2, noDevice = 100;
constexpr int invalidImage = 200, invalidPtx = 218, invalidHandle = 400;
constexpr int notFound = 500, illegalAddress = 700, captureUnsupported = 900;

std::string variable(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value ? value : otherwise;
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

struct Calls {
  std::mutex mutex;
  std::map<std::string, int> counts;
  std::string failing;
  int failAt = 0, result = 0, sticky = 0;

  Calls() {
    std::string text = variable("LATHE_FAKE_FAIL", "");
    size_t colon = text.find(':');
    if (colon != std::string::npos &&
        sscanf(text.c_str() + colon, ":%d:%d", &failAt, &result) == 2)
      failing = text.substr(0, colon);
  }

  /// What the call is to return, or 0.
  int enter(const char *name) {
    std::lock_guard<std::mutex> lock(mutex);
    int number = ++counts[name];
    if (sticky)
      return sticky;
    return failing == name && number == failAt ? result : success;
  }
};

Calls &calls() {
  static Calls instance;
  return instance;
}

bool isFault(int result) { return result >= illegalAddress; }

#ifdef LATHE_FAKE_HIP
constexpr bool isHip = true;
#else
constexpr bool isHip = false;
#endif

#define ENTER(name)                                                            \
  if (int result = calls().enter(name))                                        \
  return result

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Two views of the same memory: one whose addresses callers have, and which
/// faults when it is touched, and one for the "device".
class Memory {
public:
  static constexpr size_t extent = size_t(4) << 30;
  static constexpr size_t gap = 256; // Between allocations: to be left alone.

  Memory() {
    int file = memfd_create("fake-gpu", 0);
    if (ftruncate(file, extent) != 0)
      abort();
    base = view(file, PROT_NONE);
    real = view(file, PROT_READ | PROT_WRITE);
    close(file);
    limit = strtoull(variable("LATHE_FAKE_MEMORY", "1073741824").c_str(),
                     nullptr, 10);
  }

  int allocate(uint64_t *address, size_t size) {
    std::lock_guard<std::mutex> lock(mutex);
    if (size > limit || live > limit - size)
      return outOfMemory;
    size_t room = (size + 255) / 256 * 256 + gap, offset = 0;
    for (const auto &[begin, bytes] : blocks) {
      if (begin - offset >= room)
        break;
      offset = begin + (bytes + 255) / 256 * 256 + gap;
    }
    if (offset + room > extent)
      return outOfMemory;
    blocks[offset] = size;
    live += size;
    memset(real + offset, 0xC9, room);
    *address = reinterpret_cast<uintptr_t>(base) + offset;
    return success;
  }

  int deallocate(uint64_t address) {
    std::lock_guard<std::mutex> lock(mutex);
    auto block = blocks.find(address - reinterpret_cast<uintptr_t>(base));
    if (block == blocks.end())
      return invalidValue;
    size_t end = block->first + block->second;
    size_t stop = (end + 255) / 256 * 256 + gap;
    for (size_t i = end; i < stop; ++i)
      if (real[i] != 0xC9) {
        fprintf(stderr, "fake driver: a byte behind %zu was written\n",
                block->second);
        abort();
      }
    memset(real + block->first, 0xDD, block->second);
    live -= block->second;
    blocks.erase(block);
    return success;
  }

  /// The device's own address for one that callers have; others as they are.
  uint64_t translate(uint64_t address) {
    uint64_t offset = address - reinterpret_cast<uintptr_t>(base);
    return offset < extent ? reinterpret_cast<uintptr_t>(real) + offset
                           : address;
  }
  /// The same for a range, which must be inside an allocation.
  uint8_t *range(uint64_t address, size_t size) {
    std::lock_guard<std::mutex> lock(mutex);
    uint64_t offset = address - reinterpret_cast<uintptr_t>(base);
    auto block = blocks.upper_bound(offset);
    if (offset >= extent || block == blocks.begin())
      return nullptr;
    --block;
    if (offset + size > block->first + block->second)
      return nullptr;
    return real + offset;
  }

  size_t live = 0, limit;
  std::mutex mutex;

private:
  static uint8_t *view(int file, int protection) {
    void *memory =
        mmap(nullptr, extent, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (memory == MAP_FAILED)
      abort();
    return static_cast<uint8_t *>(memory);
  }

  uint8_t *base, *real;
  std::map<size_t, size_t> blocks;
};

Memory &memory() {
  static Memory *instance = new Memory;
  return *instance;
}

std::mutex stagingMutex;
std::map<uintptr_t, size_t> staging;

bool isStaging(const void *address) {
  std::lock_guard<std::mutex> lock(stagingMutex);
  auto block = staging.upper_bound(reinterpret_cast<uintptr_t>(address));
  if (block == staging.begin())
    return false;
  --block;
  return reinterpret_cast<uintptr_t>(address) < block->first + block->second;
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

using Operation = std::function<int()>;

struct Stream;

struct Graph {
  std::vector<Operation> operations;
  /// Streams that came to wait for one that is captured, and so are, too.
  std::vector<Stream *> joined;
};

/// Of HIP: work for a device is queued while it is current.
thread_local int currentDevice = 0;

struct Stream {
  std::mutex mutex;
  int device = -1; ///< any
  std::deque<Operation> queue;
  Graph *capture = nullptr;

  int add(Operation operation, bool canCapture) {
    std::lock_guard<std::mutex> lock(mutex);
    if (device >= 0 && device != currentDevice)
      return invalidHandle;
    if (capture && !canCapture)
      return captureUnsupported;
    if (capture)
      capture->operations.push_back(std::move(operation));
    else
      queue.push_back(std::move(operation));
    return success;
  }

  int run() {
    std::lock_guard<std::mutex> lock(mutex);
    if (capture)
      return captureUnsupported;
    while (!queue.empty()) {
      Operation operation = std::move(queue.front());
      queue.pop_front();
      if (int result = operation()) {
        queue.clear();
        if (isFault(result))
          calls().sticky = result;
        return result;
      }
    }
    return calls().sticky;
  }
};

struct Event {
  using Time = std::chrono::steady_clock::time_point;
  Stream *stream = nullptr;
  Graph *capture = nullptr; ///< that it was recorded in
  /// What is queued may outlive the event.
  std::shared_ptr<Time> time = std::make_shared<Time>();
};

Stream *streamOf(void *handle) {
  static Stream legacy;
  // NULL and CU_STREAM_LEGACY.
  return reinterpret_cast<uintptr_t>(handle) > 1 ? static_cast<Stream *>(handle)
                                                 : &legacy;
}

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

using Kernel = void (*)(const uint64_t *parameters, const uint32_t *grid);

struct Function {
  Kernel kernel;
  uint32_t numParameters, numMaps;
};

struct Module {
  void *library = nullptr;
  std::map<std::string, Function> functions;
};

int loadLibrary(Module &module, const char *image) {
  Elf64_Ehdr header;
  memcpy(&header, image, sizeof(header));
  if (header.e_machine != EM_X86_64 || header.e_type != ET_DYN)
    return invalidImage;
  size_t size = header.e_shoff + header.e_shnum * sizeof(Elf64_Shdr);
  int file = memfd_create("fake-module", 0);
  if (write(file, image, size) != ssize_t(size))
    return invalidImage;
  std::string path = "/proc/self/fd/" + std::to_string(file);
  module.library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  close(file);
  return module.library ? success : invalidImage;
}

thread_local std::vector<void *> contexts;
int context;

/// May the thread call? HIP has a device in each thread.
bool isReady() { return isHip || !contexts.empty(); }

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))
#ifdef LATHE_FAKE_HIP
#define API(cuda, hip) EXPORT int hip
#define CUDA_API(name) [[maybe_unused]] static int name
#define HIP_API(name) EXPORT int name
#else
#define API(cuda, hip) EXPORT int cuda
#define CUDA_API(name) EXPORT int name
#define HIP_API(name) [[maybe_unused]] static int name
#endif

//===----------------------------------------------------------------------===//
// For tests
//===----------------------------------------------------------------------===//

EXPORT void fakeReset() {
  std::lock_guard<std::mutex> lock(calls().mutex);
  calls().counts.clear();
  calls().failing.clear();
  calls().sticky = 0;
  memory().limit = size_t(1) << 30;
}

EXPORT void fakeFail(const char *function, int after, int result) {
  std::lock_guard<std::mutex> lock(calls().mutex);
  calls().failing = function;
  calls().failAt = calls().counts[function] + after;
  calls().result = result;
}

EXPORT int fakeCount(const char *function) {
  std::lock_guard<std::mutex> lock(calls().mutex);
  return calls().counts[function];
}

EXPORT size_t fakeLive() { return memory().live; }
EXPORT void fakeLimit(size_t bytes) { memory().limit = bytes; }

//===----------------------------------------------------------------------===//
// Devices and contexts
//===----------------------------------------------------------------------===//

static int numDevices() {
  return atoi(variable("LATHE_FAKE_DEVICES", "1").c_str());
}

API(cuInit, hipInit)(unsigned) {
  ENTER("initialize");
  return numDevices() ? success : noDevice;
}

API(cuDriverGetVersion, hipDriverGetVersion)(int *version) {
  *version = atoi(
      variable("LATHE_FAKE_VERSION", isHip ? "60342134" : "12080").c_str());
  return success;
}

struct ErrorText {
  int result;
  const char *cuda, *hip, *text;
};
static const ErrorText errorTexts[] = {
    {outOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "hipErrorOutOfMemory",
     "out of memory"},
    {noDevice, "CUDA_ERROR_NO_DEVICE", "hipErrorNoDevice",
     isHip ? "no ROCm-capable device is detected"
           : "no CUDA-capable device is detected"},
    {invalidImage, "CUDA_ERROR_INVALID_IMAGE", "hipErrorInvalidImage",
     "device kernel image is invalid"},
    {invalidPtx, "CUDA_ERROR_INVALID_PTX", "hipErrorInvalidKernelFile",
     "a PTX JIT compilation failed"},
    {illegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "hipErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {captureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "hipErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
};

static int describeError(int result, const char *ErrorText::*what,
                         const char **text) {
  for (const ErrorText &known : errorTexts)
    if (known.result == result) {
      *text = known.*what;
      return success;
    }
  *text = nullptr;
  return invalidValue;
}

API(cuGetErrorName, hipDrvGetErrorName)(int result, const char **name) {
  return describeError(result, isHip ? &ErrorText::hip : &ErrorText::cuda,
                       name);
}

API(cuGetErrorString, hipDrvGetErrorString)(int result, const char **text) {
  return describeError(result, &ErrorText::text, text);
}

API(cuDeviceGetCount, hipGetDeviceCount)(int *count) {
  ENTER("getDeviceCount");
  *count = numDevices();
  return success;
}

API(cuDeviceGet, hipDeviceGet)(int *device, int ordinal) {
  *device = ordinal;
  return ordinal < numDevices() ? success : 101;
}

API(cuDeviceGetName, hipDeviceGetName)(char *name, int size, int device) {
  snprintf(name, size_t(size), "Fake GPU %d", device);
  return success;
}

/// The part of a variable's list that is a device's.
static std::string itsPart(const std::string &list, int device) {
  const char *its = list.c_str();
  for (; device > 0 && strchr(its, ','); --device)
    its = strchr(its, ',') + 1;
  return std::string(its, strcspn(its, ","));
}

/// By CUDA's numbers, with HIP's beside them.
API(cuDeviceGetAttribute, hipDeviceGetAttribute)(int *value, int attribute,
                                                 int device) {
  int major = 9, minor = 0;
  sscanf(itsPart(variable("LATHE_FAKE_CAPABILITY", "9.0"), device).c_str(),
         "%d.%d", &major, &minor);
  const struct {
    int cuda, hip, value;
  } attributes[] = {{5, 29, INT32_MAX}, {6, 30, 65535},    {7, 31, 65535},
                    {13, 5, 1980000},   {36, 60, 2619000}, {37, 59, 5120},
                    {16, 63, 132},      {115, 88, 1},      {75, -1, major},
                    {76, -1, minor}};
  for (const auto &its : attributes)
    if (attribute == (isHip ? its.hip : its.cuda)) {
      *value = its.value;
      return success;
    }
  return invalidValue;
}

/// As hipDeviceProp_tR0600: 1472 bytes, with the architecture at 1160.
HIP_API(hipGetDevicePropertiesR0600)(char *properties, int device) {
  ENTER("getProperties");
  memset(properties, 0, 1472);
  std::string name = itsPart(
      variable("LATHE_FAKE_ARCHITECTURE", "gfx942:sramecc+:xnack-"), device);
  snprintf(properties + 1160, 256, "%s", name.c_str());
  return success;
}

HIP_API(hipSetDevice)(int device) {
  ENTER("setDevice");
  if (device >= numDevices())
    return 101;
  currentDevice = device;
  return success;
}

API(cuDeviceTotalMem_v2, hipDeviceTotalMem)(size_t *bytes, int) {
  *bytes = memory().limit;
  return success;
}

CUDA_API(cuDevicePrimaryCtxRetain)(void **result, int) {
  ENTER("retainPrimaryContext");
  *result = &context;
  return success;
}

CUDA_API(cuDevicePrimaryCtxRelease_v2)(int) {
  ENTER("releasePrimaryContext");
  return success;
}

CUDA_API(cuCtxGetCurrent)(void **result) {
  *result = contexts.empty() ? nullptr : contexts.back();
  return success;
}

API(cuCtxGetDevice, hipGetDevice)(int *device) {
  *device = currentDevice;
  return isReady() ? success : 201;
}

CUDA_API(cuCtxPushCurrent_v2)(void *handle) {
  contexts.push_back(handle);
  return success;
}

CUDA_API(cuCtxPopCurrent_v2)(void **handle) {
  if (contexts.empty())
    return 201;
  *handle = contexts.back();
  contexts.pop_back();
  return success;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

API(cuModuleLoadDataEx, hipModuleLoadDataEx)(void **result, const void *image,
                                             unsigned numOptions, int *options,
                                             void **values) {
  ENTER("loadModule");
  if (!isReady())
    return 201;
  const char *bytes = static_cast<const char *>(image);
  if (memcmp(bytes, ELFMAG, SELFMAG) != 0) {
    for (unsigned i = 0; i < numOptions; ++i)
      if (options[i] == 5)
        strcpy(static_cast<char *>(values[i]),
               "ptxas application ptx input, line 1; fatal: no PTX here\n");
    return invalidPtx;
  }
  auto *module = new Module;
  if (int failed = loadLibrary(*module, bytes)) {
    delete module;
    return failed;
  }
  *result = module;
  return success;
}

API(cuModuleUnload, hipModuleUnload)(void *handle) {
  auto *module = static_cast<Module *>(handle);
  dlclose(module->library);
  delete module;
  return success;
}

API(cuModuleGetFunction, hipModuleGetFunction)(void **result, void *handle,
                                               const char *name) {
  ENTER("getFunction");
  auto *module = static_cast<Module *>(handle);
  void *kernel = dlsym(module->library, name);
  auto *count = static_cast<const uint32_t *>(
      dlsym(module->library, (std::string(name) + "_parameters").c_str()));
  auto *maps = static_cast<const uint32_t *>(
      dlsym(module->library, (std::string(name) + "_maps").c_str()));
  if (!kernel || !count)
    return notFound;
  Function &function = module->functions[name];
  function = {reinterpret_cast<Kernel>(kernel), *count, maps ? *maps : 0};
  *result = &function;
  return success;
}

API(cuFuncGetAttribute, hipFuncGetAttribute)(int *value, int attribute,
                                             void *) {
  // CUDA's kernels ask for what they need of it, HIP's have it.
  *value = attribute == 0 ? 1024 : isHip ? 65536 : 0;
  return attribute == 0 || attribute == 8 ? success : invalidValue;
}

CUDA_API(cuFuncSetAttribute)(void *, int attribute, int value) {
  ENTER("setFunctionAttribute");
  return attribute == 8 && value <= 232448 ? success : invalidValue;
}

API(cuOccupancyMaxActiveBlocksPerMultiprocessor,
    hipModuleOccupancyMaxActiveBlocksPerMultiprocessor)(int *blocks, void *,
                                                        int, size_t) {
  ENTER("countResident");
  *blocks = 2;
  return success;
}

/// As runtime/device/gpu/driver.h has it, with one attribute: its kind, 4
/// bytes that say nothing, its value.
struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  void *stream;
  const int *attributes;
  unsigned numAttributes;
};

/// As if clusters left 4 of 132 processors alone.
CUDA_API(cuOccupancyMaxActiveClusters)
(int *clusters, void *, const LaunchConfig *config) {
  ENTER("countClusters");
  if (config->numAttributes != 1 || config->attributes[0] != 4)
    return invalidValue;
  *clusters = 2 * 128 / config->attributes[2];
  return success;
}

/// Refuses all that a driver refuses, and notes down the rest.
CUDA_API(cuTensorMapEncodeTiled)
(void *result, int dtype, uint32_t rank, uint64_t address,
 const uint64_t *sizes, const uint64_t *strides, const uint32_t *box,
 const uint32_t *steps, int interleave, int swizzle, int promotion,
 int outside) {
  ENTER("encodeMap");
  if (!isReady())
    return 201;
  const int elementSizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};
  if (reinterpret_cast<uintptr_t>(result) % 64 || dtype < 0 || dtype > 9 ||
      rank < 1 || rank > 5 || address % 16 || interleave != 0 || swizzle < 0 ||
      swizzle > 3 || promotion < 0 || promotion > 3 || outside != 0)
    return invalidValue;
  FakeMap map = {};
  for (uint32_t d = 0; d < rank; ++d) {
    if (sizes[d] < 1 || sizes[d] > uint64_t(1) << 32 || box[d] < 1 ||
        box[d] > 256 || steps[d] != 1)
      return invalidValue;
    map.sizes[d] = sizes[d];
    map.box[d] = box[d];
    if (d + 1 == rank)
      break;
    if (strides[d] % 16 || strides[d] >= uint64_t(1) << 40)
      return invalidValue;
    map.strides[d] = strides[d];
  }
  uint32_t row = box[0] * uint32_t(elementSizes[dtype]);
  if (row % 16 || (swizzle && row > 16u << swizzle))
    return invalidValue;
  map.address = memory().translate(address);
  map.rank = rank;
  map.dtype = uint32_t(dtype);
  map.swizzle = uint32_t(swizzle);
  memset(result, 0, 128);
  memcpy(result, &map, sizeof(map));
  return success;
}

API(cuLaunchKernel,
    hipModuleLaunchKernel)(void *handle, unsigned gridX, unsigned gridY,
                           unsigned gridZ, unsigned blockX, unsigned, unsigned,
                           unsigned, void *stream, void **parameters, void **) {
  int fault = calls().enter("launch");
  if (fault && (!isFault(fault) || calls().sticky))
    return fault;
  if (!isReady() || !gridX || !gridY || !gridZ || !blockX)
    return invalidValue;
  auto &function = *static_cast<Function *>(handle);
  std::vector<uint64_t> values(function.numParameters);
  for (size_t i = 0; i < values.size(); ++i) {
    memcpy(&values[i], parameters[i], sizeof(uint64_t));
    values[i] = memory().translate(values[i]);
  }
  std::vector<FakeMap> maps(function.numMaps);
  for (size_t i = 0; i < maps.size(); ++i)
    memcpy(&maps[i], parameters[values.size() + i], sizeof(FakeMap));
  auto run = [=, kernel = function.kernel] {
    uint32_t grid[3] = {gridX, gridY, gridZ};
    std::vector<uint64_t> all = values;
    for (const FakeMap &map : maps)
      all.push_back(reinterpret_cast<uintptr_t>(&map));
    if (!fault)
      kernel(all.data(), grid);
    return fault;
  };
  return streamOf(stream)->add(run, /*canCapture=*/true);
}

#ifndef LATHE_FAKE_HIP
CUDA_API(cuLaunchKernelEx)
(const LaunchConfig *config, void *function, void **parameters, void **extra) {
  ENTER("launchWith");
  // Programmatic serialization, on.
  if (config->numAttributes != 1 || config->attributes[0] != 6 ||
      config->attributes[2] != 1)
    return invalidValue;
  return cuLaunchKernel(function, config->gridX, config->gridY, config->gridZ,
                        config->blockX, config->blockY, config->blockZ,
                        config->sharedBytes, config->stream, parameters, extra);
}
#endif

//===----------------------------------------------------------------------===//
// Streams, events, graphs
//===----------------------------------------------------------------------===//

API(cuStreamCreate, hipStreamCreateWithFlags)(void **stream, unsigned) {
  ENTER("createStream");
  if (!isReady())
    return 201;
  auto *made = new Stream;
  made->device = isHip ? currentDevice : -1;
  *stream = made;
  return success;
}

API(cuStreamDestroy_v2, hipStreamDestroy)(void *stream) {
  streamOf(stream)->run();
  delete static_cast<Stream *>(stream);
  return success;
}

API(cuStreamSynchronize, hipStreamSynchronize)(void *stream) {
  int failed = calls().enter("synchronizeStream");
  int result = streamOf(stream)->run();
  return failed ? failed : result;
}

API(cuEventCreate, hipEventCreateWithFlags)(void **event, unsigned) {
  ENTER("createEvent");
  *event = new Event;
  return success;
}

API(cuEventDestroy_v2, hipEventDestroy)(void *event) {
  delete static_cast<Event *>(event);
  return success;
}

API(cuEventRecord, hipEventRecord)(void *handle, void *stream) {
  ENTER("recordEvent");
  auto *event = static_cast<Event *>(handle);
  event->stream = streamOf(stream);
  event->capture = event->stream->capture;
  if (event->capture)
    return success;
  auto run = [time = event->time] {
    *time = std::chrono::steady_clock::now();
    return success;
  };
  return event->stream->add(run, /*canCapture=*/false);
}

API(cuEventSynchronize, hipEventSynchronize)(void *handle) {
  ENTER("synchronizeEvent");
  return static_cast<Event *>(handle)->stream->run();
}

API(cuStreamWaitEvent, hipStreamWaitEvent)(void *stream, void *handle,
                                           unsigned) {
  ENTER("waitForEvent");
  auto *event = static_cast<Event *>(handle);
  if (!event->capture)
    return event->stream->run();
  if (!streamOf(stream)->capture)
    event->capture->joined.push_back(streamOf(stream));
  streamOf(stream)->capture = event->capture;
  return success;
}

API(cuEventElapsedTime, hipEventElapsedTime)(float *milliseconds, void *from,
                                             void *to) {
  std::chrono::duration<float, std::milli> time =
      *static_cast<Event *>(to)->time - *static_cast<Event *>(from)->time;
  *milliseconds = time.count();
  return success;
}

API(cuStreamBeginCapture_v2, hipStreamBeginCapture)(void *stream, int) {
  ENTER("beginCapture");
  streamOf(stream)->capture = new Graph;
  return success;
}

API(cuStreamIsCapturing, hipStreamIsCapturing)(void *stream, int *status) {
  ENTER("isCapturing");
  *status = streamOf(stream)->capture ? 1 : 0;
  return success;
}

API(cuStreamEndCapture, hipStreamEndCapture)(void *stream, void **graph) {
  Graph *captured = std::exchange(streamOf(stream)->capture, nullptr);
  for (Stream *joined : captured->joined)
    joined->capture = nullptr;
  *graph = captured;
  int result = calls().enter("endCapture");
  if (result)
    delete captured;
  return result;
}

API(cuGraphInstantiateWithFlags,
    hipGraphInstantiateWithFlags)(void **executable, void *graph,
                                  unsigned long long) {
  ENTER("instantiateGraph");
  *executable = new Graph(*static_cast<Graph *>(graph));
  return success;
}

API(cuGraphLaunch, hipGraphLaunch)(void *handle, void *stream) {
  ENTER("launchGraph");
  for (const Operation &operation : static_cast<Graph *>(handle)->operations)
    streamOf(stream)->add(operation, /*canCapture=*/false);
  return success;
}

API(cuGraphExecDestroy, hipGraphExecDestroy)(void *graph) {
  delete static_cast<Graph *>(graph);
  return success;
}

API(cuGraphDestroy, hipGraphDestroy)(void *graph) {
  delete static_cast<Graph *>(graph);
  return success;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

API(cuMemAlloc_v2, hipMalloc)(uint64_t *address, size_t size) {
  ENTER("allocate");
  return memory().allocate(address, size);
}

API(cuMemFree_v2, hipFree)(uint64_t address) {
  return memory().deallocate(address);
}

API(cuMemAllocAsync, hipMallocAsync)(uint64_t *address, size_t size,
                                     void *stream) {
  ENTER("allocateAsync");
  if (!isReady())
    return 201;
  if (streamOf(stream)->capture)
    return captureUnsupported;
  return memory().allocate(address, size);
}

API(cuMemFreeAsync, hipFreeAsync)(uint64_t address, void *stream) {
  return streamOf(stream)->add(
      [address] { return memory().deallocate(address); },
      /*canCapture=*/false);
}

API(cuMemHostAlloc, hipHostMalloc)(void **result, size_t size, unsigned) {
  ENTER("allocateHost");
  *result = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
  std::lock_guard<std::mutex> lock(stagingMutex);
  staging[reinterpret_cast<uintptr_t>(*result)] = size;
  return success;
}

API(cuMemFreeHost, hipHostFree)(void *address) {
  std::lock_guard<std::mutex> lock(stagingMutex);
  if (!staging.erase(reinterpret_cast<uintptr_t>(address)))
    return invalidHandle;
  free(address);
  return success;
}

API(cuMemcpyHtoDAsync_v2, hipMemcpyHtoDAsync)(uint64_t to, const void *from,
                                              size_t size, void *stream) {
  ENTER("copyToDevice");
  uint8_t *target = memory().range(to, size);
  if (!target)
    return invalidValue;
  Operation run;
  if (isStaging(from)) {
    run = [=] {
      memcpy(target, from, size);
      return success;
    };
  } else {
    const char *bytes = static_cast<const char *>(from);
    run = [target, copy = std::vector<char>(bytes, bytes + size)] {
      memcpy(target, copy.data(), copy.size());
      return success;
    };
  }
  return streamOf(stream)->add(run, /*canCapture=*/false);
}

API(cuMemcpyDtoHAsync_v2, hipMemcpyDtoHAsync)(void *to, uint64_t from,
                                              size_t size, void *stream) {
  ENTER("copyToHost");
  uint8_t *source = memory().range(from, size);
  if (!source)
    return invalidValue;
  auto run = [=] {
    memcpy(to, source, size);
    return success;
  };
  return streamOf(stream)->add(run, /*canCapture=*/false);
}

API(cuMemcpyDtoDAsync_v2, hipMemcpyDtoDAsync)(uint64_t to, uint64_t from,
                                              size_t size, void *stream) {
  ENTER("copyOnDevice");
  uint8_t *target = memory().range(to, size);
  uint8_t *source = memory().range(from, size);
  if (!target || !source)
    return invalidValue;
  auto run = [=] {
    memmove(target, source, size);
    return success;
  };
  return streamOf(stream)->add(run, /*canCapture=*/false);
}
