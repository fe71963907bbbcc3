// RUN: lathe-opt %s --cuda-lower-tile=level=sm_90a --canonicalize --cse -verify-diagnostics | FileCheck %s

// Two programs of one warpgroup take turns, a third warpgroup loads. Both
// operands and the result are tensors of the copy engine; x lies along k, w
// along its columns.
// CHECK-LABEL: llvm.func @product(
// CHECK-SAME: nvvm.grid_constant
// CHECK-SAME: nvvm.reqntid = array<i32: 384>
// CHECK-SAME: tile.grid = "persistent"
// CHECK-SAME: {box = array<i64: 64, 128>, buffer = 0 : i64, element = f16, offset = array<i64: 0, -1>, sizes = array<i64: 256, -1, 1, 0>, strides = array<i64: 256, -1>, swizzle = 128 : i64}
// CHECK-SAME: {box = array<i64: 64, 64>, buffer = 1 : i64,
// CHECK-SAME: {box = array<i64: 64, 64>, buffer = 2 : i64,
// CHECK-COUNT-12: nvvm.mbarrier.init
// The loader: one box of x, two of w.
// CHECK: nvvm.setmaxregister decrease
// CHECK: nvvm.elect.sync
// CHECK: nvvm.mbarrier.try_wait.parity
// CHECK: mbarrier.arrive.expect_tx.shared::cta.b64
// CHECK-COUNT-3: nvvm.cp.async.bulk.tensor.shared.cluster.global
// The first step of k, of four products for each of two blocks of rows, adds to
// nothing; others wait for those before.
// CHECK: nvvm.setmaxregister increase
// CHECK: nvvm.barrier id
// CHECK: nvvm.wgmma.fence.aligned
// CHECK-COUNT-2: wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {{.*}}, 0, 1, 1, 0, 1;
// CHECK-COUNT-6: wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {{.*}}, 1, 1, 1, 0, 1;
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: scf.for
// CHECK: wgmma.wait_group.sync.aligned 1;
// CHECK: nvvm.barrier.arrive
// CHECK: wgmma.wait_group.sync.aligned 0;
// The epilogue is on the sums' registers; four boxes of the result.
// CHECK: arith.maximumf
// CHECK: nvvm.stmatrix
// CHECK: nvvm.fence.proxy
// CHECK-COUNT-4: nvvm.cp.async.bulk.tensor.global.shared.cta
// CHECK: nvvm.cp.async.bulk.wait_group 0
tile.kernel @product(%x: !tile.buffer<f16>, %w: !tile.buffer<f16>,
                     %y: !tile.buffer<f16> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [128, 128, 0, 64], stages = 6> {
  %zero = arith.constant dense<0.0> : tensor<128x128xf32>
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %xv = tile.view %x sizes [%m, 256] strides [256, 1] : !tile.buffer<f16> -> !tile.view<?x256xf16, [256, 1]>
  %wv = tile.view %w sizes [256, 512] strides [512, 1] : !tile.buffer<f16> -> !tile.view<256x512xf16, [512, 1]>
  %yv = tile.view %y sizes [%m, 512] strides [512, 1] : !tile.buffer<f16> -> !tile.view<?x512xf16, [512, 1]>
  %row = arith.muli %i, %c128 : index
  %column = arith.muli %j, %c128 : index
  %sums = scf.for %k = %c0 to %c256 step %c64 iter_args(%c = %zero) -> (tensor<128x128xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] : !tile.view<?x256xf16, [256, 1]> -> tensor<128x64xf16>
    %b = tile.load %wv[%k, %column] dims [0, 1] : !tile.view<256x512xf16, [512, 1]> -> tensor<64x128xf16>
    %d = tile.mma %a, %b, %c : tensor<128x64xf16>, tensor<64x128xf16>, tensor<128x128xf32>
    scf.yield %d : tensor<128x128xf32>
  }
  %r = arith.maximumf %sums, %zero : tensor<128x128xf32>
  %n = arith.truncf %r : tensor<128x128xf32> to tensor<128x128xf16>
  tile.store %n, %yv[%row, %column] dims [0, 1] : tensor<128x128xf16>, !tile.view<?x512xf16, [512, 1]>
  tile.return
}

