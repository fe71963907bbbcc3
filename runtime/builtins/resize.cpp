// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// resize, as ONNX's Resize: an interpolation per axis, one axis after another.
// Each output position is a weighted sum of a few input positions (taps).

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>

namespace lathe::rt {

namespace {
enum class Mode : uint8_t { Nearest, Linear, Cubic };

/// Options, read once.
struct ResizeOptions {
  Mode mode = Mode::Nearest;
  const char *coordinates = nullptr;
  const char *nearest = nullptr;
  double cubicA = -0.75;
  bool excludeOutside = false;
  bool antialias = false;
  double extrapolation = 0;
  Span<const double> scales;
  Span<const double> roi;

  Status read(const BuiltinArgs &args, uint32_t rank);
};

/// What one axis does. Tap t of output i is input `index[i * count + t]`.
struct Axis {
  int64_t in = 0, out = 0;
  double scale = 1;
  int64_t count = 1; ///< taps per output
  int64_t *index = nullptr;
  double *weight = nullptr;
  bool *outside = nullptr; ///< outputs that take the extrapolation value
};
} // namespace

Status ResizeOptions::read(const BuiltinArgs &args, uint32_t rank) {
  const char *name = args.stringOption("mode", "nearest");
  if (strcmp(name, "linear") == 0)
    mode = Mode::Linear;
  else if (strcmp(name, "cubic") == 0)
    mode = Mode::Cubic;
  else if (strcmp(name, "nearest") != 0)
    return error(LATHE_UNIMPLEMENTED, "mode '%s'", name);
  coordinates =
      args.stringOption("coordinate_transformation_mode", "half_pixel");
  nearest = args.stringOption("nearest_mode", "round_prefer_floor");
  cubicA = args.floatOption("cubic_coeff_a", -0.75);
  excludeOutside = args.intOption("exclude_outside", 0) != 0;
  antialias = args.intOption("antialias", 0) != 0 && mode != Mode::Nearest;
  extrapolation = args.floatOption("extrapolation_value", 0);
  scales = args.floatsOption("scales");
  roi = args.floatsOption("roi");
  if ((!scales.empty() && scales.size() != rank) ||
      (!roi.empty() && roi.size() != 2 * size_t(rank)))
    return error(LATHE_CORRUPT, "scales or roi do not have the rank");
  return ok();
}

//===----------------------------------------------------------------------===//
// One axis
//===----------------------------------------------------------------------===//

/// Where output `i` lies among the inputs.
static double coordinate(const ResizeOptions &options, const Axis &axis,
                         uint32_t dim, uint32_t rank, int64_t i) {
  const char *mode = options.coordinates;
  double in = double(axis.in), out = double(axis.out), x = double(i);
  auto is = [&](const char *name) { return strcmp(mode, name) == 0; };
  if (is("asymmetric"))
    return x / axis.scale;
  if (is("align_corners")) {
    // With scales, the corners of what the result would be unrounded.
    if (!options.scales.empty())
      out = axis.scale * in;
    return out == 1 ? 0 : x * (in - 1) / (out - 1);
  }
  if (is("pytorch_half_pixel"))
    return axis.out == 1 ? 0 : (x + 0.5) / axis.scale - 0.5;
  if (is("half_pixel_symmetric")) {
    double offset = in / 2 * (1 - out / (axis.scale * in));
    return offset + (x + 0.5) / axis.scale - 0.5;
  }
  if (is("tf_crop_and_resize") && !options.roi.empty()) {
    double begin = options.roi[dim], end = options.roi[dim + rank];
    if (axis.out == 1)
      return 0.5 * (begin + end) * (in - 1);
    return begin * (in - 1) + x * (end - begin) * (in - 1) / (out - 1);
  }
  return (x + 0.5) / axis.scale - 0.5;
}

static double nearestOf(const char *mode, double x) {
  if (strcmp(mode, "floor") == 0)
    return std::floor(x);
  if (strcmp(mode, "ceil") == 0)
    return std::ceil(x);
  if (strcmp(mode, "round_prefer_ceil") == 0)
    return std::floor(x + 0.5);
  return std::ceil(x - 0.5);
}

/// The interpolation kernel at a distance; zero beyond 1 or 2.
static double kernelAt(const ResizeOptions &options, double distance) {
  double d = std::fabs(distance), a = options.cubicA;
  if (options.mode == Mode::Linear)
    return d < 1 ? 1 - d : 0;
  if (d <= 1)
    return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/// The kernel is as wide as an input step, or an output step when antialiasing
/// a reduction.
static double stretchOf(const ResizeOptions &options, const Axis &axis) {
  return options.antialias && axis.scale < 1 ? axis.scale : 1;
}

static int64_t tapsOf(const ResizeOptions &options, const Axis &axis) {
  if (options.mode == Mode::Nearest)
    return 1;
  double support = options.mode == Mode::Linear ? 1 : 2;
  return 2 * int64_t(std::ceil(support / stretchOf(options, axis))) + 1;
}

static void fillTaps(const ResizeOptions &options, const Axis &axis, double x,
                     int64_t *index, double *weight) {
  int64_t last = axis.in - 1;
  if (options.mode == Mode::Nearest) {
    double found = nearestOf(options.nearest, x);
    *index = int64_t(std::min(std::max(found, 0.0), double(last)));
    *weight = 1;
    return;
  }
  double stretch = stretchOf(options, axis), sum = 0;
  int64_t first = int64_t(std::floor(x)) - axis.count / 2;
  for (int64_t t = 0; t < axis.count; ++t) {
    int64_t at = first + t;
    bool inside = at >= 0 && at <= last;
    weight[t] = kernelAt(options, (double(at) - x) * stretch);
    if (options.excludeOutside && !inside)
      weight[t] = 0;
    index[t] = std::min(std::max(at, int64_t(0)), last);
    sum += weight[t];
  }
  if (sum != 0 && (options.excludeOutside || stretch != 1))
    for (int64_t t = 0; t < axis.count; ++t)
      weight[t] /= sum;
}

static void fillAxis(const ResizeOptions &options, const Axis &axis,
                     uint32_t dim, uint32_t rank) {
  bool crop = strcmp(options.coordinates, "tf_crop_and_resize") == 0;
  for (int64_t i = 0; i < axis.out; ++i) {
    double x = coordinate(options, axis, dim, rank, i);
    axis.outside[i] = crop && (x < 0 || x > double(axis.in - 1));
    // Far outside, all taps are the edge.
    x = std::min(std::max(x, -double(axis.count)),
                 double(axis.in + axis.count));
    fillTaps(options, axis, x, axis.index + i * axis.count,
             axis.weight + i * axis.count);
  }
}

/// to[o][i][n] = sum of taps of from[o][index][n].
template <typename C>
static void applyAxis(const Axis &axis, const C *from, C *to, int64_t outer,
                      int64_t inner) {
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < axis.out; ++i) {
      C *line = to + (o * axis.out + i) * inner;
      std::fill_n(line, inner, C(0));
      for (int64_t t = 0; t < axis.count; ++t) {
        C weight = C(axis.weight[i * axis.count + t]);
        if (weight == 0)
          continue;
        const C *source =
            from + (o * axis.in + axis.index[i * axis.count + t]) * inner;
        for (int64_t n = 0; n < inner; ++n)
          line[n] += weight * source[n];
      }
    }
}

template <typename C>
static void markOutside(const Axis &axis, C value, C *to, int64_t outer,
                        int64_t inner) {
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < axis.out; ++i)
      if (axis.outside[i])
        std::fill_n(to + (o * axis.out + i) * inner, inner, value);
}

