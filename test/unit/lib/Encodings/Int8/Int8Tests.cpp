// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Int8/Int8.h"
#include "test/unit/lib/Encodings/EncodingTest.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

class Int8Test : public EncodingTest {
protected:
  RankedTensorType getType(ArrayRef<int64_t> shape, int64_t axis,
                           int64_t group = 0) {
    return RankedTensorType::get(shape, Float32Type::get(&context),
                                 Int8Attr::get(&context, axis, group));
  }

  template <typename T> ArrayRef<T> bufferOf(Int8Buffer which) {
    return {reinterpret_cast<const T *>(buffers[which].data()),
            buffers[which].size() / sizeof(T)};
  }
};

TEST_F(Int8Test, BuffersFollowTheWeight) {
  RankedTensorType type = getType({384, 1536}, 1);
  SmallVector<EncodedBuffer> list = encodingOf(type).getBuffers(type);
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[kInt8Codes].name, "codes");
  EXPECT_EQ(list[kInt8Codes].type.getShape(), type.getShape());
  EXPECT_EQ(list[kInt8Scales].name, "scales");
  EXPECT_EQ(list[kInt8Scales].type.getShape(), ArrayRef<int64_t>{1536});
  EXPECT_EQ(list[kInt8Sums].name, "sums");
  EXPECT_EQ(list[kInt8Sums].type, list[kInt8Scales].type);
}

TEST_F(Int8Test, GroupsAreTheOuterDim) {
  using Case = std::pair<std::vector<int64_t>, int64_t>;
  for (const auto &[shape, axis] : {Case{{300, 40}, 1}, Case{{40, 300}, 0}}) {
    RankedTensorType type = getType(shape, axis, 128);
    SmallVector<EncodedBuffer> list = encodingOf(type).getBuffers(type);
    EXPECT_EQ(list[kInt8Scales].type.getShape(), (ArrayRef<int64_t>{3, 40}));
    EXPECT_EQ(list[kInt8Sums].type, list[kInt8Scales].type);
  }
}

TEST_F(Int8Test, RoundsToNearestEven) {
  // The scale is one, so that the codes are the rounded weights.
  RankedTensorType type = getType({6, 1}, 1);
  ASSERT_EQ(encode(type, {127.0f, 0.5f, 1.5f, -2.5f, -126.7f, 0.0f}), "");
  EXPECT_EQ(bufferOf<float>(kInt8Scales)[0], 1.0f);
  int8_t wanted[] = {127, 0, 2, -2, -127, 0};
  EXPECT_TRUE(bufferOf<int8_t>(kInt8Codes) == ArrayRef(wanted));
  EXPECT_EQ(bufferOf<float>(kInt8Sums)[0], 0.0f);
}

/// What NumPy would do: per slice of `axis` and group of the other dim, scale
/// by the largest magnitude.
struct Reference {
  ArrayRef<int64_t> shape;
  int64_t axis, group;

  int64_t scaleOf(int64_t at) const {
    int64_t inner = 1;
    for (int64_t size : shape.drop_front(axis + 1))
      inner *= size;
    int64_t slice = at / inner % shape[axis];
    if (group == 0)
      return slice;
    int64_t k = axis == 1 ? at / shape[1] : at % shape[1];
    return k / group * shape[axis] + slice;
  }

  void check(ArrayRef<float> weight, ArrayRef<int8_t> codes,
             ArrayRef<float> scales, ArrayRef<float> sums,
             ArrayRef<float> unpacked) const {
    std::vector<float> magnitudes(scales.size());
    std::vector<double> decoded(scales.size());
    for (size_t at = 0; at < weight.size(); ++at) {
      float &magnitude = magnitudes[scaleOf(at)];
      magnitude = std::max(magnitude, std::fabs(weight[at]));
    }
    for (size_t at = 0; at < weight.size(); ++at) {
      int64_t i = scaleOf(at);
      EXPECT_FLOAT_EQ(scales[i], magnitudes[i] / 127);
      EXPECT_LE(std::fabs(unpacked[at] - weight[at]), scales[i] * 0.5001f);
      EXPECT_EQ(unpacked[at], codes[at] * scales[i]);
      decoded[i] += unpacked[at];
    }
    for (size_t i = 0; i < scales.size(); ++i)
      EXPECT_NEAR(sums[i], decoded[i], 1e-4 * magnitudes[i]);
  }
};

