// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Built-ins that read an image between its points: grid_sample, roi_align.

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>

namespace lathe::rt {

//===----------------------------------------------------------------------===//
// grid_sample
//===----------------------------------------------------------------------===//

namespace {
enum class Padding : uint8_t { Zeros, Border, Reflection };

struct GridSample {
  int taps = 2; ///< per axis: 1 nearest, 2 linear, 4 cubic
  Padding padding = Padding::Zeros;
  bool alignCorners = false;
  uint32_t rank = 0; ///< spatial
  const int64_t *dims = nullptr;

  Status read(const BuiltinArgs &args);
  /// The taps of one axis around `g` in [-1, 1]; index -1 reads as zero.
  void findTaps(double g, int64_t size, int64_t *index, double *weight) const;
  int64_t place(double at, int64_t size) const;
  double reflect(double x, int64_t size) const;
};
} // namespace

Status GridSample::read(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(2, 1, 1));
  const Operand &x = args.read(0), &grid = args.read(1), &y = args.write(0);
  if (x.rank < 3 || grid.rank != x.rank || y.rank != x.rank ||
      grid.dims[grid.rank - 1] != x.rank - 2 || grid.dims[0] != x.dims[0] ||
      y.dtype != x.dtype || y.count(0, 2) != x.count(0, 2) ||
      y.count(2, y.rank) != grid.count(1, grid.rank - 1))
    return error(LATHE_CORRUPT, "operands and result do not match");
  rank = x.rank - 2;
  dims = x.dims + 2;
  const char *mode = args.stringOption("mode", "linear");
  taps = strcmp(mode, "nearest") == 0 ? 1 : strcmp(mode, "cubic") == 0 ? 4 : 2;
  const char *outside = args.stringOption("padding_mode", "zeros");
  if (strcmp(outside, "border") == 0)
    padding = Padding::Border;
  else if (strcmp(outside, "reflection") == 0)
    padding = Padding::Reflection;
  alignCorners = args.intOption("align_corners", 0) != 0;
  if (x.elements == 0 && y.elements != 0)
    return error(LATHE_FAILED_PRECONDITION, "the image is empty");
  return ok();
}

double GridSample::reflect(double x, int64_t size) const {
  double low = alignCorners ? 0 : -0.5;
  double range = double(size) - (alignCorners ? 1 : 0);
  if (!(range > 0))
    return 0;
  double distance = std::fabs(x - low);
  double rest = std::fmod(distance, range);
  bool odd = std::fmod(std::floor(distance / range), 2) != 0;
  return low + (odd ? range - rest : rest);
}

int64_t GridSample::place(double at, int64_t size) const {
  if (at >= 0 && at <= double(size - 1))
    return int64_t(at);
  if (padding == Padding::Zeros || !std::isfinite(at))
    return -1;
  if (padding == Padding::Reflection)
    at = reflect(at, size);
  return std::min(std::max(int64_t(std::min(at, double(size))), int64_t(0)),
                  size - 1);
}

