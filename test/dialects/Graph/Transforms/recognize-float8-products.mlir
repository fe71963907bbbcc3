// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-recognize-float8-products --canonicalize | FileCheck %s

// Scales come after the product, together; transpositions stay before it, and
// what rounded between goes.
// CHECK-LABEL: func.func @scaled(
// CHECK-SAME: %[[X:.*]]: tensor<?x32xf8E4M3FN>, %[[W:.*]]: tensor<8x32xf8E4M3FN>
// CHECK-DAG: %[[S:.*]] = graph.constant dense<1.250000e-01>
// CHECK-DAG: %[[T:.*]] = graph.transpose %[[W]] {{.*}} -> tensor<32x8xf8E4M3FN>
// CHECK: %[[P:.*]] = graph.matmul %[[X]], %[[T]] : (tensor<?x32xf8E4M3FN>, tensor<32x8xf8E4M3FN>) -> tensor<?x8xf32>
// CHECK: %[[Y:.*]] = graph.mul %[[P]], %[[S]]
// CHECK: %[[Z:.*]] = graph.cast %[[Y]] {{.*}} -> tensor<?x8xf16>
// CHECK: return %[[Z]]
func.func @scaled(%x: tensor<?x32xf8E4M3FN>, %w: tensor<8x32xf8E4M3FN>)
    -> tensor<?x8xf16> {
  %s = graph.constant dense<0.5> : tensor<f32> : tensor<f32>
  %t = graph.constant dense<0.25> : tensor<f32> : tensor<f32>
  %a = graph.cast %x : tensor<?x32xf8E4M3FN> -> tensor<?x32xf32>
  %b = graph.mul %a, %s : (tensor<?x32xf32>, tensor<f32>) -> tensor<?x32xf32>
  %c = graph.cast %b : tensor<?x32xf32> -> tensor<?x32xf16>
  %d = graph.cast %w : tensor<8x32xf8E4M3FN> -> tensor<8x32xf32>
  %e = graph.mul %d, %t : (tensor<8x32xf32>, tensor<f32>) -> tensor<8x32xf32>
  %f = graph.cast %e : tensor<8x32xf32> -> tensor<8x32xf16>
  %g = graph.transpose %f [1, 0] : tensor<8x32xf16> -> tensor<32x8xf16>
  %y = graph.matmul %c, %g : (tensor<?x32xf16>, tensor<32x8xf16>) -> tensor<?x8xf16>
  return %y : tensor<?x8xf16>
}

// Scales of rows, and floats of two kinds, stay as they are.
// CHECK-LABEL: func.func @other(
// CHECK: graph.matmul {{.*}} : (tensor<4x8xf32>, tensor<8x4xf32>)
// CHECK: graph.matmul {{.*}} : (tensor<4x8xf32>, tensor<8x4xf32>)
func.func @other(%x: tensor<4x8xf8E4M3FN>, %w: tensor<8x4xf8E5M2>,
                 %s: tensor<4x1xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %a = graph.cast %x : tensor<4x8xf8E4M3FN> -> tensor<4x8xf32>
  %b = graph.mul %a, %s : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %c = graph.cast %w : tensor<8x4xf8E5M2> -> tensor<8x4xf32>
  %y = graph.matmul %b, %c : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>
  %z = graph.matmul %a, %c : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>
  return %y, %z : tensor<4x4xf32>, tensor<4x4xf32>
}
