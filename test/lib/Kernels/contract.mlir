// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=avx512 | FileCheck %s
// RUN: lathe-opt %s --split-input-file --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=avx2 \
// RUN:   | FileCheck %s --check-prefix=AVX2
// RUN: lathe-opt %s --split-input-file --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=amx \
// RUN:   | FileCheck %s --check-prefix=AMX

// Leading dims are merged into rows. The row count selects the kernel: one row,
// groups of rows that stay in cache, or all rows. The weight is packed in
// panels of 48 columns, which narrower machines read in parts.

// CHECK: plan.program @linear
// CHECK: plan.constant {{.*}} pack <blocks = [1, 48], outer = [1, 0], inner = [1, 0]>
// CHECK: plan.launch [
// CHECK-SAME: kernel = @linear_24x70_add_gelu_add,
// CHECK-SAME: when = #{{.*}}kernel = @linear_24x70_add_gelu_add_2
// CHECK-SAME: when = #{{.*}}kernel = @linear_24x70_add_gelu_add_3

// CHECK: tile.kernel @linear_24x70_add_gelu_add(
// CHECK-SAME: tile = [1, 48, 0]
// CHECK: tile.kernel @linear_24x70_add_gelu_add_2(
// CHECK-SAME: tile = [28, 16, 390]
// CHECK: tile.kernel @linear_24x70_add_gelu_add_3(
// CHECK-SAME: %[[X:[^:]*]]: !tile.buffer<f32>, %[[W:[^:]*]]: !tile.buffer<f32>,
// The last scalar divides groups of rows.
// CHECK-SAME: %[[M:[^:]*]]: index, %{{[^:]*}}: index)
// CHECK-SAME: schedule <strategy = "contract", tile = [28, 16, 0]>
// CHECK: %[[XV:[0-9]+]] = tile.view %[[X]] sizes [%[[M]], 24] strides [24, 1]
// CHECK: %[[WV:[0-9]+]] = tile.view %[[W]] sizes [2, 24, 48, 1]
// CHECK: %[[SUM:.*]] = scf.for
// CHECK: %[[A:.*]] = tile.load %[[XV]]{{.*}} dims [0, {{-?1}}] {{.*}} -> tensor<28x1xf32>
// CHECK: %[[B:.*]] = tile.load %[[WV]]{{.*}} dims [{{-?1}}, 2] {{.*}} -> tensor<1x16xf32>
// CHECK: tile.mma %[[A]], %[[B]]
// The epilogue is computed on the accumulator.
// CHECK: %[[BIAS:.*]] = tile.load {{.*}} dims [-1, 0]
// CHECK: arith.addf %[[SUM]], %[[BIAS]] : tensor<28x16xf32>
// CHECK: math.erf
// CHECK: tile.load {{.*}} dims [0, 1]
// CHECK: tile.store

// AVX2: tile.kernel @linear_24x70_add_gelu_add_3(
// AVX2-SAME: tile = [4, 24, 0]
// AVX2: arith.divui {{.*}} : index
// AVX2: arith.remui {{.*}} : index
func.func @linear(
    %x: tensor<?x?x24xf32> {graph.name = "x",
      graph.dims = affine_map<()[s0, s1] -> (s0, s1, 24)>},
    %r: tensor<?x?x70xf32> {graph.name = "r",
      graph.dims = affine_map<()[s0, s1] -> (s0, s1, 70)>})
    -> (tensor<?x?x70xf32> {graph.name = "y"})
    attributes {graph.symbols = ["batch", "seq"]} {
  %w = graph.constant dense_resource<w> : tensor<24x70xf32> : tensor<24x70xf32>
  %b = graph.constant dense_resource<b> : tensor<70xf32> : tensor<70xf32>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<?x?x24xf32>, tensor<24x70xf32>) -> tensor<?x?x70xf32>
  %1 = graph.add %0, %b
    : (tensor<?x?x70xf32>, tensor<70xf32>) -> tensor<?x?x70xf32>
  %2 = graph.gelu %1 : tensor<?x?x70xf32>
  %3 = graph.add %2, %r
    : (tensor<?x?x70xf32>, tensor<?x?x70xf32>) -> tensor<?x?x70xf32>
  return %3 : tensor<?x?x70xf32>
}

