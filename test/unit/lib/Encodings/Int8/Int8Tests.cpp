// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Int8/Int8.h"

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Encodings/Encodings.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/STLExtras.h"
#include "gtest/gtest.h"

#include <cmath>
#include <random>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

class Int8Test : public testing::Test {
protected:
  Int8Test() {
    DialectRegistry registry;
    registry.insert<GraphDialect, tile::TileDialect>();
    registerEncodings(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  RankedTensorType getType(ArrayRef<int64_t> shape, int64_t axis) {
    return RankedTensorType::get(shape, Float32Type::get(&context),
                                 Int8Attr::get(&context, axis));
  }

  static EncodingInterface encodingOf(RankedTensorType type) {
    return cast<EncodingInterface>(type.getEncoding());
  }

  /// Encodes, or returns the message of the refusal.
  std::string encode(RankedTensorType type, ArrayRef<float> values) {
    ArrayRef<char> bytes(reinterpret_cast<const char *>(values.data()),
                         values.size() * sizeof(float));
    llvm::Error error = encodingOf(type).encode(type, bytes, buffers);
    return error ? llvm::toString(std::move(error)) : "";
  }

  template <typename T> ArrayRef<T> bufferOf(Int8Buffer which) {
    return {reinterpret_cast<const T *>(buffers[which].data()),
            buffers[which].size() / sizeof(T)};
  }

  std::vector<float> unpack(RankedTensorType type) {
    SmallVector<ArrayRef<char>> views(buffers.begin(), buffers.end());
    SmallVector<char> dense;
    EXPECT_FALSE(bool(encodingOf(type).unpack(type, views, dense)));
    auto *values = reinterpret_cast<const float *>(dense.data());
    return {values, values + dense.size() / sizeof(float)};
  }

  MLIRContext context;
  SmallVector<SmallVector<char, 0>> buffers;
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
  EXPECT_TRUE(list[kInt8Sums].type.getElementType().isInteger(32));
  EXPECT_NEAR(encodingOf(type).getBitsPerElement(type), 8 + 64.0 / 384, 1e-9);
}

TEST_F(Int8Test, RoundsToNearestEven) {
  // The scale is one, so that the codes are the rounded weights.
  RankedTensorType type = getType({6, 1}, 1);
  ASSERT_EQ(encode(type, {127.0f, 0.5f, 1.5f, -2.5f, -126.7f, 0.0f}), "");
  EXPECT_EQ(bufferOf<float>(kInt8Scales)[0], 1.0f);
  int8_t wanted[] = {127, 0, 2, -2, -127, 0};
  EXPECT_TRUE(bufferOf<int8_t>(kInt8Codes) == ArrayRef(wanted));
  EXPECT_EQ(bufferOf<int32_t>(kInt8Sums)[0], 0);
}

/// What NumPy would do: per slice of `axis`, scale by the largest magnitude.
void compare(ArrayRef<int64_t> shape, int64_t axis, ArrayRef<float> weight,
             ArrayRef<int8_t> codes, ArrayRef<float> scales,
             ArrayRef<int32_t> sums, ArrayRef<float> unpacked) {
  int64_t inner = 1, count = shape[axis];
  for (int64_t size : shape.drop_front(axis + 1))
    inner *= size;
  for (int64_t i = 0; i < count; ++i) {
    float magnitude = 0;
    int32_t sum = 0;
    for (size_t at = 0; at < weight.size(); ++at)
      if (static_cast<int64_t>(at) / inner % count == i)
        magnitude = std::max(magnitude, std::fabs(weight[at]));
    EXPECT_FLOAT_EQ(scales[i], magnitude / 127);
    for (size_t at = 0; at < weight.size(); ++at) {
      if (static_cast<int64_t>(at) / inner % count != i)
        continue;
      sum += codes[at];
      EXPECT_LE(std::fabs(unpacked[at] - weight[at]), scales[i] * 0.5001f);
      EXPECT_EQ(unpacked[at], codes[at] * scales[i]);
    }
    EXPECT_EQ(sums[i], sum);
  }
}

TEST_F(Int8Test, EncodesWhatItUnpacks) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  using Case = std::pair<std::vector<int64_t>, int64_t>;
  for (const auto &[shape, axis] :
       {Case{{3, 5}, 1}, Case{{3, 5}, 0}, Case{{1, 1}, 1}, Case{{4, 3, 2}, 1},
        Case{{7, 2, 3, 3}, 0}, Case{{0, 4}, 1}, Case{{4, 0}, 1}}) {
    RankedTensorType type = getType(shape, axis);
    std::vector<float> weight(type.getNumElements());
    for (float &value : weight)
      value = normal(random);
    ASSERT_EQ(encode(type, weight), "");
    std::vector<float> dense = unpack(type);
    ASSERT_EQ(dense.size(), weight.size());
    compare(shape, axis, weight, bufferOf<int8_t>(kInt8Codes),
            bufferOf<float>(kInt8Scales), bufferOf<int32_t>(kInt8Sums), dense);
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
  EXPECT_EQ(encode(getType({1, 2}, 1), {1.0f}),
            "#graph.int8: the weight has 4 bytes, expected 8");
  auto integers = RankedTensorType::get({2, 2}, IntegerType::get(&context, 32),
                                        Int8Attr::get(&context, 1));
  EXPECT_EQ(encode(integers, {}),
            "#graph.int8: holds static tensors of f32, f16 or bf16");
}

TEST_F(Int8Test, HalfWeights) {
  auto type = RankedTensorType::get({2, 1}, BFloat16Type::get(&context),
                                    Int8Attr::get(&context, 1));
  const uint16_t bits[] = {0x3f80, 0xbf00}; // 1.0, -0.5
  ArrayRef<char> bytes(reinterpret_cast<const char *>(bits), sizeof(bits));
  ASSERT_FALSE(bool(encodingOf(type).encode(type, bytes, buffers)));
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
      cast<EncodingInterface>(Attribute(Int8Attr::get(&context, 1)));
  Value dense =
      encoding.decode(builder, loc, {codes, scales}, builder.getBF16Type());
  EXPECT_EQ(dense.getType(),
            RankedTensorType::get({4, 64}, builder.getBF16Type()));
  EXPECT_TRUE(succeeded(module->verify()));
}

} // namespace
