// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-recognize-norms | FileCheck %s

// CHECK-LABEL: func.func @layer_norm(
// CHECK: %[[Y:.*]] = graph.layer_norm %arg0 scale %arg1 bias %arg2 axis 1 epsilon 1.0{{.*}}e-05
// CHECK-NEXT: return %[[Y]]
func.func @layer_norm(%x: tensor<?x8xf64>, %s: tensor<8xf64>, %b: tensor<8xf64>)
    -> tensor<?x8xf64> {
  %two = graph.constant dense<2.0> : tensor<f64> : tensor<f64>
  %e = graph.constant dense<1.0e-5> : tensor<f64> : tensor<f64>
  %m = graph.reduce mean %x axes [1] keep : tensor<?x8xf64> -> tensor<?x1xf64>
  %d = graph.sub %x, %m : (tensor<?x8xf64>, tensor<?x1xf64>) -> tensor<?x8xf64>
  %p = graph.pow %d, %two : (tensor<?x8xf64>, tensor<f64>) -> tensor<?x8xf64>
  %v = graph.reduce mean %p axes [1] keep : tensor<?x8xf64> -> tensor<?x1xf64>
  %a = graph.add %v, %e : (tensor<?x1xf64>, tensor<f64>) -> tensor<?x1xf64>
  %r = graph.sqrt %a : tensor<?x1xf64>
  %n = graph.div %d, %r : (tensor<?x8xf64>, tensor<?x1xf64>) -> tensor<?x8xf64>
  %y = graph.mul %n, %s : (tensor<?x8xf64>, tensor<8xf64>) -> tensor<?x8xf64>
  %z = graph.add %y, %b : (tensor<?x8xf64>, tensor<8xf64>) -> tensor<?x8xf64>
  return %z : tensor<?x8xf64>
}

// CHECK-LABEL: func.func @rms_norm(
// CHECK: %[[Y:.*]] = graph.rms_norm %arg0 scale %arg1 axis 1
// CHECK-NEXT: return %[[Y]]
func.func @rms_norm(%x: tensor<?x8xf64>, %s: tensor<8xf64>) -> tensor<?x8xf64> {
  %e = graph.constant dense<1.0e-6> : tensor<f64> : tensor<f64>
  %p = graph.mul %x, %x : (tensor<?x8xf64>, tensor<?x8xf64>) -> tensor<?x8xf64>
  %v = graph.reduce mean %p axes [1] keep : tensor<?x8xf64> -> tensor<?x1xf64>
  %a = graph.add %e, %v : (tensor<f64>, tensor<?x1xf64>) -> tensor<?x1xf64>
  %r = graph.rsqrt %a : tensor<?x1xf64>
  %n = graph.mul %x, %r : (tensor<?x8xf64>, tensor<?x1xf64>) -> tensor<?x8xf64>
  %y = graph.mul %s, %n : (tensor<8xf64>, tensor<?x8xf64>) -> tensor<?x8xf64>
  return %y : tensor<?x8xf64>
}

// A mean over other dims than the last is none of them.
// CHECK-LABEL: func.func @not_last(
// CHECK-NOT: norm
func.func @not_last(%x: tensor<4x8xf64>) -> tensor<4x8xf64> {
  %e = graph.constant dense<1.0e-6> : tensor<f64> : tensor<f64>
  %p = graph.mul %x, %x : (tensor<4x8xf64>, tensor<4x8xf64>) -> tensor<4x8xf64>
  %v = graph.reduce mean %p axes [0] keep : tensor<4x8xf64> -> tensor<1x8xf64>
  %a = graph.add %v, %e : (tensor<1x8xf64>, tensor<f64>) -> tensor<1x8xf64>
  %r = graph.rsqrt %a : tensor<1x8xf64>
  %n = graph.mul %x, %r : (tensor<4x8xf64>, tensor<1x8xf64>) -> tensor<4x8xf64>
  return %n : tensor<4x8xf64>
}

// Another reads the unscaled norm: it stays.
// CHECK-LABEL: func.func @shared(
// CHECK: %[[N:.*]] = graph.rms_norm %arg0 axis 1
// CHECK: %[[Y:.*]] = graph.mul %[[N]], %arg1
// CHECK: return %[[N]], %[[Y]]
func.func @shared(%x: tensor<4x8xf64>, %s: tensor<8xf64>)
    -> (tensor<4x8xf64>, tensor<4x8xf64>) {
  %0 = graph.rms_norm %x axis 1 epsilon 1.0e-6
    : (tensor<4x8xf64>) -> tensor<4x8xf64>
  %1 = graph.mul %0, %s : (tensor<4x8xf64>, tensor<8xf64>) -> tensor<4x8xf64>
  return %0, %1 : tensor<4x8xf64>, tensor<4x8xf64>
}
