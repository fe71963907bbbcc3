// RUN: lathe-opt %s | lathe-opt | FileCheck %s

// Dynamic int8, as the contract strategy emits it: one kernel quantizes the
// rows of the input in groups of 128, to u8 codes with a f32 scale and offset
// each; the other multiplies codes in i32, group by group, and adds up in f32.

// K = 258 here: two groups and a short one, of which the last step of four
// holds two real codes; the weight's codes are zero there, so what lies in the
// padding has no effect.

// CHECK-LABEL: tile.kernel @quantize_rows
tile.kernel @quantize_rows(
    %x: !tile.buffer<f32>, %codes: !tile.buffer<i8> {tile.written},
    %scales: !tile.buffer<f32> {tile.written},
    %offsets: !tile.buffer<f32> {tile.written},
    %m: index) schedule <strategy = "contract", tile = [1, 128]> {
  %row = tile.program_id 0
  %c0 = arith.constant 0 : index
  %c128 = arith.constant 128 : index
  %c258 = arith.constant 258 : index
  %xv = tile.view %x sizes [%m, 258] strides [258, 1]
    : !tile.buffer<f32> -> !tile.view<?x258xf32, [258, 1]>
  %cv = tile.view %codes sizes [%m, 260] strides [260, 1]
    : !tile.buffer<i8> -> !tile.view<?x260xi8, [260, 1]>
  %sv = tile.view %scales sizes [%m, 3] strides [3, 1]
    : !tile.buffer<f32> -> !tile.view<?x3xf32, [3, 1]>
  %ov = tile.view %offsets sizes [%m, 3] strides [3, 1]
    : !tile.buffer<f32> -> !tile.view<?x3xf32, [3, 1]>
  %step = arith.constant dense<3.92156871e-03> : tensor<1xf32>
  %steps = arith.constant dense<255.0> : tensor<1xf32>
  %none = arith.constant dense<0.0> : tensor<1xf32>
  %tiny = arith.constant dense<1.0e-36> : tensor<1xf32>
  scf.for %k = %c0 to %c258 step %c128 {
    %t = tile.load %xv[%row, %k] dims [0, 1]
      : !tile.view<?x258xf32, [258, 1]> -> tensor<1x128xf32>
    // CHECK: tile.reduce min
    %low = tile.reduce min %t axis 1 : tensor<1x128xf32> -> tensor<1xf32>
    %high = tile.reduce max %t axis 1 : tensor<1x128xf32> -> tensor<1xf32>
    %range = arith.subf %high, %low : tensor<1xf32>
    %scale = arith.mulf %range, %step : tensor<1xf32>
    %flat = arith.cmpf olt, %range, %tiny : tensor<1xf32>
    %ratio = arith.divf %steps, %range : tensor<1xf32>
    %inverse = arith.select %flat, %none, %ratio : tensor<1xi1>, tensor<1xf32>
    %g = arith.divui %k, %c128 : index
    tile.store %scale, %sv[%row, %g] dims [0]
      : tensor<1xf32>, !tile.view<?x3xf32, [3, 1]>
    tile.store %low, %ov[%row, %g] dims [0]
      : tensor<1xf32>, !tile.view<?x3xf32, [3, 1]>
    %offset = tile.broadcast %low dims [0] : tensor<1xf32> -> tensor<1x128xf32>
    %factor = tile.broadcast %inverse dims [0]
      : tensor<1xf32> -> tensor<1x128xf32>
    %d = arith.subf %t, %offset : tensor<1x128xf32>
    %s = arith.mulf %d, %factor : tensor<1x128xf32>
    %r = math.roundeven %s : tensor<1x128xf32>
    %i = arith.fptosi %r : tensor<1x128xf32> to tensor<1x128xi32>
    %b = arith.trunci %i : tensor<1x128xi32> to tensor<1x128xi8>
    tile.store %b, %cv[%row, %k] dims [0, 1]
      : tensor<1x128xi8>, !tile.view<?x260xi8, [260, 1]>
  }
  tile.return
}

