// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Ternary/Ternary.h"

#include "lib/Encodings/Elements.h"
#include "lib/Encodings/PackedCodes.h"

#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

/// A magnitude, and what an error there weighs.
struct Magnitude {
  float value, weight;
};

/// What some weights are like that are not zero.
struct Summary {
  float least = 0.0f, most = 0.0f;
  double sum = 0.0;

  void add(float value) {
    float magnitude = std::fabs(value);
    sum += magnitude;
    if (magnitude == 0.0f)
      return;
    least = most == 0.0f ? magnitude : std::min(least, magnitude);
    most = std::max(most, magnitude);
  }
  /// Whether weights are -s, 0 and s as they are.
  bool isTernary() const { return least == most; }
};

} // namespace

/// The scale of least squared error. Of weights that are rounded to +-s, s is
/// their mean, and they are the largest: all prefixes are tried.
static float findScale(MutableArrayRef<Magnitude> magnitudes) {
  llvm::sort(magnitudes, [](const Magnitude &a, const Magnitude &b) {
    return a.value > b.value;
  });
  double weight = 0.0, sum = 0.0, most = 0.0, scale = 0.0;
  for (const Magnitude &magnitude : magnitudes) {
    weight += magnitude.weight;
    sum += static_cast<double>(magnitude.weight) * magnitude.value;
    // By how much the squared error is less than that of zeros.
    if (weight > 0.0 && sum * sum / weight > most) {
      most = sum * sum / weight;
      scale = sum / weight;
    }
  }
  return static_cast<float>(scale);
}

static GroupScales findScales(ArrayRef<float> values, ArrayRef<float> weights) {
  GroupScales scales;
  std::vector<Magnitude> column(values.size() / kPackedColumns);
  for (int64_t n = 0; n < kPackedColumns; ++n) {
    Summary summary;
    for (size_t k = 0; k < column.size(); ++k) {
      float value = values[k * kPackedColumns + n];
      summary.add(value);
      column[k] = {std::fabs(value), weights.empty() ? 1.0f : weights[k]};
    }
    scales.scale[n] = summary.isTernary() ? summary.most : findScale(column);
    scales.zero[n] = 1.0f;
  }
  return scales;
}

/// The scale of a whole weight.
static float findScale(RankedTensorType type, ArrayRef<char> dense) {
  Summary summary;
  int64_t width = type.getElementTypeBitWidth() / 8;
  int64_t count = dense.size() / width;
  for (int64_t i = 0; i < count; ++i)
    summary.add(loadElement(type.getElementType(), &dense[i * width]));
  if (summary.isTernary())
    return summary.most;
  return static_cast<float>(summary.sum / static_cast<double>(count));
}

namespace {

struct TernaryModel : PackedModel<TernaryModel, TernaryAttr> {
  static PackedFormat getFormat(TernaryAttr attr) {
    PackedFormat format;
    format.name = "#graph.ternary";
    format.axis = attr.getAxis();
    format.group = attr.getGroup();
    format.bits = 2;
    format.most = 2.0f;
    format.scaleType = Float32Type::get(attr.getContext());
    format.zero = 1.0f;
    return format;
  }

  static FindScales getSearch(TernaryAttr attr, RankedTensorType logical,
                              ArrayRef<char> dense) {
    if (attr.getGroup())
      return findScales;
    GroupScales scales;
    std::fill_n(scales.scale, kPackedColumns, findScale(logical, dense));
    std::fill_n(scales.zero, kPackedColumns, 1.0f);
    return [scales](ArrayRef<float>, ArrayRef<float>) { return scales; };
  }

  bool hasIndependentColumns(Attribute attr) const {
    return cast<TernaryAttr>(attr).getGroup() != 0;
  }
};

} // namespace

void lathe::registerTernaryEncoding(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, GraphDialect *) {
    TernaryAttr::attachInterface<TernaryModel>(*context);
  });
}
