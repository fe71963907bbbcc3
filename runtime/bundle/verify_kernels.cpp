// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the bundle says of kernels: within what devices take, so that a driver
// is asked nothing that it does not answer.

#include "runtime/bundle/verify.h"

#include "runtime/bundle/format.h"

#include <cinttypes>

namespace lathe::rt {

using namespace bundle;

// Of all devices that take maps: sizes up to 2^32, strides below 2^40 bytes,
// and this much for parameters.
static constexpr int64_t maxMapSize = int64_t(1) << 32;
static constexpr int64_t maxMapStride = int64_t(1) << 40;
static constexpr uint32_t maxParameterBytes = 4096;
static constexpr uint32_t mapBytes = 128;

/// A number with a factor from `least` to `most`.
static Status verifyValue(const LaunchValue &value, const Kernel &kernel,
                          int64_t least, int64_t most, const char *what) {
  if (value.scalar() != -1)
    LATHE_TRY(annotate(verifyIndex(value.scalar(), kernel.scalars(), "scalar"),
                       "%s", what));
  if (value.factor() < least || value.factor() > most)
    return error(LATHE_CORRUPT,
                 "%s: %" PRId64 " is not between %" PRId64 " and %" PRId64,
                 what, value.factor(), least, most);
  return ok();
}

static Status verifyBox(const TensorMap &map) {
  uint64_t bytes = dtypeSize(map.dtype());
  for (uint32_t d = 0; d < sizeOf(map.box()); ++d) {
    uint32_t size = map.box()->Get(d);
    if (size < 1 || size > maxBox)
      return error(LATHE_CORRUPT,
                   "its box has %u elements in dim %u; 1 to %u "
                   "are allowed",
                   size, d, maxBox);
    bytes *= size;
    if (d == 0 && bytes % mapAlignment)
      return error(LATHE_CORRUPT,
                   "a row of its box has %" PRIu64 " bytes, no multiple of %u",
                   bytes, mapAlignment);
    if (d == 0 && map.swizzle() && bytes > map.swizzle())
      return error(LATHE_CORRUPT,
                   "a row of its box has %" PRIu64
                   " bytes, more than the swizzle's %u",
                   bytes, map.swizzle());
    if (bytes > maxSharedBytes)
      return error(LATHE_CORRUPT, "its box has more than %u bytes",
                   maxSharedBytes);
  }
  return ok();
}

static Status verifyMap(const Kernel &kernel, const TensorMap &map) {
  LATHE_TRY(verifyIndex(map.buffer(), kernel.buffers(), "buffer"));
  uint32_t rank = sizeOf(map.sizes());
  if (!dtypeSize(map.dtype()))
    return error(LATHE_CORRUPT, "unknown dtype %u",
                 static_cast<unsigned>(map.dtype()));
  if (rank < 1 || rank > maxMapRank || sizeOf(map.strides()) != rank - 1 ||
      sizeOf(map.box()) != rank || !map.offset())
    return error(LATHE_CORRUPT,
                 "%u sizes, %u strides and %u sizes of its box%s", rank,
                 sizeOf(map.strides()), sizeOf(map.box()),
                 map.offset() ? "" : ", and no offset");
  if (map.swizzle() != 0 && map.swizzle() != 32 && map.swizzle() != 64 &&
      map.swizzle() != 128)
    return error(LATHE_CORRUPT, "a swizzle of %u bytes", map.swizzle());
  LATHE_TRY(verifyValue(*map.offset(), kernel, 0, maxMapStride, "its offset"));
  for (uint32_t d = 0; d < rank; ++d)
    LATHE_TRY(
        verifyValue(*map.sizes()->Get(d), kernel, 0, maxMapSize, "a size"));
  for (uint32_t d = 1; d < rank; ++d)
    LATHE_TRY(verifyValue(*map.strides()->Get(d - 1), kernel, 0, maxMapStride,
                          "a stride"));
  return verifyBox(map);
}

/// What only launches on devices with threads have.
static Status verifyNeeds(const Kernel &kernel, WorkBudget &budget) {
  uint32_t numMaps = sizeOf(kernel.maps());
  LATHE_TRY(budget.spend(numMaps));
  if (kernel.grid() > GridKind::Persistent)
    return error(LATHE_CORRUPT, "unknown kind of grid %u",
                 static_cast<unsigned>(kernel.grid()));
  bool isPlain = kernel.grid() == GridKind::Plain;
  if (kernel.cluster() < 1 || kernel.cluster() > maxCluster ||
      (kernel.cluster() > 1 && isPlain))
    return error(LATHE_CORRUPT, "clusters of %u programs%s", kernel.cluster(),
                 isPlain ? ", without being given the grid" : "");
  if (numMaps > maxTensorMaps)
    return error(LATHE_CORRUPT, "%u tensor maps; %u are allowed", numMaps,
                 maxTensorMaps);
  if (!kernel.threads() && (!isPlain || numMaps))
    return error(LATHE_CORRUPT, "it has no threads, and asks for %s",
                 numMaps ? "tensor maps" : "the grid");
  uint32_t words = kernel.buffers() + kernel.scalars() + (isPlain ? 0 : 3);
  uint32_t bytes = words * 8 + (numMaps ? (numMaps + 1) * mapBytes : 0);
  if (kernel.threads() && bytes > maxParameterBytes)
    return error(LATHE_CORRUPT, "%u parameters and %u tensor maps", words,
                 numMaps);
  for (uint32_t i = 0; i < numMaps; ++i) {
    const TensorMap &map = *kernel.maps()->Get(i);
    LATHE_TRY(budget.spend(uint64_t(sizeOf(map.sizes())) +
                           sizeOf(map.strides()) + sizeOf(map.box())));
    LATHE_TRY(annotate(verifyMap(kernel, map), "tensor map %u", i));
  }
  return ok();
}

static Status verifyKernel(const Kernel &kernel, WorkBudget &budget) {
  if (kernel.buffers() > maxOperands || kernel.scalars() > maxScalars)
    return error(LATHE_CORRUPT,
                 "it takes %u buffers and %u scalars; %u of each are allowed",
                 kernel.buffers(), kernel.scalars(), maxOperands);
  if (kernel.threads() > maxThreads || kernel.shared() > maxSharedBytes)
    return error(LATHE_CORRUPT,
                 "it asks for %u threads and %u bytes of shared memory; %u and "
                 "%u are allowed",
                 kernel.threads(), kernel.shared(), maxThreads, maxSharedBytes);
  return verifyNeeds(kernel, budget);
}

Status verifyKernels(const Variant &variant, WorkBudget &budget) {
  LATHE_TRY(budget.spend(sizeOf(variant.kernels())));
  for (uint32_t i = 0; i < sizeOf(variant.kernels()); ++i) {
    const Kernel &kernel = *variant.kernels()->Get(i);
    if (!*textOf(kernel.symbol()))
      return error(LATHE_CORRUPT, "kernel %u has no symbol", i);
    LATHE_TRY(annotate(verifyKernel(kernel, budget), "kernel '%s'",
                       textOf(kernel.symbol())));
  }
  return ok();
}

} // namespace lathe::rt
