// RUN: lathe-opt %s --cuda-lower-tile --split-input-file --verify-diagnostics

tile.kernel @floats(%x: !tile.buffer<f6E2M3FN>) schedule <strategy = "test", tile = []> {
  %c0 = arith.constant 0 : index
  %v = tile.view %x sizes [4] strides [1] : !tile.buffer<f6E2M3FN> -> !tile.view<4xf6E2M3FN, [1]>
  // expected-error@+1 {{has elements of 'f6E2M3FN', which tiles on CUDA cannot hold}}
  %t = tile.load %v[%c0] dims [0] : !tile.view<4xf6E2M3FN, [1]> -> tensor<4xf6E2M3FN>
  tile.return
}

// -----

// expected-error@+1 {{asks for 3 warps; CUDA allows powers of two up to 32}}
tile.kernel @warps() schedule <strategy = "test", tile = [], warps = 3> {
  tile.return
}
