// RUN: lathe-opt %s --cuda-lower-math | FileCheck %s

// CHECK-DAG: llvm.func @__nv_tanhf(f32) -> f32
// CHECK-DAG: llvm.func @__nv_pow(f64, f64) -> f64
// CHECK-DAG: llvm.func @__nv_fmodf(f32, f32) -> f32

// What PTX has an instruction for stays.
// CHECK-LABEL: func @functions
// CHECK: llvm.call @__nv_tanhf(%arg0) : (f32) -> f32
// CHECK: llvm.call @__nv_pow(%arg1, %arg1) : (f64, f64) -> f64
// CHECK: llvm.call @__nv_fmodf
// CHECK: math.sqrt
// CHECK-NOT: math.tanh
func.func @functions(%x: f32, %y: f64) -> (f32, f64, f32, f32) {
  %0 = math.tanh %x : f32
  %1 = math.powf %y, %y : f64
  %2 = arith.remf %x, %x : f32
  %3 = math.sqrt %x : f32
  return %0, %1, %2, %3 : f32, f64, f32, f32
}

// CHECK-LABEL: func @rough
// CHECK: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"(%arg0)
// CHECK: llvm.call_intrinsic "llvm.tanh.f32"({{.*}}) {fastmathFlags = #llvm.fastmath<afn>}
// CHECK: llvm.call @__nv_exp2(%arg1)
func.func @rough(%x: f32, %y: f64) -> (f32, f64) {
  %0 = math.exp2 %x fastmath<afn> : f32
  %1 = math.tanh %0 fastmath<afn> : f32
  %2 = math.exp2 %y fastmath<afn> : f64
  return %1, %2 : f32, f64
}

// CHECK-LABEL: func @inverses
// CHECK: llvm.call @__nv_asinhf(%arg0) : (f32) -> f32
// CHECK: llvm.call @__nv_acoshf(%arg0) : (f32) -> f32
// CHECK: llvm.call @__nv_atanhf(%arg0) : (f32) -> f32
// CHECK: llvm.call @__nv_cbrt(%arg1) : (f64) -> f64
func.func @inverses(%x: f32, %y: f64) -> (f32, f32, f32, f64) {
  %0 = math.asinh %x : f32
  %1 = math.acosh %x : f32
  %2 = math.atanh %x : f32
  %3 = math.cbrt %y : f64
  return %0, %1, %2, %3 : f32, f32, f32, f64
}

// CHECK-LABEL: func @divisions
// CHECK-NOT: floordivsi
// CHECK-NOT: ceildivsi
func.func @divisions(%x: index, %y: index) -> (index, index) {
  %0 = arith.floordivsi %x, %y : index
  %1 = arith.ceildivsi %x, %y : index
  return %0, %1 : index, index
}