void GridSample::findTaps(double g, int64_t size, int64_t *index,
                          double *weight) const {
  double x = alignCorners ? (g + 1) / 2 * double(size - 1)
                          : ((g + 1) * double(size) - 1) / 2;
  if (taps == 1)
    x = std::nearbyint(x);
  double low = alignCorners ? 0 : -0.5, high = double(size) - 1 - low;
  // Cubic taps are placed one by one.
  if (taps != 4 && (x < low || x > high)) {
    if (padding == Padding::Border)
      x = std::min(std::max(x, 0.0), double(size - 1));
    else if (padding == Padding::Reflection)
      x = reflect(x, size);
  }
  double base = std::floor(x), t = x - base;
  if (taps == 1) {
    weight[0] = 1;
    index[0] = place(std::nearbyint(x), size);
    return;
  }
  if (taps == 2) {
    weight[0] = 1 - t;
    weight[1] = t;
  } else {
    const double a = -0.75;
    for (int i = 0; i < 4; ++i) {
      double d = std::fabs(t + 1 - i);
      weight[i] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1
                         : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
  }
  for (int i = 0; i < taps; ++i)
    index[i] = place(base + i - (taps == 4), size);
}

namespace {
/// The taps of all axes at one point.
struct Point {
  int64_t index[bundle::maxRank][4];
  double weight[bundle::maxRank][4];
};
} // namespace

template <typename T>
static double gather(const GridSample &grid, const Point &point, const T *plane,
                     uint32_t axis, int64_t offset) {
  if (axis == grid.rank)
    return typename ComputeType<T>::type(plane[offset]);
  double sum = 0;
  for (int t = 0; t < grid.taps; ++t) {
    int64_t at = point.index[axis][t];
    if (at >= 0 && point.weight[axis][t] != 0)
      sum += point.weight[axis][t] * gather(grid, point, plane, axis + 1,
                                            offset * grid.dims[axis] + at);
  }
  return sum;
}

Status runGridSample(const BuiltinArgs &args) {
  GridSample sample;
  LATHE_TRY(sample.read(args));
  const Operand &x = args.read(0), &grid = args.read(1), &y = args.write(0);
  if (grid.dtype != x.dtype)
    return error(LATHE_CORRUPT, "the grid must be of the image's dtype");
  int64_t points = y.count(2, y.rank), size = x.count(2, x.rank);
  return dispatchFloat(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Point point;
    for (int64_t i = 0; i < x.dims[0] * points; ++i) {
      for (uint32_t d = 0; d < sample.rank; ++d) {
        // The grid names the last axis first.
        T g = grid.as<T>()[(i + 1) * sample.rank - 1 - d];
        sample.findTaps(typename ComputeType<T>::type(g), sample.dims[d],
                        point.index[d], point.weight[d]);
      }
      for (int64_t c = 0; c < x.dims[1]; ++c) {
        int64_t plane = i / points * x.dims[1] + c;
        double value = gather(sample, point, x.as<T>() + plane * size, 0, 0);
        y.as<T>()[plane * points + i % points] =
            store<T>(static_cast<typename ComputeType<T>::type>(value));
      }
    }
    return ok();
  });
}

//===----------------------------------------------------------------------===//
// roi_align
//===----------------------------------------------------------------------===//

namespace {
/// The four points around a place, or none when it is outside.
struct Corners {
  int64_t index[4] = {};
  double weight[4] = {};

  Corners(double y, double x, int64_t height, int64_t width) {
    if (!(y >= -1 && y <= double(height) && x >= -1 && x <= double(width)))
      return;
    int64_t top, bottom, left, right;
    double dy = split(y, height, &top, &bottom);
    double dx = split(x, width, &left, &right);
    const int64_t places[] = {top * width + left, top * width + right,
                              bottom * width + left, bottom * width + right};
    const double weights[] = {(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx),
                              dy * dx};
    std::copy_n(places, 4, index);
    std::copy_n(weights, 4, weight);
  }

private:
  static double split(double x, int64_t size, int64_t *low, int64_t *high) {
    x = std::max(x, 0.0);
    *low = int64_t(x);
    if (*low >= size - 1) {
      *low = *high = size - 1;
      return 0;
    }
    *high = *low + 1;
    return x - double(*low);
  }
};

struct Region {
  double top, left, binHeight, binWidth;
  int64_t rows, columns; ///< samples per bin
};

struct RoiAlign {
  double scale = 1, offset = 0;
  int64_t sampling = 0;
  bool largest = false;

  Status read(const BuiltinArgs &args);
  template <typename T>
  Region region(const T *roi, int64_t height, int64_t width) const;
};
} // namespace

