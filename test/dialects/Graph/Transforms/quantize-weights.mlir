// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: split-file %s %t
// RUN: lathe-opt %t/model.mlir --graph-quantize-weights=min-elements=16 \
// RUN:   | FileCheck %t/model.mlir
// RUN: lathe-opt %t/model.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=int8:32:float" \
// RUN:   | FileCheck %t/model.mlir --check-prefix=DECODE
// RUN: lathe-opt %t/model.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=int4:64:zeros" \
// RUN:   | FileCheck %t/model.mlir --check-prefix=INT4
// RUN: lathe-opt %t/model.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=ternary" \
// RUN:   | FileCheck %t/model.mlir --check-prefix=TERNARY
// RUN: lathe-opt %t/model.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=ternary:32:float" \
// RUN:   | FileCheck %t/model.mlir --check-prefix=TERNARY-GROUPS
// RUN: lathe-opt %t/blocks.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=%t/blocks.txt" \
// RUN:   --remark-policy=all --remarks-filter=graph-quantize-weights \
// RUN:   > %t/blocks.out 2> %t/blocks.err
// RUN: FileCheck %t/blocks.mlir < %t/blocks.out
// RUN: FileCheck %t/blocks.mlir --check-prefix=TALL < %t/blocks.err
// RUN: lathe-opt %t/layers.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=%t/plan.txt" \
// RUN:   | FileCheck %t/layers.mlir
// RUN: lathe-opt %t/attention.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=%t/values.txt" \
// RUN:   --graph-merge-qkv --mlir-print-local-scope \
// RUN:   | FileCheck %t/attention.mlir
// RUN: lathe-opt %t/attention.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=ternary" \
// RUN:   --graph-merge-qkv --mlir-print-local-scope \
// RUN:   | FileCheck %t/attention.mlir --check-prefix=APART
// RUN: lathe-opt %t/attention.mlir \
// RUN:   --graph-quantize-weights="min-elements=16 weights=block4x1:0.5" \
// RUN:   --graph-merge-qkv --mlir-print-local-scope \
// RUN:   | FileCheck %t/attention.mlir --check-prefix=APART
// RUN: not lathe-opt %t/layers.mlir --graph-quantize-weights=weights=%t/lost.txt \
// RUN:   2>&1 | FileCheck %s --check-prefix=LOST
// RUN: not lathe-opt %t/layers.mlir --graph-quantize-weights=weights=%t/odd.txt \
// RUN:   2>&1 | FileCheck %s --check-prefix=ODD
// RUN: not lathe-opt %t/layers.mlir --graph-quantize-weights=weights=%t/few.txt \
// RUN:   2>&1 | FileCheck %s --check-prefix=FEW
// RUN: lathe-opt %t/layers.mlir --graph-quantize-weights=weights=%t/shadow.txt \
// RUN:   2>&1 | FileCheck %s --check-prefix=SHADOW
// RUN: lathe-opt %t/nothing.mlir --graph-quantize-weights 2>&1 \
// RUN:   | FileCheck %s --check-prefix=NOTHING
// RUN: not lathe-opt %t/model.mlir --graph-quantize-weights=weights=int5 2>&1 \
// RUN:   | FileCheck %s --check-prefix=UNKNOWN
// RUN: not lathe-opt %t/model.mlir --graph-quantize-weights=weights=%t/gone.txt \
// RUN:   2>&1 | FileCheck %s --check-prefix=GONE
// RUN: not lathe-opt %t/model.mlir --graph-quantize-weights=weights=int4:9 2>&1 \
// RUN:   | FileCheck %s --check-prefix=GROUP
// RUN: not lathe-opt %t/model.mlir \
// RUN:   --graph-quantize-weights=weights=ternary:24 2>&1 \
// RUN:   | FileCheck %s --check-prefix=TERNARY-GROUP
// RUN: not lathe-opt %t/model.mlir \
// RUN:   --graph-quantize-weights=weights=block4x1:1.5 2>&1 \
// RUN:   | FileCheck %s --check-prefix=DENSITY
// RUN: not lathe-opt %t/model.mlir \
// RUN:   --graph-quantize-weights=weights=block4x1: 2>&1 \
// RUN:   | FileCheck %s --check-prefix=NO-DENSITY
// RUN: not lathe-opt %t/model.mlir \
// RUN:   --graph-quantize-weights=weights=block5x1:0.5 2>&1 \
// RUN:   | FileCheck %s --check-prefix=BLOCK
// RUN: not lathe-opt %t/model.mlir --graph-quantize-weights=weights=int8:zeros \
// RUN:   2>&1 | FileCheck %s --check-prefix=ZEROS

