# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ternary weights: the kernels against the same arithmetic in NumPy, and weights
that are no -s, 0 and s as BitLinear layers round them in training."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
import packed_check  # noqa: E402
from packed_check import RNG, F  # noqa: E402


def check(k, n, rows, group=0, decoded=False, transposed=False):
    """Scales are no powers of two: they are stored as they are."""
    scale = RNG.uniform(0.01, 1, (-(-k // group), n) if group else (1, 1)).astype(F)
    weight = RNG.integers(-1, 2, (k, n)).astype(F)
    weight *= np.repeat(scale, group or k, axis=0)[:k]
    spec = "ternary" + f":{group}" * bool(group) + ":float" * decoded
    packed_check.check(spec, weight, rows, group or 128, transposed)


if __name__ == "__main__":
    check(64, 64, [1, 7])
    check(256, 130, [1, 4, 16, 100])
    check(1000, 70, [1, 5])
    check(260, 70, [0, 1, 5], group=64)
    check(389, 65, [1, 9], group=16)
    check(256, 200, [1, 17], transposed=True)
    check(389, 65, [1, 17], group=32, transposed=True)
    check(256, 96, [1, 6, 70], decoded=True)
    check(389, 65, [1, 9], group=32, decoded=True)
    check(256, 64, [5], decoded=True, transposed=True)