Status RoiAlign::read(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(3, 1, 1));
  const Operand &x = args.read(0), &rois = args.read(1);
  const Operand &batch = args.read(2), &y = args.write(0);
  if (x.rank != 4 || rois.rank != 2 || rois.dims[1] != 4 || y.rank != 4 ||
      rois.dtype != x.dtype || y.dtype != x.dtype ||
      batch.dtype != bundle::DType::I64 || batch.elements != rois.dims[0] ||
      y.dims[0] != rois.dims[0] || y.dims[1] != x.dims[1])
    return error(LATHE_CORRUPT, "operands and result do not match");
  for (int64_t i = 0; i < batch.elements; ++i)
    if (batch.as<int64_t>()[i] < 0 || batch.as<int64_t>()[i] >= x.dims[0])
      return error(LATHE_FAILED_PRECONDITION,
                   "batch_indices[%" PRId64 "] is %" PRId64 " of %" PRId64, i,
                   batch.as<int64_t>()[i], x.dims[0]);
  scale = args.floatOption("spatial_scale", 1);
  sampling = args.intOption("sampling_ratio", 0);
  largest = strcmp(args.stringOption("mode", "avg"), "max") == 0;
  const char *mode =
      args.stringOption("coordinate_transformation_mode", "half_pixel");
  offset = strcmp(mode, "half_pixel") == 0 ? 0.5 : 0;
  return ok();
}

template <typename T>
Region RoiAlign::region(const T *roi, int64_t height, int64_t width) const {
  using C = typename ComputeType<T>::type;
  double left = C(roi[0]) * scale - offset, top = C(roi[1]) * scale - offset;
  double w = C(roi[2]) * scale - offset - left;
  double h = C(roi[3]) * scale - offset - top;
  if (offset == 0) {
    w = std::max(w, 1.0);
    h = std::max(h, 1.0);
  }
  Region result = {top, left, h / double(height), w / double(width), 0, 0};
  // A region is no larger than some multiple of an image.
  const double most = 4096;
  auto samples = [&](double bin) {
    double count = sampling > 0 ? double(sampling) : std::ceil(bin);
    return int64_t(std::min(std::max(count, 0.0), most));
  };
  result.rows = samples(result.binHeight);
  result.columns = samples(result.binWidth);
  return result;
}

template <typename T>
static double pool(const RoiAlign &align, const Region &region, const T *plane,
                   int64_t height, int64_t width, int64_t row, int64_t column) {
  using C = typename ComputeType<T>::type;
  double sum = 0, best = 0;
  for (int64_t i = 0; i < region.rows; ++i)
    for (int64_t j = 0; j < region.columns; ++j) {
      double y =
          region.top + (double(row) + (double(i) + 0.5) / double(region.rows)) *
                           region.binHeight;
      double x = region.left +
                 (double(column) + (double(j) + 0.5) / double(region.columns)) *
                     region.binWidth;
      Corners corners(y, x, height, width);
      double value = 0, most = 0;
      for (int k = 0; k < 4; ++k) {
        double part = corners.weight[k] * C(plane[corners.index[k]]);
        value += part;
        most = k ? std::max(most, part) : part;
      }
      sum += value;
      best = i || j ? std::max(best, most) : most;
    }
  if (align.largest)
    return best;
  return sum / double(std::max<int64_t>(region.rows * region.columns, 1));
}

Status runRoiAlign(const BuiltinArgs &args) {
  RoiAlign align;
  LATHE_TRY(align.read(args));
  const Operand &x = args.read(0), &rois = args.read(1), &y = args.write(0);
  int64_t height = x.dims[2], width = x.dims[3];
  if (height * width == 0 && y.elements)
    return error(LATHE_FAILED_PRECONDITION, "the image is empty");
  return dispatchFloat(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T *to = y.as<T>();
    for (int64_t r = 0; r < rois.dims[0]; ++r) {
      Region region = align.region(rois.as<T>() + r * 4, y.dims[2], y.dims[3]);
      int64_t batch = args.read(2).as<int64_t>()[r];
      for (int64_t c = 0; c < x.dims[1]; ++c) {
        const T *plane = x.as<T>() + (batch * x.dims[1] + c) * height * width;
        for (int64_t i = 0; i < y.dims[2] * y.dims[3]; ++i)
          *to++ = store<T>(static_cast<typename ComputeType<T>::type>(
              pool(align, region, plane, height, width, i / y.dims[3],
                   i % y.dims[3])));
      }
    }
    return ok();
  });
}

} // namespace lathe::rt
