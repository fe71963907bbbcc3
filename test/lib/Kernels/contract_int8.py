# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Dynamic int8: the kernels against the same arithmetic in NumPy."""

import os
import sys
import tempfile

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import LEVEL, Model, run  # noqa: E402

RNG = np.random.default_rng(29)
F = np.float32


GROUP = 128


def quantized_product(x, w):
    """Per group of k: a scale and an offset for each row of x, a scale for each
    column of w."""
    total = np.zeros((x.shape[0], w.shape[1]))
    for first in range(0, w.shape[0], GROUP):
        xg, wg = x[:, first:first + GROUP], w[first:first + GROUP]
        low = xg.min(axis=1, keepdims=True)
        high = xg.max(axis=1, keepdims=True)
        rows = (high - low) / F(255)
        codes = np.rint(np.divide(xg - low, rows, out=np.zeros_like(xg),
                                  where=rows != 0))
        columns = np.abs(wg).max(axis=0) / F(127)
        weights = np.rint(wg / columns) * columns.astype("f8")
        total += (codes.astype("f8") * rows + low) @ weights
    return total


def check(k, n, rows, center=0):
    model = Model()
    x = model.input("x", F, ["m", k])
    weight = RNG.normal(size=(k, n)).astype("f4")
    bias = RNG.normal(size=n).astype("f4")
    y = model.node("MatMul", [x, model.constant(weight)])
    y = model.node("Add", [y, model.constant(bias)])
    model.output(y, F, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model.build(), path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe",
            "--weights", "int8", "--target", "x86:cpu=" + LEVEL)
        for m in rows:
            data = (center + RNG.normal(size=(m, k))).astype("f4")
            data[m // 2] = 0 if m > 1 else data[0]
            np.savez(path + ".in.npz", x=data)
            run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
                "--outputs", path + ".out.npz", "--guard")
            got = np.load(path + ".out.npz")[y]
            want = quantized_product(data, weight) + bias
            # A quotient on the border between two codes may round either way.
            step = np.ptp(data) / 255 * np.abs(weight).max()
            assert got.shape == want.shape
            assert np.abs(got - want).max() <= step * 1.01, (k, n, m)
            assert np.mean(np.abs(got - want)) <= step * 0.01, (k, n, m)


if __name__ == "__main__":
    check(64, 64, [1, 7])
    check(3, 2000, [1, 2])
    check(386, 130, [1, 5, 100])
    check(512, 64, [13])
    # Far from zero: the range of a group cut short is that of its values.
    check(129, 64, [1, 6], center=20)
    check(200, 40, [5], center=-50)