// A tensor that the epilogue adds comes to the buffers of the store ahead of the
// products, four boxes for each of two programs, whose barriers are the last
// two; what is stored takes its place.
// CHECK-LABEL: llvm.func @residual(
// CHECK-SAME: {box = array<i64: 64, 64>, buffer = 3 : i64,
// CHECK-SAME: {box = array<i64: 64, 64>, buffer = 2 : i64,
// CHECK-COUNT-12: nvvm.mbarrier.init
// CHECK-NOT: nvvm.mbarrier.init
// CHECK: nvvm.setmaxregister increase
// CHECK: nvvm.cp.async.bulk.wait_group 0 {read}
// CHECK: mbarrier.arrive.expect_tx.shared::cta.b64
// CHECK-COUNT-4: nvvm.cp.async.bulk.tensor.shared.cluster.global
// CHECK: wgmma.mma_async
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: nvvm.mbarrier.try_wait.parity
// CHECK-NOT: nvvm.cp.async.bulk.wait_group
// CHECK-COUNT-2: llvm.load {{.*}} !llvm.ptr<3> -> vector<2xf16>
// CHECK: nvvm.stmatrix
// CHECK-COUNT-4: nvvm.cp.async.bulk.tensor.global.shared.cta
tile.kernel @residual(%x: !tile.buffer<f16>, %w: !tile.buffer<f16>,
                      %r: !tile.buffer<f16>,
                      %y: !tile.buffer<f16> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [128, 128, 0, 64], stages = 6> {
  %zero = arith.constant dense<0.0> : tensor<128x128xf32>
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %xv = tile.view %x sizes [%m, 256] strides [256, 1] : !tile.buffer<f16> -> !tile.view<?x256xf16, [256, 1]>
  %wv = tile.view %w sizes [256, 512] strides [512, 1] : !tile.buffer<f16> -> !tile.view<256x512xf16, [512, 1]>
  %rv = tile.view %r sizes [%m, 512] strides [512, 1] : !tile.buffer<f16> -> !tile.view<?x512xf16, [512, 1]>
  %yv = tile.view %y sizes [%m, 512] strides [512, 1] : !tile.buffer<f16> -> !tile.view<?x512xf16, [512, 1]>
  %row = arith.muli %i, %c128 : index
  %column = arith.muli %j, %c128 : index
  %sums = scf.for %k = %c0 to %c256 step %c64 iter_args(%c = %zero) -> (tensor<128x128xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] : !tile.view<?x256xf16, [256, 1]> -> tensor<128x64xf16>
    %b = tile.load %wv[%k, %column] dims [0, 1] : !tile.view<256x512xf16, [512, 1]> -> tensor<64x128xf16>
    %d = tile.mma %a, %b, %c : tensor<128x64xf16>, tensor<64x128xf16>, tensor<128x128xf32>
    scf.yield %d : tensor<128x128xf32>
  }
  %n = tile.load %rv[%row, %column] dims [0, 1] : !tile.view<?x512xf16, [512, 1]> -> tensor<128x128xf16>
  %e = arith.extf %n : tensor<128x128xf16> to tensor<128x128xf32>
  %s = arith.addf %sums, %e : tensor<128x128xf32>
  %o = arith.truncf %s : tensor<128x128xf32> to tensor<128x128xf16>
  tile.store %o, %yv[%row, %column] dims [0, 1] : tensor<128x128xf16>, !tile.view<?x512xf16, [512, 1]>
  tile.return
}

