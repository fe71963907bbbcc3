// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_LIB_TARGET_X86_PASSES_TD
#define LATHE_LIB_TARGET_X86_PASSES_TD

include "mlir/Pass/PassBase.td"

def X86LowerTilePass : Pass<"x86-lower-tile", "::mlir::ModuleOp"> {
  let summary = "Lowers tile kernels to functions of 1-D vectors and loops";
  let description = [{
    Each `tile.kernel` becomes an exported function of the kernel ABI

    ```
    void kernel(void *const *buffers, const int64_t *scalars,
                const int64_t *grid, int64_t begin, int64_t end)
    ```

    that runs the programs [begin, end), and an internal function of bare,
    distinct pointers with the loop over them. What is left are `scf`, `arith`,
    `math`, `vector` and `llvm` ops on scalars and vectors of one dim.

    Numeric contract: sums over k and reductions are reassociated; a multiply
    and its add are fused. 16-bit floats are computed in f32 and rounded after
    each op. Else exact.
  }];
  let options = [
    Option<"level", "level", "std::string", "\"avx512-vnni\"",
           "x86-64-v3, avx512-vnni or avx512-bf16">];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def X86LowerMathPass : Pass<"x86-lower-math", "::mlir::ModuleOp"> {
  let summary = "Lowers math ops on vectors to polynomials";
  let description = [{
    No op that would become a call of libm is left. Numeric contract: at most
    4 ulp on f32, whatever its size; infinities, NaN and zeros as the C library
    has them. Angles from 2^40 on are reduced one by one, by a function that
    the pass adds to the module.
  }];
  let options = [
    Option<"avx512", "avx512", "bool", "false",
           "use instructions of AVX-512 for 16 lanes">];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

#endif // LATHE_LIB_TARGET_X86_PASSES_TD
