// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --verify-diagnostics \
// RUN:   --graph-sparsify-attention="pattern=window:block=4,local=2"

// expected-error@+1 {{nothing takes the attention pattern 'window:block=4,local=2': of an attention, the numbers of heads, queries and keys must be known (a named length can be held at a value: --specialize NAME=V)}}
func.func @dynamic(%q: tensor<1x1x?x8xf32> {graph.name = "q",
      graph.dims = affine_map<()[s0] -> (1, 1, s0, 8)>})
    -> (tensor<1x1x?x8xf32> {graph.name = "y"})
    attributes {graph.symbols = ["seq"]} {
  %0 = graph.attention %q, %q, %q score(#graph.sigmoid<scale = 0.5>)
      select(#graph.dense)
    : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>)
      -> tensor<1x1x?x8xf32>
  return %0 : tensor<1x1x?x8xf32>
}

// -----

// expected-error@+1 {{of an attention, there are 4 queries and 8 keys; a pattern needs as many}}
func.func @cross(%q: tensor<1x1x4x8xf32> {graph.name = "q"},
                 %k: tensor<1x1x8x8xf32> {graph.name = "k"})
    -> (tensor<1x1x4x8xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %k, %k score(#graph.sigmoid<scale = 0.5>)
      select(#graph.dense)
    : (tensor<1x1x4x8xf32>, tensor<1x1x8x8xf32>, tensor<1x1x8x8xf32>)
      -> tensor<1x1x4x8xf32>
  return %0 : tensor<1x1x4x8xf32>
}

// -----

// expected-error@+1 {{there is no attention}}
func.func @none(%x: tensor<4xf32> {graph.name = "x"})
    -> (tensor<4xf32> {graph.name = "y"}) attributes {graph.symbols = []} {
  %0 = graph.exp %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Not 4 * 10^9 entries of 32 bits.
// expected-error@+1 {{blocks of 4 make 2 x 16384 x 16384 of them; at most 67108864 are listed (choose a larger block)}}
func.func @too_many_blocks(%q: tensor<1x2x65536x8xf32> {graph.name = "q"})
    -> (tensor<1x2x65536x8xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %q, %q score(#graph.sigmoid<scale = 0.5>)
      select(#graph.dense)
    : (tensor<1x2x65536x8xf32>, tensor<1x2x65536x8xf32>,
       tensor<1x2x65536x8xf32>) -> tensor<1x2x65536x8xf32>
  return %0 : tensor<1x2x65536x8xf32>
}
