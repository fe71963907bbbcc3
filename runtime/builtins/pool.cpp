// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// max_pool_with_indices and max_unpool.

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"
#include "runtime/bundle/verify.h"

#include <algorithm>
#include <cinttypes>

namespace lathe::rt {

namespace {
/// Pooling windows over the dims after batch and channel.
struct Windows {
  uint32_t rank = 0; ///< spatial
  Span<const int64_t> kernel, strides, dilations, pads;

  Status read(const BuiltinArgs &args, const Operand &x);
};
} // namespace

Status Windows::read(const BuiltinArgs &args, const Operand &x) {
  if (x.rank < 3)
    return error(LATHE_CORRUPT, "the operand must have rank 3 at least");
  rank = x.rank - 2;
  kernel = args.intsOption("kernel");
  strides = args.intsOption("strides");
  dilations = args.intsOption("dilations");
  pads = args.intsOption("pads");
  if (kernel.size() != rank || strides.size() != rank ||
      (!dilations.empty() && dilations.size() != rank) ||
      pads.size() != 2 * size_t(rank))
    return error(LATHE_CORRUPT, "window options do not have the rank");
  return ok();
}

/// Counts through the index space `dims`, the last dim fastest.
static bool advance(int64_t *position, const int64_t *dims, uint32_t rank) {
  for (uint32_t d = rank; d-- > 0;) {
    if (++position[d] < dims[d])
      return true;
    position[d] = 0;
  }
  return false;
}

/// The place of the largest element in the window of output `out`, or -1.
static int64_t findLargest(const Windows &windows, const uint8_t *plane,
                           CompareElements compare, const int64_t *dims,
                           const int64_t *out) {
  int64_t tap[bundle::maxRank] = {};
  int64_t best = -1;
  do {
    int64_t linear = 0;
    bool inside = true;
    for (uint32_t d = 0; d < windows.rank; ++d) {
      int64_t step = windows.dilations.empty() ? 1 : windows.dilations[d];
      int64_t at =
          out[d] * windows.strides[d] - windows.pads[d] + tap[d] * step;
      inside &= at >= 0 && at < dims[d];
      linear = linear * dims[d] + at;
    }
    if (inside && (best < 0 || compare(plane, linear, best) > 0))
      best = linear;
  } while (advance(tap, windows.kernel.data(), windows.rank));
  return best;
}

/// The same element counted with the first spatial dim fastest.
static int64_t columnMajor(int64_t linear, const int64_t *dims, uint32_t rank) {
  int64_t result = 0, stride = 1;
  int64_t position[bundle::maxRank];
  for (uint32_t d = rank; d-- > 0; linear /= dims[d])
    position[d] = linear % dims[d];
  for (uint32_t d = 0; d < rank; stride *= dims[d++])
    result += position[d] * stride;
  return result;
}

Status runMaxPoolWithIndices(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(1, 2, 2));
  const Operand &x = args.read(0), &y = args.write(0), &at = args.write(1);
  Windows windows;
  LATHE_TRY(windows.read(args, x));
  if (y.rank != x.rank || y.dtype != x.dtype || at.elements != y.elements ||
      at.dtype != bundle::DType::I64 || y.count(0, 2) != x.count(0, 2))
    return error(LATHE_CORRUPT, "the results do not match the operand");
  bool byColumn = args.intOption("column_major", 0) != 0;
  const int64_t *dims = x.dims + 2;
  int64_t size = x.count(2, x.rank), outSize = y.count(2, y.rank);
  uint64_t width = dtypeSize(x.dtype);
  CompareElements compare = compareElements(x.dtype);
  for (int64_t plane = 0; outSize && plane < x.count(0, 2); ++plane) {
    const uint8_t *from = x.data + uint64_t(plane * size) * width;
    int64_t out[bundle::maxRank] = {};
    for (int64_t i = plane * outSize; i < (plane + 1) * outSize; ++i) {
      int64_t best = findLargest(windows, from, compare, dims, out);
      if (best < 0)
        return error(LATHE_FAILED_PRECONDITION, "a window lies in the padding");
      memcpy(y.data + uint64_t(i) * width, from + uint64_t(best) * width,
             width);
      at.as<int64_t>()[i] =
          plane * size +
          (byColumn ? columnMajor(best, dims, windows.rank) : best);
      advance(out, y.dims + 2, windows.rank);
    }
  }
  return ok();
}

/// Indices count within the result that kernel, strides and pads make, which
/// may be smaller than the one asked for.
Status runMaxUnpool(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(2, 1, 1));
  const Operand &x = args.read(0), &at = args.read(1), &y = args.write(0);
  Windows windows;
  LATHE_TRY(windows.read(args, x));
  if (at.dtype != bundle::DType::I64 || at.elements != x.elements ||
      y.rank != x.rank || y.dtype != x.dtype)
    return error(LATHE_CORRUPT, "the operands do not match");
  int64_t inferred[bundle::maxRank] = {x.dims[0], x.dims[1]};
  for (uint32_t d = 0; d < windows.rank; ++d)
    inferred[d + 2] = (x.dims[d + 2] - 1) * windows.strides[d] -
                      windows.pads[d] - windows.pads[d + windows.rank] +
                      windows.kernel[d];
  uint64_t width = dtypeSize(x.dtype);
  memset(y.data, 0, uint64_t(y.elements) * width);
  for (int64_t i = 0; i < x.elements; ++i) {
    int64_t rest = at.as<int64_t>()[i], linear = 0, stride = 1;
    bool inside = rest >= 0;
    for (uint32_t d = x.rank; d-- > 0;) {
      int64_t size = std::max<int64_t>(inferred[d], 1);
      int64_t position = rest % size;
      inside &= position < y.dims[d];
      linear += position * stride;
      stride *= y.dims[d];
      rest /= size;
    }
    if (!inside || rest)
      return error(LATHE_FAILED_PRECONDITION,
                   "index %" PRId64 " is outside the result",
                   at.as<int64_t>()[i]);
    memcpy(y.data + uint64_t(linear) * width, x.data + uint64_t(i) * width,
           width);
  }
  return ok();
}

} // namespace lathe::rt
