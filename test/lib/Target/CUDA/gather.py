# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Loads of gathered rows: of one row as of several, whose rows are aligned or not
(the emulator's wide accesses fault where they are not)."""

import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "Inputs"))
from emulator import Kernels  # noqa: E402


def check(rng, rows, columns, width, is_static):
    """Rows of `width` elements, of which the tile has `columns`."""
    size = str(width) if is_static else "?"
    stride = width if is_static else "%w"
    tile = f"tensor<{rows}x{columns}xf32>"
    kernels = Kernels(f"""
tile.kernel @f(%ids: !tile.buffer<i64>, %x: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {{tile.written}}, %v: index, %w: index)
    schedule <strategy = "test", tile = []> {{
  %c0 = arith.constant 0 : index
  %i = tile.program_id 0
  %crows = arith.constant {rows} : index
  %row = arith.muli %i, %crows : index
  %iv = tile.view %ids sizes [16] strides [1]
    : !tile.buffer<i64> -> !tile.view<16xi64, [1]>
  %xv = tile.view %x sizes [%v, {stride}] strides [{stride}, 1]
    : !tile.buffer<f32> -> !tile.view<?x{size}xf32, [{size}, 1]>
  %yv = tile.view %y sizes [16, {columns}] strides [{columns}, 1]
    : !tile.buffer<f32> -> !tile.view<16x{columns}xf32, [{columns}, 1]>
  %n = tile.load %iv[%row] dims [0]
    : !tile.view<16xi64, [1]> -> tensor<{rows}xi64>
  %g = arith.index_cast %n : tensor<{rows}xi64> to tensor<{rows}xindex>
  %t = tile.load %xv[%c0, %c0] dims [0, 1] gather %g : tensor<{rows}xindex> at 0
    pad -1.0 : f32 : !tile.view<?x{size}xf32, [{size}, 1]> -> {tile}
  tile.store %t, %yv[%row, %c0] dims [0, 1]
    : {tile}, !tile.view<16x{columns}xf32, [{columns}, 1]>
  tile.return
}}""", "sm_80")
    table = rng.standard_normal((30, width)).astype(np.float32)
    which = rng.integers(-3, 33, 16)
    y = np.zeros((16, columns), np.float32)
    kernels.run("f", [which, table, y], [30, width], [16 // rows])
    valid = (which >= 0) & (which < 30)
    want = np.where(valid[:, None], table[np.clip(which, 0, 29), :columns], -1)
    assert np.array_equal(y, want), (rows, columns, width, is_static)


def main():
    rng = np.random.default_rng(29)
    for rows in (1, 4):
        for columns, width in [(512, 512), (512, 515), (512, 518), (256, 257), (8, 9)]:
            for is_static in (True, False):
                check(rng, rows, columns, width, is_static)


main()
