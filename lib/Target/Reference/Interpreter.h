// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs tile kernels one element at a time, as the dialect defines them: the
// oracle that compiled kernels are compared with. Nothing here is fast.
//
// Every operation rounds to its element type, so that results differ from a
// target's by the order of sums and the accuracy of its math functions alone.

#ifndef LATHE_LIB_TARGET_REFERENCE_INTERPRETER_H
#define LATHE_LIB_TARGET_REFERENCE_INTERPRETER_H

#include "dialects/Tile/IR/Tile.h"
#include <array>
#include <vector>

namespace lathe::reference {

/// Runs program after program of `grid`, the first dim fastest. `buffers` are
/// the kernel's, in order, as a launch has them (row-major, `i1` as bytes);
/// `scalars` follow. Fails, with an error on the op, on an access outside of a
/// buffer, on a tile dim that `in_bounds` promises and that leaves its view, on
/// a division by zero and on an op that kernels do not have.
mlir::LogicalResult
interpret(tile::KernelOp kernel,
          llvm::ArrayRef<llvm::MutableArrayRef<char>> buffers,
          llvm::ArrayRef<int64_t> scalars, std::array<int64_t, 3> grid);

/// A tile, or a scalar, which is a tile without dims. Elements are in row-major
/// order: `floats` where the type is a float, else `integers`, which hold
/// narrow ones with their sign (`i1`: 0 or 1).
struct Elements {
  mlir::Type type; ///< Of one element.
  llvm::SmallVector<int64_t> shape;
  std::vector<double> floats;
  std::vector<int64_t> integers;

  /// Zeros.
  static Elements get(mlir::Type type);
  static Elements get(mlir::Type element, llvm::ArrayRef<int64_t> shape);

  bool isFloat() const { return llvm::isa<mlir::FloatType>(type); }
  size_t size() const { return isFloat() ? floats.size() : integers.size(); }
  /// Copies one element of another tile of the same type.
  void set(size_t at, const Elements &from, size_t index);
};

/// `value` as the float type `type` holds it.
double roundTo(mlir::Type type, double value);
/// The low bits of `value`, as an integer or index of `type` has them.
int64_t wrapTo(mlir::Type type, int64_t value);

/// Computes an op of `arith` or `math` on operands of one shape; scalars of a
/// tile op's condition repeat. Fails, and says so on the op, if it is unknown.
llvm::FailureOr<Elements>
computeElements(mlir::Operation *op, llvm::ArrayRef<const Elements *> operands);

} // namespace lathe::reference

#endif // LATHE_LIB_TARGET_REFERENCE_INTERPRETER_H
