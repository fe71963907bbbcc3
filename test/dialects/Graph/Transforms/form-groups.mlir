// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-form-groups --mlir-print-local-scope | FileCheck %s
// RUN: lathe-opt %s --graph-form-groups --remark-policy=all \
// RUN:   --remarks-filter=graph-form-groups -o /dev/null 2>&1 \
// RUN:   | FileCheck %s --check-prefix=REMARK

// CHECK-LABEL: func.func @attention_layer(
// Attention reads q, k and v where the projections lie, and writes where the
// output projection reads.
// CHECK: %[[A:.*]] = graph.group attention (
// CHECK-SAME: -> tensor<?x?x24xf32> {
// CHECK-COUNT-3: graph.transpose
// CHECK: graph.attention
// CHECK-NEXT: graph.transpose
// CHECK-NEXT: graph.reshape
// CHECK-NEXT: graph.yield
// Bias and residual are the projection's epilogue; the norm stands alone.
// CHECK: %[[C:.*]] = graph.group contract (
// CHECK-NEXT: graph.contract
// CHECK-NEXT: graph.add
// CHECK-NEXT: graph.add
// CHECK-NEXT: graph.yield
// CHECK: graph.group reduce ({{.*}} = %[[C]]
// CHECK-NEXT: graph.layer_norm
// CHECK-NEXT: graph.yield
func.func @attention_layer(%q: tensor<?x?x24xf32> {graph.dims =
      affine_map<()[s0, s1] -> (s0, s1, 24)>},
    %k: tensor<?x?x24xf32> {graph.dims =
      affine_map<()[s0, s1] -> (s0, s1, 24)>},
    %v: tensor<?x?x24xf32> {graph.dims =
      affine_map<()[s0, s1] -> (s0, s1, 24)>}) -> tensor<?x?x24xf32>
    attributes {graph.symbols = ["batch", "seq"]} {
  %w = graph.constant dense_resource<w> : tensor<24x24xf32> : tensor<24x24xf32>
  %b = graph.constant dense_resource<b> : tensor<24xf32> : tensor<24xf32>
  %s = graph.constant dense_resource<s> : tensor<24xf32> : tensor<24xf32>
  %0 = graph.reshape %q to affine_map<()[s0, s1] -> (s0, s1, 3, 8)>
    : tensor<?x?x24xf32> -> tensor<?x?x3x8xf32>
  %1 = graph.transpose %0 [0, 2, 1, 3]
    : tensor<?x?x3x8xf32> -> tensor<?x3x?x8xf32>
  %2 = graph.reshape %k to affine_map<()[s0, s1] -> (s0, s1, 3, 8)>
    : tensor<?x?x24xf32> -> tensor<?x?x3x8xf32>
  %3 = graph.transpose %2 [0, 2, 1, 3]
    : tensor<?x?x3x8xf32> -> tensor<?x3x?x8xf32>
  %4 = graph.reshape %v to affine_map<()[s0, s1] -> (s0, s1, 3, 8)>
    : tensor<?x?x24xf32> -> tensor<?x?x3x8xf32>
  %5 = graph.transpose %4 [0, 2, 1, 3]
    : tensor<?x?x3x8xf32> -> tensor<?x3x?x8xf32>
  %6 = graph.attention %1, %3, %5 score(#graph.softmax<scale = 0.5>)
      select(#graph.dense)
    : (tensor<?x3x?x8xf32>, tensor<?x3x?x8xf32>, tensor<?x3x?x8xf32>)
      -> tensor<?x3x?x8xf32>
  %7 = graph.transpose %6 [0, 2, 1, 3]
    : tensor<?x3x?x8xf32> -> tensor<?x?x3x8xf32>
  %8 = graph.reshape %7 to affine_map<()[s0, s1] -> (s0, s1, 24)>
    : tensor<?x?x3x8xf32> -> tensor<?x?x24xf32>
  %9 = graph.contract %8, %w [#graph.branch<>]
    : (tensor<?x?x24xf32>, tensor<24x24xf32>) -> tensor<?x?x24xf32>
  %10 = graph.add %9, %b
    : (tensor<?x?x24xf32>, tensor<24xf32>) -> tensor<?x?x24xf32>
  %11 = graph.add %10, %q
    : (tensor<?x?x24xf32>, tensor<?x?x24xf32>) -> tensor<?x?x24xf32>
  %12 = graph.layer_norm %11 scale %s bias %b axis 2 epsilon 1.0e-5
    : (tensor<?x?x24xf32>, tensor<24xf32>, tensor<24xf32>)
      -> tensor<?x?x24xf32>
  return %12 : tensor<?x?x24xf32>
}

// Gathers, additions and a broadcast table: one pointwise kernel.
// CHECK-LABEL: func.func @embedding(
// CHECK: graph.group pointwise (
// CHECK-NEXT: graph.gather
// CHECK-NEXT: graph.slice
// CHECK-NEXT: graph.add
// CHECK-NEXT: graph.gather
// CHECK-NEXT: graph.add
// CHECK-NEXT: graph.yield
// CHECK: graph.group reduce
// CHECK-NEXT: graph.rms_norm
// CHECK-NOT: graph.group
func.func @embedding(%ids: tensor<?x?xi64> {graph.dims =
      affine_map<()[s0, s1] -> (s0, s1)>}) -> tensor<?x?x8xf32>
    attributes {graph.symbols = ["batch", "seq"]} {
  %t = graph.constant dense_resource<t> : tensor<100x8xf32>
    : tensor<100x8xf32>
  %p = graph.constant dense_resource<p> : tensor<1x64x8xf32>
    : tensor<1x64x8xf32>
  %0 = graph.gather %t, %ids axis 0
    : (tensor<100x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  %1 = graph.slice %p from affine_map<()[s0, s1] -> (0, 0, 0)>
      size affine_map<()[s0, s1] -> (1, s1, 8)> step [1, 1, 1]
    : tensor<1x64x8xf32> -> tensor<1x?x8xf32>
  %2 = graph.add %0, %1
    : (tensor<?x?x8xf32>, tensor<1x?x8xf32>) -> tensor<?x?x8xf32>
  %3 = graph.gather %t, %ids axis 0
    : (tensor<100x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  %4 = graph.add %2, %3
    : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %5 = graph.rms_norm %4 axis 2 epsilon 1.0e-5
    : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %5 : tensor<?x?x8xf32>
}

// What a reduction reads through cheap ops, it computes itself.
// CHECK-LABEL: func.func @prologue(
// CHECK: graph.group reduce (
// CHECK-NEXT: graph.mul
// CHECK-NEXT: graph.reduce sum
// CHECK-NEXT: graph.sqrt
// CHECK-NEXT: graph.yield
func.func @prologue(%x: tensor<4x8xf32>) -> tensor<4xf32> {
  %0 = graph.mul %x, %x
    : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = graph.reduce sum %0 axes [1] : tensor<4x8xf32> -> tensor<4xf32>
  %2 = graph.sqrt %1 : tensor<4xf32>
  return %2 : tensor<4xf32>
}

// A value that two kernels read is computed once.
// REMARK: graph.exp
// REMARK-SAME: is read by several kernels
// CHECK-LABEL: func.func @shared(
// CHECK: %[[E:.*]] = graph.group pointwise
// CHECK: graph.exp
// CHECK: graph.group pointwise ({{.*}} = %[[E]]
// CHECK: graph.neg
// CHECK: graph.group reduce ({{.*}} = %[[E]]
// CHECK: graph.reduce sum
func.func @shared(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4xf32>) {
  %0 = graph.exp %x : tensor<4x8xf32>
  %1 = graph.neg %0 : tensor<4x8xf32>
  %2 = graph.reduce sum %0 axes [1] : tensor<4x8xf32> -> tensor<4xf32>
  return %1, %2 : tensor<4x8xf32>, tensor<4xf32>
}

// A splat goes into the kernel; a reshape alone is no kernel.
// CHECK-LABEL: func.func @immediate(
// CHECK: graph.group pointwise (%{{.*}} = %arg0) :
// CHECK-NEXT: graph.constant dense<2.000000e+00>
// CHECK-NEXT: graph.mul
// CHECK-NEXT: graph.yield
// CHECK: graph.reshape
// CHECK-NEXT: return
func.func @immediate(%x: tensor<4x8xf32>) -> tensor<32xf32> {
  %c = graph.constant dense<2.0> : tensor<f32> : tensor<f32>
  %0 = graph.mul %x, %c : (tensor<4x8xf32>, tensor<f32>) -> tensor<4x8xf32>
  %1 = graph.reshape %0 to affine_map<() -> (32)>
    : tensor<4x8xf32> -> tensor<32xf32>
  return %1 : tensor<32xf32>
}

// x * f(x): the ops between a result and where it is one value again.
// CHECK-LABEL: func.func @diamond(
// CHECK: graph.group contract (
// CHECK-NEXT: graph.constant
// CHECK-NEXT: graph.contract
// CHECK-NEXT: %[[B:.*]] = graph.add
// CHECK-NEXT: %[[C:.*]] = graph.add %[[B]]
// CHECK-NEXT: %[[D:.*]] = graph.logistic %[[C]]
// CHECK-NEXT: %[[E:.*]] = graph.mul %[[B]], %[[D]]
// CHECK-NEXT: graph.yield %[[E]]
// Here a reduction reads one of them: the group ends before.
// CHECK: graph.group contract (
// CHECK-NEXT: graph.contract
// CHECK-NEXT: graph.yield
// CHECK: graph.group pointwise
// CHECK: graph.group reduce
// CHECK: graph.group pointwise
func.func @diamond(%x: tensor<8x4xf32>, %b: tensor<4xf32>)
    -> (tensor<8x4xf32>, tensor<8x4xf32>, tensor<8xf32>) {
  %one = graph.constant dense<1.0> : tensor<f32> : tensor<f32>
  %w = graph.constant dense_resource<w> : tensor<4x4xf32> : tensor<4x4xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<8x4xf32>, tensor<4x4xf32>) -> tensor<8x4xf32>
  %1 = graph.add %0, %b : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %2 = graph.add %1, %one : (tensor<8x4xf32>, tensor<f32>) -> tensor<8x4xf32>
  %3 = graph.logistic %2 : tensor<8x4xf32>
  %4 = graph.mul %1, %3
    : (tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  %5 = graph.contract %4, %w [#graph.branch<>]
    : (tensor<8x4xf32>, tensor<4x4xf32>) -> tensor<8x4xf32>
  %6 = graph.exp %5 : tensor<8x4xf32>
  %7 = graph.reduce sum %6 axes [1] : tensor<8x4xf32> -> tensor<8xf32>
  %8 = graph.mul %5, %6
    : (tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  return %4, %8, %7 : tensor<8x4xf32>, tensor<8x4xf32>, tensor<8xf32>
}

// Two kernels read exp through a view, of which each has a copy: exp is a
// kernel of its own, once.
// REMARK: is read by several kernels
// CHECK-LABEL: func.func @behind_shared_view(
// CHECK: %[[E:.*]] = graph.group pointwise
// CHECK-NEXT: graph.exp
// CHECK-NEXT: graph.yield
// CHECK-COUNT-2: graph.group pointwise (%{{.*}} = %[[E]])
// CHECK-NOT: graph.exp
// CHECK: return
func.func @behind_shared_view(%x: tensor<4x8xf32>)
    -> (tensor<8x4xf32>, tensor<8x4xf32>) {
  %0 = graph.exp %x : tensor<4x8xf32>
  %1 = graph.transpose %0 [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  %2 = graph.sqrt %1 : tensor<8x4xf32>
  %3 = graph.neg %1 : tensor<8x4xf32>
  return %2, %3 : tensor<8x4xf32>, tensor<8x4xf32>
}

// Where one kernel is all that reads the view, exp is in it.
// CHECK-LABEL: func.func @behind_own_view(
// CHECK: graph.group pointwise
// CHECK-NEXT: graph.exp
// CHECK-NEXT: graph.transpose
// CHECK-NEXT: graph.sqrt
// CHECK-NEXT: graph.neg
// CHECK-NEXT: graph.add
// CHECK-NEXT: graph.yield
func.func @behind_own_view(%x: tensor<4x8xf32>) -> tensor<8x4xf32> {
  %0 = graph.exp %x : tensor<4x8xf32>
  %1 = graph.transpose %0 [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  %2 = graph.sqrt %1 : tensor<8x4xf32>
  %3 = graph.neg %1 : tensor<8x4xf32>
  %4 = graph.add %2, %3 : (tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  return %4 : tensor<8x4xf32>
}

// Nor does a reduction keep for itself what another reads through a view.
// CHECK-LABEL: func.func @shared_view_of_reductions(
// CHECK: %[[N:.*]] = graph.group pointwise
// CHECK-NEXT: graph.neg
// CHECK-COUNT-2: graph.group reduce (%{{.*}} = %[[N]])
// CHECK-NOT: graph.neg
// CHECK: return
func.func @shared_view_of_reductions(%x: tensor<8x8xf32>)
    -> (tensor<8xf32>, tensor<8xf32>) {
  %0 = graph.neg %x : tensor<8x8xf32>
  %1 = graph.transpose %0 [1, 0] : tensor<8x8xf32> -> tensor<8x8xf32>
  %2 = graph.reduce sum %1 axes [1] : tensor<8x8xf32> -> tensor<8xf32>
  %3 = graph.reduce max %1 axes [1] : tensor<8x8xf32> -> tensor<8xf32>
  return %2, %3 : tensor<8xf32>, tensor<8xf32>
}
