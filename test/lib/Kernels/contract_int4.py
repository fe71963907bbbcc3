# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""int4 weights: the kernels against the same arithmetic in NumPy.

Weights lie on a grid of the format, so that their codes are known."""

import os
import sys
import tempfile

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import LEVEL, Model, run  # noqa: E402

RNG = np.random.default_rng(31)
F = np.float32


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


def quantized(x, group):
    """The inputs as the kernel sees them: symmetric, a scale per row and group."""
    out = np.zeros_like(x, dtype="f8")
    for first in range(0, x.shape[1], group):
        part = x[:, first:first + group]
        largest = np.abs(part).max(axis=1, keepdims=True)
        codes = np.rint(np.divide(F(127) * part, largest, where=largest != 0,
                                  out=np.zeros_like(part)))
        out[:, first:first + group] = codes * (largest.astype("f8") / 127)
    return out


def check(k, n, rows, group=128, zeros=False, decoded=False, transposed=False):
    model = Model()
    x = model.input("x", F, ["m", k])
    weight = make_weight(k, n, group, zeros)
    bias = RNG.normal(size=n).astype("f4")
    if transposed:
        y = model.node("Gemm", [x, model.constant(weight.T.copy()),
                                model.constant(bias)], transB=1)
    else:
        y = model.node("MatMul", [x, model.constant(weight)])
        y = model.node("Add", [y, model.constant(bias)])
    model.output(y, F, 2)
    spec = f"int4:{group}" + ":zeros" * zeros + ":float" * decoded
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model.build(), path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe",
            "--weights", spec, "--target", "x86:cpu=" + LEVEL)
        for m in rows:
            data = RNG.normal(size=(m, k)).astype("f4")
            if m > 1:
                data[m // 2] = 0
            np.savez(path + ".in.npz", x=data)
            run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
                "--outputs", path + ".out.npz", "--guard")
            got = np.load(path + ".out.npz")[y]
            want = (data if decoded else quantized(data, group)) @ weight.astype("f8") + bias
            assert got.shape == want.shape
            # Sums of k products in f32; quantized inputs may fall on the other
            # side of a border between two codes, once in a while.
            bound = 2e-6 * (np.abs(data) @ np.abs(weight) + 8 * np.abs(weight).max())
            step = 0 if decoded else np.abs(data).max() / 127 * np.abs(weight).max()
            off = np.abs(got - want)
            assert (off <= bound + step * 1.01).all(), (spec, k, n, m, off.max())
            assert off.sum() <= bound.sum() + off.size * step * 0.01, (spec, k, n, m)


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
