// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shape functions of the ops that move data.

#include "dialects/Graph/IR/ShapeFunctions.h"

using namespace mlir;
using namespace lathe::graph;

//===-- Static forms ------------------------------------------------------===//

LogicalResult ReshapeOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                   SmallVectorImpl<Dims> &results) {
  Dims sizes = getSizes(getShape());
  if (failed(unifySizes(*this, scope, getProduct(getContext(), operands[0]),
                        getProduct(getContext(), sizes),
                        "the input and the result (in elements)")))
    return failure();
  results.push_back(std::move(sizes));
  return success();
}

/// Whether `sizes` is what the broadcast of `input` gives: the result cannot
/// be smaller.
static LogicalResult checkBroadcast(Operation *op, ShapeScope &scope,
                                    ArrayRef<AffineExpr> input,
                                    ArrayRef<AffineExpr> sizes) {
  if (sizes.size() < input.size())
    return op->emitOpError("cannot broadcast rank ")
           << input.size() << " to rank " << sizes.size();
  Dims joined;
  if (failed(broadcastDims(op, scope, input, sizes, joined)))
    return failure();
  for (auto [i, size] : llvm::enumerate(sizes))
    if (!mayBeEqual(joined[i], size))
      return op->emitOpError("cannot broadcast dim ")
             << i << " from " << toString(joined[i]) << " to "
             << toString(size);
  return success();
}

LogicalResult BroadcastOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                     SmallVectorImpl<Dims> &results) {
  results.push_back(getSizes(getShape()));
  return checkBroadcast(*this, scope, operands[0], results.back());
}

LogicalResult TransposeOp::inferDims(ShapeScope &, ArrayRef<Dims> operands,
                                     SmallVectorImpl<Dims> &results) {
  size_t rank = operands[0].size();
  SmallVector<bool> seen(rank, false);
  bool valid = getPermutation().size() == rank;
  Dims dims;
  for (int64_t axis : getPermutation()) {
    valid =
        valid && axis >= 0 && axis < static_cast<int64_t>(rank) && !seen[axis];
    if (!valid)
      break;
    seen[axis] = true;
    dims.push_back(operands[0][axis]);
  }
  if (!valid)
    return emitOpError("permutation [")
           << getPermutation() << "] is not one of 0 to "
           << static_cast<int64_t>(rank) - 1;
  results.push_back(std::move(dims));
  return success();
}

LogicalResult PitchOp::inferDims(ShapeScope &, ArrayRef<Dims> operands,
                                 SmallVectorImpl<Dims> &results) {
  Dims dims = operands[0];
  auto row = dims.empty() ? nullptr : dyn_cast<AffineConstantExpr>(dims.back());
  if (!row || row.getValue() > static_cast<int64_t>(getLength()))
    return emitOpError("needs rows of at most ")
           << getLength() << " elements, a number that is known, got "
           << getInput().getType();
  dims.back() = getAffineConstantExpr(getLength(), getContext());
  results.push_back(std::move(dims));
  return success();
}

LogicalResult SliceOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                 SmallVectorImpl<Dims> &results) {
  const Dims &input = operands[0];
  Dims starts = graph::getSizes(getStarts()),
       sizes = graph::getSizes(getSizes());
  if (starts.size() != input.size() || sizes.size() != input.size() ||
      getSteps().size() != input.size())
    return emitOpError("needs a start, a size and a step for each of the ")
           << input.size() << " dims, got " << starts.size() << ", "
           << sizes.size() << " and " << getSteps().size();
  for (auto [i, step] : llvm::enumerate(getSteps())) {
    if (step == 0)
      return emitOpError("step of dim ") << i << " must not be 0";
    auto size = dyn_cast<AffineConstantExpr>(sizes[i]);
    if (size && size.getValue() == 0)
      continue;
    AffineExpr last = starts[i] + (sizes[i] - 1) * step;
    AffineExpr low = canonicalizeSize(step > 0 ? starts[i] : last);
    AffineExpr high = canonicalizeSize(step > 0 ? last : starts[i]);
    for (AffineExpr room : {low, canonicalizeSize(input[i] - 1 - high)}) {
      auto known = dyn_cast<AffineConstantExpr>(room);
      if (known && known.getValue() < 0)
        return emitOpError("dim ") << i << " has size " << toString(input[i])
                                   << "; the window is from " << toString(low)
                                   << " to " << toString(high);
      // Starts are clamped, so an empty window satisfies this as well: its
      // last position lies one step before its first.
      if (!known && !isSizeAtLeast(room, 0))
        scope.requireNonNegative(
            room,
            ("graph.slice: the window must lie in dim " + Twine(i)).str());
    }
  }
  results.push_back(std::move(sizes));
  return success();
}

