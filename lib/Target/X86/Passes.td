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
    each op. Else exact, but for what this pass allows --x86-lower-math, with
    f32 ops whose results are rounded to bf16:

    - `math.erf` (the flag `afn`) if sums, products, minima and maxima lie
      between: off by 3.1e-4.
    - `math.exp2` (the attribute `narrow`) if only factors, and terms that are
      not negative, lie between: off by 7.6e-5 of its value. If the powers
      themselves are rounded to bf16 for a multiply, their sum, which softmax
      divides by, may stay f32; it is off by as much.
    - `1 / x` (the attribute `narrow`) if only factors lie between: off by 2^-14
      of its value.

    Rounding to bf16 is off by up to 2^-8 of the value.
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
    No op that would become a call of libm is left, and conversions to i32 of
    what was rounded to nearest even round themselves. Numeric contract: at most
    4 ulp on f32, whatever its size; infinities, NaN and zeros as the C library
    has them. Less is asked of ops that say so: with the flag `afn`, `math.erf`
    is off by at most 3.1e-4, and subnormal results of `math.exp2` may be zero;
    with the attribute `narrow`, `math.exp2` is off by at most 7.6e-5 of its
    value, and `arith.divf` by 2^-14 (both on 16 lanes of AVX-512 alone). Angles
    from 2^40 on are reduced one by one, by a function that the pass adds to the
    module.
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
