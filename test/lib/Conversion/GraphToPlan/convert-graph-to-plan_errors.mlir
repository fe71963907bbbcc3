// RUN: lathe-opt %s --split-input-file --verify-diagnostics --convert-graph-to-plan

// All ops without a kernel are reported, not only the first; what depends on
// them is not.

func.func @errors(%a: tensor<i64>, %b: tensor<i64>, %c: tensor<i64>)
    -> (tensor<?xi64>, tensor<?xi64>) {
  // expected-error @+1 {{cannot be compiled: graph.dynamic_iota: neither elementwise nor a view}}
  %y = graph.dynamic_iota %a, %b, %c
    : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  // expected-error @+1 {{cannot be compiled: graph.dynamic_iota: neither elementwise nor a view}}
  %z = graph.dynamic_iota %b, %b, %c
    : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %n = graph.neg %z : tensor<?xi64>
  return %y, %n : tensor<?xi64>, tensor<?xi64>
}
