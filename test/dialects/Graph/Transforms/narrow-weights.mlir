// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-narrow-weights | FileCheck %s
// RUN: lathe-opt %s --graph-narrow-weights=type=f16 \
// RUN:   | FileCheck %s --check-prefix=F16
// RUN: lathe-opt %s --graph-narrow-weights=convolutions \
// RUN:   | FileCheck %s --check-prefix=CONV
// RUN: not lathe-opt %s --graph-narrow-weights=type=f8 2>&1 \
// RUN:   | FileCheck %s --check-prefix=ERROR

// ERROR: no narrow float 'f8'; allowed are bf16 and f16

// Also where it lies transposed; other constants keep their type.
// CHECK-LABEL: func.func @weights(
// CHECK-DAG: dense_resource<w> {{.*}} : tensor<8x6xf32, #graph.narrow<bf16>>
// CHECK-DAG: %[[T:.*]] = graph.constant dense_resource<t> {{.*}} : tensor<4x6xf32, #graph.narrow<bf16>>
// CHECK-DAG: dense_resource<b> : tensor<6xf32> : tensor<6xf32>
// CHECK: graph.transpose %[[T]] [1, 0]
// F16: tensor<8x6xf32, #graph.narrow<f16>>
func.func @weights(%x: tensor<3x8xf32>) -> tensor<3x4xf32> {
  %w = graph.constant dense_resource<w> : tensor<8x6xf32> : tensor<8x6xf32>
  %b = graph.constant dense_resource<b> : tensor<6xf32> : tensor<6xf32>
  %t = graph.constant dense_resource<t> : tensor<4x6xf32> : tensor<4x6xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x6xf32>) -> tensor<3x6xf32>
  %1 = graph.add %0, %b : (tensor<3x6xf32>, tensor<6xf32>) -> tensor<3x6xf32>
  %2 = graph.transpose %t [1, 0] : tensor<4x6xf32> -> tensor<6x4xf32>
  %3 = graph.contract %1, %2 [#graph.branch<>]
    : (tensor<3x6xf32>, tensor<6x4xf32>) -> tensor<3x4xf32>
  return %3 : tensor<3x4xf32>
}

// What has an encoding, is computed, or is no f32, stays as it is.
// CHECK-LABEL: func.func @kept(
// CHECK-NOT: graph.narrow
// CHECK: return
func.func @kept(%x: tensor<3x8xf32>, %y: tensor<8x6xf32>, %z: tensor<3x8xf64>)
    -> (tensor<3x6xf32>, tensor<3x6xf32>, tensor<3x6xf64>) {
  %w = graph.constant dense_resource<w> : tensor<8x6xf32>
    : tensor<8x6xf32, #graph.int8<axis = 1>>
  %v = graph.constant dense<1.0> : tensor<8x6xf64> : tensor<8x6xf64>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x6xf32, #graph.int8<axis = 1>>)
    -> tensor<3x6xf32>
  %1 = graph.contract %x, %y [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x6xf32>) -> tensor<3x6xf32>
  %2 = graph.contract %z, %v [#graph.branch<>]
    : (tensor<3x8xf64>, tensor<8x6xf64>) -> tensor<3x6xf64>
  return %0, %1, %2 : tensor<3x6xf32>, tensor<3x6xf32>, tensor<3x6xf64>
}

// Frequencies whose products with positions are angles.
// CHECK-LABEL: func.func @frequencies(
// CHECK-NOT: graph.narrow
// CHECK: return
func.func @frequencies(%x: tensor<3x1xf32>) -> tensor<3x6xf32> {
  %w = graph.constant dense_resource<f> : tensor<1x6xf32> : tensor<1x6xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<3x1xf32>, tensor<1x6xf32>) -> tensor<3x6xf32>
  %1 = graph.sin %0 : tensor<3x6xf32>
  return %1 : tensor<3x6xf32>
}

// Weights of convolutions on demand.
// CHECK-LABEL: func.func @conv(
// CHECK-NOT: #graph.narrow
// CONV-LABEL: func.func @conv(
// CONV: graph.constant dense_resource<k> {{.*}} : tensor<3x3x8x16xf32, #graph.narrow<bf16>>
// CONV: graph.conv
func.func @conv(%x: tensor<1x9x9x8xf32>) -> tensor<1x7x7x16xf32> {
  %w = graph.constant dense_resource<k> : tensor<3x3x8x16xf32>
    : tensor<3x3x8x16xf32>
  %0 = graph.conv %x, %w strides [1, 1] dilations [1, 1] pads [0, 0, 0, 0]
      groups 1 channels_last
    : (tensor<1x9x9x8xf32>, tensor<3x3x8x16xf32>) -> tensor<1x7x7x16xf32>
  return %0 : tensor<1x7x7x16xf32>
}
