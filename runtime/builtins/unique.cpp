// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// unique: (x) -> values, first indices, inverse, counts. The shape call and the
// run do the same work: the results' sizes are its outcome.

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"
#include "runtime/bundle/verify.h"

#include <algorithm>

namespace lathe::rt {

namespace {
/// The slices of x along an axis, or its elements: slice i is the `inner`
/// elements at each of `outer` places.
struct Slices {
  int64_t count = 0, outer = 1, inner = 1;

  Status read(const BuiltinArgs &args) {
    const Operand &x = args.read(0);
    count = x.elements;
    if (args.intOption("axis", -1) < 0)
      return ok();
    uint32_t axis;
    LATHE_TRY(args.axisOption("axis", -1, x.rank, &axis));
    count = x.dims[axis];
    outer = x.count(0, axis);
    inner = x.count(axis + 1, x.rank);
    return ok();
  }
};

/// Lexicographic order of slices; -1, 0, 1.
struct Compare {
  const uint8_t *data;
  CompareElements compare;
  Slices slices;

  int operator()(int64_t a, int64_t b) const {
    for (int64_t o = 0; o < slices.outer; ++o)
      for (int64_t i = 0; i < slices.inner; ++i) {
        int order = compare(data, (o * slices.count + a) * slices.inner + i,
                            (o * slices.count + b) * slices.inner + i);
        if (order)
          return order;
      }
    return 0;
  }
};

/// The groups of equal slices, in the order of the results.
struct Groups {
  int64_t count = 0;
  int64_t *first = nullptr;   ///< per group: its first slice
  int64_t *size = nullptr;    ///< per group: how many slices
  int64_t *groupOf = nullptr; ///< per slice
};
} // namespace

static Status findGroups(const BuiltinArgs &args, const Slices &slices,
                         Groups &groups) {
  int64_t n = slices.count;
  void *memory;
  LATHE_TRY(args.scratch(uint64_t(n) * 5 * sizeof(int64_t), &memory));
  auto *order = static_cast<int64_t *>(memory);
  int64_t *place = order + n;
  groups.first = place + n;
  groups.size = groups.first + n;
  groups.groupOf = groups.size + n;

  const Operand &x = args.read(0);
  Compare compare = {x.data, compareElements(x.dtype), slices};
  for (int64_t i = 0; i < n; ++i)
    order[i] = i;
  std::sort(order, order + n, [&](int64_t a, int64_t b) {
    int result = compare(a, b);
    return result ? result < 0 : a < b;
  });
  for (int64_t i = 0; i < n; ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0) {
      groups.first[groups.count] = order[i];
      groups.size[groups.count++] = 0;
    }
    groups.groupOf[order[i]] = groups.count - 1;
    ++groups.size[groups.count - 1];
  }
  if (args.intOption("sorted", 1))
    return ok();

  // By first appearance: rank the groups by their first slice.
  for (int64_t g = 0; g < groups.count; ++g)
    order[g] = g;
  std::sort(order, order + groups.count, [&](int64_t a, int64_t b) {
    return groups.first[a] < groups.first[b];
  });
  for (int64_t g = 0; g < groups.count; ++g)
    place[order[g]] = g;
  for (int64_t i = 0; i < n; ++i)
    groups.groupOf[i] = place[groups.groupOf[i]];
  std::fill_n(groups.size, groups.count, 0);
  for (int64_t i = n; i-- > 0;) {
    groups.first[groups.groupOf[i]] = i;
    ++groups.size[groups.groupOf[i]];
  }
  return ok();
}

static Status analyze(const BuiltinArgs &args, Slices &slices, Groups &groups) {
  LATHE_TRY(args.expect(1, 4, 4));
  LATHE_TRY(slices.read(args));
  return findGroups(args, slices, groups);
}

Status shapeUnique(const BuiltinArgs &args) {
  Slices slices;
  Groups groups;
  LATHE_TRY(analyze(args, slices, groups));
  const Operand &x = args.read(0);
  int64_t axis = args.intOption("axis", -1);
  if (axis < 0) {
    args.shapes[0].set({groups.count});
  } else {
    args.shapes[0].rank = x.rank;
    std::copy_n(x.dims, x.rank, args.shapes[0].dims);
    args.shapes[0].dims[axis] = groups.count;
  }
  args.shapes[1].set({groups.count});
  args.shapes[2].set({slices.count});
  args.shapes[3].set({groups.count});
  return ok();
}

Status runUnique(const BuiltinArgs &args) {
  Slices slices;
  Groups groups;
  LATHE_TRY(analyze(args, slices, groups));
  const Operand &x = args.read(0), &y = args.write(0);
  const int64_t sizes[] = {groups.count, slices.count, groups.count};
  const int64_t *lists[] = {groups.first, groups.groupOf, groups.size};
  if (y.dtype != x.dtype ||
      y.elements != slices.outer * groups.count * slices.inner)
    return error(LATHE_CORRUPT, "the result does not match the operand");
  for (size_t i = 0; i < 3; ++i) {
    const Operand &list = args.write(i + 1);
    if (list.dtype != bundle::DType::I64 || list.elements != sizes[i])
      return error(LATHE_CORRUPT, "result %zu has a wrong type", i + 1);
    std::copy_n(lists[i], sizes[i], list.as<int64_t>());
  }
  uint64_t bytes = uint64_t(slices.inner) * dtypeSize(x.dtype);
  for (int64_t o = 0; o < slices.outer && bytes; ++o)
    for (int64_t g = 0; g < groups.count; ++g)
      memcpy(y.data + uint64_t(o * groups.count + g) * bytes,
             x.data + uint64_t(o * slices.count + groups.first[g]) * bytes,
             bytes);
  return ok();
}

} // namespace lathe::rt
