// RUN: lathe-opt %s | lathe-opt | FileCheck %s

// One matmul micro-tile per program: A as it lies, B packed in 64-wide panels.

// CHECK-LABEL: tile.kernel @linear
// CHECK-SAME: schedule <strategy = "contract", tile = [6, 64]>
tile.kernel @linear(%x: !tile.buffer<f32>, %w: !tile.buffer<f32>,
                    %y: !tile.buffer<f32> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [6, 64]> {
  // CHECK: tile.program_id 0
  %i = tile.program_id 0
  %j = tile.program_id 1
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %c64 = arith.constant 64 : index
  %c384 = arith.constant 384 : index
  %f0 = arith.constant 0.0 : f32
  %row = arith.muli %i, %c6 : index
  %col = arith.muli %j, %c64 : index
  // CHECK: tile.view %{{.*}} sizes [%{{.*}}, 384] strides [384, 1]
  // CHECK-SAME: -> <?x384xf32, [384, 1]>
  %xv = tile.view %x sizes [%m, 384] strides [384, 1]
    : !tile.buffer<f32> -> !tile.view<?x384xf32, [384, 1]>
  %wv = tile.view %w sizes [24, 384, 64] strides [24576, 64, 1]
    : !tile.buffer<f32> -> !tile.view<24x384x64xf32, [24576, 64, 1]>
  %yv = tile.view %y offset %c0 sizes [%m, 1536] strides [%m, 1]
    : !tile.buffer<f32> -> !tile.view<?x1536xf32, [?, 1]>
  // CHECK: tile.splat
  %zero = tile.splat %f0 : f32 -> tensor<6x64xf32>
  %acc = scf.for %k = %c0 to %c384 step %c1 iter_args(%c = %zero)
      -> (tensor<6x64xf32>) {
    // CHECK: tile.load %{{.*}}[%{{.*}}, %{{.*}}] dims [0, 1]
    %a = tile.load %xv[%row, %k] dims [0, 1]
      : !tile.view<?x384xf32, [384, 1]> -> tensor<6x1xf32>
    %b = tile.load %wv[%j, %k, %c0] dims [1, 2] {in_bounds = array<i64: 0, 1>}
      : !tile.view<24x384x64xf32, [24576, 64, 1]> -> tensor<1x64xf32>
    // CHECK: tile.mma
    %d = tile.mma %a, %b, %c
      : tensor<6x1xf32>, tensor<1x64xf32>, tensor<6x64xf32>
    scf.yield %d : tensor<6x64xf32>
  }
  // CHECK: tile.store
  tile.store %acc, %yv[%row, %col] dims [0, 1]
    : tensor<6x64xf32>, !tile.view<?x1536xf32, [?, 1]>
  tile.return
}

// CHECK-LABEL: tile.kernel @others
tile.kernel @others(%x: !tile.buffer<f32>, %ids: !tile.buffer<i64>)
    schedule <strategy = "reduce"> {
  %c0 = arith.constant 0 : index
  %xv = tile.view %x sizes [8, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<8x64xf32, [64, 1]>
  %iv = tile.view %ids sizes [8] strides [1]
    : !tile.buffer<i64> -> !tile.view<8xi64, [1]>
  // CHECK: tile.load_scalar
  %id = tile.load_scalar %iv[%c0] : !tile.view<8xi64, [1]> -> i64
  // CHECK: tile.iota 0 : tensor<4xindex>
  %rows = tile.iota 0 : tensor<4xindex>
  // CHECK: tile.concat %{{.*}}, %{{.*}} axis 0 : tensor<4xindex>, tensor<4xindex> -> tensor<8xindex>
  %both = tile.concat %rows, %rows axis 0
    : tensor<4xindex>, tensor<4xindex> -> tensor<8xindex>
  // CHECK: gather %{{.*}} : tensor<4xindex> at 0 pad 1.000000e+00 : f32
  %g = tile.load %xv[%c0, %c0] dims [0, 1] gather %rows : tensor<4xindex> at 0
    pad 1.0 : f32 : !tile.view<8x64xf32, [64, 1]> -> tensor<4x64xf32>
  // CHECK: tile.reduce max %{{.*}} axis 1 : tensor<4x64xf32> -> tensor<4xf32>
  %m = tile.reduce max %g axis 1 : tensor<4x64xf32> -> tensor<4xf32>
  // CHECK: tile.scan add
  %s = tile.scan add %g axis 1 : tensor<4x64xf32>
  // CHECK: tile.broadcast %{{.*}} dims [0]
  %b = tile.broadcast %m dims [0] : tensor<4xf32> -> tensor<4x64xf32>
  // CHECK: tile.transpose %{{.*}} [1, 0]
  %t = tile.transpose %b [1, 0] : tensor<4x64xf32> -> tensor<64x4xf32>
  tile.return
}
