// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --graph-propagate-transposes \
// RUN:   --mlir-print-local-scope | FileCheck %s

// A residual block: the bias and the second branch follow; nothing is left.
// CHECK-LABEL: func.func @elementwise(
// CHECK-NEXT: %[[B:.*]] = graph.constant
// CHECK-NEXT: %[[BIAS:.*]] = graph.reshape %[[B]] to affine_map<()[s0] -> (1, 1, 1, 4)>
// CHECK-NEXT: %[[ADD:.*]] = graph.add %arg0, %[[BIAS]]
// CHECK-NEXT: %[[SUM:.*]] = graph.add %arg1, %[[ADD]]
// CHECK-NEXT: %[[RELU:.*]] = graph.relu %[[SUM]]
// CHECK-NEXT: return %[[RELU]]
func.func @elementwise(%x: tensor<?x5x6x4xf32> {graph.dims =
      affine_map<()[s0] -> (s0, 5, 6, 4)>},
    %y: tensor<?x5x6x4xf32> {graph.dims = affine_map<()[s0] -> (s0, 5, 6, 4)>})
    -> tensor<?x5x6x4xf32> attributes {graph.symbols = ["batch"]} {
  %b = graph.constant dense_resource<b> : tensor<4x1x1xf32> : tensor<4x1x1xf32>
  %0 = graph.transpose %x [0, 3, 1, 2]
    : tensor<?x5x6x4xf32> -> tensor<?x4x5x6xf32>
  %1 = graph.transpose %y [0, 3, 1, 2]
    : tensor<?x5x6x4xf32> -> tensor<?x4x5x6xf32>
  %2 = graph.add %0, %b
    : (tensor<?x4x5x6xf32>, tensor<4x1x1xf32>) -> tensor<?x4x5x6xf32>
  %3 = graph.add %1, %2
    : (tensor<?x4x5x6xf32>, tensor<?x4x5x6xf32>) -> tensor<?x4x5x6xf32>
  %4 = graph.relu %3 : tensor<?x4x5x6xf32>
  %5 = graph.transpose %4 [0, 2, 3, 1]
    : tensor<?x4x5x6xf32> -> tensor<?x5x6x4xf32>
  return %5 : tensor<?x5x6x4xf32>
}

// -----

// An operand in the other order stays, and so does the transpose.
// CHECK-LABEL: func.func @mixed(
// CHECK-NEXT: %[[T:.*]] = graph.transpose %arg0 [1, 0]
// CHECK-NEXT: graph.add %[[T]], %arg1
func.func @mixed(%x: tensor<2x3xf32>, %y: tensor<3x2xf32>) -> tensor<3x2xf32> {
  %0 = graph.transpose %x [1, 0] : tensor<2x3xf32> -> tensor<3x2xf32>
  %1 = graph.add %0, %y
    : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x2xf32>
  return %1 : tensor<3x2xf32>
}

// -----

// A squeeze and excitation block: the pooled channels have any order.
// CHECK-LABEL: func.func @squeeze(
// CHECK-NEXT: %[[MEAN:.*]] = graph.reduce {{ *}}mean %arg0 axes [1, 2] keep
// CHECK-SAME: -> tensor<?x1x1x4xf32>
// CHECK-NOT: graph.transpose
// CHECK: graph.mul %{{.*}}, %arg0
// CHECK-SAME: (tensor<?x1x1x4xf32>, tensor<?x5x6x4xf32>) -> tensor<?x5x6x4xf32>
// CHECK-NEXT: return
func.func @squeeze(%x: tensor<?x5x6x4xf32> {graph.dims =
      affine_map<()[s0] -> (s0, 5, 6, 4)>}) -> tensor<?x5x6x4xf32>
    attributes {graph.symbols = ["batch"]} {
  %0 = graph.transpose %x [0, 3, 1, 2]
    : tensor<?x5x6x4xf32> -> tensor<?x4x5x6xf32>
  %1 = graph.reduce mean %0 axes [2, 3] keep
    : tensor<?x4x5x6xf32> -> tensor<?x4x1x1xf32>
  %2 = graph.logistic %1 : tensor<?x4x1x1xf32>
  %3 = graph.mul %2, %0
    : (tensor<?x4x1x1xf32>, tensor<?x4x5x6xf32>) -> tensor<?x4x5x6xf32>
  %4 = graph.transpose %3 [0, 2, 3, 1]
    : tensor<?x4x5x6xf32> -> tensor<?x5x6x4xf32>
  return %4 : tensor<?x5x6x4xf32>
}

// -----

