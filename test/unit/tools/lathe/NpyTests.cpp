// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Npy.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

using namespace lathe::tool;
using namespace llvm;

namespace {

/// A version 1.0 file with this dict and `data` zero bytes.
std::string makeFile(StringRef dict, size_t data) {
  std::string file("\x93NUMPY\x01\x00", 8);
  file += char(dict.size() & 255);
  file += char(dict.size() >> 8);
  return file + dict.str() + std::string(data, 0);
}

std::string messageOf(StringRef file) {
  Expected<NpyHeader> header = parseNpyHeader(file);
  return header ? "" : toString(header.takeError());
}

TEST(NpyTest, WritesWhatNumPyWrites) {
  std::string header = makeNpyHeader({'f', 4}, {2, 3});
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(header.substr(0, 10), std::string("\x93NUMPY\x01\x00v\x00", 10));
  EXPECT_EQ(header.substr(10, 62),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   ");
  EXPECT_EQ(header.back(), '\n');
  EXPECT_NE(makeNpyHeader({'b', 1}, {}).find("'|b1'"), std::string::npos);
  EXPECT_NE(makeNpyHeader({'V', 2}, {}).find("'<V2'"), std::string::npos);
  EXPECT_NE(makeNpyHeader({'i', 8}, {5}).find("(5,), }"), std::string::npos);
  EXPECT_NE(makeNpyHeader({'i', 8}, {}).find("(), }"), std::string::npos);
}

TEST(NpyTest, ReadsItsOwnHeaders) {
  const SmallVector<int64_t> shapes[] = {{}, {0, 3}, {5}};
  for (NpyType type : {NpyType{'f', 2}, NpyType{'i', 8}, NpyType{'V', 2}})
    for (ArrayRef<int64_t> dims : shapes) {
      std::string file = makeNpyHeader(type, dims);
      Expected<NpyHeader> header = parseNpyHeader(file);
      ASSERT_TRUE(bool(header)) << toString(header.takeError());
      EXPECT_EQ(header->type.kind, type.kind);
      EXPECT_EQ(header->type.size, type.size);
      EXPECT_EQ(ArrayRef(header->dims), dims);
      EXPECT_EQ(header->dataOffset, file.size());
    }
}

TEST(NpyTest, ReadsOtherSpellings) {
  EXPECT_EQ(messageOf(makeFile("{\"shape\": (3L,), \"descr\":\"|u1\", "
                               "\"fortran_order\":True}\n",
                               3)),
            "");
  std::string second = makeNpyHeader({'f', 4}, {1});
  second[6] = 2; // the length takes four bytes then
  second.insert(10, 2, '\0');
  EXPECT_EQ(messageOf(second), "");
}

TEST(NpyTest, RefusesWithAReason) {
  auto dict = [](StringRef descr, StringRef shape) {
    return makeFile(("{'descr': " + descr +
                     ", 'fortran_order': False, 'shape': " + shape + "}")
                        .str(),
                    0);
  };
  EXPECT_EQ(messageOf("PK"),
            "no .npy array: it does not start with \\x93NUMPY");
  EXPECT_NE(messageOf(dict("'>f4'", "(1,)")).find("big-endian"), -1u);
  EXPECT_NE(messageOf(dict("'|O'", "(1,)")).find("'|O' is not supported"), -1u);
  EXPECT_NE(messageOf(dict("'<U5'", "(1,)")).find("not supported"), -1u);
  EXPECT_NE(messageOf(dict("[('a', '<f4')]", "(1,)")).find("structured"), -1u);
  EXPECT_NE(messageOf(dict("'<f4'", "(-1,)")).find("size"), -1u);
  EXPECT_NE(messageOf(dict("'<f4'", "(4611686018427387904, 4)"))
                .find("cannot be represented"),
            -1u);
  EXPECT_NE(messageOf(makeFile("{'descr': '<f4'}", 0)).find("lacks"), -1u);
  EXPECT_NE(messageOf(makeNpyHeader({'f', 4}, {1}).substr(0, 40)).find("short"),
            -1u);
}

TEST(NpyTest, FortranOrderIsTurned) {
  NpyHeader header;
  header.type = {'u', 1};
  header.fortranOrder = true;
  header.dims = {2, 3, 2};
  header.dataSize = 12;
  char data[12];
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 2; ++k)
        data[i + 2 * j + 6 * k] = char(100 * i + 10 * j + k);
  Buffer buffer = toRowMajor(header, data);
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(buffer.data()[i], char(100 * (i / 6) + 10 * (i / 2 % 3) + i % 2));
}

} // namespace
