// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files by NumPy itself are read and written in test/tools/lathe/run.py.

#include "tools/lathe/Npz.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"
#include <random>

using namespace lathe::tool;
using namespace llvm;

namespace {

class NpzTest : public testing::Test {
protected:
  void SetUp() override {
    SmallString<128> name;
    ASSERT_FALSE(sys::fs::createTemporaryFile("lathe", "npz", name));
    path = name.str().str();
  }
  void TearDown() override { sys::fs::remove(path); }

  void store(StringRef bytes) {
    std::error_code error;
    raw_fd_ostream os(path, error);
    os << bytes;
  }
  std::string bytes() {
    auto file = MemoryBuffer::getFile(path, false, false);
    return file ? (*file)->getBuffer().str() : "";
  }
  std::string readMessage() {
    auto arrays = readNpz(path);
    return arrays ? "" : toString(arrays.takeError());
  }
  void writeSample() {
    const float values[] = {1, 2, 3, 4, 5, 6};
    const int64_t dims[] = {2, 3}, none[] = {0, 4};
    cantFail(writeNpz(path, {{"x", {'f', 4}, dims, values},
                             {"none", {'i', 8}, none, nullptr},
                             {"s", {'b', 1}, {}, "\1"}}));
  }

  std::string path;
};

TEST_F(NpzTest, RoundTrip) {
  writeSample();
  auto arrays = readNpz(path);
  ASSERT_TRUE(bool(arrays)) << toString(arrays.takeError());
  ASSERT_EQ(arrays->size(), 3u);
  EXPECT_EQ((*arrays)[0].name, "x");
  EXPECT_EQ(reinterpret_cast<float *>((*arrays)[0].data.data())[5], 6);
  EXPECT_EQ((*arrays)[1].dims[1], 4);
  EXPECT_EQ((*arrays)[1].data.size(), 0u);
  EXPECT_TRUE((*arrays)[2].dims.empty());
}

TEST_F(NpzTest, SameItemsGiveTheSameBytes) {
  writeSample();
  std::string first = bytes();
  writeSample();
  EXPECT_EQ(first, bytes());
}

TEST_F(NpzTest, EmptyArchive) {
  cantFail(writeNpz(path, {}));
  auto arrays = readNpz(path);
  ASSERT_TRUE(bool(arrays)) << toString(arrays.takeError());
  EXPECT_TRUE(arrays->empty());
}

TEST_F(NpzTest, MessagesNameFileAndArray) {
  store("no archive");
  EXPECT_EQ(readMessage(), path + ": no .npz file: it has no ZIP directory");
  writeSample();
  std::string damaged = bytes();
  damaged[damaged.find("\x93NUMPY") + 130] ^= 1;
  store(damaged);
  EXPECT_EQ(readMessage(),
            path + ": 'x': its checksum differs: the file is damaged");
  sys::fs::remove(path);
  EXPECT_EQ(readMessage(), path + ": No such file or directory");
}

TEST_F(NpzTest, NothingIsLeftWhereWritingFails) {
  Error error = writeNpz("/no/such/folder/out.npz", {});
  EXPECT_NE(toString(std::move(error)).find("/no/such/folder/out.npz"), -1u);
}

TEST_F(NpzTest, DamageNeverCrashes) {
  writeSample();
  const std::string sound = bytes();
  auto isRefused = [](StringRef file) {
    auto arrays = parseNpz(file);
    return !arrays && !toString(arrays.takeError()).empty();
  };
  for (size_t length = 0; length < sound.size(); ++length)
    EXPECT_TRUE(isRefused(StringRef(sound).take_front(length))) << length;
  std::mt19937 random(1);
  unsigned refused = 0;
  for (size_t at = 0; at < sound.size(); ++at)
    for (int flip = 1; flip < 256; flip += 1 + random() % 8) {
      std::string damaged = sound;
      damaged[at] ^= char(flip);
      refused += isRefused(damaged);
    }
  EXPECT_GT(refused, 50 * sound.size() / 2);
}

} // namespace
