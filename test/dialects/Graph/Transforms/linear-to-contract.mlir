// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-linear-to-contract | FileCheck %s

// CHECK-LABEL: func.func @linear(
// CHECK: graph.contract %arg0, %{{.*}} [#graph.branch<>]
// CHECK: %[[T:.*]] = graph.transpose
// CHECK: graph.contract %arg0, %[[T]] [#graph.branch<>]
// A product of two computed values stays.
// CHECK: graph.matmul %arg0, %arg1
func.func @linear(%x: tensor<?x8xf32>, %y: tensor<8x3xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x3xf32>) {
  %w = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
  %v = graph.constant dense_resource<v> : tensor<4x8xf32> : tensor<4x8xf32>
  %0 = graph.matmul %x, %w
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %t = graph.transpose %v [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  %1 = graph.matmul %x, %t
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %2 = graph.matmul %x, %y
    : (tensor<?x8xf32>, tensor<8x3xf32>) -> tensor<?x3xf32>
  return %0, %1, %2 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x3xf32>
}
