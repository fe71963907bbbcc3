// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights as attributes over mapped files, shared by all front ends.

#ifndef LATHE_LIB_FRONTEND_MAPPEDCONSTANT_H
#define LATHE_LIB_FRONTEND_MAPPEDCONSTANT_H

#include "lib/Support/MappedFile.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"

namespace lathe {

/// Up to this many bytes a constant is stored in the IR, where folders see it
/// and tests can print it; larger ones refer to their file.
inline constexpr size_t kInlineConstantBytes = 2048;

/// The number of bytes of a dense tensor of `type`, with a byte for each `i1`;
/// nothing if it does not fit into 63 bits or a dim is dynamic.
std::optional<uint64_t> getDenseSize(mlir::RankedTensorType type);

/// A constant of `type` whose little-endian, row-major contents are `bytes`, a
/// range of `file` (any alignment; one byte for each `i1`). Large constants are
/// `dense_resource` attributes that refer to the file without copying and keep
/// it open for the life of the context; `name` becomes the resource's name,
/// made unique. `bytes` must have exactly `getDenseSize(type)` bytes.
mlir::ElementsAttr makeMappedConstant(mlir::RankedTensorType type,
                                      llvm::StringRef name,
                                      std::shared_ptr<const MappedFile> file,
                                      llvm::ArrayRef<char> bytes);

/// The same for contents that stand in no file: a copy is kept.
mlir::ElementsAttr makeOwnedConstant(mlir::RankedTensorType type,
                                     llvm::StringRef name,
                                     llvm::ArrayRef<char> bytes);

} // namespace lathe

#endif // LATHE_LIB_FRONTEND_MAPPEDCONSTANT_H
