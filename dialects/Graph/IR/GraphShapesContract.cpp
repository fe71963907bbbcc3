// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shape functions of contractions, convolutions, attention, built-ins, groups.

#include "dialects/Graph/IR/ShapeFunctions.h"

using namespace mlir;
using namespace lathe::graph;

LogicalResult MatmulOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                  SmallVectorImpl<Dims> &results) {
  Dims lhs = operands[0], rhs = operands[1];
  if (lhs.empty() || rhs.empty())
    return emitOpError("operands must have at least rank 1, got ")
           << lhs.size() << " and " << rhs.size();
  AffineExpr one = getAffineConstantExpr(1, getContext());
  bool isRow = lhs.size() == 1, isColumn = rhs.size() == 1;
  if (isRow)
    lhs.insert(lhs.begin(), one);
  if (isColumn)
    rhs.push_back(one);
  if (failed(unifySizes(*this, scope, lhs.back(), rhs[rhs.size() - 2],
                        "the contracted dims (last of operand 0, last but one "
                        "of operand 1)")))
    return failure();
  AffineExpr rows = lhs[lhs.size() - 2], columns = rhs.back();
  Dims dims;
  if (failed(broadcastDims(*this, scope, ArrayRef(lhs).drop_back(2),
                           ArrayRef(rhs).drop_back(2), dims)))
    return failure();
  if (!isRow)
    dims.push_back(rows);
  if (!isColumn)
    dims.push_back(columns);
  results.push_back(std::move(dims));
  return success();
}

LogicalResult ContractOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                    SmallVectorImpl<Dims> &results) {
  Dims dims = operands[0];
  if (dims.empty() || operands.size() < 2)
    return emitOpError("needs an input of at least rank 1 and one weight");
  AffineExpr columns;
  for (size_t i = 1; i < operands.size(); ++i) {
    if (failed(checkRank(*this, i, operands, 2)) ||
        failed(unifySizes(*this, scope, dims.back(), operands[i][0],
                          "K of the input and of weight " + Twine(i - 1))))
      return failure();
    FailureOr<AffineExpr> size =
        unifySizes(*this, scope, columns ? columns : operands[i][1],
                   operands[i][1], "N of all weights");
    if (failed(size))
      return failure();
    columns = *size;
  }
  dims.back() = columns;
  results.push_back(std::move(dims));
  return success();
}

namespace {
/// The windows of a convolution or a pool along its spatial dims.
struct Windows {
  ArrayRef<int64_t> strides, dilations, pads;
  bool ceil = false;

  LogicalResult verify(Operation *op, size_t spatial) const;
  /// How many windows there are; an error at `op` if not one of them fits.
  FailureOr<AffineExpr> getCount(Operation *op, size_t dim, AffineExpr input,
                                 AffineExpr kernel) const;
};
} // namespace

LogicalResult Windows::verify(Operation *op, size_t spatial) const {
  if (strides.size() != spatial || dilations.size() != spatial ||
      pads.size() != 2 * spatial)
    return op->emitOpError("needs a stride and a dilation for each of the ")
           << spatial << " spatial dims, and two pads, got " << strides.size()
           << ", " << dilations.size() << " and " << pads.size();
  for (ArrayRef<int64_t> steps : {strides, dilations})
    for (int64_t step : steps)
      if (step <= 0)
        return op->emitOpError("strides and dilations must be positive, got ")
               << step;
  return success();
}

FailureOr<AffineExpr> Windows::getCount(Operation *op, size_t dim,
                                        AffineExpr input,
                                        AffineExpr kernel) const {
  int64_t low = pads[dim], high = pads[dim + pads.size() / 2];
  AffineExpr span = input + (low + high) - (kernel - 1) * dilations[dim] - 1;
  AffineExpr count =
      (ceil ? span.ceilDiv(strides[dim]) : span.floorDiv(strides[dim])) + 1;
  count = canonicalizeSize(count);
  // A window of a rounded-up count must not start in the high padding.
  auto known = dyn_cast<AffineConstantExpr>(count);
  auto size = dyn_cast<AffineConstantExpr>(input);
  if (known && known.getValue() < 0)
    return op->emitOpError("windows of ")
           << toString(kernel) << " elements, dilated by " << dilations[dim]
           << ", are larger than spatial dim " << dim << " of size "
           << toString(input) << " with its padding";
  if (ceil && known && size &&
      (known.getValue() - 1) * strides[dim] >= size.getValue() + low)
    return count - 1;
  return count;
}