// LOST: lost.txt:2:1: error: pattern 'decoder/*' matches no linear layer of the model
// ODD: odd.txt:1: weight format 'int3': 'int3' is no encoding; there are keep, int8[:GROUP][:float], int4[:GROUP][:zeros][:float], ternary[:GROUP][:float] and block4x1[:DENSITY][:float]
// FEW: few.txt:3: a line holds a layer pattern and a weight format, not '*'
// SHADOW: shadow.txt:2:1: warning: pattern 'encoder/0' decides nothing: lines above it match all of its layers
// NOTHING: warning: the model has no linear layer to store in another format
// UNKNOWN: weight format 'int5': 'int5' is no encoding; there are {{.*}}, or a file with a layer pattern
// GONE: gone.txt' is no weight format, and there is no such file
// GROUP: weight format 'int4:9': a group is a multiple of 8 in 8..1024, not 9
// TERNARY-GROUP: weight format 'ternary:24': a group is a multiple of 16 in 16..1024, not 24
// NO-DENSITY: weight format 'block4x1:': '' says nothing about block4x1
// DENSITY: weight format 'block4x1:1.5': a density is in 0..1, not 1.5
// BLOCK: weight format 'block5x1:0.5': 'block5x1' is no encoding
// ZEROS: weight format 'int8:zeros': 'zeros' says nothing about int8

