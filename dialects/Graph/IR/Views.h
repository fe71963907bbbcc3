// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How one value of a group is read at the positions of another: reshapes,
// transposes, slices and broadcasts folded into strides over symbolic sizes.
//
// A kernel runs over an *iteration space*: a list of symbolic dims. For each
// value it computes there is an *access*: the list of view steps that leads
// from the value's own dims to the iteration space. Going from a result towards
// the operands, every data-movement op and every implicit broadcast puts a step
// in front; at a buffer, the steps applied in order to contiguous strides give
// the addresses. `walkLeaves` does that without building a kernel: form-groups
// calls it to ask whether a fusion is legal, lib/Kernels to shape its loops.

#ifndef LATHE_DIALECTS_GRAPH_IR_VIEWS_H
#define LATHE_DIALECTS_GRAPH_IR_VIEWS_H

#include "dialects/Graph/IR/Graph.h"

namespace lathe::graph {

/// The dims of a value, over the function's symbols.
using DimsOf =
    llvm::function_ref<llvm::ArrayRef<mlir::AffineExpr>(mlir::Value)>;

/// Addresses `offset + sum_i strides[i] * index[i]`, `index` within `dims`.
/// All three are expressions over the function's symbols; addresses count
/// elements. A stride may be zero (a broadcast) or negative (a reversal).
struct StridedView {
  Dims dims, strides;
  mlir::AffineExpr offset;

  /// Row-major addresses of an array of these dims.
  static StridedView getContiguous(mlir::MLIRContext *context,
                                   llvm::ArrayRef<mlir::AffineExpr> dims);

  /// "Addresses" that are the index along `axis`: how a kernel knows at which
  /// position of a value it stands.
  static StridedView getIndex(mlir::MLIRContext *context,
                              llvm::ArrayRef<mlir::AffineExpr> dims,
                              unsigned axis);

  /// Result dim `i` is dim `permutation[i]`.
  void transpose(llvm::ArrayRef<int64_t> permutation);

  /// Index `i` of the result is `starts + steps * i`.
  void slice(llvm::ArrayRef<mlir::AffineExpr> starts,
             llvm::ArrayRef<mlir::AffineExpr> sizes,
             llvm::ArrayRef<int64_t> steps);

  /// NumPy broadcast: dims are aligned at the end, a unit dim repeats. A dim
  /// that is neither 1 nor the target's is taken to be equal at run time.
  void broadcast(llvm::ArrayRef<mlir::AffineExpr> to);

  /// Row-major regrouping. False, and unchanged, if no strides express it.
  bool reshape(llvm::ArrayRef<mlir::AffineExpr> to);

  /// Row-major without gaps from element 0 on.
  bool isContiguous() const;

  /// Same dims, and the same address at every index.
  bool operator==(const StridedView &other) const;
};

/// One step of an access.
struct ViewStep {
  enum class Kind { Reshape, Transpose, Slice, Broadcast, Pitch } kind;
  Dims dims;                          ///< After the step.
  Dims starts;                        ///< Slice; Pitch: the dims before it.
  llvm::SmallVector<int64_t> numbers; ///< Transpose: permutation; Slice: steps.

  static ViewStep getReshape(llvm::ArrayRef<mlir::AffineExpr> to);
  static ViewStep getBroadcast(llvm::ArrayRef<mlir::AffineExpr> to);
  static ViewStep getTranspose(llvm::ArrayRef<mlir::AffineExpr> to,
                               llvm::ArrayRef<int64_t> permutation);

  /// The step of a `reshape`, `transpose`, `slice`, `broadcast` or `pitch`.
  static ViewStep get(mlir::Operation *op, DimsOf dimsOf);

  /// The step that undoes `op`: a `reshape`, `transpose` or `pitch`.
  static ViewStep getInverse(mlir::Operation *op, DimsOf dimsOf);

  /// False if the strides do not express it: no strides do for a pitch, since
  /// what follows its rows is undefined.
  bool apply(StridedView &view) const;

  bool operator==(const ViewStep &other) const;
};

/// The steps from a value to the iteration space, in order.
using Access = llvm::SmallVector<ViewStep, 4>;

/// `step` in front of `access`; steps that undo each other cancel.
Access prepend(ViewStep step, const Access &access);

/// `view` after all steps; nothing if one of them does not fold.
std::optional<StridedView> applyAccess(StridedView view, const Access &access);

/// Whether `op` is a `reshape`, `transpose`, `slice`, `broadcast` or `pitch`.
bool isView(mlir::Operation *op);

/// Follows `value` through views to the value whose elements it shows. Appends
/// the steps from there to `value` in front of `access`.
mlir::Value traceViews(mlir::Value value, Access &access, DimsOf dimsOf);

/// The access of operand `operand` of elementwise `op`, given that of its
/// result.
Access getOperandAccess(mlir::Operation *op, mlir::Value operand,
                        const Access &access, DimsOf dimsOf);

/// Where a `gather`, `gather_elements` or `gather_nd` reads, given the access
/// of its result: at `rows` plus, for each index, its value times its stride.
struct GatherAccess {
  struct Index {
    Access access;           ///< Of the `indices` operand.
    mlir::AffineExpr size;   ///< Of the dim that is indexed,
    mlir::AffineExpr stride; ///< and its stride in the buffer.
  };
  mlir::Value source; ///< What the input is a view of.
  StridedView rows;   ///< Over the iteration space.
  llvm::SmallVector<Index, 1> indices;
};

/// Whether `op` is one of these three.
bool isGather(mlir::Operation *op);

/// Nothing if the rows do not fold.
std::optional<GatherAccess>
getGatherAccess(mlir::Operation *op, const Access &access, DimsOf dimsOf);

/// The access of `value`, the result of views and elementwise ops after
/// `root`, in the iteration space that `rootAccess` leads to from `root`. Only
/// what moves every element to one place can be undone: reshapes, transposes,
/// pitches and elementwise ops that do not broadcast `root`. Nothing otherwise,
/// or if `value` does not depend on `root`.
std::optional<Access> getAccessFrom(mlir::Value root, const Access &rootAccess,
                                    mlir::Value value, DimsOf dimsOf);

/// Something a kernel reads at the positions of its iteration space.
struct Leaf {
  mlir::Value value; ///< A buffer, or the result of an `iota`.
  StridedView view;  ///< Over the iteration space. For an iota: its indices.
};

/// Visits what `value`, read through `access`, is computed from, each access to
/// a value once. `isLeaf` says where to stop (group arguments, the root's
/// result); constants are leaves. Fails if an op is neither elementwise nor
/// data movement that folds, or if there are too many accesses for a kernel,
/// after calling `refuse` with the op and the reason.
llvm::LogicalResult
walkLeaves(mlir::Value value, const Access &access, DimsOf dimsOf,
           llvm::function_ref<bool(mlir::Value)> isLeaf,
           llvm::function_ref<void(const Leaf &)> visit,
           llvm::function_ref<void(mlir::Operation *, llvm::StringRef)> refuse);

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_IR_VIEWS_H
