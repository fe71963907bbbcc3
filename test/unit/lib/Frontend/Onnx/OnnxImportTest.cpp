// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/Onnx/OnnxImport.h"
#include "OnnxTestModels.h"
#include "lib/Frontend/Onnx/OnnxFile.h"
#include "lib/Frontend/Onnx/WireFormat.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

using namespace lathe;

namespace {
/// A file that goes with the object.
class TemporaryFile {
public:
  explicit TemporaryFile(llvm::StringRef bytes) {
    int file;
    EXPECT_FALSE(
        llvm::sys::fs::createTemporaryFile("lathe", "onnx", file, path));
    llvm::raw_fd_ostream(file, /*shouldClose=*/true) << bytes;
  }
  ~TemporaryFile() { llvm::sys::fs::remove(path); }
  llvm::SmallString<128> path;
};
} // namespace

TEST(OnnxImport, SeedModelsAreImported) {
  for (const std::string &bytes : test::makeSeedModels()) {
    TemporaryFile file(bytes);
    mlir::MLIRContext context;
    llvm::SmallVector<OnnxUnsupported> unsupported;
    auto module = importOnnx(context, file.path, {}, unsupported);
    EXPECT_TRUE(bool(module)) << llvm::toString(module.takeError());
    EXPECT_TRUE(unsupported.empty());
  }
}

TEST(OnnxImport, EveryTruncationIsRefusedOrValid) {
  std::string bytes = test::makeSeedModels().front();
  for (size_t size = 0; size < bytes.size(); ++size) {
    TemporaryFile file(llvm::StringRef(bytes).take_front(size));
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    llvm::SmallVector<OnnxUnsupported> unsupported;
    auto module = importOnnx(context, file.path, {}, unsupported);
    if (!module)
      EXPECT_FALSE(llvm::toString(module.takeError()).empty());
  }
}

TEST(WireFormat, TensorContentsStayInTheFile) {
  std::string bytes = test::makeSeedModels().front();
  auto skeleton = lathe::onnx::makeSkeleton(bytes);
  ASSERT_TRUE(bool(skeleton)) << llvm::toString(skeleton.takeError());
  ::onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(*skeleton));
  const ::onnx::TensorProto &weight = model.graph().initializer(0);
  auto pieces = lathe::onnx::getPieces(weight.raw_data());
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].field, 9u);
  EXPECT_EQ(pieces[0].size, 8u * 16u * sizeof(float));
  float value;
  memcpy(&value, bytes.data() + pieces[0].offset, sizeof(float));
  EXPECT_EQ(value, 0.5f);
  // Packed integers are taken out as well.
  pieces = lathe::onnx::getPieces(model.graph().initializer(2).raw_data());
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].field, 7u);
}

TEST(WireFormat, LimitsAreErrors) {
  std::string bytes = test::makeSeedModels().back();
  lathe::onnx::WireLimits limits;
  limits.maxNodes = 2;
  auto skeleton = lathe::onnx::makeSkeleton(bytes, limits);
  ASSERT_FALSE(bool(skeleton));
  EXPECT_NE(llvm::toString(skeleton.takeError()).find("more than 2 nodes"),
            std::string::npos);
  limits = {};
  limits.maxDepth = 1;
  skeleton = lathe::onnx::makeSkeleton(bytes, limits);
  ASSERT_FALSE(bool(skeleton));
  EXPECT_NE(llvm::toString(skeleton.takeError()).find("nested more than 1"),
            std::string::npos);
}

TEST(WireFormat, VarintsEnd) {
  const char open[] = {'\x80', '\x80'};
  llvm::ArrayRef<char> bytes(open);
  uint64_t value;
  EXPECT_FALSE(lathe::onnx::readVarint(bytes, value));
  const char closed[] = {'\xac', '\x02', '\x07'};
  bytes = closed;
  EXPECT_TRUE(lathe::onnx::readVarint(bytes, value));
  EXPECT_EQ(value, 300u);
  EXPECT_EQ(bytes.size(), 1u);
}
