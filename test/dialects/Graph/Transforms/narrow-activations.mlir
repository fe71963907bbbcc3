// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-form-groups --graph-narrow-activations \
// RUN:   | FileCheck %s
// RUN: lathe-opt %s --graph-form-groups \
// RUN:   --graph-narrow-activations=only-quantized \
// RUN:   | FileCheck %s --check-prefix=QUANTIZED
// RUN: not lathe-opt %s --graph-narrow-activations=type=f8 2>&1 \
// RUN:   | FileCheck %s --check-prefix=ERROR

// ERROR: no narrow float 'f8'; allowed are bf16 and f16

// Between groups; the model's inputs and outputs keep their types. What is
// beyond bf16 becomes its largest number.
// CHECK-LABEL: func.func @layer(
// CHECK: %[[Y:.*]] = graph.group contract (%{{.*}} = %arg0
// CHECK-SAME: (tensor<3x8xf32>, tensor<8x8xf32>) -> tensor<3x8xbf16>
// CHECK: %[[SUM:.*]] = graph.add
// CHECK-NEXT: %[[LOW:.*]] = graph.constant dense<-3.38953139E+38>
// CHECK-NEXT: %[[MAX:.*]] = graph.max %[[SUM]], %[[LOW]]
// CHECK-NEXT: %[[HIGH:.*]] = graph.constant dense<3.38953139E+38>
// CHECK-NEXT: %[[MIN:.*]] = graph.min %[[MAX]], %[[HIGH]]
// CHECK-NEXT: %[[CAST:.*]] = graph.cast %[[MIN]] : tensor<3x8xf32> -> tensor<3x8xbf16>
// CHECK-NEXT: graph.yield %[[CAST]] : tensor<3x8xbf16>
// CHECK: graph.group reduce (%[[ARG:.*]] = %[[Y]]
// CHECK-SAME: -> tensor<3x8xf32> {
// CHECK-NEXT: %[[WIDE:.*]] = graph.cast %[[ARG]] : tensor<3x8xbf16> -> tensor<3x8xf32>
// CHECK-NEXT: graph.layer_norm %[[WIDE]]
func.func @layer(%x: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = graph.constant dense_resource<w> : tensor<8x8xf32> : tensor<8x8xf32>
  %s = graph.constant dense_resource<s> : tensor<8xf32> : tensor<8xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x8xf32>) -> tensor<3x8xf32>
  %1 = graph.add %0, %x
    : (tensor<3x8xf32>, tensor<3x8xf32>) -> tensor<3x8xf32>
  %2 = graph.layer_norm %1 scale %s bias %s axis 1 epsilon 1.0e-5
    : (tensor<3x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<3x8xf32>
  return %2 : tensor<3x8xf32>
}

