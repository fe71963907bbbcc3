// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --cuda-lower-tile=level=sm_90a --canonicalize --cse -verify-diagnostics | FileCheck %s

// Four blocks share k: each multiplies its part for the columns of all of them,
// in boxes of 128 columns, which are the rows of two warpgroups' products, and
// sends each block the sums of 32 columns.
// CHECK-LABEL: llvm.func @flat(
// CHECK-SAME: nvvm.cluster_dim = array<i32: 4, 1, 1>
// CHECK-SAME: nvvm.reqntid = array<i32: 384>
// CHECK-SAME: tile.grid = "persistent"
// CHECK-SAME: {box = array<i64: 64, 16>, buffer = 0 : i64,
// CHECK-SAME: {box = array<i64: 64, 64>, buffer = 1 : i64,
// CHECK: nvvm.cluster.arrive
// CHECK: nvvm.cluster.wait
// The loader: two boxes of w, one of x.
// CHECK-COUNT-3: nvvm.cp.async.bulk.tensor.shared.cluster.global
// CHECK-NOT: nvvm.cp.async.bulk.tensor
// The first product of a share adds to nothing.
// CHECK: wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {{.*}}, 0, 1, 1, 1, 0;
// CHECK-COUNT-7: wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {{.*}}, 1, 1, 1, 1, 0;
// CHECK-NOT: wgmma.mma_async
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: mbarrier.arrive.expect_tx.shared::cta.b64
// CHECK-COUNT-8: st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32
// CHECK-NOT: st.async
// What came is added in the order of the blocks; then the epilogue, where the
// block has a program: the last cluster may have fewer.
// CHECK: nvvm.mbarrier.try_wait.parity
// CHECK-COUNT-3: arith.addf
// CHECK: %[[EXISTS:.*]] = arith.cmpi ult
// CHECK: scf.if %[[EXISTS]]
// CHECK: arith.maximumf
// CHECK: llvm.store
// CHECK: nvvm.cluster.arrive
// CHECK: nvvm.cluster.wait
// CHECK: llvm.return
tile.kernel @flat(%x: !tile.buffer<f16>, %w: !tile.buffer<f16>,
                  %y: !tile.buffer<f16> {tile.written}, %m: index)
    schedule <strategy = "flat", tile = [16, 32, 0, 64], stages = 8, warps = 8, cluster = 4> {
  %zero = arith.constant dense<0.0> : tensor<16x32xf32>
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c1024 = arith.constant 1024 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %xv = tile.view %x sizes [%m, 1024] strides [1024, 1] : !tile.buffer<f16> -> !tile.view<?x1024xf16, [1024, 1]>
  %wv = tile.view %w sizes [1024, 512] strides [512, 1] : !tile.buffer<f16> -> !tile.view<1024x512xf16, [512, 1]>
  %yv = tile.view %y sizes [%m, 512] strides [512, 1] : !tile.buffer<f16> -> !tile.view<?x512xf16, [512, 1]>
  %row = arith.muli %i, %c16 : index
  %column = arith.muli %j, %c32 : index
  %sums = scf.for %k = %c0 to %c1024 step %c64 iter_args(%c = %zero) -> (tensor<16x32xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] : !tile.view<?x1024xf16, [1024, 1]> -> tensor<16x64xf16>
    %b = tile.load %wv[%k, %column] dims [0, 1] : !tile.view<1024x512xf16, [512, 1]> -> tensor<64x32xf16>
    %d = tile.mma %a, %b, %c : tensor<16x64xf16>, tensor<64x32xf16>, tensor<16x32xf32>
    scf.yield %d : tensor<16x32xf32>
  }
  %r = arith.maximumf %sums, %zero : tensor<16x32xf32>
  %n = arith.truncf %r : tensor<16x32xf32> to tensor<16x32xf16>
  tile.store %n, %yv[%row, %column] dims [0, 1] : tensor<16x32xf16>, !tile.view<?x512xf16, [512, 1]>
  tile.return
}

