// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt --x86-lower-tile=level=avx512-amx --cse --canonicalize %s \
// RUN:   | FileCheck %s
// RUN: lathe-opt --x86-lower-tile=level=avx512-bf16 --cse --canonicalize %s \
// RUN:   | FileCheck %s --check-prefix=BELOW
// RUN: lathe-kernel %s --level avx512-amx -o %t.so
// RUN: llvm-objdump -d --no-show-raw-insn %t.so | FileCheck %s --check-prefix=CODE

// The level below has no tiles.
// BELOW-NOT: x86_amx
// BELOW-LABEL: func.func @linear.programs(
// BELOW: llvm.x86.avx512bf16.dpbf16ps.512

// Sixteen pairs of k at a time, in two by two accumulators that a loop carries;
// b's words lie 256 bytes apart. 100 is no multiple of 32: the last two pairs
// are taken one by one, on the accumulators in scratch.
// CHECK-LABEL: func.func @linear.programs(
// CHECK: %[[LEFT:.*]] = arith.subi
// CHECK: arith.cmpi sge, %[[LEFT]], %c32
// CHECK: scf.for {{.*}} = %c0 to %c64 step %c32
// CHECK-COUNT-4: llvm.x86.tilezero.internal
// CHECK: scf.for {{.*}} = %c0 to %c96 step %c32 iter_args({{.*}}) -> (!llvm.x86_amx, !llvm.x86_amx, !llvm.x86_amx, !llvm.x86_amx)
// CHECK: llvm.x86.tileloaddt164.internal"(%c16_i16, %c64_i16, %{{.*}}, %c256_i64)
// CHECK: llvm.x86.tileloadd64.internal"(%c16_i16, %c64_i16, %{{.*}}, %c200_i64)
// CHECK: llvm.x86.tdpbf16ps.internal
// CHECK: llvm.x86.tileloadd64.internal
// CHECK: llvm.x86.tdpbf16ps.internal
// CHECK: llvm.x86.tileloaddt164.internal
// CHECK-COUNT-2: llvm.x86.tdpbf16ps.internal
// CHECK-COUNT-4: llvm.x86.tilestored64.internal
// CHECK: scf.for {{.*}} = %c96 to %c100 step %c2
// CHECK: llvm.x86.avx512bf16.dpbf16ps.512

// Sixteen rows that exist run without masks, one tile by four; the rest, fewer
// than sixteen, in tiles whose rows outside of the view are zeros.
// CHECK: arith.andi %[[LEFT]], %c16
// CHECK-COUNT-4: llvm.x86.tilezero.internal
// CHECK-NOT: llvm.select
// CHECK-COUNT-4: llvm.x86.tilestored64.internal
// CHECK: arith.andi %[[LEFT]], %c15
// CHECK-COUNT-4: llvm.x86.tilezero.internal
// CHECK-COUNT-16: llvm.select {{.*}} : i1, !llvm.ptr

// One configuration, and no tile goes through the stack: as many stores as
// accumulators.
// CODE-LABEL: <linear>:
// CODE: ldtilecfg
// CODE-NOT: ldtilecfg
// CODE-COUNT-4: tilezero
// CODE-NOT: tilestored
// CODE: tdpbf16ps
// CODE-COUNT-4: tilestored
// CODE-NOT: tilestored
// CODE-COUNT-4: tilezero
// CODE-NOT: tilestored
// CODE: tdpbf16ps
tile.kernel @linear(%x: !tile.buffer<bf16>, %w: !tile.buffer<bf16>,
    %y: !tile.buffer<f32> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [32, 64, 0]> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %c100 = arith.constant 100 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %row = arith.muli %i, %c32 : index
  %col = arith.muli %j, %c64 : index
  %xv = tile.view %x sizes [%m, 100] strides [100, 1]
    : !tile.buffer<bf16> -> !tile.view<?x100xbf16, [100, 1]>
  %wv = tile.view %w sizes [2, 50, 64, 2] strides [6400, 128, 2, 1]
    : !tile.buffer<bf16> -> !tile.view<2x50x64x2xbf16, [6400, 128, 2, 1]>
  %yv = tile.view %y sizes [%m, 128] strides [128, 1]
    : !tile.buffer<f32> -> !tile.view<?x128xf32, [128, 1]>
  %zero = arith.constant dense<0.0> : tensor<32x64xf32>
  %acc = scf.for %k = %c0 to %c100 step %c2 iter_args(%c = %zero)
      -> (tensor<32x64xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1] {in_bounds = array<i64: 1>}
      : !tile.view<?x100xbf16, [100, 1]> -> tensor<32x2xbf16>
    %pair = arith.divui %k, %c2 : index
    %b = tile.load %wv[%j, %pair, %c0, %c0] dims [3, 2]
        {in_bounds = array<i64: 0, 1>}
      : !tile.view<2x50x64x2xbf16, [6400, 128, 2, 1]> -> tensor<2x64xbf16>
    %d = tile.mma %a, %b, %c
      : tensor<32x2xbf16>, tensor<2x64xbf16>, tensor<32x64xf32>
    scf.yield %d : tensor<32x64xf32>
  }
  tile.store %acc, %yv[%row, %col] dims [0, 1]
    : tensor<32x64xf32>, !tile.view<?x128xf32, [128, 1]>
  tile.return
}

