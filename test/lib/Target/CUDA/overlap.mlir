// RUN: lathe-opt %s --cuda-lower-tile=level=sm_90a | FileCheck %s
// RUN: lathe-opt %s --cuda-lower-tile=level=sm_80 | FileCheck %s --check-prefix=NONE

// Before anything is read, a kernel waits for those before it, which may be
// running, and lets those after it wait in their turn.
// CHECK-LABEL: llvm.func @fill
// CHECK-SAME: tile.overlaps
// CHECK-NEXT: nvvm.griddepcontrol wait
// CHECK-NEXT: nvvm.griddepcontrol launch_dependents
// CHECK: llvm.store
// NONE-NOT: tile.overlaps
// NONE-NOT: griddepcontrol
tile.kernel @fill(%y: !tile.buffer<f32> {tile.written})
    schedule <strategy = "test", tile = []> {
  %c0 = arith.constant 0 : index
  %v = arith.constant dense<1.0> : tensor<128xf32>
  %w = tile.view %y sizes [128] strides [1] : !tile.buffer<f32> -> !tile.view<128xf32, [1]>
  tile.store %v, %w[%c0] dims [0] : tensor<128xf32>, !tile.view<128xf32, [1]>
  tile.return
}
