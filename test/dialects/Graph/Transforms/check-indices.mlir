// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-check-indices --split-input-file | FileCheck %s
//
// Numbers and messages: test/lib/Pipeline/indices.py.

// An input may hold anything.
// CHECK-LABEL: func.func @unknown(
// CHECK: %[[C:.*]] = graph.builtin "check_indices"(%arg1, %{{.*}}) {{.*}} : (tensor<?x7xi64>, tensor<1xi64>) -> tensor<?x7xi64>
// CHECK: graph.gather %arg0, %[[C]] axis 0
func.func @unknown(%x: tensor<5x4xf32>, %i: tensor<?x7xi64>)
    -> tensor<?x7x4xf32> {
  %y = graph.gather %x, %i axis 0
    : (tensor<5x4xf32>, tensor<?x7xi64>) -> tensor<?x7x4xf32>
  return %y : tensor<?x7x4xf32>
}

// -----

// One size for each part of a tuple.
// CHECK-LABEL: func.func @tuples(
// CHECK: graph.builtin "check_indices"(%arg1, %{{.*}}) {{.*}} : (tensor<3x2xi64>, tensor<2xi64>)
// CHECK: graph.builtin "check_indices"(%arg1, %{{.*}}) {{.*}} : (tensor<3x2xi64>, tensor<2xi64>)
func.func @tuples(%x: tensor<5x4xf32>, %i: tensor<3x2xi64>, %u: tensor<3xf32>)
    -> (tensor<3xf32>, tensor<5x4xf32>) {
  %y = graph.gather_nd %x, %i batch_dims 0
    : (tensor<5x4xf32>, tensor<3x2xi64>) -> tensor<3xf32>
  %z = graph.scatter_nd set %x, %i, %u
    : (tensor<5x4xf32>, tensor<3x2xi64>, tensor<3xf32>) -> tensor<5x4xf32>
  return %y, %z : tensor<3xf32>, tensor<5x4xf32>
}

// -----

// Constants, from the end too; counters; what is moved, bounded or added up;
// comparisons; positions of extremes; remainders.
// CHECK-LABEL: func.func @proven(
// CHECK-NOT: graph.builtin
// CHECK: return
func.func @proven(%x: tensor<?x6xf32>
      {graph.dims = affine_map<()[s0] -> (s0, 6)>}, %i: tensor<6xi64>)
    -> (tensor<2x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>,
        tensor<?x6xf32>) attributes {graph.symbols = ["n"]} {
  %ends = graph.constant dense<[5, -6]> : tensor<2xi64> : tensor<2xi64>
  %t = graph.constant dense<1.0> : tensor<6x6xf32> : tensor<6x6xf32>
  %0 = graph.gather %t, %ends axis 0
    : (tensor<6x6xf32>, tensor<2xi64>) -> tensor<2x6xf32>
  %count = graph.iota 0 size affine_map<()[s0] -> (s0)> : tensor<?xi64>
  %1 = graph.gather %x, %count axis 0
    : (tensor<?x6xf32>, tensor<?xi64>) -> tensor<?x6xf32>
  %zero = graph.constant dense<0> : tensor<i64> : tensor<i64>
  %five = graph.constant dense<5> : tensor<i64> : tensor<i64>
  %low = graph.max %count, %zero : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %both = graph.min %low, %five : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %2 = graph.gather %t, %both axis 0
    : (tensor<6x6xf32>, tensor<?xi64>) -> tensor<?x6xf32>
  %place = graph.arg_reduce max %x axis 1 : tensor<?x6xf32> -> tensor<?xi64>
  %3 = graph.gather %t, %place axis 0
    : (tensor<6x6xf32>, tensor<?xi64>) -> tensor<?x6xf32>
  %six = graph.constant dense<6> : tensor<i64> : tensor<i64>
  %rest = graph.mod %count, %six : (tensor<?xi64>, tensor<i64>) -> tensor<?xi64>
  %4 = graph.gather %t, %rest axis 0
    : (tensor<6x6xf32>, tensor<?xi64>) -> tensor<?x6xf32>
  return %0, %1, %2, %3, %4 : tensor<2x6xf32>, tensor<?x6xf32>,
    tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>
}

