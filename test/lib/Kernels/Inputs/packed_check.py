# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear layers whose weights are codes of a few bits, against the same arithmetic
in NumPy. Weights lie on a grid of their format, so that decoding gives them back."""

import os
import tempfile

import numpy as np
import onnx

from model_check import LEVEL, Model, run

RNG = np.random.default_rng(31)
F = np.float32


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


def check(spec, weight, rows, group, transposed=False):
    """Layers of `weight` stored as `spec`, for each number of rows; `group` is that of
    the inputs, if the format quantizes them."""
    k, n = weight.shape
    model = Model()
    x = model.input("x", F, ["m", k])
    bias = RNG.normal(size=n).astype("f4")
    if transposed:
        y = model.node("Gemm", [x, model.constant(weight.T.copy()),
                                model.constant(bias)], transB=1)
    else:
        y = model.node("MatMul", [x, model.constant(weight)])
        y = model.node("Add", [y, model.constant(bias)])
    model.output(y, F, 2)
    decoded = spec.endswith(":float")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model.build(), path + ".onnx")
        done = run("lathe", "compile", path + ".onnx", "-o", path + ".lathe", "-v",
                   "--weights", spec, "--target", "x86:cpu=" + LEVEL)
        assert ", relative error 0.00e+00" in done.stderr, done.stderr
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
            step = 0 if decoded else np.abs(data).max(initial=0) / 127 * np.abs(weight).max()
            off = np.abs(got - want)
            assert (off <= bound + step * 1.01).all(), (spec, k, n, m, off.max())
            assert off.sum() <= bound.sum() + off.size * step * 0.01, (spec, k, n, m)
