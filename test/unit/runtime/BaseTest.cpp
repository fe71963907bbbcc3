// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// runtime/base and the arena layout of runtime/exec.

#include "runtime/base/sha256.h"
#include "runtime/base/thread_pool.h"
#include "runtime/exec/layout.h"

#include <algorithm>
#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace lathe::rt {
namespace {

std::string hex(const uint8_t *digest) {
  std::string text;
  for (size_t i = 0; i < sha256Size; ++i) {
    char two[3];
    snprintf(two, sizeof(two), "%02x", digest[i]);
    text += two;
  }
  return text;
}

TEST(Sha256, KnownAnswers) {
  // FIPS 180-4 examples.
  const std::pair<std::string, const char *> cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc",
       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1000000, 'a'),
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"}};
  uint8_t digest[sha256Size];
  for (const auto &[text, expected] : cases) {
    sha256(text.data(), text.size(), digest);
    EXPECT_EQ(hex(digest), expected);
    sha256Portable(text.data(), text.size(), digest);
    EXPECT_EQ(hex(digest), expected);
  }
}

TEST(Sha256, ExtensionsAgreeAtEveryLength) {
  std::vector<uint8_t> data(300);
  std::mt19937 random(1);
  for (uint8_t &byte : data)
    byte = static_cast<uint8_t>(random());
  uint8_t fast[sha256Size], portable[sha256Size];
  for (size_t size = 0; size <= data.size(); ++size) {
    sha256(data.data(), size, fast);
    sha256Portable(data.data(), size, portable);
    ASSERT_EQ(hex(fast), hex(portable)) << size;
  }
}

TEST(Status, KeepsCodeAndMessage) {
  Status status = annotate(error(LATHE_CORRUPT, "byte %d", 7), "file %s", "x");
  EXPECT_EQ(status.code(), LATHE_CORRUPT);
  EXPECT_STREQ(status.message(), "file x: byte 7");
  EXPECT_FALSE(annotate(ok(), "file").failed());
  EXPECT_EQ(lathe_status_create(LATHE_OK, "no"), nullptr);
  EXPECT_STREQ(lathe_code_name(LATHE_INCOMPATIBLE), "incompatible");
}

TEST(Allocator, RefusesHalf) {
  lathe_allocator_t half = LATHE_INIT(lathe_allocator_t);
  Allocator allocator;
  EXPECT_TRUE(Allocator::fromC(&half, &allocator).failed());
  half.struct_size = 0;
  EXPECT_TRUE(Allocator::fromC(&half, &allocator).failed());
}

//===----------------------------------------------------------------------===//
// Thread pool
//===----------------------------------------------------------------------===//

struct PoolOwner {
  explicit PoolOwner(uint32_t threads) {
    EXPECT_FALSE(ThreadPool::create(Allocator(), threads, &pool).failed());
  }
  ~PoolOwner() { ThreadPool::destroy(pool); }
  ThreadPool *pool = nullptr;
};

void countItems(void *context, int64_t begin, int64_t end) {
  auto &items = *static_cast<std::vector<std::atomic<int>> *>(context);
  for (int64_t i = begin; i < end; ++i)
    items[static_cast<size_t>(i)].fetch_add(1);
}

TEST(ThreadPool, DoesEachItemOnce) {
  for (uint32_t threads : {1u, 2u, 5u}) {
    PoolOwner owner(threads);
    EXPECT_EQ(owner.pool->numThreads(), threads);
    for (int64_t total : {0, 1, 2, 3, 7, 20, 21, 1000})
      for (uint32_t limit : {1u, 2u, 100u}) {
        std::vector<std::atomic<int>> items(static_cast<size_t>(total));
        owner.pool->run(countItems, &items, total, limit);
        for (const std::atomic<int> &item : items)
          ASSERT_EQ(item.load(), 1);
      }
  }
}

TEST(ThreadPool, ManyJobsFromManyThreads) {
  PoolOwner owner(3);
  std::atomic<int64_t> sum{0};
  auto add = [](void *context, int64_t begin, int64_t end) {
    static_cast<std::atomic<int64_t> *>(context)->fetch_add(end - begin);
  };
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 3000; ++i)
        owner.pool->run(add, &sum, 17, 3);
    });
  for (std::thread &caller : callers)
    caller.join();
  EXPECT_EQ(sum.load(), 4 * 3000 * 17);
}

TEST(ThreadPool, RefusesAbsurdCounts) {
  ThreadPool *pool;
  EXPECT_TRUE(ThreadPool::create(Allocator(), 0, &pool).failed());
  EXPECT_TRUE(ThreadPool::create(Allocator(), 1u << 30, &pool).failed());
}

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

uint64_t layOutAll(std::vector<LayoutItem> &items) {
  std::vector<uint32_t> order(2 * items.size());
  uint64_t total = 0;
  Status status = layOut({items.data(), items.size()},
                         {order.data(), order.size()}, &total);
  EXPECT_FALSE(status.failed()) << status.message();
  return total;
}

TEST(Layout, ReusesMemoryAlongAChain) {
  std::vector<LayoutItem> items;
  for (uint32_t i = 0; i < 10; ++i)
    items.push_back({1000, i, i + 1, 0});
  EXPECT_EQ(layOutAll(items), 2 * 1024u);
}

TEST(Layout, LiveItemsNeverShareBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<LayoutItem> items(random() % 40);
    for (LayoutItem &item : items) {
      item.firstStep = random() % 30;
      item.lastStep = item.firstStep + random() % 10;
      item.size = random() % 3 ? random() % 5000 : 0;
    }
    uint64_t total = layOutAll(items);
    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(items[i].offset % 64, 0u);
      EXPECT_LE(items[i].offset + items[i].size, total);
      for (size_t j = 0; j < i; ++j) {
        bool live = items[i].firstStep <= items[j].lastStep &&
                    items[j].firstStep <= items[i].lastStep;
        bool apart = items[i].offset + items[i].size <= items[j].offset ||
                     items[j].offset + items[j].size <= items[i].offset;
        EXPECT_TRUE(!live || apart || !items[i].size || !items[j].size);
      }
    }
  }
}

TEST(Layout, RefusesWhatCannotBe) {
  std::vector<LayoutItem> items(2, {uint64_t(1) << 61, 0, 1, 0});
  items.push_back({uint64_t(1) << 61, 0, 1, 0});
  uint32_t order[6];
  uint64_t total;
  EXPECT_TRUE(layOut({items.data(), 3}, {order, 6}, &total).failed());
}

} // namespace
} // namespace lathe::rt
