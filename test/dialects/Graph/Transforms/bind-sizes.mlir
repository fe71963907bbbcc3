// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-infer-shapes --graph-bind-sizes \
// RUN:   --mlir-print-local-scope --split-input-file --verify-diagnostics \
// RUN:   | FileCheck %s

// A -1 and a 0 in a shape that is data.
// CHECK-LABEL: func.func @reshape(
// CHECK-SAME: graph.symbols = ["n", [[A:"[^"]*"]], [[B:"[^"]*"]]]
// CHECK: %[[OTHERS:.*]] = graph.reduce prod
// CHECK: %[[SIZES:.*]] = graph.select
// CHECK: %[[BOUND:.*]] = graph.bind %arg0, %[[SIZES]] {binds = array<i64: 1, 2>}
// CHECK: graph.reshape %[[BOUND]] to affine_map<()[s0, s1, s2] -> (s1, s2)>
// CHECK-NOT: dynamic_reshape
func.func @reshape(%x: tensor<?x4xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 4)>}, %s: tensor<2xi64>)
    -> tensor<?x?xf32> attributes {graph.symbols = ["n"]} {
  %y = graph.dynamic_reshape %x, %s
    : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @broadcast(
// CHECK: graph.bind %arg0, %{{.*}} : tensor<1xf32>, tensor<2xi64>
// CHECK: graph.broadcast
func.func @broadcast(%x: tensor<1xf32>, %s: tensor<2xi64>) -> tensor<?x?xf32> {
  %y = graph.dynamic_broadcast %x, %s
    : (tensor<1xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// Sizes and starts are bound apart.
// CHECK-LABEL: func.func @slice(
// CHECK: %[[ONE:.*]] = graph.bind %arg0,
// CHECK: %[[TWO:.*]] = graph.bind %[[ONE]],
// CHECK: graph.slice %[[TWO]] from affine_map<()[s0, s1, s2] -> (s2)>
// CHECK-SAME: size affine_map<()[s0, s1, s2] -> (s1)> step [2]
func.func @slice(%x: tensor<?xf32>, %s: tensor<1xi64>, %e: tensor<1xi64>)
    -> tensor<?xf32> {
  %two = graph.constant dense<2> : tensor<1xi64> : tensor<1xi64>
  %axis = graph.constant dense<0> : tensor<1xi64> : tensor<1xi64>
  %y = graph.dynamic_slice %x from %s to %e axes %axis step %two
    : (tensor<?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>,
       tensor<1xi64>) -> tensor<?xf32>
  return %y : tensor<?xf32>
}

// CHECK-LABEL: func.func @range(
// CHECK: %[[BOUND:.*]] = graph.bind %arg0,
// CHECK: graph.iota 0 size affine_map<()[s0] -> (s0)> : tensor<?xf32>
// CHECK: graph.add %{{.*}}, %[[BOUND]]
func.func @range(%a: tensor<f32>, %b: tensor<f32>, %c: tensor<f32>)
    -> tensor<?xf32> {
  %y = graph.dynamic_iota %a, %b, %c
    : (tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<?xf32>
  return %y : tensor<?xf32>
}

// -----

func.func @steps(%x: tensor<?xf32>, %s: tensor<1xi64>) -> tensor<?xf32> {
  // expected-error@+1 {{the axes and steps of a slice must be known at compile time}}
  %y = graph.dynamic_slice %x from %s to %s axes %s step %s
    : (tensor<?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>,
       tensor<1xi64>) -> tensor<?xf32>
  return %y : tensor<?xf32>
}
