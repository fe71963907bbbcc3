// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --verify-diagnostics

func.func @broadcast(%x: tensor<3x4xf32>, %y: tensor<5xf32>) {
  // expected-error@+1 {{sizes of broadcast dim 1 of the result must be equal, got 4 and 5}}
  %0 = graph.add %x, %y : (tensor<3x4xf32>, tensor<5xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @element_types(%x: tensor<4xf32>, %y: tensor<4xf16>) {
  // expected-error@+1 {{operand 1 must have element type 'f32', got 'f16'}}
  %0 = graph.mul %x, %y : (tensor<4xf32>, tensor<4xf16>) -> tensor<4xf32>
  return
}

// -----

func.func @result_shape(%x: tensor<4xf32>, %y: tensor<4xf32>) {
  // expected-error@+1 {{result 0 must have shape 'tensor<4xf32>', got 'tensor<5xf32>'}}
  %0 = graph.sub %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @reshape(%x: tensor<4xf32>) {
  // expected-error@+1 {{sizes of the input and the result (in elements) must be equal, got 4 and 6}}
  %0 = graph.reshape %x to affine_map<() -> (2, 3)>
    : tensor<4xf32> -> tensor<2x3xf32>
  return
}

// -----

func.func @transpose(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{permutation [0, 0] is not one of 0 to 1}}
  %0 = graph.transpose %x [0, 0] : tensor<2x3xf32> -> tensor<2x2xf32>
  return
}

// -----

func.func @slice(%x: tensor<8xf32>) {
  // expected-error@+1 {{dim 0 has size 8; the window is from 5 to 8}}
  %0 = graph.slice %x from affine_map<() -> (5)> size affine_map<() -> (4)>
      step [1] : tensor<8xf32> -> tensor<4xf32>
  return
}

// -----

func.func @pitch(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{needs rows of at most 6 elements, a number that is known, got 'tensor<2x8xf32>'}}
  %0 = graph.pitch %x to 6 : tensor<2x8xf32> -> tensor<2x6xf32>
  return
}

// -----

func.func @concat(%x: tensor<2x3xf32>, %y: tensor<3x3xf32>) {
  // expected-error@+1 {{sizes of dim 0 of operands 0 and 1 must be equal, got 2 and 3}}
  %0 = graph.concat %x, %y axis 1
    : (tensor<2x3xf32>, tensor<3x3xf32>) -> tensor<2x6xf32>
  return
}

// -----

func.func @gather(%x: tensor<2x3xf32>, %i: tensor<4xi64>) {
  // expected-error@+1 {{axis 2 is out of range; allowed are 0 to 1}}
  %0 = graph.gather %x, %i axis 2
    : (tensor<2x3xf32>, tensor<4xi64>) -> tensor<4x3xf32>
  return
}

// -----

func.func @reduce(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{axes must ascend, got 0 after 1}}
  %0 = graph.reduce sum %x axes [1, 0] : tensor<2x3xf32> -> tensor<f32>
  return
}

// -----

