// RUN: lathe-opt %s --cse --canonicalize | FileCheck %s
// RUN: not lathe-opt %s --no-such-pass 2>&1 | FileCheck %s --check-prefix=BAD

// The general passes are there, and dead code goes.

// CHECK-LABEL: func.func @twice
// CHECK-SAME:    (%[[X:.*]]: f32)
func.func @twice(%x: f32) -> f32 {
  // CHECK-NEXT: %[[S:.*]] = arith.addf %[[X]], %[[X]]
  // CHECK-NEXT: return %[[S]]
  %a = arith.addf %x, %x : f32
  %dead = arith.mulf %a, %a : f32
  return %a : f32
}

// BAD: Unknown command line argument '--no-such-pass'