LogicalResult ConcatOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                  SmallVectorImpl<Dims> &results) {
  if (operands.empty())
    return emitOpError("needs at least one input");
  Dims dims = operands[0];
  int64_t axis = getAxis();
  if (failed(checkAxis(*this, axis, dims.size())))
    return failure();
  for (unsigned i = 1; i < operands.size(); ++i) {
    if (failed(checkRank(*this, i, operands, dims.size())))
      return failure();
    for (auto [j, size] : llvm::enumerate(operands[i])) {
      if (static_cast<int64_t>(j) == axis) {
        dims[j] = canonicalizeSize(dims[j] + size);
        continue;
      }
      FailureOr<AffineExpr> same =
          unifySizes(*this, scope, dims[j], size,
                     "dim " + Twine(j) + " of operands 0 and " + Twine(i));
      if (failed(same))
        return failure();
      dims[j] = *same;
    }
  }
  results.push_back(std::move(dims));
  return success();
}

LogicalResult PadOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                               SmallVectorImpl<Dims> &results) {
  Dims dims = operands[0];
  if (getLow().size() != dims.size() || getHigh().size() != dims.size())
    return emitOpError("needs a low and a high count for each of the ")
           << dims.size() << " dims, got " << getLow().size() << " and "
           << getHigh().size();
  for (auto [i, dim] : llvm::enumerate(dims)) {
    // What is repeated must be there; the mirror does not repeat the border.
    int64_t most = std::max(getLow()[i], getHigh()[i]);
    int64_t needed = getMode() == PadMode::reflect ? most + 1
                     : getMode() == PadMode::edge  ? 1
                                                   : most;
    if (getMode() != PadMode::constant && most > 0)
      scope.requireNonNegative(canonicalizeSize(dim - needed),
                               "pad: a dim is too short for what is repeated");
    AffineExpr padded = canonicalizeSize(dim + (getLow()[i] + getHigh()[i]));
    auto known = dyn_cast<AffineConstantExpr>(padded);
    if (known && known.getValue() < 0)
      return emitOpError("removes ")
             << -(getLow()[i] + getHigh()[i]) << " elements from dim " << i
             << " of size " << toString(dim);
    dim = padded;
  }
  results.push_back(std::move(dims));
  return success();
}

LogicalResult IotaOp::inferDims(ShapeScope &, ArrayRef<Dims>,
                                SmallVectorImpl<Dims> &results) {
  results.push_back(getSizes(getSize()));
  if (results.back().size() != 1)
    return emitOpError("'size' must have one result, got ")
           << results.back().size();
  return success();
}

//===-- Gather and scatter ------------------------------------------------===//

/// Nothing can be taken from a dim of size 0: a kernel has no way to fail.
static void requireSource(ShapeScope &scope, AffineExpr size,
                          ArrayRef<AffineExpr> result) {
  AffineExpr elements = getProduct(size.getContext(), result);
  scope.requireNonNegative(canonicalizeSize(elements * (size - 1)),
                           "a gather takes elements of a dim of size 0");
}

/// Indices with a dim of their own for each dim of `input` stay inside of it.
static void requireInside(ShapeScope &scope, ArrayRef<AffineExpr> input,
                          ArrayRef<AffineExpr> indices, size_t axis) {
  for (auto [i, have, wanted] : llvm::enumerate(input, indices))
    if (i != axis)
      scope.requireNonNegative(
          canonicalizeSize(have - wanted),
          "dim " + std::to_string(i) +
              " of the indices is larger than the input's");
}

