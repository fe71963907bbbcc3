// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: lathe-opt %s --graph-recognize-attention --mlir-print-local-scope \
// RUN:   --split-input-file | FileCheck %s
// RUN: lathe-opt %s --graph-recognize-attention --split-input-file \
// RUN:   --remark-policy=all --remarks-filter=graph-recognize-attention \
// RUN:   -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// BERT: the mask [batch, 1, 1, keys] stays an operand as it is.
// CHECK-LABEL: func.func @bert(
// CHECK: %[[K:.*]] = graph.transpose %arg1 [0, 1, 3, 2]
// CHECK: graph.attention %arg0, %[[K]], %arg2 mask %arg3
// CHECK-SAME: score(#graph.softmax<scale = 2.500000e-01>) select(#graph.dense)
// CHECK-NEXT: return
func.func @bert(%q: tensor<2x3x?x8xf32>, %kt: tensor<2x3x8x?xf32>,
    %v: tensor<2x3x?x8xf32>, %m: tensor<2x1x1x?xf32>) -> tensor<2x3x?x8xf32> {
  %c = graph.constant dense<4.0> : tensor<f32> : tensor<f32>
  %0 = graph.matmul %q, %kt
    : (tensor<2x3x?x8xf32>, tensor<2x3x8x?xf32>) -> tensor<2x3x?x?xf32>
  %1 = graph.div %0, %c
    : (tensor<2x3x?x?xf32>, tensor<f32>) -> tensor<2x3x?x?xf32>
  %2 = graph.add %1, %m
    : (tensor<2x3x?x?xf32>, tensor<2x1x1x?xf32>) -> tensor<2x3x?x?xf32>
  %3 = graph.softmax %2 axis 3 : tensor<2x3x?x?xf32>
  %4 = graph.matmul %3, %v
    : (tensor<2x3x?x?xf32>, tensor<2x3x?x8xf32>) -> tensor<2x3x?x8xf32>
  return %4 : tensor<2x3x?x8xf32>
}

// -----

