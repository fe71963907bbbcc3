// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/cpu/cpu_device.h"

#include "runtime/base/thread_pool.h"
#include "runtime/device/cpu/code_object.h"
#include "runtime/device/cpu/features.h"

#include <cstdio>

namespace lathe::rt {

// A thread should have some 4 µs of work to be worth asking: at 50 GFLOP/s and
// 20 GB/s from the caches.
static constexpr int64_t flopsPerThread = 200000;
static constexpr int64_t bytesPerThread = 80000;

uint32_t threadsWorthUsing(int64_t flops, int64_t bytes, int64_t programs,
                           uint32_t available) {
  int64_t byFlops = flops > 0 ? flops / flopsPerThread : 0;
  int64_t byBytes = bytes > 0 ? bytes / bytesPerThread : 0;
  int64_t threads = byFlops > byBytes ? byFlops : byBytes;
  threads = threads < programs ? threads : programs;
  threads = threads < available ? threads : available;
  return threads > 1 ? static_cast<uint32_t>(threads) : 1;
}

namespace {
class CpuExecutable final : public Executable {
public:
  explicit CpuExecutable(const Allocator &allocator) : allocator(allocator) {}
  ~CpuExecutable() { ThreadPool::destroy(pool); }

  Status load(Span<const uint8_t> bytes, size_t numKernels,
              uint32_t numThreads) {
    LATHE_TRY(code.load(bytes.data(), bytes.size()));
    LATHE_TRY(kernels.allocate(allocator, numKernels));
    return ThreadPool::create(allocator, numThreads, &pool);
  }

  Status bindKernel(uint32_t index, const bundle::Kernel &kernel) override {
    const char *symbol = kernel.symbol()->c_str();
    kernels[index] =
        reinterpret_cast<CpuKernel>(const_cast<void *>(code.find(symbol)));
    if (!kernels[index])
      return error(LATHE_CORRUPT, "the code object has no function '%s'",
                   symbol);
    return ok();
  }

  Status launch(Queue *queue, uint32_t kernel, const LaunchArgs &args,
                uint32_t *threads) const override;
  void destroy() override { deleteObject(allocator, this); }

private:
  Allocator allocator;
  CodeObject code;
  Array<CpuKernel> kernels;
  ThreadPool *pool = nullptr;
};

class CpuDevice final : public Device {
public:
  CpuDevice(const Allocator &allocator, uint32_t threads)
      : allocator(allocator) {
    numThreads = threads ? threads : availableCores();
    description.add("x86-64, %u cores for this process", availableCores());
  }

  bool hasFeature(const char *feature) const override {
    return cpuHasFeature(feature);
  }
  Status enableFeature(const char *feature) override {
    if (enableCpuFeature(feature))
      return ok();
    return error(LATHE_INCOMPATIBLE, "the system does not permit '%s'",
                 feature);
  }
  Status load(Span<const uint8_t> code, size_t numKernels,
              Executable **result) override;
  Status createQueue(Queue **queue) override {
    *queue = nullptr;
    return ok();
  }
  void destroy() override { deleteObject(allocator, this); }

private:
  Allocator allocator;
};

struct Call {
  CpuKernel kernel;
  const LaunchArgs *args;
};
} // namespace

static void runPrograms(void *context, int64_t begin, int64_t end) {
  const Call &call = *static_cast<const Call *>(context);
  call.kernel(call.args->buffers, call.args->scalars, call.args->grid, begin,
              end);
}

Status CpuExecutable::launch(Queue *, uint32_t kernel, const LaunchArgs &args,
                             uint32_t *threads) const {
  int64_t programs = args.grid[0] * args.grid[1] * args.grid[2];
  *threads =
      threadsWorthUsing(args.flops, args.bytes, programs, pool->numThreads());
  Call call = {kernels[kernel], &args};
  pool->run(runPrograms, &call, programs, *threads);
  return ok();
}

Status CpuDevice::load(Span<const uint8_t> code, size_t numKernels,
                       Executable **result) {
  CpuExecutable *executable;
  LATHE_TRY(newObject(allocator, &executable));
  Status status = executable->load(code, numKernels, numThreads);
  if (status.failed())
    executable->destroy();
  else
    *result = executable;
  return status;
}

//===----------------------------------------------------------------------===//
// The type
//===----------------------------------------------------------------------===//

static Status open(const Allocator &allocator, const DeviceOptions &options,
                   Device **result) {
  if (options.index != 0)
    return error(LATHE_NOT_FOUND, "cpu:%d: there is one CPU, cpu:0",
                 options.index);
  CpuDevice *device;
  LATHE_TRY(newObject(allocator, &device, options.numThreads));
  *result = device;
  return ok();
}

static Status count(uint32_t *count) {
  *count = 1;
  return ok();
}

static Status describe(uint32_t, lathe_device_info_t *info) {
  snprintf(info->description, sizeof(info->description),
           "x86-64, %u cores for this process", availableCores());
  return ok();
}

const DeviceType cpuDevice = {"cpu", "x86", LATHE_MEMORY_HOST,
                              open,  count, describe};

} // namespace lathe::rt
