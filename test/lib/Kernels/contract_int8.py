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


def default_group(k):
    """Of at most 384, as few as cover k, of one size, a multiple of 64."""
    count = -(-k // 384)
    return -(-k // (count * 64)) * 64


def quantized_product(x, w, group=None):
    """Per group of k: a scale and an offset for each row of x, a scale for each
    column of w."""
    total = np.zeros((x.shape[0], w.shape[1]))
    group = group or default_group(w.shape[0])
    for first in range(0, w.shape[0], group):
        xg, wg = x[:, first:first + group], w[first:first + group]
        low = xg.min(axis=1, keepdims=True)
        high = xg.max(axis=1, keepdims=True)
        rows = (high - low) / F(255)
        codes = np.rint(np.divide(xg - low, rows, out=np.zeros_like(xg),
                                  where=rows != 0))
        columns = np.abs(wg).max(axis=0) / F(127)
        weights = np.rint(wg / columns) * columns.astype("f8")
        total += (codes.astype("f8") * rows + low) @ weights
    return total


def round_to_bf16(x):
    bits = x.view(np.uint32)
    return ((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000).view(F)


def run_model(path, data):
    np.savez(path + ".in.npz", x=data)
    run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
        "--outputs", path + ".out.npz", "--guard")
    return np.load(path + ".out.npz")


def check(k, n, rows, center=0, group=None):
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
            "--weights", f"int8:{group}" if group else "int8",
            "--target", "x86:cpu=" + LEVEL)
        for m in rows:
            data = (center + RNG.normal(size=(m, k))).astype("f4")
            data[m // 2] = 0 if m > 1 else data[0]
            got = run_model(path, data)[y]
            want = quantized_product(data, weight, group) + bias
            # A quotient on the border between two codes may round either way.
            step = np.ptp(data) / 255 * np.abs(weight).max()
            assert got.shape == want.shape
            assert np.abs(got - want).max() <= step * 1.01, (k, n, m)
            assert np.mean(np.abs(got - want)) <= step * 0.01, (k, n, m)


def check_layers(k, hidden, n, rows):
    """What one layer alone reads of another is rounded to bf16, and an output
    is not."""
    model = Model()
    x = model.input("x", F, ["m", k])
    first = RNG.normal(size=(k, hidden)).astype("f4")
    second = RNG.normal(size=(hidden, n)).astype("f4")
    y = model.node("MatMul", [x, model.constant(first)])
    h = model.node("Relu", [y])
    y = model.node("MatMul", [h, model.constant(second)])
    model.output(y, F, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model.build(), path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe",
            "--weights", "int8", "--target", "x86:cpu=" + LEVEL)
        for m in rows:
            data = RNG.normal(size=(m, k)).astype("f4")
            inner = np.maximum(quantized_product(data, first), 0).astype(F)
            want = quantized_product(round_to_bf16(inner), second)
            got = run_model(path, data)[y]
            # Sums in f32 may round to another bf16, and that to another code:
            # a few of the codes, each by one.
            step = inner.max() / 255 * np.abs(second).max()
            assert np.abs(got - want).max() <= step * 3, (k, hidden, n, m)
            assert np.mean(np.abs(got - want)) <= step * 0.1, (k, hidden, n, m)


if __name__ == "__main__":
    check(64, 64, [1, 7])
    check(3, 2000, [1, 2])
    check(386, 130, [1, 5, 100])
    check(384, 70, [1, 9])
    check(1000, 66, [7])
    check(386, 130, [1, 5], group=128)
    check(512, 64, [13])
    # Far from zero: the range of a group cut short is that of its values.
    check(129, 64, [1, 6], center=20)
    check(200, 40, [5], center=-50)
    check_layers(192, 400, 70, [1, 9])
