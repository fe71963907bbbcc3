// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_PLAN_IR_PLANATTRS_TD
#define LATHE_DIALECTS_PLAN_IR_PLANATTRS_TD

include "dialects/Plan/IR/PlanDialect.td"
include "mlir/IR/AttrTypeBase.td"

def Plan_PackAttr : AttrDef<Plan_Dialect, "Pack"> {
  let mnemonic = "pack";
  let summary = "How a constant is re-laid when the bundle is written";
  let description = [{
    Logical dim `d` is cut in blocks of `blocks[d]` (padded with zeros at the
    end); stored dims are the block counts in the order `outer`, then the
    blocks in the order `inner`. With `blocks = [4, 64]`, `outer = [1, 0]`,
    `inner = [1, 0]`, a `[K, N]` matrix is stored as `[N/64][K/4][64][4]`.

    ```mlir
    #plan.pack<blocks = [4, 64], outer = [1, 0], inner = [1, 0]>
    ```

    With `winograd = [m, y, x]`, dims `y` and `x`, both 3 long, are the filter
    of a convolution and become the `m + 2` samples of Winograd's F(m x m, 3 x
    3) first (lib/Kernels/Winograd.h); everything else is about those dims.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$blocks,
                        ArrayRefParameter<"int64_t">:$outer,
                        ArrayRefParameter<"int64_t">:$inner,
                        OptionalArrayRefParameter<"int64_t">:$winograd);
  let assemblyFormat = [{
    `<` `blocks` `=` `[` $blocks `]` `,` `outer` `=` `[` $outer `]` `,`
        `inner` `=` `[` $inner `]`
        (`,` `winograd` `=` `[` $winograd^ `]`)? `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The dims that are cut in blocks, of a constant with these dims.
    ::llvm::SmallVector<int64_t> getSampledShape(
        ::llvm::ArrayRef<int64_t> logical) const;
    /// The stored dims of a constant with these logical dims.
    ::llvm::SmallVector<int64_t> getStoredShape(
        ::llvm::ArrayRef<int64_t> logical) const;
  }];
}

def Plan_ChoiceAttr : AttrDef<Plan_Dialect, "Choice"> {
  let mnemonic = "choice";
  let summary = "A kernel, its grid, and when to run it";
  let description = [{
    `grid` has three results over the program's symbols. `when` is a set over
    the symbols; absent, it always holds. A launch runs its first choice that
    holds: this is how the row count selects a kernel (design.md §2.2).
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$kernel,
                        "::mlir::AffineMap":$grid,
                        OptionalParameter<"::mlir::IntegerSetAttr">:$when);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Plan_CalleeAttr : AttrDef<Plan_Dialect, "Callee"> {
  let mnemonic = "callee";
  let summary = "A program, and when to run it";
  let description = [{
    `when` is a set over the caller's symbols; absent, it always holds. A call
    runs its first callee that holds.

    ```mlir
    #plan.callee<program = @main.version0,
                 when = affine_set<()[s0, s1] : (s1 - 128 == 0)>>
    ```
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$program,
                        OptionalParameter<"::mlir::IntegerSetAttr">:$when);
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif // LATHE_DIALECTS_PLAN_IR_PLANATTRS_TD