func.func @layer_norm(%x: tensor<2x3xf32>, %s: tensor<4xf32>) {
  // expected-error@+1 {{sizes of normalized dim 0 of the input and of operand 1 must be equal, got 3 and 4}}
  %0 = graph.layer_norm %x scale %s axis 1 epsilon 1.0e-5
    : (tensor<2x3xf32>, tensor<4xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @matmul(%x: tensor<2x3xf32>, %y: tensor<4x5xf32>) {
  // expected-error@+1 {{the contracted dims (last of operand 0, last but one of operand 1) must be equal, got 3 and 4}}
  %0 = graph.matmul %x, %y
    : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  return
}

// -----

func.func @contract(%x: tensor<2x3xf32>, %w: tensor<3x5xf32>) {
  // expected-error@+1 {{needs one branch per weight and at least one, got 2 branches and 1 weights}}
  %0 = graph.contract %x, %w [#graph.branch<>, #graph.branch<>]
    : (tensor<2x3xf32>, tensor<3x5xf32>) -> tensor<2x5xf32>
  return
}

// -----

func.func @conv(%x: tensor<1x3x8x8xf32>, %w: tensor<4x2x3x3xf32>) {
  // expected-error@+1 {{input channels and weight channels times groups must be equal, got 3 and 2}}
  %0 = graph.conv %x, %w strides [1, 1] dilations [1, 1] pads [0, 0, 0, 0]
      groups 1
    : (tensor<1x3x8x8xf32>, tensor<4x2x3x3xf32>) -> tensor<1x4x6x6xf32>
  return
}

// -----

func.func @attention(%q: tensor<1x3x4x8xf32>, %k: tensor<1x2x4x8xf32>) {
  // expected-error@+1 {{the heads of the query must be a multiple of those of the key, got 3 and 2}}
  %0 = graph.attention %q, %k, %k score(#graph.softmax<scale = 1.0>)
      select(#graph.dense)
    : (tensor<1x3x4x8xf32>, tensor<1x2x4x8xf32>, tensor<1x2x4x8xf32>)
      -> tensor<1x3x4x8xf32>
  return
}

// -----

func.func @attention_f64(%q: tensor<1x2x4x8xf64>) {
  // expected-error@+1 {{needs element type f32, f16 or bf16, got 'f64'; spell other types out}}
  %0 = graph.attention %q, %q, %q score(#graph.softmax<scale = 1.0>)
      select(#graph.dense)
    : (tensor<1x2x4x8xf64>, tensor<1x2x4x8xf64>, tensor<1x2x4x8xf64>)
      -> tensor<1x2x4x8xf64>
  return
}

// -----

func.func @two_roots(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error@+1 {{must hold at most one root, found 'graph.softmax' and 'graph.softmax'}}
  %0 = graph.group reduce (%a = %x) : (tensor<4x4xf32>) -> tensor<4x4xf32> {
    %1 = graph.softmax %a axis 1 : tensor<4x4xf32>
    %2 = graph.softmax %1 axis 1 : tensor<4x4xf32>
    graph.yield %2 : tensor<4x4xf32>
  }
  return %0 : tensor<4x4xf32>
}

// -----

// expected-error@+1 {{'graph.dims' must be an affine map without dims, over at most the 1 symbols}}
func.func @dims(%x: tensor<?x?xf32> {graph.dims =
    affine_map<()[s0, s1] -> (s0, s1)>}) attributes {graph.symbols = ["n"]} {
  return
}

// -----

func.func @int8_group(%x: tensor<4x4xf32>) {
  // expected-error@+2 {{'group' must be a multiple of 4 in 4..65536, got 6}}
  // expected-error@+1 {{failed to parse}}
  graph.contract %x, %x [#graph.branch<quantizer = #graph.dynamic_int8<group = 6>>]
    : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

// expected-error @+1 {{'group' must be a multiple of 8 in 8..1024, got 12}}
func.func private @int4_group(tensor<64x64xf32, #graph.int4<axis = 1, group = 12>>)

// -----

// expected-error @+1 {{#graph.int4<axis = 1> is for matrices, not for rank 3}}
func.func private @int4_rank(tensor<2x64x64xf32, #graph.int4<axis = 1>>)

// -----

// expected-error @+1 {{'group' must be a multiple of 16 in 16..1024, got 24}}
func.func private @ternary_group(tensor<64x64xf32, #graph.ternary<axis = 1, group = 24>>)

// -----

// expected-error @+1 {{'axis' of a matrix must be 0 or 1, got 2}}
func.func private @ternary_axis(tensor<64x64xf32, #graph.ternary<axis = 2>>)

// -----

// expected-error @+1 {{#graph.ternary<axis = 1> is for matrices, not for rank 1}}
func.func private @ternary_rank(tensor<64xf32, #graph.ternary<axis = 1>>)

// -----

// expected-error @+1 {{'axis' 5 of #graph.int8<axis = 5> is not a dim of a tensor of rank 2}}
func.func private @int8_axis(tensor<64x64xf32, #graph.int8<axis = 5>>)

// -----

// expected-error @+1 {{has groups, which are for matrices, not for rank 3}}
func.func private @int8_group(tensor<2x64x64xf32, #graph.int8<axis = 1, group = 32>>)

// -----

func.func @concat_sizes() {
  // expected-error@+1 {{the parts have 4 elements along axis 1, the whole is 'tensor<2x5xf32>'}}
  %0 = graph.constant #graph.concat<axis = 1, [dense<0.0> : tensor<2x3xf32>, dense<0.0> : tensor<2x1xf32>]> : tensor<2x5xf32> : tensor<2x5xf32>
  return
}

// -----

func.func @concat_parts() {
  // expected-error@+1 {{a part of 'tensor<2x4xf32>' along axis 1 can't be 'tensor<3x4xf32>'}}
  %0 = graph.constant #graph.concat<axis = 1, [dense<0.0> : tensor<3x4xf32>]> : tensor<2x4xf32> : tensor<2x4xf32>
  return
}

// -----

func.func @gather_elements(%x: tensor<4xf32>, %i: tensor<2xf32>) {
  // expected-error@+1 {{operand 1 must have element type i32 or i64, got 'f32'}}
  %0 = graph.gather_elements %x, %i axis 0
    : (tensor<4xf32>, tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @scatter_nd(%x: tensor<4xf32>, %i: tensor<2x1xi64>, %u: tensor<2xi32>) {
  // expected-error@+1 {{operand 2 must have element type 'f32', got 'i32'}}
  %0 = graph.scatter_nd set %x, %i, %u
    : (tensor<4xf32>, tensor<2x1xi64>, tensor<2xi32>) -> tensor<4xf32>
  return
}

// -----

func.func @scatter_nd_updates(%x: tensor<4x3xf32>, %i: tensor<2x1xi64>, %u: tensor<1x3xf32>) {
  // expected-error@+1 {{sizes of dim 0 of updates must be equal, got 2 and 1}}
  %0 = graph.scatter_nd set %x, %i, %u
    : (tensor<4x3xf32>, tensor<2x1xi64>, tensor<1x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @window_too_large(%x: tensor<1x1x2xf32>, %w: tensor<1x1x5xf32>) {
  // expected-error@+1 {{windows of 5 elements, dilated by 1, are larger than spatial dim 0 of size 2 with its padding}}
  %0 = graph.conv %x, %w strides [1] dilations [1] pads [0, 0] groups 1
    : (tensor<1x1x2xf32>, tensor<1x1x5xf32>) -> tensor<1x1x0xf32>
  return
}

// -----

func.func @pad_removes_all(%x: tensor<3xf32>, %z: tensor<f32>) {
  // expected-error@+1 {{removes 4 elements from dim 0 of size 3}}
  %0 = graph.pad constant %x with %z low [-2] high [-2]
    : (tensor<3xf32>, tensor<f32>) -> tensor<0xf32>
  return
}

// -----

func.func @cumulate(%x: tensor<3xi1>) {
  // expected-error@+1 {{needs numbers, got truth values; cast them}}
  %0 = graph.cumulate %x axis 0 : tensor<3xi1>
  return
}

// -----

// expected-error @+1 {{'size' must be 4, 8 or 16 columns, got 5}}
func.func private @block_size(tensor<64x64xf32, #graph.block<axis = 1, size = 5, density = 0.5, type = i8>>)

// -----

// expected-error @+1 {{'density' must be in 0..1, got 1.5}}
func.func private @block_density(tensor<64x64xf32, #graph.block<axis = 1, density = 1.5, type = i8>>)

// -----

// expected-error @+1 {{'type' must be i8 or f32, got 'i4'}}
func.func private @block_type(tensor<64x64xf32, #graph.block<axis = 1, density = 0.5, type = i4>>)

// -----

// expected-error @+1 {{is for matrices, not for rank 3}}
func.func private @block_rank(tensor<2x64x64xf32, #graph.block<axis = 1, density = 0.5, type = f32>>)

// -----

// expected-error @+1 {{holds at most 65536 elements a column, got 65537}}
func.func private @block_tall(tensor<65537x64xf32, #graph.block<axis = 1, density = 0.5, type = f32>>)

// -----

// The other dim may be as long as it likes.
func.func private @block_wide(tensor<65537x64xf32, #graph.block<axis = 0, density = 0.5, type = f32>>)
