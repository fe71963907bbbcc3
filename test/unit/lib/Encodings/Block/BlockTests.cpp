// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Block/Block.h"
#include "test/unit/lib/Encodings/EncodingTest.h"

#include "mlir/IR/BuiltinOps.h"

#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

class BlockTest : public EncodingTest {
protected:
  BlockTest() { random.seed(7); }

  RankedTensorType getType(ArrayRef<int64_t> shape, int64_t axis,
                           double density, bool isInteger, int64_t size = 4) {
    Type element = Float32Type::get(&context);
    Type stored = isInteger ? Type(IntegerType::get(&context, 8)) : element;
    return RankedTensorType::get(
        shape, element, BlockAttr::get(&context, axis, size, density, stored));
  }

  template <typename T> MutableArrayRef<T> bufferOf(BlockBuffer which) {
    return {reinterpret_cast<T *>(buffers[which].data()),
            buffers[which].size() / sizeof(T)};
  }

  /// Blocks that are not zero, of `size` columns by one row.
  static int64_t countBlocks(ArrayRef<float> values, RankedTensorType type,
                             int64_t size) {
    int64_t n = type.getDimSize(1), count = 0;
    for (int64_t k = 0; k < type.getDimSize(0); ++k)
      for (int64_t first = 0; first < n; first += size) {
        auto block = values.slice(k * n + first, std::min(size, n - first));
        count += llvm::any_of(block, [](float x) { return x != 0.0f; });
      }
    return count;
  }
};

TEST_F(BlockTest, BuffersFollowTheDensity) {
  RankedTensorType type = getType({768, 130}, 1, 0.25, true);
  SmallVector<EncodedBuffer> list = encodingOf(type).getBuffers(type);
  ASSERT_EQ(list.size(), 6u);
  EXPECT_EQ(list[kBlockOffsets].type.getShape(), ArrayRef<int64_t>{49});
  // 33 strips by 768 k, a quarter of them, and what last groups may lack.
  int64_t groups = (33 * 768 / 4 + 3 * 33) / 4;
  EXPECT_EQ(list[kBlockIndices].type.getShape(),
            (ArrayRef<int64_t>{groups, 4}));
  EXPECT_EQ(list[kBlockValues].type.getShape(),
            (ArrayRef<int64_t>{groups, 4, 4}));
  EXPECT_EQ(list[kBlockDense].type.getShape(), type.getShape());
  EXPECT_EQ(list[kBlockSums].type.getShape(), ArrayRef<int64_t>{130});
  // Room for everything, and for nothing.
  RankedTensorType whole = getType({10, 9}, 1, 1.0, false);
  list = encodingOf(whole).getBuffers(whole);
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[kBlockIndices].type.getDimSize(0), 9);
  RankedTensorType none = getType({10, 9}, 1, 0.0, false);
  list = encodingOf(none).getBuffers(none);
  EXPECT_EQ(list[kBlockIndices].type.getDimSize(0), 2);
}

TEST_F(BlockTest, KeepsTheLargestBlocks) {
  for (int64_t size : {4, 8, 16})
    for (int64_t columns : {1, 4, 7, 64, 70}) {
      RankedTensorType type = getType({37, columns}, 1, 0.3, false, size);
      std::vector<float> weight = makeWeight(type);
      ASSERT_EQ(encode(type, weight), "");
      std::vector<float> dense = unpack(type);
      int64_t blocks = 37 * llvm::divideCeil(columns, size);
      EXPECT_EQ(countBlocks(dense, type, size), std::llround(0.3 * blocks));
      double least = INFINITY, most = 0.0;
      for (int64_t k = 0; k < 37; ++k)
        for (int64_t first = 0; first < columns; first += size) {
          double sum = 0.0;
          bool isKept = false;
          for (int64_t i = first; i < std::min(first + size, columns); ++i) {
            int64_t at = k * columns + i;
            sum += double(weight[at]) * weight[at];
            isKept |= dense[at] != 0.0f;
            if (dense[at] != 0.0f)
              EXPECT_EQ(dense[at], weight[at]);
          }
          least = isKept ? std::min(least, sum) : least;
          most = isKept ? most : std::max(most, sum);
        }
      EXPECT_GE(least, most) << size << " " << columns;
    }
}