// Codes of four bits, two parts of 64 k in a byte, in panels of 256 columns
// along k, and a scale for each column and 128 k: both are copied, decoded two
// at a time in the layout of the products' operand in registers.
// CHECK-LABEL: llvm.func @decoded(
// CHECK-SAME: nvvm.cluster_dim = array<i32: 2, 1, 1>
// CHECK-SAME: {box = array<i64: 64, 8>, buffer = 0 : i64,
// CHECK-SAME: {box = array<i64: 64, 128, 1, 1>, buffer = 1 : i64, element = i8,
// CHECK-SAME: swizzle = 64
// CHECK-SAME: {box = array<i64: 128, 1, 1>, buffer = 2 : i64, element = bf16,
// CHECK-COUNT-4: nvvm.cp.async.bulk.tensor.shared.cluster.global
// CHECK: prmt.b32
// CHECK: lop3.b32
// CHECK: sub.rn.bf16x2
// CHECK: mul.rn.bf16x2
// CHECK: wgmma.fence.sync.aligned
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {{.*}}, 1, 1, 1, 0;
// CHECK: wgmma.wait_group.sync.aligned 0;
tile.kernel @decoded(%x: !tile.buffer<bf16>, %w: !tile.buffer<i8>,
                     %s: !tile.buffer<bf16>,
                     %y: !tile.buffer<f32> {tile.written}, %m: index)
    schedule <strategy = "flat", tile = [8, 64, 0, 128], stages = 8, warps = 8, cluster = 2> {
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  %four = arith.constant dense<4> : tensor<64x64xi8>
  %mask = arith.constant dense<15> : tensor<64x64xi8>
  %middle = arith.constant dense<8.0> : tensor<64x64xf32>
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c1024 = arith.constant 1024 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %panel = arith.divui %j, %c4 : index
  %part = arith.remui %j, %c4 : index
  %at = arith.muli %part, %c64 : index
  %row = arith.muli %i, %c8 : index
  %column = arith.muli %j, %c64 : index
  %xv = tile.view %x sizes [%m, 1024] strides [1024, 1] : !tile.buffer<bf16> -> !tile.view<?x1024xbf16, [1024, 1]>
  %wv = tile.view %w sizes [2, 8, 256, 64] strides [131072, 16384, 64, 1] : !tile.buffer<i8> -> !tile.view<2x8x256x64xi8, [131072, 16384, 64, 1]>
  %sv = tile.view %s sizes [2, 8, 256] strides [2048, 256, 1] : !tile.buffer<bf16> -> !tile.view<2x8x256xbf16, [2048, 256, 1]>
  %yv = tile.view %y sizes [%m, 512] strides [512, 1] : !tile.buffer<f32> -> !tile.view<?x512xf32, [512, 1]>
  %sums = scf.for %k = %c0 to %c1024 step %c128 iter_args(%c = %zero) -> (tensor<8x64xf32>) {
    %g = arith.divui %k, %c128 : index
    %k1 = arith.addi %k, %c64 : index
    %codes = tile.load %wv[%panel, %g, %at, %c0] dims [3, 2] : !tile.view<2x8x256x64xi8, [131072, 16384, 64, 1]> -> tensor<64x64xi8>
    %scales = tile.load %sv[%panel, %g, %at] dims [2] : !tile.view<2x8x256xbf16, [2048, 256, 1]> -> tensor<64xbf16>
    %wide = arith.extf %scales : tensor<64xbf16> to tensor<64xf32>
    %scale = tile.broadcast %wide dims [1] : tensor<64xf32> -> tensor<64x64xf32>
    %a0 = tile.load %xv[%row, %k] dims [0, 1] : !tile.view<?x1024xbf16, [1024, 1]> -> tensor<8x64xbf16>
    %q0 = arith.andi %codes, %mask : tensor<64x64xi8>
    %f0 = arith.uitofp %q0 : tensor<64x64xi8> to tensor<64x64xf32>
    %o0 = arith.subf %f0, %middle : tensor<64x64xf32>
    %p0 = arith.mulf %o0, %scale : tensor<64x64xf32>
    %b0 = arith.truncf %p0 : tensor<64x64xf32> to tensor<64x64xbf16>
    %d0 = tile.mma %a0, %b0, %c : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    %a1 = tile.load %xv[%row, %k1] dims [0, 1] : !tile.view<?x1024xbf16, [1024, 1]> -> tensor<8x64xbf16>
    %q1 = arith.shrui %codes, %four : tensor<64x64xi8>
    %f1 = arith.uitofp %q1 : tensor<64x64xi8> to tensor<64x64xf32>
    %o1 = arith.subf %f1, %middle : tensor<64x64xf32>
    %p1 = arith.mulf %o1, %scale : tensor<64x64xf32>
    %b1 = arith.truncf %p1 : tensor<64x64xf32> to tensor<64x64xbf16>
    %d1 = tile.mma %a1, %b1, %d0 : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    scf.yield %d1 : tensor<8x64xf32>
  }
  tile.store %sums, %yv[%row, %column] dims [0, 1] : tensor<8x64xf32>, !tile.view<?x512xf32, [512, 1]>
  tile.return
}
