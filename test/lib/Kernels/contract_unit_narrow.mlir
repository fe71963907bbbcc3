// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --convert-graph-to-plan=capability=gpu | FileCheck %s

// What --precision bf16 makes of a linear layer is multiplied as it is stored,
// k rows of all columns, and not in the pairs that CPUs want.

// CHECK: plan.constant {{.*}} pack <blocks = [1, 104], outer = [1, 0], inner = [1, 0]>
// CHECK: tile.kernel @linear_768x100
// CHECK: tile.mma {{.*}} : tensor<[[M:[0-9]+]]x64xbf16>, tensor<64x[[N:[0-9]+]]xbf16>, tensor<[[M]]x[[N]]xf32>
// CHECK-NOT: tensor<2x
func.func @narrow(%x: tensor<?x768xbf16> {graph.name = "x"})
    -> (tensor<?x100xf32> {graph.name = "y"}) {
  %w = graph.constant dense<0.5> : tensor<768x100xf32>
      : tensor<768x100xf32, #graph.narrow<bf16>>
  %y = graph.group contract (%a = %x, %b = %w)
      : (tensor<?x768xbf16>, tensor<768x100xf32, #graph.narrow<bf16>>)
      -> tensor<?x100xf32> {
    %wide = graph.cast %a : tensor<?x768xbf16> -> tensor<?x768xf32>
    %product = graph.contract %wide, %b [#graph.branch<>]
        : (tensor<?x768xf32>, tensor<768x100xf32, #graph.narrow<bf16>>)
        -> tensor<?x100xf32>
    graph.yield %product : tensor<?x100xf32>
  }
  return %y : tensor<?x100xf32>
}
