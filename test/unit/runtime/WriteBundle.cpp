// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes a bundle for tests that have no compiler at hand:
//
//   write-test-bundle OUT.lathe               y = x + x over f32 [n, 3]
//   write-test-bundle OUT.lathe everything    something of everything
//   write-test-bundle OUT.lathe fake-gpu      y = x * 2^100 + w over f32 [n] by
//                                             101 launches on FakeDriver.h
//   write-test-bundle OUT.lathe fake-hip      the same for AMD
//   write-test-bundle OUT.lathe gpu           the same on a GPU, as PTX
//   write-test-bundle OUT.lathe gpu-overlap   the same, kernels overlap (9.0)

#include "FakeDriver.h"
#include "TestBundle.h"

#include <fstream>

using namespace lathe::test;
using lathe::bundle::DType;
using lathe::bundle::ExprOp;

static TestBundle makeSmall() {
  TestBundle b;
  int32_t n = b.symbol("n"), three = b.constant(3);
  int32_t count = b.binary(ExprOp::Mul, n, three);
  uint32_t x = b.input("x", DType::F32, {n, three});
  uint32_t y = b.transient(DType::F32, {n, three});
  b.launch(b.kernel("add", 3, 1),
           b.binary(ExprOp::CeilDiv, count, b.constant(16)), {count}, {x, x},
           {y});
  b.output("y", y);
  return b;
}

/// Steps, buffers, options and expressions of each kind, for lathe-fuzz.
static TestBundle makeEverything() {
  TestBundle b;
  int32_t n = b.symbol("n"), two = b.constant(2);
  int32_t found = b.symbol("found"), count = b.symbol("count");
  int32_t total = b.binary(ExprOp::Mul, n, two);
  int32_t programs = b.binary(ExprOp::CeilDiv, total, b.constant(16));
  uint32_t x = b.input("x", DType::F32, {n, two});
  uint32_t size = b.input("size", DType::I64, {two});
  float values[64] = {1, 2, 3};
  uint32_t w = b.weight(DType::F32, {b.constant(64)}, values, sizeof(values));
  uint32_t sum = b.transient(DType::F32, {n, two});
  uint32_t flat = b.alias(sum, DType::F32, {total}, b.constant(0));
  uint32_t where = b.transient(DType::I64, {two, found});
  uint32_t list = b.transient(DType::I64, {count});
  b.check({n, b.binary(ExprOp::Max, n, two)}, "n is fine");
  b.launch(b.kernel("add", 3, 1), programs, {total}, {x, x}, {sum}, "first");
  b.launch(b.kernel("scale", 2, 2), b.constant(1), {two, two}, {w}, {sum});
  auto &call = b.builtin("nonzero", {sum}, {where}, {1});
  setOption(call, "axis", int64_t(-1));
  setOption(call, "list", std::vector<int64_t>{1, 2});
  b.bind(2, size, 1);
  b.launch(b.kernel("iota", 1, 1),
           b.binary(ExprOp::CeilDiv, count, b.constant(16)), {count}, {},
           {list});
  b.output("flat", flat);
  b.output("where", where);
  b.output("list", list);
  b.variant().features = {"sse2"};
  return b;
}

static TestBundle makeForGpu(const Bytes &kernels, bool overlaps = false) {
  TestBundle b;
  int32_t n = b.symbol("n"), most = b.constant(1 << 20);
  int32_t programs = b.binary(ExprOp::CeilDiv, n, b.constant(16));
  uint32_t add = b.kernel("add", 3, 1);
  uint32_t from = b.input("x", DType::F32, {n});
  std::vector<float> ones(1 << 20, 1.f);
  uint32_t w = b.weight(DType::F32, {most}, ones.data(), ones.size() * 4);
  for (int i = 0; i < 100; ++i) {
    uint32_t to = b.transient(DType::F32, {n});
    b.launch(add, programs, {n}, {from, from}, {to},
             "double " + std::to_string(i));
    from = to;
  }
  uint32_t y = b.transient(DType::F32, {n});
  b.check(
      {b.binary(ExprOp::Add, most, b.binary(ExprOp::Mul, n, b.constant(-1)))},
      "n is at most 2^20");
  b.launch(add, programs, {n}, {from, w}, {y}, "add w");
  b.output("y", y);
  b.variant().target = "cuda";
  b.variant().level = "sm_80";
  b.variant().features = {"sm_80"};
  b.variant().kernels[0]->threads = 16;
  b.variant().kernels[0]->overlaps = overlaps;
  b.code = kernels;
  return b;
}

static TestBundle make(const std::string &what) {
  if (what == "everything")
    return makeEverything();
  if (what == "fake-gpu")
    return makeForGpu(fakeKernels());
  if (what == "fake-hip") {
    TestBundle b = makeForGpu(fakeKernels());
    b.variant().target = "rocm";
    b.variant().level = "gfx942";
    b.variant().features = {"gfx942"};
    return b;
  }
  if (what == "gpu")
    return makeForGpu(ptxKernels());
  if (what == "gpu-overlap")
    return makeForGpu(ptxGridKernels(), /*overlaps=*/true);
  return makeSmall();
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3)
    return 2;
  Bytes bytes = make(argc == 3 ? argv[2] : "").write();
  std::ofstream file(argv[1], std::ios::binary);
  file.write(reinterpret_cast<const char *>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return file.good() ? 0 : 1;
}