// torch.nn.functional.scaled_dot_product_attention: sqrt(scale) on both sides,
// a boolean mask as minus infinity, zeros for rows that see nothing.
// CHECK-LABEL: func.func @sdpa(
// CHECK-NOT: graph.mul
// CHECK: %[[T:.*]] = graph.transpose %arg1 [0, 2, 1, 3]
// CHECK: graph.attention %arg0, %[[T]], %arg2 mask %arg3
// CHECK-SAME: #graph.softmax<scale = 2.500000e-01>
// CHECK-SAME: tensor<2x1x?x?xi1>
func.func @sdpa(%q: tensor<2x3x?x8xf32>, %k: tensor<2x?x3x8xf32>,
    %v: tensor<2x3x?x8xf32>, %m: tensor<2x1x?x?xi1>) -> tensor<2x3x?x8xf32> {
  %c = graph.constant dense<0.5> : tensor<f32> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32> : tensor<f32>
  %inf = graph.constant dense<0xFF800000> : tensor<f32> : tensor<f32>
  %0 = graph.mul %q, %c
    : (tensor<2x3x?x8xf32>, tensor<f32>) -> tensor<2x3x?x8xf32>
  %1 = graph.transpose %k [0, 2, 3, 1]
    : tensor<2x?x3x8xf32> -> tensor<2x3x8x?xf32>
  %2 = graph.mul %1, %c
    : (tensor<2x3x8x?xf32>, tensor<f32>) -> tensor<2x3x8x?xf32>
  %3 = graph.matmul %0, %2
    : (tensor<2x3x?x8xf32>, tensor<2x3x8x?xf32>) -> tensor<2x3x?x?xf32>
  %4 = graph.select %m, %zero, %inf
    : (tensor<2x1x?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<2x1x?x?xf32>
  %5 = graph.add %3, %4
    : (tensor<2x3x?x?xf32>, tensor<2x1x?x?xf32>) -> tensor<2x3x?x?xf32>
  %6 = graph.softmax %5 axis 3 : tensor<2x3x?x?xf32>
  %7 = graph.is_nan %6 : tensor<2x3x?x?xf32> -> tensor<2x3x?x?xi1>
  %8 = graph.select %7, %zero, %6
    : (tensor<2x3x?x?xi1>, tensor<f32>, tensor<2x3x?x?xf32>)
      -> tensor<2x3x?x?xf32>
  %9 = graph.matmul %8, %v
    : (tensor<2x3x?x?xf32>, tensor<2x3x?x8xf32>) -> tensor<2x3x?x8xf32>
  return %9 : tensor<2x3x?x8xf32>
}

// -----

// Llama: repeated key heads, and a causal mask by comparison of positions that
// is combined with padding.
// CHECK-LABEL: func.func @llama(
// CHECK: %[[K:.*]] = graph.reshape %{{.*}} to {{.*}} -> tensor<2x2x?x8xf32>
// CHECK: %[[V:.*]] = graph.reshape %{{.*}} to {{.*}} -> tensor<2x2x?x8xf32>
// CHECK: graph.attention %arg0, %[[K]], %[[V]] mask %arg3 score(
// CHECK-SAME: select(#graph.window<left = -1, right = 0>)
// CHECK-SAME: (tensor<2x6x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>,
// CHECK-SAME: tensor<2x1x1x?xi1>)
func.func @llama(%q: tensor<2x6x?x8xf32> {graph.dims =
      affine_map<()[s0] -> (2, 6, s0, 8)>},
    %k: tensor<2x2x?x8xf32> {graph.dims = affine_map<()[s0] -> (2, 2, s0, 8)>},
    %v: tensor<2x2x?x8xf32> {graph.dims = affine_map<()[s0] -> (2, 2, s0, 8)>},
    %pad: tensor<2x1x1x?xi1> {graph.dims = affine_map<()[s0] -> (2, 1, 1, s0)>})
    -> tensor<2x6x?x8xf32> attributes {graph.symbols = ["seq"]} {
  %c = graph.constant dense<0.35> : tensor<f32> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32> : tensor<f32>
  %low = graph.constant dense<0xFF800000> : tensor<f32> : tensor<f32>
  %i = graph.iota 0 size affine_map<()[s0] -> (s0)> : tensor<?xi64>
  %rows = graph.reshape %i to affine_map<()[s0] -> (s0, 1)>
    : tensor<?xi64> -> tensor<?x1xi64>
  %causal = graph.compare le %i, %rows
    : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %both = graph.and %pad, %causal
    : (tensor<2x1x1x?xi1>, tensor<?x?xi1>) -> tensor<2x1x?x?xi1>
  %m = graph.select %both, %zero, %low
    : (tensor<2x1x?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<2x1x?x?xf32>
  %k1 = graph.reshape %k to affine_map<()[s0] -> (2, 2, 1, s0, 8)>
    : tensor<2x2x?x8xf32> -> tensor<2x2x1x?x8xf32>
  %k2 = graph.broadcast %k1 to affine_map<()[s0] -> (2, 2, 3, s0, 8)>
    : tensor<2x2x1x?x8xf32> -> tensor<2x2x3x?x8xf32>
  %k3 = graph.reshape %k2 to affine_map<()[s0] -> (2, 6, s0, 8)>
    : tensor<2x2x3x?x8xf32> -> tensor<2x6x?x8xf32>
  %v1 = graph.reshape %v to affine_map<()[s0] -> (2, 2, 1, s0, 8)>
    : tensor<2x2x?x8xf32> -> tensor<2x2x1x?x8xf32>
  %v2 = graph.broadcast %v1 to affine_map<()[s0] -> (2, 2, 3, s0, 8)>
    : tensor<2x2x1x?x8xf32> -> tensor<2x2x3x?x8xf32>
  %v3 = graph.reshape %v2 to affine_map<()[s0] -> (2, 6, s0, 8)>
    : tensor<2x2x3x?x8xf32> -> tensor<2x6x?x8xf32>
  %kt = graph.transpose %k3 [0, 1, 3, 2]
    : tensor<2x6x?x8xf32> -> tensor<2x6x8x?xf32>
  %0 = graph.matmul %q, %kt
    : (tensor<2x6x?x8xf32>, tensor<2x6x8x?xf32>) -> tensor<2x6x?x?xf32>
  %1 = graph.mul %0, %c
    : (tensor<2x6x?x?xf32>, tensor<f32>) -> tensor<2x6x?x?xf32>
  %2 = graph.add %1, %m
    : (tensor<2x6x?x?xf32>, tensor<2x1x?x?xf32>) -> tensor<2x6x?x?xf32>
  %3 = graph.softmax %2 axis 3 : tensor<2x6x?x?xf32>
  %4 = graph.matmul %3, %v3
    : (tensor<2x6x?x?xf32>, tensor<2x6x?x8xf32>) -> tensor<2x6x?x8xf32>
  return %4 : tensor<2x6x?x8xf32>
}

// -----

// A logistic score with a bias.
// CHECK-LABEL: func.func @sigmoid(
// CHECK: graph.attention
// CHECK-SAME: score(#graph.sigmoid<scale = 5.000000e-01, bias = -2.000000e+00>)
func.func @sigmoid(%q: tensor<2x3x5x8xf32>, %kt: tensor<2x3x8x5xf32>,
    %v: tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> {
  %c = graph.constant dense<0.5> : tensor<f32> : tensor<f32>
  %b = graph.constant dense<-2.0> : tensor<1xf32> : tensor<1xf32>
  %0 = graph.matmul %q, %kt
    : (tensor<2x3x5x8xf32>, tensor<2x3x8x5xf32>) -> tensor<2x3x5x5xf32>
  %1 = graph.mul %0, %c
    : (tensor<2x3x5x5xf32>, tensor<f32>) -> tensor<2x3x5x5xf32>
  %2 = graph.add %1, %b
    : (tensor<2x3x5x5xf32>, tensor<1xf32>) -> tensor<2x3x5x5xf32>
  %3 = graph.logistic %2 : tensor<2x3x5x5xf32>
  %4 = graph.matmul %3, %v
    : (tensor<2x3x5x5xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32>
  return %4 : tensor<2x3x5x8xf32>
}

// -----

// Gemma's cap, and GPT-2's constant triangle as the condition.
// CHECK-LABEL: func.func @cap_and_triangle(
// CHECK: graph.attention %arg0, %{{.*}}, %arg2 score(#graph.softmax<scale =
// CHECK-SAME: 5.000000e-01, cap = 3.000000e+01>)
// CHECK-SAME: select(#graph.window<left = -1, right = 0>)
func.func @cap_and_triangle(%q: tensor<1x1x3x8xf32>, %kt: tensor<1x1x8x3xf32>,
    %v: tensor<1x1x3x8xf32>) -> tensor<1x1x3x8xf32> {
  %s = graph.constant dense<0.5> : tensor<f32> : tensor<f32>
  %c = graph.constant dense<30.0> : tensor<f32> : tensor<f32>
  %inf = graph.constant dense<0xFF800000> : tensor<f32> : tensor<f32>
  %t = graph.constant dense<[[[[true, false, false], [true, true, false],
      [true, true, true]]]]> : tensor<1x1x3x3xi1> : tensor<1x1x3x3xi1>
  %0 = graph.matmul %q, %kt
    : (tensor<1x1x3x8xf32>, tensor<1x1x8x3xf32>) -> tensor<1x1x3x3xf32>
  %1 = graph.mul %0, %s
    : (tensor<1x1x3x3xf32>, tensor<f32>) -> tensor<1x1x3x3xf32>
  %2 = graph.div %1, %c
    : (tensor<1x1x3x3xf32>, tensor<f32>) -> tensor<1x1x3x3xf32>
  %3 = graph.tanh %2 : tensor<1x1x3x3xf32>
  %4 = graph.mul %3, %c
    : (tensor<1x1x3x3xf32>, tensor<f32>) -> tensor<1x1x3x3xf32>
  %5 = graph.select %t, %4, %inf
    : (tensor<1x1x3x3xi1>, tensor<1x1x3x3xf32>, tensor<f32>)
      -> tensor<1x1x3x3xf32>
  %6 = graph.softmax %5 axis 3 : tensor<1x1x3x3xf32>
  %7 = graph.matmul %6, %v
    : (tensor<1x1x3x3xf32>, tensor<1x1x3x8xf32>) -> tensor<1x1x3x8xf32>
  return %7 : tensor<1x1x3x8xf32>
}

// -----

// A triangle that is not one stays a mask.
// CHECK-LABEL: func.func @no_triangle(
// CHECK: graph.attention {{.*}} mask %{{.*}} select(#graph.dense)
func.func @no_triangle(%q: tensor<1x1x2x8xf32>, %kt: tensor<1x1x8x2xf32>,
    %v: tensor<1x1x2x8xf32>) -> tensor<1x1x2x8xf32> {
  %inf = graph.constant dense<0xFF800000> : tensor<f32> : tensor<f32>
  %t = graph.constant dense<[[true, false], [false, true]]> : tensor<2x2xi1>
    : tensor<2x2xi1>
  %0 = graph.matmul %q, %kt
    : (tensor<1x1x2x8xf32>, tensor<1x1x8x2xf32>) -> tensor<1x1x2x2xf32>
  %1 = graph.select %t, %0, %inf
    : (tensor<2x2xi1>, tensor<1x1x2x2xf32>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %2 = graph.softmax %1 axis 3 : tensor<1x1x2x2xf32>
  %3 = graph.matmul %2, %v
    : (tensor<1x1x2x2xf32>, tensor<1x1x2x8xf32>) -> tensor<1x1x2x8xf32>
  return %3 : tensor<1x1x2x8xf32>
}

// -----

// REMARK: looks like an attention, but logits are scaled after masking
// CHECK-LABEL: func.func @scaled_mask(
// CHECK-NOT: graph.attention
func.func @scaled_mask(%q: tensor<1x1x2x8xf32>, %kt: tensor<1x1x8x2xf32>,
    %v: tensor<1x1x2x8xf32>, %m: tensor<1x1x2x2xf32>) -> tensor<1x1x2x8xf32> {
  %c = graph.constant dense<0.5> : tensor<f32> : tensor<f32>
  %0 = graph.matmul %q, %kt
    : (tensor<1x1x2x8xf32>, tensor<1x1x8x2xf32>) -> tensor<1x1x2x2xf32>
  %1 = graph.add %0, %m
    : (tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %2 = graph.mul %1, %c
    : (tensor<1x1x2x2xf32>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %3 = graph.softmax %2 axis 3 : tensor<1x1x2x2xf32>
  %4 = graph.matmul %3, %v
    : (tensor<1x1x2x2xf32>, tensor<1x1x2x8xf32>) -> tensor<1x1x2x8xf32>
  return %4 : tensor<1x1x2x8xf32>
}

// -----

// The same conditions with a finite number: where none of a row's keys is both
// causal and no padding, all keys weigh the same, also those after the query.
// So the causal rule may not become a selection.
// CHECK-LABEL: func.func @finite_fill(
// CHECK: %[[BOTH:.*]] = graph.and %arg3, %{{.*}}
// CHECK: %[[M:.*]] = graph.select %[[BOTH]]
// CHECK: graph.attention %arg0, %{{.*}}, %arg2 mask %[[M]] score(
// CHECK-SAME: select(#graph.dense)
func.func @finite_fill(
    %q: tensor<2x3x?x8xf32> {graph.dims = affine_map<()[s0] -> (2, 3, s0, 8)>},
    %k: tensor<2x3x8x?xf32> {graph.dims = affine_map<()[s0] -> (2, 3, 8, s0)>},
    %v: tensor<2x3x?x8xf32> {graph.dims = affine_map<()[s0] -> (2, 3, s0, 8)>},
    %pad: tensor<2x1x1x?xi1> {graph.dims = affine_map<()[s0] -> (2, 1, 1, s0)>})
    -> tensor<2x3x?x8xf32> attributes {graph.symbols = ["seq"]} {
  %zero = graph.constant dense<0.0> : tensor<f32> : tensor<f32>
  %low = graph.constant dense<-3.40282347E+38> : tensor<f32> : tensor<f32>
  %i = graph.iota 0 size affine_map<()[s0] -> (s0)> : tensor<?xi64>
  %rows = graph.reshape %i to affine_map<()[s0] -> (s0, 1)>
    : tensor<?xi64> -> tensor<?x1xi64>
  %causal = graph.compare le %i, %rows
    : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %both = graph.and %pad, %causal
    : (tensor<2x1x1x?xi1>, tensor<?x?xi1>) -> tensor<2x1x?x?xi1>
  %m = graph.select %both, %zero, %low
    : (tensor<2x1x?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<2x1x?x?xf32>
  %s = graph.matmul %q, %k
    : (tensor<2x3x?x8xf32>, tensor<2x3x8x?xf32>) -> tensor<2x3x?x?xf32>
  %l = graph.add %s, %m
    : (tensor<2x3x?x?xf32>, tensor<2x1x?x?xf32>) -> tensor<2x3x?x?xf32>
  %p = graph.softmax %l axis 3 : tensor<2x3x?x?xf32>
  %o = graph.matmul %p, %v
    : (tensor<2x3x?x?xf32>, tensor<2x3x?x8xf32>) -> tensor<2x3x?x8xf32>
  return %o : tensor<2x3x?x8xf32>
}

// -----

// A condition that no place of a query fails is dropped, whatever the number:
// the padding stays one row for all queries.
// CHECK-LABEL: func.func @always_visible(
// CHECK-NOT: graph.and
// CHECK: %[[M:.*]] = graph.select %arg3, {{.*}} -> tensor<2x1x1x?xf32>
// CHECK: graph.attention %arg0, %{{.*}}, %arg2 mask %[[M]] score(
func.func @always_visible(
    %q: tensor<2x3x?x8xf32> {graph.dims = affine_map<()[s0] -> (2, 3, s0, 8)>},
    %k: tensor<2x3x8x?xf32> {graph.dims = affine_map<()[s0] -> (2, 3, 8, s0)>},
    %v: tensor<2x3x?x8xf32> {graph.dims = affine_map<()[s0] -> (2, 3, s0, 8)>},
    %pad: tensor<2x1x1x?xi1> {graph.dims = affine_map<()[s0] -> (2, 1, 1, s0)>})
    -> tensor<2x3x?x8xf32> attributes {graph.symbols = ["seq"]} {
  %zero = graph.constant dense<0.0> : tensor<f32> : tensor<f32>
  %low = graph.constant dense<-3.40282347E+38> : tensor<f32> : tensor<f32>
  %first = graph.constant dense<0> : tensor<i64> : tensor<i64>
  %i = graph.iota 0 size affine_map<()[s0] -> (s0)> : tensor<?xi64>
  %rows = graph.reshape %i to affine_map<()[s0] -> (s0, 1)>
    : tensor<?xi64> -> tensor<?x1xi64>
  %all = graph.compare ge %rows, %first
    : (tensor<?x1xi64>, tensor<i64>) -> tensor<?x1xi1>
  %both = graph.and %pad, %all
    : (tensor<2x1x1x?xi1>, tensor<?x1xi1>) -> tensor<2x1x?x?xi1>
  %m = graph.select %both, %zero, %low
    : (tensor<2x1x?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<2x1x?x?xf32>
  %s = graph.matmul %q, %k
    : (tensor<2x3x?x8xf32>, tensor<2x3x8x?xf32>) -> tensor<2x3x?x?xf32>
  %l = graph.add %s, %m
    : (tensor<2x3x?x?xf32>, tensor<2x1x?x?xf32>) -> tensor<2x3x?x?xf32>
  %p = graph.softmax %l axis 3 : tensor<2x3x?x?xf32>
  %o = graph.matmul %p, %v
    : (tensor<2x3x?x?xf32>, tensor<2x3x?x8xf32>) -> tensor<2x3x?x8xf32>
  return %o : tensor<2x3x?x8xf32>
}

// -----

// REMARK: looks like an attention, but scores are kept in f32, which is not enough for f64
// CHECK-LABEL: func.func @f64(
// CHECK-NOT: graph.attention
func.func @f64(%q: tensor<1x2x4x8xf64>, %kt: tensor<1x2x8x4xf64>,
               %v: tensor<1x2x4x8xf64>) -> tensor<1x2x4x8xf64> {
  %s = graph.matmul %q, %kt
    : (tensor<1x2x4x8xf64>, tensor<1x2x8x4xf64>) -> tensor<1x2x4x4xf64>
  %p = graph.softmax %s axis 3 : tensor<1x2x4x4xf64>
  %o = graph.matmul %p, %v
    : (tensor<1x2x4x4xf64>, tensor<1x2x4x8xf64>) -> tensor<1x2x4x8xf64>
  return %o : tensor<1x2x4x8xf64>
}

// -----

// Learned queries of batch 1 (Perceiver, Q-Former): attention would ask for a
// batch of 1.
// REMARK: looks like an attention, but the batches of query, key and value are not equal
// CHECK-LABEL: func.func @query_of_batch_1(
// CHECK-NOT: graph.attention
func.func @query_of_batch_1(%q: tensor<1x2x4x8xf32>, %kt: tensor<3x2x8x5xf32>,
                            %v: tensor<3x2x5x8xf32>) -> tensor<3x2x4x8xf32> {
  %s = graph.matmul %q, %kt
    : (tensor<1x2x4x8xf32>, tensor<3x2x8x5xf32>) -> tensor<3x2x4x5xf32>
  %p = graph.softmax %s axis 3 : tensor<3x2x4x5xf32>
  %o = graph.matmul %p, %v
    : (tensor<3x2x4x5xf32>, tensor<3x2x5x8xf32>) -> tensor<3x2x4x8xf32>
  return %o : tensor<3x2x4x8xf32>
}

// -----

// REMARK: looks like an attention, but the batches of query, key and value are not equal
// CHECK-LABEL: func.func @value_of_batch_1(
// CHECK-NOT: graph.attention
func.func @value_of_batch_1(%q: tensor<?x2x4x8xf32>, %kt: tensor<?x2x8x5xf32>,
                            %v: tensor<1x2x5x8xf32>) -> tensor<?x2x4x8xf32> {
  %s = graph.matmul %q, %kt
    : (tensor<?x2x4x8xf32>, tensor<?x2x8x5xf32>) -> tensor<?x2x4x5xf32>
  %p = graph.softmax %s axis 3 : tensor<?x2x4x5xf32>
  %o = graph.matmul %p, %v
    : (tensor<?x2x4x5xf32>, tensor<1x2x5x8xf32>) -> tensor<?x2x4x8xf32>
  return %o : tensor<?x2x4x8xf32>
}

// -----

// REMARK: looks like an attention, but the scores are broadcast to the mask
// CHECK-LABEL: func.func @mask_of_larger_batch(
// CHECK-NOT: graph.attention
func.func @mask_of_larger_batch(%q: tensor<1x2x4x8xf32>,
    %kt: tensor<1x2x8x5xf32>, %v: tensor<1x2x5x8xf32>,
    %m: tensor<?x1x1x5xf32>) -> tensor<?x2x4x8xf32> {
  %s = graph.matmul %q, %kt
    : (tensor<1x2x4x8xf32>, tensor<1x2x8x5xf32>) -> tensor<1x2x4x5xf32>
  %l = graph.add %s, %m
    : (tensor<1x2x4x5xf32>, tensor<?x1x1x5xf32>) -> tensor<?x2x4x5xf32>
  %p = graph.softmax %l axis 3 : tensor<?x2x4x5xf32>
  %o = graph.matmul %p, %v
    : (tensor<?x2x4x5xf32>, tensor<1x2x5x8xf32>) -> tensor<?x2x4x8xf32>
  return %o : tensor<?x2x4x8xf32>
}

// -----

// One head of keys for all queries is what attention does itself.
// CHECK-LABEL: func.func @one_key_head(
// CHECK: graph.attention %arg0
func.func @one_key_head(%q: tensor<3x4x6x8xf32>, %kt: tensor<3x1x8x5xf32>,
                        %v: tensor<3x1x5x8xf32>) -> tensor<3x4x6x8xf32> {
  %s = graph.matmul %q, %kt
    : (tensor<3x4x6x8xf32>, tensor<3x1x8x5xf32>) -> tensor<3x4x6x5xf32>
  %p = graph.softmax %s axis 3 : tensor<3x4x6x5xf32>
  %o = graph.matmul %p, %v
    : (tensor<3x4x6x5xf32>, tensor<3x1x5x8xf32>) -> tensor<3x4x6x8xf32>
  return %o : tensor<3x4x6x8xf32>
}

// -----

// One head of queries for several of keys is not.
// REMARK: looks like an attention, but the heads of the query are broadcast
// CHECK-LABEL: func.func @one_query_head(
// CHECK-NOT: graph.attention
func.func @one_query_head(%q: tensor<3x1x6x8xf32>, %kt: tensor<3x4x8x5xf32>,
                          %v: tensor<3x4x5x8xf32>) -> tensor<3x4x6x8xf32> {
  %s = graph.matmul %q, %kt
    : (tensor<3x1x6x8xf32>, tensor<3x4x8x5xf32>) -> tensor<3x4x6x5xf32>
  %p = graph.softmax %s axis 3 : tensor<3x4x6x5xf32>
  %o = graph.matmul %p, %v
    : (tensor<3x4x6x5xf32>, tensor<3x4x5x8xf32>) -> tensor<3x4x6x8xf32>
  return %o : tensor<3x4x6x8xf32>
}

// -----

// Only the keys show their repetition: both keep their heads, of which no more
// is known than that their number is dynamic.
// CHECK-LABEL: func.func @repeated_keys_only(
// CHECK: %[[BROADCAST:.*]] = graph.broadcast
// CHECK: %[[KEYS:.*]] = graph.reshape %[[BROADCAST]]
// CHECK: graph.attention %arg0, %[[KEYS]], %arg2
func.func @repeated_keys_only(
    %q: tensor<2x?x6x8xf32>
      {graph.dims = affine_map<()[s0] -> (2, s0 * 3, 6, 8)>},
    %k: tensor<2x?x5x8xf32> {graph.dims = affine_map<()[s0] -> (2, s0, 5, 8)>},
    %v: tensor<2x?x5x8xf32>
      {graph.dims = affine_map<()[s0] -> (2, s0 * 3, 5, 8)>})
    -> tensor<2x?x6x8xf32> attributes {graph.symbols = ["groups"]} {
  %k1 = graph.reshape %k to affine_map<()[s0] -> (2, s0, 1, 5, 8)>
    : tensor<2x?x5x8xf32> -> tensor<2x?x1x5x8xf32>
  %k2 = graph.broadcast %k1 to affine_map<()[s0] -> (2, s0, 3, 5, 8)>
    : tensor<2x?x1x5x8xf32> -> tensor<2x?x3x5x8xf32>
  %k3 = graph.reshape %k2 to affine_map<()[s0] -> (2, s0 * 3, 5, 8)>
    : tensor<2x?x3x5x8xf32> -> tensor<2x?x5x8xf32>
  %kt = graph.transpose %k3 [0, 1, 3, 2]
    : tensor<2x?x5x8xf32> -> tensor<2x?x8x5xf32>
  %s = graph.matmul %q, %kt
    : (tensor<2x?x6x8xf32>, tensor<2x?x8x5xf32>) -> tensor<2x?x6x5xf32>
  %p = graph.softmax %s axis 3 : tensor<2x?x6x5xf32>
  %o = graph.matmul %p, %v
    : (tensor<2x?x6x5xf32>, tensor<2x?x5x8xf32>) -> tensor<2x?x6x8xf32>
  return %o : tensor<2x?x6x8xf32>
}

// -----

// A factor of f32 per head (Swin v2) would lose digits on the f16 queries.
// REMARK: looks like an attention, but logits are multiplied by a tensor of another element type than the query's, which would be rounded
// CHECK-LABEL: func.func @wide_factor(
// CHECK-NOT: graph.attention
func.func @wide_factor(%q: tensor<1x2x4x8xf16>, %kt: tensor<1x2x8x4xf16>,
    %v: tensor<1x2x4x8xf16>, %f: tensor<2x1x1xf32>) -> tensor<1x2x4x8xf16> {
  %s = graph.matmul %q, %kt
    : (tensor<1x2x4x8xf16>, tensor<1x2x8x4xf16>) -> tensor<1x2x4x4xf16>
  %w = graph.cast %s : tensor<1x2x4x4xf16> -> tensor<1x2x4x4xf32>
  %l = graph.mul %w, %f
    : (tensor<1x2x4x4xf32>, tensor<2x1x1xf32>) -> tensor<1x2x4x4xf32>
  %p = graph.softmax %l axis 3 : tensor<1x2x4x4xf32>
  %n = graph.cast %p : tensor<1x2x4x4xf32> -> tensor<1x2x4x4xf16>
  %o = graph.matmul %n, %v
    : (tensor<1x2x4x4xf16>, tensor<1x2x4x8xf16>) -> tensor<1x2x4x8xf16>
  return %o : tensor<1x2x4x8xf16>
}

// -----

// A bias of f16 before the cast, a mask of f32 and a condition after it.
// CHECK-LABEL: func.func @bias_before_cast(
// CHECK: %[[WIDE:.*]] = graph.cast %arg3 : tensor<2x4x4xf16> -> tensor<2x4x4xf32>
// CHECK: %[[SUM:.*]] = graph.add %[[WIDE]], %arg4
// CHECK: %[[ALL:.*]] = graph.select %arg5, %[[SUM]],
// CHECK: graph.attention {{.*}} mask %[[ALL]]
func.func @bias_before_cast(%q: tensor<1x2x4x8xf16>, %kt: tensor<1x2x8x4xf16>,
    %v: tensor<1x2x4x8xf16>, %bias: tensor<2x4x4xf16>, %m: tensor<4xf32>,
    %c: tensor<4xi1>) -> tensor<1x2x4x8xf16> {
  %inf = graph.constant dense<0xFF800000> : tensor<f32> : tensor<f32>
  %s = graph.matmul %q, %kt
    : (tensor<1x2x4x8xf16>, tensor<1x2x8x4xf16>) -> tensor<1x2x4x4xf16>
  %b = graph.add %s, %bias
    : (tensor<1x2x4x4xf16>, tensor<2x4x4xf16>) -> tensor<1x2x4x4xf16>
  %w = graph.cast %b : tensor<1x2x4x4xf16> -> tensor<1x2x4x4xf32>
  %l = graph.add %w, %m
    : (tensor<1x2x4x4xf32>, tensor<4xf32>) -> tensor<1x2x4x4xf32>
  %h = graph.select %c, %l, %inf
    : (tensor<4xi1>, tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4x4xf32>
  %p = graph.softmax %h axis 3 : tensor<1x2x4x4xf32>
  %n = graph.cast %p : tensor<1x2x4x4xf32> -> tensor<1x2x4x4xf16>
  %o = graph.matmul %n, %v
    : (tensor<1x2x4x4xf16>, tensor<1x2x4x8xf16>) -> tensor<1x2x4x8xf16>
  return %o : tensor<1x2x4x8xf16>
}

// -----

// PyTorch 2 transposes keys with batch and heads as one dim; heads that were
// repeated show behind it.
// CHECK-LABEL: func.func @merged_heads(
// CHECK-DAG: %[[K:.*]] = graph.reshape %arg1 {{.*}} -> tensor<?x2x5x8xf32>
// CHECK-DAG: %[[V:.*]] = graph.reshape %arg2 {{.*}} -> tensor<?x2x5x8xf32>
// CHECK: graph.attention %arg0, %[[K]], %[[V]] score
func.func @merged_heads(
    %q: tensor<?x4x5x8xf32> {graph.dims = affine_map<()[s0] -> (s0, 4, 5, 8)>},
    %k: tensor<?x2x1x5x8xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 2, 1, 5, 8)>},
    %v: tensor<?x2x1x5x8xf32> {
      graph.dims = affine_map<()[s0] -> (s0, 2, 1, 5, 8)>})
    -> tensor<?x4x5x8xf32> attributes {graph.symbols = ["batch"]} {
  %0 = graph.broadcast %k to affine_map<()[s0] -> (s0, 2, 2, 5, 8)>
    : tensor<?x2x1x5x8xf32> -> tensor<?x2x2x5x8xf32>
  %1 = graph.reshape %0 to affine_map<()[s0] -> (s0 * 4, 5, 8)>
    : tensor<?x2x2x5x8xf32> -> tensor<?x5x8xf32>
  %2 = graph.transpose %1 [0, 2, 1] : tensor<?x5x8xf32> -> tensor<?x8x5xf32>
  %3 = graph.reshape %2 to affine_map<()[s0] -> (s0, 4, 8, 5)>
    : tensor<?x8x5xf32> -> tensor<?x4x8x5xf32>
  %4 = graph.broadcast %v to affine_map<()[s0] -> (s0, 2, 2, 5, 8)>
    : tensor<?x2x1x5x8xf32> -> tensor<?x2x2x5x8xf32>
  %5 = graph.reshape %4 to affine_map<()[s0] -> (s0, 4, 5, 8)>
    : tensor<?x2x2x5x8xf32> -> tensor<?x4x5x8xf32>
  %6 = graph.matmul %q, %3
    : (tensor<?x4x5x8xf32>, tensor<?x4x8x5xf32>) -> tensor<?x4x5x5xf32>
  %7 = graph.softmax %6 axis 3 : tensor<?x4x5x5xf32>
  %8 = graph.matmul %7, %5
    : (tensor<?x4x5x5xf32>, tensor<?x4x5x8xf32>) -> tensor<?x4x5x8xf32>
  return %8 : tensor<?x4x5x8xf32>
}

// -----

// A number that does not absorb the logits: a row that sees nothing weighs all
// keys alike, so what is added is one that does.
// CHECK-LABEL: func.func @weak_fill(
// CHECK: %[[A:.*]] = graph.constant dense<-1.000000e+30>
// CHECK: %[[M:.*]] = graph.select %arg3, %{{.*}}, %[[A]]
// CHECK: graph.attention %arg0, %{{.*}}, %arg2 mask %[[M]] score(
func.func @weak_fill(%q: tensor<1x2x4x8xf32>, %kt: tensor<1x2x8x4xf32>,
                     %v: tensor<1x2x4x8xf32>, %pad: tensor<1x1x1x4xi1>)
    -> tensor<1x2x4x8xf32> {
  %fill = graph.constant dense<-1.0e+04> : tensor<f32> : tensor<f32>
  %s = graph.matmul %q, %kt
    : (tensor<1x2x4x8xf32>, tensor<1x2x8x4xf32>) -> tensor<1x2x4x4xf32>
  %m = graph.select %pad, %s, %fill
    : (tensor<1x1x1x4xi1>, tensor<1x2x4x4xf32>, tensor<f32>)
      -> tensor<1x2x4x4xf32>
  %p = graph.softmax %m axis 3 : tensor<1x2x4x4xf32>
  %o = graph.matmul %p, %v
    : (tensor<1x2x4x4xf32>, tensor<1x2x4x8xf32>) -> tensor<1x2x4x8xf32>
  return %o : tensor<1x2x4x8xf32>
}

// -----

// What is added to such a number later tells hidden keys apart.
// REMARK: looks like an attention, but a mask is added to logits that were replaced by -10000, which does not absorb it
// CHECK-LABEL: func.func @weak_fill_and_mask(
// CHECK-NOT: graph.attention
// CHECK: return
func.func @weak_fill_and_mask(
    %q: tensor<1x2x4x8xf32>, %kt: tensor<1x2x8x4xf32>, %v: tensor<1x2x4x8xf32>,
    %pad: tensor<1x1x1x4xi1>, %bias: tensor<1x1x1x4xf32>)
    -> tensor<1x2x4x8xf32> {
  %fill = graph.constant dense<-1.0e+04> : tensor<f32> : tensor<f32>
  %s = graph.matmul %q, %kt
    : (tensor<1x2x4x8xf32>, tensor<1x2x8x4xf32>) -> tensor<1x2x4x4xf32>
  %m = graph.select %pad, %s, %fill
    : (tensor<1x1x1x4xi1>, tensor<1x2x4x4xf32>, tensor<f32>)
      -> tensor<1x2x4x4xf32>
  %l = graph.add %m, %bias
    : (tensor<1x2x4x4xf32>, tensor<1x1x1x4xf32>) -> tensor<1x2x4x4xf32>
  %p = graph.softmax %l axis 3 : tensor<1x2x4x4xf32>
  %o = graph.matmul %p, %v
    : (tensor<1x2x4x4xf32>, tensor<1x2x4x8xf32>) -> tensor<1x2x4x8xf32>
  return %o : tensor<1x2x4x8xf32>
}

// -----

// PyTorch's exporter: where a triangle of ones is zero, the lowest number is
// added.
// CHECK-LABEL: func.func @triangle_of_ones(
// CHECK: graph.attention %arg0, %{{.*}}, %arg2 score(#graph.softmax<scale = 1.0
// CHECK-SAME: select(#graph.window<left = -1, right = 0>)
func.func @triangle_of_ones(%q: tensor<1x2x4x8xf16>, %kt: tensor<1x2x8x4xf16>,
    %v: tensor<1x2x4x8xf16>) -> tensor<1x2x4x8xf16> {
  %ones = graph.constant dense<1.0> : tensor<4x4xf32> : tensor<4x4xf32>
  %none = graph.constant dense<0.0> : tensor<f32> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f16> : tensor<f16>
  %low = graph.constant dense<-65504.0> : tensor<f16> : tensor<f16>
  %k = graph.constant dense<0> : tensor<i64> : tensor<i64>
  %i = graph.iota 0 size affine_map<() -> (4)> : tensor<4xi64>
  %row = graph.reshape %i to affine_map<() -> (4, 1)>
    : tensor<4xi64> -> tensor<4x1xi64>
  %column = graph.reshape %i to affine_map<() -> (1, 4)>
    : tensor<4xi64> -> tensor<1x4xi64>
  %d = graph.sub %column, %row
    : (tensor<1x4xi64>, tensor<4x1xi64>) -> tensor<4x4xi64>
  %keep = graph.compare le %d, %k
    : (tensor<4x4xi64>, tensor<i64>) -> tensor<4x4xi1>
  %tri = graph.select %keep, %ones, %none
    : (tensor<4x4xi1>, tensor<4x4xf32>, tensor<f32>) -> tensor<4x4xf32>
  %hidden = graph.compare eq %tri, %none
    : (tensor<4x4xf32>, tensor<f32>) -> tensor<4x4xi1>
  %m = graph.select %hidden, %low, %zero
    : (tensor<4x4xi1>, tensor<f16>, tensor<f16>) -> tensor<4x4xf16>
  %s = graph.matmul %q, %kt
    : (tensor<1x2x4x8xf16>, tensor<1x2x8x4xf16>) -> tensor<1x2x4x4xf16>
  %l = graph.add %s, %m
    : (tensor<1x2x4x4xf16>, tensor<4x4xf16>) -> tensor<1x2x4x4xf16>
  %p = graph.softmax %l axis 3 : tensor<1x2x4x4xf16>
  %o = graph.matmul %p, %v
    : (tensor<1x2x4x4xf16>, tensor<1x2x4x8xf16>) -> tensor<1x2x4x8xf16>
  return %o : tensor<1x2x4x8xf16>
}

// -----

// A constant that is added: zeros, and large negative numbers above the diagonal.
// CHECK-LABEL: func.func @added_triangle(
// CHECK: graph.attention %arg0, %{{.*}}, %arg2 score(#graph.softmax<scale = 1.0
// CHECK-SAME: select(#graph.window<left = -1, right = 0>)
func.func @added_triangle(%q: tensor<1x2x3x8xf16>, %kt: tensor<1x2x8x3xf16>,
    %v: tensor<1x2x3x8xf16>) -> tensor<1x2x3x8xf16> {
  %m = graph.constant dense<[[[[0.0, 0xFC00, -65504.0], [0.0, 0.0, 0xFC00],
      [0.0, 0.0, 0.0]]]]> : tensor<1x1x3x3xf16> : tensor<1x1x3x3xf16>
  %s = graph.matmul %q, %kt
    : (tensor<1x2x3x8xf16>, tensor<1x2x8x3xf16>) -> tensor<1x2x3x3xf16>
  %l = graph.add %s, %m
    : (tensor<1x2x3x3xf16>, tensor<1x1x3x3xf16>) -> tensor<1x2x3x3xf16>
  %p = graph.softmax %l axis 3 : tensor<1x2x3x3xf16>
  %o = graph.matmul %p, %v
    : (tensor<1x2x3x3xf16>, tensor<1x2x3x8xf16>) -> tensor<1x2x3x8xf16>
  return %o : tensor<1x2x3x8xf16>
}

// -----

// A smaller number below the diagonal is no rule about positions.
// CHECK-LABEL: func.func @added_bias(
// CHECK: graph.attention {{.*}} mask %{{.*}} select(#graph.dense)
func.func @added_bias(%q: tensor<1x2x2x8xf16>, %kt: tensor<1x2x8x2xf16>,
    %v: tensor<1x2x2x8xf16>) -> tensor<1x2x2x8xf16> {
  %m = graph.constant dense<[[0.0, 0xFC00], [-1.0, 0.0]]> : tensor<2x2xf16>
    : tensor<2x2xf16>
  %s = graph.matmul %q, %kt
    : (tensor<1x2x2x8xf16>, tensor<1x2x8x2xf16>) -> tensor<1x2x2x2xf16>
  %l = graph.add %s, %m
    : (tensor<1x2x2x2xf16>, tensor<2x2xf16>) -> tensor<1x2x2x2xf16>
  %p = graph.softmax %l axis 3 : tensor<1x2x2x2xf16>
  %o = graph.matmul %p, %v
    : (tensor<1x2x2x2xf16>, tensor<1x2x2x8xf16>) -> tensor<1x2x2x8xf16>
  return %o : tensor<1x2x2x8xf16>
}
