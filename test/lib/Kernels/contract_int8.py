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
from model_check import Model, run  # noqa: E402

RNG = np.random.default_rng(29)
F = np.float32


def quantized_product(x, w):
    """One scale per row of x and per column of w; sums in integers."""
    rows = np.abs(x).max(axis=-1, keepdims=True) / F(127)
    columns = np.abs(w).max(axis=0) / F(127)
    xq = np.rint(np.divide(x, rows, out=np.zeros_like(x), where=rows != 0))
    wq = np.rint(w / columns)
    return (xq.astype("f8") @ wq.astype("f8")) * rows * columns


def check(k, n, rows):
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
            "--weights", "int8", "--target", "x86:cpu=native")
        for m in rows:
            data = RNG.normal(size=(m, k)).astype("f4")
            data[m // 2] = 0 if m > 1 else data[0]
            np.savez(path + ".in.npz", x=data)
            run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
                "--outputs", path + ".out.npz")
            got = np.load(path + ".out.npz")[y]
            want = quantized_product(data, weight) + bias
            # A quotient on the border between two codes may round either way.
            step = np.abs(data).max() / 127 * np.abs(weight).max()
            assert got.shape == want.shape
            assert np.abs(got - want).max() <= step * 1.01, (k, n, m)
            assert np.mean(np.abs(got - want)) <= step * 0.01, (k, n, m)


if __name__ == "__main__":
    check(64, 64, [1, 7])
    check(386, 130, [1, 5, 100])
