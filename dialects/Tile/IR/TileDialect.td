// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `tile` dialect: one kernel, as a grid of programs that move, multiply
// and reduce tiles.

#ifndef LATHE_DIALECTS_TILE_IR_TILEDIALECT_TD
#define LATHE_DIALECTS_TILE_IR_TILEDIALECT_TD

include "mlir/IR/OpBase.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let summary = "Kernels as grids of programs on tiles";
  let description = [{
    A `tile.kernel` is a grid of *programs*. A program has no threads, lanes,
    registers or shared memory; it loads *tiles* (tensors of static shape, so
    that `arith` and `math` apply as they are) from *views* of its buffers,
    computes, and stores tiles. The main loop is `scf.for` with tile-valued
    iteration arguments; choices by position are `scf.if`.

    ```mlir
    tile.kernel @linear(%x: !tile.buffer<f32>, %w: !tile.buffer<f32>,
                        %y: !tile.buffer<f32>, %m: index)
        schedule <strategy = "contract", tile = [6, 64, 1]> {
      %i = tile.program_id 0
      %j = tile.program_id 1
      %row = arith.muli %i, %c6 : index
      %col = arith.muli %j, %c64 : index
      %xv = tile.view %x sizes [%m, 384] strides [384, 1]
        : !tile.buffer<f32> -> !tile.view<?x384xf32, [384, 1]>
      %wv = tile.view %w sizes [24, 384, 64] strides [24576, 64, 1] : ...
      %acc = scf.for %k = %c0 to %c384 step %c1 iter_args(%c = %zero)
          -> (tensor<6x64xf32>) {
        %a = tile.load %xv[%row, %k] dims [0, 1] : ... -> tensor<6x1xf32>
        %b = tile.load %wv[%j, %k, %c0] dims [1, 2] : ... -> tensor<1x64xf32>
        %d = tile.mma %a, %b, %c
          : tensor<6x1xf32>, tensor<1x64xf32>, tensor<6x64xf32>
        scf.yield %d : tensor<6x64xf32>
      }
      tile.store %acc, %yv[%row, %col] dims [0, 1] : tensor<6x64xf32>, ...
      tile.return
    }
    ```

    The dialect refuses to model: the model's ops, devices, instructions, and
    anything dynamic inside a tile.
  }];
  let cppNamespace = "::lathe::tile";
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasRegionArgAttrVerify = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::scf::SCFDialect"];
}

#endif // LATHE_DIALECTS_TILE_IR_TILEDIALECT_TD
