// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-form-groups --graph-join-norms \
// RUN:   --mlir-print-local-scope | FileCheck %s
// RUN: lathe-opt %s --graph-form-groups --graph-join-norms \
// RUN:   --convert-graph-to-plan=capability=gpu | FileCheck %s --check-prefix=PLAN

// A residual stream: its sum is read by the norm, and again later.
// CHECK-LABEL: func.func @residual(
// CHECK: %[[BOTH:.*]]:2 = graph.group reduce (%[[A:.*]] = %arg0, %[[B:.*]] = %arg1, %[[G:.*]] = %arg2)
// CHECK-NEXT: %[[SUM:.*]] = graph.add %[[A]], %[[B]]
// CHECK-NEXT: %[[NORM:.*]] = graph.rms_norm %[[SUM]]
// CHECK-NEXT: graph.yield %[[NORM]], %[[SUM]]
// CHECK: return %[[BOTH]]#0, %[[BOTH]]#1

// One kernel stores both.
// PLAN: tile.kernel @add_rms_norm
// PLAN: tile.store
// PLAN: tile.store
// PLAN-NEXT: tile.return
func.func @residual(%x: tensor<?x512xf16> {graph.dims = affine_map<()[s0] -> (s0, 512)>},
    %r: tensor<?x512xf16> {graph.dims = affine_map<()[s0] -> (s0, 512)>},
    %g: tensor<512xf16>) -> (tensor<?x512xf16>, tensor<?x512xf16>)
    attributes {graph.symbols = ["rows"]} {
  %s = graph.add %x, %r : (tensor<?x512xf16>, tensor<?x512xf16>) -> tensor<?x512xf16>
  %n = graph.rms_norm %s scale %g axis 1 epsilon 1.0e-5
    : (tensor<?x512xf16>, tensor<512xf16>) -> tensor<?x512xf16>
  return %n, %s : tensor<?x512xf16>, tensor<?x512xf16>
}

// Rows of unknown length are read several times: the sum stays by itself.
// CHECK-LABEL: func.func @open(
// CHECK: graph.group pointwise
// CHECK: graph.group reduce
func.func @open(%x: tensor<8x?xf16> {graph.dims = affine_map<()[s0] -> (8, s0)>},
    %r: tensor<8x?xf16> {graph.dims = affine_map<()[s0] -> (8, s0)>})
    -> (tensor<8x?xf16>, tensor<8x?xf16>) attributes {graph.symbols = ["n"]} {
  %s = graph.add %x, %r : (tensor<8x?xf16>, tensor<8x?xf16>) -> tensor<8x?xf16>
  %n = graph.softmax %s axis 1 : tensor<8x?xf16>
  return %n, %s : tensor<8x?xf16>, tensor<8x?xf16>
}
