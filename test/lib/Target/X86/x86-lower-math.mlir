// RUN: lathe-opt --x86-lower-math --split-input-file --verify-diagnostics %s \
// RUN:   | FileCheck %s
// RUN: lathe-opt --x86-lower-math=avx512=true --split-input-file \
// RUN:   --verify-diagnostics %s | FileCheck %s --check-prefix=AVX512

// Powers of two are made in integer registers, or by AVX-512's vscalefps.
// CHECK-LABEL: func.func @exp
// CHECK-NOT: math.exp
// CHECK: math.roundeven
// CHECK: math.fma
// CHECK: arith.shli
// AVX512-LABEL: func.func @exp
// AVX512: llvm.x86.avx512.mask.scalef.ps.512
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp %x : vector<16xf32>
  return %y : vector<16xf32>
}

// Conversions round by themselves.
// AVX512-LABEL: func.func @round
// AVX512-NOT: math.roundeven
// AVX512: llvm.x86.avx512.mask.cvtps2dq.512
func.func @round(%x: vector<16xf32>) -> vector<16xi32> {
  %y = math.roundeven %x : vector<16xf32>
  %z = arith.fptosi %y : vector<16xf32> to vector<16xi32>
  return %z : vector<16xi32>
}

// CHECK-LABEL: func.func @round_half
// CHECK: math.roundeven
// CHECK-NOT: arith.fptosi
// CHECK: llvm.x86.avx.cvt.ps2dq.256
func.func @round_half(%x: vector<8xf32>) -> (vector<8xi32>, vector<8xf32>) {
  %y = math.roundeven %x : vector<8xf32>
  %z = arith.fptosi %y : vector<8xf32> to vector<8xi32>
  return %z, %y : vector<8xi32>, vector<8xf32>
}

// Functions without an f32 form are computed in f64; scalars as vectors are.
// Large angles, if any, are reduced by a function of integers.
// CHECK-LABEL: func.func @sin
// CHECK: arith.extf {{.*}} : f32 to f64
// CHECK-NOT: math.sin
// CHECK: scf.if
// CHECK: func.call @lathe_reduce_angle
// CHECK: arith.truncf {{.*}} : f64 to f32
func.func @sin(%x: f32) -> f32 {
  %y = math.sin %x : f32
  return %y : f32
}

// A vector tests all lanes at once.
// CHECK-LABEL: func.func @cos
// CHECK: %[[ANY:.*]] = vector.reduction <or>
// CHECK: scf.if %[[ANY]]
// CHECK: scf.for
func.func @cos(%x: vector<4xf64>) -> vector<4xf64> {
  %y = math.cos %x : vector<4xf64>
  return %y : vector<4xf64>
}

// What has an instruction stays.
// CHECK-LABEL: func.func @sqrt
// CHECK: math.sqrt
func.func @sqrt(%x: vector<8xf32>) -> vector<8xf32> {
  %y = math.sqrt %x : vector<8xf32>
  return %y : vector<8xf32>
}

// -----

func.func @erf(%x: f64) -> f64 {
  // expected-error @+1 {{on f64 has no x86 lowering; f32 has}}
  %y = math.erf %x : f64
  return %y : f64
}
