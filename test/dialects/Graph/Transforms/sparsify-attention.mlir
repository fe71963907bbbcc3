// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --graph-sparsify-attention="pattern=window:block=4,local=2,sink=1" \
// RUN:   | FileCheck %s --check-prefix=WINDOW
// RUN: lathe-opt %s --split-input-file --graph-sparsify-attention="pattern=s2:block=4,local=1,stride=2" \
// RUN:   | FileCheck %s --check-prefix=S2
// RUN: not lathe-opt %s --split-input-file --graph-sparsify-attention="pattern=s3:block=4" 2>&1 \
// RUN:   | FileCheck %s --check-prefix=NAME
// RUN: not lathe-opt %s --split-input-file --graph-sparsify-attention="pattern=s2:block=4,local=0" 2>&1 \
// RUN:   | FileCheck %s --check-prefix=LEAST
// RUN: not lathe-opt %s --split-input-file --graph-sparsify-attention="pattern=s2:block=4,local=1,sink=1" 2>&1 \
// RUN:   | FileCheck %s --check-prefix=FIELD
// RUN: not lathe-opt %s --split-input-file --graph-sparsify-attention="pattern=s2:block=4,local=1" 2>&1 \
// RUN:   | FileCheck %s --check-prefix=MISSING

// NAME: attention pattern 's3:block=4': 's3' is no pattern; there are s2:block=N,local=N,stride=N[,offset=N] and window:block=N,local=N[,sink=N]
// LEAST: 'local' must be a number from 1 to 1048576, got '0'
// FIELD: 'sink' is no number of s2
// MISSING: 'stride' is missing

// A causal attention stays causal. Heads with equal lists share them.

// WINDOW-LABEL: func.func @causal
// WINDOW: select(#graph.block_list<block = 4, heads = 1, rows = 4,
// WINDOW-SAME: rowOffsets = [0, 1, 3, 6, 9],
// WINDOW-SAME: columns = [0, 0, 1, 0, 1, 2, 0, 2, 3], right = 0>)
// S2-LABEL: func.func @causal
// S2: select(#graph.block_list<block = 4, heads = 2, rows = 4,
// S2-SAME: rowOffsets = [0, 1, 3, 5, 8, 9, 10, 12, 14],
// S2-SAME: columns = [0, 0, 1, 0, 2, 0, 2, 3, 0, 1, 1, 2, 1, 3], right = 0>)
func.func @causal(%q: tensor<1x4x15x8xf32> {graph.name = "q"},
                  %k: tensor<1x2x15x8xf32> {graph.name = "k"})
    -> (tensor<1x4x15x8xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %k, %k score(#graph.softmax<scale = 0.5>)
      select(#graph.window<left = -1, right = 0>)
    : (tensor<1x4x15x8xf32>, tensor<1x2x15x8xf32>, tensor<1x2x15x8xf32>)
      -> tensor<1x4x15x8xf32>
  return %0 : tensor<1x4x15x8xf32>
}

// -----

// Others look to both sides.

// WINDOW-LABEL: func.func @dense
// WINDOW: columns = [0, 1, 0, 1, 2, 0, 1, 2]>)
func.func @dense(%q: tensor<1x1x12x8xf32> {graph.name = "q"})
    -> (tensor<1x1x12x8xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %q, %q score(#graph.sigmoid<scale = 0.5>)
      select(#graph.dense)
    : (tensor<1x1x12x8xf32>, tensor<1x1x12x8xf32>, tensor<1x1x12x8xf32>)
      -> tensor<1x1x12x8xf32>
  return %0 : tensor<1x1x12x8xf32>
}

// -----

// Versions of a model: the one for all other lengths stays as it is.
// WINDOW-LABEL: func.func private @any
// WINDOW: select(#graph.dense)
// WINDOW-LABEL: func.func private @version
// WINDOW: select(#graph.block_list<block = 4,
func.func private @any(%q: tensor<1x1x?x8xf32> {graph.name = "q",
      graph.dims = affine_map<()[s0] -> (1, 1, s0, 8)>})
    -> (tensor<1x1x?x8xf32> {graph.name = "y"})
    attributes {graph.symbols = ["seq"]} {
  %0 = graph.attention %q, %q, %q score(#graph.sigmoid<scale = 0.5>)
      select(#graph.dense)
    : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>)
      -> tensor<1x1x?x8xf32>
  return %0 : tensor<1x1x?x8xf32>
}
func.func private @version(%q: tensor<1x1x16x8xf32> {graph.name = "q"})
    -> (tensor<1x1x16x8xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %q, %q score(#graph.sigmoid<scale = 0.5>)
      select(#graph.dense)
    : (tensor<1x1x16x8xf32>, tensor<1x1x16x8xf32>, tensor<1x1x16x8xf32>)
      -> tensor<1x1x16x8xf32>
  return %0 : tensor<1x1x16x8xf32>
}
