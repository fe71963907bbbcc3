// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Modules, kernels and launches.

#include "runtime/device/gpu/tensor_map.h"

#include "runtime/bundle/format.h"
#include "runtime/bundle/verify.h"

#include <cinttypes>
#include <cstring>
#include <elf.h>

namespace lathe::rt::gpu {

namespace {
class GpuExecutable final : public Executable {
public:
  GpuExecutable(const Allocator &allocator, const Gpu &gpu)
      : allocator(allocator), gpu(gpu) {}
  ~GpuExecutable() {
    Current current(gpu);
    if (module)
      gpu.driver.unloadModule(module);
  }

  Status load(Span<const uint8_t> code, size_t numKernels);
  Status bindKernel(uint32_t index, const bundle::Kernel &table) override;
  Status launch(Queue *queue, uint32_t kernel, const LaunchArgs &args,
                uint32_t *threads) const override;
  void destroy() override { deleteObject(allocator, this); }

private:
  struct Kernel {
    Function function = nullptr;
    const bundle::Kernel *table = nullptr;
    int64_t resident = 0;  ///< programs that run at once on the whole device
    bool overlaps = false; ///< with the kernel before it
  };

  Status loadImage(const void *image);
  Status askForShared(const Kernel &kernel, uint32_t bytes, int allowed) const;
  Status checkNeeds(const bundle::Kernel &table, Kernel &kernel);
  int64_t getMost(const Kernel &kernel, int dim) const;
  Status countResident(Kernel &kernel) const;
  Status start(const Kernel &kernel, const unsigned *grid, Stream stream,
               void **parameters) const;
  Status placeGrid(const Kernel &kernel, const int64_t *grid,
                   unsigned *launched) const;

  Allocator allocator;
  const Gpu &gpu;
  Module module = nullptr;
  Array<Kernel> kernels;
};
} // namespace

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

/// The driver is told no size, so the tables of an ELF file must lie in it.
static Status checkElf(Span<const uint8_t> code, const char *what) {
  Elf64_Ehdr header;
  if (code.size() < sizeof(header))
    return error(LATHE_CORRUPT, "the %s is cut off", what);
  memcpy(&header, code.data(), sizeof(header));
  auto isInside = [&](uint64_t offset, uint64_t size) {
    return offset <= code.size() && size <= code.size() - offset;
  };
  if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_shentsize != sizeof(Elf64_Shdr) ||
      !isInside(header.e_shoff,
                uint64_t(header.e_shnum) * sizeof(Elf64_Shdr)) ||
      !isInside(header.e_phoff, uint64_t(header.e_phnum) * header.e_phentsize))
    return error(LATHE_CORRUPT, "the %s's headers are damaged", what);
  for (uint32_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    memcpy(&section, code.data() + header.e_shoff + i * sizeof(section),
           sizeof(section));
    if (section.sh_type != SHT_NOBITS &&
        !isInside(section.sh_offset, section.sh_size))
      return error(LATHE_CORRUPT, "section %u of the %s is outside of it", i,
                   what);
  }
  return ok();
}

Status GpuExecutable::loadImage(const void *image) {
  char log[2048];
  log[0] = 0;
  int options[] = {jitErrorLog, jitErrorLogSize};
  void *values[] = {log, reinterpret_cast<void *>(sizeof(log) - 1)};
  unsigned numOptions = gpu.driver.getVendor().takesText ? 2 : 0;
  Status status = gpu.driver.call(&Driver::loadModule, &module, image,
                                  numOptions, options, values);
  if (!status.failed())
    return ok();
  log[sizeof(log) - 1] = 0;
  for (char &c : log)
    c = c == '\n' ? ' ' : c;
  return error(status.code() == LATHE_INTERNAL ? LATHE_INCOMPATIBLE
                                               : status.code(),
               "%s%s%s", status.message(), log[0] ? ": " : "", log);
}

Status GpuExecutable::load(Span<const uint8_t> code, size_t numKernels) {
  LATHE_TRY(kernels.allocate(allocator, numKernels));
  const Vendor &vendor = gpu.driver.getVendor();
  Current current(gpu);
  LATHE_TRY(current.status());
  if (code.size() >= SELFMAG && memcmp(code.data(), ELFMAG, SELFMAG) == 0) {
    LATHE_TRY(checkElf(code, vendor.object));
    return loadImage(code.data());
  }
  // Text is to end in 0.
  if (!vendor.takesText || code.size() == 0 ||
      memchr(code.data(), 0, code.size()))
    return error(LATHE_CORRUPT, "the code is no %s%s", vendor.object,
                 vendor.takesText ? ", nor text" : "");
  Array<char> text;
  LATHE_TRY(text.allocate(allocator, code.size() + 1));
  memcpy(text.data(), code.data(), code.size());
  return loadImage(text.data());
}

