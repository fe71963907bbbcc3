// RUN: lathe-opt %s | lathe-opt | FileCheck %s

// A linear layer as the contract strategy emits it for AVX-512: 6 rows by one
// panel of 64 columns, the whole K in one loop, then the epilogue
// gelu(x . w + bias) + residual on the accumulator, and one store. B is packed
// in panels ([N/64][K][64], zero padded); A and the residual lie row-major.

// CHECK-LABEL: tile.kernel @linear_gelu_residual
tile.kernel @linear_gelu_residual(
    %x: !tile.buffer<f32>, %w: !tile.buffer<f32>, %bias: !tile.buffer<f32>,
    %residual: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written},
    %m: index) schedule <strategy = "contract", tile = [6, 64, 1]> {
  %i = tile.program_id 0
  %j = tile.program_id 1
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %c64 = arith.constant 64 : index
  %c384 = arith.constant 384 : index
  %row = arith.muli %i, %c6 : index
  %col = arith.muli %j, %c64 : index
  %xv = tile.view %x sizes [%m, 384] strides [384, 1]
    : !tile.buffer<f32> -> !tile.view<?x384xf32, [384, 1]>
  %wv = tile.view %w sizes [24, 384, 64] strides [24576, 64, 1]
    : !tile.buffer<f32> -> !tile.view<24x384x64xf32, [24576, 64, 1]>
  %bv = tile.view %bias sizes [1500] strides [1]
    : !tile.buffer<f32> -> !tile.view<1500xf32, [1]>
  %rv = tile.view %residual sizes [%m, 1500] strides [1500, 1]
    : !tile.buffer<f32> -> !tile.view<?x1500xf32, [1500, 1]>
  %yv = tile.view %y sizes [%m, 1500] strides [1500, 1]
    : !tile.buffer<f32> -> !tile.view<?x1500xf32, [1500, 1]>
  %zero = arith.constant dense<0.0> : tensor<6x64xf32>
  // CHECK: scf.for
  %acc = scf.for %k = %c0 to %c384 step %c1 iter_args(%c = %zero)
      -> (tensor<6x64xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] {in_bounds = array<i64: 1>}
      : !tile.view<?x384xf32, [384, 1]> -> tensor<6x1xf32>
    %b = tile.load %wv[%j, %k, %c0] dims [1, 2] {in_bounds = array<i64: 0, 1>}
      : !tile.view<24x384x64xf32, [24576, 64, 1]> -> tensor<1x64xf32>
    // CHECK: tile.mma
    %d = tile.mma %a, %b, %c
      : tensor<6x1xf32>, tensor<1x64xf32>, tensor<6x64xf32>
    scf.yield %d : tensor<6x64xf32>
  }
  %b = tile.load %bv[%col] dims [-1, 0]
    : !tile.view<1500xf32, [1]> -> tensor<6x64xf32>
  %0 = arith.addf %acc, %b : tensor<6x64xf32>
  %half = arith.constant dense<0.5> : tensor<6x64xf32>
  %one = arith.constant dense<1.0> : tensor<6x64xf32>
  %rsqrt2 = arith.constant dense<0.70710677> : tensor<6x64xf32>
  %1 = arith.mulf %0, %rsqrt2 : tensor<6x64xf32>
  %2 = math.erf %1 : tensor<6x64xf32>
  %3 = arith.addf %2, %one : tensor<6x64xf32>
  %4 = arith.mulf %0, %half : tensor<6x64xf32>
  %5 = arith.mulf %4, %3 : tensor<6x64xf32>
  %r = tile.load %rv[%row, %col] dims [0, 1]
    : !tile.view<?x1500xf32, [1500, 1]> -> tensor<6x64xf32>
  %6 = arith.addf %5, %r : tensor<6x64xf32>
  tile.store %6, %yv[%row, %col] dims [0, 1]
    : tensor<6x64xf32>, !tile.view<?x1500xf32, [1500, 1]>
  tile.return
}

// The AVX2 form reads 16-wide columns of the same 64-wide panels.
// CHECK-LABEL: tile.kernel @linear_avx2
tile.kernel @linear_avx2(
    %x: !tile.buffer<f32>, %w: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written},
    %m: index) schedule <strategy = "contract", tile = [6, 16, 1]> {
  %i = tile.program_id 0
  %j = tile.program_id 1
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c6 = arith.constant 6 : index
  %c16 = arith.constant 16 : index
  %c384 = arith.constant 384 : index
  %row = arith.muli %i, %c6 : index
  %col = arith.muli %j, %c16 : index
  %panel = arith.divui %j, %c4 : index
  %part = arith.remui %j, %c4 : index
  %inner = arith.muli %part, %c16 : index
  %xv = tile.view %x sizes [%m, 384] strides [384, 1]
    : !tile.buffer<f32> -> !tile.view<?x384xf32, [384, 1]>
  %wv = tile.view %w sizes [24, 384, 64] strides [24576, 64, 1]
    : !tile.buffer<f32> -> !tile.view<24x384x64xf32, [24576, 64, 1]>
  %yv = tile.view %y sizes [%m, 1500] strides [1500, 1]
    : !tile.buffer<f32> -> !tile.view<?x1500xf32, [1500, 1]>
  %zero = arith.constant dense<0.0> : tensor<6x16xf32>
  %acc = scf.for %k = %c0 to %c384 step %c1 iter_args(%c = %zero)
      -> (tensor<6x16xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] {in_bounds = array<i64: 1>}
      : !tile.view<?x384xf32, [384, 1]> -> tensor<6x1xf32>
    %b = tile.load %wv[%panel, %k, %inner] dims [1, 2]
      {in_bounds = array<i64: 0, 1>}
      : !tile.view<24x384x64xf32, [24576, 64, 1]> -> tensor<1x16xf32>
    %d = tile.mma %a, %b, %c
      : tensor<6x1xf32>, tensor<1x16xf32>, tensor<6x16xf32>
    scf.yield %d : tensor<6x16xf32>
  }
  tile.store %acc, %yv[%row, %col] dims [0, 1]
    : tensor<6x16xf32>, !tile.view<?x1500xf32, [1500, 1]>
  tile.return
}
