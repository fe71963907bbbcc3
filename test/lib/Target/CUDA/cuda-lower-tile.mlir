// RUN: lathe-opt %s --cuda-lower-tile --canonicalize --cse | FileCheck %s

// Each warp of the schedule is 32 threads; buffers are pointers to global
// memory, scalars 64 bits wide.
// CHECK: llvm.mlir.global external @lathe_shared() {addr_space = 3 : i32, alignment = 1024 : i64}

// A tile of 1024: eight registers of 128 threads, four in a row. Inside of the
// view and aligned, two wide accesses; else one by one, each with a test.
// CHECK-LABEL: llvm.func @copy(
// CHECK-SAME: %[[X:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[Y:.*]]: !llvm.ptr<1> {llvm.noalias}, %{{.*}}: i64)
// CHECK-SAME: nvvm.kernel, nvvm.reqntid = array<i32: 128>
// CHECK-SAME: tile.shared_bytes = 0
// CHECK: %[[LOADED:.*]]:8 = scf.if
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK: else
// CHECK: arith.cmpi ult
// CHECK: %[[AT:.*]] = llvm.select %{{.*}}, %{{.*}}, %{{.*}} : i1, !llvm.ptr<1>
// CHECK: llvm.load %[[AT]] {alignment = 4 : i64} : !llvm.ptr<1> -> f32
// CHECK: scf.if
// CHECK-COUNT-2: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
tile.kernel @copy(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written},
                  %n: index) schedule <strategy = "test", tile = []> {
  %c1024 = arith.constant 1024 : index
  %i = tile.program_id 0
  %at = arith.muli %i, %c1024 : index
  %v = tile.view %x sizes [%n] strides [1] : !tile.buffer<f32> -> !tile.view<?xf32, [1]>
  %w = tile.view %y sizes [%n] strides [1] : !tile.buffer<f32> -> !tile.view<?xf32, [1]>
  %t = tile.load %v[%at] dims [0] : !tile.view<?xf32, [1]> -> tensor<1024xf32>
  tile.store %t, %w[%at] dims [0] : tensor<1024xf32>, !tile.view<?xf32, [1]>
  tile.return
}