// -----

// Rows are quantized by a kernel of their own, in groups of k; the product is
// taken on u8 and i8, four at a time. Each group's sum is scaled, and offsets
// add their part with the sums of the weight.

// CHECK: plan.program @quantized
// CHECK-DAG: buffer "codes" pack <blocks = [4, 64], outer = [1, 0], inner = [1, 0]>
// CHECK-DAG: buffer "scales"
// CHECK-DAG: buffer "sums"
// CHECK: tile.kernel @quantize_70(
// CHECK-SAME: tile = [1, 32]
// CHECK: tile.reduce min
// CHECK: tile.reduce max
// CHECK: math.roundeven
// CHECK: tile.kernel @linear_int8_70x64(
// CHECK-SAME: tile = [5, 64, 0]
// Two whole groups, then the rest of 6, as two steps of four.
// CHECK-DAG: %[[STEP:.*]] = arith.constant 4 : index
// CHECK-DAG: %[[REST:.*]] = arith.constant 8 : index
// CHECK-DAG: %[[GROUP:.*]] = arith.constant 32 : index
// CHECK: scf.for {{.*}} step %[[GROUP]] {{.*}} -> (tensor<5x64xf32>)
// CHECK: scf.for {{.*}} to %[[GROUP]] step %[[STEP]] {{.*}} -> (tensor<5x64xi32>)
// CHECK: tile.load {{.*}} dims [3, 2] {{.*}} -> tensor<4x64xi8>
// CHECK: tile.mma {{.*}} {unsigned_a} : tensor<5x4xi8>, tensor<4x64xi8>, tensor<5x64xi32>
// CHECK: arith.sitofp
// CHECK: scf.for {{.*}} to %[[REST]] step %[[STEP]] {{.*}} -> (tensor<5x64xi32>)

// The groups are too short for a matrix unit.
// AMX: tile.kernel @linear_int8_70x64(
// AMX-SAME: tile = [5, 64, 0]
func.func @quantized(%x: tensor<5x70xf32> {graph.name = "x"})
    -> (tensor<5x64xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<q> : tensor<70x64xf32>
    : tensor<70x64xf32, #graph.int8<axis = 1, group = 32>>
  %0 = graph.contract %x, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 32>>]
    : (tensor<5x70xf32>, tensor<70x64xf32, #graph.int8<axis = 1, group = 32>>)
      -> tensor<5x64xf32>
  return %0 : tensor<5x64xf32>
}

// -----

// Two codes a byte: each load of the weight feeds two dot products, of k that are
// four apart. The codes are unsigned, the inputs signed.

// CHECK-LABEL: plan.program @nibbles
// CHECK-DAG: buffer "codes"
// CHECK-DAG: buffer "scales"
// CHECK-NOT: buffer "zeros"
// CHECK: tile.kernel @linear_int8_140x64(
// CHECK: scf.for {{.*}} -> (tensor<5x64xi32>)
// CHECK: %[[W:.*]] = tile.load {{.*}} dims [3, 2] {{.*}} -> tensor<4x64xi8>
// CHECK: %[[LOW:.*]] = arith.andi %[[W]]
// CHECK: tile.mma %{{.*}}, %[[LOW]], %{{.*}} {unsigned_b}
// CHECK: %[[HIGH:.*]] = arith.shrui %[[W]]
// CHECK: tile.mma %{{.*}}, %[[HIGH]], %{{.*}} {unsigned_b}
func.func @nibbles(%x: tensor<5x140xf32> {graph.name = "x"})
    -> (tensor<5x64xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<q> : tensor<140x64xf32>
    : tensor<140x64xf32, #graph.int4<axis = 1, group = 64>>
  %0 = graph.contract %x, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 64, symmetric = true>>]
    : (tensor<5x140xf32>, tensor<140x64xf32, #graph.int4<axis = 1, group = 64>>)
      -> tensor<5x64xf32>
  return %0 : tensor<5x64xf32>
}

