// RUN: lathe-opt %s --cuda-lower-math --verify-diagnostics

func.func @power(%x: i32) -> i32 {
  // expected-error@+1 {{has no CUDA lowering}}
  %0 = math.ipowi %x, %x : i32
  return %0 : i32
}
