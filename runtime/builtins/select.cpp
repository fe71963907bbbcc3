// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Built-ins that pick elements: compress, nonzero, top_k.

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"
#include "runtime/bundle/verify.h"

#include <algorithm>
#include <cinttypes>

namespace lathe::rt {

//===----------------------------------------------------------------------===//
// nonzero: indices in row-major order, i64 [rank, count]
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

Status shapeNonzero(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(1, 1, 1));
  int64_t count = 0;
  LATHE_TRY(forEachNonzero(args.read(0), [&](int64_t) { ++count; }));
  args.shapes[0].set({args.read(0).rank, count});
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
// top_k
//===----------------------------------------------------------------------===//

namespace {
/// A line of elements along an axis of the operand, `stride` apart.
struct Line {
  const uint8_t *data;
  int64_t stride;
  CompareElements compare;
  bool largest;

  /// NaN counts as the largest; equal elements keep their order.
  bool operator()(int64_t a, int64_t b) const {
    int order = compare(data, a * stride, b * stride);
    return order ? (largest ? order > 0 : order < 0) : a < b;
  }
};
} // namespace

Status shapeTopK(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(2, 2, 2));
  const Operand &x = args.read(0), &k = args.read(1);
  uint32_t axis;
  LATHE_TRY(args.axisOption("axis", -1, x.rank, &axis));
  if (k.dtype != bundle::DType::I64 || k.elements != 1)
    return error(LATHE_CORRUPT, "k must be one i64");
  for (ResultShape &shape : args.shapes) {
    shape.rank = x.rank;
    std::copy_n(x.dims, x.rank, shape.dims);
    shape.dims[axis] = k.as<int64_t>()[0];
  }
  return ok();
}

Status runTopK(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(1, 2, 2));
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
  auto *order = static_cast<int64_t *>(memory);
  uint64_t width = dtypeSize(x.dtype);
  Line line = {nullptr, inner, compareElements(x.dtype),
               args.intOption("largest", 1) != 0};
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      line.data = x.data + uint64_t(o * size * inner + i) * width;
      for (int64_t n = 0; n < size; ++n)
        order[n] = n;
      std::partial_sort(order, order + k, order + size, line);
      for (int64_t n = 0; n < k; ++n) {
        int64_t to = (o * k + n) * inner + i;
        indices.as<int64_t>()[to] = order[n];
        memcpy(values.data + uint64_t(to) * width,
               line.data + uint64_t(order[n] * inner) * width, width);
      }
    }
  return ok();
}

//===----------------------------------------------------------------------===//
// compress
//===----------------------------------------------------------------------===//

/// The slices along an axis, or the elements when it is -1.
static Status compressAxis(const BuiltinArgs &args, int64_t *slices,
                           int64_t *outer, int64_t *inner) {
  const Operand &x = args.read(0), &condition = args.read(1);
  *outer = *inner = 1;
  *slices = x.elements;
  if (dtypeSize(condition.dtype) != 1)
    return error(LATHE_CORRUPT, "the condition must be bool");
  if (args.intOption("axis", -1) < 0)
    return ok();
  uint32_t axis;
  LATHE_TRY(args.axisOption("axis", -1, x.rank, &axis));
  *slices = x.dims[axis];
  *outer = x.count(0, axis);
  *inner = x.count(axis + 1, x.rank);
  return ok();
}

Status shapeCompress(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(2, 1, 1));
  const Operand &x = args.read(0), &condition = args.read(1);
  int64_t slices, outer, inner, count = 0;
  LATHE_TRY(compressAxis(args, &slices, &outer, &inner));
  for (int64_t i = 0; i < condition.elements && i < slices; ++i)
    count += condition.as<uint8_t>()[i] != 0;
  int64_t axis = args.intOption("axis", -1);
  if (axis < 0) {
    args.shapes[0].set({count});
    return ok();
  }
  args.shapes[0].rank = x.rank;
  std::copy_n(x.dims, x.rank, args.shapes[0].dims);
  args.shapes[0].dims[axis] = count;
  return ok();
}

Status runCompress(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(2, 1, 1));
  const Operand &x = args.read(0), &condition = args.read(1);
  const Operand &y = args.write(0);
  int64_t slices, outer, inner;
  LATHE_TRY(compressAxis(args, &slices, &outer, &inner));
  uint64_t size = uint64_t(inner) * dtypeSize(x.dtype);
  uint8_t *to = y.data, *end = y.data + y.elements * dtypeSize(y.dtype);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < slices && i < condition.elements; ++i) {
      if (!condition.as<uint8_t>()[i])
        continue;
      if (size > uint64_t(end - to))
        return error(LATHE_CORRUPT, "the result is too small");
      memcpy(to, x.data + uint64_t(o * slices + i) * size, size);
      to += size;
    }
  return ok();
}

} // namespace lathe::rt
