// RUN: lathe-opt %s --split-input-file --convert-graph-to-plan | FileCheck %s

// Contiguous operands merge into one dim; whole tiles need no bounds.

// CHECK-LABEL: tile.kernel @gelu_n(
// CHECK-SAME: schedule <strategy = "pointwise", tile = [64]>
// CHECK: tile.view %{{.*}} sizes [%[[N:.*]]] strides [1]
// CHECK: arith.minui %{{.*}}, %[[N]] : index
// CHECK: scf.for
// CHECK: tile.load %{{.*}}[%{{.*}}] dims [0] {in_bounds = array<i64: 0>} : <?xf32, [1]> -> tensor<64xf32>
// CHECK: math.erf
// CHECK: tile.store
func.func @merged(%x: tensor<?x?x384xf32> {
      graph.dims = affine_map<()[s0, s1] -> (s0, s1, 384)>})
    -> tensor<?x?x384xf32> attributes {graph.symbols = ["batch", "seq"]} {
  %y = graph.gelu %x : tensor<?x?x384xf32>
  return %y : tensor<?x?x384xf32>
}

// -----

// An embedding row is found once per position: its index is a scalar, made
// non-negative and kept inside the table.

// CHECK-LABEL: tile.kernel @gather_
// CHECK: %[[ID:.*]] = tile.load_scalar
// CHECK: %[[AT:.*]] = arith.index_cast %[[ID]] : i64 to index
// CHECK: arith.cmpi slt, %[[AT]]
// CHECK: arith.maxsi
// CHECK: %[[ROW:.*]] = arith.minsi
// CHECK: tile.load %{{.*}}[%{{.*}}, %[[ROW]]] dims [0]
func.func @embedding(%table: tensor<100x384xf32>, %ids: tensor<?x?xi64> {
      graph.dims = affine_map<()[s0, s1] -> (s0, s1)>}) -> tensor<?x?x384xf32>
    attributes {graph.symbols = ["batch", "seq"]} {
  %y = graph.gather %table, %ids axis 0
    : (tensor<100x384xf32>, tensor<?x?xi64>) -> tensor<?x?x384xf32>
  return %y : tensor<?x?x384xf32>
}

// -----

// One launch per input of a concat, each into its slice of the result.

// CHECK-LABEL: plan.program @concat
// CHECK: %[[Z:.*]] = plan.alloc
// CHECK: plan.launch {{.*}} writes(%[[Z]])
// CHECK: plan.launch {{.*}} writes(%[[Z]])
// CHECK: tile.kernel @concat_nx2(
// CHECK: tile.view %{{.*}} sizes [%{{.*}}, 2] strides [5, 1]
// CHECK: tile.kernel @concat_nx3(
// CHECK: tile.view %{{.*}} offset %c2 sizes [%{{.*}}, 3] strides [5, 1]
func.func @concat(%x: tensor<?x2xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 2)>}, %y: tensor<?x3xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 3)>}) -> tensor<?x5xf32>
    attributes {graph.symbols = ["n"]} {
  %z = graph.concat %x, %y axis 1
    : (tensor<?x2xf32>, tensor<?x3xf32>) -> tensor<?x5xf32>
  return %z : tensor<?x5xf32>
}

// -----

// Integer division cannot trap: a divisor of 0 or -1 is replaced.

// CHECK-LABEL: tile.kernel @div_n(
// CHECK: arith.cmpi eq, %[[Y:.*]], %{{.*}} : tensor<{{.*}}xi32>
// CHECK: %[[SAFE:.*]] = arith.select %{{.*}}, %{{.*}}, %[[Y]]
// CHECK: arith.divsi %{{.*}}, %[[SAFE]]
func.func @division(%x: tensor<?xi32> {
      graph.dims = affine_map<()[s0] -> (s0)>}, %y: tensor<?xi32> {
      graph.dims = affine_map<()[s0] -> (s0)>}) -> tensor<?xi32>
    attributes {graph.symbols = ["n"]} {
  %z = graph.div %x, %y : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  return %z : tensor<?xi32>
}

// -----

// f16 is computed in f32 from load to store.

// CHECK-LABEL: tile.kernel @add_mul_n(
// CHECK-COUNT-2: arith.extf %{{.*}} : tensor<64xf16> to tensor<64xf32>
// CHECK: arith.addf %{{.*}} : tensor<64xf32>
// CHECK-NOT: arith.truncf
// CHECK: arith.mulf %{{.*}} : tensor<64xf32>
// CHECK: arith.truncf %{{.*}} : tensor<64xf32> to tensor<64xf16>
// CHECK: tile.store
func.func @half(%x: tensor<?xf16> {graph.dims = affine_map<()[s0] -> (s0)>},
    %y: tensor<?xf16> {graph.dims = affine_map<()[s0] -> (s0)>})
    -> tensor<?xf16> attributes {graph.symbols = ["n"]} {
  %r = graph.group pointwise (%a = %x, %b = %y)
      : (tensor<?xf16>, tensor<?xf16>) -> tensor<?xf16> {
    %0 = graph.add %a, %b : (tensor<?xf16>, tensor<?xf16>) -> tensor<?xf16>
    %1 = graph.mul %0, %b : (tensor<?xf16>, tensor<?xf16>) -> tensor<?xf16>
    graph.yield %1 : tensor<?xf16>
  }
  return %r : tensor<?xf16>
}
