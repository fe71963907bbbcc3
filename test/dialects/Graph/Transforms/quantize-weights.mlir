// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-quantize-weights=min-elements=16 | FileCheck %s
// RUN: lathe-opt %s \
// RUN:   --graph-quantize-weights="min-elements=16 quantize-inputs=false" \
// RUN:   | FileCheck %s --check-prefix=DECODE
// RUN: not lathe-opt %s --graph-quantize-weights=encoding=int5 2>&1 \
// RUN:   | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: unknown weight encoding 'int5'; allowed is int8

// CHECK-LABEL: func.func @linear(
// CHECK-DAG: %[[W:.*]] = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32, #graph.int8<axis = 1, group = 128>>
// CHECK-DAG: %[[V:.*]] = graph.constant dense_resource<v> : tensor<4x8xf32> : tensor<4x8xf32, #graph.int8<axis = 0, group = 128>>
// CHECK: graph.contract %arg0, %[[W]] [#graph.branch<quantizer = #graph.dynamic_int8<group = 128>>]
// CHECK: %[[T:.*]] = graph.transpose %[[V]]
// CHECK: graph.contract %arg0, %[[T]] [#graph.branch<quantizer = #graph.dynamic_int8<group = 128>>]
// A small weight stays.
// CHECK: graph.contract %arg0, %{{.*}} [#graph.branch<>]

// Decoded weights must lie as [K, N]: the transposed one stays.
// DECODE-LABEL: func.func @linear(
// DECODE: graph.contract %arg0, %{{.*}} [#graph.branch<>] : (tensor<?x8xf32>, tensor<8x4xf32, #graph.int8<axis = 1>>)
// DECODE: graph.contract %arg0, %{{.*}} [#graph.branch<>] : (tensor<?x8xf32>, tensor<8x4xf32>)
func.func @linear(%x: tensor<?x8xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x1xf32>) {
  %w = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
  %v = graph.constant dense_resource<v> : tensor<4x8xf32> : tensor<4x8xf32>
  %s = graph.constant dense_resource<s> : tensor<8x1xf32> : tensor<8x1xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %t = graph.transpose %v [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  %1 = graph.contract %x, %t [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %2 = graph.contract %x, %s [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %0, %1, %2 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x1xf32>
}

// A weight that something else reads is stored twice.
// CHECK-LABEL: func.func @tied(
// CHECK-DAG: %[[D:.*]] = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
// CHECK-DAG: %[[E:.*]] = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32, #graph.int8<axis = 1, group = 128>>
// CHECK: graph.gather %[[D]]
// CHECK: graph.contract %arg0, %[[E]]
func.func @tied(%x: tensor<?x8xf32>, %i: tensor<2xi64>)
    -> (tensor<2x4xf32>, tensor<?x4xf32>) {
  %w = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
  %0 = graph.gather %w, %i axis 0
    : (tensor<8x4xf32>, tensor<2xi64>) -> tensor<2x4xf32>
  %1 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return %0, %1 : tensor<2x4xf32>, tensor<?x4xf32>
}
