// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Elements.h"
#include "lib/Encodings/PackedCodes.h"
#include "test/unit/lib/Encodings/EncodingTest.h"

#include "mlir/IR/BuiltinOps.h"

#include <cmath>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

class Int4Test : public EncodingTest {
protected:
  RankedTensorType getType(ArrayRef<int64_t> shape, int64_t axis, int64_t group,
                           bool zeros) {
    return RankedTensorType::get(shape, Float32Type::get(&context),
                                 Int4Attr::get(&context, axis, group, zeros));
  }

  float getScale(int64_t at) {
    return loadElement(BFloat16Type::get(&context),
                       &buffers[kPackedScales][at * 2]);
  }
};

double getSquares(ArrayRef<float> a, ArrayRef<float> b) {
  double sum = 0.0;
  for (auto [x, y] : llvm::zip_equal(a, b))
    sum += (double(x) - y) * (double(x) - y);
  return sum;
}

TEST_F(Int4Test, BuffersFollowTheWeight) {
  for (int64_t axis : {0, 1}) {
    SmallVector<int64_t> shape{300, 40}, codes{152, 40};
    if (axis == 0) {
      std::swap(shape[0], shape[1]);
      std::swap(codes[0], codes[1]);
    }
    RankedTensorType type = getType(shape, axis, 128, true);
    SmallVector<EncodedBuffer> list = encodingOf(type).getBuffers(type);
    ASSERT_EQ(list.size(), 4u);
    EXPECT_EQ(list[3].name, "lines");
    EXPECT_EQ(list[3].type.getDimSize(1 - axis), 192);
    EXPECT_EQ(list[kPackedCodes].type.getShape(), ArrayRef(codes));
    EXPECT_EQ(list[kPackedCodes].parts, 2);
    EXPECT_EQ(list[kPackedCodes].run, 4);
    EXPECT_EQ(list[kPackedScales].type.getShape(), (ArrayRef<int64_t>{3, 40}));
    EXPECT_EQ(list[kPackedScales].group, 128);
    EXPECT_EQ(list[kPackedZeros].type.getShape(), (ArrayRef<int64_t>{3, 40}));
  }
  RankedTensorType type = getType({4096, 64}, 1, 128, false);
  EXPECT_EQ(encodingOf(type).getBuffers(type).size(), 3u);
}

TEST_F(Int4Test, PartsAreWhereTheBufferSays) {
  RankedTensorType type = getType({19, 3}, 1, 16, false);
  std::vector<float> weight = makeWeight(type);
  ASSERT_EQ(encode(type, weight), "");
  std::vector<float> dense = unpack(type);
  SmallVector<EncodedBuffer> list = encodingOf(type).getBuffers(type);
  for (unsigned number : {unsigned(kPackedCodes), 2u}) {
    EncodedBuffer codes = list[number];
    for (int64_t s = 0; s < codes.type.getDimSize(0); ++s)
      for (int64_t p = 0; p < codes.parts; ++p)
        for (int64_t n = 0; n < 3; ++n) {
          int64_t k =
              (s / codes.run * codes.parts + p) * codes.run + s % codes.run;
          int code = uint8_t(buffers[number][s * 3 + n]) >> 4 * p & 15;
          if (k >= 19)
            EXPECT_EQ(code, 8); // Zero, past the end.
          else
            EXPECT_EQ(dense[k * 3 + n],
                      getScale(k / 16 * 3 + n) * float(code - 8));
        }
  }
}

TEST_F(Int4Test, ErrsAsLittleAsFourBitsCan) {
  using Case = std::tuple<std::vector<int64_t>, int64_t, int64_t>;
  for (const auto &[shape, axis, group] :
       {Case{{256, 70}, 1, 128}, Case{{70, 256}, 0, 64}, Case{{37, 5}, 1, 8},
        Case{{5, 37}, 0, 8}, Case{{3, 4}, 1, 32}, Case{{1, 1}, 1, 32},
        Case{{0, 4}, 1, 8}, Case{{4, 0}, 1, 8}})
    for (bool zeros : {false, true}) {
      RankedTensorType type = getType(shape, axis, group, zeros);
      std::vector<float> weight = makeWeight(type);
      ASSERT_EQ(encode(type, weight), "");
      std::vector<float> dense = unpack(type);
      std::vector<float> nothing(weight.size());
      // A uniform quantizer of 16 steps leaves 1.15 % of a Gaussian's energy
      // (Max, 1960); groups that are found by search come close.
      EXPECT_LE(getSquares(weight, dense), 0.0125 * getSquares(weight, nothing))
          << shape[0] << " " << zeros;
    }
}

TEST_F(Int4Test, ZeroPointsServeOneSidedGroups) {
  std::vector<float> weight;
  for (int i = 0; i < 16; ++i)
    weight.push_back(3.0f + 0.125f * float(i));
  RankedTensorType plain = getType({16, 1}, 1, 16, false);
  RankedTensorType zeros = getType({16, 1}, 1, 16, true);
  ASSERT_EQ(encode(plain, weight), "");
  double before = getSquares(weight, unpack(plain));
  ASSERT_EQ(encode(zeros, weight), "");
  EXPECT_LT(getSquares(weight, unpack(zeros)), 0.5 * before);
}

