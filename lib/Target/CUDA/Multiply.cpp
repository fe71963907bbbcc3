// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products by multiply and add (those of f32 are exact so, and what is not deep
// enough for tensor cores): both operands are at home in shared memory, k
// outermost, and each thread has a block of sums.

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/Float8.h"
#include <numeric>

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// Steps of k that are written out, of as many as there are or of a loop.
static constexpr int64_t kUnrolled = 32, kUnrolledInLoop = 8;

/// An operand's element in the type of the sums.
static Value widen(ImplicitLocOpBuilder &b, Value value, Type to,
                   bool isUnsigned) {
  if (value.getType() == to)
    return value;
  if (isFloat8(value.getType()))
    return widenFloat8(b, value);
  if (isa<FloatType>(to))
    return arith::ExtFOp::create(b, to, value);
  if (isUnsigned)
    return arith::ExtUIOp::create(b, to, value);
  return arith::ExtSIOp::create(b, to, value);
}

/// Adds the products of `count` k from `k` on (a number of bytes of neither
/// operand: an index; null for zero).
Registers Emitter::multiplyAdd(tile::MmaOp op, const LinearLayout &layout,
                               const Home &a, const Home &c, Value k,
                               int64_t count, Registers sums) {
  SmallVector<int64_t> rowOf, columnOf;
  LinearLayout rows = layout.project({0}).withoutRepeatedRegisters(rowOf);
  LinearLayout columns = layout.project({1}).withoutRepeatedRegisters(columnOf);
  Type element = cast<RankedTensorType>(op.getType()).getElementType();
  Type operand = op.getA().getType().getElementType();
  auto read = [&](const Home &home, unsigned kDim, const LinearLayout &its,
                  int64_t step, bool isUnsigned) {
    int64_t bytes = home.element.getIntOrFloatBitWidth() / 8;
    int64_t stride = home.strides[kDim] * bytes;
    Home line{home.offset + step * stride, home.element, {1}, home.base};
    Value at = k ? indexValue(mul({k, 0}, {{}, stride})) : Value();
    Registers values = readHome(line, its, at);
    for (Value &value : values)
      value = widen(b, fromMemory(value, operand), element, isUnsigned);
    return values;
  };
  for (int64_t step = 0; step < count; ++step) {
    Registers x = read(a, 1, rows, step, op.getUnsignedA());
    Registers y = read(c, 0, columns, step, op.getUnsignedB());
    for (auto [reg, sum] : llvm::enumerate(sums)) {
      Value left = x[rowOf[reg]], right = y[columnOf[reg]];
      if (isa<FloatType>(element))
        sum = math::FmaOp::create(b, left, right, sum);
      else
        sum = arith::AddIOp::create(b, sum,
                                    arith::MulIOp::create(b, left, right));
    }
  }
  return sums;
}

LogicalResult Emitter::emitMma(tile::MmaOp op) {
  if (auto kind = getMatrixKind(op))
    return emitFragments(op, *kind);
  auto type = cast<RankedTensorType>(op.getType());
  int64_t depth = cast<RankedTensorType>(op.getA().getType()).getDimSize(1);
  SmallVector<int64_t> source;
  LinearLayout layout =
      getOuterProduct(type.getShape(), warps).withoutRepeatedRegisters(source);
  Registers sums = get(op.getAcc(), layout);
  Mark mark = getMark();
  Home a = getHome(op.getA(), {1, 0}), c = getHome(op.getB(), {0, 1});
  int64_t count = depth <= kUnrolled ? depth : std::gcd(depth, kUnrolledInLoop);
  if (count == depth) {
    sums = multiplyAdd(op, layout, a, c, Value(), count, sums);
  } else {
    beforeRead();
    auto loop = scf::ForOp::create(b, index(0), index(depth), index(count),
                                   ValueRange(sums));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    sums = multiplyAdd(op, layout, a, c, loop.getInductionVar(), count,
                       Registers(loop.getRegionIterArgs()));
    scf::YieldOp::create(b, sums);
    sums = Registers(loop.getResults());
  }
  release(mark);
  anchor(op.getResult(), layout, sums);
  return success();
}
