// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-form-groups --graph-narrow-activations \
// RUN:   --graph-pitch-rows --mlir-print-local-scope | FileCheck %s
// RUN: lathe-opt %s --graph-form-groups --graph-narrow-activations \
// RUN:   --graph-pitch-rows --convert-graph-to-plan=capability=amx \
// RUN:   | FileCheck %s --check-prefix=PLAN

// 512 numbers of bf16 are 16 lines of a cache, 288 are 9. Inputs, outputs and f32
// lie as they do.
// CHECK-LABEL: func.func @layer(
// CHECK: %[[Y:.*]] = graph.group contract (%{{.*}} = %arg0
// CHECK-SAME: -> tensor<?x3x544xbf16>
// CHECK: %[[PITCH:.*]] = graph.pitch %{{.*}} to 544 : tensor<?x3x512xbf16> -> tensor<?x3x544xbf16>
// CHECK-NEXT: graph.yield %[[PITCH]]
// CHECK: graph.group contract (%[[ARG:.*]] = %[[Y]]
// CHECK-SAME: (tensor<?x3x544xbf16>, tensor<512x288xf32>) -> tensor<?x3x288xbf16>
// CHECK-NEXT: %[[ROWS:.*]] = graph.slice %[[ARG]] from affine_map<()[s0] -> (0, 0, 0)>
// CHECK-SAME: size affine_map<()[s0] -> (s0, 3, 512)> step [1, 1, 1]
// CHECK-NEXT: graph.cast %[[ROWS]]
// CHECK: graph.group contract
// CHECK-SAME: -> tensor<?x3x512xf32>

// Kernels see strides: of what is written and of what is read.
// PLAN: plan.alloc : <bf16, ()[s0] -> (s0, 3, 544)>
// PLAN: tile.kernel @linear_40x512_gelu
// PLAN: tile.view %{{.*}} sizes [%{{.*}}, 512] strides [544, 1]
// PLAN: tile.kernel @linear_512x288
// PLAN: tile.view %{{.*}} sizes [%{{.*}}, 512] strides [544, 1]
func.func @layer(%x: tensor<?x3x40xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 3, 40)>}) -> tensor<?x3x512xf32>
    attributes {graph.symbols = ["batch"]} {
  %w = graph.constant dense_resource<w> : tensor<40x512xf32> : tensor<40x512xf32>
  %v = graph.constant dense_resource<v> : tensor<512x288xf32> : tensor<512x288xf32>
  %u = graph.constant dense_resource<u> : tensor<288x512xf32> : tensor<288x512xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x3x40xf32>, tensor<40x512xf32>) -> tensor<?x3x512xf32>
  %1 = graph.gelu %0 : tensor<?x3x512xf32>
  %2 = graph.contract %1, %v [#graph.branch<>]
    : (tensor<?x3x512xf32>, tensor<512x288xf32>) -> tensor<?x3x288xf32>
  %3 = graph.contract %2, %u [#graph.branch<>]
    : (tensor<?x3x288xf32>, tensor<288x512xf32>) -> tensor<?x3x512xf32>
  return %3 : tensor<?x3x512xf32>
}
