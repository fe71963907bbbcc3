// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file \
// RUN:   --convert-graph-to-plan="capability=amx emit-remarks" > %t.out 2> %t.err
// RUN: FileCheck %s < %t.out
// RUN: FileCheck %s --check-prefix=REMARK < %t.err

// 8-bit products that a matrix unit does not take: the user hears why. The
// workload of a kernel says how its weights are stored.

// REMARK: remark: the matrix unit does not take weights of 4 codes to a byte
// CHECK: tile.kernel @linear_int8_256x128(
// CHECK-SAME: workload = "linear_int8_256x128, one row, ternary"
func.func @ternary(%x: tensor<?x256xf32> {graph.dims = affine_map<()[s0] -> (s0, 256)>})
    -> tensor<?x128xf32> attributes {graph.symbols = ["m"]} {
  %w = graph.constant dense<0.5> : tensor<256x128xf32>
    : tensor<256x128xf32, #graph.ternary<axis = 1>>
  %0 = graph.group contract (%a = %x, %b = %w)
      : (tensor<?x256xf32>, tensor<256x128xf32, #graph.ternary<axis = 1>>)
        -> tensor<?x128xf32> {
    %1 = graph.contract %a, %b
      [#graph.branch<quantizer = #graph.dynamic_int8<group = 128, symmetric = true>>]
      : (tensor<?x256xf32>, tensor<256x128xf32, #graph.ternary<axis = 1>>)
        -> tensor<?x128xf32>
    graph.yield %1 : tensor<?x128xf32>
  }
  return %0 : tensor<?x128xf32>
}

// -----

// REMARK: remark: the matrix unit does not take weights in groups of 32 inputs, no multiple of its 64
// CHECK: workload = "linear_int8_256x128, one row, int4<group = 32>"
func.func @short(%x: tensor<?x256xf32> {graph.dims = affine_map<()[s0] -> (s0, 256)>})
    -> tensor<?x128xf32> attributes {graph.symbols = ["m"]} {
  %w = graph.constant dense<0.5> : tensor<256x128xf32>
    : tensor<256x128xf32, #graph.int4<axis = 1, group = 32>>
  %0 = graph.group contract (%a = %x, %b = %w)
      : (tensor<?x256xf32>,
         tensor<256x128xf32, #graph.int4<axis = 1, group = 32>>)
        -> tensor<?x128xf32> {
    %1 = graph.contract %a, %b
      [#graph.branch<quantizer = #graph.dynamic_int8<group = 32, symmetric = true>>]
      : (tensor<?x256xf32>,
         tensor<256x128xf32, #graph.int4<axis = 1, group = 32>>)
        -> tensor<?x128xf32>
    graph.yield %1 : tensor<?x128xf32>
  }
  return %0 : tensor<?x128xf32>
}