// Rows of an odd length are no tensor of the copy engine. The number of steps
// comes from the launch.
// CHECK-LABEL: llvm.func @odd(
// CHECK-SAME: nvvm.reqntid = array<i32: 128>
// CHECK-NOT: wgmma
// CHECK-LABEL: llvm.func @even(
// CHECK-SAME: nvvm.reqntid = array<i32: 384>
// CHECK: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {{.*}}, 1, 1, 1, 0, 0;
// expected-remark @below {{'odd' multiplies without warpgroups, slower: a stride of a tensor is not known to be a multiple of 16 bytes}}
tile.kernel @odd(%x: !tile.buffer<bf16>, %w: !tile.buffer<bf16>,
                 %y: !tile.buffer<f32> {tile.written}, %m: index, %k: index)
    schedule <strategy = "contract", tile = [64, 64, 0, 64], stages = 4> {
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %i = tile.program_id 0
  %xv = tile.view %x sizes [%m, %k] strides [%k, 1] : !tile.buffer<bf16> -> !tile.view<?x?xbf16, [?, 1]>
  %wv = tile.view %w sizes [64, %k] strides [%k, 1] : !tile.buffer<bf16> -> !tile.view<64x?xbf16, [?, 1]>
  %yv = tile.view %y sizes [%m, 64] strides [64, 1] : !tile.buffer<f32> -> !tile.view<?x64xf32, [64, 1]>
  %row = arith.muli %i, %c64 : index
  %sums = scf.for %at = %c0 to %k step %c64 iter_args(%c = %zero) -> (tensor<64x64xf32>) {
    %a = tile.load %xv[%row, %at] dims [0, 1] : !tile.view<?x?xbf16, [?, 1]> -> tensor<64x64xbf16>
    %b = tile.load %wv[%c0, %at] dims [1, 0] : !tile.view<64x?xbf16, [?, 1]> -> tensor<64x64xbf16>
    %d = tile.mma %a, %b, %c : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
    scf.yield %d : tensor<64x64xf32>
  }
  tile.store %sums, %yv[%row, %c0] dims [0, 1] : tensor<64x64xf32>, !tile.view<?x64xf32, [64, 1]>
  tile.return
}
tile.kernel @even(%x: !tile.buffer<bf16>, %w: !tile.buffer<bf16>,
                  %y: !tile.buffer<f32> {tile.written}, %m: index,
                  %k: index {tile.multiple_of = 8 : i64})
    schedule <strategy = "contract", tile = [64, 64, 0, 64], stages = 4> {
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %i = tile.program_id 0
  %xv = tile.view %x sizes [%m, %k] strides [%k, 1] : !tile.buffer<bf16> -> !tile.view<?x?xbf16, [?, 1]>
  %wv = tile.view %w sizes [64, %k] strides [%k, 1] : !tile.buffer<bf16> -> !tile.view<64x?xbf16, [?, 1]>
  %yv = tile.view %y sizes [%m, 64] strides [64, 1] : !tile.buffer<f32> -> !tile.view<?x64xf32, [64, 1]>
  %row = arith.muli %i, %c64 : index
  %sums = scf.for %at = %c0 to %k step %c64 iter_args(%c = %zero) -> (tensor<64x64xf32>) {
    %a = tile.load %xv[%row, %at] dims [0, 1] : !tile.view<?x?xbf16, [?, 1]> -> tensor<64x64xbf16>
    %b = tile.load %wv[%c0, %at] dims [1, 0] : !tile.view<64x?xbf16, [?, 1]> -> tensor<64x64xbf16>
    %d = tile.mma %a, %b, %c : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
    scf.yield %d : tensor<64x64xf32>
  }
  tile.store %sums, %yv[%row, %c0] dims [0, 1] : tensor<64x64xf32>, !tile.view<?x64xf32, [64, 1]>
  tile.return
}

// Sums along the rows stand in shared memory, 128 KiB: of four stages of 48 KiB
// two are left.
// CHECK-LABEL: llvm.func @kept(
// CHECK-COUNT-4: nvvm.mbarrier.init
// CHECK-NOT: nvvm.mbarrier.init
// CHECK: wgmma.mma_async.sync.aligned.m64n256k16
tile.kernel @kept(%x: !tile.buffer<f16>, %w: !tile.buffer<f16>,
                  %y: !tile.buffer<f32> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [128, 256, 0, 64], stages = 4, warps = 8> {
  %zero = arith.constant dense<0.0> : tensor<128x256xf32>
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %i = tile.program_id 0
  %xv = tile.view %x sizes [%m, 256] strides [256, 1] : !tile.buffer<f16> -> !tile.view<?x256xf16, [256, 1]>
  %wv = tile.view %w sizes [256, 256] strides [256, 1] : !tile.buffer<f16> -> !tile.view<256x256xf16, [256, 1]>
  %yv = tile.view %y sizes [%m, 256] strides [256, 1] : !tile.buffer<f32> -> !tile.view<?x256xf32, [256, 1]>
  %row = arith.muli %i, %c128 : index
  %sums = scf.for %k = %c0 to %c256 step %c64 iter_args(%c = %zero) -> (tensor<128x256xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] : !tile.view<?x256xf16, [256, 1]> -> tensor<128x64xf16>
    %b = tile.load %wv[%k, %c0] dims [0, 1] : !tile.view<256x256xf16, [256, 1]> -> tensor<64x256xf16>
    %d = tile.mma %a, %b, %c : tensor<128x64xf16>, tensor<64x256xf16>, tensor<128x256xf32>
    scf.yield %d : tensor<128x256xf32>
  }
  %s = tile.scan add %sums axis 1 : tensor<128x256xf32>
  tile.store %s, %yv[%row, %c0] dims [0, 1] : tensor<128x256xf32>, !tile.view<?x256xf32, [256, 1]>
  tile.return
}