TEST_F(BlockTest, ListsAndTheDenseFormAgree) {
  using Case = std::tuple<std::vector<int64_t>, int64_t, double>;
  for (const auto &[shape, axis, density] :
       {Case{{64, 40}, 1, 0.2}, Case{{40, 64}, 0, 0.2}, Case{{5, 3}, 1, 1.0},
        Case{{3, 5}, 0, 0.5}, Case{{1, 1}, 1, 1.0}, Case{{9, 20}, 1, 0.0},
        Case{{0, 4}, 1, 0.5}, Case{{4, 0}, 1, 0.5}})
    for (bool isInteger : {false, true}) {
      RankedTensorType type = getType(shape, axis, density, isInteger);
      std::vector<float> weight = makeWeight(type);
      ASSERT_EQ(encode(type, weight), "");
      std::vector<float> dense = unpack(type);
      int64_t n = shape[axis], k = shape[1 - axis];
      for (int64_t at = 0; at < k * n; ++at) {
        int64_t column = axis == 0 ? at / k : at % n;
        float want = isInteger ? float(bufferOf<int8_t>(kBlockDense)[at]) *
                                     bufferOf<float>(kBlockScales)[column]
                               : bufferOf<float>(kBlockDense)[at];
        EXPECT_EQ(dense[at], want);
        float scale = isInteger ? bufferOf<float>(kBlockScales)[column] : 0;
        if (dense[at] != 0.0f)
          EXPECT_LE(std::fabs(dense[at] - weight[at]), 0.5001f * scale);
      }
      if (!isInteger)
        continue;
      std::vector<double> sums(n);
      for (int64_t at = 0; at < k * n; ++at)
        sums[axis == 0 ? at / k : at % n] += dense[at];
      for (int64_t i = 0; i < n; ++i)
        EXPECT_NEAR(bufferOf<float>(kBlockSums)[i], sums[i], 1e-4);
    }
}

TEST_F(BlockTest, SparseWeightsComeBackUnchanged) {
  RankedTensorType type = getType({50, 24}, 1, 0.25, false);
  std::vector<float> weight = makeWeight(type);
  // One block in five, but all in the first strip and none in the second: what
  // counts is their number.
  for (int64_t at = 0; at < 50 * 24; ++at) {
    int64_t k = at / 24, strip = at % 24 / 4;
    if (strip == 1 || (strip != 0 && (k + strip) % 10 != 0))
      weight[at] = 0.0f;
  }
  ASSERT_LE(countBlocks(weight, type, 4), 75);
  ASSERT_EQ(encode(type, weight), "");
  EXPECT_EQ(unpack(type), weight);
}

TEST_F(BlockTest, MomentsChooseAndCompensate) {
  constexpr int64_t k = 64, n = 24, rank = 12;
  std::vector<float> weight = makeWeight(getType({k, n}, 1, 0.4, false)),
                     mixture(k * rank), moments(k * k);
  std::normal_distribution<float> normal;
  for (float &value : mixture)
    value = normal(random);
  for (int64_t i = 0; i < k * k; ++i)
    for (int64_t r = 0; r < rank; ++r)
      moments[i] += mixture[i / k * rank + r] * mixture[i % k * rank + r];
  double floatError = 0.0;
  for (bool isInteger : {false, true}) {
    RankedTensorType type = getType({k, n}, 1, 0.4, isInteger);
    // E[(x . (w - w'))^2], summed over columns.
    auto getProductError = [&] {
      std::vector<float> dense = unpack(type);
      double error = 0.0;
      for (int64_t column = 0; column < n; ++column)
        for (int64_t i = 0; i < k * k; ++i) {
          int64_t a = i / k * n + column, b = i % k * n + column;
          error += double(moments[i]) * (dense[a] - weight[a]) *
                   (dense[b] - weight[b]);
        }
      return error;
    };
    ASSERT_EQ(encode(type, weight), "");
    double before = getProductError();
    ASSERT_EQ(encode(type, weight, moments), "");
    double after = getProductError();
    EXPECT_LT(after, 0.3 * before);
    EXPECT_EQ(countBlocks(unpack(type), type, 4),
              std::llround(0.4 * k * n / 4));
    // Codes reach as far as compensation made values grow.
    if (isInteger)
      EXPECT_LT(after, 1.1 * floatError);
    floatError = after;
  }
}

TEST_F(BlockTest, RefusesWhatItCannotHold) {
  EXPECT_EQ(encode(getType({1, 2}, 1, 1.0, true), {1.0f, NAN}),
            "#graph.block: the weight holds NaN or infinity");
  EXPECT_EQ(encode(getType({1, 2}, 1, 1.0, true), {1.0f}),
            "#graph.block: the weight has 4 bytes, expected 8");
}

TEST_F(BlockTest, DamagedListsAreNotDecoded) {
  RankedTensorType type = getType({20, 8}, 1, 0.5, false);
  ASSERT_EQ(encode(type, makeWeight(type)), "");
  std::string message;
  bufferOf<uint16_t>(kBlockIndices)[1] = 20;
  unpack(type, &message);
  EXPECT_EQ(message, "#graph.block: index 20 is not below 20");
  bufferOf<int32_t>(kBlockOffsets)[1] = 1000;
  unpack(type, &message);
  EXPECT_EQ(message,
            "#graph.block: 'offsets' do not ascend within the 6 groups");
}

} // namespace