LogicalResult GatherOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                  SmallVectorImpl<Dims> &results) {
  const Dims &input = operands[0];
  int64_t axis = getAxis();
  if (failed(checkAxis(*this, axis, input.size())))
    return failure();
  Dims dims(input.begin(), input.begin() + axis);
  llvm::append_range(dims, operands[1]);
  dims.append(input.begin() + axis + 1, input.end());
  requireSource(scope, input[axis], dims);
  results.push_back(std::move(dims));
  return success();
}

LogicalResult GatherElementsOp::inferDims(ShapeScope &scope,
                                          ArrayRef<Dims> operands,
                                          SmallVectorImpl<Dims> &results) {
  results.push_back(operands[1]);
  if (failed(checkRank(*this, 1, operands, operands[0].size())) ||
      failed(checkAxis(*this, getAxis(), operands[0].size())))
    return failure();
  requireSource(scope, operands[0][getAxis()], operands[1]);
  requireInside(scope, operands[0], operands[1], getAxis());
  return success();
}

/// The number of dims that the index tuples in `indices` address.
static FailureOr<int64_t>
getTupleSize(Operation *op, ArrayRef<AffineExpr> indices, int64_t available) {
  auto size = indices.empty() ? AffineConstantExpr()
                              : dyn_cast<AffineConstantExpr>(indices.back());
  if (!size)
    return op->emitOpError("the last dim of operand 1, the size of an index "
                           "tuple, must be static");
  if (size.getValue() < 0 || size.getValue() > available)
    return op->emitOpError("index tuples of ")
           << size.getValue() << " address more than the " << available
           << " dims of operand 0";
  return size.getValue();
}

LogicalResult GatherNdOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                    SmallVectorImpl<Dims> &results) {
  const Dims &input = operands[0], &indices = operands[1];
  int64_t batch = getBatchDims();
  if (batch < 0 || batch >= static_cast<int64_t>(indices.size()))
    return emitOpError("batch_dims ")
           << batch << " must be less than the rank of the indices";
  FailureOr<int64_t> tuple =
      getTupleSize(*this, indices, static_cast<int64_t>(input.size()) - batch);
  if (failed(tuple))
    return failure();
  Dims dims(indices.begin(), indices.end() - 1);
  dims.append(input.begin() + batch + *tuple, input.end());
  for (int64_t i = batch; i < batch + *tuple; ++i)
    requireSource(scope, input[i], dims);
  results.push_back(std::move(dims));
  return success();
}

LogicalResult ScatterElementsOp::inferDims(ShapeScope &scope,
                                           ArrayRef<Dims> operands,
                                           SmallVectorImpl<Dims> &results) {
  results.push_back(operands[0]);
  for (unsigned i : {1, 2})
    if (failed(checkRank(*this, i, operands, operands[0].size())))
      return failure();
  for (auto [i, size] : llvm::enumerate(operands[1]))
    if (failed(unifySizes(*this, scope, size, operands[2][i],
                          "dim " + Twine(i) + " of indices and updates")))
      return failure();
  if (failed(checkAxis(*this, getAxis(), operands[0].size())))
    return failure();
  requireInside(scope, operands[0], operands[1], getAxis());
  return success();
}

LogicalResult ScatterNdOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                     SmallVectorImpl<Dims> &results) {
  results.push_back(operands[0]);
  FailureOr<int64_t> tuple =
      getTupleSize(*this, operands[1], operands[0].size());
  if (failed(tuple))
    return failure();
  Dims updated(operands[1].begin(), operands[1].end() - 1);
  updated.append(operands[0].begin() + *tuple, operands[0].end());
  if (failed(checkRank(*this, 2, operands, updated.size())))
    return failure();
  for (auto [i, size] : llvm::enumerate(updated))
    if (failed(unifySizes(*this, scope, size, operands[2][i],
                          "dim " + Twine(i) + " of updates")))
      return failure();
  return success();
}
