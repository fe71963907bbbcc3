// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// make-bundle OUT.lathe [--foreign]: a bundle for the tests of the command
// line, which thus need no compiler.
//
//   sum    = x + y             f32[batch, n], two steps
//   ids    = ids               i64[batch, 2 * n], passed through
//   small  = small             bf16[n + 1]
//
// With --foreign its code is for a CPU that no one has.

#include "test/unit/runtime/TestBundle.h"

#include <cstdio>
#include <cstring>
#include <gtest/gtest.h>

using namespace lathe::test;
using lathe::bundle::DType;
using lathe::bundle::ExprOp;

int main(int argc, char **argv) {
  if (argc < 2)
    return 2;
  TestBundle bundle;
  int32_t batch = bundle.symbol("batch"), n = bundle.symbol("n");
  int32_t one = bundle.constant(1), two = bundle.constant(2);
  int32_t total = bundle.binary(ExprOp::Mul, batch, n);
  int32_t programs = bundle.binary(ExprOp::CeilDiv, total, bundle.constant(16));
  uint32_t x = bundle.input("x", DType::F32, {batch, n});
  uint32_t y = bundle.input("y", DType::F32, {batch, n});
  uint32_t ids = bundle.input("ids", DType::I64,
                              {batch, bundle.binary(ExprOp::Mul, n, two)});
  uint32_t small =
      bundle.input("small", DType::BF16, {bundle.binary(ExprOp::Add, n, one)});
  uint32_t scaled = bundle.transient(DType::F32, {batch, n});
  uint32_t sum = bundle.transient(DType::F32, {batch, n});
  bundle.launch(bundle.kernel("scale", 2, 2), programs, {total, one}, {x},
                {scaled}, "layer0/Scale");
  auto &add = bundle.launch(bundle.kernel("add", 3, 1), programs, {total},
                            {scaled, y}, {sum}, "layer0/Add");
  add.flops = total;
  bundle.output("sum", sum);
  bundle.output("ids", ids);
  bundle.output("small", small);
  if (argc > 2 && !std::strcmp(argv[2], "--foreign"))
    bundle.variant().features = {"no-such-feature"};

  Bytes bytes = bundle.write();
  FILE *file = std::fopen(argv[1], "wb");
  if (!file || bytes.empty())
    return 1;
  bool good = std::fwrite(bytes.data(), bytes.size(), 1, file) == 1;
  return std::fclose(file) == 0 && good ? 0 : 1;
}