Status GpuExecutable::askForShared(const Kernel &kernel, uint32_t bytes,
                                   int allowed) const {
  if (!gpu.driver.setFunctionAttribute)
    return error(LATHE_INCOMPATIBLE, "the device has %d", allowed);
  return gpu.driver.call(&Driver::setFunctionAttribute, kernel.function,
                         functionDynamicShared, static_cast<int>(bytes));
}

/// Asks for the shared memory that launches will ask for, and sees whether the
/// threads fit the registers.
Status GpuExecutable::checkNeeds(const bundle::Kernel &table, Kernel &kernel) {
  // Two kernels may name the same function.
  int allowed = 0;
  LATHE_TRY(gpu.driver.call(&Driver::getFunctionAttribute, &allowed,
                            functionDynamicShared, kernel.function));
  if (table.shared() > static_cast<uint32_t>(allowed))
    LATHE_TRY(annotate(askForShared(kernel, table.shared(), allowed),
                       "%u bytes of shared memory", table.shared()));
  int most = 0;
  LATHE_TRY(gpu.driver.call(&Driver::getFunctionAttribute, &most,
                            functionMaxThreads, kernel.function));
  if (table.threads() == 0 || table.threads() > static_cast<uint32_t>(most))
    return error(LATHE_CORRUPT, "%u threads, and its code takes 1 to %d",
                 table.threads(), most);
  if (sizeOf(table.maps()) && !gpu.driver.encodeMap)
    return error(LATHE_INCOMPATIBLE,
                 "it takes tensor maps, and the %s has none; that of NVIDIA "
                 "has them from CUDA 12.0 on",
                 gpu.driver.getVendor().driver);
  if (table.cluster() > 1 && (!gpu.hasClusters || !gpu.driver.countClusters))
    return error(LATHE_INCOMPATIBLE,
                 "it runs in clusters of %u, which take compute capability 9.0 "
                 "and a driver for CUDA 11.8",
                 table.cluster());
  // Code for older devices does not wait for the kernel before it.
  kernel.overlaps =
      table.overlaps() && gpu.hasClusters && gpu.driver.launchWith;
  return table.grid() == bundle::GridKind::Persistent ? countResident(kernel)
                                                      : ok();
}

Status GpuExecutable::countResident(Kernel &kernel) const {
  const bundle::Kernel &table = *kernel.table;
  int count = 0;
  if (table.cluster() == 1) {
    LATHE_TRY(gpu.driver.call(&Driver::countResident, &count, kernel.function,
                              static_cast<int>(table.threads()),
                              table.shared()));
    kernel.resident = int64_t(count) * gpu.processors;
    return ok();
  }
  // A cluster lies in one group of processors, whose number need not be a
  // multiple of its size.
  int size = static_cast<int>(table.cluster());
  LaunchAttribute cluster = {clusterDimension, {size, 1, 1}};
  LaunchConfig config = {
      table.cluster(), 1,        1, table.threads(), 1, 1, table.shared(),
      nullptr,         &cluster, 1};
  LATHE_TRY(gpu.driver.call(&Driver::countClusters, &count, kernel.function,
                            &config));
  kernel.resident = int64_t(count) * size;
  return ok();
}

Status GpuExecutable::bindKernel(uint32_t index, const bundle::Kernel &table) {
  Current current(gpu);
  LATHE_TRY(current.status());
  Kernel &kernel = kernels[index];
  kernel.table = &table;
  const char *symbol = table.symbol()->c_str();
  int result = gpu.driver.getFunction(&kernel.function, module, symbol);
  if (result == notFound)
    return error(LATHE_CORRUPT, "the module has no kernel '%s'", symbol);
  LATHE_TRY(annotate(gpu.driver.check(result, &Driver::getFunction),
                     "kernel '%s'", symbol));
  return annotate(checkNeeds(table, kernel), "kernel '%s'", symbol);
}

//===----------------------------------------------------------------------===//
// Launching
//===----------------------------------------------------------------------===//

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// The most blocks of a kernel in a dim.
int64_t GpuExecutable::getMost(const Kernel &kernel, int dim) const {
  int64_t most = gpu.maxGrid[dim];
  int64_t threads = gpu.driver.getVendor().maxThreads;
  // Blocks are rows of threads along x.
  if (dim == 0 && threads)
    most = threads / kernel.table->threads() < most
               ? threads / kernel.table->threads()
               : most;
  return most;
}

