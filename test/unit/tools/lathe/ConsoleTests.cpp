// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Console.h"
#include "gtest/gtest.h"

using namespace lathe::tool;

namespace {

TEST(ConsoleTest, Seconds) {
  EXPECT_EQ(formatSeconds(0), "0.00 us");
  EXPECT_EQ(formatSeconds(4.125e-6), "4.12 us");
  EXPECT_EQ(formatSeconds(999.4e-6), "999 us");
  EXPECT_EQ(formatSeconds(999.9e-6), "1.00 ms");
  EXPECT_EQ(formatSeconds(48.3e-3), "48.3 ms");
  EXPECT_EQ(formatSeconds(123.4), "123 s");
}

TEST(ConsoleTest, Bytes) {
  EXPECT_EQ(formatBytes(0), "0 B");
  EXPECT_EQ(formatBytes(1023), "1023 B");
  EXPECT_EQ(formatBytes(1024), "1.00 KiB");
  EXPECT_EQ(formatBytes(1048576 - 1), "1.00 MiB");
  EXPECT_EQ(formatBytes(UINT64_MAX), "16.0 EiB");
}

TEST(ConsoleTest, Figures) {
  EXPECT_EQ(formatFigure(0.5), "0.50");
  EXPECT_EQ(formatFigure(99.94), "99.9");
  EXPECT_EQ(formatFigure(999.4), "999");
  EXPECT_EQ(formatFigure(1234567), "1,234,567");
}

TEST(ConsoleTest, Shapes) {
  EXPECT_EQ(formatShape({}), "scalar");
  EXPECT_EQ(formatShape({1, 0, 384}), "1x0x384");
}

TEST(ConsoleTest, TableAlignsColumns) {
  Table table({"name", ">size", "note"});
  table.addRow({"a", "10", "first"});
  table.addRow({"long", "9", "second"});
  std::string text;
  llvm::raw_string_ostream os(text);
  table.print(os, 1);
  EXPECT_EQ(text, " name  size  note\n"
                  " a       10  first\n"
                  " long     9  second\n");
}

} // namespace