//===----------------------------------------------------------------------===//
// All axes
//===----------------------------------------------------------------------===//

namespace {
/// Hands out parts of one block, each aligned to 64 bytes.
class Carver {
public:
  template <typename T> uint64_t add(int64_t count) {
    uint64_t begin = size;
    size += (uint64_t(count) * sizeof(T) + 63) / 64 * 64;
    return begin;
  }
  uint64_t size = 0;
};

struct Resize {
  ResizeOptions options;
  uint32_t rank = 0;
  Axis axes[bundle::maxRank];

  Status read(const BuiltinArgs &args);
  Status allocate(const BuiltinArgs &args, uint64_t elementSize, void **from,
                  void **to);
  /// Interpolates with numbers of type C.
  template <typename C> Status run(const BuiltinArgs &args);
  /// Does the axis change anything?
  bool isActive(uint32_t dim) const {
    return axes[dim].in != axes[dim].out || axes[dim].scale != 1 ||
           strcmp(options.coordinates, "tf_crop_and_resize") == 0;
  }
};
} // namespace

Status Resize::read(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(1, 1, 1));
  const Operand &x = args.read(0), &y = args.write(0);
  rank = x.rank;
  if (y.rank != rank || y.dtype != x.dtype)
    return error(LATHE_CORRUPT, "the result does not match the operand");
  LATHE_TRY(options.read(args, rank));
  for (uint32_t d = 0; d < rank; ++d) {
    Axis &axis = axes[d];
    axis.in = x.dims[d];
    axis.out = y.dims[d];
    if (axis.in == 0 && axis.out != 0)
      return error(LATHE_FAILED_PRECONDITION, "axis %u is empty", d);
    axis.scale = !options.scales.empty() ? options.scales[d]
                 : axis.in               ? double(axis.out) / double(axis.in)
                                         : 1;
    if (!(axis.scale > 0) && axis.out)
      return error(LATHE_CORRUPT, "the scale of axis %u is not positive", d);
    axis.count = axis.out ? tapsOf(options, axis) : 1;
    if (axis.count > 8 * (axis.in + 8))
      return error(LATHE_UNIMPLEMENTED, "scale %g of axis %u", axis.scale, d);
  }
  return ok();
}

