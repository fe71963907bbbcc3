// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `graph` dialect: what a model computes. See GraphDialect.td and
// docs/Architecture.md.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPH_H
#define LATHE_DIALECTS_GRAPH_IR_GRAPH_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/Support/Error.h"

namespace lathe::graph {

/// The dims of a value: affine expressions over the function's symbols. A
/// static dim is a constant expression.
using Dims = llvm::SmallVector<mlir::AffineExpr, 6>;

/// Attribute names on functions, their arguments and results.
inline constexpr llvm::StringLiteral kSymbolsAttr = "graph.symbols";
inline constexpr llvm::StringLiteral kNameAttr = "graph.name";
inline constexpr llvm::StringLiteral kDimsAttr = "graph.dims";
/// On a function that only other functions run: how many of its symbols, the
/// first ones, are its callers'.
inline constexpr llvm::StringLiteral kGivenAttr = "graph.given";
/// On a gather or scatter whose indices the front end computed, in range.
inline constexpr llvm::StringLiteral kInRangeAttr = "graph.in_range";

/// A `double` as a parameter of attributes: hashed and compared bit by bit.
struct Float64 {
  Float64(double value) : value(value) {}
  operator double() const { return value; }

  friend bool operator==(Float64 a, Float64 b) {
    return llvm::APFloat(a.value).bitwiseIsEqual(llvm::APFloat(b.value));
  }
  friend llvm::hash_code hash_value(Float64 a) {
    return hash_value(llvm::APFloat(a.value));
  }
  static mlir::FailureOr<Float64> parse(mlir::AsmParser &parser);
  static void print(mlir::AsmPrinter &printer, double value);

private:
  double value;
};

/// One of the byte buffers that hold an encoded weight. Seen as the matrix
/// [k, n] of a contraction, an element of a buffer belongs to one column and
///
///   group = 1   one k, or `parts` of them: the buffer has the weight's rank
///   group = g   g consecutive k (the last ones may be fewer): [groups, n]
///   group = 0   all k: [n]
struct EncodedBuffer {
  std::string name;            ///< "codes", "scales", ...
  mlir::RankedTensorType type; ///< Dense row-major, before any packing.
  int64_t group = 1;
  /// Codes that one element holds. Part p of row s is the code of
  /// k = (s / run * parts + p) * run + s % run, so that each part of `run` rows
  /// is `run` consecutive k, as dot products want them.
  int64_t parts = 1, run = 1;
};

/// A weight as integers: w[k, n] = scale[k / group, n] * (code - zero[k /
/// group, n]). Numbers name buffers.
struct IntegerForm {
  unsigned codes = 0, scales = 0;
  /// Codes are 0..255; else -128..127, and zero is 0.
  bool isUnsigned = false;
  /// As in EncodedBuffer. 0, one scale for all of a column, goes with
  /// activations in groups of any size, unless there are `sums`.
  int64_t group = 0;
  /// Unsigned codes: the buffer of zeros, or what all of them are.
  std::optional<unsigned> zeros;
  double zero = 0.0;
  /// Signed codes: the sums of decoded weights per group, for activations that
  /// have an offset.
  std::optional<unsigned> sums;
};

/// The names of the model's nodes that `loc` stands for, each once.
llvm::SmallVector<llvm::StringRef> getNodeNames(mlir::Location loc);

/// What shape functions may ask and say beside their operands' dims. Shape
/// inference implements it (ShapeAnalysis.h).
class ShapeScope {
public:
  virtual ~ShapeScope() = default;

  /// Elements of a small integer tensor as expressions, row-major; nothing
  /// when they are not known before run time.
  virtual std::optional<Dims> getContents(mlir::Value value) = 0;

  /// A symbol that `op` defines at run time. Asking again with the same `op`
  /// and `index` gives the same symbol.
  virtual mlir::AffineExpr getFreshSymbol(mlir::Operation *op,
                                          unsigned index) = 0;

  /// States that `expr` is zero (or, for `requireNonNegative`, at least zero)
  /// in every valid call; the plan checks it and fails with `message`.
  virtual void requireZero(mlir::AffineExpr expr, llvm::StringRef message) = 0;
  virtual void requireNonNegative(mlir::AffineExpr expr,
                                  llvm::StringRef message) = 0;
};

namespace OpTrait {
/// Each result element depends on the operands' elements at the broadcast
/// position only.
template <typename ConcreteType>
class Elementwise : public mlir::OpTrait::TraitBase<ConcreteType, Elementwise> {
};
} // namespace OpTrait

/// The type of an elementwise op on these operands: NumPy broadcast, element
/// type and (no) encoding of `lhs`. A dim that cannot be told is dynamic; dims
/// that do not match are left to the verifier.
mlir::RankedTensorType broadcastType(mlir::Type lhs, mlir::Type rhs);

/// The shape function of elementwise ops.
llvm::LogicalResult inferBroadcastDims(mlir::Operation *op, ShapeScope &scope,
                                       llvm::ArrayRef<Dims> operands,
                                       llvm::SmallVectorImpl<Dims> &results);

/// Checks the result types of `op` against its shape function, as far as types
/// tell: the verifier of every op with `ShapeOpInterface`.
llvm::LogicalResult verifyShapes(mlir::Operation *op);

/// Calls the shape function of `op`, hands its answer to `results` and gives
/// the op's results that shape; element types and encodings stay. Most callers
/// want ShapeAnalysis (ShapeAnalysis.h), which knows the operands' dims.
llvm::LogicalResult inferResultTypes(mlir::Operation *op, ShapeScope &scope,
                                     llvm::ArrayRef<Dims> operands,
                                     llvm::SmallVectorImpl<Dims> &results);

/// Checks that element types are equal, if asked, and not encoded. (Shapes are
/// checked by `verifyShapes`.)
llvm::LogicalResult verifyElementwise(mlir::Operation *op,
                                      bool sameElementType);

/// The static shape that `dims` stand for; expressions become dynamic.
llvm::SmallVector<int64_t> toStaticShape(llvm::ArrayRef<mlir::AffineExpr> dims);

/// Whether dims `a` and `b` may be equal: the same expression, or not both
/// constant.
bool mayBeEqual(mlir::AffineExpr a, mlir::AffineExpr b);

/// Whether `op` runs functions of the module.
bool isControlFlow(mlir::Operation *op);

/// Whether `op` may be the root of a group: the one op of a kernel that is
/// neither elementwise nor data movement.
bool isRoot(mlir::Operation *op);

/// `type` without encoding.
mlir::RankedTensorType getDenseType(mlir::RankedTensorType type);

} // namespace lathe::graph

#include "dialects/Graph/IR/GraphDialect.h.inc"
#include "dialects/Graph/IR/GraphEnums.h.inc"

#include "dialects/Graph/IR/GraphAttrInterfaces.h.inc"
#include "dialects/Graph/IR/GraphOpInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Graph/IR/GraphAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/Graph/IR/GraphOps.h.inc"

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPH_H
