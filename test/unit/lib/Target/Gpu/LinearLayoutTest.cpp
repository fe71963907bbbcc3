// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/Gpu/LinearLayout.h"
#include "gtest/gtest.h"

using namespace lathe::gpu;
using In = LinearLayout::In;
using Numbers = llvm::SmallVector<int64_t>;

/// The example of LinearLayout.h: eight rows of four lanes of eight registers.
static LinearLayout getRows() {
  LinearLayout layout(2);
  layout.add(In::Register, 1, 3).add(In::Lane, 1, 2).add(In::Lane, 0, 3);
  return layout;
}

TEST(LinearLayout, AppliesBasesAsSums) {
  LinearLayout layout = getRows();
  EXPECT_EQ(layout.toString(),
            "register = [(0,1), (0,2), (0,4)], lane = [(0,8), (0,16), (1,0), "
            "(2,0), (4,0)], warp = []");
  EXPECT_EQ(layout.apply({5, 6, 0}), (LinearLayout::Position{1, 21}));
  EXPECT_EQ(layout.getExtent(0), 8);
  EXPECT_EQ(layout.getExtent(1), 32);
  // A swizzle: columns move with rows.
  LinearLayout swizzled(2);
  swizzled.addBasis(In::Lane, {0, 1}).addBasis(In::Lane, {1, 1});
  EXPECT_EQ(swizzled.apply({0, 3, 0}), (LinearLayout::Position{1, 0}));
}

TEST(LinearLayout, RunsAreRegistersInARow) {
  EXPECT_EQ(getRows().getRun(1), 8);
  EXPECT_EQ(getRows().getRun(0), 1);
  // Lanes that begin between: no run.
  LinearLayout split(1);
  split.addBasis(In::Register, {2}).addBasis(In::Lane, {1});
  EXPECT_EQ(split.getRun(0), 1);
  LinearLayout overlapping(1);
  overlapping.addBasis(In::Register, {1}).addBasis(In::Lane, {3});
  EXPECT_EQ(overlapping.getRun(0), 1);
}

TEST(LinearLayout, RepeatsAreWhatCanBeLeftOut) {
  LinearLayout layout(1);
  layout.add(In::Register, 0, 1).addRepeats(In::Register, 1);
  layout.add(In::Lane, 0, 2).addBasis(In::Lane, {1}).addRepeats(In::Warp, 2);
  EXPECT_EQ(layout.getRepeats(In::Register), 0b10);
  EXPECT_EQ(layout.getRepeats(In::Lane), 0b100); // Registers have it already.
  EXPECT_EQ(layout.getRepeats(In::Warp), 0b11);
  Numbers source;
  LinearLayout compact = layout.withoutRepeatedRegisters(source);
  EXPECT_EQ(compact.getBits(In::Register), 1u);
  EXPECT_EQ(source, (Numbers{0, 1, 0, 1}));
}

TEST(LinearLayout, ProjectionsKeepDims) {
  LinearLayout rows = getRows().project({0});
  EXPECT_EQ(rows.toString(), "register = [(0), (0), (0)], lane = [(0), (0), "
                             "(1), (2), (4)], warp = []");
  EXPECT_EQ(getRows().project({1, 0}).apply({5, 6, 0}),
            (LinearLayout::Position{21, 1}));
  EXPECT_EQ(getRows().getBitsAlong(In::Lane, 0), 0b11100);
}

TEST(LinearLayout, MovesWithinAThreadAreFound) {
  LinearLayout from(1), to(1), across(1);
  from.addBasis(In::Register, {1}).addBasis(In::Register, {2});
  to.addBasis(In::Register, {2}).addBasis(In::Register, {3});
  Numbers source;
  ASSERT_TRUE(from.getRegisters(to, source));
  EXPECT_EQ(source, (Numbers{0, 2, 3, 1}));
  across.addBasis(In::Register, {1}).addBasis(In::Lane, {2});
  EXPECT_FALSE(from.getRegisters(across, source));
  LinearLayout lanes(1);
  lanes.addBasis(In::Lane, {1}).addBasis(In::Register, {2});
  EXPECT_FALSE(lanes.getRegisters(across, source));
}
