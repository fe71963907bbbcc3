// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=gpu64 | FileCheck %s

// A GPU's matrix unit multiplies f16 as it is stored, 64 steps of k at once. A
// weight whose rows are whole 16 bytes is read where it lies.
// CHECK-LABEL: plan.program @plain
// CHECK: plan.constant {{.*}} : tensor<64x128xf16>
// CHECK-NOT: pack <
// Rows of 70 columns are padded to 72, in one panel.
// CHECK-LABEL: plan.program @padded
// CHECK: pack <blocks = [1, 72], outer = [1, 0], inner = [1, 0]>

// CHECK: tile.kernel @linear_64x128(
// CHECK: scf.for
// CHECK: %[[A:.*]] = tile.load {{.*}} -> tensor<[[ROWS:.*]]x64xf16>
// CHECK: %[[B:.*]] = tile.load {{.*}}<64x128xf16, [128, 1]> -> tensor<64x[[COLUMNS:.*]]xf16>
// CHECK: tile.mma %[[A]], %[[B]], %{{.*}} : tensor<[[ROWS]]x64xf16>, tensor<64x[[COLUMNS]]xf16>, tensor<[[ROWS]]x[[COLUMNS]]xf32>
// CHECK: arith.truncf
// CHECK: tile.kernel @linear_64x70(
// CHECK: tile.load {{.*}}x72x1xf16, [4608, 72, 1, 1]>
// CHECK: tile.mma
func.func @plain(
    %x: tensor<?x64xf16> {graph.name = "x",
      graph.dims = affine_map<()[s0] -> (s0, 64)>})
    -> (tensor<?x128xf16> {graph.name = "y"})
    attributes {graph.symbols = ["rows"]} {
  %w = graph.constant dense_resource<w> : tensor<64x128xf16> : tensor<64x128xf16>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x64xf16>, tensor<64x128xf16>) -> tensor<?x128xf16>
  return %0 : tensor<?x128xf16>
}

func.func @padded(
    %x: tensor<?x64xf16> {graph.name = "x",
      graph.dims = affine_map<()[s0] -> (s0, 64)>})
    -> (tensor<?x70xf16> {graph.name = "y"})
    attributes {graph.symbols = ["rows"]} {
  %w = graph.constant dense_resource<v> : tensor<64x70xf16> : tensor<64x70xf16>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x64xf16>, tensor<64x70xf16>) -> tensor<?x70xf16>
  return %0 : tensor<?x70xf16>
}
