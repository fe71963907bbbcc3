// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/Coord.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;

Value CoordEmitter::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

Value CoordEmitter::indexValue(Coord coord) {
  if (coord.isStatic())
    return index(coord.offset);
  if (coord.offset == 0)
    return coord.base;
  return arith::AddIOp::create(b, coord.base, index(coord.offset));
}

Coord CoordEmitter::add(Coord x, Coord y) {
  if (!x.base || !y.base)
    return {x.base ? x.base : y.base, x.offset + y.offset};
  return {b.createOrFold<arith::AddIOp>(x.base, y.base), x.offset + y.offset};
}

Coord CoordEmitter::mul(Coord x, Coord y) {
  if (x.isStatic())
    std::swap(x, y);
  if (!y.isStatic())
    return {arith::MulIOp::create(b, indexValue(x), indexValue(y)), 0};
  if (x.isStatic() || y.offset == 0)
    return {Value(), x.offset * y.offset};
  if (y.offset == 1)
    return x;
  return {arith::MulIOp::create(b, x.base, index(y.offset)),
          x.offset * y.offset};
}

Coord CoordEmitter::coordOf(Value scalar) {
  if (std::optional<int64_t> constant = getConstantIntValue(scalar))
    return {Value(), *constant};
  return {mapping.lookup(scalar), 0};
}

Coord CoordEmitter::coordOf(OpFoldResult scalar) {
  if (std::optional<int64_t> constant = getConstantIntValue(scalar))
    return {Value(), *constant};
  return coordOf(cast<Value>(scalar));
}
