// RUN: lathe-opt %s | lathe-opt | FileCheck %s

// Dynamic int8, as the contract strategy emits it: one kernel quantizes the
// rows of the input to u8 codes (s8 + 128) and f32 scales, the other multiplies
// codes in i32 and scales in its epilogue.

// K = 386 here, so that the last group of four holds two real codes; the
// weight's codes are zero there, so what lies in the padding has no effect.

// CHECK-LABEL: tile.kernel @quantize_rows
tile.kernel @quantize_rows(
    %x: !tile.buffer<f32>, %codes: !tile.buffer<i8> {tile.written},
    %scales: !tile.buffer<f32> {tile.written},
    %m: index) schedule <strategy = "contract", tile = [1, 64]> {
  %row = tile.program_id 0
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c386 = arith.constant 386 : index
  %xv = tile.view %x sizes [%m, 386] strides [386, 1]
    : !tile.buffer<f32> -> !tile.view<?x386xf32, [386, 1]>
  %cv = tile.view %codes sizes [%m, 388] strides [388, 1]
    : !tile.buffer<i8> -> !tile.view<?x388xi8, [388, 1]>
  %sv = tile.view %scales sizes [%m] strides [1]
    : !tile.buffer<f32> -> !tile.view<?xf32, [1]>
  %zero = arith.constant dense<0.0> : tensor<1x64xf32>
  %maxima = scf.for %k = %c0 to %c386 step %c64 iter_args(%m0 = %zero)
      -> (tensor<1x64xf32>) {
    %t = tile.load %xv[%row, %k] dims [0, 1]
      : !tile.view<?x386xf32, [386, 1]> -> tensor<1x64xf32>
    %a = math.absf %t : tensor<1x64xf32>
    %m1 = arith.maximumf %m0, %a : tensor<1x64xf32>
    scf.yield %m1 : tensor<1x64xf32>
  }
  // CHECK: tile.reduce max
  %max = tile.reduce max %maxima axis 1 : tensor<1x64xf32> -> tensor<1xf32>
  %c127 = arith.constant dense<127.0> : tensor<1xf32>
  %none = arith.constant dense<0.0> : tensor<1xf32>
  %scale = arith.divf %max, %c127 : tensor<1xf32>
  %ratio = arith.divf %c127, %max : tensor<1xf32>
  %empty = arith.cmpf oeq, %max, %none : tensor<1xf32>
  %inverse = arith.select %empty, %none, %ratio : tensor<1xi1>, tensor<1xf32>
  tile.store %scale, %sv[%row] dims [0]
    : tensor<1xf32>, !tile.view<?xf32, [1]>
  %factor = tile.broadcast %inverse dims [0]
    : tensor<1xf32> -> tensor<1x64xf32>
  %c128 = arith.constant dense<128> : tensor<1x64xi32>
  scf.for %k = %c0 to %c386 step %c64 {
    %t = tile.load %xv[%row, %k] dims [0, 1]
      : !tile.view<?x386xf32, [386, 1]> -> tensor<1x64xf32>
    %s = arith.mulf %t, %factor : tensor<1x64xf32>
    %r = math.roundeven %s : tensor<1x64xf32>
    %i = arith.fptosi %r : tensor<1x64xf32> to tensor<1x64xi32>
    %u = arith.addi %i, %c128 : tensor<1x64xi32>
    %b = arith.trunci %u : tensor<1x64xi32> to tensor<1x64xi8>
    tile.store %b, %cv[%row, %k] dims [0, 1]
      : tensor<1x64xi8>, !tile.view<?x388xi8, [388, 1]>
  }
  tile.return
}

