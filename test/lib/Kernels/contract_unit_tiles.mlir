// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=gpu64 | FileCheck %s

// Programs come first: a constant that has rows of n is turned.
// CHECK-LABEL: plan.program @bytes
// CHECK: pack <blocks = [1, 1], outer = [1, 0], inner = [1, 0]>

// At sizes of UnitTiles.def, what was fastest there.
// CHECK-LABEL: tile.kernel @matmul_768x768(
// CHECK-SAME: tile = [64, 192, 0, 64], stages = 6>
func.func @measured(
    %x: tensor<4096x768xbf16> {graph.name = "x"},
    %w: tensor<768x768xbf16> {graph.name = "w"})
    -> (tensor<4096x768xbf16> {graph.name = "y"}) {
  %t = graph.transpose %w [1, 0] : tensor<768x768xbf16> -> tensor<768x768xbf16>
  %0 = graph.matmul %x, %t
    : (tensor<4096x768xbf16>, tensor<768x768xbf16>) -> tensor<4096x768xbf16>
  return %0 : tensor<4096x768xbf16>
}

// Floats of 8 bits: 128 steps of k.
// CHECK-LABEL: tile.kernel @linear_256x192(
// CHECK-SAME: , 0, 128],
// CHECK: tile.load {{.*}} -> tensor<{{.*}}x128xf8E4M3FN>
// CHECK: %[[W:.*]] = tile.load {{.*}} -> tensor<128x{{.*}}xf8E4M3FN>
// CHECK: tile.mma %{{.*}}, %[[W]]
func.func @bytes(
    %x: tensor<2048x256xf8E4M3FN> {graph.name = "x"})
    -> (tensor<2048x192xf32> {graph.name = "y"}) {
  %w = graph.constant dense_resource<w> : tensor<256x192xf8E4M3FN> : tensor<256x192xf8E4M3FN>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<2048x256xf8E4M3FN>, tensor<256x192xf8E4M3FN>) -> tensor<2048x192xf32>
  return %0 : tensor<2048x192xf32>
}

// Two products of one program are no warpgroup's: tiles whose sums fit twice.
// CHECK-LABEL: tile.kernel @linear_512x2048(
// CHECK-SAME: tile = [128, 128, 0, 64], stages = 3, warps = 8>
func.func @two(
    %x: tensor<4096x512xf16> {graph.name = "x"})
    -> (tensor<4096x2048xf16> {graph.name = "y"}) {
  %w = graph.constant dense_resource<v> : tensor<512x2048xf16> : tensor<512x2048xf16>
  %u = graph.constant dense_resource<u> : tensor<512x2048xf16> : tensor<512x2048xf16>
  %0 = graph.contract %x, %w, %u [#graph.branch<>, #graph.branch<>]
    : (tensor<4096x512xf16>, tensor<512x2048xf16>, tensor<512x2048xf16>) -> tensor<4096x2048xf16>
  return %0 : tensor<4096x2048xf16>
}
