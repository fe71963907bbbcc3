// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The dims of every value of a function as expressions over its symbols.
//
//   ShapeAnalysis shapes(function);
//   if (failed(shapes.run()))          // errors have been emitted
//     return failure();
//   AffineExpr rows = shapes.getDims(value)[0];
//
// Importers keep one while they build and create every op through it:
//
//   auto matmul = createInferred<MatmulOp>(builder, loc, shapes, f32, x, w);
//   if (failed(matmul)) ...            // named operand and sizes

#ifndef LATHE_DIALECTS_GRAPH_IR_SHAPEANALYSIS_H
#define LATHE_DIALECTS_GRAPH_IR_SHAPEANALYSIS_H

#include "dialects/Graph/IR/Graph.h"
#include "dialects/Graph/IR/Polynomial.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IntegerSet.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace lathe::graph {

/// What a call must satisfy beside the symbols' equality across inputs.
struct Requirement {
  mlir::AffineExpr expr; ///< Over the function's symbols.
  bool isEquality;       ///< `expr == 0`, else `expr >= 0`.
  std::string message;   ///< One line, begins with the op's name.
  mlir::Location loc;

  mlir::IntegerSet getSet(unsigned numSymbols) const {
    return mlir::IntegerSet::get(0, numSymbols, {expr}, {isEquality});
  }
};

/// Whether a tensor has at most 2^62 bytes, as far as constant dims tell: no
/// other has strides and offsets that fit 64 bits.
bool isAddressable(llvm::ArrayRef<mlir::AffineExpr> dims,
                   mlir::Type elementType);

/// A symbol that an op defines at run time.
struct FreshSymbol {
  mlir::Operation *op;
  unsigned index; ///< In the op's `binds`.
  unsigned symbol;
};

class ShapeAnalysis final : public ShapeScope {
public:
  /// Reads `graph.symbols` and the arguments. A dynamic dim of an argument
  /// without `graph.dims` gets a symbol of its own, "<argument>.dim<i>".
  explicit ShapeAnalysis(mlir::FunctionOpInterface function);

  /// Visits every op of the function in order. May be called once.
  llvm::LogicalResult run();

  /// Computes the dims of the results of `op`, whose operands must be known,
  /// and of the values in its region if it is a group. Ops of other dialects
  /// with tensor results are an error.
  llvm::LogicalResult visit(mlir::Operation *op);

  /// Computes nothing: the dims of a value that has been visited. Valid until
  /// the next `visit`.
  llvm::ArrayRef<mlir::AffineExpr> getDims(mlir::Value value) const;
  bool isKnown(mlir::Value value) const { return dims.contains(value); }

  /// Says that `value` is now known under these dims (after a rewrite).
  void setDims(mlir::Value value, llvm::ArrayRef<mlir::AffineExpr> sizes) {
    dims[value] = Dims(sizes);
  }

  /// Says that `value` is about to be erased.
  void forget(mlir::Value value) {
    dims.erase(value);
    contents.erase(value);
  }

  /// Elements of an integer tensor of at most `kMaxContents` elements, where
  /// they are affine in the symbols: constants, dims and what is computed from
  /// them. Remembered.
  std::optional<Dims> getContents(mlir::Value value) override;
  static constexpr int64_t kMaxContents = 256;

  /// The product of a value's dims.
  mlir::AffineExpr getNumElements(mlir::Value value) const {
    return getProduct(context, getDims(value));
  }

  /// All symbols by position: those of the function, then new ones.
  llvm::ArrayRef<std::string> getSymbols() const { return symbols; }

  /// The symbol called `name`, made if there is none: for front ends that
  /// declare arguments as they go. `annotateFunction` writes it down.
  mlir::AffineExpr getSymbol(llvm::StringRef name);

  /// Requirements that could not be decided, without duplicates, in order.
  llvm::ArrayRef<Requirement> getRequirements() const { return requirements; }
  llvm::ArrayRef<FreshSymbol> getFreshSymbols() const { return fresh; }

  /// Writes what is known about `op` into it: result types and `binds`; also
  /// new symbols into the function. Block arguments of groups too.
  void annotate(mlir::Operation *op);
  /// Writes `graph.symbols`, `graph.dims` of arguments and the function type.
  void annotateFunction();

  mlir::AffineExpr getFreshSymbol(mlir::Operation *op, unsigned index) override;
  void requireZero(mlir::AffineExpr expr, llvm::StringRef message) override;
  void requireNonNegative(mlir::AffineExpr expr,
                          llvm::StringRef message) override;

private:
  void readArguments();
  unsigned addSymbol(llvm::StringRef wanted);
  void require(mlir::AffineExpr expr, bool isEquality, llvm::StringRef message);
  llvm::LogicalResult visitGroup(GroupOp group);

  mlir::FunctionOpInterface function;
  mlir::MLIRContext *context;
  mlir::Operation *current = nullptr; ///< Whose shape function runs.
  std::vector<std::string> symbols;
  llvm::DenseMap<mlir::Value, Dims> dims;
  llvm::DenseMap<mlir::Value, std::optional<Dims>> contents;
  std::vector<Requirement> requirements;
  std::vector<FreshSymbol> fresh;
};

/// Creates an `Op` whose result has element type `elementType` and the shape
/// that its shape function says. `args` are what stands behind the result type
/// in the op's builder. On failure the error has been emitted at `loc` and
/// nothing is left behind.
template <typename Op, typename... Args>
llvm::FailureOr<Op> createInferred(mlir::OpBuilder &builder, mlir::Location loc,
                                   ShapeAnalysis &shapes,
                                   mlir::Type elementType, Args &&...args) {
  // The shape is a guess that `annotate` replaces.
  auto guess = mlir::RankedTensorType::get({}, elementType);
  auto op =
      Op::create(builder, loc, mlir::Type(guess), std::forward<Args>(args)...);
  if (llvm::succeeded(shapes.visit(op))) {
    shapes.annotate(op);
    return op;
  }
  op->erase();
  return llvm::failure();
}

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_IR_SHAPEANALYSIS_H