// CHECK-LABEL: tile.kernel @linear_int8
tile.kernel @linear_int8(
    %codes: !tile.buffer<i8>, %w: !tile.buffer<i8>,
    %scales: !tile.buffer<f32>, %wscales: !tile.buffer<f32>,
    %offsets: !tile.buffer<f32>, %wsums: !tile.buffer<f32>,
    %bias: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written},
    %m: index) schedule <strategy = "contract", tile = [6, 64, 1]> {
  %i = tile.program_id 0
  %j = tile.program_id 1
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c6 = arith.constant 6 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %row = arith.muli %i, %c6 : index
  %col = arith.muli %j, %c64 : index
  %cv = tile.view %codes sizes [%m, 260] strides [260, 1]
    : !tile.buffer<i8> -> !tile.view<?x260xi8, [260, 1]>
  %wv = tile.view %w sizes [24, 65, 64, 4] strides [16640, 256, 4, 1]
    : !tile.buffer<i8> -> !tile.view<24x65x64x4xi8, [16640, 256, 4, 1]>
  %sv = tile.view %scales sizes [%m, 3] strides [3, 1]
    : !tile.buffer<f32> -> !tile.view<?x3xf32, [3, 1]>
  %ov = tile.view %offsets sizes [%m, 3] strides [3, 1]
    : !tile.buffer<f32> -> !tile.view<?x3xf32, [3, 1]>
  %wsv = tile.view %wscales sizes [3, 1500] strides [1500, 1]
    : !tile.buffer<f32> -> !tile.view<3x1500xf32, [1500, 1]>
  %wtv = tile.view %wsums sizes [3, 1500] strides [1500, 1]
    : !tile.buffer<f32> -> !tile.view<3x1500xf32, [1500, 1]>
  %bv = tile.view %bias sizes [1500] strides [1]
    : !tile.buffer<f32> -> !tile.view<1500xf32, [1]>
  %yv = tile.view %y sizes [%m, 1500] strides [1500, 1]
    : !tile.buffer<f32> -> !tile.view<?x1500xf32, [1500, 1]>
  %none = arith.constant dense<0> : tensor<6x64xi32>
  %zero = arith.constant dense<0.0> : tensor<6x64xf32>
  // Whole groups; the short one comes after them in the same form.
  %sum = scf.for %first = %c0 to %c256 step %c128 iter_args(%total = %zero)
      -> (tensor<6x64xf32>) {
    %dot = scf.for %o = %c0 to %c128 step %c4 iter_args(%c = %none)
        -> (tensor<6x64xi32>) {
      %k = arith.addi %first, %o : index
      %group = arith.divui %k, %c4 : index
      %a = tile.load %cv[%row, %k] dims [0, 1] {in_bounds = array<i64: 1>}
        : !tile.view<?x260xi8, [260, 1]> -> tensor<6x4xi8>
      // Four codes of one column lie together: dim 3 runs along k.
      // CHECK: tile.load {{.*}} dims [3, 2]
      %b = tile.load %wv[%j, %group, %c0, %c0] dims [3, 2]
        {in_bounds = array<i64: 0, 1>}
        : !tile.view<24x65x64x4xi8, [16640, 256, 4, 1]> -> tensor<4x64xi8>
      // CHECK: tile.mma {{.*}} {unsigned_a}
      %d = tile.mma %a, %b, %c {unsigned_a}
        : tensor<6x4xi8>, tensor<4x64xi8>, tensor<6x64xi32>
      scf.yield %d : tensor<6x64xi32>
    }
    %g = arith.divui %first, %c128 : index
    %value = arith.sitofp %dot : tensor<6x64xi32> to tensor<6x64xf32>
    %sx = tile.load %sv[%row, %g] dims [0, -1]
      : !tile.view<?x3xf32, [3, 1]> -> tensor<6x64xf32>
    %sw = tile.load %wsv[%g, %col] dims [-1, 1]
      : !tile.view<3x1500xf32, [1500, 1]> -> tensor<6x64xf32>
    %ox = tile.load %ov[%row, %g] dims [0, -1]
      : !tile.view<?x3xf32, [3, 1]> -> tensor<6x64xf32>
    %tw = tile.load %wtv[%g, %col] dims [-1, 1]
      : !tile.view<3x1500xf32, [1500, 1]> -> tensor<6x64xf32>
    %0 = arith.mulf %value, %sx : tensor<6x64xf32>
    %1 = arith.mulf %0, %sw : tensor<6x64xf32>
    %2 = arith.mulf %ox, %tw : tensor<6x64xf32>
    %3 = arith.addf %total, %1 : tensor<6x64xf32>
    %4 = arith.addf %3, %2 : tensor<6x64xf32>
    scf.yield %4 : tensor<6x64xf32>
  }
  %b = tile.load %bv[%col] dims [-1, 0]
    : !tile.view<1500xf32, [1]> -> tensor<6x64xf32>
  %y0 = arith.addf %sum, %b : tensor<6x64xf32>
  tile.store %y0, %yv[%row, %col] dims [0, 1]
    : tensor<6x64xf32>, !tile.view<?x1500xf32, [1500, 1]>
  tile.return
}
