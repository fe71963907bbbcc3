// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-infer-shapes --mlir-print-local-scope \
// RUN:   | FileCheck %s

// The shape arithmetic of a PyTorch export: heads are split off.
// CHECK-LABEL: func.func @split_heads(
// CHECK-SAME: -> tensor<?x12x?x32xf32>
// CHECK-SAME: graph.symbols = ["batch", "seq"]
// CHECK-NEXT: %[[R:.*]] = graph.reshape %arg0
// CHECK-SAME: to affine_map<()[s0, s1] -> (s0, s1, 12, 32)>
// CHECK-SAME: tensor<?x?x384xf32> -> tensor<?x?x12x32xf32>
// CHECK-NEXT: graph.transpose %[[R]] [0, 2, 1, 3]
// CHECK-SAME: -> tensor<?x12x?x32xf32>
// CHECK-NEXT: return
func.func @split_heads(%x: tensor<?x?x384xf32> {graph.dims =
      affine_map<()[s0, s1] -> (s0, s1, 384)>}) -> tensor<?x?x?x?xf32>
    attributes {graph.symbols = ["batch", "seq"]} {
  %0 = graph.dim %x, 0 : tensor<?x?x384xf32> -> tensor<i64>
  %1 = graph.dim %x, 1 : tensor<?x?x384xf32> -> tensor<i64>
  %2 = graph.reshape %0 to affine_map<() -> (1)> : tensor<i64> -> tensor<1xi64>
  %3 = graph.reshape %1 to affine_map<() -> (1)> : tensor<i64> -> tensor<1xi64>
  %4 = graph.constant dense<-1> : tensor<1xi64> : tensor<1xi64>
  %5 = graph.constant dense<32> : tensor<1xi64> : tensor<1xi64>
  %6 = graph.concat %2, %3, %4, %5 axis 0
    : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>)
      -> tensor<4xi64>
  %7 = graph.dynamic_reshape %x, %6 {allow_zero}
    : (tensor<?x?x384xf32>, tensor<4xi64>) -> tensor<?x?x?x?xf32>
  %8 = graph.transpose %7 [0, 2, 1, 3]
    : tensor<?x?x?x?xf32> -> tensor<?x?x?x?xf32>
  return %8 : tensor<?x?x?x?xf32>
}

// Products come back as they went: (b, s, 6) -> (b * s, 6) -> (b, s, 6).
// CHECK-LABEL: func.func @round_trip(
// CHECK: graph.reshape %arg0 to affine_map<()[s0, s1] -> (s0 * s1, 6)>
// CHECK: graph.reshape {{.*}} to affine_map<()[s0, s1] -> (s0, s1, 6)>
// CHECK: graph.add {{.*}} -> tensor<?x?x6xf32>
func.func @round_trip(%x: tensor<?x?x6xf32> {graph.name = "x"})
    -> tensor<?x?x?xf32> {
  %0 = graph.constant dense<[-1, 6]> : tensor<2xi64> : tensor<2xi64>
  %1 = graph.dynamic_reshape %x, %0
    : (tensor<?x?x6xf32>, tensor<2xi64>) -> tensor<?x6xf32>
  %2 = graph.dim %x, 0 : tensor<?x?x6xf32> -> tensor<i64>
  %3 = graph.reshape %2 to affine_map<() -> (1)> : tensor<i64> -> tensor<1xi64>
  %4 = graph.constant dense<[-1, 6]> : tensor<2xi64> : tensor<2xi64>
  %5 = graph.concat %3, %4 axis 0
    : (tensor<1xi64>, tensor<2xi64>) -> tensor<3xi64>
  %6 = graph.dynamic_reshape %1, %5
    : (tensor<?x6xf32>, tensor<3xi64>) -> tensor<?x?x?xf32>
  %7 = graph.add %6, %x
    : (tensor<?x?x?xf32>, tensor<?x?x6xf32>) -> tensor<?x?x?xf32>
  return %7 : tensor<?x?x?xf32>
}

// CHECK-LABEL: func.func @slice_and_range(
// CHECK-SAME: graph.dims = affine_map<()[s0] -> (s0)>
// CHECK-SAME: graph.symbols = ["x.dim0"]
// CHECK: graph.slice {{.*}} from affine_map<()[s0] -> (0, 0)>
// CHECK-SAME: size affine_map<()[s0] -> (1, s0)> step [1, 1]
// CHECK-SAME: tensor<1x512xi64> -> tensor<1x?xi64>
// CHECK: graph.iota 0 size affine_map<()[s0] -> (s0)> : tensor<?xi64>
// CHECK: graph.slice %arg0 from affine_map<()[s0] -> (s0 - 1)>
// CHECK-SAME: step [-1]
func.func @slice_and_range(%x: tensor<?xi64> {graph.name = "x"})
    -> (tensor<1x?xi64>, tensor<?xi64>, tensor<?xi64>) {
  %p = graph.constant dense_resource<p> : tensor<1x512xi64> : tensor<1x512xi64>
  %zero = graph.constant dense<0> : tensor<1xi64> : tensor<1xi64>
  %one = graph.constant dense<1> : tensor<1xi64> : tensor<1xi64>
  %n = graph.dim %x, 0 : tensor<?xi64> -> tensor<i64>
  %n1 = graph.reshape %n to affine_map<() -> (1)> : tensor<i64> -> tensor<1xi64>
  %0 = graph.dynamic_slice %p from %zero to %n1 axes %one step %one
    : (tensor<1x512xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>,
       tensor<1xi64>) -> tensor<1x?xi64>
  %z = graph.constant dense<0> : tensor<i64> : tensor<i64>
  %o = graph.constant dense<1> : tensor<i64> : tensor<i64>
  %1 = graph.dynamic_iota %z, %n, %o
    : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %last = graph.constant dense<-1> : tensor<1xi64> : tensor<1xi64>
  %first = graph.constant dense<-9223372036854775807> : tensor<1xi64>
    : tensor<1xi64>
  %2 = graph.dynamic_slice %x from %last to %first axes %zero step %last
    : (tensor<?xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>,
       tensor<1xi64>) -> tensor<?xi64>
  return %0, %1, %2 : tensor<1x?xi64>, tensor<?xi64>, tensor<?xi64>
}

// A shape that depends on data defines symbols.
// CHECK-LABEL: func.func @data_dependent(
// CHECK-SAME: graph.symbols = ["dynamic_reshape.0", "dynamic_reshape.1"]
// CHECK: graph.dynamic_reshape {{.*}} {binds = array<i64: 0, 1>}
// CHECK: graph.reshape {{.*}} to affine_map<()[s0, s1] -> (s0 * s1)>
func.func @data_dependent(%x: tensor<6xf32>, %s: tensor<2xi64>)
    -> tensor<?xf32> {
  %0 = graph.dynamic_reshape %x, %s
    : (tensor<6xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %1 = graph.constant dense<-1> : tensor<1xi64> : tensor<1xi64>
  %2 = graph.dynamic_reshape %0, %1
    : (tensor<?x?xf32>, tensor<1xi64>) -> tensor<?xf32>
  return %2 : tensor<?xf32>
}
