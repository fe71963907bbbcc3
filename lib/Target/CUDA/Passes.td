// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_LIB_TARGET_CUDA_PASSES_TD
#define LATHE_LIB_TARGET_CUDA_PASSES_TD

include "mlir/Pass/PassBase.td"

def CudaLowerTilePass : Pass<"cuda-lower-tile", "::mlir::ModuleOp"> {
  let summary = "Lowers tile kernels to the code of one thread";
  let description = [{
    Each `tile.kernel` becomes an `llvm.func` of the same name with
    `nvvm.kernel`: a pointer to global memory for each buffer, then an i64 for
    each scalar. A program is a thread block of 32 threads for each warp of the
    schedule; the block's index is the program's position. `tile.shared_bytes`
    on the function says how much dynamic shared memory a launch gives. What is
    left are `scf`, `arith` and `math` ops on scalars, `llvm` accesses of memory
    and `nvvm` shuffles and barriers.

    Numeric contract: sums over k and reductions are reassociated; a multiply
    and its add are fused. 16-bit floats are computed in f32 and rounded after
    each op. Else exact, but for what --cuda-lower-math does.
  }];
  let options = [
    Option<"level", "level", "std::string", "\"sm_80\"", "sm_80">];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect"];
}

def CudaLowerMathPass : Pass<"cuda-lower-math", "::mlir::ModuleOp"> {
  let summary = "Lowers math ops on scalars to calls of libdevice";
  let description = [{
    What a GPU has no instruction for is a call of `__nv_NAMEf` (f32) or
    `__nv_NAME` (f64), declared in the module. Numeric contract: libdevice's, at
    most 4 ulp (f32, without flush to zero); tables of it are in NVIDIA's CUDA
    C++ Programming Guide. Where `fastmath<afn>` allows it, `exp2` and `tanh` of
    f32 are one instruction: 2 ulp with subnormals flushed, and 2^-11.
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect"];
}

#endif // LATHE_LIB_TARGET_CUDA_PASSES_TD
