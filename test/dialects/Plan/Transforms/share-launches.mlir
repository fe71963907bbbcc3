// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --plan-share-launches | FileCheck %s

!x = !plan.buffer<f32, ()[s0] -> (s0, 8)>

tile.kernel @prepare(%x: !tile.buffer<f32>,
                     %y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "contract", tile = [1, 8]> {
  tile.return
}

// The second of three equal launches goes, with its buffer; the third one has
// other scalars.

// CHECK-LABEL: plan.program @shared
// CHECK: %[[A:.*]] = plan.alloc
// CHECK: reads(%[[X:.*]]) writes(%[[A]]) label "first"
// CHECK: %[[C:.*]] = plan.alloc
// CHECK-NOT: "second"
// CHECK: reads(%[[X]]) writes(%[[C]]) label "third"
// CHECK: plan.return %[[A]], %[[A]], %[[C]]
plan.program @shared symbols ["n"] inputs ["x"] outputs ["a", "b", "c"]
    (%x: !x) {
  %a = plan.alloc : !x
  plan.launch [#plan.choice<kernel = @prepare, grid = ()[s0] -> (s0, 1, 1)>]
    scalars affine_map<()[s0] -> (s0)> reads (%x) writes (%a) label "first"
    : (!x) -> (!x)
  %b = plan.alloc : !x
  plan.launch [#plan.choice<kernel = @prepare, grid = ()[s0] -> (s0, 1, 1)>]
    scalars affine_map<()[s0] -> (s0)> reads (%x) writes (%b) label "second"
    : (!x) -> (!x)
  %c = plan.alloc : !x
  plan.launch [#plan.choice<kernel = @prepare, grid = ()[s0] -> (s0, 1, 1)>]
    scalars affine_map<()[s0] -> (s0 + 1)> reads (%x) writes (%c) label "third"
    : (!x) -> (!x)
  plan.return %a, %b, %c : !x, !x, !x
}

// A buffer that is written in between, or in parts, is left alone.

// CHECK-LABEL: plan.program @written
// CHECK: label "first"
// CHECK: label "half"
// CHECK: label "second"
// CHECK: label "other half"
plan.program @written symbols ["n"] inputs ["x"] outputs ["a", "b"] (%x: !x) {
  %y = plan.alloc : !x
  plan.launch [#plan.choice<kernel = @prepare, grid = ()[s0] -> (s0, 1, 1)>]
    scalars affine_map<()[s0] -> ()> reads (%x) writes (%y) label "y"
    : (!x) -> (!x)
  %a = plan.alloc : !x
  plan.launch [#plan.choice<kernel = @prepare, grid = ()[s0] -> (s0, 1, 1)>]
    scalars affine_map<()[s0] -> ()> reads (%y) writes (%a) label "first"
    : (!x) -> (!x)
  plan.launch [#plan.choice<kernel = @prepare, grid = ()[s0] -> (s0, 1, 1)>]
    scalars affine_map<()[s0] -> ()> reads (%a) writes (%y) label "half"
    : (!x) -> (!x)
  %b = plan.alloc : !x
  plan.launch [#plan.choice<kernel = @prepare, grid = ()[s0] -> (s0, 1, 1)>]
    scalars affine_map<()[s0] -> ()> reads (%y) writes (%b) label "second"
    : (!x) -> (!x)
  plan.launch [#plan.choice<kernel = @prepare, grid = ()[s0] -> (s0, 1, 1)>]
    scalars affine_map<()[s0] -> ()> reads (%x) writes (%b) label "other half"
    : (!x) -> (!x)
  plan.return %a, %b : !x, !x
}