// 32 columns in lanes, four rows in warps: a row's sum is five shuffles.
// CHECK-LABEL: llvm.func @rows
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK-NOT: nvvm.barrier0
// CHECK: llvm.return
tile.kernel @rows(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "test", tile = []> {
  %c0 = arith.constant 0 : index
  %v = tile.view %x sizes [4, 32] strides [32, 1] : !tile.buffer<f32> -> !tile.view<4x32xf32, [32, 1]>
  %w = tile.view %y sizes [4] strides [1] : !tile.buffer<f32> -> !tile.view<4xf32, [1]>
  %t = tile.load %v[%c0, %c0] dims [0, 1] : !tile.view<4x32xf32, [32, 1]> -> tensor<4x32xf32>
  %s = tile.reduce add %t axis 1 : tensor<4x32xf32> -> tensor<4xf32>
  tile.store %s, %w[%c0] dims [0] : tensor<4xf32>, !tile.view<4xf32, [1]>
  tile.return
}

// One row over four warps: their parts meet in shared memory.
// CHECK-LABEL: llvm.func @row
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK: llvm.store %{{.*}} : f32, !llvm.ptr<3>
// CHECK: nvvm.barrier0
// CHECK-COUNT-4: llvm.load %{{.*}} : !llvm.ptr<3> -> f32
tile.kernel @row(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "test", tile = []> {
  %c0 = arith.constant 0 : index
  %v = tile.view %x sizes [1, 128] strides [128, 1] : !tile.buffer<f32> -> !tile.view<1x128xf32, [128, 1]>
  %w = tile.view %y sizes [1] strides [1] : !tile.buffer<f32> -> !tile.view<1xf32, [1]>
  %t = tile.load %v[%c0, %c0] dims [0, 1] : !tile.view<1x128xf32, [128, 1]> -> tensor<1x128xf32>
  %s = tile.reduce max %t axis 1 : tensor<1x128xf32> -> tensor<1xf32>
  tile.store %s, %w[%c0] dims [0] : tensor<1xf32>, !tile.view<1xf32, [1]>
  tile.return
}

// Products: both operands at home, k outermost, between two barriers of each
// step; sums stay in registers, 4x4 of 16x32 threads' blocks.
// CHECK-LABEL: llvm.func @multiply
// CHECK: %{{.*}}:32 = scf.for
// CHECK: nvvm.barrier0
// CHECK: llvm.store %{{.*}}, !llvm.ptr<3>
// CHECK: nvvm.barrier0
// CHECK: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xf32>
// CHECK: math.fma
tile.kernel @multiply(%x: !tile.buffer<f32>, %w: !tile.buffer<f32>,
                      %y: !tile.buffer<f32> {tile.written}, %k: index)
    schedule <strategy = "test", tile = []> {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %xv = tile.view %x sizes [64, %k] strides [%k, 1] : !tile.buffer<f32> -> !tile.view<64x?xf32, [?, 1]>
  %wv = tile.view %w sizes [%k, 64] strides [64, 1] : !tile.buffer<f32> -> !tile.view<?x64xf32, [64, 1]>
  %yv = tile.view %y sizes [64, 64] strides [64, 1] : !tile.buffer<f32> -> !tile.view<64x64xf32, [64, 1]>
  %sum = scf.for %i = %c0 to %k step %c16 iter_args(%acc = %zero) -> (tensor<64x64xf32>) {
    %a = tile.load %xv[%c0, %i] dims [0, 1] : !tile.view<64x?xf32, [?, 1]> -> tensor<64x16xf32>
    %b = tile.load %wv[%i, %c0] dims [0, 1] : !tile.view<?x64xf32, [64, 1]> -> tensor<16x64xf32>
    %d = tile.mma %a, %b, %acc : tensor<64x16xf32>, tensor<16x64xf32>, tensor<64x64xf32>
    scf.yield %d : tensor<64x64xf32>
  }
  tile.store %sum, %yv[%c0, %c0] dims [0, 1] : tensor<64x64xf32>, !tile.view<64x64xf32, [64, 1]>
  tile.return
}

// The second store writes over the first, from other threads.
// CHECK-LABEL: llvm.func @twice
// CHECK: llvm.store %{{.*}}, !llvm.ptr<1>
// CHECK: nvvm.barrier0
// CHECK: llvm.store %{{.*}}, !llvm.ptr<1>
// CHECK: llvm.return
tile.kernel @twice(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "test", tile = []> {
  %c0 = arith.constant 0 : index
  %v = tile.view %x sizes [64] strides [1] : !tile.buffer<f32> -> !tile.view<64xf32, [1]>
  %w = tile.view %y sizes [64] strides [1] : !tile.buffer<f32> -> !tile.view<64xf32, [1]>
  %zero = arith.constant dense<0.0> : tensor<64xf32>
  %t = tile.load %v[%c0] dims [0] : !tile.view<64xf32, [1]> -> tensor<64xf32>
  tile.store %zero, %w[%c0] dims [0] : tensor<64xf32>, !tile.view<64xf32, [1]>
  tile.store %t, %w[%c0] dims [0] : tensor<64xf32>, !tile.view<64xf32, [1]>
  tile.return
}

// Offsets beyond what an access itself can hold.
// CHECK-LABEL: llvm.func @far
// CHECK: arith.constant 4160749568 : i64
// CHECK: llvm.return
tile.kernel @far(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "test", tile = [], warps = 1> {
  %c0 = arith.constant 0 : index
  %v = tile.view %x sizes [64, 64] strides [67108864, 1] : !tile.buffer<f32> -> !tile.view<64x64xf32, [67108864, 1]>
  %w = tile.view %y sizes [64, 64] strides [67108864, 1] : !tile.buffer<f32> -> !tile.view<64x64xf32, [67108864, 1]>
  %t = tile.load %v[%c0, %c0] dims [0, 1] : !tile.view<64x64xf32, [67108864, 1]> -> tensor<64x64xf32>
  tile.store %t, %w[%c0, %c0] dims [0, 1] : tensor<64x64xf32>, !tile.view<64x64xf32, [67108864, 1]>
  tile.return
}

// A grid of more than one dim is given: where the launch is another, because
// the device takes none so large, blocks number its programs along x.
// CHECK-LABEL: llvm.func @plane(
// CHECK-SAME: %[[Y:.*]]: !llvm.ptr<1> {llvm.noalias}, %[[GX:.*]]: i64, %[[GY:.*]]: i64, %[[GZ:.*]]: i64)
// CHECK-SAME: tile.grid = "given"
// CHECK-DAG: %[[X:.*]] = nvvm.read.ptx.sreg.ctaid.x
// CHECK-DAG: %[[WIDTH:.*]] = arith.trunci %[[GX]] : i64 to i32
// CHECK-DAG: %[[HEIGHT:.*]] = arith.trunci %[[GY]] : i64 to i32
// CHECK-DAG: %[[LAUNCHED:.*]] = nvvm.read.ptx.sreg.nctaid.y
// CHECK: arith.cmpi ne, %[[LAUNCHED]], %[[HEIGHT]]
// CHECK: scf.if
// CHECK: arith.divui %[[X]], %[[WIDTH]]
// CHECK: arith.remui %[[X]], %[[WIDTH]]
// CHECK: else
// CHECK: nvvm.read.ptx.sreg.ctaid.y
tile.kernel @plane(%y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "test", tile = []> {
  %c128 = arith.constant 128 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %at = arith.muli %i, %c128 : index
  %v = arith.constant dense<1.0> : tensor<1x128xf32>
  %w = tile.view %y sizes [8, 512] strides [512, 1] : !tile.buffer<f32> -> !tile.view<8x512xf32, [512, 1]>
  tile.store %v, %w[%j, %at] dims [0, 1] : tensor<1x128xf32>, !tile.view<8x512xf32, [512, 1]>
  tile.return
}
