// RUN: lathe-opt %s --split-input-file --verify-diagnostics

plan.program @pack_rank symbols [] inputs [] outputs [] () {
  // expected-error @+1 {{'pack' has 2 dims, the value 1}}
  %w = plan.constant dense<1.0> : tensor<8xf32>
    pack <blocks = [1, 4], outer = [0, 1], inner = [0, 1]>
    : !plan.buffer<f32, () -> (1, 2, 1, 4)>
  plan.return
}

// -----

plan.program @filter_of_one symbols [] inputs [] outputs [] () {
  // expected-error @+1 {{'winograd' samples filters of 3x3, dim 2 of the value is 1 long}}
  %w = plan.constant dense<1.0> : tensor<8x4x1x1xf32>
    pack <blocks = [1, 1, 1, 1], outer = [2, 3, 1, 0], inner = [2, 3, 1, 0],
          winograd = [4, 2, 3]>
    : !plan.buffer<f32, () -> (6, 6, 4, 8, 1, 1, 1, 1)>
  plan.return
}

// -----

plan.program @filter_of_five symbols [] inputs [] outputs [] () {
  // expected-error @+1 {{'winograd' samples filters of 3x3, dim 3 of the value is 5 long}}
  %w = plan.constant dense<1.0> : tensor<8x4x3x5xf32>
    pack <blocks = [1, 1, 1, 1], outer = [2, 3, 1, 0], inner = [2, 3, 1, 0],
          winograd = [2, 2, 3]>
    : !plan.buffer<f32, () -> (4, 4, 4, 8, 1, 1, 1, 1)>
  plan.return
}

// -----

plan.program @filter_of_bf16 symbols [] inputs [] outputs [] () {
  // expected-error @+1 {{'winograd' samples f32 values without encoding, got 'tensor<8x4x3x3xbf16>'}}
  %w = plan.constant dense<1.0> : tensor<8x4x3x3xbf16>
    pack <blocks = [1, 1, 1, 1], outer = [2, 3, 1, 0], inner = [2, 3, 1, 0],
          winograd = [2, 2, 3]>
    : !plan.buffer<bf16, () -> (4, 4, 4, 8, 1, 1, 1, 1)>
  plan.return
}

// -----

plan.program @encoded_filter symbols [] inputs [] outputs [] () {
  // expected-error @+1 {{'winograd' samples f32 values without encoding, got 'tensor<3x3xf32>' with an encoding}}
  %w = plan.constant dense<1.0> : tensor<3x3xf32>
    encoding #graph.int8<axis = 1, group = 128> buffer "codes"
    pack <blocks = [1, 1], outer = [0, 1], inner = [0, 1], winograd = [2, 0, 1]>
    : !plan.buffer<i8, () -> (4, 4, 1, 1)>
  plan.return
}
