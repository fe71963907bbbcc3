// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-decompose --canonicalize \
// RUN:   --mlir-print-local-scope --split-input-file | FileCheck %s
//
// Numbers: test/lib/Pipeline/onnx-operators.test (AveragePool with dilations,
// ConvInteger, QLinearConv) and benchmarks/zoo.py (patches).

// Patches are a view; what is left over at the border is not read.
// CHECK-LABEL: func.func @patches(
// CHECK: graph.slice %arg0 {{.*}} -> tensor<?x3x9x8xf32>
// CHECK: graph.slice %{{.*}} -> tensor<?x3x8x4x2xf32>
// CHECK: graph.transpose %{{.*}} [0, 3, 5, 1, 2, 4, 6]
// CHECK: graph.matmul %{{.*}} : (tensor<?x4x4x12xf32>, tensor<12x5xf32>) -> tensor<?x4x4x5xf32>
// CHECK: graph.transpose %{{.*}} [0, 3, 1, 2]
func.func @patches(%x: tensor<?x3x9x9xf32>) -> tensor<?x5x4x4xf32> {
  %w = graph.constant dense_resource<w> : tensor<5x3x2x2xf32>
    : tensor<5x3x2x2xf32>
  %0 = graph.conv %x, %w strides [2, 2] dilations [1, 1] pads [0, 0, 0, 0]
      groups 1
    : (tensor<?x3x9x9xf32>, tensor<5x3x2x2xf32>) -> tensor<?x5x4x4xf32>
  return %0 : tensor<?x5x4x4xf32>
}

// -----

// Kernels compute these as they are.
// CHECK-LABEL: func.func @kept(
// CHECK: graph.conv
// CHECK: graph.conv
// CHECK: graph.pool
// CHECK: graph.pool
func.func @kept(%x: tensor<2x4x8x8xf32>, %w: tensor<5x4x3x3xf32>,
                %p: tensor<5x4x1x1xf32>)
    -> (tensor<2x5x6x6xf32>, tensor<2x5x8x8xf32>, tensor<2x4x4x4xf32>,
        tensor<2x4x4x4xf32>) {
  %0 = graph.conv %x, %w strides [1, 1] dilations [1, 1] pads [0, 0, 0, 0]
      groups 1
    : (tensor<2x4x8x8xf32>, tensor<5x4x3x3xf32>) -> tensor<2x5x6x6xf32>
  %1 = graph.conv %x, %p strides [1, 1] dilations [1, 1] pads [0, 0, 0, 0]
      groups 1
    : (tensor<2x4x8x8xf32>, tensor<5x4x1x1xf32>) -> tensor<2x5x8x8xf32>
  %2 = graph.pool max %x kernel [3, 3] strides [2, 2] dilations [1, 1]
      pads [1, 1, 1, 1] : tensor<2x4x8x8xf32> -> tensor<2x4x4x4xf32>
  %3 = graph.pool mean %x kernel [2, 2] strides [2, 2] dilations [1, 1]
      pads [0, 0, 0, 0] : tensor<2x4x8x8xf32> -> tensor<2x4x4x4xf32>
  return %0, %1, %2, %3
    : tensor<2x5x6x6xf32>, tensor<2x5x8x8xf32>, tensor<2x4x4x4xf32>,
      tensor<2x4x4x4xf32>
}

// -----

// Integers: windows are gathered, groups are batches of a product.
// CHECK-LABEL: func.func @integers(
// CHECK-COUNT-2: graph.gather
// CHECK: graph.matmul %{{.*}} : (tensor<1x2x36x18xi32>, tensor<2x18x3xi32>) -> tensor<1x2x36x3xi32>
// CHECK: graph.transpose %{{.*}} -> tensor<1x6x6x6xi32>
func.func @integers(%x: tensor<1x4x6x6xi32>, %w: tensor<6x2x3x3xi32>)
    -> tensor<1x6x6x6xi32> {
  %0 = graph.conv %x, %w strides [1, 1] dilations [1, 1] pads [1, 1, 1, 1]
      groups 2
    : (tensor<1x4x6x6xi32>, tensor<6x2x3x3xi32>) -> tensor<1x6x6x6xi32>
  return %0 : tensor<1x6x6x6xi32>
}

// -----

// CHECK-LABEL: func.func @channels_last(
// CHECK: graph.matmul %{{.*}} : (tensor<2x3x3x36xi32>, tensor<36x5xi32>) -> tensor<2x3x3x5xi32>
func.func @channels_last(%x: tensor<2x7x7x4xi32>, %w: tensor<3x3x4x5xi32>)
    -> tensor<2x3x3x5xi32> {
  %0 = graph.conv %x, %w strides [2, 2] dilations [1, 1] pads [0, 0, 0, 0]
      groups 1 channels_last
    : (tensor<2x7x7x4xi32>, tensor<3x3x4x5xi32>) -> tensor<2x3x3x5xi32>
  return %0 : tensor<2x3x3x5xi32>
}

// -----

// A mean over dilated windows divides by what lies inside.
// CHECK-LABEL: func.func @pools(
// CHECK: graph.pad constant %arg0 with %{{.*}} low [0, 0, 1, 1] high [0, 0, 1, 1]
// CHECK-COUNT-2: graph.gather
// CHECK: graph.reduce sum %{{.*}} axes [3, 5]
// CHECK: graph.reduce sum %{{.*}} axes [3, 5]
// CHECK: graph.div
// CHECK: graph.reshape %arg1 {{.*}} -> tensor<1x2x4x2x4x2xi8>
// CHECK: graph.reduce max %{{.*}} axes [3, 5]
// CHECK: graph.pad constant %arg1
func.func @pools(%x: tensor<1x2x8x8xf32>, %i: tensor<1x2x8x8xi8>)
    -> (tensor<1x2x6x6xf32>, tensor<1x2x4x4xi8>, tensor<1x2x5x5xi8>) {
  %0 = graph.pool mean %x kernel [3, 3] strides [1, 1] dilations [2, 2]
      pads [1, 1, 1, 1] : tensor<1x2x8x8xf32> -> tensor<1x2x6x6xf32>
  %1 = graph.pool max %i kernel [2, 2] strides [2, 2] dilations [1, 1]
      pads [0, 0, 0, 0] : tensor<1x2x8x8xi8> -> tensor<1x2x4x4xi8>
  %2 = graph.pool max %i kernel [2, 2] strides [2, 2] dilations [1, 1]
      pads [1, 1, 1, 1] : tensor<1x2x8x8xi8> -> tensor<1x2x5x5xi8>
  return %0, %1, %2
    : tensor<1x2x6x6xf32>, tensor<1x2x4x4xi8>, tensor<1x2x5x5xi8>
}

// -----

// Positions in the flattened input.
// CHECK-LABEL: func.func @gather_elements(
// CHECK-NOT: graph.slice
// CHECK-DAG: %[[FLAT:.*]] = graph.reshape %arg0 {{.*}} -> tensor<20xf32>
// CHECK-DAG: graph.iota 0
// CHECK: graph.gather %[[FLAT]], %{{.*}} axis 0 : (tensor<20xf32>, tensor<3x4xi64>) -> tensor<3x4xf32>
func.func @gather_elements(%x: tensor<5x4xf32>, %i: tensor<3x4xi64>)
    -> tensor<3x4xf32> {
  %y = graph.gather_elements %x, %i axis 0
    : (tensor<5x4xf32>, tensor<3x4xi64>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}
