# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""int4 weights: the kernels against the same arithmetic in NumPy.

Weights lie on a grid of the format, so that their codes are known."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
import packed_check  # noqa: E402
from packed_check import RNG, F  # noqa: E402


def make_weight(k, n, group, zeros):
    """Whole groups use all of the 16 codes, so that the search finds the grid:
    scales are powers of two, which the candidates hold exactly."""
    codes = RNG.integers(0, 16, (k, n))
    groups = -(-k // group)
    scale = F(2) ** RNG.integers(-3, 1, (groups, n))
    zero = RNG.integers(3, 13, (groups, n)) if zeros else np.full((groups, n), 8)
    for g in range(groups):
        rows = codes[g * group:(g + 1) * group]
        if len(rows) > 1:
            rows[0], rows[1] = 0, 15
    expand = lambda x: np.repeat(x, group, axis=0)[:k]
    return (expand(scale) * (codes - expand(zero))).astype("f4")


def check(k, n, rows, group=128, zeros=False, decoded=False, transposed=False):
    spec = f"int4:{group}" + ":zeros" * zeros + ":float" * decoded
    packed_check.check(spec, make_weight(k, n, group, zeros), rows, group, transposed)


if __name__ == "__main__":
    check(64, 64, [1, 7], group=32)
    check(256, 130, [1, 4, 16, 100])
    check(260, 70, [1, 5], group=64)
    check(389, 65, [1, 9], group=64)
    check(390, 64, [3], group=64, zeros=True)
    check(256, 200, [1, 17], transposed=True)
    check(256, 96, [0, 1, 6, 70], decoded=True)
    check(389, 65, [1, 9], group=32, zeros=True, decoded=True)
    check(256, 64, [5], decoded=True, transposed=True)
