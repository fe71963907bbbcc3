// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The copies of a program's body. Most programs lie inside their views: one
// test at the start, and the copy that runs has no masks. At the last rows of
// a matrix, copies with fewer rows compute only the rows that exist. And a
// program whose accumulators do not fit into registers runs as several.

#include "lib/Target/X86/Emitter.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// `value`, computed here and now although the body computes it later.
Value Emitter::scalarAhead(Value value) {
  if (mapping.contains(value))
    return mapping.lookup(value);
  Operation *op = value.getDefiningOp();
  IRMapping operands;
  for (Value operand : op->getOperands())
    operands.map(operand, scalarAhead(operand));
  return b.clone(*op, operands)
      ->getResult(cast<OpResult>(value).getResultNumber());
}

Coord Emitter::coordAhead(OpFoldResult value) {
  if (std::optional<int64_t> constant = constantOf(value))
    return {Value(), *constant};
  return {scalarAhead(cast<Value>(value)), 0};
}

/// Emits one copy of the body in a scope of its own.
LogicalResult Emitter::emitCopy() {
  MemoScope scope(*this);
  IRMapping outer = mapping;
  LogicalResult result = emitBlocked();
  mapping = outer;
  return result;
}

/// Emits copies for both outcomes of `condition`.
LogicalResult Emitter::emitChoice(Value condition,
                                  function_ref<LogicalResult()> whenTrue,
                                  function_ref<LogicalResult()> whenFalse) {
  auto branch = scf::IfOp::create(b, condition, static_cast<bool>(whenFalse));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  if (failed(whenTrue()))
    return failure();
  if (!whenFalse)
    return success();
  b.setInsertionPointToStart(branch.elseBlock());
  return whenFalse();
}

/// Whether the number of rows left decides the test.
static bool cutsRows(const BoundTest &test, const RowEdge &edge) {
  return test.index == edge.index && test.size == edge.size &&
         test.extent <= edge.rows;
}

LogicalResult Emitter::emitProgram() {
  MemoScope scope(*this);
  const std::optional<RowEdge> &edge = bounds.getRowEdge();
  if (!edge)
    return emitTested();

  for (const BoundTest &test : bounds.getTests())
    if (cutsRows(test, *edge))
      assumed.insert(test.bound);
  Coord start = coordAhead(edge->index), size = coordAhead(edge->size);
  Value left = arith::SubIOp::create(b, indexValue(size), indexValue(start));
  Value whole = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, left,
                                      index(edge->rows));
  return emitChoice(
      whole, [&] { return emitTested(); },
      [&] { return emitLastRows(*edge, left); });
}

/// Computes `left` rows, fewer than the tile has: for each power of two in
/// their number, a copy with as many rows. What is less than the rows of a
/// tile register takes a copy with masks.
LogicalResult Emitter::emitLastRows(const RowEdge &edge, Value left) {
  int64_t least = tileLoops.empty() ? 1 : kTileRows;
  for (int64_t rows = llvm::bit_floor<uint64_t>(edge.rows - 1); rows >= least;
       rows /= 2) {
    Value bit = arith::AndIOp::create(b, left, index(rows));
    Value present =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bit, index(0));
    Value before = arith::AndIOp::create(b, left, index(-2 * rows));
    LogicalResult result = emitChoice(
        present,
        [&] {
          cuts[edge.cls] = {rows, {before, 0}};
          LogicalResult copy = emitCopy();
          cuts.erase(edge.cls);
          return copy;
        },
        nullptr);
    if (failed(result))
      return failure();
  }
  if (least == 1)
    return success();
  Value bits = arith::AndIOp::create(b, left, index(least - 1));
  Value present =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bits, index(0));
  Value before = arith::SubIOp::create(b, left, bits);
  BoundSet outer = assumed;
  auto copy = [&] {
    for (const BoundTest &test : bounds.getTests())
      if (cutsRows(test, edge))
        assumed.erase(test.bound);
    cuts[edge.cls] = {least, {before, 0}};
    LogicalResult result = emitCopy();
    cuts.erase(edge.cls);
    return result;
  };
  LogicalResult result = emitChoice(present, copy, nullptr);
  assumed = outer;
  return result;
}

