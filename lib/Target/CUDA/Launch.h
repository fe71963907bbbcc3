// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The parameters of a lowered kernel beyond its buffers and scalars, and what a
// launch of it needs (runtime/device/gpu/gpu_device.h has the other side):
//
//   llvm.func @f(buffers..., scalars...,
//                %x: i64, %y: i64, %z: i64    the true grid, if asked for
//                %m: !llvm.ptr {byval, nvvm.grid_constant} ...   tensor maps)
//
// Who lowers a kernel asks for them when it finds that it needs them: these
// functions extend the signature and keep what is needed in attributes of the
// function (`tile.grid`, `tile.tensor_maps` and so on), until takeNeeds reads
// them.

#ifndef LATHE_LIB_TARGET_CUDA_LAUNCH_H
#define LATHE_LIB_TARGET_CUDA_LAUNCH_H

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/Target.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <array>

namespace lathe::cuda {

/// On a lowered kernel: dynamic shared memory of a launch, in bytes.
inline constexpr llvm::StringLiteral kSharedBytesAttr = "tile.shared_bytes";

/// The function of a kernel of `threads` threads, with its buffers and scalars
/// and without a body, before the kernel.
mlir::LLVM::LLVMFuncOp createFunction(tile::KernelOp kernel, int64_t threads);

/// Its entry block, where `builder` then stands, and the kernel's arguments in
/// it: buffers as pointers, scalars as indices.
llvm::SmallVector<mlir::Value> createEntry(mlir::ImplicitLocOpBuilder &builder,
                                           mlir::LLVM::LLVMFuncOp function);

/// A new parameter, the address of the tensor map (128 bytes that are the same
/// for all programs; a generic pointer). The function must have its entry
/// block.
mlir::Value addTensorMap(mlir::LLVM::LLVMFuncOp function, const TensorMap &map);

/// The true grid, as i64 in the order x, y, z; each call returns the same three
/// parameters. `kind` is Given or Persistent, and Persistent stays.
std::array<mlir::Value, 3> getGrid(mlir::LLVM::LLVMFuncOp function,
                                   LaunchGrid kind);

/// Runs `blocks` blocks in a row in x as a cluster.
void setCluster(mlir::LLVM::LLVMFuncOp function, unsigned blocks);

/// Waits, where `builder` stands, for the kernels before this one, which may be
/// running then, and lets those after it begin to wait. Nothing may have been
/// read or written by then.
void createOverlap(mlir::ImplicitLocOpBuilder &builder,
                   mlir::LLVM::LLVMFuncOp function);

/// What a launch of `function` needs; removes the attributes that say it. None
/// if the function is no kernel.
std::optional<KernelNeeds> takeNeeds(mlir::LLVM::LLVMFuncOp function);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_LAUNCH_H
