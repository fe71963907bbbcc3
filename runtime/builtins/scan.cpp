// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"

namespace lathe::rt {

template <typename T>
static void multiplyUp(const T *x, T *y, int64_t size, int64_t stride,
                       bool exclusive, bool reverse) {
  typename ComputeType<T>::type product = 1;
  for (int64_t i = 0; i < size; ++i) {
    int64_t at = (reverse ? size - 1 - i : i) * stride;
    if (exclusive)
      y[at] = store<T>(product);
    product *= x[at];
    if (!exclusive)
      y[at] = store<T>(product);
  }
}

Status runCumulativeProduct(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(1, 1, 1));
  const Operand &x = args.read(0), &y = args.write(0);
  if (x.dtype != y.dtype || x.elements != y.elements)
    return error(LATHE_CORRUPT, "the result does not match the operand");
  uint32_t axis;
  LATHE_TRY(args.axisOption("axis", 0, x.rank, &axis));
  bool exclusive = args.intOption("exclusive", 0) != 0;
  bool reverse = args.intOption("reverse", 0) != 0;
  int64_t size = x.dims[axis], inner = x.count(axis + 1, x.rank);
  int64_t outer = x.count(0, axis);
  return dispatch(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i)
        multiplyUp(x.as<T>() + o * size * inner + i,
                   y.as<T>() + o * size * inner + i, size, inner, exclusive,
                   reverse);
    return ok();
  });
}

} // namespace lathe::rt
