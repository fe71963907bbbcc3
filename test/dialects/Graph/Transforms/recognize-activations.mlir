// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-recognize-activations --canonicalize \
// RUN:   | FileCheck %s

// CHECK-LABEL: func.func @gelu(
// CHECK: %[[Y:.*]] = graph.gelu %arg0
// CHECK: return %[[Y]]
func.func @gelu(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %r = graph.constant dense<1.41421354> : tensor<f32> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32> : tensor<f32>
  %half = graph.constant dense<0.5> : tensor<f32> : tensor<f32>
  %0 = graph.div %x, %r : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %1 = graph.erf %0 : tensor<?x4xf32>
  %2 = graph.add %1, %one : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %3 = graph.mul %x, %2 : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %4 = graph.mul %3, %half : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %4 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @gelu_tanh(
// CHECK: %[[Y:.*]] = graph.gelu_tanh %arg0
// CHECK: return %[[Y]]
func.func @gelu_tanh(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %three = graph.constant dense<3.0> : tensor<f32> : tensor<f32>
  %c = graph.constant dense<0.044715> : tensor<f32> : tensor<f32>
  %r = graph.constant dense<0.797884583> : tensor<f32> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32> : tensor<f32>
  %half = graph.constant dense<0.5> : tensor<f32> : tensor<f32>
  %0 = graph.pow %x, %three : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %1 = graph.mul %0, %c : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %2 = graph.add %x, %1 : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %3 = graph.mul %2, %r : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %4 = graph.tanh %3 : tensor<?x4xf32>
  %5 = graph.add %4, %one : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %6 = graph.mul %x, %half : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %7 = graph.mul %6, %5 : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %7 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @silu(
// CHECK: %[[Y:.*]] = graph.silu %arg0
// CHECK: return %[[Y]]
func.func @silu(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = graph.logistic %x : tensor<?x4xf32>
  %1 = graph.mul %0, %x : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// A gate by another value, and a factor that is not 0.5, are no activation.
// CHECK-LABEL: func.func @others(
// CHECK-NOT: graph.silu
// CHECK-NOT: graph.gelu
func.func @others(%x: tensor<4xf32>, %g: tensor<4xf32>)
    -> (tensor<4xf32>, tensor<4xf32>) {
  %r = graph.constant dense<0.707106769> : tensor<f32> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32> : tensor<f32>
  %0 = graph.logistic %g : tensor<4xf32>
  %1 = graph.mul %0, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = graph.mul %x, %r : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %3 = graph.erf %2 : tensor<4xf32>
  %4 = graph.add %3, %one : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %5 = graph.mul %x, %4 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %1, %5 : tensor<4xf32>, tensor<4xf32>
}