/// The grid of blocks for one of programs.
Status GpuExecutable::placeGrid(const Kernel &kernel, const int64_t *grid,
                                unsigned *launched) const {
  const bundle::Kernel &table = *kernel.table;
  int64_t cluster = table.cluster();
  int64_t wanted[3] = {roundUp(grid[0], cluster), grid[1], grid[2]};
  bool fits = grid[1] <= gpu.maxGrid[1] && grid[2] <= gpu.maxGrid[2];
  bool isPersistent = table.grid() == bundle::GridKind::Persistent;
  if (isPersistent || (!fits && table.grid() == bundle::GridKind::Given)) {
    // A persistent kernel's clusters are rows of programs, or of its second
    // axis: then some may have none, and the grid is filled all the same.
    int64_t inRow = isPersistent ? wanted[0] : grid[0];
    wanted[0] = roundUp(inRow * grid[1] * grid[2], cluster);
    wanted[1] = wanted[2] = 1;
    int64_t places = kernel.resident > cluster ? kernel.resident : cluster;
    if (isPersistent && wanted[0] > places)
      wanted[0] = places;
  }
  for (int d = 0; d < 3; ++d) {
    if (wanted[d] > getMost(kernel, d))
      return error(LATHE_FAILED_PRECONDITION,
                   "grid dim %d is %" PRId64 ", and the device takes %" PRId64
                   " at most",
                   d, wanted[d], getMost(kernel, d));
    launched[d] = static_cast<unsigned>(wanted[d]);
  }
  return ok();
}

Status GpuExecutable::launch(Queue *queue, uint32_t index,
                             const LaunchArgs &args, uint32_t *threads) const {
  const Kernel &kernel = kernels[index];
  const bundle::Kernel &table = *kernel.table;
  unsigned grid[3];
  LATHE_TRY(annotate(placeGrid(kernel, args.grid, grid), "kernel '%s'",
                     table.symbol()->c_str()));
  Current current(gpu); // Encoding wants it, too.
  LATHE_TRY(current.status());
  // The driver wants the address of each parameter; it copies them.
  constexpr uint32_t most =
      bundle::maxOperands + bundle::maxScalars + 3 + bundle::maxTensorMaps;
  void *parameters[most];
  uint32_t count = 0;
  for (uint32_t i = 0; i < table.buffers(); ++i)
    parameters[count++] = const_cast<void **>(args.buffers + i);
  for (uint32_t i = 0; i < table.scalars(); ++i)
    parameters[count++] = const_cast<int64_t *>(args.scalars + i);
  if (table.grid() != bundle::GridKind::Plain)
    for (const int64_t &size : args.grid)
      parameters[count++] = const_cast<int64_t *>(&size);
  EncodedMap maps[bundle::maxTensorMaps];
  for (uint32_t i = 0; i < sizeOf(table.maps()); ++i) {
    LATHE_TRY(
        annotate(encodeMap(gpu.driver, *table.maps()->Get(i), args, maps[i]),
                 "kernel '%s': tensor map %u", table.symbol()->c_str(), i));
    parameters[count++] = &maps[i];
  }
  *threads = table.threads();
  return start(kernel, grid, streamOf(*queue), parameters);
}

/// Launches a kernel into the current context.
Status GpuExecutable::start(const Kernel &kernel, const unsigned *grid,
                            Stream stream, void **parameters) const {
  const bundle::Kernel &table = *kernel.table;
  if (!kernel.overlaps)
    return gpu.driver.call(&Driver::launch, kernel.function, grid[0], grid[1],
                           grid[2], table.threads(), 1, 1, table.shared(),
                           stream, parameters, nullptr);
  LaunchAttribute overlap = {programmaticSerialization, {1}};
  LaunchConfig config = {grid[0], grid[1],        grid[2], table.threads(), 1,
                         1,       table.shared(), stream,  &overlap,        1};
  return gpu.driver.call(&Driver::launchWith, &config, kernel.function,
                         parameters, nullptr);
}

Status loadCode(const Allocator &allocator, const Gpu &gpu,
                Span<const uint8_t> code, size_t numKernels,
                Executable **result) {
  GpuExecutable *executable;
  LATHE_TRY(newObject(allocator, &executable, gpu));
  Status status = executable->load(code, numKernels);
  if (status.failed())
    executable->destroy();
  else
    *result = executable;
  return status;
}

} // namespace lathe::rt::gpu