// CHECK-LABEL: tile.kernel @linear_int8
tile.kernel @linear_int8(
    %codes: !tile.buffer<i8>, %scales: !tile.buffer<f32>,
    %w: !tile.buffer<i8>, %wscales: !tile.buffer<f32>,
    %wsums: !tile.buffer<i32>, %bias: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written},
    %m: index) schedule <strategy = "contract", tile = [6, 64, 4]> {
  %i = tile.program_id 0
  %j = tile.program_id 1
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c6 = arith.constant 6 : index
  %c64 = arith.constant 64 : index
  %c388 = arith.constant 388 : index
  %row = arith.muli %i, %c6 : index
  %col = arith.muli %j, %c64 : index
  %cv = tile.view %codes sizes [%m, 388] strides [388, 1]
    : !tile.buffer<i8> -> !tile.view<?x388xi8, [388, 1]>
  %wv = tile.view %w sizes [24, 97, 64, 4] strides [24832, 256, 4, 1]
    : !tile.buffer<i8> -> !tile.view<24x97x64x4xi8, [24832, 256, 4, 1]>
  %sv = tile.view %scales sizes [%m] strides [1]
    : !tile.buffer<f32> -> !tile.view<?xf32, [1]>
  %wsv = tile.view %wscales sizes [1500] strides [1]
    : !tile.buffer<f32> -> !tile.view<1500xf32, [1]>
  %wtv = tile.view %wsums sizes [1500] strides [1]
    : !tile.buffer<i32> -> !tile.view<1500xi32, [1]>
  %bv = tile.view %bias sizes [1500] strides [1]
    : !tile.buffer<f32> -> !tile.view<1500xf32, [1]>
  %yv = tile.view %y sizes [%m, 1500] strides [1500, 1]
    : !tile.buffer<f32> -> !tile.view<?x1500xf32, [1500, 1]>
  %zero = arith.constant dense<0> : tensor<6x64xi32>
  %acc = scf.for %k = %c0 to %c388 step %c4 iter_args(%c = %zero)
      -> (tensor<6x64xi32>) {
    %group = arith.divui %k, %c4 : index
    %a = tile.load %cv[%row, %k] dims [0, 1] {in_bounds = array<i64: 1>}
      : !tile.view<?x388xi8, [388, 1]> -> tensor<6x4xi8>
    // Four codes of one column lie together: dim 3 runs along k.
    // CHECK: tile.load {{.*}} dims [3, 2]
    %b = tile.load %wv[%j, %group, %c0, %c0] dims [3, 2]
      {in_bounds = array<i64: 0, 1>}
      : !tile.view<24x97x64x4xi8, [24832, 256, 4, 1]> -> tensor<4x64xi8>
    // CHECK: tile.mma {{.*}} {unsigned_a}
    %d = tile.mma %a, %b, %c {unsigned_a}
      : tensor<6x4xi8>, tensor<4x64xi8>, tensor<6x64xi32>
    scf.yield %d : tensor<6x64xi32>
  }
  // (codes - 128) . w = acc - 128 * sums
  %sums = tile.load %wtv[%col] dims [-1, 0]
    : !tile.view<1500xi32, [1]> -> tensor<6x64xi32>
  %c128 = arith.constant dense<128> : tensor<6x64xi32>
  %shift = arith.muli %sums, %c128 : tensor<6x64xi32>
  %exact = arith.subi %acc, %shift : tensor<6x64xi32>
  %value = arith.sitofp %exact : tensor<6x64xi32> to tensor<6x64xf32>
  %sx = tile.load %sv[%row] dims [0, -1]
    : !tile.view<?xf32, [1]> -> tensor<6x64xf32>
  %sw = tile.load %wsv[%col] dims [-1, 0]
    : !tile.view<1500xf32, [1]> -> tensor<6x64xf32>
  %s = arith.mulf %sx, %sw : tensor<6x64xf32>
  %0 = arith.mulf %value, %s : tensor<6x64xf32>
  %b = tile.load %bv[%col] dims [-1, 0]
    : !tile.view<1500xf32, [1]> -> tensor<6x64xf32>
  %1 = arith.addf %0, %b : tensor<6x64xf32>
  tile.store %1, %yv[%row, %col] dims [0, 1]
    : tensor<6x64xf32>, !tile.view<?x1500xf32, [1500, 1]>
  tile.return
}
