// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions, softmax, running sums.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "llvm/ADT/Sequence.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// What a Reduce op does around the plain reduction.
struct ReduceForm {
  Reduction kind;
  int axesInputSince; ///< The opset where axes became an input.
  Value (*before)(GraphBuilder &, Value);
  Value (*after)(GraphBuilder &, Value);
};

static Value square(GraphBuilder &b, Value x) { return b.mul(x, x); }
template <typename OpT> static Value apply(GraphBuilder &b, Value x) {
  return b.unary<OpT>(x);
}

/// The axes to reduce. With none given, all of them or, as the attribute
/// `noop_with_empty_axes` says, none.
static std::optional<SmallVector<int64_t>> getReducedAxes(NodeImporter &node,
                                                          int since) {
  int64_t rank = node.b.getRank(node.in(0));
  auto axes = node.getConstantOrAttr(1, "axes", since);
  if (node.wasRefused())
    return std::nullopt;
  bool keepAll =
      node.opset >= since && node.getInt("noop_with_empty_axes", 0) != 0;
  if (axes && !axes->empty())
    return node.getAxes(*axes, rank);
  if (keepAll)
    return SmallVector<int64_t>();
  return llvm::to_vector(llvm::seq<int64_t>(0, rank));
}

static LogicalResult reduceAs(NodeImporter &node, const ReduceForm &form) {
  GraphBuilder &b = node.b;
  auto axes = getReducedAxes(node, form.axesInputSince);
  bool keep = node.getInt("keepdims", 1) != 0;
  if (!axes)
    return failure();
  Value x = node.in(0);
  Type type = b.getElementType(x);
  // Truth values count as 0 and 1 (ReduceMax and ReduceMin of opset 20).
  if (type.isInteger(1))
    x = b.cast(x, b.getIntegerType(8));
  if (form.before)
    x = form.before(b, x);
  if (!axes->empty())
    x = b.reduce(form.kind, x, *axes, keep);
  if (form.after)
    x = form.after(b, x);
  // Not a cast: the maximum of no elements is the least integer, which is true.
  if (type.isInteger(1))
    return node.set(b.compare(Compare::gt, x, b.scalarLike(x, 0.0)));
  return node.set(b.cast(x, type));
}

template <Reduction kind, int since>
static LogicalResult importReduce(NodeImporter &node) {
  return reduceAs(node, {kind, since, nullptr, nullptr});
}
static LogicalResult importReduceL1(NodeImporter &node) {
  return reduceAs(node, {Reduction::sum, 18, apply<graph::AbsOp>, nullptr});
}
static LogicalResult importReduceL2(NodeImporter &node) {
  return reduceAs(node, {Reduction::sum, 18, square, apply<graph::SqrtOp>});
}
static LogicalResult importReduceLogSum(NodeImporter &node) {
  return reduceAs(node, {Reduction::sum, 18, nullptr, apply<graph::LogOp>});
}
static LogicalResult importReduceSumSquare(NodeImporter &node) {
  return reduceAs(node, {Reduction::sum, 18, square, nullptr});
}

/// `m + log(sum(e^(x - m)))` with the maximum m, which cannot overflow.
static LogicalResult importReduceLogSumExp(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axes = getReducedAxes(node, 18);
  bool keep = node.getInt("keepdims", 1) != 0;
  if (!axes)
    return failure();
  Value x = node.in(0);
  if (axes->empty())
    return node.set(x);
  Value top = b.reduce(Reduction::max, x, *axes, true);
  // An infinite maximum must not be subtracted: inf - inf is NaN.
  Value isInf = b.create<graph::IsInfOp>(b.getI1Type(), top);
  Value shift = b.select(isInf, b.scalarLike(x, 0.0), top);
  Value sum = b.reduce(Reduction::sum, b.unary<graph::ExpOp>(b.sub(x, shift)),
                       *axes, true);
  Value result = b.add(b.unary<graph::LogOp>(sum), shift);
  if (keep)
    return node.set(result);
  Dims dims;
  for (auto [i, dim] : llvm::enumerate(b.getDims(result)))
    if (!llvm::is_contained(*axes, int64_t(i)))
      dims.push_back(dim);
  return node.set(b.reshape(result, dims));
}

template <Reduction kind> static LogicalResult importArg(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axis = node.getAxis(node.getInt("axis", 0), b.getRank(node.in(0)));
  bool keep = node.getInt("keepdims", 1) != 0;
  bool last = node.opset >= 12 && node.getInt("select_last_index", 0) != 0;
  if (!axis)
    return failure();
  auto unit = [&](bool set) { return set ? b.getUnitAttr() : UnitAttr(); };
  auto kindAttr = graph::ReductionAttr::get(b.getContext(), kind);
  return node.set(b.create<graph::ArgReduceOp>(
      b.getI64Type(), kindAttr, node.in(0), b.getI64IntegerAttr(*axis),
      unit(keep), unit(last)));
}

