// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes a small bundle for tests that have no compiler at hand:
// y = x + x over f32 [n, 3].

#include "TestBundle.h"

#include <fstream>

using namespace lathe::test;
using lathe::bundle::DType;
using lathe::bundle::ExprOp;

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  TestBundle b;
  int32_t n = b.symbol("n"), three = b.constant(3);
  int32_t count = b.binary(ExprOp::Mul, n, three);
  uint32_t x = b.input("x", DType::F32, {n, three});
  uint32_t y = b.transient(DType::F32, {n, three});
  b.launch(b.kernel("add", 3, 1),
           b.binary(ExprOp::CeilDiv, count, b.constant(16)), {count}, {x, x},
           {y});
  b.output("y", y);
  Bytes bytes = b.write();
  std::ofstream file(argv[1], std::ios::binary);
  file.write(reinterpret_cast<const char *>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return file.good() ? 0 : 1;
}
