// RUN: lathe-opt %s --split-input-file --convert-graph-to-plan --cse | FileCheck %s

// A row of constant length is one tile: the sum with the residual is computed
// once, and every statistic from it.

// CHECK-LABEL: tile.kernel @add_layer_norm_nx384(
// CHECK-SAME: schedule <strategy = "reduce", tile = [384]>
// CHECK: %[[SUM:.*]] = arith.addf %{{.*}} : tensor<1x384xf32>
// CHECK: tile.reduce add %[[SUM]] axis 1
// CHECK: %[[MEAN:.*]] = tile.broadcast %{{.*}} dims [0] : tensor<1xf32> -> tensor<1x384xf32>
// CHECK: %[[CENTERED:.*]] = arith.subf %[[SUM]], %[[MEAN]]
// CHECK: %[[SQUARE:.*]] = arith.mulf %[[CENTERED]], %[[CENTERED]]
// CHECK: tile.reduce add %[[SQUARE]] axis 1
// CHECK: math.sqrt
// CHECK: tile.store
func.func @norm(%x: tensor<?x?x384xf32> {
      graph.dims = affine_map<()[s0, s1] -> (s0, s1, 384)>},
    %r: tensor<?x?x384xf32> {
      graph.dims = affine_map<()[s0, s1] -> (s0, s1, 384)>},
    %scale: tensor<384xf32>, %bias: tensor<384xf32>) -> tensor<?x?x384xf32>
    attributes {graph.symbols = ["batch", "seq"]} {
  %y = graph.group reduce (%a = %x, %b = %r, %s = %scale, %t = %bias)
      : (tensor<?x?x384xf32>, tensor<?x?x384xf32>, tensor<384xf32>,
         tensor<384xf32>) -> tensor<?x?x384xf32> {
    %0 = graph.add %a, %b
      : (tensor<?x?x384xf32>, tensor<?x?x384xf32>) -> tensor<?x?x384xf32>
    %1 = graph.layer_norm %0 scale %s bias %t axis 2 epsilon 1.0e-5
      : (tensor<?x?x384xf32>, tensor<384xf32>, tensor<384xf32>)
      -> tensor<?x?x384xf32>
    graph.yield %1 : tensor<?x?x384xf32>
  }
  return %y : tensor<?x?x384xf32>
}

// -----

// A row of dynamic length is read in three passes; the last, partial tile is
// peeled and masked.

// CHECK-LABEL: tile.kernel @softmax_nxn(
// CHECK: %[[WHOLE:.*]] = scf.for {{.*}} -> (tensor<1x64xf32>)
// CHECK: arith.maximumf
// CHECK: scf.if {{.*}} -> (tensor<1x64xf32>)
// CHECK: %[[MASK:.*]] = arith.cmpi ult, %{{.*}} : tensor<1x64xindex>
// CHECK: arith.select %[[MASK]]
// CHECK: tile.reduce max %{{.*}} axis 1
// CHECK: math.exp
// CHECK: tile.reduce add %{{.*}} axis 1
// CHECK: scf.for
// CHECK: tile.store {{.*}}in_bounds = array<i64: 0, 1>
// CHECK: scf.if
// CHECK: tile.store {{.*}}in_bounds = array<i64: 0>
func.func @softmax(%x: tensor<?x?xf32> {
      graph.dims = affine_map<()[s0, s1] -> (s0, s1)>}) -> tensor<?x?xf32>
    attributes {graph.symbols = ["rows", "columns"]} {
  %y = graph.softmax %x axis 1 : tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----

// Along a dim that is not the last, vectors run along the last one.

// CHECK-LABEL: tile.kernel @reduce_nx384xn(
// CHECK: scf.for {{.*}} -> (tensor<64xf32>)
// CHECK: tile.load %{{.*}} dims [1]
// CHECK: arith.addf
// CHECK-NOT: tile.reduce
// CHECK: arith.divf
// CHECK: tile.store
func.func @pool(%x: tensor<?x?x384xf32> {
      graph.dims = affine_map<()[s0, s1] -> (s0, s1, 384)>})
    -> tensor<?x384xf32> attributes {graph.symbols = ["batch", "seq"]} {
  %y = graph.reduce mean %x axes [1]
    : tensor<?x?x384xf32> -> tensor<?x384xf32>
  return %y : tensor<?x384xf32>
}

// -----

// Tiles compare signed; unsigned maxima flip the sign bit before and after.

// CHECK-LABEL: tile.kernel @reduce_1x63(
// CHECK: arith.xori %{{.*}} : tensor<1x63xi8>
// CHECK: tile.reduce max
// CHECK: arith.xori %{{.*}} : tensor<1xi8>
func.func @unsigned(%x: tensor<7x9xui8>) -> tensor<ui8> {
  %y = graph.reduce max %x axes [0, 1] : tensor<7x9xui8> -> tensor<ui8>
  return %y : tensor<ui8>
}
