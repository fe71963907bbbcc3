// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-recognize-rotary --mlir-print-local-scope \
// RUN:   --split-input-file | FileCheck %s

// transformers: x * cos + rotate_half(x) * sin, with tables as wide as heads.
// CHECK-LABEL: func.func @rotate_half(
// CHECK-NOT: graph.concat
// CHECK: %[[X:.*]] = graph.reshape %arg0 {{.*}} -> tensor<2x3x?x2x4xf32>
// CHECK: %[[Q:.*]] = graph.slice %[[X]] from affine_map<{{.*}} -> (0, 0, 0, 1, 0)>
// CHECK-SAME: step [1, 1, 1, -1, 1]
// CHECK: %[[SIGNS:.*]] = graph.constant dense<{{\[\[}}-1.{{.*}}], [1.{{.*}}]]>
// CHECK: %[[C:.*]] = graph.reshape %arg1 {{.*}} -> tensor<1x1x?x2x4xf32>
// CHECK: %[[A:.*]] = graph.mul %[[X]], %[[C]]
// CHECK: %[[N:.*]] = graph.mul %[[Q]], %[[SIGNS]]
// CHECK: %[[S:.*]] = graph.reshape %arg2 {{.*}} -> tensor<1x1x?x2x4xf32>
// CHECK: %[[B:.*]] = graph.mul %[[N]], %[[S]]
// CHECK: %[[Y:.*]] = graph.add %[[A]], %[[B]]
// CHECK: %[[R:.*]] = graph.reshape %[[Y]] {{.*}} -> tensor<2x3x?x8xf32>
// CHECK: return %[[R]]
func.func @rotate_half(
    %x: tensor<2x3x?x8xf32> {graph.dims = affine_map<()[s0] -> (2, 3, s0, 8)>},
    %c: tensor<1x1x?x8xf32> {graph.dims = affine_map<()[s0] -> (1, 1, s0, 8)>},
    %s: tensor<1x1x?x8xf32> {graph.dims = affine_map<()[s0] -> (1, 1, s0, 8)>})
    -> tensor<2x3x?x8xf32> attributes {graph.symbols = ["seq"]} {
  %a = graph.slice %x from affine_map<()[s0] -> (0, 0, 0, 0)>
      size affine_map<()[s0] -> (2, 3, s0, 4)> step [1, 1, 1, 1]
    : tensor<2x3x?x8xf32> -> tensor<2x3x?x4xf32>
  %b = graph.slice %x from affine_map<()[s0] -> (0, 0, 0, 4)>
      size affine_map<()[s0] -> (2, 3, s0, 4)> step [1, 1, 1, 1]
    : tensor<2x3x?x8xf32> -> tensor<2x3x?x4xf32>
  %n = graph.neg %b : tensor<2x3x?x4xf32>
  %r = graph.concat %n, %a axis 3
    : (tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>) -> tensor<2x3x?x8xf32>
  %0 = graph.mul %x, %c
    : (tensor<2x3x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<2x3x?x8xf32>
  %1 = graph.mul %r, %s
    : (tensor<2x3x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<2x3x?x8xf32>
  %2 = graph.add %0, %1
    : (tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32>) -> tensor<2x3x?x8xf32>
  return %2 : tensor<2x3x?x8xf32>
}

// -----

// Operands in any order; a negation spelled as a factor.
// CHECK-LABEL: func.func @commuted(
// CHECK-NOT: graph.concat
// CHECK: step [1, -1, 1]
// CHECK: graph.reshape %{{.*}} -> tensor<5x8xf32>
func.func @commuted(%x: tensor<5x8xf32>, %c: tensor<5x8xf32>,
                    %s: tensor<5x8xf32>) -> tensor<5x8xf32> {
  %minus = graph.constant dense<-1.0> : tensor<f32> : tensor<f32>
  %a = graph.slice %x from affine_map<() -> (0, 0)>
      size affine_map<() -> (5, 4)> step [1, 1]
    : tensor<5x8xf32> -> tensor<5x4xf32>
  %b = graph.slice %x from affine_map<() -> (0, 4)>
      size affine_map<() -> (5, 4)> step [1, 1]
    : tensor<5x8xf32> -> tensor<5x4xf32>
  %n = graph.mul %minus, %b
    : (tensor<f32>, tensor<5x4xf32>) -> tensor<5x4xf32>
  %r = graph.concat %n, %a axis 1
    : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x8xf32>
  %1 = graph.mul %s, %r
    : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
  %0 = graph.mul %c, %x
    : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
  %2 = graph.add %1, %0
    : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
  return %2 : tensor<5x8xf32>
}

// -----

// ONNX RotaryEmbedding as it is imported: tables of half the width.
// CHECK-LABEL: func.func @halves(
// CHECK-NOT: graph.concat
// CHECK: graph.reshape %arg0 {{.*}} -> tensor<1x5x3x2x4xf32>
// CHECK: graph.slice {{.*}} step [1, 1, 1, -1, 1]
// CHECK: graph.reshape %arg1 {{.*}} -> tensor<1x5x1x1x4xf32>
// CHECK: graph.reshape %arg2 {{.*}} -> tensor<1x5x1x1x4xf32>
// CHECK: graph.reshape %{{.*}} -> tensor<1x5x3x8xf32>
func.func @halves(%x: tensor<1x5x3x8xf32>, %c: tensor<1x5x1x4xf32>,
                  %s: tensor<1x5x1x4xf32>) -> tensor<1x5x3x8xf32> {
  %a = graph.slice %x from affine_map<() -> (0, 0, 0, 0)>
      size affine_map<() -> (1, 5, 3, 4)> step [1, 1, 1, 1]
    : tensor<1x5x3x8xf32> -> tensor<1x5x3x4xf32>
  %b = graph.slice %x from affine_map<() -> (0, 0, 0, 4)>
      size affine_map<() -> (1, 5, 3, 4)> step [1, 1, 1, 1]
    : tensor<1x5x3x8xf32> -> tensor<1x5x3x4xf32>
  %ac = graph.mul %c, %a
    : (tensor<1x5x1x4xf32>, tensor<1x5x3x4xf32>) -> tensor<1x5x3x4xf32>
  %bs = graph.mul %s, %b
    : (tensor<1x5x1x4xf32>, tensor<1x5x3x4xf32>) -> tensor<1x5x3x4xf32>
  %as = graph.mul %s, %a
    : (tensor<1x5x1x4xf32>, tensor<1x5x3x4xf32>) -> tensor<1x5x3x4xf32>
  %bc = graph.mul %c, %b
    : (tensor<1x5x1x4xf32>, tensor<1x5x3x4xf32>) -> tensor<1x5x3x4xf32>
  %real = graph.sub %ac, %bs
    : (tensor<1x5x3x4xf32>, tensor<1x5x3x4xf32>) -> tensor<1x5x3x4xf32>
  %imaginary = graph.add %as, %bc
    : (tensor<1x5x3x4xf32>, tensor<1x5x3x4xf32>) -> tensor<1x5x3x4xf32>
  %y = graph.concat %real, %imaginary axis 3
    : (tensor<1x5x3x4xf32>, tensor<1x5x3x4xf32>) -> tensor<1x5x3x8xf32>
  return %y : tensor<1x5x3x8xf32>
}

// -----

// Not a rotation: the halves keep their places.
// CHECK-LABEL: func.func @same_order(
// CHECK: graph.concat
func.func @same_order(%x: tensor<5x8xf32>, %c: tensor<5x8xf32>,
                      %s: tensor<5x8xf32>) -> tensor<5x8xf32> {
  %a = graph.slice %x from affine_map<() -> (0, 0)>
      size affine_map<() -> (5, 4)> step [1, 1]
    : tensor<5x8xf32> -> tensor<5x4xf32>
  %b = graph.slice %x from affine_map<() -> (0, 4)>
      size affine_map<() -> (5, 4)> step [1, 1]
    : tensor<5x8xf32> -> tensor<5x4xf32>
  %n = graph.neg %a : tensor<5x4xf32>
  %r = graph.concat %n, %b axis 1
    : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x8xf32>
  %0 = graph.mul %x, %c
    : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
  %1 = graph.mul %r, %s
    : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
  %2 = graph.add %0, %1
    : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
  return %2 : tensor<5x8xf32>
}

// -----

// Integers turn by no angle.
// CHECK-LABEL: func.func @integers(
// CHECK: graph.concat
func.func @integers(
    %x: tensor<2x3x?x8xi32> {graph.dims = affine_map<()[s0] -> (2, 3, s0, 8)>},
    %c: tensor<1x1x?x8xi32> {graph.dims = affine_map<()[s0] -> (1, 1, s0, 8)>},
    %s: tensor<1x1x?x8xi32> {graph.dims = affine_map<()[s0] -> (1, 1, s0, 8)>})
    -> tensor<2x3x?x8xi32> attributes {graph.symbols = ["seq"]} {
  %a = graph.slice %x from affine_map<()[s0] -> (0, 0, 0, 0)>
      size affine_map<()[s0] -> (2, 3, s0, 4)> step [1, 1, 1, 1]
    : tensor<2x3x?x8xi32> -> tensor<2x3x?x4xi32>
  %b = graph.slice %x from affine_map<()[s0] -> (0, 0, 0, 4)>
      size affine_map<()[s0] -> (2, 3, s0, 4)> step [1, 1, 1, 1]
    : tensor<2x3x?x8xi32> -> tensor<2x3x?x4xi32>
  %n = graph.neg %b : tensor<2x3x?x4xi32>
  %r = graph.concat %n, %a axis 3
    : (tensor<2x3x?x4xi32>, tensor<2x3x?x4xi32>) -> tensor<2x3x?x8xi32>
  %0 = graph.mul %x, %c
    : (tensor<2x3x?x8xi32>, tensor<1x1x?x8xi32>) -> tensor<2x3x?x8xi32>
  %1 = graph.mul %r, %s
    : (tensor<2x3x?x8xi32>, tensor<1x1x?x8xi32>) -> tensor<2x3x?x8xi32>
  %2 = graph.add %0, %1
    : (tensor<2x3x?x8xi32>, tensor<2x3x?x8xi32>) -> tensor<2x3x?x8xi32>
  return %2 : tensor<2x3x?x8xi32>
}
