// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/DimText.h"
#include "gtest/gtest.h"

using lathe::tool::evaluateDim;

namespace {

const std::map<std::string, int64_t> sizes = {
    {"batch", 3}, {"past", 5}, {"seq", 7}, {"a + b", 11}, {"zero", 0}};

TEST(DimTextTest, EvaluatesWhatTheRuntimePrints) {
  EXPECT_EQ(evaluateDim("384", sizes), 384);
  EXPECT_EQ(evaluateDim("seq", sizes), 7);
  EXPECT_EQ(evaluateDim("past + seq", sizes), 12);
  EXPECT_EQ(evaluateDim("(batch * seq) floordiv 2", sizes), 10);
  EXPECT_EQ(evaluateDim("(seq + -1) ceildiv (past + 1)", sizes), 1);
  EXPECT_EQ(evaluateDim("(seq * -1) floordiv 2", sizes), -4);
  EXPECT_EQ(evaluateDim("seq mod batch", sizes), 1);
  EXPECT_EQ(evaluateDim("min(seq, past + 1)", sizes), 6);
  EXPECT_EQ(evaluateDim("max(min(seq, 2), (past * 2))", sizes), 10);
}

TEST(DimTextTest, ANameMayLookLikeAnExpression) {
  EXPECT_EQ(evaluateDim("a + b", sizes), 11);
}

TEST(DimTextTest, RefusesTheRest) {
  for (const char *text :
       {"", "other", "seq floordiv zero", "seq mod -1", "seq +", "(seq", "seq)",
        "min(seq)", "seq seq", "9223372036854775807 + 1",
        "99999999999999999999", "seq ^ 2", "(batch * seq) floordiv ..."})
    EXPECT_EQ(evaluateDim(text, sizes), std::nullopt) << text;
}

} // namespace
