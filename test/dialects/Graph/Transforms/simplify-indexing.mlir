// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-simplify-indexing --mlir-print-local-scope \
// RUN:   | FileCheck %s

// mask[batch, position], as the PyTorch exporter spells it.
// CHECK-LABEL: func.func @mask(
// CHECK-NEXT: graph.reshape %arg0 to affine_map<()[s0, s1] -> (s0, 1, 1, s1)>
// CHECK-NEXT: return
func.func @mask(%m: tensor<?x?xi1> {graph.dims =
      affine_map<()[s0, s1] -> (s0, s1)>}) -> tensor<?x1x1x?xi1>
    attributes {graph.symbols = ["batch", "seq"]} {
  %0 = graph.iota 0 size affine_map<()[s0, s1] -> (s0)> : tensor<?xi64>
  %1 = graph.iota 0 size affine_map<()[s0, s1] -> (s1)> : tensor<?xi64>
  %2 = graph.reshape %0 to affine_map<()[s0, s1] -> (s0, 1, 1, 1)>
    : tensor<?xi64> -> tensor<?x1x1x1xi64>
  %3 = graph.reshape %1 to affine_map<()[s0, s1] -> (1, 1, 1, s1)>
    : tensor<?xi64> -> tensor<1x1x1x?xi64>
  %4 = graph.broadcast %2 to affine_map<()[s0, s1] -> (s0, 1, 1, s1)>
    : tensor<?x1x1x1xi64> -> tensor<?x1x1x?xi64>
  %5 = graph.broadcast %3 to affine_map<()[s0, s1] -> (s0, 1, 1, s1)>
    : tensor<1x1x1x?xi64> -> tensor<?x1x1x?xi64>
  %6 = graph.reshape %4 to affine_map<()[s0, s1] -> (s0, 1, 1, s1, 1)>
    : tensor<?x1x1x?xi64> -> tensor<?x1x1x?x1xi64>
  %7 = graph.reshape %5 to affine_map<()[s0, s1] -> (s0, 1, 1, s1, 1)>
    : tensor<?x1x1x?xi64> -> tensor<?x1x1x?x1xi64>
  %8 = graph.concat %6, %7 axis 4
    : (tensor<?x1x1x?x1xi64>, tensor<?x1x1x?x1xi64>) -> tensor<?x1x1x?x2xi64>
  %9 = graph.gather_nd %m, %8 batch_dims 0
    : (tensor<?x?xi1>, tensor<?x1x1x?x2xi64>) -> tensor<?x1x1x?xi1>
  return %9 : tensor<?x1x1x?xi1>
}

// CHECK-LABEL: func.func @rows(
// CHECK: %[[S:.*]] = graph.slice %arg0 from affine_map<()[s0] -> (0, 4, 0)>
// CHECK-SAME: -> tensor<?x1x3xf32>
// CHECK: graph.reshape %[[S]] to affine_map<()[s0] -> (s0, 3)>
// CHECK: graph.slice %arg0 from affine_map<()[s0] -> (0, 1, 0)>
// CHECK-SAME: -> tensor<?x2x3xf32>
// Not consecutive:
// CHECK: graph.gather
// CHECK: graph.slice %arg0 from affine_map<()[s0] -> (s0 - 1, 0, 0)>
func.func @rows(%x: tensor<?x5x3xf32>)
    -> (tensor<?x3xf32>, tensor<?x2x3xf32>, tensor<?x2x3xf32>, tensor<5x3xf32>) {
  %last = graph.constant dense<-1> : tensor<i64> : tensor<i64>
  %run = graph.constant dense<[1, 2]> : tensor<2xi64> : tensor<2xi64>
  %mix = graph.constant dense<[2, 1]> : tensor<2xi64> : tensor<2xi64>
  %0 = graph.gather %x, %last axis 1
    : (tensor<?x5x3xf32>, tensor<i64>) -> tensor<?x3xf32>
  %1 = graph.gather %x, %run axis 1
    : (tensor<?x5x3xf32>, tensor<2xi64>) -> tensor<?x2x3xf32>
  %2 = graph.gather %x, %mix axis 1
    : (tensor<?x5x3xf32>, tensor<2xi64>) -> tensor<?x2x3xf32>
  %3 = graph.gather %x, %last axis 0
    : (tensor<?x5x3xf32>, tensor<i64>) -> tensor<5x3xf32>
  return %0, %1, %2, %3
    : tensor<?x3xf32>, tensor<?x2x3xf32>, tensor<?x2x3xf32>, tensor<5x3xf32>
}
