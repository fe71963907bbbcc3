// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Int4/Rounding.h"

#include "llvm/ADT/bit.h"

#include <algorithm>
#include <cmath>

using namespace lathe;

/// To bf16; what is no normal number then to zero.
static float toScale(float value) {
  auto bits = llvm::bit_cast<uint32_t>(value);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  value = llvm::bit_cast<float>(bits);
  return std::isnormal(value) ? value : 0.0f;
}

namespace {

/// The ends of each column's range, which holds zero.
struct Ranges {
  float low[kPackedColumns] = {}, high[kPackedColumns] = {};

  explicit Ranges(llvm::ArrayRef<float> values) {
    for (size_t i = 0; i < values.size(); ++i) {
      float &l = low[i % kPackedColumns], &h = high[i % kPackedColumns];
      l = std::min(l, values[i]);
      h = std::max(h, values[i]);
    }
  }
  float getMagnitude(int64_t n) const { return std::max(-low[n], high[n]); }
};

/// Tries candidates for all columns of a group at once.
class Search {
public:
  Search(llvm::ArrayRef<float> values, llvm::ArrayRef<float> weights)
      : values(values), weights(weights), ranges(values) {
    for (int64_t n = 0; n < kPackedColumns; ++n) {
      float magnitude = ranges.getMagnitude(n);
      unit[n] = std::isnormal(magnitude) ? 1.0f / magnitude : 0.0f;
    }
  }

  void tryScales(const GroupScales &scales) {
    float inverse[kPackedColumns], error[kPackedColumns] = {};
    for (int64_t n = 0; n < kPackedColumns; ++n)
      inverse[n] = scales.scale[n] == 0.0f ? 0.0f : 1.0f / scales.scale[n];
    int64_t rows = values.size() / kPackedColumns;
    for (int64_t k = 0; k < rows; ++k) {
      const float *row = &values[k * kPackedColumns];
      float weight = weights.empty() ? 1.0f : weights[k];
      for (int64_t n = 0; n < kPackedColumns; ++n) {
        float code = std::clamp(row[n] * inverse[n], -32.0f, 32.0f);
        code = std::clamp(roundEven(code) + scales.zero[n], 0.0f, 15.0f);
        float off = scales.scale[n] * (code - scales.zero[n]) - row[n];
        off *= unit[n];
        error[n] += weight * off * off;
      }
    }
    for (int64_t n = 0; n < kPackedColumns; ++n)
      if (isFirst || error[n] < least[n]) {
        least[n] = error[n];
        best.scale[n] = scales.scale[n];
        best.zero[n] = scales.zero[n];
      }
    isFirst = false;
  }

  llvm::ArrayRef<float> values, weights;
  Ranges ranges;
  /// Errors are taken in units of the magnitudes, so that squares are numbers.
  float unit[kPackedColumns];
  float least[kPackedColumns] = {};
  bool isFirst = true;
  GroupScales best = {};
};

} // namespace

/// Either sign of the scale: codes reach one step further down than up.
static void searchSymmetric(Search &search) {
  constexpr int steps = 24;
  for (float sign : {1.0f, -1.0f})
    for (int step = 0; step <= steps; ++step) {
      float factor = 0.6f + 0.6f * static_cast<float>(step) / steps;
      GroupScales scales;
      for (int64_t n = 0; n < kPackedColumns; ++n) {
        float magnitude = search.ranges.getMagnitude(n);
        scales.scale[n] = toScale(sign * factor * magnitude / 8.0f);
        scales.zero[n] = 8.0f;
      }
      search.tryScales(scales);
    }
}

static void searchRanges(Search &search) {
  constexpr int steps = 9;
  auto getFactor = [](int step) {
    return 0.6f + 0.45f * static_cast<float>(step) / steps;
  };
  for (int lower = 0; lower <= steps; ++lower)
    for (int upper = 0; upper <= steps; ++upper) {
      GroupScales scales;
      for (int64_t n = 0; n < kPackedColumns; ++n) {
        float low = search.ranges.low[n] * getFactor(lower);
        float high = search.ranges.high[n] * getFactor(upper);
        float scale = toScale(high / 15.0f - low / 15.0f);
        scales.scale[n] = scale;
        float zero = scale == 0.0f ? 0.0f : roundEven(-low / scale);
        scales.zero[n] = std::clamp(zero, 0.0f, 15.0f);
      }
      search.tryScales(scales);
    }
}

GroupScales lathe::findInt4Scales(llvm::ArrayRef<float> values,
                                  llvm::ArrayRef<float> weights,
                                  bool hasZeros) {
  Search search(values, weights);
  if (hasZeros)
    searchRanges(search);
  else
    searchSymmetric(search);
  return search.best;
}