// CHECK-LABEL: func.func @axes(
// CHECK-NEXT: %[[C:.*]] = graph.constant
// CHECK-NEXT: %[[SUM:.*]] = graph.reduce {{ *}}sum %arg0 axes [0, 2]
// CHECK-SAME: tensor<2x3x4x5xf32> -> tensor<3x5xf32>
// CHECK-NEXT: %[[SUMT:.*]] = graph.transpose %[[SUM]] [1, 0]
// CHECK-NEXT: %[[SOFT:.*]] = graph.softmax %arg0 axis 1
// CHECK-NEXT: %[[CAT:.*]] = graph.concat %[[SOFT]], %arg0 axis 3
// CHECK-NEXT: %[[PAD:.*]] = graph.pad {{ *}}constant %[[CAT]] with %[[C]] low [3, 2, 0, 1] high [0, 0, 4, 0]
// CHECK-NEXT: %[[CUT:.*]] = graph.slice %[[PAD]]
// CHECK-SAME: from affine_map<() -> (2, 1, 3, 0)> size affine_map<() -> (1, 2, 4, 3)> step [2, 1, 1, 3]
// CHECK-NEXT: %[[CUTT:.*]] = graph.transpose %[[CUT]] [3, 1, 0, 2]
// CHECK-NEXT: return %[[SUMT]], %[[CUTT]]
func.func @axes(%x: tensor<2x3x4x5xf32>)
    -> (tensor<5x3xf32>, tensor<3x2x1x4xf32>) {
  %c = graph.constant dense<0.0> : tensor<f32> : tensor<f32>
  %0 = graph.transpose %x [3, 1, 0, 2]
    : tensor<2x3x4x5xf32> -> tensor<5x3x2x4xf32>
  %1 = graph.reduce sum %0 axes [2, 3] : tensor<5x3x2x4xf32> -> tensor<5x3xf32>
  %2 = graph.softmax %0 axis 1 : tensor<5x3x2x4xf32>
  %3 = graph.concat %2, %0 axis 0
    : (tensor<5x3x2x4xf32>, tensor<5x3x2x4xf32>) -> tensor<10x3x2x4xf32>
  %4 = graph.pad constant %3 with %c low [1, 2, 3, 0] high [0, 0, 0, 4]
    : (tensor<10x3x2x4xf32>, tensor<f32>) -> tensor<11x5x5x8xf32>
  %5 = graph.slice %4 from affine_map<() -> (0, 1, 2, 3)>
      size affine_map<() -> (3, 2, 1, 4)> step [3, 1, 2, 1]
    : tensor<11x5x5x8xf32> -> tensor<3x2x1x4xf32>
  return %1, %5 : tensor<5x3xf32>, tensor<3x2x1x4xf32>
}

// -----

// Pixels become tokens and pixels again; dims that merge must be neighbors.
// CHECK-LABEL: func.func @reshape(
// CHECK-NEXT: %[[T:.*]] = graph.transpose %arg0 [0, 3, 1, 2]
// CHECK-NEXT: %[[A:.*]] = graph.reshape %arg0 to affine_map<()[s0] -> (s0, 30, 4)>
// CHECK-NEXT: %[[B:.*]] = graph.reshape %arg0 to affine_map<()[s0] -> (s0, 3, 10, 4)>
// CHECK-NEXT: %[[C:.*]] = graph.reshape %[[T]]
// CHECK-NEXT: return %[[A]], %[[B]], %[[C]]
func.func @reshape(%x: tensor<?x5x6x4xf32> {graph.dims =
      affine_map<()[s0] -> (s0, 5, 6, 4)>})
    -> (tensor<?x30x4xf32>, tensor<?x3x10x4xf32>, tensor<?x20x6xf32>)
    attributes {graph.symbols = ["batch"]} {
  %0 = graph.transpose %x [0, 3, 1, 2]
    : tensor<?x5x6x4xf32> -> tensor<?x4x5x6xf32>
  %1 = graph.reshape %0 to affine_map<()[s0] -> (s0, 4, 30)>
    : tensor<?x4x5x6xf32> -> tensor<?x4x30xf32>
  %2 = graph.transpose %1 [0, 2, 1]
    : tensor<?x4x30xf32> -> tensor<?x30x4xf32>
  %3 = graph.transpose %2 [0, 2, 1]
    : tensor<?x30x4xf32> -> tensor<?x4x30xf32>
  %4 = graph.reshape %3 to affine_map<()[s0] -> (s0, 4, 3, 10)>
    : tensor<?x4x30xf32> -> tensor<?x4x3x10xf32>
  %5 = graph.transpose %4 [0, 2, 3, 1]
    : tensor<?x4x3x10xf32> -> tensor<?x3x10x4xf32>
  %6 = graph.reshape %0 to affine_map<()[s0] -> (s0, 20, 6)>
    : tensor<?x4x5x6xf32> -> tensor<?x20x6xf32>
  return %2, %5, %6
    : tensor<?x30x4xf32>, tensor<?x3x10x4xf32>, tensor<?x20x6xf32>
}

// -----

// CHECK-LABEL: func.func @broadcast(
// CHECK-NEXT: %[[B:.*]] = graph.broadcast %arg0 to affine_map<() -> (7, 2, 3)>
// CHECK-NEXT: graph.transpose %[[B]] [0, 2, 1]
func.func @broadcast(%x: tensor<2x3xf32>) -> tensor<7x3x2xf32> {
  %1 = graph.transpose %x [1, 0] : tensor<2x3xf32> -> tensor<3x2xf32>
  %2 = graph.broadcast %1 to affine_map<() -> (7, 3, 2)>
    : tensor<3x2xf32> -> tensor<7x3x2xf32>
  return %2 : tensor<7x3x2xf32>
}