// Two blocks of rows beside each other: each loads half of the lines of w for
// both, and frees stages of both. Neither ends before the other.
// CHECK-LABEL: llvm.func @pair(
// CHECK-SAME: nvvm.cluster_dim = array<i32: 2, 1, 1>
// CHECK-SAME: {box = array<i64: 64, 128>, buffer = 0 : i64,
// CHECK-SAME: {box = array<i64: 64, 64>, buffer = 1 : i64,
// CHECK: nvvm.cluster.arrive
// CHECK: nvvm.cluster.wait
// CHECK: nvvm.setmaxregister decrease
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global
// CHECK-NOT: multicast_mask
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global {{.*}} multicast_mask
// CHECK: nvvm.setmaxregister increase
// CHECK: mapa.shared::cluster.u32{{.*}} mbarrier.arrive.shared::cluster.b64
// CHECK: nvvm.cluster.arrive
// CHECK: nvvm.cluster.wait
// CHECK-NEXT: llvm.return
tile.kernel @pair(%x: !tile.buffer<bf16>, %w: !tile.buffer<bf16>,
                  %y: !tile.buffer<bf16> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [128, 128, 0, 64], stages = 6, cluster = 2> {
  %zero = arith.constant dense<0.0> : tensor<128x128xf32>
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %xv = tile.view %x sizes [%m, 256] strides [256, 1] : !tile.buffer<bf16> -> !tile.view<?x256xbf16, [256, 1]>
  %wv = tile.view %w sizes [512, 256] strides [256, 1] : !tile.buffer<bf16> -> !tile.view<512x256xbf16, [256, 1]>
  %yv = tile.view %y sizes [%m, 512] strides [512, 1] : !tile.buffer<bf16> -> !tile.view<?x512xbf16, [512, 1]>
  %row = arith.muli %i, %c128 : index
  %column = arith.muli %j, %c128 : index
  %sums = scf.for %k = %c0 to %c256 step %c64 iter_args(%c = %zero) -> (tensor<128x128xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] : !tile.view<?x256xbf16, [256, 1]> -> tensor<128x64xbf16>
    %b = tile.load %wv[%column, %k] dims [1, 0] : !tile.view<512x256xbf16, [256, 1]> -> tensor<64x128xbf16>
    %d = tile.mma %a, %b, %c : tensor<128x64xbf16>, tensor<64x128xbf16>, tensor<128x128xf32>
    scf.yield %d : tensor<128x128xf32>
  }
  %n = arith.truncf %sums : tensor<128x128xf32> to tensor<128x128xbf16>
  tile.store %n, %yv[%row, %column] dims [0, 1] : tensor<128x128xbf16>, !tile.view<?x512xbf16, [512, 1]>
  tile.return
}

// Floats of 8 bits: 128 steps of k a stage, 32 a product, both along k.
// CHECK-LABEL: llvm.func @bytes(
// CHECK-SAME: {box = array<i64: 128, 64>, buffer = 0 : i64, element = f8E4M3FN,
// CHECK-SAME: {box = array<i64: 128, 128>, buffer = 1 : i64, element = f8E4M3FN,
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {{.*}}, 1, 1;
tile.kernel @bytes(%x: !tile.buffer<f8E4M3FN>, %w: !tile.buffer<f8E4M3FN>,
                   %y: !tile.buffer<f32> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [64, 128, 0, 128], stages = 6> {
  %zero = arith.constant dense<0.0> : tensor<64x128xf32>
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %i = tile.program_id 0
  %xv = tile.view %x sizes [%m, 256] strides [256, 1] : !tile.buffer<f8E4M3FN> -> !tile.view<?x256xf8E4M3FN, [256, 1]>
  %wv = tile.view %w sizes [128, 256] strides [256, 1] : !tile.buffer<f8E4M3FN> -> !tile.view<128x256xf8E4M3FN, [256, 1]>
  %yv = tile.view %y sizes [%m, 128] strides [128, 1] : !tile.buffer<f32> -> !tile.view<?x128xf32, [128, 1]>
  %row = arith.muli %i, %c64 : index
  %sums = scf.for %k = %c0 to %c256 step %c128 iter_args(%c = %zero) -> (tensor<64x128xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] : !tile.view<?x256xf8E4M3FN, [256, 1]> -> tensor<64x128xf8E4M3FN>
    %b = tile.load %wv[%c0, %k] dims [1, 0] : !tile.view<128x256xf8E4M3FN, [256, 1]> -> tensor<128x128xf8E4M3FN>
    %d = tile.mma %a, %b, %c : tensor<64x128xf8E4M3FN>, tensor<128x128xf8E4M3FN>, tensor<64x128xf32>
    scf.yield %d : tensor<64x128xf32>
  }
  tile.store %sums, %yv[%row, %c0] dims [0, 1] : tensor<64x128xf32>, !tile.view<?x128xf32, [128, 1]>
  tile.return
}
