// RUN: lathe-opt --x86-lower-tile --cse --canonicalize %s | FileCheck %s
// RUN: lathe-opt --x86-lower-tile=level=x86-64-v3 --cse --canonicalize %s \
// RUN:   | FileCheck %s --check-prefix=AVX2

// A row block of six by 64: 24 accumulators of 16 lanes, carried by the loop
// over k; a test of the rows that are left; copies for four, two and one row.

// CHECK-LABEL: func.func @linear.programs(
// CHECK-SAME: !llvm.ptr {llvm.noalias, llvm.readonly}
// CHECK-SAME: !llvm.ptr {llvm.noalias}
// CHECK: scf.for
// CHECK: %[[LEFT:.*]] = arith.subi
// CHECK: arith.cmpi sge, %[[LEFT]], %c6
// CHECK: scf.if
// CHECK: %{{.*}}:24 = scf.for
// CHECK: vector.fma {{.*}} : vector<16xf32>
// CHECK: else
// CHECK: arith.andi %[[LEFT]], %c4
// CHECK: %{{.*}}:16 = scf.for
// CHECK: arith.andi %[[LEFT]], %c2
// CHECK: %{{.*}}:8 = scf.for
// CHECK: arith.andi %[[LEFT]], %c1
// CHECK: %{{.*}}:4 = scf.for

// The kernel ABI.
// CHECK-LABEL: func.func @linear(
// CHECK-SAME: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CHECK: call @linear.programs

// 16 registers hold six by two vectors of eight: the columns are cut.
// AVX2-LABEL: func.func @linear.programs(
// AVX2: %{{.*}}:12 = scf.for
// AVX2: vector.fma {{.*}} : vector<8xf32>
tile.kernel @linear(%x: !tile.buffer<f32>, %w: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [6, 64, 1]> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %c64 = arith.constant 64 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %row = arith.muli %i, %c6 : index
  %col = arith.muli %j, %c64 : index
  %xv = tile.view %x sizes [%m, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<?x64xf32, [64, 1]>
  %wv = tile.view %w sizes [2, 64, 64] strides [4096, 64, 1]
    : !tile.buffer<f32> -> !tile.view<2x64x64xf32, [4096, 64, 1]>
  %yv = tile.view %y sizes [%m, 128] strides [128, 1]
    : !tile.buffer<f32> -> !tile.view<?x128xf32, [128, 1]>
  %zero = arith.constant dense<0.0> : tensor<6x64xf32>
  %acc = scf.for %k = %c0 to %c64 step %c1 iter_args(%c = %zero)
      -> (tensor<6x64xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1]
      : !tile.view<?x64xf32, [64, 1]> -> tensor<6x1xf32>
    %b = tile.load %wv[%j, %k, %c0] dims [1, 2]
      : !tile.view<2x64x64xf32, [4096, 64, 1]> -> tensor<1x64xf32>
    %d = tile.mma %a, %b, %c
      : tensor<6x1xf32>, tensor<1x64xf32>, tensor<6x64xf32>
    scf.yield %d : tensor<6x64xf32>
  }
  tile.store %acc, %yv[%row, %col] dims [0, 1]
    : tensor<6x64xf32>, !tile.view<?x128xf32, [128, 1]>
  tile.return
}

// Whole blocks of columns without masks, the rest with them.
// CHECK-LABEL: func.func @double.programs(
// CHECK: scf.if
// CHECK: llvm.load {{.*}} -> vector<16xf32>
// CHECK: llvm.store {{.*}} : vector<16xf32>
// CHECK: else
// CHECK: llvm.intr.masked.load
// CHECK: llvm.intr.masked.store
tile.kernel @double(%x: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written}, %n: index)
    schedule <strategy = "pointwise", tile = [64]> {
  %c64 = arith.constant 64 : index
  %i = tile.program_id 0
  %col = arith.muli %i, %c64 : index
  %xv = tile.view %x sizes [%n] strides [1]
    : !tile.buffer<f32> -> !tile.view<?xf32, [1]>
  %yv = tile.view %y sizes [%n] strides [1]
    : !tile.buffer<f32> -> !tile.view<?xf32, [1]>
  %t = tile.load %xv[%col] dims [0] : !tile.view<?xf32, [1]> -> tensor<64xf32>
  %s = arith.addf %t, %t : tensor<64xf32>
  tile.store %s, %yv[%col] dims [0]
    : tensor<64xf32>, !tile.view<?xf32, [1]>
  tile.return
}