TEST_F(Int4Test, GridsAreKept) {
  // What lies on a grid of the format already comes back unchanged.
  std::vector<float> weight;
  for (int i = 0; i < 16; ++i)
    weight.push_back(0.5f * float(i - 8));
  RankedTensorType type = getType({16, 1}, 1, 16, false);
  ASSERT_EQ(encode(type, weight), "");
  EXPECT_EQ(unpack(type), weight);
}

TEST_F(Int4Test, MomentsGuideTheRounding) {
  RankedTensorType type = getType({64, 5}, 1, 32, false);
  std::vector<float> weight = makeWeight(type), moments(64 * 64, 1.0f);
  for (int i = 0; i < 64; ++i)
    moments[i * 64 + i] += 0.1f;
  // Inputs that are nearly equal: what counts is a column's sum.
  auto getSumError = [&] {
    std::vector<float> dense = unpack(type);
    double sums[5] = {}, error = 0.0;
    for (int i = 0; i < 64 * 5; ++i)
      sums[i % 5] += dense[i] - weight[i];
    for (double sum : sums)
      error += sum * sum;
    return error;
  };
  ASSERT_EQ(encode(type, weight), "");
  double before = getSumError();
  ASSERT_EQ(encode(type, weight, moments), "");
  EXPECT_LT(getSumError(), 0.1 * before);
}

TEST_F(Int4Test, InputsThatWereNeverSeenAreNoExcuse) {
  for (bool zeros : {false, true}) {
    RankedTensorType type = getType({64, 5}, 1, 32, zeros);
    std::vector<float> weight = makeWeight(type), moments(64 * 64);
    ASSERT_EQ(encode(type, weight), "");
    auto plain = buffers;
    ASSERT_EQ(encode(type, weight, moments), "");
    EXPECT_EQ(buffers, plain);
    // One group was seen, the other rounds as it did.
    for (int i = 0; i < 32; ++i)
      moments[i * 64 + i] = 100.0f; // Half of which is added to all.
    ASSERT_EQ(encode(type, weight), "");
    std::vector<float> nearest = unpack(type);
    ASSERT_EQ(encode(type, weight, moments), "");
    std::vector<float> dense = unpack(type);
    for (int i = 32 * 5; i < 64 * 5; ++i)
      EXPECT_EQ(dense[i], nearest[i]);
  }
}

TEST_F(Int4Test, RefusesWhatItCannotHold) {
  EXPECT_EQ(encode(getType({1, 2}, 1, 8, false), {1.0f, NAN}),
            "#graph.int4: the weight holds NaN or infinity");
  EXPECT_EQ(encode(getType({1, 2}, 1, 8, false), {1.0f}),
            "#graph.int4: the weight has 4 bytes, expected 8");
  auto integers = RankedTensorType::get({2, 2}, IntegerType::get(&context, 32),
                                        Int4Attr::get(&context, 1, 8, false));
  EXPECT_EQ(encode(integers, {}),
            "#graph.int4: holds static matrices of f32, f16 or bf16");
}

TEST_F(Int4Test, TinyAndHugeGroups) {
  RankedTensorType type = getType({2, 2}, 1, 8, false);
  ASSERT_EQ(encode(type, {0.0f, 1e-44f, 0.0f, -1e-44f}), "");
  EXPECT_EQ(unpack(type), (std::vector<float>{0, 0, 0, 0}));
  ASSERT_EQ(encode(type, {1e30f, 0.0f, -1e30f, 0.0f}), "");
  EXPECT_NEAR(unpack(type)[0], 1e30f, 0.3e30f);
}

TEST_F(Int4Test, DecodesTiles) {
  OpBuilder builder(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
  builder.setInsertionPointToStart(module->getBody());
  Location loc = builder.getUnknownLoc();
  auto splat = [&](ArrayRef<int64_t> shape, Type type) -> Value {
    return arith::ConstantOp::create(
        builder, loc, builder.getZeroAttr(RankedTensorType::get(shape, type)));
  };
  Value tiles[] = {splat({4, 64}, builder.getI8Type()),
                   splat({64}, builder.getBF16Type()),
                   splat({64}, builder.getI8Type())};
  for (bool zeros : {false, true}) {
    auto encoding = cast<EncodingInterface>(
        Attribute(Int4Attr::get(&context, 1, 32, zeros)));
    for (int64_t part : {0, 1}) {
      Value dense = encoding.decode(builder, loc, ArrayRef(tiles), part,
                                    builder.getF32Type());
      EXPECT_EQ(dense.getType(),
                RankedTensorType::get({4, 64}, builder.getF32Type()));
    }
  }
  EXPECT_TRUE(succeeded(module->verify()));
}

} // namespace
