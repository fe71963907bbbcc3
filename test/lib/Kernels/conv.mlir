// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=avx512 | FileCheck %s
// RUN: lathe-opt %s --split-input-file --graph-form-groups \
// RUN:   --convert-graph-to-plan="capability=avx512 plain-sums" \
// RUN:   | FileCheck %s --check-prefix=PLAIN

// Padding is written out once; then windows are strided reads. A row of the
// window is one loop. Seven pixels of a row by two vectors of channels.

// CHECK: plan.program @conv
// CHECK: plan.constant {{.*}} pack <blocks = [1, 1, 1, 64], outer = [3, 0, 1, 2], inner = [0, 1, 2, 3]>
// CHECK: plan.alloc : <f32, () -> (2, 16, 16, 20)>
// CHECK: tile.kernel @pad_20(
// CHECK: tile.kernel @conv_3x3_20x96_relu(
// CHECK-SAME: tile = [7, 32]
// CHECK: tile.view {{.*}} sizes [2, 14, 14, 3, 60] strides [5120, 320, 20, 320, 1]
// CHECK: scf.for
// CHECK: scf.for
// CHECK-NOT: scf.for
// CHECK: tile.mma {{.*}} : tensor<7x1xf32>, tensor<1x32xf32>, tensor<7x32xf32>
// CHECK: arith.maximumf
// CHECK: tile.store
func.func @conv(%x: tensor<2x14x14x20xf32> {graph.name = "x"})
    -> (tensor<2x14x14x96xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<w> : tensor<3x3x20x96xf32>
    : tensor<3x3x20x96xf32>
  %0 = graph.conv %x, %w strides [1, 1] dilations [1, 1] pads [1, 1, 1, 1]
      groups 1 channels_last
    : (tensor<2x14x14x20xf32>, tensor<3x3x20x96xf32>)
      -> tensor<2x14x14x96xf32>
  %1 = graph.relu %0 : tensor<2x14x14x96xf32>
  return %1 : tensor<2x14x14x96xf32>
}

// -----

// Channels first, as the input of a model: the copy and the loops keep that
// order, the result comes with its channels last.

// CHECK: plan.program @stem
// CHECK: plan.constant {{.*}} pack <blocks = [64, 1, 1, 1], outer = [0, 2, 1, 3], inner = [2, 1, 3, 0]>
// CHECK: plan.alloc : <f32, () -> (1, 3, 37, 37)>
// CHECK: tile.kernel @conv_7x7_3x64(
// CHECK: tile.view {{.*}} sizes [1, 16, 16, 7, 3, 7] strides [4107, 74, 2, 37, 1369, 1]
func.func @stem(%x: tensor<1x3x32x32xf32> {graph.name = "x"})
    -> (tensor<1x16x16x64xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<w> : tensor<64x3x7x7xf32>
    : tensor<64x3x7x7xf32>
  %0 = graph.transpose %x [0, 2, 3, 1]
    : tensor<1x3x32x32xf32> -> tensor<1x32x32x3xf32>
  %1 = graph.transpose %w [2, 3, 1, 0]
    : tensor<64x3x7x7xf32> -> tensor<7x7x3x64xf32>
  %2 = graph.conv %0, %1 strides [2, 2] dilations [1, 1] pads [3, 3, 3, 3]
      groups 1 channels_last
    : (tensor<1x32x32x3xf32>, tensor<7x7x3x64xf32>) -> tensor<1x16x16x64xf32>
  return %2 : tensor<1x16x16x64xf32>
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

// -----

// Winograd's filtering, in tiles of four: 36 samples of 49 tiles. The weight is
// stored as samples too.

// PLAIN-LABEL: plan.program @winograd
// PLAIN-NOT: winograd =
// PLAIN: tile.kernel @conv_3x3_128x128_relu(
// CHECK: plan.program @winograd
// CHECK: plan.constant {{.*}} pack <blocks = [64, 1, 1, 1], outer = [2, 3, 0, 1], inner = [2, 3, 0, 1], winograd = [4, 2, 3]>
// CHECK: plan.alloc : <f32, () -> (36, 49, 128)>
// CHECK: plan.alloc : <f32, () -> (36, 49, 128)>
// CHECK: tile.kernel @winograd4_samples_128(
// CHECK-NOT: scf.for
// CHECK: tile.kernel @winograd4_128x128(
// CHECK: scf.for
// CHECK: tile.mma
// CHECK: tile.kernel @winograd4_of_conv_3x3_128x128_relu(
// CHECK-COUNT-16: arith.maximumf
// CHECK-NOT: arith.maximumf
func.func @winograd(%x: tensor<1x28x28x128xf32> {graph.name = "x"})
    -> (tensor<1x28x28x128xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<w> : tensor<128x128x3x3xf32>
    : tensor<128x128x3x3xf32>
  %0 = graph.transpose %w [2, 3, 1, 0]
    : tensor<128x128x3x3xf32> -> tensor<3x3x128x128xf32>
  %1 = graph.conv %x, %0 strides [1, 1] dilations [1, 1] pads [1, 1, 1, 1]
      groups 1 channels_last
    : (tensor<1x28x28x128xf32>, tensor<3x3x128x128xf32>)
      -> tensor<1x28x28x128xf32>
  %2 = graph.relu %1 : tensor<1x28x28x128xf32>
  return %2 : tensor<1x28x28x128xf32>
}