// Four bytes of k at a time: vpdpbusd where there is VNNI, else pairs.
// CHECK-LABEL: func.func @bytes.programs(
// CHECK: llvm.x86.avx512.vpdpbusd.512
// AVX2-LABEL: func.func @bytes.programs(
// AVX2: llvm.x86.avx2.pmadd.wd
tile.kernel @bytes(%x: !tile.buffer<i8>, %w: !tile.buffer<i8>,
    %y: !tile.buffer<i32> {tile.written})
    schedule <strategy = "contract", tile = [2, 16, 4]> {
  %c0 = arith.constant 0 : index
  %xv = tile.view %x sizes [2, 4] strides [4, 1]
    : !tile.buffer<i8> -> !tile.view<2x4xi8, [4, 1]>
  %wv = tile.view %w sizes [16, 4] strides [4, 1]
    : !tile.buffer<i8> -> !tile.view<16x4xi8, [4, 1]>
  %yv = tile.view %y sizes [2, 16] strides [16, 1]
    : !tile.buffer<i32> -> !tile.view<2x16xi32, [16, 1]>
  %zero = arith.constant dense<0> : tensor<2x16xi32>
  %a = tile.load %xv[%c0, %c0] dims [0, 1]
    : !tile.view<2x4xi8, [4, 1]> -> tensor<2x4xi8>
  %b = tile.load %wv[%c0, %c0] dims [1, 0]
    : !tile.view<16x4xi8, [4, 1]> -> tensor<4x16xi8>
  %d = tile.mma %a, %b, %zero {unsigned_a}
    : tensor<2x4xi8>, tensor<4x16xi8>, tensor<2x16xi32>
  tile.store %d, %yv[%c0, %c0] dims [0, 1]
    : tensor<2x16xi32>, !tile.view<2x16xi32, [16, 1]>
  tile.return
}

// Codes that are computed from bytes: a whole word's at once, and the unsigned
// operand first, whichever it is.

// CHECK-LABEL: func.func @nibbles.programs(
// CHECK: %[[W:.*]] = vector.bitcast {{.*}} : vector<16xi32> to vector<64xi8>
// CHECK: %[[HIGH:.*]] = arith.shrui %[[W]], {{.*}} : vector<64xi8>
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"({{.*}}, %[[HIGH]],
tile.kernel @nibbles(%x: !tile.buffer<i8>, %w: !tile.buffer<i8>,
    %y: !tile.buffer<i32> {tile.written}) schedule <strategy = "contract"> {
  %c0 = arith.constant 0 : index
  %xv = tile.view %x sizes [2, 4] strides [4, 1]
    : !tile.buffer<i8> -> !tile.view<2x4xi8, [4, 1]>
  %wv = tile.view %w sizes [16, 4] strides [4, 1]
    : !tile.buffer<i8> -> !tile.view<16x4xi8, [4, 1]>
  %yv = tile.view %y sizes [2, 16] strides [16, 1]
    : !tile.buffer<i32> -> !tile.view<2x16xi32, [16, 1]>
  %zero = arith.constant dense<0> : tensor<2x16xi32>
  %four = arith.constant dense<4> : tensor<4x16xi8>
  %a = tile.load %xv[%c0, %c0] dims [0, 1]
    : !tile.view<2x4xi8, [4, 1]> -> tensor<2x4xi8>
  %b = tile.load %wv[%c0, %c0] dims [1, 0]
    : !tile.view<16x4xi8, [4, 1]> -> tensor<4x16xi8>
  %high = arith.shrui %b, %four : tensor<4x16xi8>
  %d = tile.mma %a, %high, %zero {unsigned_b}
    : tensor<2x4xi8>, tensor<4x16xi8>, tensor<2x16xi32>
  tile.store %d, %yv[%c0, %c0] dims [0, 1]
    : tensor<2x16xi32>, !tile.view<2x16xi32, [16, 1]>
  tile.return
}

