// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `plan` dialect: what the host does to run a model.

#ifndef LATHE_DIALECTS_PLAN_IR_PLANDIALECT_TD
#define LATHE_DIALECTS_PLAN_IR_PLANDIALECT_TD

include "mlir/IR/OpBase.td"

def Plan_Dialect : Dialect {
  let name = "plan";
  let summary = "The host side: buffers, symbols, launches";
  let description = [{
    A `plan.program` is a list of steps over buffers whose dims are affine
    expressions of the program's symbols. It maps one to one onto the bundle
    (runtime/bundle/bundle.fbs) and is what the executor runs. Memory is not
    assigned here: a buffer's life is from its first to its last use, and the
    runtime packs live buffers into one arena once it knows the symbols.

    ```mlir
    plan.program @main symbols ["batch", "seq"] inputs ["x"] outputs ["y"]
        (%x: !plan.buffer<f32, ()[s0, s1] -> (s0, s1, 384)>) {
      %w = plan.constant dense_resource<w> : tensor<384x1536xf32>
        pack <blocks = [1, 64], outer = [1, 0], inner = [1, 0]>
        : !plan.buffer<f32, ()[s0, s1] -> (24, 384, 64, 1)>
      %y = plan.alloc : !plan.buffer<f32, ()[s0, s1] -> (s0, s1, 1536)>
      plan.launch [#plan.choice<kernel = @linear,
          grid = affine_map<()[s0, s1] -> ((s0 * s1) ceildiv 6, 24, 1)>>]
        scalars affine_map<()[s0, s1] -> (s0 * s1)>
        reads (%x, %w) writes (%y) label "encoder.0.ffn.in" : ...
      plan.return %y : ...
    }
    ```

    The dialect refuses to model: how a kernel works, and addresses.
  }];
  let cppNamespace = "::lathe::plan";
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

#endif // LATHE_DIALECTS_PLAN_IR_PLANDIALECT_TD
