// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading constants, whether they are dense attributes or resources over
// mapped files. Nothing here copies a weight.

#ifndef LATHE_DIALECTS_GRAPH_IR_CONSTANTVALUES_H
#define LATHE_DIALECTS_GRAPH_IR_CONSTANTVALUES_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Value.h"

namespace lathe::graph {

/// Bytes of one stored element: i1 takes one byte.
unsigned getElementBytes(mlir::Type elementType);

/// Elements in order, read through the type: signedness of integers, i1 as 0
/// and 1. At most `limit` elements, else nothing; nothing for floats.
std::optional<llvm::SmallVector<int64_t>> getIntegers(mlir::ElementsAttr value,
                                                      int64_t limit);

/// Elements in order as doubles, of any float or integer type, at most
/// `limit` of them.
std::optional<llvm::SmallVector<double>> getNumbers(mlir::ElementsAttr value,
                                                    int64_t limit);

/// The number that every element of the constant `value` is: a splat, or a
/// single element. Nothing if `value` is no constant.
std::optional<double> getSplatNumber(mlir::Value value);

/// The same, also of a constant that is stored in full: all bytes are compared.
std::optional<double> getUniformNumber(mlir::Value value);

/// Calls `visit` with the index of each element of `shape`, in row-major order.
void forEachIndex(llvm::ArrayRef<int64_t> shape,
                  llvm::function_ref<void(llvm::ArrayRef<int64_t>)> visit);

/// The dense row-major bytes of a constant, as a resource has them; nothing
/// for dense attributes that are splats or bit-packed, or a resource without
/// its blob.
std::optional<llvm::ArrayRef<char>> getRawBytes(mlir::ElementsAttr value);

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_IR_CONSTANTVALUES_H
