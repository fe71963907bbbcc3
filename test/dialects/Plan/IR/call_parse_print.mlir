// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --split-input-file --verify-diagnostics \
// RUN:   --mlir-print-local-scope | FileCheck %s

// CHECK-LABEL: plan.program @main
plan.program @main symbols ["n"] inputs ["x"] outputs ["y"]
    (%x: !plan.buffer<f32, ()[s0] -> (s0)>) {
  %y = plan.alloc : !plan.buffer<f32, ()[s0] -> (s0)>
  // CHECK: plan.call [#plan.callee<program = @half, when = affine_set<()[s0] : (s0 - 8 >= 0)>>, #plan.callee<program = @half>]
  // CHECK-SAME: symbols affine_map<()[s0] -> (s0)>
  plan.call [#plan.callee<program = @half,
               when = affine_set<()[s0] : (s0 - 8 >= 0)>>,
             #plan.callee<program = @half>]
    symbols affine_map<()[s0] -> (s0)> reads (%x) writes (%y) label "branch"
    : (!plan.buffer<f32, ()[s0] -> (s0)>)
    -> (!plan.buffer<f32, ()[s0] -> (s0)>)
  plan.return %y : !plan.buffer<f32, ()[s0] -> (s0)>
}
// CHECK: plan.program @half
// CHECK-SAME: attributes {given = 1 : i64}
plan.program @half symbols ["n"] inputs ["x"] outputs ["y"]
    (%x: !plan.buffer<f32, ()[s0] -> (s0)>) attributes {given = 1 : i64} {
  plan.return %x : !plan.buffer<f32, ()[s0] -> (s0)>
}

// -----

plan.program @main symbols ["n"] inputs ["x"] outputs []
    (%x: !plan.buffer<f32, ()[s0] -> (s0)>) {
  // expected-error@+1 {{needs an internal program called @main}}
  plan.call [#plan.callee<program = @main>] symbols affine_map<() -> ()>
    reads (%x) writes () label "" : (!plan.buffer<f32, ()[s0] -> (s0)>) -> ()
  plan.return
}

// -----

plan.program @main symbols ["n"] inputs ["x"] outputs []
    (%x: !plan.buffer<f32, ()[s0] -> (s0)>) {
  // expected-error@+1 {{gives 0 symbols, @other is given 1}}
  plan.call [#plan.callee<program = @other>] symbols affine_map<() -> ()>
    reads (%x) writes () label "" : (!plan.buffer<f32, ()[s0] -> (s0)>) -> ()
  plan.return
}
plan.program @other symbols ["n"] inputs ["x"] outputs []
    (%x: !plan.buffer<f32, ()[s0] -> (s0)>) attributes {given = 1 : i64} {
  plan.return
}

// -----

plan.program @other symbols ["n"] inputs [] outputs [] ()
    attributes {given = 0 : i64} {
  plan.return
}
plan.program @main symbols ["n"] inputs ["x"] outputs []
    (%x: !plan.buffer<f32, ()[s0] -> (s0)>) {
  // expected-error@+1 {{must stand before the program it runs, @other}}
  plan.loop @other symbols affine_map<() -> ()> carried () reads () writes ()
    label "" : () () -> ()
  plan.return
}
