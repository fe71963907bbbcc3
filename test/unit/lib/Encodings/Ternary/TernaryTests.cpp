// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/PackedCodes.h"
#include "test/unit/lib/Encodings/EncodingTest.h"

#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

class TernaryTest : public EncodingTest {
protected:
  RankedTensorType getType(ArrayRef<int64_t> shape, int64_t axis,
                           int64_t group) {
    return RankedTensorType::get(shape, Float32Type::get(&context),
                                 TernaryAttr::get(&context, axis, group));
  }

  /// What comes back of a weight; empty, with `message`, if it is refused.
  std::vector<float> pass(RankedTensorType type, ArrayRef<float> values,
                          ArrayRef<float> moments = {}) {
    message = encode(type, values, moments);
    return message.empty() ? unpack(type) : std::vector<float>();
  }

  std::string message;
};

double getSquares(ArrayRef<float> a, ArrayRef<float> b) {
  double sum = 0.0;
  for (auto [x, y] : llvm::zip_equal(a, b))
    sum += (double(x) - y) * (double(x) - y);
  return sum;
}

TEST_F(TernaryTest, BuffersFollowTheWeight) {
  RankedTensorType type = getType({300, 40}, 1, 128);
  SmallVector<EncodedBuffer> list = encodingOf(type).getBuffers(type);
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[2].name, "lines");
  EXPECT_EQ(list[2].type.getShape(), (ArrayRef<int64_t>{128, 40}));
  EXPECT_EQ(list[2].run, kPackedLine);
  EXPECT_EQ(list[kPackedCodes].type.getShape(), (ArrayRef<int64_t>{76, 40}));
  EXPECT_EQ(list[kPackedCodes].parts, 4);
  EXPECT_EQ(list[kPackedCodes].run, 4);
  EXPECT_EQ(list[kPackedScales].type.getShape(), (ArrayRef<int64_t>{3, 40}));
  type = getType({40, 300}, 0, 0);
  list = encodingOf(type).getBuffers(type);
  EXPECT_EQ(list[kPackedCodes].type.getShape(), (ArrayRef<int64_t>{40, 76}));
  EXPECT_EQ(list[kPackedScales].type.getShape(), (ArrayRef<int64_t>{40}));
  EXPECT_EQ(list[kPackedScales].group, 0);
  type = getType({4096, 64}, 1, 128);
}

TEST_F(TernaryTest, TernaryWeightsAreKept) {
  // Any scale, any size; moments change nothing.
  for (auto [k, n] : {std::pair<int64_t, int64_t>{256, 70},
                      {37, 5},
                      {16, 1},
                      {1, 3},
                      {0, 4},
                      {4, 0}})
    for (int64_t axis : {0, 1})
      for (int64_t group : {0, 16, 128}) {
        std::vector<int64_t> shape{k, n};
        if (axis == 0)
          std::swap(shape[0], shape[1]);
        std::vector<float> weight(k * n);
        std::uniform_int_distribution<int> digit(-1, 1);
        for (float &value : weight)
          value = 0.0123456f * float(digit(random));
        RankedTensorType type = getType(shape, axis, group);
        EXPECT_EQ(pass(type, weight), weight) << k << " " << group;
        std::vector<float> moments(k * k, 0.3f);
        for (int64_t i = 0; i < k; ++i)
          moments[i * k + i] = 1.0f + float(i % 7);
        EXPECT_EQ(pass(type, weight, moments), weight) << k << " " << group;
      }
}

