// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-fold-constants | FileCheck %s

// The factor of an attention, as PyTorch's exporter computes it.
// CHECK-LABEL: func.func @scale(
// CHECK-NEXT: graph.constant dense<0.176776692> : tensor<f32>
// CHECK-NEXT: return
func.func @scale() -> tensor<f32> {
  %d = graph.constant dense<32> : tensor<i64> : tensor<i64>
  %one = graph.constant dense<1.0> : tensor<f32> : tensor<f32>
  %0 = graph.cast %d : tensor<i64> -> tensor<f32>
  %1 = graph.sqrt %0 : tensor<f32>
  %2 = graph.div %one, %1 : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return %2 : tensor<f32>
}

// CHECK-LABEL: func.func @movement(
// CHECK-DAG: dense<{{\[\[}}1, 4], [2, 5], [3, 6]]>
// CHECK-DAG: dense<{{\[}}6, 4]>
// CHECK-DAG: dense<{{\[\[}}4, 5, 6], [1, 2, 3]]>
// CHECK-DAG: dense<{{\[\[}}1, 2, 3, 1, 2, 3], [4, 5, 6, 4, 5, 6]]>
// CHECK-DAG: dense<{{\[\[}}true, false, false], [false, false, false]]>
// CHECK: return
func.func @movement() -> (tensor<3x2xi64>, tensor<2xi64>, tensor<2x3xi64>,
                          tensor<2x6xi64>, tensor<2x3xi1>) {
  %x = graph.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi64>
    : tensor<2x3xi64>
  %i = graph.constant dense<[-1, 0]> : tensor<2xi64> : tensor<2xi64>
  %two = graph.constant dense<2> : tensor<i64> : tensor<i64>
  %0 = graph.transpose %x [1, 0] : tensor<2x3xi64> -> tensor<3x2xi64>
  %1 = graph.slice %x from affine_map<() -> (1, 2)>
      size affine_map<() -> (1, 2)> step [1, -2]
    : tensor<2x3xi64> -> tensor<1x2xi64>
  %2 = graph.reshape %1 to affine_map<() -> (2)>
    : tensor<1x2xi64> -> tensor<2xi64>
  %3 = graph.gather %x, %i axis 0
    : (tensor<2x3xi64>, tensor<2xi64>) -> tensor<2x3xi64>
  %4 = graph.concat %x, %x axis 1
    : (tensor<2x3xi64>, tensor<2x3xi64>) -> tensor<2x6xi64>
  %5 = graph.compare lt %x, %two
    : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  return %0, %2, %3, %4, %5 : tensor<3x2xi64>, tensor<2xi64>, tensor<2x3xi64>,
    tensor<2x6xi64>, tensor<2x3xi1>
}

// C's quotient truncates, `mod` has the sign of the divisor; a division by zero
// is left alone.
// CHECK-LABEL: func.func @division(
// CHECK-DAG: dense<-3> : tensor<i64>
// CHECK-DAG: dense<1> : tensor<i64>
// CHECK: graph.div
func.func @division() -> (tensor<i64>, tensor<i64>, tensor<i64>) {
  %a = graph.constant dense<-7> : tensor<i64> : tensor<i64>
  %b = graph.constant dense<2> : tensor<i64> : tensor<i64>
  %z = graph.constant dense<0> : tensor<i64> : tensor<i64>
  %0 = graph.div %a, %b : (tensor<i64>, tensor<i64>) -> tensor<i64>
  %1 = graph.mod %a, %b : (tensor<i64>, tensor<i64>) -> tensor<i64>
  %2 = graph.div %a, %z : (tensor<i64>, tensor<i64>) -> tensor<i64>
  return %0, %1, %2 : tensor<i64>, tensor<i64>, tensor<i64>
}
