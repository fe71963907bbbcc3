// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_PLAN_IR_PLANTYPES_TD
#define LATHE_DIALECTS_PLAN_IR_PLANTYPES_TD

include "dialects/Plan/IR/PlanDialect.td"
include "mlir/IR/AttrTypeBase.td"

def Plan_BufferType : TypeDef<Plan_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "Contiguous row-major memory, dims affine over the symbols";
  let description = [{
    ```mlir
    !plan.buffer<f32, ()[s0, s1] -> (s0, s1, 384)>
    ```
  }];
  let parameters = (ins "::mlir::Type":$elementType, "::mlir::AffineMap":$dims);
  let assemblyFormat = "`<` $elementType `,` $dims `>`";
}

#endif // LATHE_DIALECTS_PLAN_IR_PLANTYPES_TD