/// Emits the body without masks for programs that are inside every view, and
/// with them for the others.
LogicalResult Emitter::emitTested() {
  Value inside;
  SmallVector<Bound> tested;
  auto require = [&](arith::CmpIPredicate predicate, Value x, Value y) {
    Value holds = arith::CmpIOp::create(b, predicate, x, y);
    inside = inside ? Value(arith::AndIOp::create(b, inside, holds)) : holds;
  };
  for (const BoundTest &test : bounds.getTests()) {
    if (test.loop || assumed.contains(test.bound))
      continue;
    Value index = indexValue(coordAhead(test.index));
    Value end = arith::AddIOp::create(b, index, this->index(test.extent));
    require(arith::CmpIPredicate::sle, end, indexValue(coordAhead(test.size)));
    if (test.mayBeNegative)
      require(arith::CmpIPredicate::sge, index, this->index(0));
    tested.push_back(test.bound);
  }
  if (!inside)
    return emitCopy();
  return emitChoice(
      inside,
      [&] {
        assumed.insert(tested.begin(), tested.end());
        LogicalResult result = emitCopy();
        for (Bound bound : tested)
          assumed.erase(bound);
        return result;
      },
      [&] { return emitCopy(); });
}

//===----------------------------------------------------------------------===//
// Accumulators that do not fit
//===----------------------------------------------------------------------===//

/// The carried accumulators of the kernel, if every multiply has one and all
/// of them may be cut in rows and in columns; else none.
static SmallVector<tile::MmaOp> cuttableMmas(tile::KernelOp kernel,
                                             const DimClasses &classes) {
  SmallVector<tile::MmaOp> mmas;
  bool cuttable = true;
  kernel.walk([&](tile::MmaOp op) {
    mmas.push_back(op);
    Value result = op.getResult();
    cuttable &= isa<scf::ForOp>(op->getParentOp()) && op->hasOneUse() &&
                isa<scf::YieldOp>(*op->user_begin());
    for (unsigned dim : {0, 1}) {
      unsigned cls = classes.classOf(result, dim);
      cuttable &= classes.isCuttable(cls) &&
                  cls == classes.classOf(mmas[0].getResult(), dim);
    }
  });
  return cuttable ? mmas : SmallVector<tile::MmaOp>();
}

LogicalResult Emitter::emitBlocked() {
  SmallVector<tile::MmaOp> mmas = cuttableMmas(kernel, classes);
  if (mmas.empty() || !tileLoops.empty() || fitsRegisters(mmas[0].getResult()))
    return emitBlock(kernel.getBody().front());

  Value acc = mmas[0].getResult();
  SmallVector<int64_t> shape = shapeOf(acc);
  unsigned rowClass = classes.classOf(acc, 0);
  unsigned columnClass = classes.classOf(acc, 1);
  int64_t wide = unit.registers == 32 ? 4 : 2;
  int64_t columns =
      std::min<int64_t>(wide * unit.lanes, llvm::alignTo(shape[1], unit.lanes));
  int64_t rows =
      std::min<int64_t>(shape[0], unit.accumulators() * unit.lanes / columns);

  std::optional<Cut> outer;
  if (auto it = cuts.find(rowClass); it != cuts.end())
    outer = it->second;
  LogicalResult result = success();
  forEachBlock(shape[1], columns, 1, [&](Coord column, int64_t width) {
    cuts[columnClass] = {width, column};
    forEachBlock(shape[0], rows, 1, [&](Coord row, int64_t height) {
      cuts[rowClass] = {height, outer ? add(row, outer->start) : row};
      MemoScope scope(*this);
      if (succeeded(result))
        result = emitBlock(kernel.getBody().front());
    });
    cuts.erase(rowClass);
    if (outer)
      cuts[rowClass] = *outer;
  });
  cuts.erase(columnClass);
  return result;
}