//--- shadow.txt
encoder/*  keep
encoder/0  int8
*          int8

//--- nothing.mlir
func.func @nothing(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

//--- plan.txt
# The first line that matches decides.
encoder/0    keep      # a comment
encoder/*  int4:32

//--- blocks.txt
pruned     block4x1
halved     block4x1:0.5
floats     block8x1:0.25:float
tall       block4x1

//--- blocks.mlir
// A weight that is sparse already keeps its density, if less was asked.
// CHECK-LABEL: func.func @blocks(
// CHECK-DAG: tensor<4x8xf32, #graph.block<axis = 1, density = 2.500000e-01, type = i8>>
// CHECK-DAG: tensor<4x8xf32, #graph.block<axis = 1, density = 5.000000e-01, type = i8>>
// CHECK-DAG: tensor<4x8xf32, #graph.block<axis = 1, size = 8, density = 2.500000e-01, type = f32>>
// CHECK: graph.contract %{{.*}} [#graph.branch<quantizer = #graph.dynamic_int8<group = 4>>]
// CHECK: graph.contract %{{.*}} [#graph.branch<quantizer = #graph.dynamic_int8<group = 4>>]
// CHECK: graph.contract %{{.*}} [#graph.branch<>]
func.func @blocks(%x: tensor<?x4xf32>)
    -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
  %w = graph.constant dense<[
      [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
      [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
      [2.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
      [0.0, -0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]> : tensor<4x8xf32>
    : tensor<4x8xf32>
  %v = graph.constant dense_resource<v> : tensor<4x8xf32> : tensor<4x8xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32> loc("pruned")
  %1 = graph.contract %x, %v [#graph.branch<>]
    : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32> loc("halved")
  %2 = graph.contract %x, %v [#graph.branch<>]
    : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32> loc("floats")
  return %0, %1, %2 : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}

// What an encoding cannot hold stays.
// TALL: weight is not quantized: {{.*}} holds at most 65536 elements a column, got 65537
// CHECK-LABEL: func.func @tall(
// CHECK: graph.contract %{{.*}} [#graph.branch<>] : (tensor<?x65537xf32>, tensor<65537x8xf32>)
func.func @tall(%x: tensor<?x65537xf32>) -> tensor<?x8xf32> {
  %w = graph.constant dense_resource<t> : tensor<65537x8xf32>
    : tensor<65537x8xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x65537xf32>, tensor<65537x8xf32>) -> tensor<?x8xf32> loc("tall")
  return %0 : tensor<?x8xf32>
}

//--- values.txt
*/attention/self/value/*   int8
*/layer.5/*                int8:64
*                          int4:64:zeros

//--- attention.mlir
// Only what is stored alike merges: the value projection stays by itself.
// CHECK-LABEL: func.func @attention(
// CHECK-DAG: #graph.concat<axis = 1, [dense_resource<q> {{.*}}, dense_resource<k> {{.*}}]> {{.*}} : tensor<8x16xf32, #graph.int4<axis = 1, group = 64, zeros = true>>
// CHECK-DAG: graph.constant dense_resource<v> {{.*}} tensor<8x8xf32, #graph.int8<axis = 1, group = 64>>
// CHECK-DAG: graph.constant dense_resource<o> {{.*}} tensor<8x8xf32, #graph.int8<axis = 1, group = 64>>
// CHECK-COUNT-3: graph.contract
// Weights of one scale each stay apart, and those of blocks that rank by weight.
// APART-LABEL: func.func @attention(
// APART-NOT: #graph.concat
func.func @attention(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %wq = graph.constant dense_resource<q> : tensor<8x8xf32> : tensor<8x8xf32>
  %wk = graph.constant dense_resource<k> : tensor<8x8xf32> : tensor<8x8xf32>
  %wv = graph.constant dense_resource<v> : tensor<8x8xf32> : tensor<8x8xf32>
  %wo = graph.constant dense_resource<o> : tensor<8x8xf32> : tensor<8x8xf32>
  %q = graph.contract %x, %wq [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    loc("a/attention/self/query/MatMul")
  %k = graph.contract %x, %wk [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    loc("a/attention/self/key/MatMul")
  %v = graph.contract %x, %wv [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    loc("a/attention/self/value/MatMul")
  %t = graph.transpose %k [1, 0] : tensor<?x8xf32> -> tensor<8x?xf32>
  %s = graph.matmul %q, %t
    : (tensor<?x8xf32>, tensor<8x?xf32>) -> tensor<?x?xf32>
  %y = graph.matmul %s, %v
    : (tensor<?x?xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %o = graph.contract %y, %wo [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    loc("a/layer.5/out")
  return %o : tensor<?x8xf32>
}

//--- lost.txt
* int8
decoder/* int8

//--- odd.txt
* int3

//--- few.txt
# a plan

*

//--- layers.mlir
// CHECK-LABEL: func.func @layers(
// CHECK-DAG: graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
// CHECK-DAG: graph.constant dense_resource<v> : tensor<8x4xf32> : tensor<8x4xf32, #graph.int4<axis = 1, group = 32>>
// CHECK-DAG: graph.constant dense_resource<u> : tensor<8x4xf32> : tensor<8x4xf32>
func.func @layers(%x: tensor<?x8xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) {
  %w = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
  %v = graph.constant dense_resource<v> : tensor<8x4xf32> : tensor<8x4xf32>
  %u = graph.constant dense_resource<u> : tensor<8x4xf32> : tensor<8x4xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32> loc("encoder/0")
  %1 = graph.contract %x, %v [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    loc(fused["add", "encoder/1"])
  %2 = graph.contract %x, %u [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32> loc("head")
  return %0, %1, %2 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
}

//--- model.mlir
// CHECK-LABEL: func.func @linear(
// CHECK-DAG: %[[W:.*]] = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32, #graph.int8<axis = 1, group = 64>>
// CHECK-DAG: %[[V:.*]] = graph.constant dense_resource<v> : tensor<4x8xf32> : tensor<4x8xf32, #graph.int8<axis = 0, group = 64>>
// CHECK: graph.contract %arg0, %[[W]] [#graph.branch<quantizer = #graph.dynamic_int8<group = 64>>]
// CHECK: %[[T:.*]] = graph.transpose %[[V]]
// CHECK: graph.contract %arg0, %[[T]] [#graph.branch<quantizer = #graph.dynamic_int8<group = 64>>]
// A small weight stays.
// CHECK: graph.contract %arg0, %{{.*}} [#graph.branch<>]

// DECODE-LABEL: func.func @linear(
// DECODE: graph.constant dense_resource<v> {{.*}} #graph.int8<axis = 0, group = 32>>
// DECODE: graph.contract %arg0, %{{.*}} [#graph.branch<>] : (tensor<?x8xf32>, tensor<8x4xf32, #graph.int8<axis = 1, group = 32>>)

// INT4-LABEL: func.func @linear(
// INT4: graph.constant dense_resource<v> {{.*}} #graph.int4<axis = 0, group = 64, zeros = true>>
// INT4: graph.contract %arg0, %{{.*}} [#graph.branch<quantizer = #graph.dynamic_int8<group = 64, symmetric = true>>] : (tensor<?x8xf32>, tensor<8x4xf32, #graph.int4<axis = 1, group = 64, zeros = true>>)
// One scale, and inputs in groups all the same.
// TERNARY-LABEL: func.func @linear(
// TERNARY: graph.constant dense_resource<v> {{.*}} #graph.ternary<axis = 0>>
// TERNARY: graph.contract %arg0, %{{.*}} [#graph.branch<quantizer = #graph.dynamic_int8<group = 128, symmetric = true>>] : (tensor<?x8xf32>, tensor<8x4xf32, #graph.ternary<axis = 1>>)

// TERNARY-GROUPS-LABEL: func.func @linear(
// TERNARY-GROUPS: graph.constant dense_resource<v> {{.*}} #graph.ternary<axis = 0, group = 32>>
// TERNARY-GROUPS: graph.contract %arg0, %{{.*}} [#graph.branch<>]
func.func @linear(%x: tensor<?x8xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x1xf32>) {
  %w = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
  %v = graph.constant dense_resource<v> : tensor<4x8xf32> : tensor<4x8xf32>
  %s = graph.constant dense_resource<s> : tensor<8x1xf32> : tensor<8x1xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %t = graph.transpose %v [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  %1 = graph.contract %x, %t [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %2 = graph.contract %x, %s [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %0, %1, %2 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x1xf32>
}

// A weight that something else reads is stored twice.
// CHECK-LABEL: func.func @tied(
// CHECK-DAG: %[[D:.*]] = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
// CHECK-DAG: %[[E:.*]] = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32, #graph.int8<axis = 1, group = 64>>
// CHECK: graph.gather %[[D]]
// CHECK: graph.contract %arg0, %[[E]]
func.func @tied(%x: tensor<?x8xf32>, %i: tensor<2xi64>)
    -> (tensor<2x4xf32>, tensor<?x4xf32>) {
  %w = graph.constant dense_resource<w> : tensor<8x4xf32> : tensor<8x4xf32>
  %0 = graph.gather %w, %i axis 0
    : (tensor<8x4xf32>, tensor<2xi64>) -> tensor<2x4xf32>
  %1 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return %0, %1 : tensor<2x4xf32>, tensor<?x4xf32>
}

// Groups of int8 are of one size, at most 384; others of 128.
// CHECK-LABEL: func.func @long(
// CHECK-DAG: tensor<384x4xf32, #graph.int8<axis = 1, group = 384>>
// CHECK-DAG: tensor<1000x4xf32, #graph.int8<axis = 1, group = 384>>
// CHECK-DAG: tensor<1040x4xf32, #graph.int8<axis = 1, group = 384>>
// CHECK-DAG: tensor<512x4xf32, #graph.int8<axis = 1, group = 256>>
// TERNARY-LABEL: func.func @long(
// TERNARY: #graph.dynamic_int8<group = 128, symmetric = true>
func.func @long(%a: tensor<?x384xf32>, %b: tensor<?x1000xf32>,
    %c: tensor<?x1040xf32>, %d: tensor<?x512xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) {
  %u = graph.constant dense_resource<u> : tensor<384x4xf32> : tensor<384x4xf32>
  %v = graph.constant dense_resource<v>
    : tensor<1000x4xf32> : tensor<1000x4xf32>
  %w = graph.constant dense_resource<w>
    : tensor<1040x4xf32> : tensor<1040x4xf32>
  %x = graph.constant dense_resource<x> : tensor<512x4xf32> : tensor<512x4xf32>
  %0 = graph.contract %a, %u [#graph.branch<>]
    : (tensor<?x384xf32>, tensor<384x4xf32>) -> tensor<?x4xf32>
  %1 = graph.contract %b, %v [#graph.branch<>]
    : (tensor<?x1000xf32>, tensor<1000x4xf32>) -> tensor<?x4xf32>
  %2 = graph.contract %c, %w [#graph.branch<>]
    : (tensor<?x1040xf32>, tensor<1040x4xf32>) -> tensor<?x4xf32>
  %3 = graph.contract %d, %x [#graph.branch<>]
    : (tensor<?x512xf32>, tensor<512x4xf32>) -> tensor<?x4xf32>
  return %0, %1, %2, %3
    : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
}
