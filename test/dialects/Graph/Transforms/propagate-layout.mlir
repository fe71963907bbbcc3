// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --graph-propagate-layout \
// RUN:   --mlir-print-local-scope | FileCheck %s

// CHECK-LABEL: func.func @conv(
// CHECK-DAG: %[[X:.*]] = graph.transpose %arg0 [0, 2, 3, 1]
// CHECK-DAG: %[[W:.*]] = graph.transpose %{{.*}} [2, 3, 1, 0] : tensor<6x2x3x3xf32> -> tensor<3x3x2x6xf32>
// CHECK: %[[Y:.*]] = graph.conv %[[X]], %[[W]] strides [2, 1] dilations [1, 1]
// CHECK-SAME: pads [1, 0, 1, 2] groups 2 channels_last
// CHECK-SAME: -> tensor<?x4x9x6xf32>
// CHECK: %[[R:.*]] = graph.transpose %[[Y]] [0, 3, 1, 2]
// CHECK: return %[[R]] : tensor<?x6x4x9xf32>
func.func @conv(%x: tensor<?x4x8x9xf32> {graph.dims =
      affine_map<()[s0] -> (s0, 4, 8, 9)>}) -> tensor<?x6x4x9xf32>
    attributes {graph.symbols = ["batch"]} {
  %w = graph.constant dense_resource<w> : tensor<6x2x3x3xf32>
    : tensor<6x2x3x3xf32>
  %0 = graph.conv %x, %w strides [2, 1] dilations [1, 1] pads [1, 0, 1, 2]
      groups 2
    : (tensor<?x4x8x9xf32>, tensor<6x2x3x3xf32>) -> tensor<?x6x4x9xf32>
  return %0 : tensor<?x6x4x9xf32>
}

// -----

// One element: a product, of every second pixel where it moves by two. Not so
// with padding, groups or a computed weight.
// CHECK-LABEL: func.func @linear(
// CHECK: %[[X:.*]] = graph.transpose %arg0 [0, 2, 1]
// CHECK: %[[M:.*]] = graph.reshape %{{.*}} to affine_map<() -> (6, 4)>
// CHECK: %[[W:.*]] = graph.transpose %[[M]] [1, 0]
// CHECK: %[[Y:.*]] = graph.contract %[[X]], %[[W]] [#graph.branch<>]
// CHECK-SAME: -> tensor<1x8x6xf32>
// CHECK: graph.transpose %[[Y]] [0, 2, 1]
// CHECK: %[[S:.*]] = graph.slice %{{.*}} from affine_map<() -> (0, 0, 0)>
// CHECK-SAME: size affine_map<() -> (1, 4, 4)> step [1, 2, 1]
// CHECK: graph.contract %[[S]], {{.*}} -> tensor<1x4x6xf32>
// CHECK: graph.conv {{.*}} pads [1, 1] groups 1 channels_last
// CHECK: graph.conv {{.*}} groups 2 channels_last
// CHECK: graph.conv {{.*}} groups 1 channels_last
func.func @linear(%x: tensor<1x4x8xf32>, %v: tensor<6x4x1xf32>)
    -> (tensor<1x6x8xf32>, tensor<1x6x4xf32>, tensor<1x6x10xf32>,
        tensor<1x6x8xf32>, tensor<1x6x8xf32>) {
  %w = graph.constant dense_resource<w> : tensor<6x4x1xf32> : tensor<6x4x1xf32>
  %u = graph.constant dense_resource<u> : tensor<6x2x1xf32> : tensor<6x2x1xf32>
  %0 = graph.conv %x, %w strides [1] dilations [1] pads [0, 0] groups 1
    : (tensor<1x4x8xf32>, tensor<6x4x1xf32>) -> tensor<1x6x8xf32>
  %1 = graph.conv %x, %w strides [2] dilations [1] pads [0, 0] groups 1
    : (tensor<1x4x8xf32>, tensor<6x4x1xf32>) -> tensor<1x6x4xf32>
  %2 = graph.conv %x, %w strides [1] dilations [1] pads [1, 1] groups 1
    : (tensor<1x4x8xf32>, tensor<6x4x1xf32>) -> tensor<1x6x10xf32>
  %3 = graph.conv %x, %u strides [1] dilations [1] pads [0, 0] groups 2
    : (tensor<1x4x8xf32>, tensor<6x2x1xf32>) -> tensor<1x6x8xf32>
  %4 = graph.conv %x, %v strides [1] dilations [1] pads [0, 0] groups 1
    : (tensor<1x4x8xf32>, tensor<6x4x1xf32>) -> tensor<1x6x8xf32>
  return %0, %1, %2, %3, %4 : tensor<1x6x8xf32>, tensor<1x6x4xf32>,
    tensor<1x6x10xf32>, tensor<1x6x8xf32>, tensor<1x6x8xf32>
}

// -----

// CHECK-LABEL: func.func @pool(
// CHECK: %[[X:.*]] = graph.transpose %arg0 [0, 2, 3, 1]
// CHECK: %[[Y:.*]] = graph.pool mean %[[X]] kernel [3, 3] strides [2, 2]
// CHECK-SAME: pads [0, 0, 1, 1] ceil include_pad channels_last
// CHECK: graph.transpose %[[Y]] [0, 3, 1, 2]
func.func @pool(%x: tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32> {
  %0 = graph.pool mean %x kernel [3, 3] strides [2, 2] dilations [1, 1]
      pads [0, 0, 1, 1] ceil include_pad
    : tensor<1x4x8x8xf32> -> tensor<1x4x4x4xf32>
  return %0 : tensor<1x4x4x4xf32>
}

// -----

// CHECK-LABEL: func.func @already(
// CHECK-NOT: graph.transpose
func.func @already(%x: tensor<1x8x8x4xf32>) -> tensor<1x7x7x4xf32> {
  %0 = graph.pool max %x kernel [2, 2] strides [1, 1] dilations [1, 1]
      pads [0, 0, 0, 0] channels_last
    : tensor<1x8x8x4xf32> -> tensor<1x7x7x4xf32>
  return %0 : tensor<1x7x7x4xf32>
}
