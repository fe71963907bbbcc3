// RUN: lathe-opt %s --graph-form-groups \
// RUN:   --convert-graph-to-plan=capability=gpu64 --canonicalize --cse -o %t.mlir
// RUN: FileCheck %s --check-prefix=ROWS < %t.mlir
// RUN: sed -n '/^  tile.kernel/,/^  }/p' %t.mlir \
// RUN:   | lathe-opt --cuda-lower-tile=level=sm_90a --canonicalize --cse \
// RUN:   | FileCheck %s

// Queries are rows, multiplied as they are stored; the sigmoid hides no key.
// ROWS: tile.kernel @attention_sigmoid_64(
// ROWS-SAME: tile = [192, 128, 128], warps = 12
// ROWS: %[[Q:[0-9]+]] = tile.load {{.*}} dims [2, 3] {{.*}} -> tensor<192x64xbf16>
// ROWS: scf.for
// ROWS: %[[K:[0-9]+]] = tile.load {{.*}} dims [3, 2] {{.*}} -> tensor<64x128xbf16>
// ROWS: %[[S:[0-9]+]] = tile.mma %[[Q]], %[[K]],
// ROWS: math.fma %[[S]],
// ROWS: math.tanh {{.*}} fastmath<afn>
// ROWS-NOT: arith.select
// ROWS: %[[V:[0-9]+]] = tile.load {{.*}} dims [2, 3] {{.*}} -> tensor<128x64xbf16>
// ROWS: %[[P:[0-9]+]] = arith.truncf
// ROWS: tile.mma %[[P]], %[[V]],
// ROWS: tile.store

// Three warpgroups multiply, a fourth one loads Q, K and V; O leaves as boxes.
// CHECK-LABEL: llvm.func @attention_sigmoid_64(
// CHECK-SAME: nvvm.reqntid = array<i32: 512>
// CHECK-SAME: tile.grid = "persistent"
// CHECK-SAME: {box = array<i64: 64, 192, 1, 1>, buffer = 0 : i64
// CHECK-SAME: {box = array<i64: 64, 128, 1, 1>, buffer = 1 : i64
// CHECK-SAME: {box = array<i64: 64, 128, 1, 1>, buffer = 2 : i64
// CHECK-SAME: {box = array<i64: 64, 64, 1, 1>, buffer = 3 : i64
// CHECK: nvvm.setmaxregister decrease
// CHECK-COUNT-3: nvvm.cp.async.bulk.tensor.shared.cluster.global
// The first block's scores, then those of the next one beside the outputs of the
// one before, whose weights come from registers.
// CHECK: nvvm.setmaxregister increase
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: math.tanh
// CHECK: scf.for
// CHECK: nvvm.barrier id
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16
// CHECK: nvvm.barrier.arrive
// CHECK: wgmma.wait_group.sync.aligned 1;
// CHECK: math.tanh
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: cvt.rn.bf16x2.f32
// CHECK: nvvm.stmatrix
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta

// 257 keys are three blocks of 96, of which the third one hides what is beyond:
// two loops, though both have a known number of trips. Few programs have one
// warpgroup each.
// ROWS: tile.kernel @attention_softmax_64(
// ROWS-SAME: tile = [64, 96, 96]
// ROWS-COUNT-2: scf.for
// ROWS: tile.store

// CHECK-LABEL: llvm.func @attention_softmax_64(
// CHECK-SAME: nvvm.reqntid = array<i32: 256>
// CHECK-SAME: {box = array<i64: 64, 96, 1, 1>, buffer = 1 : i64
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n96k16.f32.f16.f16
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: scf.for
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n96k16.f32.f16.f16
// CHECK-COUNT-6: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16
// CHECK: scf.for
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n96k16.f32.f16.f16
// CHECK-COUNT-6: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta

// A head of 80 values is a box and a part of one, which reads as zeros; a list of
// blocks gives each program its own keys.
// CHECK-LABEL: llvm.func @attention_softmax_80_blocks(
// CHECK-SAME: sizes = array<i64: 80, -1, 256, -1
// CHECK: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16
// CHECK: wgmma.mma_async.sync.aligned.m64n80k16.f32.bf16.bf16
// CHECK-NOT: nvvm.mma.sync

