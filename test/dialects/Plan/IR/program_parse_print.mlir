// RUN: lathe-opt %s | lathe-opt | FileCheck %s

tile.kernel @linear(%x: !tile.buffer<f32>, %w: !tile.buffer<f32>,
                    %y: !tile.buffer<f32> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [6, 64]> {
  tile.return
}

// CHECK-LABEL: plan.program @main symbols ["batch", "seq"] inputs ["x"]
// CHECK-SAME: outputs ["y"]
plan.program @main symbols ["batch", "seq"] inputs ["x"] outputs ["y"]
    (%x: !plan.buffer<f32, ()[s0, s1] -> (s0, s1, 4)>) {
  // CHECK: plan.check
  plan.check affine_set<()[s0, s1] : (-s1 + 512 >= 0)>
    message "seq must be at most 512"
  // CHECK: plan.constant dense<1.000000e+00> : tensor<4x8xf32>
  // CHECK-SAME: pack <blocks = [1, 64], outer = [1, 0], inner = [1, 0]>
  %w = plan.constant dense<1.0> : tensor<4x8xf32>
    pack <blocks = [1, 64], outer = [1, 0], inner = [1, 0]> label "ffn.weight"
    : !plan.buffer<f32, () -> (1, 4, 64, 1)>
  // CHECK: plan.constant
  // CHECK-SAME: pack <blocks = [1, 64, 1, 1], outer = [2, 3, 1, 0], inner = [2, 3, 1, 0], winograd = [4, 2, 3]>
  %f = plan.constant dense<1.0> : tensor<4x8x3x3xf32>
    pack <blocks = [1, 64, 1, 1], outer = [2, 3, 1, 0], inner = [2, 3, 1, 0],
          winograd = [4, 2, 3]>
    : !plan.buffer<f32, () -> (6, 6, 1, 4, 1, 1, 64, 1)>
  // CHECK: plan.alloc
  %y = plan.alloc : !plan.buffer<f32, ()[s0, s1] -> (s0, s1, 8)>
  // CHECK: plan.launch [#plan.choice<kernel = @linear
  plan.launch [#plan.choice<kernel = @linear,
                 grid = ()[s0, s1] -> ((s0 * s1) ceildiv 6, 1, 1)>]
    scalars affine_map<()[s0, s1] -> (s0 * s1)>
    reads (%x, %w) writes (%y) label "ffn"
    flops affine_map<()[s0, s1] -> (s0 * s1 * 64)>
    : (!plan.buffer<f32, ()[s0, s1] -> (s0, s1, 4)>,
       !plan.buffer<f32, () -> (1, 4, 64, 1)>)
    -> (!plan.buffer<f32, ()[s0, s1] -> (s0, s1, 8)>)
  // CHECK: plan.alias
  %z = plan.alias %y : !plan.buffer<f32, ()[s0, s1] -> (s0, s1, 8)>
    -> !plan.buffer<f32, ()[s0, s1] -> (s0 * s1, 8)>
  // CHECK: plan.return
  plan.return %z : !plan.buffer<f32, ()[s0, s1] -> (s0 * s1, 8)>
}