// The lowest f32 in a mask would become infinite.
// CHECK-LABEL: func.func @mask(
// CHECK: graph.group pointwise
// CHECK-SAME: -> tensor<2x1x4x4xf32>
// CHECK: graph.group attention
func.func @mask(%q: tensor<2x3x4x8xf32>, %m: tensor<2x1x4x4xf32>)
    -> tensor<2x3x4x8xf32> {
  %0 = graph.add %m, %m : (tensor<2x1x4x4xf32>, tensor<2x1x4x4xf32>)
    -> tensor<2x1x4x4xf32>
  %1 = graph.attention %q, %q, %q mask %0 score(#graph.softmax<scale = 1.0>)
      select(#graph.dense)
    : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>,
       tensor<2x1x4x4xf32>) -> tensor<2x3x4x8xf32>
  return %1 : tensor<2x3x4x8xf32>
}

// An output that is read again stays as it is.
// CHECK-LABEL: func.func @output(
// CHECK-NOT: bf16
// CHECK: return
func.func @output(%x: tensor<3x8xf32>) -> (tensor<3x8xf32>, tensor<3xf32>) {
  %0 = graph.exp %x : tensor<3x8xf32>
  %1 = graph.reduce max %0 axes [1]
    : tensor<3x8xf32> -> tensor<3xf32>
  return %0, %1 : tensor<3x8xf32>, tensor<3xf32>
}

// What integer products alone read, without a bound; not the residual sum.
// QUANTIZED-LABEL: func.func @layer(
// QUANTIZED-NOT: bf16
// QUANTIZED-LABEL: func.func @quantized(
// QUANTIZED: graph.group contract
// QUANTIZED-SAME: -> tensor<3x64xbf16>
// QUANTIZED: %[[EXP:.*]] = graph.exp
// QUANTIZED-NEXT: graph.cast %[[EXP]]
// QUANTIZED: graph.group contract
// QUANTIZED-SAME: -> tensor<3x64xf32>
// QUANTIZED: graph.cast
// QUANTIZED: graph.group contract
// QUANTIZED-SAME: -> tensor<3x64xf32>
// QUANTIZED-NOT: bf16
func.func @quantized(%x: tensor<3x64xf32>) -> tensor<3x64xf32> {
  %w = graph.constant dense_resource<q>
    : tensor<64x64xf32> : tensor<64x64xf32, #graph.int8<axis = 1, group = 64>>
  %0 = graph.contract %x, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 64>>]
    : (tensor<3x64xf32>, tensor<64x64xf32, #graph.int8<axis = 1, group = 64>>)
    -> tensor<3x64xf32>
  %1 = graph.exp %0 : tensor<3x64xf32>
  %2 = graph.contract %1, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 64>>]
    : (tensor<3x64xf32>, tensor<64x64xf32, #graph.int8<axis = 1, group = 64>>)
    -> tensor<3x64xf32>
  %3 = graph.contract %2, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 64>>]
    : (tensor<3x64xf32>, tensor<64x64xf32, #graph.int8<axis = 1, group = 64>>)
    -> tensor<3x64xf32>
  %4 = graph.add %3, %2
    : (tensor<3x64xf32>, tensor<3x64xf32>) -> tensor<3x64xf32>
  return %4 : tensor<3x64xf32>
}

// Queries, keys and values that are integer products, but not a mask.
// QUANTIZED-LABEL: func.func @attention(
// QUANTIZED: graph.group contract
// QUANTIZED-SAME: -> tensor<2x3x64x64xbf16>
// QUANTIZED: graph.group contract
// QUANTIZED-SAME: -> tensor<2x3x64x64xf32>
// QUANTIZED: graph.group attention
// QUANTIZED-SAME: -> tensor<2x3x64x64xf32>
func.func @attention(%x: tensor<2x3x64x64xf32>) -> tensor<2x3x64x64xf32> {
  %w = graph.constant dense_resource<q>
    : tensor<64x64xf32> : tensor<64x64xf32, #graph.int8<axis = 1, group = 64>>
  %0 = graph.contract %x, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 64>>]
    : (tensor<2x3x64x64xf32>,
       tensor<64x64xf32, #graph.int8<axis = 1, group = 64>>)
    -> tensor<2x3x64x64xf32>
  %1 = graph.contract %x, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 64>>]
    : (tensor<2x3x64x64xf32>,
       tensor<64x64xf32, #graph.int8<axis = 1, group = 64>>)
    -> tensor<2x3x64x64xf32>
  %2 = graph.attention %0, %0, %0 mask %1 score(#graph.softmax<scale = 1.0>)
      select(#graph.dense)
    : (tensor<2x3x64x64xf32>, tensor<2x3x64x64xf32>, tensor<2x3x64x64xf32>,
       tensor<2x3x64x64xf32>) -> tensor<2x3x64x64xf32>
  return %2 : tensor<2x3x64x64xf32>
}

// Positions are made of integers, and so are the angles that they are
// multiplied to: in bf16 they would be multiples of 2 above 256.
// CHECK-LABEL: func.func @positions(
// CHECK: graph.group contract
// CHECK-NOT: bf16
// CHECK: return
func.func @positions(%p: tensor<?x?xi64>
    {graph.dims = affine_map<()[s0, s1] -> (s0, s1)>}) -> tensor<?x?x8xf32>
    attributes {graph.symbols = ["batch", "seq"]} {
  %f = graph.constant dense<[[[1.0], [0.3], [0.1], [0.03]]]>
    : tensor<1x4x1xf32> : tensor<1x4x1xf32>
  %0 = graph.cast %p : tensor<?x?xi64> -> tensor<?x?xf32>
  %1 = graph.reshape %0 to affine_map<()[s0, s1] -> (s0, 1, s1)>
    : tensor<?x?xf32> -> tensor<?x1x?xf32>
  %2 = graph.matmul %f, %1
    : (tensor<1x4x1xf32>, tensor<?x1x?xf32>) -> tensor<?x4x?xf32>
  %3 = graph.transpose %2 [0, 2, 1] : tensor<?x4x?xf32> -> tensor<?x?x4xf32>
  %4 = graph.concat %3, %3 axis 2
    : (tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x?x8xf32>
  %5 = graph.cos %4 : tensor<?x?x8xf32>
  return %5 : tensor<?x?x8xf32>
}

// Angles of an input, which two groups read, and one that reads them turned.
// CHECK-LABEL: func.func @angles(
// CHECK-NOT: bf16
// CHECK: return
func.func @angles(%t: tensor<6x1xf32>)
    -> (tensor<6x4xf32>, tensor<6x4xf32>, tensor<4x6xf32>) {
  %f = graph.constant dense<[1.0, 0.3, 0.1, 0.03]> : tensor<4xf32>
    : tensor<4xf32>
  %0 = graph.mul %t, %f : (tensor<6x1xf32>, tensor<4xf32>) -> tensor<6x4xf32>
  %1 = graph.sin %0 : tensor<6x4xf32>
  %2 = graph.cos %0 : tensor<6x4xf32>
  %3 = graph.transpose %0 [1, 0] : tensor<6x4xf32> -> tensor<4x6xf32>
  %4 = graph.tan %3 : tensor<4x6xf32>
  return %1, %2, %4 : tensor<6x4xf32>, tensor<6x4xf32>, tensor<4x6xf32>
}

// Steps: a count that becomes an index, but not a sign, which rounding keeps.
// CHECK-LABEL: func.func @steps(
// CHECK: graph.group scan
// CHECK-SAME: -> tensor<1x300xf32>
// CHECK: graph.gather
// CHECK: graph.group pointwise
// CHECK-SAME: -> tensor<1x300xbf16>
// CHECK: return
func.func @steps(%t: tensor<300x40xf32>, %m: tensor<1x300xf32>)
    -> (tensor<1x300x40xf32>, tensor<1xf32>, tensor<1xf32>) {
  %zero = graph.constant dense<0.0> : tensor<f32> : tensor<f32>
  %0 = graph.cumulate %m axis 1 : tensor<1x300xf32>
  %1 = graph.reduce max %0 axes [1] : tensor<1x300xf32> -> tensor<1xf32>
  %2 = graph.cast %0 : tensor<1x300xf32> -> tensor<1x300xi64>
  %3 = graph.gather %t, %2 axis 0
    : (tensor<300x40xf32>, tensor<1x300xi64>) -> tensor<1x300x40xf32>
  %4 = graph.exp %m : tensor<1x300xf32>
  %5 = graph.compare gt %4, %zero
    : (tensor<1x300xf32>, tensor<f32>) -> tensor<1x300xi1>
  %6 = graph.select %5, %4, %zero
    : (tensor<1x300xi1>, tensor<1x300xf32>, tensor<f32>) -> tensor<1x300xf32>
  %7 = graph.reduce sum %6 axes [1] : tensor<1x300xf32> -> tensor<1xf32>
  %8 = graph.reduce max %4 axes [1] : tensor<1x300xf32> -> tensor<1xf32>
  %9 = graph.add %7, %8 : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
  return %3, %1, %9 : tensor<1x300x40xf32>, tensor<1xf32>, tensor<1xf32>
}
