// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Encodings/Encodings.h"

#include "llvm/ADT/APFloat.h"
#include "gtest/gtest.h"

#include <cmath>
#include <random>

using namespace mlir;
using namespace lathe;
using namespace lathe::graph;

namespace {

class NarrowTest : public testing::Test {
protected:
  NarrowTest() {
    DialectRegistry registry;
    registry.insert<GraphDialect, tile::TileDialect>();
    registerEncodings(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  RankedTensorType getType(int64_t size, Type narrow) {
    return RankedTensorType::get({size}, Float32Type::get(&context),
                                 NarrowAttr::get(&context, narrow));
  }

  /// Encodes and unpacks, or gives the message of the refusal.
  std::string roundTrip(RankedTensorType type, ArrayRef<float> values,
                        std::vector<float> &result) {
    auto encoding = cast<EncodingInterface>(type.getEncoding());
    ArrayRef<char> bytes(reinterpret_cast<const char *>(values.data()),
                         values.size() * sizeof(float));
    SmallVector<SmallVector<char, 0>> buffers;
    if (llvm::Error error = encoding.encode(type, bytes, {}, buffers))
      return toString(std::move(error));
    SmallVector<ArrayRef<char>> views(buffers.begin(), buffers.end());
    SmallVector<char> dense;
    if (llvm::Error error = encoding.unpack(type, views, dense))
      return toString(std::move(error));
    auto *floats = reinterpret_cast<const float *>(dense.data());
    result.assign(floats, floats + dense.size() / sizeof(float));
    return "";
  }

  MLIRContext context;
};

/// LLVM's own rounding, as an oracle.
float rounded(float value, const llvm::fltSemantics &semantics) {
  llvm::APFloat number(value);
  bool lost;
  number.convert(semantics, llvm::APFloat::rmNearestTiesToEven, &lost);
  number.convert(llvm::APFloat::IEEEsingle(),
                 llvm::APFloat::rmNearestTiesToEven, &lost);
  return number.convertToFloat();
}

TEST_F(NarrowTest, RoundsToNearestEven) {
  std::mt19937 random(std::random_device{}());
  std::normal_distribution<float> normal(0, 100);
  std::vector<float> values = {0.0f,        -0.0f,       1.0f,
                               1.00390625f, 1.01171875f, 1e-40f,
                               -65504.0f,   INFINITY,    -INFINITY};
  while (values.size() < 1000)
    values.push_back(normal(random));
  std::pair<Type, const llvm::fltSemantics &> kinds[] = {
      {BFloat16Type::get(&context), llvm::APFloat::BFloat()},
      {Float16Type::get(&context), llvm::APFloat::IEEEhalf()}};
  for (auto [type, semantics] : kinds) {
    std::vector<float> result;
    ASSERT_EQ(roundTrip(getType(values.size(), type), values, result), "");
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(result[i], rounded(values[i], semantics)) << values[i];
  }
}

TEST_F(NarrowTest, KeepsNaN) {
  std::vector<float> result;
  for (Type type :
       {Type(BFloat16Type::get(&context)), Type(Float16Type::get(&context))}) {
    ASSERT_EQ(roundTrip(getType(1, type), {NAN}, result), "");
    EXPECT_TRUE(std::isnan(result[0]));
  }
}

TEST_F(NarrowTest, RefusesWhatF16CannotHold) {
  std::vector<float> result;
  std::string message =
      roundTrip(getType(1, Float16Type::get(&context)), {1e6f}, result);
  EXPECT_NE(message.find("beyond the range of f16"), std::string::npos);
}

TEST_F(NarrowTest, ChecksSizes) {
  std::vector<float> result;
  std::string message =
      roundTrip(getType(3, BFloat16Type::get(&context)), {1.0f}, result);
  EXPECT_NE(message.find("has 4 bytes, expected 12"), std::string::npos);
}

} // namespace
