// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Launch.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Verifier.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace lathe;

namespace {
class LaunchTest : public testing::Test {
protected:
  LaunchTest() {
    context.loadDialect<LLVM::LLVMDialect, NVVM::NVVMDialect>();
    OpBuilder b(&context);
    module = ModuleOp::create(b.getUnknownLoc());
    b.setInsertionPointToStart(module->getBody());
    auto pointer = LLVM::LLVMPointerType::get(&context, 1);
    function = LLVM::LLVMFuncOp::create(
        b, b.getUnknownLoc(), "f",
        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&context),
                                    {pointer, b.getI64Type()}));
    function->setAttr("nvvm.kernel", b.getUnitAttr());
    function->setAttr("nvvm.reqntid", b.getDenseI32ArrayAttr({384}));
    function->setAttr(cuda::kSharedBytesAttr, b.getI64IntegerAttr(1024));
    b.setInsertionPointToStart(function.addEntryBlock(b));
    LLVM::ReturnOp::create(b, b.getUnknownLoc(), ValueRange());
  }

  TensorMap makeMap(unsigned swizzle) {
    TensorMap map;
    map.element = Float16Type::get(&context);
    map.offset = {8, std::nullopt};
    map.sizes = {{384, std::nullopt}, {2, 0u}};
    map.strides = {{384, std::nullopt}};
    map.box = {64, 128};
    map.swizzle = swizzle;
    return map;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  LLVM::LLVMFuncOp function;
};

TEST_F(LaunchTest, AKernelThatAsksForNothing) {
  std::optional<KernelNeeds> needs = cuda::takeNeeds(function);
  ASSERT_TRUE(needs);
  EXPECT_EQ(needs->threads, 384u);
  EXPECT_EQ(needs->sharedBytes, 1024u);
  EXPECT_EQ(needs->grid, LaunchGrid::Plain);
  EXPECT_EQ(needs->cluster, 1u);
  EXPECT_FALSE(needs->overlaps);
  EXPECT_TRUE(needs->maps.empty());
  function->removeAttr("nvvm.reqntid");
  EXPECT_FALSE(cuda::takeNeeds(function));
}

TEST_F(LaunchTest, TheGridStandsBeforeTheMaps) {
  Value first = cuda::addTensorMap(function, makeMap(128));
  std::array<Value, 3> grid = cuda::getGrid(function, LaunchGrid::Persistent);
  Value second = cuda::addTensorMap(function, makeMap(64));
  // Who asks again gets the same, and persistent it stays.
  EXPECT_EQ(cuda::getGrid(function, LaunchGrid::Given), grid);
  cuda::setCluster(function, 2);
  OpBuilder b(&context);
  b.setInsertionPointToStart(&function.front());
  ImplicitLocOpBuilder builder(function.getLoc(), b);
  cuda::createOverlap(builder, function);
  EXPECT_TRUE(succeeded(verify(*module)));

  ASSERT_EQ(function.getNumArguments(), 7u);
  for (unsigned i = 0; i < 3; ++i)
    EXPECT_EQ(function.getArgument(2 + i), grid[i]);
  EXPECT_EQ(function.getArgument(5), first);
  EXPECT_EQ(function.getArgument(6), second);
  for (unsigned i : {5u, 6u}) {
    EXPECT_TRUE(function.getArgAttr(i, "llvm.byval"));
    EXPECT_TRUE(function.getArgAttr(i, "nvvm.grid_constant"));
  }

  std::optional<KernelNeeds> needs = cuda::takeNeeds(function);
  ASSERT_TRUE(needs);
  EXPECT_EQ(needs->grid, LaunchGrid::Persistent);
  EXPECT_EQ(needs->cluster, 2u);
  EXPECT_TRUE(needs->overlaps);
  ASSERT_EQ(needs->maps.size(), 2u);
  const TensorMap &map = needs->maps[0];
  EXPECT_EQ(map.buffer, 0u);
  EXPECT_TRUE(map.element.isF16());
  EXPECT_EQ(map.offset.factor, 8);
  ASSERT_EQ(map.sizes.size(), 2u);
  EXPECT_EQ(map.sizes[0].factor, 384);
  EXPECT_FALSE(map.sizes[0].scalar);
  EXPECT_EQ(map.sizes[1].factor, 2);
  EXPECT_EQ(map.sizes[1].scalar, 0u);
  ASSERT_EQ(map.strides.size(), 1u);
  EXPECT_EQ(map.strides[0].factor, 384);
  EXPECT_EQ(map.box, (llvm::SmallVector<unsigned>{64, 128}));
  EXPECT_EQ(map.swizzle, 128u);
  EXPECT_EQ(needs->maps[1].swizzle, 64u);
  // The back end reads the cluster; the rest is gone.
  for (StringRef name : {"tile.grid", "tile.tensor_maps", "tile.shared_bytes"})
    EXPECT_FALSE(function->hasAttr(name)) << name.str();
  EXPECT_TRUE(function->hasAttr("nvvm.cluster_dim"));
}
} // namespace