//===-- Softmax -----------------------------------------------------------===//

/// Before opset 13 softmax ran over all dims from `axis` on as one.
static LogicalResult
normalizeRows(NodeImporter &node,
              llvm::function_ref<Value(Value, int64_t)> normalize) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  Dims dims = b.getDims(x);
  auto axis = node.getAxis(node.getInt("axis", node.opset < 13 ? 1 : -1),
                           std::max<int64_t>(dims.size(), 1));
  if (!axis)
    return failure();
  if (dims.empty())
    return node.invalid("the input must not be a scalar");
  if (node.opset >= 13 || *axis + 1 == int64_t(dims.size()))
    return node.set(normalize(x, *axis));
  Value rows = b.reshape(x, {b.product(ArrayRef(dims).take_front(*axis)),
                             b.product(ArrayRef(dims).drop_front(*axis))});
  return node.set(b.reshape(normalize(rows, 1), dims));
}

template <bool isLog> static LogicalResult importSoftmax(NodeImporter &node) {
  GraphBuilder &b = node.b;
  return normalizeRows(node, [&](Value x, int64_t axis) {
    return b.create<graph::SoftmaxOp>(b.getElementType(x), x,
                                      b.getI64IntegerAttr(axis),
                                      isLog ? b.getUnitAttr() : UnitAttr());
  });
}

static LogicalResult importHardmax(NodeImporter &node) {
  GraphBuilder &b = node.b;
  return normalizeRows(node, [&](Value x, int64_t axis) {
    auto kind = graph::ReductionAttr::get(b.getContext(), Reduction::max);
    Value top = b.create<graph::ArgReduceOp>(b.getI64Type(), kind, x,
                                             b.getI64IntegerAttr(axis),
                                             b.getUnitAttr(), UnitAttr());
    Value position = b.iota(b.getDim(x, axis), axis, b.getRank(x));
    return b.cast(b.compare(Compare::eq, top, position), b.getElementType(x));
  });
}

static LogicalResult importCumSum(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axis = node.getAxisInput(1, b.getRank(node.in(0)));
  if (!axis)
    return failure();
  auto unit = [&](StringRef name) {
    return node.getInt(name, 0) != 0 ? b.getUnitAttr() : UnitAttr();
  };
  return node.set(b.create<graph::CumulateOp>(
      b.getElementType(node.in(0)), node.in(0), b.getI64IntegerAttr(*axis),
      unit("exclusive"), unit("reverse")));
}

ArrayRef<OpEntry> lathe::onnx::getReductionOps() {
  static constexpr OpEntry ops[] = {
      {"ArgMax", 1, kNewest, 1, 1, Types::Number, importArg<Reduction::max>},
      {"ArgMin", 1, kNewest, 1, 1, Types::Number, importArg<Reduction::min>},
      {"CumSum", 11, kNewest, 2, 2, Types::Number, importCumSum},
      {"Hardmax", 1, kNewest, 1, 1, Types::Float, importHardmax},
      {"LogSoftmax", 1, kNewest, 1, 1, Types::Float, importSoftmax<true>},
      {"ReduceL1", 1, kNewest, 1, 2, Types::Number, importReduceL1},
      {"ReduceL2", 1, kNewest, 1, 2, Types::Number, importReduceL2},
      {"ReduceLogSum", 1, kNewest, 1, 2, Types::Number, importReduceLogSum},
      {"ReduceLogSumExp", 1, kNewest, 1, 2, Types::Number,
       importReduceLogSumExp},
      {"ReduceMax", 1, kNewest, 1, 2, Types::Any,
       importReduce<Reduction::max, 18>},
      {"ReduceMean", 1, kNewest, 1, 2, Types::Number,
       importReduce<Reduction::mean, 18>},
      {"ReduceMin", 1, kNewest, 1, 2, Types::Any,
       importReduce<Reduction::min, 18>},
      {"ReduceProd", 1, kNewest, 1, 2, Types::Number,
       importReduce<Reduction::prod, 18>},
      {"ReduceSum", 1, kNewest, 1, 2, Types::Number,
       importReduce<Reduction::sum, 13>},
      {"ReduceSumSquare", 1, kNewest, 1, 2, Types::Number,
       importReduceSumSquare},
      {"Softmax", 1, kNewest, 1, 1, Types::Float, importSoftmax<false>},
  };
  return ops;
}
