// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=avx512 | FileCheck %s
// RUN: lathe-opt %s --split-input-file --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=amx | FileCheck %s --check-prefix=AMX

// Queries run along the lanes: 16 if there are no more, else 64. Q, K, V and
// the result are read and written as the projections hold them.

// CHECK: plan.program @softmax
// CHECK: plan.launch [
// CHECK-SAME: kernel = @attention_softmax_8_mask,
// CHECK-SAME: when = #{{.*}}kernel = @attention_softmax_8_mask_2
// CHECK: tile.kernel @attention_softmax_8_mask(
// CHECK-SAME: tile = [16, 64, 16]
// CHECK: tile.kernel @attention_softmax_8_mask_2(
// CHECK-SAME: %[[Q:[^:]*]]: !tile.buffer<f32>,
// CHECK-SAME: tile = [64, 64, 16]
// CHECK: %[[QV:[0-9]+]] = tile.view %[[Q]] sizes [{{.*}}, 3, {{.*}}, 8] strides [{{.*}}, 8, 24, 1]
// CHECK: tile.load %[[QV]]{{.*}} dims [3, 2] {{.*}} -> tensor<8x64xf32>
// Whole blocks of keys: the additive mask is the start of K . Q^T.
// CHECK: scf.for
// CHECK: %[[MASK:[0-9]+]] = tile.load {{.*}} dims [1, -1]
// CHECK: %[[K:[0-9]+]] = tile.load {{.*}} dims [2, 3] {{.*}} -> tensor<64x8xf32>
// CHECK: %[[S:[0-9]+]] = tile.mma %[[K]], {{.*}}, %[[MASK]]
// CHECK-NOT: tile.iota
// CHECK: tile.reduce max %[[S]] axis 0
// CHECK: math.exp
// CHECK: %[[V:[0-9]+]] = tile.load {{.*}} dims [3, 2] {{.*}} -> tensor<8x64xf32>
// CHECK: tile.mma %[[V]]
// The rest of the keys, masked by position.
// CHECK: scf.for
// CHECK: tile.iota 0 : tensor<16x64xi32>
// CHECK: arith.select {{.*}} : tensor<16x64xi1>, tensor<16x64xf32>
// Rows that see no key give zeros.
// CHECK: arith.cmpf oeq
// CHECK: arith.divf
// CHECK: tile.store {{.*}} dims [3, 2]
func.func @softmax(
    %x: tensor<?x?x24xf32> {graph.name = "x",
      graph.dims = affine_map<()[s0, s1] -> (s0, s1, 24)>},
    %m: tensor<?x1x1x?xf32> {graph.name = "m",
      graph.dims = affine_map<()[s0, s1] -> (s0, 1, 1, s1)>})
    -> (tensor<?x?x24xf32> {graph.name = "y"})
    attributes {graph.symbols = ["batch", "seq"]} {
  %0 = graph.reshape %x to affine_map<()[s0, s1] -> (s0, s1, 3, 8)>
    : tensor<?x?x24xf32> -> tensor<?x?x3x8xf32>
  %1 = graph.transpose %0 [0, 2, 1, 3]
    : tensor<?x?x3x8xf32> -> tensor<?x3x?x8xf32>
  %2 = graph.attention %1, %1, %1 mask %m score(#graph.softmax<scale = 0.5>)
      select(#graph.dense)
    : (tensor<?x3x?x8xf32>, tensor<?x3x?x8xf32>, tensor<?x3x?x8xf32>,
       tensor<?x1x1x?xf32>) -> tensor<?x3x?x8xf32>
  %3 = graph.transpose %2 [0, 2, 1, 3]
    : tensor<?x3x?x8xf32> -> tensor<?x?x3x8xf32>
  %4 = graph.reshape %3 to affine_map<()[s0, s1] -> (s0, s1, 24)>
    : tensor<?x?x3x8xf32> -> tensor<?x?x24xf32>
  return %4 : tensor<?x?x24xf32>
}

// -----

// A causal kernel runs to the last key that its queries see, and masks only the
// blocks at the edge. Four query heads share a key head.

// CHECK: tile.kernel @attention_softmax_8_window(
// CHECK: arith.divui {{.*}} : index
// CHECK: arith.maxsi
// CHECK: arith.minsi
// CHECK: scf.for
// CHECK-NOT: tile.iota
// CHECK: scf.for
// CHECK: tile.iota 0
// CHECK: tile.iota 1
// CHECK: arith.cmpi sle
func.func @causal(%q: tensor<1x8x100x8xf32> {graph.name = "q"},
                  %k: tensor<1x2x100x8xf32> {graph.name = "k"})
    -> (tensor<1x8x100x8xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %k, %k score(#graph.softmax<scale = 0.5>)
      select(#graph.window<left = -1, right = 0>)
    : (tensor<1x8x100x8xf32>, tensor<1x2x100x8xf32>, tensor<1x2x100x8xf32>)
      -> tensor<1x8x100x8xf32>
  return %0 : tensor<1x8x100x8xf32>
}

// -----

// The sigmoid carries no maximum and no sum.

// CHECK: tile.kernel @attention_sigmoid_8(
// CHECK: scf.for {{.*}} -> (tensor<8x64xf32>)
// CHECK-NOT: tile.reduce
// CHECK: math.exp
// CHECK: arith.divf
// CHECK: tile.store
func.func @sigmoid(%q: tensor<1x8x128x8xf32> {graph.name = "q"})
    -> (tensor<1x8x128x8xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %q, %q
      score(#graph.sigmoid<scale = 0.5, bias = -4.0>) select(#graph.dense)
    : (tensor<1x8x128x8xf32>, tensor<1x8x128x8xf32>, tensor<1x8x128x8xf32>)
      -> tensor<1x8x128x8xf32>
  return %0 : tensor<1x8x128x8xf32>
}

// -----

// A block list is a table; blocks are loaded from it. Whole blocks first, then
// masked ones: here the causal ones on the diagonal. Heads share one table. What
// it says is brought into range: a bundle may be damaged.

// CHECK-LABEL: plan.program @listed
// CHECK-DAG: plan.constant dense<{{\[\[}}0, 0, 4], [4, 5, 9], [9, 9, 9]]>
// CHECK-DAG: plan.constant dense<{{\[\[}}0, 1], [16, 1], [32, 1], [48, 1], [0, 1], [64, 1],
// CHECK: tile.kernel @attention_softmax_8_blocks(
// CHECK: arith.minsi
// CHECK: tile.load_scalar
// CHECK: scf.for
// CHECK: %[[KEY:[0-9]+]] = tile.load_scalar
// CHECK: %[[LISTED:[0-9]+]] = arith.index_cast %[[KEY]]
// CHECK: %[[POSITIVE:[0-9]+]] = arith.maxsi %[[LISTED]], %c0
// CHECK: %[[FIRST:[0-9]+]] = arith.minsi %[[POSITIVE]], %c64
// CHECK: tile.load {{.*}}%[[FIRST]]{{.*}} -> tensor<64x8xf32>
// CHECK-NOT: arith.select
// CHECK: scf.for
// CHECK: tile.load {{.*}} -> tensor<16x8xf32>
// CHECK: arith.cmpi sle
// CHECK: arith.select
func.func @listed(%q: tensor<1x2x128x8xf32> {graph.name = "q"})
    -> (tensor<1x2x128x8xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %q, %q score(#graph.softmax<scale = 0.5>)
      select(#graph.block_list<block = 64, heads = 1, rows = 2,
        rowOffsets = [0, 1, 3], columns = [0, 0, 1], right = 0>)
    : (tensor<1x2x128x8xf32>, tensor<1x2x128x8xf32>, tensor<1x2x128x8xf32>)
      -> tensor<1x2x128x8xf32>
  return %0 : tensor<1x2x128x8xf32>
}

// -----

// For a matrix unit V^T is written once, in blocks of 128 keys; few queries need
// none of it. Q is as it is stored, and its product is scaled where the largest
// is subtracted.

// AMX: plan.program @narrow
// AMX: plan.launch [#plan.choice<kernel = @attention_values_32, grid = {{.*}} -> (0, 1, 1), when = #{{[a-z0-9]*}}>,
// AMX-SAME: #plan.choice<kernel = @attention_values_32_2, grid =
// AMX: plan.launch [#plan.choice<kernel = @attention_softmax_32,
// AMX: tile.kernel @attention_values_32_2(
// AMX: tile.load {{.*}} dims [2, 3] {{.*}} -> tensor<32x32xbf16>
// AMX: tile.store {{.*}} dims [4, 3]
// AMX: tile.kernel @attention_softmax_32_2(
// AMX: %[[Q:[0-9]+]] = tile.load {{.*}} dims [3, 2] {{.*}} -> tensor<32x64xbf16>
// AMX: %[[S:[0-9]+]] = tile.mma %{{[0-9]+}}, %[[Q]],
// AMX: math.fma %[[S]],
// AMX: tile.load {{.*}} dims [3, 4] {{.*}} -> tensor<32x128xbf16>
func.func @narrow(%x: tensor<?x3x?x32xbf16> {graph.name = "x",
      graph.dims = affine_map<()[s0, s1] -> (s0, 3, s1, 32)>})
    -> (tensor<?x3x?x32xbf16> {graph.name = "y"})
    attributes {graph.symbols = ["batch", "seq"]} {
  %0 = graph.attention %x, %x, %x score(#graph.softmax<scale = 0.5>)
      select(#graph.dense)
    : (tensor<?x3x?x32xbf16>, tensor<?x3x?x32xbf16>, tensor<?x3x?x32xbf16>)
      -> tensor<?x3x?x32xbf16>
  return %0 : tensor<?x3x?x32xbf16>
}
