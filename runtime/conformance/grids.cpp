// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Launches whose kernels know their grid: of any size, in clusters, by a few
// programs that stay; and copies by tensor maps.

#include "runtime/conformance/conformance.h"

namespace lathe::test {
namespace {

using bundle::DType;
using bundle::GridKind;
using bundle::LaunchValue;

class Grids : public Conformance {
protected:
  void SetUp() override {
    if (!GetParam().gridKernels)
      GTEST_SKIP() << "its programs have no threads";
  }

  LoadedModel loadGrid(TestBundle b) const {
    b = port(std::move(b));
    b.code = GetParam().gridKernels();
    return LoadedModel(b);
  }

  /// What `symbol` leaves in y, which has room for `count`; the last element is
  /// how many blocks were launched.
  std::vector<int64_t> run(const char *symbol, GridKind kind, uint32_t cluster,
                           std::vector<int64_t> grid) const {
    TestBundle b;
    int64_t programs = grid[0] * grid[1] * grid[2];
    int32_t count = b.constant(programs + 1);
    uint32_t y = b.transient(DType::I64, {count});
    uint32_t kernel = b.kernel(symbol, 1, 0);
    b.variant().kernels[kernel]->grid = kind;
    b.variant().kernels[kernel]->cluster = cluster;
    auto &launch = b.launch(kernel, count, {}, {}, {y});
    for (size_t d = 0; d < 3; ++d)
      launch.choices[0]->grid[d] = b.constant(grid[d]);
    b.output("y", y);
    LoadedModel loaded = loadGrid(std::move(b));
    ResultsPtr results = runModel(loaded, {});
    return elements<int64_t>(*lathe_results_tensor(results.get(), 0));
  }

