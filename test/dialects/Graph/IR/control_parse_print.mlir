// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s | lathe-opt --mlir-print-local-scope | FileCheck %s
// RUN: lathe-opt %s --graph-infer-shapes --mlir-print-local-scope \
// RUN:   | FileCheck %s --check-prefix=INFER

// CHECK-LABEL: func.func @main(
// INFER-LABEL: func.func @main(
// INFER-SAME: graph.symbols = ["n", "if.1", "bind.2", "loop.3"]
func.func @main(%c: tensor<i1>, %k: tensor<i64>, %x: tensor<?x4xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 4)>})
    -> (tensor<?x4xf32>, tensor<?x?x4xf32>)
    attributes {graph.symbols = ["n"]} {
  // CHECK: graph.if %{{.*}} then @then else @else(%
  // CHECK-SAME: (tensor<i1>, tensor<?x4xf32>) -> tensor<?x4xf32>
  // INFER: graph.if {{.*}} {binds = array<i64: 1>}
  %y = graph.if %c then @then else @else (%x)
    shapes [affine_map<()[s0] -> (s0, 4)>]
    : (tensor<i1>, tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: graph.bind %{{.*}}, %{{.*}} : tensor<?x4xf32>, tensor<i64>
  // INFER: graph.bind {{.*}} {binds = array<i64: 2>}
  %b = graph.bind %y, %k : tensor<?x4xf32>, tensor<i64>
  // CHECK: graph.call [@then, @else]
  // CHECK-SAME: when [affine_set<()[s0] : (s0 - 128 == 0)>](%
  %z = graph.call [@then, @else] when [affine_set<()[s0] : (s0 - 128 == 0)>]
    (%b) shapes [affine_map<()[s0] -> (s0, 4)>]
    : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: graph.loop @body count(%{{.*}} : tensor<i64>)
  // CHECK-SAME: while(%{{.*}} : tensor<i1>) carry(%{{.*}} : tensor<?x4xf32>)
  // The number of iterations is a symbol of its own.
  // INFER: graph.loop {{.*}} {binds = array<i64: 3>}
  // INFER-SAME: -> tensor<?x4xf32>, tensor<?x?x4xf32>
  %last, %all = graph.loop @body count(%k : tensor<i64>)
    while(%c : tensor<i1>) carry(%z : tensor<?x4xf32>)
    (%x : tensor<?x4xf32>)
    shapes [affine_map<()[s0] -> (s0, 4)>, affine_map<()[s0] -> (-1, s0, 4)>]
    -> tensor<?x4xf32>, tensor<?x?x4xf32>
  return %last, %all : tensor<?x4xf32>, tensor<?x?x4xf32>
}
func.func private @then(%x: tensor<?x4xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 4)>}) -> tensor<?x4xf32>
    attributes {graph.symbols = ["n"], graph.given = 1 : i64} {
  %y = graph.neg %x : tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}
func.func private @else(%x: tensor<?x4xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 4)>}) -> tensor<?x4xf32>
    attributes {graph.symbols = ["n"], graph.given = 1 : i64} {
  return %x : tensor<?x4xf32>
}
func.func private @body(%i: tensor<i64>, %s: tensor<?x4xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 4)>}, %x: tensor<?x4xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 4)>})
    -> (tensor<i1>, tensor<?x4xf32>, tensor<?x4xf32>)
    attributes {graph.symbols = ["n"], graph.given = 1 : i64} {
  %true = graph.constant dense<true> : tensor<i1> : tensor<i1>
  %t = graph.add %s, %x : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %true, %t, %s : tensor<i1>, tensor<?x4xf32>, tensor<?x4xf32>
}
