// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes graph ops whose result shapes follow from the ops' own shape
// functions. Front ends build whole models through it, passes what an op
// decomposes into.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHBUILDER_H
#define LATHE_DIALECTS_GRAPH_IR_GRAPHBUILDER_H

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace lathe::graph {

/// An OpBuilder that infers types.
///
/// Errors are sticky: when an op does not verify or its operands' shapes do not
/// fit, `create` emits the diagnostic, erases the op and returns a null Value;
/// until `resetFailure` every further call does nothing and returns null. The
/// accessors take null values (rank 0, element type f32, no contents), so that
/// a decomposition can be written straight down and checked once at its end.
/// Only code that indexes dims must look at `getRank` first.
class GraphBuilder : public mlir::OpBuilder {
public:
  /// At the end of the function's body. `analysis` holds the dims of the
  /// function's arguments; ops that are created are added to it. It must
  /// outlive the builder.
  GraphBuilder(mlir::func::FuncOp function, ShapeAnalysis &analysis);
  /// For what replaces `op`: new ops stand before it.
  GraphBuilder(mlir::Operation *op, ShapeAnalysis &analysis);

  /// Where the ops created from now on come from.
  mlir::Location loc;

  bool hasFailed() const { return failed; }
  void resetFailure() { failed = false; }
  /// Fails from now on: a front end has met an error of its own.
  void setFailed() { failed = true; }

  /// Creates `OpT` with one result of `elementType`; `args` are the arguments
  /// of its ODS builder after the result type. Null on failure.
  template <typename OpT, typename... Args>
  mlir::Value create(mlir::Type elementType, Args &&...args) {
    if (failed)
      return {};
    auto type = mlir::RankedTensorType::get({}, elementType);
    auto op = OpT::create(*this, loc, type, std::forward<Args>(args)...);
    return finish(op.getOperation()) ? op->getResult(0) : mlir::Value();
  }

  /// Creates `OpT` with results of `types`, whose dims its shape function
  /// refines. Null values on failure.
  template <typename OpT, typename... Args>
  llvm::SmallVector<mlir::Value> createMany(llvm::ArrayRef<mlir::Type> types,
                                            Args &&...args) {
    llvm::SmallVector<mlir::Value> results(types.size());
    if (failed)
      return results;
    auto op = OpT::create(*this, loc, types, std::forward<Args>(args)...);
    if (finish(op.getOperation()))
      results.assign(op->result_begin(), op->result_end());
    return results;
  }

  /// A unary or binary op whose result has the first operand's element type.
  template <typename OpT> mlir::Value unary(mlir::Value input) {
    return create<OpT>(getElementType(input), input);
  }
  template <typename OpT> mlir::Value binary(mlir::Value lhs, mlir::Value rhs) {
    return create<OpT>(getElementType(lhs), lhs, rhs);
  }

  //===-- What is known of a value ----------------------------------------===//

  mlir::Type getElementType(mlir::Value value);
  int64_t getRank(mlir::Value value);
  Dims getDims(mlir::Value value);
  /// Dim `axis` of `value`; the expression 1 when it has no such dim.
  mlir::AffineExpr getDim(mlir::Value value, int64_t axis);
  /// The elements of a small integer tensor as expressions over the symbols.
  std::optional<Dims> getContents(mlir::Value value);
  /// The same, if all are known now.
  std::optional<llvm::SmallVector<int64_t>> getIntegers(mlir::Value value);
  /// The one number in a constant tensor of one element.
  std::optional<double> getScalar(mlir::Value value);

  //===-- Sizes -----------------------------------------------------------===//

  mlir::AffineExpr size(int64_t value);
  llvm::SmallVector<mlir::AffineExpr> sizes(llvm::ArrayRef<int64_t> values);
  mlir::AffineExpr product(llvm::ArrayRef<mlir::AffineExpr> dims);
  /// A map over the function's symbols, as graph ops take their sizes.
  mlir::AffineMapAttr map(llvm::ArrayRef<mlir::AffineExpr> dims);

  //===-- Constants -------------------------------------------------------===//

  mlir::Value constant(mlir::ElementsAttr value);
  /// A scalar tensor; integers take `value` truncated.
  mlir::Value scalar(mlir::Type elementType, double value);
  /// A scalar with the element type of `like`.
  mlir::Value scalarLike(mlir::Value like, double value) {
    return scalar(getElementType(like), value);
  }
  /// A 1-D i64 tensor.
  mlir::Value integers(llvm::ArrayRef<int64_t> values);
  /// A scalar i64 tensor that holds a size.
  mlir::Value sizeValue(mlir::AffineExpr size);

  //===-- Ops with more convenient arguments ------------------------------===//

  mlir::Value add(mlir::Value a, mlir::Value b) { return binary<AddOp>(a, b); }
  mlir::Value sub(mlir::Value a, mlir::Value b) { return binary<SubOp>(a, b); }
  mlir::Value mul(mlir::Value a, mlir::Value b) { return binary<MulOp>(a, b); }
  mlir::Value div(mlir::Value a, mlir::Value b) { return binary<DivOp>(a, b); }
  mlir::Value max(mlir::Value a, mlir::Value b) { return binary<MaxOp>(a, b); }
  mlir::Value min(mlir::Value a, mlir::Value b) { return binary<MinOp>(a, b); }
  mlir::Value compare(Compare kind, mlir::Value a, mlir::Value b);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);
  /// `value` itself if it has that element type.
  mlir::Value cast(mlir::Value value, mlir::Type elementType);
  /// The same, but floats of 8 bits take what is beyond them as their largest
  /// number, and keep NaN.
  mlir::Value castSaturating(mlir::Value value, mlir::Type elementType);
  mlir::Value reshape(mlir::Value value, llvm::ArrayRef<mlir::AffineExpr> dims);
  /// Unit dims at `axes` of the result, which ascend.
  mlir::Value unsqueeze(mlir::Value value, llvm::ArrayRef<int64_t> axes);
  mlir::Value broadcast(mlir::Value value,
                        llvm::ArrayRef<mlir::AffineExpr> dims);
  mlir::Value transpose(mlir::Value value, llvm::ArrayRef<int64_t> permutation);
  /// `count` elements of `axis` from `start` on, every `step`-th.
  mlir::Value slice(mlir::Value value, int64_t axis, mlir::AffineExpr start,
                    mlir::AffineExpr count, int64_t step = 1);
  mlir::Value concat(mlir::ValueRange values, int64_t axis);
  mlir::Value reduce(Reduction kind, mlir::Value value,
                     llvm::ArrayRef<int64_t> axes, bool keepDims);
  /// 0, 1, ... as i64, shaped so that it lies along `axis` of `rank` dims.
  mlir::Value iota(mlir::AffineExpr count, int64_t axis = 0, int64_t rank = 1);
  mlir::Value matmul(mlir::Value a, mlir::Value b);
  /// NumPy's take_along_axis for i64 `indices` of the same rank.
  mlir::Value takeAlong(mlir::Value value, mlir::Value indices, int64_t axis);
  /// A `[C]` tensor as `[1, C, 1, ...]`, to combine with channels first.
  mlir::Value alongChannels(mlir::Value value, int64_t rank);

  /// Calls the runtime's host function `callee`; one result per entry of
  /// `types`. `shapes` says the results' dims over the symbols; without it each
  /// dynamic dim of `types` is a symbol that the call defines. Null values on
  /// failure.
  llvm::SmallVector<mlir::Value>
  builtin(llvm::StringRef callee, mlir::ValueRange inputs,
          llvm::ArrayRef<mlir::NamedAttribute> options,
          llvm::ArrayRef<mlir::RankedTensorType> types,
          llvm::ArrayRef<Dims> shapes = {});

  ShapeAnalysis &analysis;

private:
  /// Infers the result types of `op` and verifies it; erases it on failure.
  bool finish(mlir::Operation *op);

  bool failed = false;
};

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHBUILDER_H
