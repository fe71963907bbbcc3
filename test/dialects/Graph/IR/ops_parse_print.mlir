// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s | lathe-opt --mlir-print-local-scope | FileCheck %s
// RUN: lathe-opt %s --emit-bytecode | lathe-opt --mlir-print-local-scope \
// RUN:   | FileCheck %s

// CHECK-LABEL: func.func @symbols(
// CHECK-SAME: graph.dims = affine_map<()[s0, s1] -> (s0, s1)>
// CHECK-SAME: graph.symbols = ["batch", "seq"]
func.func @symbols(%ids: tensor<?x?xi64> {graph.name = "input_ids",
      graph.dims = affine_map<()[s0, s1] -> (s0, s1)>})
    -> (tensor<?x?x32xf32> {graph.name = "out"})
    attributes {graph.symbols = ["batch", "seq"]} {
  // CHECK: graph.constant #graph.concat<axis = 1,
  // CHECK-SAME: [dense_resource<a{{.*}}> : tensor<2x3xf32>,
  // CHECK-SAME:  dense<0.000000e+00> : tensor<2x1xf32>]>
  // CHECK-SAME: : tensor<2x4xf32> : tensor<2x4xf32>
  %cat = graph.constant #graph.concat<axis = 1, [
      dense_resource<a> : tensor<2x3xf32>,
      dense<0.0> : tensor<2x1xf32>]> : tensor<2x4xf32> : tensor<2x4xf32>
  // CHECK: graph.constant dense_resource<w> : tensor<100x32xf32> : tensor<100x32xf32>
  %w = graph.constant dense_resource<w> : tensor<100x32xf32>
    : tensor<100x32xf32>
  // CHECK: graph.gather {{.*}} axis 0
  %e = graph.gather %w, %ids axis 0
    : (tensor<100x32xf32>, tensor<?x?xi64>) -> tensor<?x?x32xf32>
  // CHECK: graph.reshape {{.*}} to affine_map<()[s0, s1] -> (s0 * s1, 32)>
  // CHECK-SAME: tensor<?x?x32xf32> -> tensor<?x32xf32>
  %r = graph.reshape %e to affine_map<()[s0, s1] -> (s0 * s1, 32)>
    : tensor<?x?x32xf32> -> tensor<?x32xf32>
  %s = graph.reshape %r to affine_map<()[s0, s1] -> (s0, s1, 32)>
    : tensor<?x32xf32> -> tensor<?x?x32xf32>
  return %s : tensor<?x?x32xf32>
}

// CHECK-LABEL: func.func @elementwise(
func.func @elementwise(%x: tensor<?x4xf32>, %y: tensor<4xf32>,
                       %m: tensor<?x1xi1>) -> tensor<?x4xf32> {
  // CHECK: graph.gelu %{{.*}} : tensor<?x4xf32>
  %0 = graph.gelu %x : tensor<?x4xf32>
  // CHECK: graph.add {{.*}} : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %1 = graph.add %0, %y : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: graph.compare {{ *}}lt
  %2 = graph.compare lt %1, %y
    : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xi1>
  // CHECK: graph.select
  %3 = graph.select %2, %0, %1
    : (tensor<?x4xi1>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: graph.cast {{.*}} : tensor<?x4xf32> -> tensor<?x4xi64>
  %4 = graph.cast %3 : tensor<?x4xf32> -> tensor<?x4xi64>
  return %3 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @weights(
func.func @weights(%x: tensor<?x384xf32>, %b: tensor<1536xf32>)
    -> tensor<?x1536xf32> {
  // CHECK: tensor<384x1536xf32, #graph.int8<axis = 1, group = 128>>
  %w = graph.constant dense_resource<w> : tensor<384x1536xf32>
    : tensor<384x1536xf32, #graph.int8<axis = 1, group = 128>>
  // CHECK: graph.group contract (%[[A:.*]] = %{{.*}}, %[[W:.*]] = %{{.*}}, %[[B:.*]] = %{{.*}}) :
  // CHECK-SAME: -> tensor<?x1536xf32> {
  // CHECK: graph.contract %[[A]], %[[W]] [#graph.branch<quantizer = #graph.dynamic_int8<group = 128>, scale = 5.000000e-01>]
  // CHECK: graph.add {{.*}}, %[[B]]
  // CHECK: graph.yield
  %y = graph.group contract (%a = %x, %ww = %w, %bb = %b)
      : (tensor<?x384xf32>, tensor<384x1536xf32, #graph.int8<axis = 1, group = 128>>,
         tensor<1536xf32>) -> tensor<?x1536xf32> {
    %0 = graph.contract %a, %ww
        [#graph.branch<quantizer = #graph.dynamic_int8<group = 128>, scale = 0.5>]
      : (tensor<?x384xf32>, tensor<384x1536xf32, #graph.int8<axis = 1, group = 128>>)
        -> tensor<?x1536xf32>
    %1 = graph.add %0, %bb
      : (tensor<?x1536xf32>, tensor<1536xf32>) -> tensor<?x1536xf32>
    graph.yield %1 : tensor<?x1536xf32>
  }
  return %y : tensor<?x1536xf32>
}

// CHECK-LABEL: func.func @attention(
func.func @attention(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>,
                     %v: tensor<2x2x?x16xf32>, %m: tensor<2x1x1x?xf32>)
    -> (tensor<2x4x?x16xf32>, tensor<2x4x?x16xf32>) {
  // CHECK: graph.attention {{.*}} mask {{.*}} score(#graph.softmax<scale = 5.000000e-01>)
  // CHECK-SAME: select(#graph.dense)
  %0 = graph.attention %q, %k, %v mask %m score(#graph.softmax<scale = 0.5>)
      select(#graph.dense)
    : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x16xf32>,
       tensor<2x1x1x?xf32>) -> tensor<2x4x?x16xf32>
  // CHECK: #graph.sigmoid<scale = 1.000000e+00, bias = -2.500000e+00>
  // CHECK-SAME: #graph.window<left = -1, right = 0>
  %1 = graph.attention %q, %k, %v
      score(#graph.sigmoid<scale = 1.0, bias = -2.5>)
      select(#graph.window<left = -1, right = 0>)
    : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x16xf32>)
      -> tensor<2x4x?x16xf32>
  return %0, %1 : tensor<2x4x?x16xf32>, tensor<2x4x?x16xf32>
}
