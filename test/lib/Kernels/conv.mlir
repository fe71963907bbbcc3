// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=avx512 | FileCheck %s

// Padding is written out once; then windows are strided reads. Seven pixels of
// a row by a panel of 64 output channels.

// CHECK: plan.program @conv
// CHECK: plan.constant {{.*}} pack <blocks = [64, 1, 1, 1], outer = [0, 2, 3, 1], inner = [2, 3, 1, 0]>
// CHECK: plan.alloc : <f32, () -> (2, 16, 16, 20)>
// CHECK: tile.kernel @pad_20(
// CHECK: tile.kernel @conv_3x3_20x70_relu(
// CHECK-SAME: tile = [7, 64]
// CHECK: tile.view {{.*}} sizes [2, 14, 14, 3, 3, 20] strides [5120, 320, 20, 320, 20, 1]
// CHECK: scf.for
// CHECK: scf.for
// CHECK: scf.for
// CHECK: tile.mma {{.*}} : tensor<7x1xf32>, tensor<1x64xf32>, tensor<7x64xf32>
// CHECK: arith.maximumf
// CHECK: tile.store
func.func @conv(%x: tensor<2x20x14x14xf32> {graph.name = "x"})
    -> (tensor<2x70x14x14xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<w> : tensor<70x20x3x3xf32>
    : tensor<70x20x3x3xf32>
  %0 = graph.conv %x, %w strides [1, 1] dilations [1, 1] pads [1, 1, 1, 1]
      groups 1
    : (tensor<2x20x14x14xf32>, tensor<70x20x3x3xf32>)
      -> tensor<2x70x14x14xf32>
  %1 = graph.relu %0 : tensor<2x70x14x14xf32>
  return %1 : tensor<2x70x14x14xf32>
}

// -----

// Without padding the input is read where it lies.

// CHECK: plan.program @depthwise
// CHECK-NOT: @pad
// CHECK: tile.kernel @depthwise_3_32x32(
// CHECK: math.fma
func.func @depthwise(%x: tensor<1x50x32xf32> {graph.name = "x"})
    -> (tensor<1x24x32xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<w> : tensor<3x1x32xf32>
    : tensor<3x1x32xf32>
  %0 = graph.conv %x, %w strides [2] dilations [1] pads [0, 0] groups 32
      channels_last
    : (tensor<1x50x32xf32>, tensor<3x1x32xf32>) -> tensor<1x24x32xf32>
  return %0 : tensor<1x24x32xf32>
}
