// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// det and col2im.

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"
#include "runtime/bundle/verify.h"

#include <algorithm>
#include <cmath>

namespace lathe::rt {

/// By elimination with partial pivoting; destroys `a`.
static double determinant(double *a, int64_t n) {
  double result = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::fabs(a[i * n + k]) > std::fabs(a[pivot * n + k]))
        pivot = i;
    if (a[pivot * n + k] == 0)
      return 0;
    if (pivot != k) {
      std::swap_ranges(a + k * n, a + (k + 1) * n, a + pivot * n);
      result = -result;
    }
    result *= a[k * n + k];
    for (int64_t i = k + 1; i < n; ++i) {
      double factor = a[i * n + k] / a[k * n + k];
      for (int64_t j = k; j < n; ++j)
        a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return result;
}

Status runDet(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(1, 1, 1));
  const Operand &x = args.read(0), &y = args.write(0);
  if (x.rank < 2 || x.dims[x.rank - 1] != x.dims[x.rank - 2] ||
      y.dtype != x.dtype || y.elements != x.count(0, x.rank - 2))
    return error(LATHE_CORRUPT, "the operand must be square matrices");
  int64_t n = x.dims[x.rank - 1];
  void *memory;
  LATHE_TRY(args.scratch(uint64_t(n) * uint64_t(n) * sizeof(double), &memory));
  auto *matrix = static_cast<double *>(memory);
  return dispatchFloat(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = 0; i < y.elements; ++i) {
      std::copy_n(x.as<T>() + i * n * n, n * n, matrix);
      y.as<T>()[i] = store<T>(
          static_cast<typename ComputeType<T>::type>(determinant(matrix, n)));
    }
    return ok();
  });
}

namespace {
/// Where the blocks of col2im lie in an image.
struct Blocks {
  uint32_t rank = 0;
  Span<const int64_t> image, block, strides, dilations, pads;
  int64_t counts[bundle::maxRank] = {}; ///< blocks per axis
  int64_t taps = 1, places = 1, size = 1;

  Status read(const BuiltinArgs &args);
  /// The image element of a tap of a block, or -1 in the padding.
  int64_t at(int64_t place, int64_t tap) const;
};
} // namespace

Status Blocks::read(const BuiltinArgs &args) {
  image = args.intsOption("image");
  block = args.intsOption("block");
  strides = args.intsOption("strides");
  dilations = args.intsOption("dilations");
  pads = args.intsOption("pads");
  rank = static_cast<uint32_t>(image.size());
  if (rank == 0 || rank > bundle::maxRank - 2 || block.size() != rank ||
      strides.size() != rank || dilations.size() != rank ||
      pads.size() != 2 * size_t(rank))
    return error(LATHE_CORRUPT, "block options do not have the rank");
  for (uint32_t d = 0; d < rank; ++d) {
    if (strides[d] <= 0 || dilations[d] <= 0 || block[d] <= 0 || image[d] < 0)
      return error(LATHE_CORRUPT, "block options must be positive");
    int64_t reach = dilations[d] * (block[d] - 1) + 1;
    int64_t room = image[d] + pads[d] + pads[d + rank] - reach;
    counts[d] = room < 0 ? 0 : room / strides[d] + 1;
    taps *= block[d];
    places *= counts[d];
    size *= image[d];
  }
  return ok();
}

int64_t Blocks::at(int64_t place, int64_t tap) const {
  int64_t result = 0, stride = 1;
  for (uint32_t d = rank; d-- > 0;) {
    int64_t x = place % counts[d] * strides[d] - pads[d] +
                tap % block[d] * dilations[d];
    if (x < 0 || x >= image[d])
      return -1;
    result += x * stride;
    stride *= image[d];
    place /= counts[d];
    tap /= block[d];
  }
  return result;
}

Status runCol2Im(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(1, 1, 1));
  Blocks blocks;
  LATHE_TRY(blocks.read(args));
  const Operand &x = args.read(0), &y = args.write(0);
  if (x.rank != 3 || y.rank != blocks.rank + 2 || x.dims[2] != blocks.places ||
      y.dtype != x.dtype || y.count(2, y.rank) != blocks.size ||
      y.count(0, 2) * blocks.taps != x.count(0, 2))
    return error(LATHE_CORRUPT, "operand and result do not match");
  return dispatch(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = typename ComputeType<T>::type;
    std::fill_n(y.as<T>(), y.elements, store<T>(C(0)));
    for (int64_t row = 0; row < x.count(0, 2); ++row) {
      T *image = y.as<T>() + row / blocks.taps * blocks.size;
      const T *from = x.as<T>() + row * blocks.places;
      for (int64_t place = 0; place < blocks.places; ++place) {
        int64_t to = blocks.at(place, row % blocks.taps);
        if (to >= 0)
          image[to] = store<T>(static_cast<C>(C(image[to]) + C(from[place])));
      }
    }
    return ok();
  });
}

} // namespace lathe::rt
