// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Index arithmetic for code that is written out: what is known stays a number,
// so that neighbors share one computed part.

#ifndef LATHE_LIB_TARGET_COORD_H
#define LATHE_LIB_TARGET_COORD_H

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <tuple>

namespace lathe {

/// An index: `base + offset`, or only `offset` when `base` is null.
struct Coord {
  mlir::Value base;
  int64_t offset = 0;

  bool isStatic() const { return !base; }
  Coord operator+(int64_t delta) const { return {base, offset + delta}; }
  bool operator<(const Coord &other) const {
    return std::make_tuple(base.getAsOpaquePointer(), offset) <
           std::make_tuple(other.base.getAsOpaquePointer(), other.offset);
  }
};

/// What the emitters of programs compute indices with: `arith` on `index`.
class CoordEmitter {
protected:
  explicit CoordEmitter(mlir::ImplicitLocOpBuilder &builder) : b(builder) {}

  mlir::Value index(int64_t value);
  mlir::Value indexValue(Coord coord);
  Coord add(Coord x, Coord y);
  Coord mul(Coord x, Coord y);
  /// What a scalar of the kernel is in the program.
  Coord coordOf(mlir::Value scalar);
  Coord coordOf(mlir::OpFoldResult scalar);

  mlir::ImplicitLocOpBuilder &b;
  /// The kernel's scalars to the program's.
  mlir::IRMapping mapping;
};

} // namespace lathe

#endif // LATHE_LIB_TARGET_COORD_H
