// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"
#include "runtime/bundle/verify.h"

#include <cinttypes>

namespace lathe::rt {

/// Says where in `indices` element `i` stands.
static Status outOfRange(const Operand &indices, int64_t i, int64_t index,
                         int64_t size) {
  char place[bundle::maxRank * 24 + 8] = "";
  size_t length = 0;
  int64_t stride = indices.elements;
  for (uint32_t d = 0, rank = indices.rank; d < rank; ++d) {
    stride /= indices.dims[d];
    length += size_t(snprintf(place + length, sizeof(place) - length,
                              "%s%" PRId64, d ? ", " : " at [", i / stride));
    i %= stride;
  }
  if (size <= 0)
    return error(LATHE_INVALID_ARGUMENT,
                 "index %" PRId64 "%s%s: the dim is empty, no index is allowed",
                 index, place, length ? "]" : "");
  return error(LATHE_INVALID_ARGUMENT,
               "index %" PRId64
               "%s%s is out of range for a dim of size %" PRId64
               "; allowed are %" PRId64 " to %" PRId64,
               index, place, length ? "]" : "", size, -size, size - 1);
}

/// The position of the first index that is not in its dim, -1 if there is none.
template <typename T>
static int64_t findOutside(const T *indices, int64_t count,
                           const int64_t *sizes, int64_t tuple) {
  if (tuple == 1) { // Most are: a loop without exits, then one with.
    int64_t size = sizes[0], outside = 0;
    for (int64_t i = 0; i < count; ++i)
      outside |= int64_t(indices[i] >= size) | int64_t(indices[i] < -size);
    if (!outside)
      return -1;
  }
  for (int64_t i = 0; i < count; ++i)
    if (indices[i] >= sizes[i % tuple] || indices[i] < -sizes[i % tuple])
      return i;
  return -1;
}

Status runCheckIndices(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(2, 1, 1));
  const Operand &indices = args.read(0), &limits = args.read(1);
  const Operand &result = args.write(0);
  int64_t tuple = limits.elements;
  if (limits.dtype != bundle::DType::I64 || result.dtype != indices.dtype ||
      result.elements != indices.elements ||
      (indices.elements && (tuple < 1 || indices.elements % tuple)))
    return error(LATHE_CORRUPT, "the operands do not match");
  return dispatchIndex(indices.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const int64_t *sizes = limits.as<int64_t>();
    int64_t found =
        findOutside(indices.as<T>(), indices.elements, sizes, tuple);
    if (found >= 0)
      return outOfRange(indices, found, indices.as<T>()[found],
                        sizes[found % tuple]);
    if (indices.elements)
      memcpy(result.data, indices.data,
             static_cast<size_t>(indices.elements) * sizeof(T));
    return ok();
  });
}

} // namespace lathe::rt
