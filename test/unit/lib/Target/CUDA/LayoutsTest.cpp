// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Layouts.h"
#include "llvm/Support/MathExtras.h"
#include "gtest/gtest.h"
#include <map>
#include <set>

using namespace lathe::cuda;
using In = LinearLayout::In;
using Numbers = llvm::SmallVector<int64_t>;

/// How often each position of a box occurs.
static std::map<std::vector<int64_t>, int> count(const LinearLayout &layout) {
  std::map<std::vector<int64_t>, int> seen;
  for (int64_t r = 0; r < layout.getSize(In::Register); ++r)
    for (int64_t l = 0; l < layout.getSize(In::Lane); ++l)
      for (int64_t w = 0; w < layout.getSize(In::Warp); ++w) {
        LinearLayout::Position at = layout.apply({r, l, w});
        ++seen[{at.begin(), at.end()}];
      }
  return seen;
}

TEST(Layouts, EveryElementHasAPlace) {
  const std::vector<std::vector<int64_t>> shapes = {
      {1}, {7}, {1024}, {6, 64}, {64, 16}, {128, 128}, {3, 5, 40}};
  for (const auto &shape : shapes)
    for (int64_t warps : {1, 4, 8}) {
      llvm::SmallVector<unsigned> order;
      for (unsigned axis = shape.size(); axis-- > 0;)
        order.push_back(axis);
      std::vector<LinearLayout> layouts = {getBlocked(shape, warps, order, 4),
                                           getWarpRows(shape, warps, order, 8)};
      for (unsigned axis = 0; axis < shape.size(); ++axis) {
        layouts.push_back(getAlongRegisters(shape, warps, axis));
        EXPECT_EQ(layouts.back().getBitsAlong(In::Lane, axis), 0);
        EXPECT_EQ(layouts.back().getBitsAlong(In::Warp, axis), 0);
      }
      if (shape.size() == 2) {
        layouts.push_back(getOuterProduct(shape, warps));
        layouts.push_back(getTransposing(shape, warps, 0, 1, 8));
      }
      for (const LinearLayout &layout : layouts) {
        EXPECT_EQ(layout.getSize(In::Lane), kWarpSize);
        EXPECT_EQ(layout.getSize(In::Warp), warps);
        size_t positions = 1;
        for (unsigned dim = 0; dim < shape.size(); ++dim) {
          EXPECT_GE(layout.getExtent(dim), shape[dim]);
          positions *= layout.getExtent(dim);
        }
        auto seen = count(layout);
        EXPECT_EQ(seen.size(), positions) << layout.toString();
        std::set<int> times;
        for (const auto &[at, often] : seen)
          times.insert(often);
        EXPECT_EQ(times.size(), 1u) << layout.toString();
      }
    }
}

TEST(Layouts, RowsThatCombineBelongToAWarp) {
  LinearLayout rows = getWarpRows({4, 768}, 4, {1, 0}, 8);
  EXPECT_EQ(rows.getBitsAlong(In::Warp, 1), 0);
  EXPECT_EQ(rows.getBitsAlong(In::Warp, 0), 3);
  EXPECT_EQ(rows.getRun(1), 8);
}

TEST(Layouts, BlocksAreTransposedWithinThreads) {
  LinearLayout in = getTransposing({64, 128}, 4, 0, 1, 8);
  LinearLayout out = getTransposing({64, 128}, 4, 1, 0, 8);
  EXPECT_EQ(in.getRun(0), 8);
  EXPECT_EQ(out.getRun(1), 8);
  llvm::SmallVector<int64_t> source;
  EXPECT_TRUE(in.getRegisters(out, source));
}

TEST(Layouts, AccessesAreWideWhereThreadsHaveEnough) {
  EXPECT_EQ(getBlocked({1024}, 4, {0}, 4).getRun(0), 4);
  EXPECT_EQ(getBlocked({128}, 4, {0}, 4).getRun(0), 1);
  EXPECT_EQ(getBlocked({64, 16}, 4, {0, 1}, 8).getRun(0), 8);
  LinearLayout sums = getOuterProduct({64, 64}, 4);
  EXPECT_EQ(sums.getRun(0), 1);
  EXPECT_EQ(sums.getRun(1), 4);
  EXPECT_EQ(sums.project({0}).getRepeats(In::Register), 0b00011);
}

TEST(Layouts, WarpgroupSumsAreThoseOfPTX) {
  // Two warpgroups of two blocks of 64 rows each, by 32 columns.
  LinearLayout layout = getWarpgroupSums({256, 32}, 2);
  for (auto [position, times] : count(layout))
    EXPECT_EQ(times, 1);
  for (int64_t reg = 0; reg < layout.getSize(In::Register); ++reg)
    for (int64_t lane = 0; lane < 32; ++lane)
      for (int64_t warp = 0; warp < 8; ++warp) {
        int64_t block = reg / 16, own = reg % 16;
        int64_t row = 128 * (warp / 4) + 64 * block + 16 * (warp % 4) +
                      lane / 4 + 8 * (own / 2 % 2);
        int64_t column = 8 * (own / 4) + 2 * (lane % 4) + own % 2;
        EXPECT_EQ(layout.apply({reg, lane, warp}),
                  (LinearLayout::Position{row, column}));
      }
}

// Where PTX has them: lane 4g + t, row g, columns 2t and 2t + 1, eight rows on.
TEST(Layouts, FragmentsAreThoseOfTheInstruction) {
  LinearLayout sums = getFragments({16, 8}, 1, /*asRows=*/false);
  LinearLayout a = getOperandFragments(sums, 0, 16, 2);
  LinearLayout b = getOperandFragments(sums, 1, 16, 2);
  using At = LinearLayout::Position;
  for (int64_t g = 0; g < 8; ++g)
    for (int64_t t = 0; t < 4; ++t)
      for (int64_t i = 0; i < 8; ++i) {
        int64_t lane = 4 * g + t, row = g + i / 2 % 2 * 8;
        int64_t k = 2 * t + i % 2;
        if (i < 4) {
          EXPECT_EQ(sums.apply({i, lane, 0}), (At{row, k}));
          EXPECT_EQ(b.apply({i, lane, 0}), (At{k + i / 2 * 8, g}));
        }
        EXPECT_EQ(a.apply({i, lane, 0}), (At{row, k + i / 4 * 8}));
      }
  // Sums of a product are an operand of the next where warps lie along rows.
  Numbers source;
  LinearLayout scores = getFragments({64, 32}, 4, /*asRows=*/true);
  LinearLayout values = getFragments({64, 128}, 4, /*asRows=*/true);
  EXPECT_TRUE(
      scores.getRegisters(getOperandFragments(values, 0, 32, 2), source));
}

// Small tiles: what the instruction has beyond them repeats, or is k.
TEST(Layouts, FragmentsOfSmallTilesRepeat) {
  for (int64_t rows : {1, 5, 16, 100})
    for (int64_t columns : {1, 8, 40}) {
      LinearLayout sums = getFragments({rows, columns}, 4, false);
      EXPECT_EQ(sums.getExtent(0), int64_t(llvm::PowerOf2Ceil(rows)));
      EXPECT_EQ(sums.getExtent(1), int64_t(llvm::PowerOf2Ceil(columns)));
      EXPECT_GE(sums.getBits(In::Register), 2u);
      EXPECT_EQ(getOperandFragments(sums, 0, 3, 2).getExtent(1), 16);
      EXPECT_EQ(getOperandFragments(sums, 1, 40, 4).getExtent(0), 64);
    }
}
