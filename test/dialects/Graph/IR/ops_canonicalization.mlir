// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --canonicalize --mlir-print-local-scope | FileCheck %s

// CHECK-LABEL: func.func @neutral(
// CHECK-NEXT: return %arg0, %arg1
func.func @neutral(%x: tensor<?x4xf32>, %i: tensor<4xi64>)
    -> (tensor<?x4xf32>, tensor<4xi64>) {
  %one = graph.constant dense<1.0> : tensor<f32> : tensor<f32>
  %zero = graph.constant dense<0> : tensor<i64> : tensor<i64>
  %0 = graph.mul %x, %one : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %1 = graph.div %0, %one : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %2 = graph.add %i, %zero : (tensor<4xi64>, tensor<i64>) -> tensor<4xi64>
  return %1, %2 : tensor<?x4xf32>, tensor<4xi64>
}

// A float plus zero stays: it would make 0 of -0.
// CHECK-LABEL: func.func @negative_zero(
// CHECK: graph.add
func.func @negative_zero(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32> : tensor<f32>
  %0 = graph.add %x, %zero : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// CHECK-LABEL: func.func @views(
// CHECK-NEXT: %[[R:.*]] = graph.reshape %arg0 to affine_map<() -> (24)>
// CHECK-NEXT: %[[T:.*]] = graph.transpose %arg0 [2, 1, 0]
// CHECK-NEXT: return %[[R]], %[[T]], %arg0
func.func @views(%x: tensor<2x3x4xf32>)
    -> (tensor<24xf32>, tensor<4x3x2xf32>, tensor<2x3x4xf32>) {
  %0 = graph.reshape %x to affine_map<() -> (6, 4)>
    : tensor<2x3x4xf32> -> tensor<6x4xf32>
  %1 = graph.reshape %0 to affine_map<() -> (24)>
    : tensor<6x4xf32> -> tensor<24xf32>
  %2 = graph.transpose %x [2, 0, 1]
    : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
  %3 = graph.transpose %2 [0, 2, 1]
    : tensor<4x2x3xf32> -> tensor<4x3x2xf32>
  %4 = graph.slice %x from affine_map<() -> (0, 0, 0)>
      size affine_map<() -> (2, 3, 4)> step [1, 1, 1]
    : tensor<2x3x4xf32> -> tensor<2x3x4xf32>
  return %1, %3, %4 : tensor<24xf32>, tensor<4x3x2xf32>, tensor<2x3x4xf32>
}

// CHECK-LABEL: func.func @constants(
// CHECK-DAG: graph.constant dense<7> : tensor<i64>
// CHECK-DAG: graph.constant dense_resource<w> : tensor<12xf32>
// CHECK-NOT: graph.reshape
func.func @constants(%x: tensor<?x7xf32>) -> (tensor<i64>, tensor<12xf32>) {
  %w = graph.constant dense_resource<w> : tensor<3x4xf32> : tensor<3x4xf32>
  %0 = graph.dim %x, 1 : tensor<?x7xf32> -> tensor<i64>
  %1 = graph.reshape %w to affine_map<() -> (12)>
    : tensor<3x4xf32> -> tensor<12xf32>
  return %0, %1 : tensor<i64>, tensor<12xf32>
}
