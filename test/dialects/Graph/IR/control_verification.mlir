// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --verify-diagnostics

func.func @main(%c: tensor<i1>) {
  // expected-error@+1 {{needs an internal function called @nowhere}}
  graph.if %c then @nowhere else @nowhere () shapes [] : (tensor<i1>) -> ()
  return
}

// -----

func.func @main(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{passes 1 inputs, @f has 0}}
  %y = graph.if %c then @f else @f (%x) shapes [affine_map<() -> (4)>]
    : (tensor<i1>, tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}
func.func private @f() -> tensor<4xf32> attributes {graph.given = 0 : i64} {
  %y = graph.constant dense<1.0> : tensor<4xf32> : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @main(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xi64> {
  // expected-error@+1 {{result 0 is 'tensor<4xi64>', that of @f 'tensor<4xf32>'}}
  %y = graph.if %c then @f else @f (%x) shapes [affine_map<() -> (4)>]
    : (tensor<i1>, tensor<4xf32>) -> tensor<4xi64>
  return %y : tensor<4xi64>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32>
    attributes {graph.given = 0 : i64} {
  return %x : tensor<4xf32>
}

// -----

func.func @main(%c: tensor<i1>) -> tensor<4xf32> {
  // expected-error@+1 {{'shapes' must hold one map for each of the 1 results, got 0}}
  %y = graph.if %c then @f else @f () shapes [] : (tensor<i1>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{needs a condition for each callee but the last, got 3 callees and 1 conditions}}
  %y = graph.call [@f, @f, @f] when [affine_set<() : (0 == 0)>] (%x)
    shapes [affine_map<() -> (4)>] : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<?xf32>, %s: tensor<?xi64>) -> tensor<?xf32> {
  // expected-error@+1 {{the sizes must be of static shape, got 'tensor<?xi64>'}}
  %y = graph.bind %x, %s : tensor<?xf32>, tensor<?xi64>
  return %y : tensor<?xf32>
}

// -----

// expected-error@+1 {{attribute 'graph.given' must count some of the 1 symbols}}
func.func @main() attributes {graph.symbols = ["n"], graph.given = 2 : i64} {
  return
}
