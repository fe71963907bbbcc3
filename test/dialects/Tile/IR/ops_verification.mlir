// RUN: lathe-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{argument 0 has type 'index'; arguments are buffers, then 'index' scalars}}
tile.kernel @order(%m: index, %x: !tile.buffer<f32>)
    schedule <strategy = "contract"> {
  tile.return
}

// -----

tile.kernel @mma(%x: !tile.buffer<f32>) schedule <strategy = "contract"> {
  %a = arith.constant dense<0.0> : tensor<4x3xf32>
  %b = arith.constant dense<0.0> : tensor<2x8xf32>
  %c = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{needs a [m, k], b [k, n] and acc [m, n]}}
  %d = tile.mma %a, %b, %c : tensor<4x3xf32>, tensor<2x8xf32>, tensor<4x8xf32>
  tile.return
}

// -----

tile.kernel @types(%x: !tile.buffer<f32>) schedule <strategy = "contract"> {
  %a = arith.constant dense<0> : tensor<4x4xi8>
  %b = arith.constant dense<0> : tensor<4x8xi8>
  %c = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{accumulates i8 in i32 and floats in f32}}
  %d = tile.mma %a, %b, %c : tensor<4x4xi8>, tensor<4x8xi8>, tensor<4x8xf32>
  tile.return
}

// -----

tile.kernel @load(%x: !tile.buffer<f32>) schedule <strategy = "pointwise"> {
  %c0 = arith.constant 0 : index
  %v = tile.view %x sizes [8, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<8x64xf32, [64, 1]>
  // expected-error @+1 {{'dims' entry 2 must be a dim of the view, named once, or -1}}
  %t = tile.load %v[%c0, %c0] dims [0, 2]
    : !tile.view<8x64xf32, [64, 1]> -> tensor<4x64xf32>
  tile.return
}

// -----

tile.kernel @reduce(%x: !tile.buffer<f32>) schedule <strategy = "reduce"> {
  %a = arith.constant dense<0.0> : tensor<4x3xf32>
  // expected-error @+1 {{'axis' must be a dim of 'tensor<4x3xf32>', got 2}}
  %r = tile.reduce add %a axis 2 : tensor<4x3xf32> -> tensor<4xf32>
  tile.return
}

// -----

tile.kernel @store(%x: !tile.buffer<f32>) schedule <strategy = "pointwise"> {
  %c0 = arith.constant 0 : index
  %v = tile.view %x sizes [8] strides [1]
    : !tile.buffer<f32> -> !tile.view<8xf32, [1]>
  %t = arith.constant dense<0> : tensor<8xi32>
  // expected-error @+1 {{differ in element type}}
  tile.store %t, %v[%c0] dims [0] : tensor<8xi32>, !tile.view<8xf32, [1]>
  tile.return
}

// -----

tile.kernel @concat(%x: !tile.buffer<f32>) schedule <strategy = "pointwise"> {
  %a = arith.constant dense<0.0> : tensor<4x3xf32>
  // expected-error @+1 {{inputs have 8 positions along dim 0, the result 9}}
  %c = tile.concat %a, %a axis 0
    : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<9x3xf32>
  tile.return
}

// -----

tile.kernel @concat_of(%x: !tile.buffer<f32>) schedule <strategy = "pointwise"> {
  %a = arith.constant dense<0.0> : tensor<4x3xf32>
  %b = arith.constant dense<0.0> : tensor<4x2xf32>
  // expected-error @+1 {{an input of 'tensor<8x3xf32>' along dim 0 can't be 'tensor<4x2xf32>'}}
  %c = tile.concat %a, %b axis 0
    : tensor<4x3xf32>, tensor<4x2xf32> -> tensor<8x3xf32>
  tile.return
}
