// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Built-ins that find elements: nonzero, top_k.

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"

#include <algorithm>
#include <cinttypes>

namespace lathe::rt {

//===----------------------------------------------------------------------===//
// nonzero: (x) -> indices i64 [rank, count], row-major order; binds count
//===----------------------------------------------------------------------===//

/// Calls `visit` with the linear index of each element that is not zero.
template <typename Visit>
static Status forEachNonzero(const Operand &x, Visit visit) {
  return dispatch(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = 0; i < x.elements; ++i)
      if (typename ComputeType<T>::type(x.as<T>()[i]) != 0)
        visit(i);
    return ok();
  });
}

Status bindNonzero(const BuiltinArgs &args) {
  LATHE_TRY(args.expectOperands(1, 0, 1));
  if (args.binds.size() != 1)
    return error(LATHE_CORRUPT, "it binds one symbol");
  int64_t count = 0;
  LATHE_TRY(forEachNonzero(args.read(0), [&](int64_t) { ++count; }));
  args.binds[0] = count;
  return ok();
}

Status runNonzero(const BuiltinArgs &args) {
  const Operand &x = args.read(0), &indices = args.write(0);
  if (indices.dtype != bundle::DType::I64 || indices.rank != 2 ||
      indices.dims[0] != x.rank)
    return error(LATHE_CORRUPT, "the result must be i64 [rank, count]");
  int64_t found = 0, count = indices.dims[1];
  return forEachNonzero(x, [&](int64_t linear) {
    for (uint32_t d = x.rank; d-- > 0; linear /= x.dims[d])
      indices.as<int64_t>()[d * count + found] = linear % x.dims[d];
    ++found;
  });
}

//===----------------------------------------------------------------------===//
// top_k: (x, k i64?) -> values, indices i64; options axis = -1, largest = 1
//===----------------------------------------------------------------------===//

namespace {
/// A line of elements along an axis.
template <typename T> struct Line {
  T *data;
  int64_t stride;
  T &operator[](int64_t i) const { return data[i * stride]; }
};

/// NaN counts as the largest; equal elements keep their order.
template <typename T> struct Ahead {
  Line<T> line;
  bool largest;
  bool operator()(int64_t a, int64_t b) const {
    using C = typename ComputeType<T>::type;
    C x = line[a], y = line[b];
    bool xNaN = x != x, yNaN = y != y;
    if (xNaN != yNaN)
      return xNaN == largest;
    if (x != y && !xNaN)
      return largest ? x > y : x < y;
    return a < b;
  }
};
} // namespace

template <typename T>
static void selectLine(Line<T> in, Line<T> values, Line<int64_t> indices,
                       int64_t size, int64_t k, bool largest, int64_t *order) {
  for (int64_t i = 0; i < size; ++i)
    order[i] = i;
  std::partial_sort(order, order + k, order + size, Ahead<T>{in, largest});
  for (int64_t i = 0; i < k; ++i) {
    values[i] = in[order[i]];
    indices[i] = order[i];
  }
}

Status runTopK(const BuiltinArgs &args) {
  LATHE_TRY(args.expectOperands(2, 1, 2));
  const Operand &x = args.read(0), &values = args.write(0);
  const Operand &indices = args.write(1);
  uint32_t axis;
  LATHE_TRY(args.axisOption("axis", -1, x.rank, &axis));
  if (values.rank != x.rank || indices.elements != values.elements ||
      values.dtype != x.dtype || indices.dtype != bundle::DType::I64)
    return error(LATHE_CORRUPT, "the results do not match the operand");
  int64_t size = x.dims[axis], k = values.dims[axis];
  int64_t inner = x.count(axis + 1, x.rank), outer = x.count(0, axis);
  if (k > size || outer * inner * k != values.elements)
    return error(LATHE_FAILED_PRECONDITION,
                 "k is %" PRId64 " of %" PRId64 " elements", k, size);
  void *memory;
  LATHE_TRY(args.scratch(uint64_t(size) * sizeof(int64_t), &memory));
  bool largest = args.intOption("largest", 1) != 0;
  return dispatch(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i)
        selectLine<T>({x.as<T>() + o * size * inner + i, inner},
                      {values.as<T>() + o * k * inner + i, inner},
                      {indices.as<int64_t>() + o * k * inner + i, inner}, size,
                      k, largest, static_cast<int64_t *>(memory));
    return ok();
  });
}

} // namespace lathe::rt
