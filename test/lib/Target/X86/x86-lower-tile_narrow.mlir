// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt --x86-lower-tile=level=avx512-bf16 --cse --canonicalize %s \
// RUN:   | FileCheck %s

// Where powers and reciprocals may be rough (`narrow`): where rounding to bf16
// hides their error.

// Powers that a multiply takes in bf16, and their sum beside it.
// CHECK-LABEL: func.func @weights.programs(
// CHECK: math.exp2 {{.*}} {narrow}
tile.kernel @weights(%x: !tile.buffer<f32>, %v: !tile.buffer<bf16>,
    %s: !tile.buffer<f32> {tile.written}, %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "attention"> {
  %c0 = arith.constant 0 : index
  %xv = tile.view %x sizes [2, 16] strides [16, 1]
    : !tile.buffer<f32> -> !tile.view<2x16xf32, [16, 1]>
  %vv = tile.view %v sizes [4, 2] strides [2, 1]
    : !tile.buffer<bf16> -> !tile.view<4x2xbf16, [2, 1]>
  %sv = tile.view %s sizes [16] strides [1]
    : !tile.buffer<f32> -> !tile.view<16xf32, [1]>
  %yv = tile.view %y sizes [4, 16] strides [16, 1]
    : !tile.buffer<f32> -> !tile.view<4x16xf32, [16, 1]>
  %zero = arith.constant dense<0.0> : tensor<4x16xf32>
  %t = tile.load %xv[%c0, %c0] dims [0, 1]
    : !tile.view<2x16xf32, [16, 1]> -> tensor<2x16xf32>
  %e = math.exp2 %t : tensor<2x16xf32>
  %sum = tile.reduce add %e axis 0 : tensor<2x16xf32> -> tensor<16xf32>
  tile.store %sum, %sv[%c0] dims [0] : tensor<16xf32>, !tile.view<16xf32, [1]>
  %p = arith.truncf %e : tensor<2x16xf32> to tensor<2x16xbf16>
  %a = tile.load %vv[%c0, %c0] dims [0, 1]
    : !tile.view<4x2xbf16, [2, 1]> -> tensor<4x2xbf16>
  %d = tile.mma %a, %p, %zero
    : tensor<4x2xbf16>, tensor<2x16xbf16>, tensor<4x16xf32>
  tile.store %d, %yv[%c0, %c0] dims [0, 1]
    : tensor<4x16xf32>, !tile.view<4x16xf32, [16, 1]>
  tile.return
}

// A sum by itself is f32, and so are its terms.
// CHECK-LABEL: func.func @sum.programs(
// CHECK-NOT: narrow
// CHECK: return
tile.kernel @sum(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "reduce"> {
  %c0 = arith.constant 0 : index
  %xv = tile.view %x sizes [2, 16] strides [16, 1]
    : !tile.buffer<f32> -> !tile.view<2x16xf32, [16, 1]>
  %yv = tile.view %y sizes [16] strides [1]
    : !tile.buffer<f32> -> !tile.view<16xf32, [1]>
  %t = tile.load %xv[%c0, %c0] dims [0, 1]
    : !tile.view<2x16xf32, [16, 1]> -> tensor<2x16xf32>
  %e = math.exp2 %t : tensor<2x16xf32>
  %s = tile.reduce add %e axis 0 : tensor<2x16xf32> -> tensor<16xf32>
  tile.store %s, %yv[%c0] dims [0] : tensor<16xf32>, !tile.view<16xf32, [1]>
  tile.return
}

// 1 / (1 + 2^x): terms of the same sign.
// CHECK-LABEL: func.func @logistic.programs(
// CHECK: math.exp2 {{.*}} {narrow}
// CHECK: arith.divf {{.*}} {narrow}
// CHECK: arith.truncf
tile.kernel @logistic(%x: !tile.buffer<f32>,
    %y: !tile.buffer<bf16> {tile.written}) schedule <strategy = "pointwise"> {
  %c0 = arith.constant 0 : index
  %xv = tile.view %x sizes [16] strides [1]
    : !tile.buffer<f32> -> !tile.view<16xf32, [1]>
  %yv = tile.view %y sizes [16] strides [1]
    : !tile.buffer<bf16> -> !tile.view<16xbf16, [1]>
  %one = arith.constant dense<1.0> : tensor<16xf32>
  %t = tile.load %xv[%c0] dims [0] : !tile.view<16xf32, [1]> -> tensor<16xf32>
  %e = math.exp2 %t : tensor<16xf32>
  %a = arith.addf %e, %one : tensor<16xf32>
  %q = arith.divf %one, %a : tensor<16xf32>
  %r = arith.truncf %q : tensor<16xf32> to tensor<16xbf16>
  tile.store %r, %yv[%c0] dims [0] : tensor<16xbf16>, !tile.view<16xbf16, [1]>
  tile.return
}

// 1 - 2^x, and 1/x + b: near a root what was hidden is all that is left.
// CHECK-LABEL: func.func @differences.programs(
// CHECK-NOT: narrow
// CHECK: return
tile.kernel @differences(%x: !tile.buffer<f32>,
    %y: !tile.buffer<bf16> {tile.written}) schedule <strategy = "pointwise"> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %xv = tile.view %x sizes [16] strides [1]
    : !tile.buffer<f32> -> !tile.view<16xf32, [1]>
  %yv = tile.view %y sizes [2, 16] strides [16, 1]
    : !tile.buffer<bf16> -> !tile.view<2x16xbf16, [16, 1]>
  %one = arith.constant dense<1.0> : tensor<16xf32>
  %minus = arith.constant dense<-1.0> : tensor<16xf32>
  %third = arith.constant dense<0.3333> : tensor<16xf32>
  %t = tile.load %xv[%c0] dims [0] : !tile.view<16xf32, [1]> -> tensor<16xf32>
  %e = math.exp2 %t : tensor<16xf32>
  %n = arith.mulf %e, %minus : tensor<16xf32>
  %a = arith.addf %n, %one : tensor<16xf32>
  %r = arith.truncf %a : tensor<16xf32> to tensor<16xbf16>
  tile.store %r, %yv[%c0, %c0] dims [1]
    : tensor<16xbf16>, !tile.view<2x16xbf16, [16, 1]>
  %i = arith.divf %one, %t : tensor<16xf32>
  %b = arith.addf %i, %third : tensor<16xf32>
  %s = arith.truncf %b : tensor<16xf32> to tensor<16xbf16>
  tile.store %s, %yv[%c1, %c0] dims [1]
    : tensor<16xbf16>, !tile.view<2x16xbf16, [16, 1]>
  tile.return
}