TEST_F(TernaryTest, PartsAreWhereTheBufferSays) {
  RankedTensorType type = getType({37, 3}, 1, 16);
  std::vector<float> dense = pass(type, makeWeight(37 * 3));
  EncodedBuffer codes = encodingOf(type).getBuffers(type)[kPackedCodes];
  auto *scales = reinterpret_cast<const float *>(buffers[kPackedScales].data());
  for (int64_t s = 0; s < codes.type.getDimSize(0); ++s)
    for (int64_t p = 0; p < codes.parts; ++p)
      for (int64_t n = 0; n < 3; ++n) {
        int64_t k =
            (s / codes.run * codes.parts + p) * codes.run + s % codes.run;
        int code = uint8_t(buffers[kPackedCodes][s * 3 + n]) >> 2 * p & 3;
        if (k >= 37)
          EXPECT_EQ(code, 1); // Zero, past the end.
        else
          EXPECT_EQ(dense[k * 3 + n], scales[k / 16 * 3 + n] * float(code - 1));
      }
}

TEST_F(TernaryTest, GroupsErrAsLittleAsThreeValuesCan) {
  std::vector<float> weight = makeWeight(512 * 70), nothing(512 * 70);
  std::vector<float> dense = pass(getType({512, 70}, 1, 128), weight);
  // Three steps leave 19.0 % of a Gaussian's energy (Max, 1960).
  EXPECT_LE(getSquares(weight, dense), 0.191 * getSquares(weight, nothing));
  // The only other choice of scales that could be better: all others.
  RankedTensorType one = getType({16, 1}, 1, 16);
  std::vector<float> column = makeWeight(16);
  double least = getSquares(column, pass(one, column));
  for (float scale = 0.01f; scale < 3.0f; scale += 0.01f) {
    std::vector<float> other;
    for (float value : column)
      other.push_back(std::fabs(value) > scale / 2 ? std::copysign(scale, value)
                                                   : 0.0f);
    EXPECT_GE(getSquares(column, other), least * (1 - 1e-6));
  }
}

TEST_F(TernaryTest, WithoutGroupsItRoundsAsTrained) {
  std::vector<float> weight = makeWeight(96 * 20);
  double sum = 0.0;
  for (float value : weight)
    sum += std::fabs(value);
  auto scale = float(sum / double(weight.size()));
  std::vector<float> want;
  for (float value : weight)
    want.push_back(scale *
                   std::min(1.0f, std::max(-1.0f, std::rint(value / scale))));
  EXPECT_EQ(pass(getType({96, 20}, 1, 0), weight), want);
  EXPECT_FALSE(encodingOf(getType({96, 20}, 1, 0)).hasIndependentColumns());
  EXPECT_TRUE(encodingOf(getType({96, 20}, 1, 16)).hasIndependentColumns());
}

TEST_F(TernaryTest, InputsThatWereNeverSeenAreNoExcuse) {
  RankedTensorType type = getType({64, 5}, 1, 32);
  std::vector<float> weight = makeWeight(64 * 5), moments(64 * 64);
  ASSERT_EQ(encode(type, weight), "");
  auto plain = buffers;
  ASSERT_EQ(encode(type, weight, moments), "");
  EXPECT_EQ(buffers, plain);
}

TEST_F(TernaryTest, RefusesWhatItCannotHold) {
  EXPECT_TRUE(pass(getType({1, 2}, 1, 16), {1.0f, NAN}).empty());
  EXPECT_EQ(message, "#graph.ternary: the weight holds NaN or infinity");
  EXPECT_TRUE(pass(getType({1, 2}, 1, 0), {1.0f, INFINITY}).empty());
  EXPECT_EQ(message, "#graph.ternary: the weight holds NaN or infinity");
  EXPECT_TRUE(pass(getType({1, 2}, 1, 0), {1.0f}).empty());
  EXPECT_EQ(message, "#graph.ternary: the weight has 4 bytes, expected 8");
  for (unsigned bits : {1, 4, 8}) {
    auto type = RankedTensorType::get({4, 4}, IntegerType::get(&context, bits),
                                      TernaryAttr::get(&context, 1, 0));
    std::vector<char> bytes(16 * bits / 8);
    EXPECT_EQ(llvm::toString(encodingOf(type).encode(type, bytes, {}, buffers)),
              "#graph.ternary: holds static matrices of f32, f16 or bf16");
  }
}

} // namespace