/// Taps of all axes, and two arrays for what is between them.
Status Resize::allocate(const BuiltinArgs &args, uint64_t elementSize,
                        void **from, void **to) {
  uint64_t most = uint64_t(args.read(0).elements), now = most;
  for (uint32_t d = 0; d < rank && now; ++d) {
    now = now / uint64_t(axes[d].in) * uint64_t(axes[d].out);
    most = std::max(most, now);
  }
  Carver carver;
  uint64_t begin[bundle::maxRank][3];
  for (uint32_t d = 0; d < rank; ++d) {
    begin[d][0] = carver.add<int64_t>(axes[d].out * axes[d].count);
    begin[d][1] = carver.add<double>(axes[d].out * axes[d].count);
    begin[d][2] = carver.add<bool>(axes[d].out);
  }
  uint64_t first = carver.add<uint8_t>(int64_t(most * elementSize));
  uint64_t second = carver.add<uint8_t>(int64_t(most * elementSize));
  void *memory;
  LATHE_TRY(args.scratch(carver.size, &memory));
  auto *base = static_cast<uint8_t *>(memory);
  for (uint32_t d = 0; d < rank; ++d) {
    axes[d].index = reinterpret_cast<int64_t *>(base + begin[d][0]);
    axes[d].weight = reinterpret_cast<double *>(base + begin[d][1]);
    axes[d].outside = reinterpret_cast<bool *>(base + begin[d][2]);
  }
  *from = base + first;
  *to = base + second;
  return ok();
}

template <typename C> Status Resize::run(const BuiltinArgs &args) {
  const Operand &x = args.read(0), &y = args.write(0);
  void *memory[2];
  LATHE_TRY(allocate(args, sizeof(C), &memory[0], &memory[1]));
  C *from = static_cast<C *>(memory[0]), *to = static_cast<C *>(memory[1]);
  LATHE_TRY(dispatch(x.dtype, [&](auto tag) {
    std::copy_n(x.as<typename decltype(tag)::type>(), x.elements, from);
    return ok();
  }));
  int64_t outer = 1;
  for (uint32_t d = 0; d < rank; ++d) {
    if (isActive(d)) {
      fillAxis(options, axes[d], d, rank);
      applyAxis(axes[d], from, to, outer, x.count(d + 1, rank));
      std::swap(from, to);
    }
    outer *= axes[d].out;
  }
  // Last, for an axis after it would blend the value with others.
  for (uint32_t d = 0; d < rank; ++d)
    if (isActive(d))
      markOutside(axes[d], C(options.extrapolation), from, y.count(0, d),
                  y.count(d + 1, rank));
  return dispatch(y.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = 0; i < y.elements; ++i)
      y.as<T>()[i] =
          store<T>(static_cast<typename ComputeType<T>::type>(from[i]));
    return ok();
  });
}

Status runResize(const BuiltinArgs &args) {
  Resize resize;
  LATHE_TRY(resize.read(args));
  if (args.write(0).elements == 0)
    return ok();
  // Integers up to 2^53 pass through a double.
  using bundle::DType;
  DType dtype = args.read(0).dtype;
  if (dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16)
    return resize.run<float>(args);
  return resize.run<double>(args);
}

} // namespace lathe::rt
