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