LogicalResult ConvOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                SmallVectorImpl<Dims> &results) {
  const Dims &input = operands[0], &weight = operands[1];
  size_t rank = input.size();
  if (rank < 3)
    return emitOpError("operand 0 must have at least rank 3, got ") << rank;
  if (failed(checkRank(*this, 1, operands, rank)))
    return failure();
  Windows windows = {getStrides(), getDilations(), getPads()};
  if (failed(windows.verify(*this, rank - 2)))
    return failure();
  bool last = getChannelsLast();
  if (failed(unifySizes(*this, scope, input[last ? rank - 1 : 1],
                        weight[last ? rank - 2 : 1] *
                            static_cast<int64_t>(getGroups()),
                        "input channels and weight channels times groups")))
    return failure();
  AffineExpr channels = weight[last ? rank - 1 : 0];
  Dims dims = {input[0]};
  if (!last)
    dims.push_back(channels);
  for (size_t i = 0; i + 2 < rank; ++i) {
    auto count = windows.getCount(*this, i, input[i + (last ? 1 : 2)],
                                  weight[i + (last ? 0 : 2)]);
    if (failed(count))
      return failure();
    dims.push_back(*count);
  }
  if (last)
    dims.push_back(channels);
  results.push_back(std::move(dims));
  return success();
}

LogicalResult PoolOp::inferDims(ShapeScope &, ArrayRef<Dims> operands,
                                SmallVectorImpl<Dims> &results) {
  Dims dims = operands[0];
  if (dims.size() < 3 || getKernel().size() != dims.size() - 2)
    return emitOpError("needs an input of at least rank 3 and a kernel size "
                       "for each spatial dim, got rank ")
           << dims.size() << " and " << getKernel().size() << " sizes";
  Windows windows = {getStrides(), getDilations(), getPads(), getCeil()};
  if (failed(windows.verify(*this, dims.size() - 2)))
    return failure();
  size_t first = getChannelsLast() ? 1 : 2;
  for (auto [i, size] : llvm::enumerate(getKernel())) {
    auto count = windows.getCount(*this, i, dims[first + i],
                                  getAffineConstantExpr(size, getContext()));
    if (failed(count))
      return failure();
    dims[first + i] = *count;
  }
  results.push_back(std::move(dims));
  return success();
}

LogicalResult AttentionOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                     SmallVectorImpl<Dims> &results) {
  for (unsigned i = 0; i < 3; ++i)
    if (failed(checkRank(*this, i, operands, 4)))
      return failure();
  const Dims &query = operands[0], &key = operands[1], &value = operands[2];
  std::pair<StringRef, std::pair<AffineExpr, AffineExpr>> equal[] = {
      {"the batches of query and key", {query[0], key[0]}},
      {"the batches of query and value", {query[0], value[0]}},
      {"the heads of key and value", {key[1], value[1]}},
      {"the lengths of key and value", {key[2], value[2]}},
      {"the head sizes of query and key", {query[3], key[3]}}};
  for (auto &[what, sizes] : equal)
    if (failed(unifySizes(*this, scope, sizes.first, sizes.second, what)))
      return failure();
  auto heads = dyn_cast<AffineConstantExpr>(query[1]);
  auto kvHeads = dyn_cast<AffineConstantExpr>(key[1]);
  if (heads && kvHeads &&
      (kvHeads.getValue() == 0 || heads.getValue() % kvHeads.getValue() != 0))
    return emitOpError("the heads of the query must be a multiple of those of "
                       "the key, got ")
           << heads.getValue() << " and " << kvHeads.getValue();
  if (operands.size() > 3) {
    Dims scores = {query[0], query[1], query[2], key[2]}, joined;
    if (operands[3].size() > 4)
      return emitOpError("mask must have at most rank 4, got ")
             << operands[3].size();
    if (failed(broadcastDims(*this, scope, scores, operands[3], joined)))
      return failure();
  }
  results.push_back({query[0], query[1], query[2], value[3]});
  return success();
}

LogicalResult BuiltinOp::inferDims(ShapeScope &scope, ArrayRef<Dims>,
                                   SmallVectorImpl<Dims> &results) {
  unsigned fresh = 0;
  for (auto [i, type] : llvm::enumerate(getResultTypes())) {
    if (getShapes()) {
      results.push_back(
          getSizes(cast<AffineMapAttr>((*getShapes())[i]).getValue()));
      continue;
    }
    Dims &dims = results.emplace_back();
    for (int64_t size : cast<RankedTensorType>(type).getShape())
      dims.push_back(ShapedType::isDynamic(size)
                         ? scope.getFreshSymbol(*this, fresh++)
                         : getAffineConstantExpr(size, getContext()));
  }
  return success();
}

LogicalResult GroupOp::inferDims(ShapeScope &scope, ArrayRef<Dims> operands,
                                 SmallVectorImpl<Dims> &results) {
  Block &body = getBody().front();
  llvm::DenseMap<Value, Dims> known;
  for (auto [argument, dims] : llvm::zip_equal(body.getArguments(), operands))
    known[argument] = dims;
  auto lookUp = [&](ValueRange values) {
    return llvm::map_to_vector(values, [&](Value v) { return known[v]; });
  };
  for (Operation &op : body.without_terminator()) {
    SmallVector<Dims> inner;
    if (failed(cast<ShapeOpInterface>(op).inferDims(
            scope, lookUp(op.getOperands()), inner)))
      return failure();
    for (auto [value, dims] : llvm::zip_equal(op.getResults(), inner))
      known[value] = dims;
  }
  llvm::append_range(results, lookUp(body.getTerminator()->getOperands()));
  return success();
}