// A loop over groups of k around the loop over k: what it carries is updated
// where it is, beside the next group's products.
// CHECK-LABEL: func.func @groups.programs(
// CHECK: llvm.x86.tdpbusd.internal
// CHECK-NOT: arith.sitofp
// CHECK: llvm.x86.tilestored64.internal
// CHECK: llvm.x86.tdpbusd.internal
// CHECK: arith.sitofp
// CHECK: llvm.x86.tdpbusd.internal
// CHECK: llvm.x86.tilestored64.internal
// CHECK: arith.sitofp
// CODE-LABEL: <groups>:
// CODE: tdpbusd
tile.kernel @groups(%x: !tile.buffer<i8>, %w: !tile.buffer<i8>,
    %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "contract", tile = [16, 32, 0]> {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %xv = tile.view %x sizes [16, 256] strides [256, 1]
    : !tile.buffer<i8> -> !tile.view<16x256xi8, [256, 1]>
  %wv = tile.view %w sizes [64, 32, 4] strides [128, 4, 1]
    : !tile.buffer<i8> -> !tile.view<64x32x4xi8, [128, 4, 1]>
  %yv = tile.view %y sizes [16, 32] strides [32, 1]
    : !tile.buffer<f32> -> !tile.view<16x32xf32, [32, 1]>
  %none = arith.constant dense<0> : tensor<16x32xi32>
  %zero = arith.constant dense<0.0> : tensor<16x32xf32>
  %all = scf.for %g = %c0 to %c256 step %c128 iter_args(%sum = %zero)
      -> (tensor<16x32xf32>) {
    %acc = scf.for %o = %c0 to %c128 step %c4 iter_args(%c = %none)
        -> (tensor<16x32xi32>) {
      %k = arith.addi %g, %o : index
      %a = tile.load %xv[%c0, %k] dims [0, 1]
        : !tile.view<16x256xi8, [256, 1]> -> tensor<16x4xi8>
      %word = arith.divui %k, %c4 : index
      %b = tile.load %wv[%word, %c0, %c0] dims [2, 1]
        : !tile.view<64x32x4xi8, [128, 4, 1]> -> tensor<4x32xi8>
      %d = tile.mma %a, %b, %c {unsigned_a}
        : tensor<16x4xi8>, tensor<4x32xi8>, tensor<16x32xi32>
      scf.yield %d : tensor<16x32xi32>
    }
    %f = arith.sitofp %acc : tensor<16x32xi32> to tensor<16x32xf32>
    %next = arith.addf %sum, %f : tensor<16x32xf32>
    scf.yield %next : tensor<16x32xf32>
  }
  tile.store %all, %yv[%c0, %c0] dims [0, 1]
    : tensor<16x32xf32>, !tile.view<16x32xf32, [32, 1]>
  tile.return
}

// A multiply outside of such a loop, as in attention: the left operand is read
// where it lies, the right one is written in pairs of rows first.
// CHECK-LABEL: func.func @scores.programs(
// CHECK: llvm.x86.avx512bf16.cvtne2ps2bf16.512
// CHECK: vector.shuffle {{.*}} [0, 16, 1, 17,
// CHECK-COUNT-4: llvm.x86.tdpbf16ps.internal
// CODE-LABEL: <scores>:
// CODE-COUNT-4: tdpbf16ps
// CODE-COUNT-4: tilestored
tile.kernel @scores(%x: !tile.buffer<bf16>, %q: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "attention", tile = [32, 32, 0]> {
  %c0 = arith.constant 0 : index
  %v = tile.view %x sizes [32, 32] strides [32, 1]
    : !tile.buffer<bf16> -> !tile.view<32x32xbf16, [32, 1]>
  %qv = tile.view %q sizes [32, 32] strides [32, 1]
    : !tile.buffer<f32> -> !tile.view<32x32xf32, [32, 1]>
  %yv = tile.view %y sizes [32, 32] strides [32, 1]
    : !tile.buffer<f32> -> !tile.view<32x32xf32, [32, 1]>
  %zero = arith.constant dense<0.0> : tensor<32x32xf32>
  %a = tile.load %v[%c0, %c0] dims [0, 1]
    : !tile.view<32x32xbf16, [32, 1]> -> tensor<32x32xbf16>
  %f = tile.load %qv[%c0, %c0] dims [1, 0]
    : !tile.view<32x32xf32, [32, 1]> -> tensor<32x32xf32>
  %b = arith.truncf %f : tensor<32x32xf32> to tensor<32x32xbf16>
  %d = tile.mma %a, %b, %zero
    : tensor<32x32xbf16>, tensor<32x32xbf16>, tensor<32x32xf32>
  tile.store %d, %yv[%c0, %c0] dims [0, 1]
    : tensor<32x32xf32>, !tile.view<32x32xf32, [32, 1]>
  tile.return
}

// Four blocks: the first one's products alone, then each one's beside rows of
// the block before, in a loop that is not unrolled, then the last one's rows.
// CHECK-LABEL: func.func @overlapped.programs(
// CHECK: scf.for {{.*}} = %c0 to %c96 step %c32
// CHECK: scf.for {{.*}} = %c1 to %c4 step %c1
// CHECK: scf.for {{.*}} = %c0 to %c96 step %c32
// CHECK: llvm.x86.tileloaddt164.internal
// CHECK-COUNT-4: llvm.x86.tdpbf16ps.internal
// CHECK: arith.truncf
// CHECK: scf.yield
// CHECK: llvm.loop_annotation = #loop_annotation
// CHECK-COUNT-4: llvm.x86.tilestored64.internal
// CHECK: scf.for {{.*}} = %c0 to %c32 step %c2
// CHECK-NOT: llvm.x86.t
// CHECK: return
// CODE-LABEL: <overlapped>:
// CODE: tdpbf16ps
// CODE: vcvtneps2bf16
// CODE: tilestored
tile.kernel @overlapped(%x: !tile.buffer<bf16>, %w: !tile.buffer<bf16>,
    %y: !tile.buffer<bf16> {tile.written})
    schedule <strategy = "contract", tile = [64, 64, 0]> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c96 = arith.constant 96 : index
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %xv = tile.view %x sizes [64, 96] strides [96, 1]
    : !tile.buffer<bf16> -> !tile.view<64x96xbf16, [96, 1]>
  %wv = tile.view %w sizes [48, 64, 2] strides [128, 2, 1]
    : !tile.buffer<bf16> -> !tile.view<48x64x2xbf16, [128, 2, 1]>
  %yv = tile.view %y sizes [64, 64] strides [64, 1]
    : !tile.buffer<bf16> -> !tile.view<64x64xbf16, [64, 1]>
  %sum = scf.for %k = %c0 to %c96 step %c2 iter_args(%acc = %zero)
      -> (tensor<64x64xf32>) {
    %a = tile.load %xv[%c0, %k] dims [0, 1]
      : !tile.view<64x96xbf16, [96, 1]> -> tensor<64x2xbf16>
    %pair = arith.divui %k, %c2 : index
    %b = tile.load %wv[%pair, %c0, %c0] dims [2, 1]
      : !tile.view<48x64x2xbf16, [128, 2, 1]> -> tensor<2x64xbf16>
    %d = tile.mma %a, %b, %acc
      : tensor<64x2xbf16>, tensor<2x64xbf16>, tensor<64x64xf32>
    scf.yield %d : tensor<64x64xf32>
  }
  %r = arith.truncf %sum : tensor<64x64xf32> to tensor<64x64xbf16>
  tile.store %r, %yv[%c0, %c0] dims [0, 1]
    : tensor<64x64xbf16>, !tile.view<64x64xbf16, [64, 1]>
  tile.return
}

// What follows the sums is done after all products if a loop is in it, which may
// have no result,
// CHECK-LABEL: func.func @twice.programs(
// CHECK-NOT: llvm.loop_annotation
// CHECK: return
tile.kernel @twice(%x: !tile.buffer<bf16>, %w: !tile.buffer<bf16>,
    %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "contract", tile = [64, 64, 0]> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c64 = arith.constant 64 : index
  %c96 = arith.constant 96 : index
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %xv = tile.view %x sizes [64, 96] strides [96, 1]
    : !tile.buffer<bf16> -> !tile.view<64x96xbf16, [96, 1]>
  %wv = tile.view %w sizes [48, 64, 2] strides [128, 2, 1]
    : !tile.buffer<bf16> -> !tile.view<48x64x2xbf16, [128, 2, 1]>
  %yv = tile.view %y sizes [128, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<128x64xf32, [64, 1]>
  %sum = scf.for %k = %c0 to %c96 step %c2 iter_args(%acc = %zero)
      -> (tensor<64x64xf32>) {
    %a = tile.load %xv[%c0, %k] dims [0, 1]
      : !tile.view<64x96xbf16, [96, 1]> -> tensor<64x2xbf16>
    %pair = arith.divui %k, %c2 : index
    %b = tile.load %wv[%pair, %c0, %c0] dims [2, 1]
      : !tile.view<48x64x2xbf16, [128, 2, 1]> -> tensor<2x64xbf16>
    %d = tile.mma %a, %b, %acc
      : tensor<64x2xbf16>, tensor<2x64xbf16>, tensor<64x64xf32>
    scf.yield %d : tensor<64x64xf32>
  }
  scf.for %i = %c0 to %c2 step %c1 {
    %row = arith.muli %i, %c64 : index
    tile.store %sum, %yv[%row, %c0] dims [0, 1]
      : tensor<64x64xf32>, !tile.view<128x64xf32, [64, 1]>
  }
  tile.return
}

// or if they are carried on, as whole tiles.
// CHECK-LABEL: func.func @carried.programs(
// CHECK-NOT: llvm.loop_annotation
// CHECK: return
tile.kernel @carried(%x: !tile.buffer<bf16>, %w: !tile.buffer<bf16>,
    %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "contract", tile = [64, 64, 0]> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c64 = arith.constant 64 : index
  %c96 = arith.constant 96 : index
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %xv = tile.view %x sizes [64, 96] strides [96, 1]
    : !tile.buffer<bf16> -> !tile.view<64x96xbf16, [96, 1]>
  %wv = tile.view %w sizes [48, 64, 2] strides [128, 2, 1]
    : !tile.buffer<bf16> -> !tile.view<48x64x2xbf16, [128, 2, 1]>
  %yv = tile.view %y sizes [128, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<128x64xf32, [64, 1]>
  %last = scf.for %i = %c0 to %c2 step %c1 iter_args(%before = %zero)
      -> (tensor<64x64xf32>) {
    %sum = scf.for %k = %c0 to %c96 step %c2 iter_args(%acc = %zero)
        -> (tensor<64x64xf32>) {
      %a = tile.load %xv[%c0, %k] dims [0, 1]
        : !tile.view<64x96xbf16, [96, 1]> -> tensor<64x2xbf16>
      %pair = arith.divui %k, %c2 : index
      %b = tile.load %wv[%pair, %c0, %c0] dims [2, 1]
        : !tile.view<48x64x2xbf16, [128, 2, 1]> -> tensor<2x64xbf16>
      %d = tile.mma %a, %b, %acc
        : tensor<64x2xbf16>, tensor<2x64xbf16>, tensor<64x64xf32>
      scf.yield %d : tensor<64x64xf32>
    }
    %double = arith.addf %sum, %sum : tensor<64x64xf32>
    tile.store %double, %yv[%c0, %c0] dims [0, 1]
      : tensor<64x64xf32>, !tile.view<128x64xf32, [64, 1]>
    scf.yield %double : tensor<64x64xf32>
  }
  tile.store %last, %yv[%c64, %c0] dims [0, 1]
    : tensor<64x64xf32>, !tile.view<128x64xf32, [64, 1]>
  tile.return
}

// Codes of four bits: sixteen rows of words are written to scratch, those of
// the low and of the high halves in turn, and then multiplied.
// CHECK-LABEL: func.func @nibbles.programs(
// CHECK: scf.for {{.*}} = %c0 to %c64 step %c4
// CHECK-NOT: llvm.intr.prefetch
// CHECK: arith.andi
// CHECK: arith.shrui
// CHECK: scf.for {{.*}} = %c0 to %c64 step %c32
// CHECK: llvm.x86.tileloadd64.internal"(%c16_i16, %c64_i16, %{{.*}}, %c128_i64)
// CHECK: llvm.x86.tdpbsud.internal
// CODE-LABEL: <nibbles>:
// CODE: tdpbsud
tile.kernel @nibbles(%x: !tile.buffer<i8>, %w: !tile.buffer<i8>,
    %y: !tile.buffer<i32> {tile.written})
    schedule <strategy = "contract", tile = [16, 32, 0]> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0> : tensor<16x32xi32>
  %low = arith.constant dense<15> : tensor<4x32xi8>
  %four = arith.constant dense<4> : tensor<4x32xi8>
  %xv = tile.view %x sizes [16, 128] strides [128, 1]
    : !tile.buffer<i8> -> !tile.view<16x128xi8, [128, 1]>
  %wv = tile.view %w sizes [16, 32, 4] strides [128, 4, 1]
    : !tile.buffer<i8> -> !tile.view<16x32x4xi8, [128, 4, 1]>
  %yv = tile.view %y sizes [16, 32] strides [32, 1]
    : !tile.buffer<i32> -> !tile.view<16x32xi32, [32, 1]>
  %sum = scf.for %s = %c0 to %c64 step %c4 iter_args(%acc = %zero)
      -> (tensor<16x32xi32>) {
    %word = arith.divui %s, %c4 : index
    %b = tile.load %wv[%word, %c0, %c0] dims [2, 1]
      : !tile.view<16x32x4xi8, [128, 4, 1]> -> tensor<4x32xi8>
    %k = arith.muli %s, %c2 : index
    %a0 = tile.load %xv[%c0, %k] dims [0, 1]
      : !tile.view<16x128xi8, [128, 1]> -> tensor<16x4xi8>
    %b0 = arith.andi %b, %low : tensor<4x32xi8>
    %d0 = tile.mma %a0, %b0, %acc {unsigned_b}
      : tensor<16x4xi8>, tensor<4x32xi8>, tensor<16x32xi32>
    %k1 = arith.addi %k, %c4 : index
    %a1 = tile.load %xv[%c0, %k1] dims [0, 1]
      : !tile.view<16x128xi8, [128, 1]> -> tensor<16x4xi8>
    %b1 = arith.shrui %b, %four : tensor<4x32xi8>
    %d1 = tile.mma %a1, %b1, %d0 {unsigned_b}
      : tensor<16x4xi8>, tensor<4x32xi8>, tensor<16x32xi32>
    scf.yield %d1 : tensor<16x32xi32>
  }
  tile.store %sum, %yv[%c0, %c0] dims [0, 1]
    : tensor<16x32xi32>, !tile.view<16x32xi32, [32, 1]>
  tile.return
}

// Three groups whose sums are scaled: each product of one is followed by words
// of the next one and rows of the one before. The first group's words and the
// last one's rows have nothing beside them.
// CHECK-LABEL: func.func @scaled.programs(
// CHECK: scf.for {{.*}} = %c0 to %c64 step %c4
// CHECK: scf.for {{.*}} = %c0 to %c64 step %c32
// CHECK: llvm.x86.tdpbsud.internal
// CHECK-NOT: arith.sitofp
// CHECK: scf.for {{.*}} = %c1 to %c3 step %c1
// CHECK: scf.for {{.*}} = %c0 to %c64 step %c32
// CHECK: llvm.x86.tdpbsud.internal
// CHECK: arith.sitofp
// CHECK: arith.shrui
// CHECK: llvm.x86.tdpbsud.internal
// CHECK: arith.sitofp
// CHECK: arith.shrui
// CHECK-COUNT-2: llvm.x86.tilestored64.internal
// CHECK: scf.for
// CHECK: arith.sitofp
tile.kernel @scaled(%x: !tile.buffer<i8>, %w: !tile.buffer<i8>,
    %scales: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "contract", tile = [16, 32, 0]> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c384 = arith.constant 384 : index
  %none = arith.constant dense<0.0> : tensor<16x32xf32>
  %zero = arith.constant dense<0> : tensor<16x32xi32>
  %low = arith.constant dense<15> : tensor<4x32xi8>
  %four = arith.constant dense<4> : tensor<4x32xi8>
  %xv = tile.view %x sizes [16, 384] strides [384, 1]
    : !tile.buffer<i8> -> !tile.view<16x384xi8, [384, 1]>
  %wv = tile.view %w sizes [48, 32, 4] strides [128, 4, 1]
    : !tile.buffer<i8> -> !tile.view<48x32x4xi8, [128, 4, 1]>
  %sv = tile.view %scales sizes [16, 3, 32] strides [0, 32, 1]
    : !tile.buffer<f32> -> !tile.view<16x3x32xf32, [0, 32, 1]>
  %yv = tile.view %y sizes [16, 32] strides [32, 1]
    : !tile.buffer<f32> -> !tile.view<16x32xf32, [32, 1]>
  %total = scf.for %g = %c0 to %c384 step %c128 iter_args(%all = %none)
      -> (tensor<16x32xf32>) {
    %half = arith.divui %g, %c2 : index
    %sum = scf.for %s = %c0 to %c64 step %c4 iter_args(%acc = %zero)
        -> (tensor<16x32xi32>) {
      %place = arith.addi %half, %s : index
      %word = arith.divui %place, %c4 : index
      %b = tile.load %wv[%word, %c0, %c0] dims [2, 1]
        : !tile.view<48x32x4xi8, [128, 4, 1]> -> tensor<4x32xi8>
      %twice = arith.muli %s, %c2 : index
      %k = arith.addi %g, %twice : index
      %a0 = tile.load %xv[%c0, %k] dims [0, 1]
        : !tile.view<16x384xi8, [384, 1]> -> tensor<16x4xi8>
      %b0 = arith.andi %b, %low : tensor<4x32xi8>
      %d0 = tile.mma %a0, %b0, %acc {unsigned_b}
        : tensor<16x4xi8>, tensor<4x32xi8>, tensor<16x32xi32>
      %k1 = arith.addi %k, %c4 : index
      %a1 = tile.load %xv[%c0, %k1] dims [0, 1]
        : !tile.view<16x384xi8, [384, 1]> -> tensor<16x4xi8>
      %b1 = arith.shrui %b, %four : tensor<4x32xi8>
      %d1 = tile.mma %a1, %b1, %d0 {unsigned_b}
        : tensor<16x4xi8>, tensor<4x32xi8>, tensor<16x32xi32>
      scf.yield %d1 : tensor<16x32xi32>
    }
    %group = arith.divui %g, %c128 : index
    %scale = tile.load %sv[%c0, %group, %c0] dims [0, 2]
      : !tile.view<16x3x32xf32, [0, 32, 1]> -> tensor<16x32xf32>
    %f = arith.sitofp %sum : tensor<16x32xi32> to tensor<16x32xf32>
    %p = arith.mulf %f, %scale : tensor<16x32xf32>
    %next = arith.addf %all, %p : tensor<16x32xf32>
    scf.yield %next : tensor<16x32xf32>
  }
  tile.store %total, %yv[%c0, %c0] dims [0, 1]
    : tensor<16x32xf32>, !tile.view<16x32xf32, [32, 1]>
  tile.return
}

// Words that no cache holds, 4 MB, are asked for two pages ahead.
// CHECK-LABEL: func.func @streamed.programs(
// CHECK: scf.for {{.*}} = %c0 to %c64 step %c4
// CHECK: llvm.getelementptr {{.*}}[8192]
// CHECK-NEXT: llvm.intr.prefetch
// CHECK: arith.andi
tile.kernel @streamed(%x: !tile.buffer<i8>, %w: !tile.buffer<i8>,
    %y: !tile.buffer<i32> {tile.written})
    schedule <strategy = "contract", tile = [16, 32, 0]> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0> : tensor<16x32xi32>
  %low = arith.constant dense<15> : tensor<4x32xi8>
  %four = arith.constant dense<4> : tensor<4x32xi8>
  %xv = tile.view %x sizes [16, 128] strides [128, 1]
    : !tile.buffer<i8> -> !tile.view<16x128xi8, [128, 1]>
  %wv = tile.view %w sizes [32768, 32, 4] strides [128, 4, 1]
    : !tile.buffer<i8> -> !tile.view<32768x32x4xi8, [128, 4, 1]>
  %yv = tile.view %y sizes [16, 32] strides [32, 1]
    : !tile.buffer<i32> -> !tile.view<16x32xi32, [32, 1]>
  %sum = scf.for %s = %c0 to %c64 step %c4 iter_args(%acc = %zero)
      -> (tensor<16x32xi32>) {
    %word = arith.divui %s, %c4 : index
    %b = tile.load %wv[%word, %c0, %c0] dims [2, 1]
      : !tile.view<32768x32x4xi8, [128, 4, 1]> -> tensor<4x32xi8>
    %k = arith.muli %s, %c2 : index
    %a0 = tile.load %xv[%c0, %k] dims [0, 1]
      : !tile.view<16x128xi8, [128, 1]> -> tensor<16x4xi8>
    %b0 = arith.andi %b, %low : tensor<4x32xi8>
    %d0 = tile.mma %a0, %b0, %acc {unsigned_b}
      : tensor<16x4xi8>, tensor<4x32xi8>, tensor<16x32xi32>
    %k1 = arith.addi %k, %c4 : index
    %a1 = tile.load %xv[%c0, %k1] dims [0, 1]
      : !tile.view<16x128xi8, [128, 1]> -> tensor<16x4xi8>
    %b1 = arith.shrui %b, %four : tensor<4x32xi8>
    %d1 = tile.mma %a1, %b1, %d0 {unsigned_b}
      : tensor<16x4xi8>, tensor<4x32xi8>, tensor<16x32xi32>
    scf.yield %d1 : tensor<16x32xi32>
  }
  tile.store %sum, %yv[%c0, %c0] dims [0, 1]
    : tensor<16x32xi32>, !tile.view<16x32xi32, [32, 1]>
  tile.return
}

// Attention: a mask that all queries share starts the accumulators, one column of
// tiles. Weights are made once, by rough powers, for their sum and in pairs of
// rows for the product; so is all that they alone are made of.
// CHECK-LABEL: func.func @softmax.programs(
// CHECK-COUNT-4: llvm.x86.tdpbf16ps.internal
// CHECK-NOT: arith.mulf
// CHECK: scf.for {{.*}} = %c0 to %c64 step %c2
// CHECK-COUNT-3: arith.mulf
// CHECK: math.exp2 {{.*}} {narrow}
// CHECK: llvm.x86.avx512.pternlog.d.512
// CHECK: arith.addf
// CHECK: scf.yield
// CHECK-NOT: math.exp2
// CHECK: llvm.x86.tdpbf16ps.internal
// CHECK: arith.divf
tile.kernel @softmax(%q: !tile.buffer<f32>, %k: !tile.buffer<bf16>,
    %v: !tile.buffer<bf16>, %m: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "attention", tile = [32, 64, 0]> {
  %c0 = arith.constant 0 : index
  %qv = tile.view %q sizes [32, 32] strides [32, 1]
    : !tile.buffer<f32> -> !tile.view<32x32xf32, [32, 1]>
  %kv = tile.view %k sizes [64, 32] strides [32, 1]
    : !tile.buffer<bf16> -> !tile.view<64x32xbf16, [32, 1]>
  %vv = tile.view %v sizes [64, 16] strides [16, 1]
    : !tile.buffer<bf16> -> !tile.view<64x16xbf16, [16, 1]>
  %mv = tile.view %m sizes [64] strides [1]
    : !tile.buffer<f32> -> !tile.view<64xf32, [1]>
  %yv = tile.view %y sizes [32, 16] strides [16, 1]
    : !tile.buffer<f32> -> !tile.view<32x16xf32, [16, 1]>
  %zero = arith.constant dense<0.0> : tensor<16x32xf32>
  %one = arith.constant dense<1.0> : tensor<32xf32>
  %wide = tile.load %qv[%c0, %c0] dims [1, 0]
    : !tile.view<32x32xf32, [32, 1]> -> tensor<32x32xf32>
  %queries = arith.truncf %wide : tensor<32x32xf32> to tensor<32x32xbf16>
  %keys = tile.load %kv[%c0, %c0] dims [0, 1]
    : !tile.view<64x32xbf16, [32, 1]> -> tensor<64x32xbf16>
  %start = tile.load %mv[%c0] dims [0, -1]
    : !tile.view<64xf32, [1]> -> tensor<64x32xf32>
  %logits = tile.mma %keys, %queries, %start
    : tensor<64x32xbf16>, tensor<32x32xbf16>, tensor<64x32xf32>
  %most = tile.reduce max %logits axis 0 : tensor<64x32xf32> -> tensor<32xf32>
  %down = tile.broadcast %most dims [1] : tensor<32xf32> -> tensor<64x32xf32>
  %two = arith.constant dense<2.0> : tensor<64x32xf32>
  %quarter = arith.constant dense<0.25> : tensor<64x32xf32>
  %shifted = arith.subf %logits, %down : tensor<64x32xf32>
  %double = arith.mulf %shifted, %two : tensor<64x32xf32>
  %half = arith.mulf %double, %quarter : tensor<64x32xf32>
  %same = arith.mulf %half, %two : tensor<64x32xf32>
  %weights = math.exp2 %same : tensor<64x32xf32>
  %sum = tile.reduce add %weights axis 0 : tensor<64x32xf32> -> tensor<32xf32>
  %rounded = arith.truncf %weights : tensor<64x32xf32> to tensor<64x32xbf16>
  %values = tile.load %vv[%c0, %c0] dims [1, 0]
    : !tile.view<64x16xbf16, [16, 1]> -> tensor<16x64xbf16>
  %product = tile.mma %values, %rounded, %zero
    : tensor<16x64xbf16>, tensor<64x32xbf16>, tensor<16x32xf32>
  %inverse = arith.divf %one, %sum : tensor<32xf32>
  %factor = tile.broadcast %inverse dims [1] : tensor<32xf32> -> tensor<16x32xf32>
  %result = arith.mulf %product, %factor : tensor<16x32xf32>
  tile.store %result, %yv[%c0, %c0] dims [1, 0]
    : tensor<16x32xf32>, !tile.view<32x16xf32, [16, 1]>
  tile.return
}

// The same without a sum, by rough reciprocals; a constant starts accumulators.
// The first block of weights is made beside the second one's products, eight
// pairs of vectors after each of four.
// CHECK-LABEL: func.func @logistic.programs(
// CHECK-COUNT-4: llvm.x86.tdpbf16ps.internal
// CHECK-NOT: math.exp2
// CHECK-COUNT-4: llvm.x86.tilestored64.internal
// CHECK: llvm.x86.tdpbf16ps.internal
// CHECK-COUNT-8: llvm.x86.avx512.pternlog.d.512
// CHECK: llvm.x86.tdpbf16ps.internal
// CHECK: math.exp2 {{.*}} {narrow}
// CHECK: arith.divf {{.*}} {narrow}
// CHECK-COUNT-8: llvm.x86.avx512.pternlog.d.512
// CHECK-COUNT-2: llvm.x86.tdpbf16ps.internal
// CHECK-COUNT-4: llvm.x86.tilestored64.internal
// The last block's by themselves.
// CHECK: scf.for {{.*}} = %c0 to %c32 step %c4
// CHECK: math.exp2 {{.*}} {narrow}
// CHECK: llvm.x86.tdpbf16ps.internal
tile.kernel @logistic(%q: !tile.buffer<f32>, %k: !tile.buffer<bf16>,
    %v: !tile.buffer<bf16>, %m: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "attention", tile = [32, 64, 0]> {
  %c0 = arith.constant 0 : index
  %qv = tile.view %q sizes [32, 32] strides [32, 1]
    : !tile.buffer<f32> -> !tile.view<32x32xf32, [32, 1]>
  %kv = tile.view %k sizes [64, 32] strides [32, 1]
    : !tile.buffer<bf16> -> !tile.view<64x32xbf16, [32, 1]>
  %vv = tile.view %v sizes [64, 16] strides [16, 1]
    : !tile.buffer<bf16> -> !tile.view<64x16xbf16, [16, 1]>
  %mv = tile.view %m sizes [64] strides [1]
    : !tile.buffer<f32> -> !tile.view<64xf32, [1]>
  %yv = tile.view %y sizes [32, 16] strides [16, 1]
    : !tile.buffer<f32> -> !tile.view<32x16xf32, [16, 1]>
  %zero = arith.constant dense<0.0> : tensor<16x32xf32>
  %one = arith.constant dense<1.0> : tensor<64x32xf32>
  %wide = tile.load %qv[%c0, %c0] dims [1, 0]
    : !tile.view<32x32xf32, [32, 1]> -> tensor<32x32xf32>
  %queries = arith.truncf %wide : tensor<32x32xf32> to tensor<32x32xbf16>
  %keys = tile.load %kv[%c0, %c0] dims [0, 1]
    : !tile.view<64x32xbf16, [32, 1]> -> tensor<64x32xbf16>
  %start = arith.constant dense<1.5> : tensor<64x32xf32>
  %logits = tile.mma %keys, %queries, %start
    : tensor<64x32xbf16>, tensor<32x32xbf16>, tensor<64x32xf32>
  %power = math.exp2 %logits : tensor<64x32xf32>
  %above = arith.addf %power, %one : tensor<64x32xf32>
  %weights = arith.divf %one, %above : tensor<64x32xf32>
  %rounded = arith.truncf %weights : tensor<64x32xf32> to tensor<64x32xbf16>
  %values = tile.load %vv[%c0, %c0] dims [1, 0]
    : !tile.view<64x16xbf16, [16, 1]> -> tensor<16x64xbf16>
  %product = tile.mma %values, %rounded, %zero
    : tensor<16x64xbf16>, tensor<64x32xbf16>, tensor<16x32xf32>
  tile.store %product, %yv[%c0, %c0] dims [1, 0]
    : tensor<16x32xf32>, !tile.view<32x16xf32, [16, 1]>
  tile.return
}
