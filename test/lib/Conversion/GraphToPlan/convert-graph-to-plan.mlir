// RUN: lathe-opt %s --split-input-file --convert-graph-to-plan | FileCheck %s

// A group becomes a launch; its splat constant is an immediate of the kernel,
// the other one a constant of the plan.

// CHECK-LABEL: plan.program @group symbols ["n"] inputs ["x"] outputs ["y"]
// CHECK: %[[BIAS:.*]] = plan.constant dense<{{.*}}> : tensor<4xf32>
// CHECK: %[[Y:.*]] = plan.alloc
// CHECK: plan.launch [#plan.choice<kernel = @mul_add_[[NAME:.*]], grid = ()[s0] -> (s0 ceildiv 4096, 4, 1)>]
// CHECK-SAME: reads(%{{.*}}, %[[BIAS]]) writes(%[[Y]]) label "node"
// CHECK: plan.return %[[Y]]
// CHECK: tile.kernel @mul_add_[[NAME]]
// CHECK: arith.constant dense<2.000000e+00> : tensor<64xf32>
func.func @group(%x: tensor<?x4xf32> {graph.name = "x",
      graph.dims = affine_map<()[s0] -> (s0, 4)>})
    -> (tensor<?x4xf32> {graph.name = "y"})
    attributes {graph.symbols = ["n"]} {
  %two = graph.constant dense<2.0> : tensor<f32> : tensor<f32>
  %bias = graph.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    : tensor<4xf32>
  %y = graph.group pointwise (%a = %x, %b = %bias, %c = %two)
      : (tensor<?x4xf32>, tensor<4xf32>, tensor<f32>) -> tensor<?x4xf32> {
    %0 = graph.mul %a, %c : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
    %1 = graph.add %0, %b : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    graph.yield %1 : tensor<?x4xf32>
  } loc("node")
  return %y : tensor<?x4xf32>
}

// -----

// What moves nothing is an alias; an output that is an input, and the second
// of two equal outputs, are copied. Both copies are one kernel.

// CHECK-LABEL: plan.program @alias
// CHECK: %[[FLAT:.*]] = plan.alias %[[X:.*]] : <f32, ()[s0] -> (s0, 6)> -> <f32, ()[s0] -> (s0 * 6)>
// CHECK: %[[TAIL:.*]] = plan.alias %{{.*}} offset #{{.*}} : <f32, ()[s0] -> (4, 4)> -> <f32, ()[s0] -> (2, 4)>
// CHECK: plan.launch [#plan.choice<kernel = @[[NEG:neg_n]]
// CHECK: plan.launch [#plan.choice<kernel = @[[COPY:copy_n]]
// CHECK: plan.launch [#plan.choice<kernel = @[[COPY]]
// CHECK: plan.return
// CHECK: tile.kernel @neg
// CHECK: tile.kernel @copy
// CHECK-NOT: tile.kernel @copy_n_2
func.func @alias(%x: tensor<?x6xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 6)>}, %w: tensor<4x4xf32>)
    -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<2x4xf32>)
    attributes {graph.symbols = ["n"]} {
  %flat = graph.reshape %x to affine_map<()[s0] -> (s0 * 6)>
    : tensor<?x6xf32> -> tensor<?xf32>
  %tail = graph.slice %w from affine_map<()[s0] -> (2, 0)>
    size affine_map<()[s0] -> (2, 4)> step [1, 1]
    : tensor<4x4xf32> -> tensor<2x4xf32>
  %y = graph.neg %flat : tensor<?xf32>
  return %flat, %y, %y, %tail
    : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<2x4xf32>
}

// -----

// Requirements that shape inference could not decide are checked before
// anything runs.

// CHECK: #[[SET:.*]] = affine_set<()[s0] : (-s0 + 512 >= 0)>
// CHECK-LABEL: plan.program @check
// CHECK-NEXT: plan.check #[[SET]] message "graph.slice: the window must lie in dim 0"
func.func @check(%p: tensor<512x8xf32>, %x: tensor<?x8xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 8)>}) -> tensor<?x8xf32>
    attributes {graph.symbols = ["seq"]} {
  %w = graph.slice %p from affine_map<()[s0] -> (0, 0)>
    size affine_map<()[s0] -> (s0, 8)> step [1, 1]
    : tensor<512x8xf32> -> tensor<?x8xf32>
  %y = graph.add %x, %w : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: plan.program @builtin
// CHECK: plan.builtin "top_k" reads(%{{.*}}) writes(%{{.*}}, %{{.*}}) options {axis = 0 : i64} label "best"
func.func @builtin(%x: tensor<9xf32>, %k: tensor<1xi64>)
    -> (tensor<3xf32>, tensor<3xi64>) {
  %v, %i = graph.builtin "top_k" (%x, %k) {axis = 0 : i64}
    : (tensor<9xf32>, tensor<1xi64>) -> (tensor<3xf32>, tensor<3xi64>) loc("best")
  return %v, %i : tensor<3xf32>, tensor<3xi64>
}