// -----

// The front end knows.
// CHECK-LABEL: func.func @trusted(
// CHECK-NOT: graph.builtin
// CHECK: return
func.func @trusted(%x: tensor<5x4xf32>, %i: tensor<i64>) -> tensor<4xf32> {
  %y = graph.gather %x, %i axis 0 {graph.in_range}
    : (tensor<5x4xf32>, tensor<i64>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// One too many; a counter beyond a dim that has another name.
// CHECK-LABEL: func.func @outside(
// CHECK-COUNT-2: graph.builtin "check_indices"
func.func @outside(%x: tensor<?x6xf32>
      {graph.dims = affine_map<()[s0] -> (s0, 6)>}, %y: tensor<?xf32>
      {graph.dims = affine_map<()[s0, s1] -> (s1)>})
    -> (tensor<2x6xf32>, tensor<?x6xf32>)
    attributes {graph.symbols = ["n", "m"]} {
  %t = graph.constant dense<1.0> : tensor<6x6xf32> : tensor<6x6xf32>
  %ends = graph.constant dense<[6, 0]> : tensor<2xi64> : tensor<2xi64>
  %0 = graph.gather %t, %ends axis 0
    : (tensor<6x6xf32>, tensor<2xi64>) -> tensor<2x6xf32>
  %count = graph.iota 0 size affine_map<()[s0, s1] -> (s1)> : tensor<?xi64>
  %1 = graph.gather %x, %count axis 0
    : (tensor<?x6xf32>, tensor<?xi64>) -> tensor<?x6xf32>
  return %0, %1 : tensor<2x6xf32>, tensor<?x6xf32>
}

// -----

// What may wrap proves nothing: a sum with one bound, a product that is too
// large for its type, a difference that has no sign.
// CHECK-LABEL: func.func @wraps(
// CHECK-COUNT-3: graph.builtin "check_indices"
func.func @wraps(%t: tensor<4xf32>, %x: tensor<5xi64>, %y: tensor<5xi32>,
                 %z: tensor<5xui8>)
    -> (tensor<5xf32>, tensor<5xf32>, tensor<5xf32>) {
  %zero = graph.constant dense<0> : tensor<i64> : tensor<i64>
  %one = graph.constant dense<1> : tensor<i64> : tensor<i64>
  %three = graph.constant dense<3> : tensor<i64> : tensor<i64>
  %low = graph.max %x, %zero : (tensor<5xi64>, tensor<i64>) -> tensor<5xi64>
  %next = graph.add %low, %one : (tensor<5xi64>, tensor<i64>) -> tensor<5xi64>
  %both = graph.min %next, %three
    : (tensor<5xi64>, tensor<i64>) -> tensor<5xi64>
  %0 = graph.gather %t, %both axis 0
    : (tensor<4xf32>, tensor<5xi64>) -> tensor<5xf32>
  %wide = graph.constant dense<65536> : tensor<i32> : tensor<i32>
  %last = graph.constant dense<3> : tensor<i32> : tensor<i32>
  %rest = graph.mod %y, %wide : (tensor<5xi32>, tensor<i32>) -> tensor<5xi32>
  %large = graph.mul %rest, %wide
    : (tensor<5xi32>, tensor<i32>) -> tensor<5xi32>
  %least = graph.min %large, %last
    : (tensor<5xi32>, tensor<i32>) -> tensor<5xi32>
  %1 = graph.gather %t, %least axis 0
    : (tensor<4xf32>, tensor<5xi32>) -> tensor<5xf32>
  %four = graph.constant dense<4> : tensor<ui8> : tensor<ui8>
  %a = graph.mod %z, %four : (tensor<5xui8>, tensor<ui8>) -> tensor<5xui8>
  %b = graph.sub %a, %a : (tensor<5xui8>, tensor<5xui8>) -> tensor<5xui8>
  %c = graph.cast %b : tensor<5xui8> -> tensor<5xi64>
  %2 = graph.gather %t, %c axis 0
    : (tensor<4xf32>, tensor<5xi64>) -> tensor<5xf32>
  return %0, %1, %2 : tensor<5xf32>, tensor<5xf32>, tensor<5xf32>
}