// Programs that sweep over rows with one panel of a weight ask for the next one,
// a share each.

// CHECK-LABEL: func.func @sweep.programs(
// CHECK: scf.for
// CHECK: %[[FEW:.*]] = arith.cmpi ult, %{{.*}}, %c4
// CHECK: %[[PART:.*]] = arith.divui %c1048576
// CHECK: %[[SHARE:.*]] = arith.select %[[FEW]], %c0{{.*}}, %[[PART]]
// CHECK: %[[ALL:.*]] = arith.muli %{{.*}}, %[[SHARE]]
// CHECK: arith.shrui %[[ALL]], %c20
// CHECK: llvm.getelementptr {{.*}}[8192]
// CHECK-NEXT: llvm.intr.prefetch
// CHECK-NEXT: scf.yield
tile.kernel @sweep(%x: !tile.buffer<f32>, %w: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [6, 32]> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %tile = tile.program_id 0
  %panel = tile.program_id 1
  %row = arith.muli %tile, %c6 : index
  %column = arith.muli %panel, %c32 : index
  %xv = tile.view %x sizes [%m, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<?x64xf32, [64, 1]>
  %wv = tile.view %w sizes [4, 64, 32] strides [2048, 32, 1]
    : !tile.buffer<f32> -> !tile.view<4x64x32xf32, [2048, 32, 1]>
  %yv = tile.view %y sizes [%m, 128] strides [128, 1]
    : !tile.buffer<f32> -> !tile.view<?x128xf32, [128, 1]>
  %zero = arith.constant dense<0.0> : tensor<6x32xf32>
  %sum = scf.for %k = %c0 to %c64 step %c1 iter_args(%acc = %zero)
      -> (tensor<6x32xf32>) {
    %a = tile.load %xv[%row, %k] dims [0, 1]
      : !tile.view<?x64xf32, [64, 1]> -> tensor<6x1xf32>
    %b = tile.load %wv[%panel, %k, %c0] dims [1, 2]
      : !tile.view<4x64x32xf32, [2048, 32, 1]> -> tensor<1x32xf32>
    %next = tile.mma %a, %b, %acc
      : tensor<6x1xf32>, tensor<1x32xf32>, tensor<6x32xf32>
    scf.yield %next : tensor<6x32xf32>
  }
  tile.store %sum, %yv[%row, %column] dims [0, 1]
    : tensor<6x32xf32>, !tile.view<?x128xf32, [128, 1]>
  tile.return
}

// One row reads words too, and asks for a large weight ahead of time: a line of
// each vector, at least a page from where it is.

// CHECK-LABEL: func.func @row.programs(
// CHECK: scf.for
// CHECK-COUNT-2: llvm.x86.avx512.vpdpbusd.512
// CHECK: llvm.getelementptr {{.*}}[4096]
// CHECK-NEXT: llvm.intr.prefetch
// CHECK: llvm.getelementptr {{.*}}[4160]
// CHECK-NEXT: llvm.intr.prefetch
// CHECK-NOT: llvm.intr.prefetch
tile.kernel @row(%x: !tile.buffer<i8>, %w: !tile.buffer<i8>,
    %y: !tile.buffer<i32> {tile.written}, %m: index)
    schedule <strategy = "contract", tile = [1, 32]> {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %row = tile.program_id 0
  %xv = tile.view %x sizes [%m, 64] strides [64, 1]
    : !tile.buffer<i8> -> !tile.view<?x64xi8, [64, 1]>
  %wv = tile.view %w sizes [32768, 32, 4] strides [128, 4, 1]
    : !tile.buffer<i8> -> !tile.view<32768x32x4xi8, [128, 4, 1]>
  %yv = tile.view %y sizes [%m, 32] strides [32, 1]
    : !tile.buffer<i32> -> !tile.view<?x32xi32, [32, 1]>
  %zero = arith.constant dense<0> : tensor<1x32xi32>
  %d = scf.for %k = %c0 to %c64 step %c4 iter_args(%sum = %zero)
      -> (tensor<1x32xi32>) {
    %word = arith.divui %k, %c4 : index
    %a = tile.load %xv[%row, %k] dims [-1, 1] {in_bounds = array<i64: 0, 1>}
      : !tile.view<?x64xi8, [64, 1]> -> tensor<1x4xi8>
    %b = tile.load %wv[%word, %c0, %c0] dims [2, 1]
      : !tile.view<32768x32x4xi8, [128, 4, 1]> -> tensor<4x32xi8>
    %next = tile.mma %a, %b, %sum {unsigned_a}
      : tensor<1x4xi8>, tensor<4x32xi8>, tensor<1x32xi32>
    scf.yield %next : tensor<1x32xi32>
  }
  tile.store %d, %yv[%row, %c0] dims [0, 1]
    : tensor<1x32xi32>, !tile.view<?x32xi32, [32, 1]>
  tile.return
}

// Keys of one head lie far apart among those of the others. Each block of rows
// asks for those of the next one; where they are steps of k, for later ones.

// CHECK-LABEL: func.func @heads.programs(
// CHECK: scf.for {{.*}} step %c6
// CHECK-COUNT-12: llvm.intr.prefetch
// CHECK-NOT: llvm.intr.prefetch
// CHECK: scf.for {{.*}} step %c4
// CHECK-NOT: llvm.intr.prefetch
// CHECK: scf.for {{.*}} step %c5
// CHECK-COUNT-10: llvm.intr.prefetch
// CHECK: scf.for {{.*}} step %c4
// CHECK-NOT: llvm.intr.prefetch
// CHECK: scf.for {{.*}} step %c6
// CHECK-NOT: llvm.intr.prefetch
// CHECK: scf.for {{.*}} step %c4
// CHECK-COUNT-8: llvm.intr.prefetch
tile.kernel @heads(%x: !tile.buffer<f32>, %q: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {tile.written}, %z: !tile.buffer<f32> {tile.written})
    schedule <strategy = "attention", tile = [64, 64]> {
  %c0 = arith.constant 0 : index
  %xv = tile.view %x sizes [64, 32] strides [1152, 1]
    : !tile.buffer<f32> -> !tile.view<64x32xf32, [1152, 1]>
  %qv = tile.view %q sizes [64, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<64x64xf32, [64, 1]>
  %yv = tile.view %y sizes [64, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<64x64xf32, [64, 1]>
  %zv = tile.view %z sizes [32, 64] strides [64, 1]
    : !tile.buffer<f32> -> !tile.view<32x64xf32, [64, 1]>
  %keys = tile.load %xv[%c0, %c0] dims [0, 1]
    : !tile.view<64x32xf32, [1152, 1]> -> tensor<64x32xf32>
  %values = tile.load %xv[%c0, %c0] dims [1, 0]
    : !tile.view<64x32xf32, [1152, 1]> -> tensor<32x64xf32>
  %few = tile.load %qv[%c0, %c0] dims [0, 1] {in_bounds = array<i64: 0, 1>}
    : !tile.view<64x64xf32, [64, 1]> -> tensor<32x64xf32>
  %all = tile.load %qv[%c0, %c0] dims [0, 1]
    : !tile.view<64x64xf32, [64, 1]> -> tensor<64x64xf32>
  %start = arith.constant dense<0.0> : tensor<64x64xf32>
  %zero = arith.constant dense<0.0> : tensor<32x64xf32>
  %logits = tile.mma %keys, %few, %start
    : tensor<64x32xf32>, tensor<32x64xf32>, tensor<64x64xf32>
  %product = tile.mma %values, %all, %zero
    : tensor<32x64xf32>, tensor<64x64xf32>, tensor<32x64xf32>
  tile.store %logits, %yv[%c0, %c0] dims [0, 1]
    : tensor<64x64xf32>, !tile.view<64x64xf32, [64, 1]>
  tile.store %product, %zv[%c0, %c0] dims [0, 1]
    : tensor<32x64xf32>, !tile.view<32x64xf32, [64, 1]>
  tile.return
}
