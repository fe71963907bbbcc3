// RUN: lathe-opt %s | lathe-opt | FileCheck %s

// Attention as the attention strategy emits it on CPUs: a program is 64 queries
// (in the lanes) of one head. Per block of keys: S^T = K . Q^T, the running
// maximum and sum are vertical, O^T += V^T . P^T. Q, K, V and the result lie as
// the projections wrote them, [batch, seq, 12 * 32]; the additive mask
// [batch, seq] is the accumulator's start. Whole blocks of 128 keys run without
// position masks, the rest in masked blocks of 32.

// CHECK-LABEL: tile.kernel @attention_softmax
tile.kernel @attention_softmax(
    %q: !tile.buffer<f32>, %k: !tile.buffer<f32>, %v: !tile.buffer<f32>,
    %mask: !tile.buffer<f32>, %y: !tile.buffer<f32> {tile.written},
    %batch: index, %queries: index, %keys: index)
    schedule <strategy = "attention", tile = [64, 128, 32]> {
  %c0 = arith.constant 0 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c384 = arith.constant 384 : index
  %block = tile.program_id 0
  %h = tile.program_id 1
  %n = tile.program_id 2
  %q0 = arith.muli %block, %c64 : index
  %qs = arith.muli %queries, %c384 : index
  %ks = arith.muli %keys, %c384 : index
  %qv = tile.view %q sizes [%batch, 12, %queries, 32] strides [%qs, 32, 384, 1]
    : !tile.buffer<f32> -> !tile.view<?x12x?x32xf32, [?, 32, 384, 1]>
  %kv = tile.view %k sizes [%batch, 12, %keys, 32] strides [%ks, 32, 384, 1]
    : !tile.buffer<f32> -> !tile.view<?x12x?x32xf32, [?, 32, 384, 1]>
  %vv = tile.view %v sizes [%batch, 12, %keys, 32] strides [%ks, 32, 384, 1]
    : !tile.buffer<f32> -> !tile.view<?x12x?x32xf32, [?, 32, 384, 1]>
  %yv = tile.view %y sizes [%batch, 12, %queries, 32] strides [%qs, 32, 384, 1]
    : !tile.buffer<f32> -> !tile.view<?x12x?x32xf32, [?, 32, 384, 1]>
  %mv = tile.view %mask sizes [%batch, %keys] strides [%keys, 1]
    : !tile.buffer<f32> -> !tile.view<?x?xf32, [?, 1]>
  // CHECK: tile.load {{.*}} dims [3, 2]
  %q1 = tile.load %qv[%n, %h, %q0, %c0] dims [3, 2]
    : !tile.view<?x12x?x32xf32, [?, 32, 384, 1]> -> tensor<32x64xf32>
  %scale = arith.constant dense<0.17677669> : tensor<32x64xf32>
  %qt = arith.mulf %q1, %scale : tensor<32x64xf32>
  %lowest = arith.constant dense<-3.40282347e+38> : tensor<64xf32>
  %none = arith.constant dense<0.0> : tensor<64xf32>
  %empty = arith.constant dense<0.0> : tensor<32x64xf32>
  %count = arith.divui %keys, %c128 : index
  %whole = arith.muli %count, %c128 : index
  %a:3 = scf.for %key = %c0 to %whole step %c128
      iter_args(%m0 = %lowest, %l0 = %none, %o0 = %empty)
      -> (tensor<64xf32>, tensor<64xf32>, tensor<32x64xf32>) {
    %bias = tile.load %mv[%n, %key] dims [1, -1] {in_bounds = array<i64: 0>}
      : !tile.view<?x?xf32, [?, 1]> -> tensor<128x64xf32>
    %kt = tile.load %kv[%n, %h, %key, %c0] dims [2, 3] {in_bounds = array<i64: 0, 1>}
      : !tile.view<?x12x?x32xf32, [?, 32, 384, 1]> -> tensor<128x32xf32>
    // CHECK: tile.mma
    %s = tile.mma %kt, %qt, %bias
      : tensor<128x32xf32>, tensor<32x64xf32>, tensor<128x64xf32>
    // CHECK: tile.reduce max
    %bm = tile.reduce max %s axis 0 : tensor<128x64xf32> -> tensor<64xf32>
    %m1 = arith.maximumf %m0, %bm : tensor<64xf32>
    %mb = tile.broadcast %m1 dims [1] : tensor<64xf32> -> tensor<128x64xf32>
    %d = arith.subf %s, %mb : tensor<128x64xf32>
    %p = math.exp %d : tensor<128x64xf32>
    %dm = arith.subf %m0, %m1 : tensor<64xf32>
    %alpha = math.exp %dm : tensor<64xf32>
    %bl = tile.reduce add %p axis 0 : tensor<128x64xf32> -> tensor<64xf32>
    %l1 = arith.mulf %l0, %alpha : tensor<64xf32>
    %l2 = arith.addf %l1, %bl : tensor<64xf32>
    %ab = tile.broadcast %alpha dims [1] : tensor<64xf32> -> tensor<32x64xf32>
    %o1 = arith.mulf %o0, %ab : tensor<32x64xf32>
    %vt = tile.load %vv[%n, %h, %key, %c0] dims [3, 2] {in_bounds = array<i64: 0, 1>}
      : !tile.view<?x12x?x32xf32, [?, 32, 384, 1]> -> tensor<32x128xf32>
    %o2 = tile.mma %vt, %p, %o1
      : tensor<32x128xf32>, tensor<128x64xf32>, tensor<32x64xf32>
    scf.yield %m1, %l2, %o2
      : tensor<64xf32>, tensor<64xf32>, tensor<32x64xf32>
  }
  %b:3 = scf.for %key = %whole to %keys step %c32
      iter_args(%m0 = %a#0, %l0 = %a#1, %o0 = %a#2)
      -> (tensor<64xf32>, tensor<64xf32>, tensor<32x64xf32>) {
    %bias = tile.load %mv[%n, %key] dims [1, -1]
      : !tile.view<?x?xf32, [?, 1]> -> tensor<32x64xf32>
    %kt = tile.load %kv[%n, %h, %key, %c0] dims [2, 3] {in_bounds = array<i64: 1>}
      : !tile.view<?x12x?x32xf32, [?, 32, 384, 1]> -> tensor<32x32xf32>
    // CHECK: tile.mma
    %s1 = tile.mma %kt, %qt, %bias
      : tensor<32x32xf32>, tensor<32x64xf32>, tensor<32x64xf32>
    %position = tile.iota 0 : tensor<32x64xindex>
    %left = arith.subi %keys, %key : index
    %limit = tile.splat %left : index -> tensor<32x64xindex>
    %seen = arith.cmpi slt, %position, %limit : tensor<32x64xindex>
    %hidden = arith.constant dense<0xFF800000> : tensor<32x64xf32>
    %s = arith.select %seen, %s1, %hidden : tensor<32x64xi1>, tensor<32x64xf32>
    // CHECK: tile.reduce max
    %bm = tile.reduce max %s axis 0 : tensor<32x64xf32> -> tensor<64xf32>
    %m1 = arith.maximumf %m0, %bm : tensor<64xf32>
    %mb = tile.broadcast %m1 dims [1] : tensor<64xf32> -> tensor<32x64xf32>
    %d = arith.subf %s, %mb : tensor<32x64xf32>
    %p = math.exp %d : tensor<32x64xf32>
    %dm = arith.subf %m0, %m1 : tensor<64xf32>
    %alpha = math.exp %dm : tensor<64xf32>
    %bl = tile.reduce add %p axis 0 : tensor<32x64xf32> -> tensor<64xf32>
    %l1 = arith.mulf %l0, %alpha : tensor<64xf32>
    %l2 = arith.addf %l1, %bl : tensor<64xf32>
    %ab = tile.broadcast %alpha dims [1] : tensor<64xf32> -> tensor<32x64xf32>
    %o1 = arith.mulf %o0, %ab : tensor<32x64xf32>
    %vt = tile.load %vv[%n, %h, %key, %c0] dims [3, 2] {in_bounds = array<i64: 0>}
      : !tile.view<?x12x?x32xf32, [?, 32, 384, 1]> -> tensor<32x32xf32>
    %o2 = tile.mma %vt, %p, %o1
      : tensor<32x32xf32>, tensor<32x64xf32>, tensor<32x64xf32>
    scf.yield %m1, %l2, %o2
      : tensor<64xf32>, tensor<64xf32>, tensor<32x64xf32>
  }
  %one = arith.constant dense<1.0> : tensor<64xf32>
  %nothing = arith.cmpf oeq, %b#1, %none : tensor<64xf32>
  %sum = arith.select %nothing, %one, %b#1 : tensor<64xi1>, tensor<64xf32>
  %inverse = arith.divf %one, %sum : tensor<64xf32>
  %ib = tile.broadcast %inverse dims [1] : tensor<64xf32> -> tensor<32x64xf32>
  %o = arith.mulf %b#2, %ib : tensor<32x64xf32>
  // CHECK: tile.store {{.*}} dims [3, 2]
  tile.store %o, %yv[%n, %h, %q0, %c0] dims [3, 2] {in_bounds = array<i64: 0>}
    : tensor<32x64xf32>, !tile.view<?x12x?x32xf32, [?, 32, 384, 1]>
  tile.return
}
