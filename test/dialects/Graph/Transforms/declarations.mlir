// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-infer-shapes --graph-fold-constants \
// RUN:   --graph-simplify-indexing --graph-recognize-norms \
// RUN:   --graph-recognize-activations --graph-recognize-attention \
// RUN:   --graph-sparsify-attention=pattern=window:block=4,local=2 \
// RUN:   --graph-linear-to-contract --graph-propagate-layout \
// RUN:   --graph-propagate-transposes --graph-quantize-weights \
// RUN:   --graph-narrow-weights --graph-form-groups \
// RUN:   --graph-narrow-activations | FileCheck %s

// No pass asks a declaration for its body.
// CHECK: func.func private @f(tensor<4xf32>) -> tensor<4xf32>
func.func private @f(tensor<4xf32>) -> tensor<4xf32>
