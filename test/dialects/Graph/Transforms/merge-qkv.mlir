// RUN: lathe-opt %s --graph-merge-qkv --mlir-print-local-scope | FileCheck %s
// RUN: lathe-opt %s --graph-merge-qkv --remark-policy=all \
// RUN:   --remarks-filter=graph-merge-qkv -o /dev/null 2>&1 \
// RUN:   | FileCheck %s --check-prefix=REMARK

// Keys and values narrower than queries, and no bias on the keys.
// REMARK: is one contraction with 2 siblings
// CHECK-LABEL: func.func @attention(
// CHECK: %[[W:.*]] = graph.constant #graph.concat<axis = 1,
// CHECK-SAME: [dense_resource<q> : tensor<8x16xf32>,
// CHECK-SAME:  dense_resource<k> : tensor<8x4xf32>,
// CHECK-SAME:  dense_resource<v> : tensor<8x4xf32>]> : tensor<8x24xf32>
// CHECK: %[[Y:.*]] = graph.contract %{{.*}}, %[[W]]
// CHECK-SAME: -> tensor<?x24xf32>
// CHECK: %[[B:.*]] = graph.constant #graph.concat<axis = 0,
// CHECK-SAME: [dense<1.000000e+00> : tensor<16xf32>,
// CHECK-SAME:  dense<0.000000e+00> : tensor<4xf32>,
// CHECK-SAME:  dense<[1.000000e+00, 2.000000e+00, 3.000000e+00,
// CHECK: %[[S:.*]] = graph.add %[[Y]], %[[B]]
// CHECK: graph.slice %[[S]] from affine_map<()[s0] -> (0, 0)>
// CHECK-SAME: -> tensor<?x16xf32>
// CHECK: graph.slice %[[S]] from affine_map<()[s0] -> (0, 16)>
// CHECK: graph.slice %[[S]] from affine_map<()[s0] -> (0, 20)>
// CHECK-NOT: graph.contract
// CHECK: graph.attention
func.func @attention(%x: tensor<?x8xf32> {
    graph.name = "x", graph.dims = affine_map<()[s0] -> (s0, 8)>})
    -> tensor<1x4x?x4xf32> attributes {graph.symbols = ["n"]} {
  %wq = graph.constant dense_resource<q> : tensor<8x16xf32> : tensor<8x16xf32>
  %wk = graph.constant dense_resource<k> : tensor<8x4xf32> : tensor<8x4xf32>
  %wv = graph.constant dense_resource<v> : tensor<8x4xf32> : tensor<8x4xf32>
  %bq = graph.constant dense<1.0> : tensor<f32> : tensor<f32>
  %bv = graph.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    : tensor<4xf32>
  %0 = graph.contract %x, %wq [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x16xf32>) -> tensor<?x16xf32>
  %q = graph.add %0, %bq
    : (tensor<?x16xf32>, tensor<f32>) -> tensor<?x16xf32>
  %k = graph.contract %x, %wk [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %1 = graph.contract %x, %wv [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %v = graph.add %bv, %1
    : (tensor<4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = graph.reshape %q to affine_map<()[s0] -> (1, s0, 4, 4)>
    : tensor<?x16xf32> -> tensor<1x?x4x4xf32>
  %3 = graph.transpose %2 [0, 2, 1, 3]
    : tensor<1x?x4x4xf32> -> tensor<1x4x?x4xf32>
  %4 = graph.reshape %k to affine_map<()[s0] -> (1, 1, s0, 4)>
    : tensor<?x4xf32> -> tensor<1x1x?x4xf32>
  %5 = graph.reshape %v to affine_map<()[s0] -> (1, 1, s0, 4)>
    : tensor<?x4xf32> -> tensor<1x1x?x4xf32>
  %6 = graph.attention %3, %4, %5 score(#graph.softmax<scale = 0.5>)
      select(#graph.dense)
    : (tensor<1x4x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>)
      -> tensor<1x4x?x4xf32>
  return %6 : tensor<1x4x?x4xf32>
}

// Weights that lie as [N, K], and an activation that both have.
// CHECK-LABEL: func.func @transposed(
// CHECK: %[[W:.*]] = graph.constant #graph.concat<axis = 0,
// CHECK-SAME: : tensor<6x8xf32>
// CHECK: %[[T:.*]] = graph.transpose %[[W]] [1, 0]
// CHECK: %[[Y:.*]] = graph.contract %{{.*}}, %[[T]]
// CHECK: %[[R:.*]] = graph.relu %[[Y]] : tensor<3x6xf32>
// CHECK: graph.slice %[[R]]
// CHECK: graph.slice %[[R]]
// CHECK-NOT: graph.relu
// CHECK: graph.matmul
func.func @transposed(%x: tensor<3x8xf32>) -> tensor<3x3xf32> {
  %w0 = graph.constant dense_resource<a> : tensor<3x8xf32> : tensor<3x8xf32>
  %w1 = graph.constant dense_resource<b> : tensor<3x8xf32> : tensor<3x8xf32>
  %t0 = graph.transpose %w0 [1, 0] : tensor<3x8xf32> -> tensor<8x3xf32>
  %t1 = graph.transpose %w1 [1, 0] : tensor<3x8xf32> -> tensor<8x3xf32>
  %0 = graph.contract %x, %t0 [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x3xf32>) -> tensor<3x3xf32>
  %1 = graph.relu %0 : tensor<3x3xf32>
  %2 = graph.contract %x, %t1 [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x3xf32>) -> tensor<3x3xf32>
  %3 = graph.relu %2 : tensor<3x3xf32>
  %4 = graph.transpose %3 [1, 0] : tensor<3x3xf32> -> tensor<3x3xf32>
  %5 = graph.matmul %1, %4
    : (tensor<3x3xf32>, tensor<3x3xf32>) -> tensor<3x3xf32>
  return %5 : tensor<3x3xf32>
}

// The gate of an MLP: an epilogue of one of them, which a kernel of its own
// would have to read again.
// REMARK: does not merge with its siblings: an elementwise op follows, which is its epilogue
// CHECK-LABEL: func.func @gate(
// CHECK-NOT: #graph.concat
// CHECK: return
func.func @gate(%x: tensor<?x8xf32>) -> tensor<?x2xf32> {
  %w0 = graph.constant dense_resource<a> : tensor<8x6xf32> : tensor<8x6xf32>
  %w1 = graph.constant dense_resource<b> : tensor<8x6xf32> : tensor<8x6xf32>
  %w2 = graph.constant dense_resource<c> : tensor<6x2xf32> : tensor<6x2xf32>
  %0 = graph.contract %x, %w0 [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32>
  %1 = graph.silu %0 : tensor<?x6xf32>
  %2 = graph.contract %x, %w1 [#graph.branch<>]
    : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32>
  %3 = graph.mul %1, %2
    : (tensor<?x6xf32>, tensor<?x6xf32>) -> tensor<?x6xf32>
  %4 = graph.contract %3, %w2 [#graph.branch<>]
    : (tensor<?x6xf32>, tensor<6x2xf32>) -> tensor<?x2xf32>
  return %4 : tensor<?x2xf32>
}

// One that the caller gets stays whole; the two beside it merge, and so do two
// that meet elsewhere.
// REMARK: does not merge with its siblings: its result is needed by itself
// CHECK-LABEL: func.func @returned(
// CHECK: graph.contract {{.*}} -> tensor<3x4xf32>
// CHECK: graph.contract {{.*}} -> tensor<3x2xf32>
// CHECK: graph.contract {{.*}} -> tensor<3x4xf32>
// CHECK: graph.slice
// CHECK-NOT: graph.contract
// CHECK: return
func.func @returned(%x: tensor<3x8xf32>)
    -> (tensor<3x3xf32>, tensor<3x3xf32>, tensor<3x2xf32>) {
  %w0 = graph.constant dense_resource<a> : tensor<8x2xf32> : tensor<8x2xf32>
  %w1 = graph.constant dense_resource<b> : tensor<8x2xf32> : tensor<8x2xf32>
  %w2 = graph.constant dense_resource<c> : tensor<8x2xf32> : tensor<8x2xf32>
  %w3 = graph.constant dense_resource<d> : tensor<8x2xf32> : tensor<8x2xf32>
  %w4 = graph.constant dense_resource<e> : tensor<8x2xf32> : tensor<8x2xf32>
  %0 = graph.contract %x, %w0 [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x2xf32>) -> tensor<3x2xf32>
  %1 = graph.contract %x, %w1 [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x2xf32>) -> tensor<3x2xf32>
  %2 = graph.contract %x, %w2 [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x2xf32>) -> tensor<3x2xf32>
  %3 = graph.contract %x, %w3 [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x2xf32>) -> tensor<3x2xf32>
  %4 = graph.contract %x, %w4 [#graph.branch<>]
    : (tensor<3x8xf32>, tensor<8x2xf32>) -> tensor<3x2xf32>
  %5 = graph.transpose %1 [1, 0] : tensor<3x2xf32> -> tensor<2x3xf32>
  %6 = graph.matmul %0, %5
    : (tensor<3x2xf32>, tensor<2x3xf32>) -> tensor<3x3xf32>
  %7 = graph.transpose %3 [1, 0] : tensor<3x2xf32> -> tensor<2x3xf32>
  %8 = graph.add %4, %2
    : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x2xf32>
  %9 = graph.reshape %4 to affine_map<() -> (3, 2)>
    : tensor<3x2xf32> -> tensor<3x2xf32>
  %10 = graph.matmul %9, %7
    : (tensor<3x2xf32>, tensor<2x3xf32>) -> tensor<3x3xf32>
  %11 = graph.reshape %2 to affine_map<() -> (2, 3)>
    : tensor<3x2xf32> -> tensor<2x3xf32>
  %12 = graph.matmul %8, %11
    : (tensor<3x2xf32>, tensor<2x3xf32>) -> tensor<3x3xf32>
  %13 = graph.add %10, %12
    : (tensor<3x3xf32>, tensor<3x3xf32>) -> tensor<3x3xf32>
  return %6, %13, %2 : tensor<3x3xf32>, tensor<3x3xf32>, tensor<3x2xf32>
}

// A weight that is read elsewhere too would be stored twice.
// CHECK-LABEL: func.func @shared_weight(
// CHECK-NOT: #graph.concat
// CHECK: return
func.func @shared_weight(%x: tensor<3x2xf32>) -> tensor<3x3xf32> {
  %w0 = graph.constant dense_resource<a> : tensor<2x2xf32> : tensor<2x2xf32>
  %w1 = graph.constant dense_resource<b> : tensor<2x2xf32> : tensor<2x2xf32>
  %0 = graph.contract %x, %w0 [#graph.branch<>]
    : (tensor<3x2xf32>, tensor<2x2xf32>) -> tensor<3x2xf32>
  %1 = graph.contract %x, %w1 [#graph.branch<>]
    : (tensor<3x2xf32>, tensor<2x2xf32>) -> tensor<3x2xf32>
  %2 = graph.contract %1, %w1 [#graph.branch<>]
    : (tensor<3x2xf32>, tensor<2x2xf32>) -> tensor<3x2xf32>
  %3 = graph.transpose %2 [1, 0] : tensor<3x2xf32> -> tensor<2x3xf32>
  %4 = graph.matmul %0, %3
    : (tensor<3x2xf32>, tensor<2x3xf32>) -> tensor<3x3xf32>
  return %4 : tensor<3x3xf32>
}
