// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --verify-diagnostics \
// RUN:   --mlir-print-local-scope | FileCheck %s

!any = !plan.buffer<f32, ()[s0] -> (s0)>

// CHECK-LABEL: plan.program @main
plan.program @main symbols ["n"] inputs ["x"] outputs ["y"] (%x: !any) {
  %y = plan.alloc : !any
  // CHECK: plan.call [#plan.callee<program = @half, when = affine_set<()[s0] : (s0 - 8 == 0)>>, #plan.callee<program = @half>]
  // CHECK-SAME: symbols affine_map<()[s0] -> (s0)>
  // CHECK-SAME: reads(%{{.*}} : !plan.buffer<f32, ()[s0] -> (s0)>)
  plan.call [#plan.callee<program = @half,
               when = affine_set<()[s0] : (s0 - 8 == 0)>>,
             #plan.callee<program = @half>]
    symbols affine_map<()[s0] -> (s0)> reads (%x : !any) writes (%y : !any)
    label "branch"
  plan.return %y : !any
}
// CHECK: plan.program @half
// CHECK-SAME: attributes {given = 1 : i64}
plan.program @half symbols ["n"] inputs ["x"] outputs ["y"] (%x: !any)
    attributes {given = 1 : i64} {
  plan.return %x : !any
}

// -----

plan.program @main symbols ["n"] inputs [] outputs [] () {
  // expected-error@+1 {{needs an internal program called @main}}
  plan.call [#plan.callee<program = @main>] symbols affine_map<() -> ()>
    reads () writes () label ""
  plan.return
}

// -----

plan.program @main symbols ["n"] inputs [] outputs [] () {
  // expected-error@+1 {{gives 0 symbols, @other is given 1}}
  plan.call [#plan.callee<program = @other>] symbols affine_map<() -> ()>
    reads () writes () label ""
  plan.return
}
plan.program @other symbols ["n"] inputs [] outputs [] ()
    attributes {given = 1 : i64} {
  plan.return
}

// -----

plan.program @other symbols ["n"] inputs [] outputs [] ()
    attributes {given = 0 : i64} {
  plan.return
}
plan.program @main symbols ["n"] inputs [] outputs [] () {
  // expected-error@+1 {{must stand before the program it runs, @other}}
  plan.loop @other symbols affine_map<() -> ()> carried () reads () writes ()
    label ""
  plan.return
}