// -----

// Four codes a byte: a load, four products, and the one scale of the weight per
// column, whatever group of inputs it is.

// CHECK: plan.program @ternary
// CHECK: plan.constant {{.*}} buffer "scales"
// CHECK: tile.kernel @linear_int8_256x64(
// CHECK: tile.view {{.*}} sizes [1, 16, 64, 4]
// CHECK: scf.for
// CHECK: scf.for
// CHECK-COUNT-4: tile.mma {{.*}} {unsigned_b}
// CHECK-NOT: tile.mma
// CHECK: tile.load {{.*}} dims [-1, 0] {{.*}} -> tensor<5x64xf32>
func.func @ternary(%x: tensor<5x256xf32> {graph.name = "x"})
    -> (tensor<5x64xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<t> : tensor<256x64xf32>
    : tensor<256x64xf32, #graph.ternary<axis = 1>>
  %0 = graph.contract %x, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 128, symmetric = true>>]
    : (tensor<5x256xf32>, tensor<256x64xf32, #graph.ternary<axis = 1>>)
      -> tensor<5x64xf32>
  return %0 : tensor<5x64xf32>
}

// -----

// Lists of blocks: inputs lie transposed, rows in the lanes, and are gathered by
// the lists' indices, which are brought into range. A matrix unit is faster on
// the dense weight.