TEST_F(Int8Test, EncodesWhatItUnpacks) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  using Case = std::tuple<std::vector<int64_t>, int64_t, int64_t>;
  for (const auto &[shape, axis, group] :
       {Case{{3, 5}, 1, 0}, Case{{3, 5}, 0, 0}, Case{{1, 1}, 1, 0},
        Case{{4, 3, 2}, 1, 0}, Case{{7, 2, 3, 3}, 0, 0}, Case{{0, 4}, 1, 0},
        Case{{4, 0}, 1, 0}, Case{{37, 5}, 1, 8}, Case{{5, 37}, 0, 8},
        Case{{32, 3}, 1, 32}, Case{{3, 4}, 1, 32}, Case{{0, 4}, 1, 8}}) {
    RankedTensorType type = getType(shape, axis, group);
    std::vector<float> weight(type.getNumElements());
    for (float &value : weight)
      value = normal(random);
    ASSERT_EQ(encode(type, weight), "");
    std::vector<float> dense = unpack(type);
    ASSERT_EQ(dense.size(), weight.size());
    Reference{shape, axis, group}.check(weight, bufferOf<int8_t>(kInt8Codes),
                                        bufferOf<float>(kInt8Scales),
                                        bufferOf<float>(kInt8Sums), dense);
  }
}

TEST_F(Int8Test, ZeroAndTinySlicesAreZero) {
  RankedTensorType type = getType({2, 2}, 1);
  ASSERT_EQ(encode(type, {0.0f, 1e-44f, 0.0f, -1e-44f}), "");
  EXPECT_EQ(bufferOf<float>(kInt8Scales)[0], 0.0f);
  EXPECT_EQ(bufferOf<float>(kInt8Scales)[1], 0.0f);
  EXPECT_EQ(unpack(type), (std::vector<float>{0, 0, 0, 0}));
}

TEST_F(Int8Test, RefusesWhatItCannotHold) {
  EXPECT_EQ(encode(getType({1, 2}, 1), {1.0f, NAN}),
            "#graph.int8: the weight holds NaN or infinity");
  EXPECT_EQ(encode(getType({1, 2}, 2), {1.0f, 2.0f}),
            "#graph.int8: axis 2 is not a dim of a weight of rank 2");
  EXPECT_EQ(encode(getType({1, 2, 1}, 1, 4), {1.0f, 2.0f}),
            "#graph.int8: has groups in matrices only, not in a weight of rank "
            "3");
  EXPECT_EQ(encode(getType({1, 2}, 1), {1.0f}),
            "#graph.int8: the weight has 4 bytes, expected 8");
  auto integers = RankedTensorType::get({2, 2}, IntegerType::get(&context, 32),
                                        Int8Attr::get(&context, 1, 0));
  EXPECT_EQ(encode(integers, {}),
            "#graph.int8: holds static tensors of f32, f16 or bf16");
}

TEST_F(Int8Test, HalfWeights) {
  auto type = RankedTensorType::get({2, 1}, BFloat16Type::get(&context),
                                    Int8Attr::get(&context, 1, 0));
  const uint16_t bits[] = {0x3f80, 0xbf00}; // 1.0, -0.5
  ArrayRef<char> bytes(reinterpret_cast<const char *>(bits), sizeof(bits));
  ASSERT_FALSE(bool(encodingOf(type).encode(type, bytes, {}, buffers)));
  EXPECT_EQ(bufferOf<int8_t>(kInt8Codes)[0], 127);
  EXPECT_EQ(bufferOf<int8_t>(kInt8Codes)[1], -64);
  SmallVector<ArrayRef<char>> views(buffers.begin(), buffers.end());
  SmallVector<char> dense;
  ASSERT_FALSE(bool(encodingOf(type).unpack(type, views, dense)));
  EXPECT_EQ(reinterpret_cast<const uint16_t *>(dense.data())[0], 0x3f80);
}

TEST_F(Int8Test, DecodesTiles) {
  OpBuilder builder(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
  builder.setInsertionPointToStart(module->getBody());
  Location loc = builder.getUnknownLoc();
  Value codes = tile::SplatOp::create(
      builder, loc, RankedTensorType::get({4, 64}, builder.getI8Type()),
      arith::ConstantIntOp::create(builder, loc, 3, 8));
  Value scales = tile::SplatOp::create(
      builder, loc, RankedTensorType::get({64}, builder.getF32Type()),
      arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(2)));
  auto encoding =
      cast<EncodingInterface>(Attribute(Int8Attr::get(&context, 1, 0)));
  Value dense =
      encoding.decode(builder, loc, {codes, scales}, 0, builder.getBF16Type());
  EXPECT_EQ(dense.getType(),
            RankedTensorType::get({4, 64}, builder.getBF16Type()));
  EXPECT_TRUE(succeeded(module->verify()));
}

} // namespace