// A mask of truth values comes by copies of its own, a box for each block of keys.
// Each warp frees it when its threads have read it, while Q K^T is computed.
// CHECK-LABEL: llvm.func @attention_softmax_64_mask(
// CHECK-SAME: {box = array<i64: 64, 128, 1>, buffer = 1 : i64, element = i8
// CHECK-SAME: swizzle = 64 : i64
// CHECK: nvvm.setmaxregister decrease
// CHECK-COUNT-4: nvvm.cp.async.bulk.tensor.shared.cluster.global
// CHECK: nvvm.setmaxregister increase
// CHECK: scf.for
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16
// CHECK-COUNT-16: llvm.load {{.*}} : !llvm.ptr<3> -> vector<2xi8>
// CHECK: nvvm.bar.warp.sync
// CHECK: mbarrier.arrive
// CHECK: wgmma.wait_group.sync.aligned 1;
func.func @sigmoid(%q: tensor<4x8x4096x64xbf16> {graph.name = "q"},
                   %k: tensor<4x8x4096x64xbf16> {graph.name = "k"},
                   %v: tensor<4x8x4096x64xbf16> {graph.name = "v"})
    -> (tensor<4x8x4096x64xbf16> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %k, %v
      score(#graph.sigmoid<scale = 0.125, bias = -8.0>) select(#graph.dense)
    : (tensor<4x8x4096x64xbf16>, tensor<4x8x4096x64xbf16>,
       tensor<4x8x4096x64xbf16>) -> tensor<4x8x4096x64xbf16>
  return %0 : tensor<4x8x4096x64xbf16>
}

func.func @edge(%q: tensor<1x8x257x64xf16> {graph.name = "q"},
                %k: tensor<1x8x257x64xf16> {graph.name = "k"},
                %v: tensor<1x8x257x64xf16> {graph.name = "v"})
    -> (tensor<1x8x257x64xf16> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %k, %v
      score(#graph.softmax<scale = 0.125>) select(#graph.dense)
    : (tensor<1x8x257x64xf16>, tensor<1x8x257x64xf16>,
       tensor<1x8x257x64xf16>) -> tensor<1x8x257x64xf16>
  return %0 : tensor<1x8x257x64xf16>
}

func.func @blocks(%q: tensor<1x8x256x80xbf16> {graph.name = "q"},
                  %k: tensor<1x8x256x80xbf16> {graph.name = "k"},
                  %v: tensor<1x8x256x80xbf16> {graph.name = "v"})
    -> (tensor<1x8x256x80xbf16> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %k, %v
      score(#graph.softmax<scale = 0.125>)
      select(#graph.block_list<block = 64, heads = 1, rows = 4,
                               rowOffsets = [0, 1, 3, 5, 7],
                               columns = [0, 0, 1, 0, 2, 0, 3]>)
    : (tensor<1x8x256x80xbf16>, tensor<1x8x256x80xbf16>,
       tensor<1x8x256x80xbf16>) -> tensor<1x8x256x80xbf16>
  return %0 : tensor<1x8x256x80xbf16>
}

func.func @masked(%q: tensor<1x8x512x64xf16> {graph.name = "q"},
                  %k: tensor<1x8x528x64xf16> {graph.name = "k"},
                  %v: tensor<1x8x528x64xf16> {graph.name = "v"},
                  %m: tensor<1x1x512x528xi1> {graph.name = "m"})
    -> (tensor<1x8x512x64xf16> {graph.name = "y"})
    attributes {graph.symbols = []} {
  %0 = graph.attention %q, %k, %v mask %m
      score(#graph.softmax<scale = 0.125>) select(#graph.dense)
    : (tensor<1x8x512x64xf16>, tensor<1x8x528x64xf16>,
       tensor<1x8x528x64xf16>, tensor<1x1x512x528xi1>) -> tensor<1x8x512x64xf16>
  return %0 : tensor<1x8x512x64xf16>
}
