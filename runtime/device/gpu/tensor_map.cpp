// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/gpu/tensor_map.h"

#include "runtime/bundle/format.h"
#include "runtime/bundle/verify.h"

#include <cinttypes>

namespace lathe::rt::gpu {

using namespace bundle;

static constexpr int64_t maxSize = int64_t(1) << 32;
static constexpr int64_t maxStrideBytes = int64_t(1) << 40;

/// The driver's number of an element type; what it has none for is copied as
/// integers of the same size.
static int dataTypeOf(DType dtype) {
  switch (dtype) {
  case DType::I16:
  case DType::U16:
    return 1;
  case DType::U32:
    return 2;
  case DType::I32:
    return 3;
  case DType::U64:
    return 4;
  case DType::I64:
    return 5;
  case DType::F16:
    return 6;
  case DType::F32:
    return 7;
  case DType::F64:
    return 8;
  case DType::BF16:
    return 9;
  default:
    return 0; // Bytes.
  }
}

static int swizzleOf(uint32_t bytes) {
  return bytes == 128 ? 3 : bytes == 64 ? 2 : bytes == 32 ? 1 : 0;
}

namespace {
/// A map with all numbers known.
struct Known {
  int64_t begin = 0; ///< bytes
  int64_t end = 0;   ///< of the last element, in bytes
  uint64_t sizes[maxMapRank];
  uint64_t strides[maxMapRank] = {}; ///< bytes, of the dims from 1 on
  bool isEmpty = false;
};
} // namespace

static Status valueOf(const LaunchValue &value, const int64_t *scalars,
                      int64_t unit, int64_t limit, const char *what,
                      int64_t *result) {
  int64_t factor = value.scalar() < 0 ? 1 : scalars[value.scalar()];
  if (__builtin_mul_overflow(value.factor(), factor, result) ||
      __builtin_mul_overflow(*result, unit, result) || *result < 0 ||
      *result > limit)
    return error(LATHE_FAILED_PRECONDITION,
                 "%s of %" PRId64 " * %" PRId64 " * %" PRId64
                 " is not between 0 and %" PRId64,
                 what, value.factor(), factor, unit, limit);
  return ok();
}

static Status evaluate(const TensorMap &map, const LaunchArgs &args,
                       Known &known) {
  auto element = static_cast<int64_t>(dtypeSize(map.dtype()));
  LATHE_TRY(valueOf(*map.offset(), args.scalars, element, INT64_MAX,
                    "an offset", &known.begin));
  known.end = known.begin;
  for (uint32_t d = 0; d < sizeOf(map.sizes()); ++d) {
    int64_t size, stride = element, extent;
    LATHE_TRY(valueOf(*map.sizes()->Get(d), args.scalars, 1, maxSize, "a size",
                      &size));
    known.sizes[d] = static_cast<uint64_t>(size);
    known.isEmpty |= size == 0;
    if (d) {
      LATHE_TRY(valueOf(*map.strides()->Get(d - 1), args.scalars, element,
                        maxStrideBytes - 1, "a stride", &stride));
      // Of a dim with one position it does not matter.
      if (size > 1 && stride % mapAlignment)
        return error(LATHE_FAILED_PRECONDITION,
                     "a stride of %" PRId64 " bytes is no multiple of %u",
                     stride, mapAlignment);
      known.strides[d] =
          static_cast<uint64_t>(size > 1 ? stride : mapAlignment);
    }
    if (size == 0)
      continue;
    if (__builtin_mul_overflow(size - 1, stride, &extent) ||
        __builtin_add_overflow(known.end, extent, &known.end))
      return error(LATHE_FAILED_PRECONDITION, "it is larger than any memory");
  }
  if (__builtin_add_overflow(known.end, element, &known.end))
    return error(LATHE_FAILED_PRECONDITION, "it is larger than any memory");
  return ok();
}

Status encodeMap(const LoadedDriver &driver, const TensorMap &map,
                 const LaunchArgs &args, EncodedMap &encoded) {
  Known known;
  LATHE_TRY(evaluate(map, args, known));
  encoded = EncodedMap();
  if (known.isEmpty)
    return ok();
  uint64_t size = args.sizes[map.buffer()];
  if (static_cast<uint64_t>(known.end) > size)
    return error(LATHE_FAILED_PRECONDITION,
                 "it ends at byte %" PRId64 " of a buffer of %" PRIu64,
                 known.end, size);
  Address address = reinterpret_cast<uintptr_t>(args.buffers[map.buffer()]) +
                    static_cast<uint64_t>(known.begin);
  if (address % mapAlignment)
    return error(LATHE_FAILED_PRECONDITION,
                 "it begins at 0x%" PRIx64 ", no multiple of %u bytes", address,
                 mapAlignment);
  uint32_t box[maxMapRank], steps[maxMapRank];
  for (uint32_t d = 0; d < sizeOf(map.box()); ++d) {
    box[d] = map.box()->Get(d);
    steps[d] = 1;
  }
  return driver.call(&Driver::encodeMap, &encoded, dataTypeOf(map.dtype()),
                     sizeOf(map.sizes()), address, known.sizes,
                     known.strides + 1, box, steps, noInterleave,
                     swizzleOf(map.swizzle()), promoteTo256Bytes, zerosOutside);
}

} // namespace lathe::rt::gpu