  static std::vector<int64_t> numbers(int64_t count, int64_t blocks) {
    std::vector<int64_t> all(static_cast<size_t>(count) + 1);
    std::iota(all.begin(), all.end(), 0);
    all.back() = blocks;
    return all;
  }
};

class Clusters : public Grids {
protected:
  void SetUp() override {
    Grids::SetUp();
    if (!IsSkipped() && !GetParam().hasClusters)
      GTEST_SKIP() << "it has no clusters and no tensor maps";
  }
};

TEST_P(Grids, OfAnySize) {
  EXPECT_EQ(run("position", GridKind::Given, 1, {3, 2, 5}), numbers(30, 30));
  // More than devices take in y and z.
  EXPECT_EQ(run("position", GridKind::Given, 1, {3, 70000, 1}),
            numbers(210000, 210000));
  EXPECT_EQ(run("position", GridKind::Given, 1, {1, 2, 66000}),
            numbers(132000, 132000));
}

TEST_P(Grids, ByProgramsThatStay) {
  EXPECT_EQ(run("position", GridKind::Persistent, 1, {3, 2, 2}),
            numbers(12, 12));
  std::vector<int64_t> many =
      run("position", GridKind::Persistent, 1, {100, 70, 3});
  EXPECT_LT(many.back(), 21000);
  EXPECT_EQ(many, numbers(21000, many.back()));
}

TEST_P(Clusters, InClusters) {
  for (GridKind kind : {GridKind::Given, GridKind::Persistent}) {
    // One block more than programs, which does nothing.
    std::vector<int64_t> found = run("rank", kind, 2, {5, 1, 1});
    EXPECT_EQ(found, (std::vector<int64_t>{0, 1, 0, 1, 0, 6}));
  }
}

TEST_P(Grids, OfKernelsThatOverlap) {
  // Each doubles what the one before it, which may be running still, writes.
  constexpr int64_t count = 1 << 20;
  constexpr int steps = 40;
  TestBundle b;
  int32_t n = b.symbol("n");
  uint32_t add = b.kernel("add", 3, 1), from = b.input("x", DType::F32, {n});
  b.variant().kernels[add]->overlaps = true;
  for (int i = 0; i < steps; ++i) {
    uint32_t to = b.transient(DType::F32, {n});
    b.launch(add, b.binary(bundle::ExprOp::CeilDiv, n, b.constant(16)), {n},
             {from, from}, {to});
    from = to;
  }
  b.output("y", from);
  LoadedModel loaded = loadGrid(std::move(b));
  // Launched, recorded, replayed.
  for (int run = 0; run < 4; ++run) {
    Tensor<float> x = {{count}, std::vector<float>(count, 1.f + run)};
    ResultsPtr results = runModel(loaded, {x.view()});
    ASSERT_TRUE(results);
    EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
              std::vector<float>(count, float(1ll << steps) * (1.f + run)));
  }
}

/// A model that copies boxes of x, [rows, columns], of its columns from
/// `skipped` on.
TestBundle copyBoxes(int64_t skipped, uint32_t swizzle = 0) {
  TestBundle b;
  int32_t rows = b.symbol("rows"), columns = b.symbol("columns");
  int32_t tall = b.binary(bundle::ExprOp::CeilDiv, rows, b.constant(8));
  int32_t wide = b.binary(bundle::ExprOp::CeilDiv, columns, b.constant(16));
  int32_t boxes = b.binary(bundle::ExprOp::Mul, tall, wide);
  uint32_t x = b.input("x", DType::F32, {rows, columns});
  uint32_t y = b.transient(DType::F32, {boxes, b.constant(128)});
  uint32_t kernel = b.kernel("box", 2, 3);
  bundle::KernelT &table = *b.variant().kernels[kernel];
  table.grid = GridKind::Given;
  auto map = std::make_unique<bundle::TensorMapT>();
  map->dtype = DType::F32;
  map->offset = std::make_unique<LaunchValue>(skipped, -1);
  map->sizes = {{1, 2}, {1, 0}};
  map->strides = {{1, 1}};
  map->box = {16, 8};
  map->swizzle = swizzle;
  table.maps.push_back(std::move(map));
  int32_t left = b.binary(bundle::ExprOp::Add, columns, b.constant(-skipped));
  auto &launch = b.launch(kernel, wide, {rows, columns, left}, {x}, {y});
  launch.choices[0]->grid[1] = tall;
  b.output("y", y);
  return b;
}

TEST_P(Clusters, TensorMapsOfAnyShape) {
  for (int64_t skipped : {0, 4}) {
    LoadedModel loaded = loadGrid(copyBoxes(skipped));
    // A shape comes again, elsewhere and after others.
    for (auto [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{
             {8, 16}, {3, 8}, {21, 40}, {8, 16}, {0, 16}, {21, 40}}) {
      Tensor<float> x = {{rows, columns}, {}};
      for (int64_t i = 0; i < rows * columns; ++i)
        x.data.push_back(static_cast<float>(i + 1));
      std::vector<float> boxes;
      int64_t tall = (rows + 7) / 8, wide = (columns + 15) / 16;
      for (int64_t i = 0; i < tall * wide * 128; ++i) {
        int64_t box = i / 128, row = box / wide * 8 + i % 128 / 16;
        int64_t column = box % wide * 16 + i % 16 + skipped;
        bool isInside = row < rows && column < columns;
        boxes.push_back(isInside ? x.data[size_t(row * columns + column)]
                                 : 0.f);
      }
      ResultsPtr results = runModel(loaded, {x.view()});
      ASSERT_TRUE(results);
      EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)), boxes)
          << rows << " x " << columns;
    }
  }
}

TEST_P(Clusters, TensorMapsThatCannotBe) {
  auto refuse = [&](TestBundle b, int64_t rows, int64_t columns) {
    Tensor<float> x = {{rows, columns},
                       std::vector<float>(size_t(rows * columns))};
    std::string text = runMessage(loadGrid(std::move(b)), {x.view()});
    return text.substr(text.find("tensor map"));
  };
  EXPECT_EQ(refuse(copyBoxes(0), 3, 10),
            "tensor map 0: a stride of 40 bytes is no multiple of 16");
  std::string text = refuse(copyBoxes(2), 3, 16);
  EXPECT_EQ(text.substr(0, 29), "tensor map 0: it begins at 0x");
  EXPECT_EQ(refuse(copyBoxes(20), 3, 16),
            "tensor map 0: a size of 1 * -4 * 1 is not between 0 and "
            "4294967296");
  TestBundle b = copyBoxes(0);
  b.variant().kernels[0]->maps[0]->sizes[1] = {2, 0};
  EXPECT_EQ(refuse(std::move(b), 3, 16),
            "tensor map 0: it ends at byte 384 of a buffer of 192");
}

std::string nameMachine(const testing::TestParamInfo<Machine> &info) {
  return info.param.device;
}

INSTANTIATE_TEST_SUITE_P(Devices, Grids, testing::ValuesIn(getMachines()),
                         nameMachine);
INSTANTIATE_TEST_SUITE_P(Devices, Clusters, testing::ValuesIn(getMachines()),
                         nameMachine);

} // namespace
} // namespace lathe::test
