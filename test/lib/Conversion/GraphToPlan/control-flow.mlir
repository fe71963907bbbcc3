// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --convert-graph-to-plan --mlir-print-local-scope \
// RUN:   | FileCheck %s

// CHECK-LABEL: plan.program @main symbols ["n", "c", "k"]
// CHECK-NOT: given
// CHECK: plan.bind 1 = %{{.*}}[0]
// CHECK: plan.call
// CHECK-SAME: #plan.callee<program = @then, when = affine_set<()[s0, s1, s2] : (s1 - 1 == 0)>>
// CHECK-SAME: #plan.callee<program = @else>
// The condition's symbol is not there yet, nor is the loop's.
// CHECK-SAME: symbols affine_map<()[s0, s1, s2] -> (s0)>
// CHECK-SAME: label "branch"
// CHECK: plan.loop @body symbols affine_map<()[s0, s1, s2] -> (s0)>
// CHECK-SAME: count(%{{.*}} : !plan.buffer<i64, ()[s0, s1, s2] -> ()>)
// CHECK-SAME: binds [2] label "repeat"
// CHECK-LABEL: plan.program @then symbols ["n"]
// CHECK-SAME: attributes {given = 1 : i64}
// CHECK-LABEL: plan.program @else
// CHECK-LABEL: plan.program @body
func.func @main(%c: tensor<i1>, %k: tensor<i64>, %x: tensor<?xf32> {
      graph.dims = affine_map<()[s0, s1, s2] -> (s0)>})
    -> (tensor<?xf32>, tensor<?x?xf32>)
    attributes {graph.symbols = ["n", "c", "k"]} {
  %y = graph.if %c then @then else @else (%x)
    shapes [affine_map<()[s0] -> (s0)>] {binds = array<i64: 1>}
    : (tensor<i1>, tensor<?xf32>) -> tensor<?xf32> loc("branch")
  %last, %all = graph.loop @body count(%k : tensor<i64>)
    carry(%y : tensor<?xf32>) ()
    shapes [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (-1, s0)>]
    {binds = array<i64: 2>} -> tensor<?xf32>, tensor<?x?xf32> loc("repeat")
  return %last, %all : tensor<?xf32>, tensor<?x?xf32>
}
func.func private @then(%x: tensor<?xf32> {
      graph.dims = affine_map<()[s0] -> (s0)>}) -> tensor<?xf32>
    attributes {graph.symbols = ["n"], graph.given = 1 : i64} {
  %y = graph.neg %x : tensor<?xf32>
  return %y : tensor<?xf32>
}
func.func private @else(%x: tensor<?xf32> {
      graph.dims = affine_map<()[s0] -> (s0)>}) -> tensor<?xf32>
    attributes {graph.symbols = ["n"], graph.given = 1 : i64} {
  return %x : tensor<?xf32>
}
func.func private @body(%i: tensor<i64>, %s: tensor<?xf32> {
      graph.dims = affine_map<()[s0] -> (s0)>})
    -> (tensor<i1>, tensor<?xf32>, tensor<?xf32>)
    attributes {graph.symbols = ["n"], graph.given = 1 : i64} {
  %true = graph.constant dense<true> : tensor<i1> : tensor<i1>
  %t = graph.neg %s : tensor<?xf32>
  return %true, %t, %s : tensor<i1>, tensor<?xf32>, tensor<?xf32>
}
