// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What tests of encodings share: a context that knows them all, weights of
// noise, and the way of a weight of f32 into its buffers and back.

#ifndef LATHE_TEST_UNIT_LIB_ENCODINGS_ENCODINGTEST_H
#define LATHE_TEST_UNIT_LIB_ENCODINGS_ENCODINGTEST_H

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Encodings/Encodings.h"

#include "mlir/IR/Builders.h"
#include "gtest/gtest.h"

#include <cstring>
#include <random>

namespace lathe {

class EncodingTest : public testing::Test {
protected:
  EncodingTest() {
    mlir::DialectRegistry registry;
    registry.insert<graph::GraphDialect, tile::TileDialect>();
    registerEncodings(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  static graph::EncodingInterface encodingOf(mlir::RankedTensorType type) {
    return mlir::cast<graph::EncodingInterface>(type.getEncoding());
  }

  /// Encodes into `buffers`, or returns the message of the refusal.
  std::string encode(mlir::RankedTensorType type, llvm::ArrayRef<float> values,
                     llvm::ArrayRef<float> moments = {}) {
    llvm::ArrayRef<char> bytes(reinterpret_cast<const char *>(values.data()),
                               values.size() * sizeof(float));
    llvm::Error error = encodingOf(type).encode(type, bytes, moments, buffers);
    return error ? llvm::toString(std::move(error)) : "";
  }

  /// Decodes `buffers`, or fills `message` with the refusal.
  std::vector<float> unpack(mlir::RankedTensorType type,
                            std::string *message = nullptr) {
    llvm::SmallVector<llvm::ArrayRef<char>> views(buffers.begin(),
                                                  buffers.end());
    llvm::SmallVector<char> dense;
    llvm::Error error = encodingOf(type).unpack(type, views, dense);
    EXPECT_EQ(bool(error), message != nullptr);
    if (message)
      *message = llvm::toString(std::move(error));
    std::vector<float> values(dense.size() / sizeof(float));
    if (!values.empty())
      std::memcpy(values.data(), dense.data(), dense.size());
    return values;
  }

  std::vector<float> makeWeight(int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> weight(count);
    for (float &value : weight)
      value = normal(random);
    return weight;
  }
  std::vector<float> makeWeight(mlir::RankedTensorType type) {
    return makeWeight(type.getNumElements());
  }

  mlir::MLIRContext context;
  llvm::SmallVector<llvm::SmallVector<char, 0>> buffers;
  std::mt19937 random{1};
};

} // namespace lathe

#endif // LATHE_TEST_UNIT_LIB_ENCODINGS_ENCODINGTEST_H
