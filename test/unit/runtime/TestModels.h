// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Models that several tests run.

#ifndef LATHE_TEST_UNIT_RUNTIME_TESTMODELS_H
#define LATHE_TEST_UNIT_RUNTIME_TESTMODELS_H

#include "TestBundle.h"

#include <gtest/gtest.h>
#include <numeric>

namespace lathe::test {

/// y = (x + other) * 3 over [n, 5], both inputs.
inline TestBundle addAndScale() {
  TestBundle b;
  int32_t n = b.symbol("n"), five = b.constant(5);
  int32_t count = b.binary(bundle::ExprOp::Mul, n, five);
  int32_t programs = b.binary(bundle::ExprOp::CeilDiv, count, b.constant(16));
  uint32_t x = b.input("x", bundle::DType::F32, {n, five});
  uint32_t other = b.input("other", bundle::DType::F32, {n, five});
  uint32_t sum = b.transient(bundle::DType::F32, {n, five});
  uint32_t y = b.transient(bundle::DType::F32, {n, five});
  uint32_t add = b.kernel("add", 3, 1), scale = b.kernel("scale", 2, 2);
  b.launch(add, programs, {count}, {x, other}, {sum}, "add");
  b.launch(scale, programs, {count, b.constant(3)}, {sum}, {y}, "scale");
  b.output("y", y);
  return b;
}

/// sum = x + x over [n, 4]; `rows` = sum flat, `tail` = its last 4 elements.
inline TestBundle partsOfBuffers() {
  using bundle::DType;
  using bundle::ExprOp;
  TestBundle b;
  int32_t n = b.symbol("n"), four = b.constant(4);
  int32_t count = b.binary(ExprOp::Mul, n, four);
  int32_t start = b.binary(ExprOp::Add, count, b.constant(-4));
  int32_t programs = b.binary(ExprOp::CeilDiv, count, b.constant(16));
  uint32_t x = b.input("x", DType::F32, {n, four});
  uint32_t sum = b.transient(DType::F32, {n, four});
  uint32_t rows = b.alias(sum, DType::F32, {count});
  uint32_t tail = b.alias(rows, DType::F32, {four}, start);
  b.launch(b.kernel("add", 3, 1), programs, {count}, {x, x}, {sum});
  b.output("tail", tail);
  b.output("sum", sum);
  b.output("rows", rows);
  b.output("x", x);
  return b;
}

/// z = iota(sizes[1]); where = nonzero(z), by the host: its size decides that
/// of the output.
inline TestBundle sizesFromData() {
  using bundle::DType;
  TestBundle b;
  int32_t k = b.constant(2);
  uint32_t sizes = b.input("sizes", DType::I64, {k});
  int32_t count = b.symbol("count"), found = b.symbol("found");
  int32_t programs = b.binary(bundle::ExprOp::CeilDiv, count, b.constant(16));
  uint32_t z = b.transient(DType::I64, {count});
  uint32_t where = b.transient(DType::I64, {b.constant(1), found});
  b.bind(0, sizes, 1);
  b.launch(b.kernel("iota", 1, 1), programs, {count}, {}, {z});
  b.builtin("nonzero", {z}, {where}, {1});
  b.output("z", z);
  b.output("where", where);
  return b;
}

/// y = x + (10, 20, 30, 40), a constant: buffer 1.
inline TestBundle addConstant() {
  using bundle::DType;
  TestBundle b;
  int32_t four = b.constant(4);
  uint32_t x = b.input("x", DType::F32, {four});
  float values[4] = {10, 20, 30, 40};
  uint32_t w = b.weight(DType::F32, {four}, values, sizeof(values));
  uint32_t y = b.transient(DType::F32, {four});
  b.launch(b.kernel("add", 3, 1), b.constant(1), {four}, {x, w}, {y});
  b.output("y", y);
  return b;
}

/// Branches and a loop over x [n]: `y` is x times 2 if `flag`, else times 3;
/// `sum` and `all` are what `count` steps of sum += x make of 0, and its values
/// before each step. The loop ends after 6 steps.
inline TestBundle branchAndLoop() {
  using bundle::DType;
  using bundle::ExprOp;
  TestBundle b;
  int32_t n = b.symbol("n"), taken = b.symbol("taken"), k = b.symbol("k");
  uint32_t x = b.input("x", DType::F32, {n});
  uint32_t flag = b.input("flag", DType::Bool, {});
  uint32_t count = b.input("count", DType::I64, {});
  uint32_t zero = b.transient(DType::F32, {n});
  uint32_t y = b.transient(DType::F32, {n}), sum = b.transient(DType::F32, {n});
  uint32_t all = b.transient(DType::F32, {k, n});
  uint32_t scale = b.kernel("scale", 2, 2), add = b.kernel("add", 3, 1);
  uint32_t below = b.kernel("below", 2, 1);
  int32_t programs = b.binary(ExprOp::CeilDiv, n, b.constant(16));
  b.bind(1, flag, 0);
  b.call({{1, {b.binary(ExprOp::Add, taken, b.constant(-1))}}, {2, {}}}, {n},
         {x}, {y});
  b.launch(scale, programs, {n, b.constant(0)}, {x}, {zero}, "zero");
  b.loop(3, {n}, {zero}, {x}, {sum, all}, {2}).count = count;
  b.output("y", y);
  b.output("sum", sum);
  b.output("all", all);
  auto beginBranch = [&](int64_t factor) {
    b.beginEntry(1);
    int32_t m = b.symbol("n");
    uint32_t in = b.input("in", DType::F32, {m});
    uint32_t out = b.transient(DType::F32, {m});
    b.launch(scale, b.binary(ExprOp::CeilDiv, m, b.constant(16)),
             {m, b.constant(factor)}, {in}, {out}, "times");
    b.output("out", out);
  };
  beginBranch(2);
  beginBranch(3);
  b.beginEntry(1);
  int32_t m = b.symbol("n"), one = b.constant(1);
  int32_t blocks = b.binary(ExprOp::CeilDiv, m, b.constant(16));
  uint32_t number = b.input("number", DType::I64, {});
  uint32_t before = b.input("before", DType::F32, {m});
  uint32_t step = b.input("step", DType::F32, {m});
  uint32_t goOn = b.transient(DType::Bool, {});
  uint32_t after = b.transient(DType::F32, {m});
  uint32_t kept = b.transient(DType::F32, {m});
  b.launch(below, one, {b.constant(6)}, {number}, {goOn}, "go on");
  b.launch(add, blocks, {m}, {before, step}, {after}, "step");
  b.launch(scale, blocks, {m, one}, {before}, {kept}, "keep");
  b.output("go_on", goOn);
  b.output("after", after);
  b.output("kept", kept);
  b.current = 0;
  return b;
}

inline Tensor<float> ramp(int64_t n, float first) {
  Tensor<float> tensor = {{n, 5}, std::vector<float>(size_t(n * 5))};
  std::iota(tensor.data.begin(), tensor.data.end(), first);
  return tensor;
}

inline std::vector<float> expected(const Tensor<float> &x,
                                   const Tensor<float> &y) {
  std::vector<float> result;
  for (size_t i = 0; i < x.data.size(); ++i)
    result.push_back((x.data[i] + y.data[i]) * 3);
  return result;
}

/// The message of a run of the model, whose results are thrown away.
inline std::string runMessage(const LoadedModel &loaded,
                              std::vector<lathe_tensor_t> inputs) {
  lathe_results_t *raw = nullptr;
  std::string message = take(lathe_model_run(
      loaded.model.get(), nullptr, inputs.size(), inputs.data(), &raw));
  lathe_results_destroy(raw);
  return message;
}

inline ResultsPtr runModel(const LoadedModel &loaded,
                           std::vector<lathe_tensor_t> inputs) {
  lathe_results_t *raw = nullptr;
  EXPECT_EQ(take(lathe_model_run(loaded.model.get(), nullptr, inputs.size(),
                                 inputs.data(), &raw)),
            "");
  return ResultsPtr(raw);
}

} // namespace lathe::test

#endif // LATHE_TEST_UNIT_RUNTIME_TESTMODELS_H