// CHECK-LABEL: plan.program @blocks
// CHECK-NOT: buffer "dense"
// CHECK: tile.kernel @transpose_256(
// CHECK: tile.kernel @linear_blocks_int8_256x64(
// CHECK-SAME: tile = [16, 64]
// CHECK: tile.kernel @linear_blocks_int8_256x64_2(
// CHECK-SAME: tile = [64, 64]
// CHECK: %[[BEGIN:.*]] = arith.minsi
// CHECK: arith.maxsi
// CHECK: %[[END:.*]] = arith.minsi
// CHECK: scf.for {{.*}} = %[[BEGIN]] to %[[END]] {{.*}} -> (tensor<4x64xi32>)
// CHECK: arith.minsi {{.*}} : tensor<4xi32>
// CHECK: %[[X:.*]] = tile.load {{.*}} gather {{.*}} at 0 {{.*}} -> tensor<4x64xi8>
// CHECK: %[[W:.*]] = tile.load {{.*}} -> tensor<4x4xi8>
// CHECK: tile.mma %[[W]], %[[X]], %{{.*}} {unsigned_b}
// CHECK: tile.concat {{.*}} -> tensor<64x64xi32>
// CHECK: tile.store {{.*}} dims [1, 0]
// AMX-LABEL: plan.program @blocks
// AMX-NOT: buffer "indices"
// AMX: tile.kernel @linear_int8_256x64(
func.func @blocks(
    %x: tensor<?x256xf32> {graph.name = "x",
      graph.dims = affine_map<()[s0] -> (s0, 256)>})
    -> (tensor<?x64xf32> {graph.name = "y"})
    attributes {graph.symbols = ["m"]} {
  %w = graph.constant dense_resource<q> : tensor<256x64xf32>
    : tensor<256x64xf32, #graph.block<axis = 1, density = 0.2, type = i8>>
  %0 = graph.contract %x, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 256>>]
    : (tensor<?x256xf32>,
       tensor<256x64xf32, #graph.block<axis = 1, density = 0.2, type = i8>>)
      -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// A product of activations, the second one transposed: it is written in panels
// first. Batch dims stay program ids.

// CHECK: plan.program @transposed
// CHECK: tile.kernel @panels_8x20(
// CHECK: tile.kernel @matmul_8x20(
// CHECK: tile.view {{.*}} sizes [2, 3, 1, 8, 64]
func.func @transposed(%x: tensor<2x3x16x8xf32> {graph.name = "x"},
                      %y: tensor<2x3x20x8xf32> {graph.name = "y"})
    -> (tensor<2x3x16x20xf32> {graph.name = "z"})
    attributes {graph.symbols = []} {
  %0 = graph.transpose %y [0, 1, 3, 2]
    : tensor<2x3x20x8xf32> -> tensor<2x3x8x20xf32>
  %1 = graph.matmul %x, %0
    : (tensor<2x3x16x8xf32>, tensor<2x3x8x20xf32>) -> tensor<2x3x16x20xf32>
  return %1 : tensor<2x3x16x20xf32>
}

// -----

// Integers are multiplied and added in their own type.

// CHECK: plan.program @integers
// CHECK: tile.kernel @matmul_4x5(
// CHECK: arith.muli {{.*}} : tensor<{{.*}}xi64>
// CHECK: arith.addi {{.*}} : tensor<{{.*}}xi64>
func.func @integers(%x: tensor<3x4xi64> {graph.name = "x"},
                    %y: tensor<4x5xi64> {graph.name = "y"})
    -> (tensor<3x5xi64> {graph.name = "z"})
    attributes {graph.symbols = []} {
  %0 = graph.matmul %x, %y
    : (tensor<3x4xi64>, tensor<4x5xi64>) -> tensor<3x5xi64>
  return %0 : tensor<3x5xi64>
}

// -----

// A matrix unit wants 64 bytes of k: bytes in groups of so many, or 32 bf16. One
// row is left to dot products. The kernel is the same, with more rows.

// CHECK: plan.program @matrix_unit
// CHECK: tile.kernel @linear_int8_128x64(
// CHECK-SAME: tile = [1, 64, 0]
// CHECK: tile.kernel @linear_int8_128x64_3(
// CHECK-SAME: tile = [6, 64, 0]
// AMX: plan.program @matrix_unit
// AMX: tile.kernel @linear_int8_128x64(
// AMX-SAME: tile = [1, 64, 0]
// AMX: tile.kernel @linear_int8_128x64_3(
// AMX-SAME: tile = [32, 64, 0]
// AMX: tile.mma {{.*}} {unsigned_a} : tensor<32x4xi8>, tensor<4x64xi8>, tensor<32x64xi32>
func.func @matrix_unit(
    %x: tensor<?x128xf32> {graph.name = "x",
      graph.dims = affine_map<()[s0] -> (s0, 128)>})
    -> (tensor<?x64xf32> {graph.name = "y"})
    attributes {graph.symbols = ["m"]} {
  %w = graph.constant dense_resource<q> : tensor<128x64xf32>
    : tensor<128x64xf32, #graph.int8<axis = 1, group = 64>>
  %0 = graph.contract %x, %w
    [#graph.branch<quantizer = #graph.dynamic_int8<group = 64>>]
    : (tensor<?x128xf32>, tensor<128x64xf32, #graph.int8<axis = 1, group = 64>>)
      -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// Where inputs are floats there are no offsets: the sums of columns are neither
// read nor stored.

// CHECK: plan.program @decoded
// CHECK-NOT: buffer "sums"
// CHECK: tile.kernel @linear_128x64(
func.func @decoded(%x: tensor<4x128xf32> {graph.name = "x"})
    -> (tensor<4x64xf32> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %w = graph.constant dense_resource<q> : tensor<128x64xf32>
    : tensor<128x64xf32, #graph.int8<axis = 1, group = 64>>
  %0 = graph.contract %x, %w [#graph.branch<>]
    : (tensor<4x128xf32>, tensor<128x64xf32, #graph.int8<axis = 1, group = 64>>)
      -> tensor<4x64xf32>
  return %0 : tensor<4x64xf32>
}
