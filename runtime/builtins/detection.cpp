// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// non_max_suppression: boxes f32 [batch, boxes, 4], scores f32 [batch, classes,
// boxes], then optional most per class, IoU threshold, score threshold; result
// i64 [count, 3] of batch, class, box.

#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"

#include <algorithm>

namespace lathe::rt {

namespace {
struct Box {
  float top, left, bottom, right;

  float area() const { return (bottom - top) * (right - left); }
};

struct Suppression {
  const Operand *boxes = nullptr, *scores = nullptr;
  int64_t most = 0;
  float overlap = 0, threshold = 0;
  bool hasThreshold = false, centered = false;
  int64_t *order = nullptr, *kept = nullptr; ///< scratch, one per box

  Status read(const BuiltinArgs &args);
  Box box(int64_t batch, int64_t index) const;
  int64_t keep(int64_t batch, int64_t label) const;
  template <typename Visit> void forEach(Visit visit) const;
};
} // namespace

static Status readScalar(const Operand &operand, bundle::DType dtype,
                         const char *name) {
  if (!operand.present() || (operand.dtype == dtype && operand.elements == 1))
    return ok();
  return error(LATHE_CORRUPT, "%s must be one number", name);
}

Status Suppression::read(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(2, 1, 1));
  using bundle::DType;
  boxes = &args.read(0), scores = &args.read(1);
  if (boxes->dtype != DType::F32 || scores->dtype != DType::F32 ||
      boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 ||
      boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2])
    return error(LATHE_CORRUPT, "boxes and scores do not match");
  const Operand &count = args.read(2), &iou = args.read(3);
  const Operand &score = args.read(4);
  LATHE_TRY(readScalar(count, DType::I64, "the count per class"));
  LATHE_TRY(readScalar(iou, DType::F32, "the IoU threshold"));
  LATHE_TRY(readScalar(score, DType::F32, "the score threshold"));
  most = count.present() ? count.as<int64_t>()[0] : 0;
  overlap = iou.present() ? iou.as<float>()[0] : 0;
  hasThreshold = score.present();
  threshold = hasThreshold ? score.as<float>()[0] : 0;
  centered = args.intOption("center_point_box", 0) != 0;
  void *memory;
  LATHE_TRY(
      args.scratch(2 * uint64_t(boxes->dims[1]) * sizeof(int64_t), &memory));
  order = static_cast<int64_t *>(memory);
  kept = order + boxes->dims[1];
  return ok();
}

Box Suppression::box(int64_t batch, int64_t index) const {
  const float *p = boxes->as<float>() + (batch * boxes->dims[1] + index) * 4;
  if (centered) // x, y, width, height
    return {p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
  return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]),
          std::max(p[1], p[3])};
}

static float intersectionOverUnion(const Box &a, const Box &b) {
  float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0 || a.area() <= 0 || b.area() <= 0)
    return 0;
  float shared = height * width;
  return shared / (a.area() + b.area() - shared);
}

/// Fills `kept` with the boxes of one class, the best first; returns how many.
int64_t Suppression::keep(int64_t batch, int64_t label) const {
  int64_t numBoxes = boxes->dims[1], candidates = 0, count = 0;
  const float *score =
      scores->as<float>() + (batch * scores->dims[1] + label) * numBoxes;
  for (int64_t i = 0; i < numBoxes; ++i)
    if (!hasThreshold || score[i] > threshold)
      order[candidates++] = i;
  std::sort(order, order + candidates, [&](int64_t a, int64_t b) {
    return score[a] != score[b] ? score[a] > score[b] : a < b;
  });
  for (int64_t i = 0; i < candidates && count < most; ++i) {
    Box candidate = box(batch, order[i]);
    bool clear = true;
    for (int64_t k = 0; k < count && clear; ++k)
      clear = intersectionOverUnion(candidate, box(batch, kept[k])) <= overlap;
    if (clear)
      kept[count++] = order[i];
  }
  return count;
}

template <typename Visit> void Suppression::forEach(Visit visit) const {
  for (int64_t batch = 0; batch < scores->dims[0]; ++batch)
    for (int64_t label = 0; label < scores->dims[1]; ++label) {
      int64_t count = keep(batch, label);
      for (int64_t i = 0; i < count; ++i)
        visit(batch, label, kept[i]);
    }
}

Status shapeNonMaxSuppression(const BuiltinArgs &args) {
  Suppression suppression;
  LATHE_TRY(suppression.read(args));
  int64_t count = 0;
  suppression.forEach([&](int64_t, int64_t, int64_t) { ++count; });
  args.shapes[0].set({count, 3});
  return ok();
}

Status runNonMaxSuppression(const BuiltinArgs &args) {
  Suppression suppression;
  LATHE_TRY(suppression.read(args));
  const Operand &result = args.write(0);
  if (result.dtype != bundle::DType::I64 || result.rank != 2 ||
      result.dims[1] != 3)
    return error(LATHE_CORRUPT, "the result must be i64 [count, 3]");
  int64_t *to = result.as<int64_t>(), *end = to + result.elements;
  suppression.forEach([&](int64_t batch, int64_t label, int64_t box) {
    if (to == end)
      return;
    *to++ = batch;
    *to++ = label;
    *to++ = box;
  });
  return ok();
}

} // namespace lathe::rt
