// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Int4/Int4.h"

#include "lib/Encodings/Int4/Rounding.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

struct Int4Model : PackedModel<Int4Model, Int4Attr> {
  static PackedFormat getFormat(Int4Attr attr) {
    PackedFormat format;
    format.name = "#graph.int4";
    format.axis = attr.getAxis();
    format.group = attr.getGroup();
    format.scaleType = BFloat16Type::get(attr.getContext());
    format.hasZeros = attr.getZeros();
    return format;
  }

  static FindScales getSearch(Int4Attr attr, RankedTensorType, ArrayRef<char>) {
    return [hasZeros = attr.getZeros()](ArrayRef<float> values,
                                        ArrayRef<float> weights) {
      return findInt4Scales(values, weights, hasZeros);
    };
  }
};

} // namespace

void lathe::registerInt4Encoding(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, GraphDialect *) {
    Int4Attr::attachInterface<Int4Model>(*context);
  });
}
