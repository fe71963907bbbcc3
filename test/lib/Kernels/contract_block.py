# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Weights of blocks: pruning and the kernels against the same in NumPy."""

import os
import re
import sys
import tempfile

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import LEVEL, Model, run  # noqa: E402

RNG = np.random.default_rng(41)
F = np.float32


def prune(weight, size, density):
    """The blocks of the largest sums of squares."""
    k, n = weight.shape
    blocks = -(-n // size)
    padded = np.zeros((k, blocks * size))
    padded[:, :n] = weight
    score = (padded ** 2).reshape(k, blocks, size).sum(axis=2)
    count = min(round(density * score.size), np.count_nonzero(score))
    keep = np.zeros(score.size, bool)
    keep[np.argsort(-score, axis=None, kind="stable")[:count]] = True
    keep = np.repeat(keep.reshape(score.shape), size, axis=1)[:, :n]
    return np.where(keep, weight, 0)


def to_codes(weight):
    scale = np.abs(weight).max(axis=0, initial=0).astype("f4") / F(127)
    codes = np.rint(np.divide(weight, scale, where=scale != 0, out=np.zeros_like(weight)))
    return codes.astype("f8") * scale


def quantized(x):
    """The inputs as the kernel sees them: 255 steps between a row's extremes."""
    if not x.size:
        return x.astype("f8")
    low = x.min(axis=1, keepdims=True)
    span = x.max(axis=1, keepdims=True) - low
    inverse = np.divide(F(255), span, where=span != 0, out=np.zeros_like(span))
    return low.astype("f8") + np.rint((x - low) * inverse) * (span.astype("f8") / 255)


def check(k, n, rows, density, size=4, decoded=False, transposed=False, empty=(),
          batch=False, lists=None, bits=None):
    model = Model()
    x = model.input("x", F, ["b", "m", k] if batch else ["m", k])
    weight = RNG.normal(size=(k, n)).astype("f4")
    for strip in empty:
        weight[:, 4 * strip:4 * strip + 4] = 0
    bias = RNG.normal(size=n).astype("f4")
    if transposed:
        y = model.node("Gemm", [x, model.constant(weight.T.copy()),
                                model.constant(bias)], transB=1)
    else:
        y = model.node("MatMul", [x, model.constant(weight)])
        y = model.node("Add", [y, model.constant(bias)])
    y = model.node("Relu", [y])
    model.output(y, F, 3 if batch else 2)
    spec = f"block{size}x1:{density}" + ":float" * decoded
    pruned = prune(weight, size, density)
    kept = pruned.astype("f8") if decoded else to_codes(pruned)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model.build(), path + ".onnx")
        said = run("lathe", "compile", path + ".onnx", "-o", path + ".lathe", "-v",
                   "--weights", spec, "--target", "x86:cpu=" + LEVEL)
        said = said.stdout + said.stderr
        if lists is not None:
            assert ("kernel @linear_blocks" in said) == lists, said
            assert ("multiplied as a dense weight" in said) != lists, said
        if bits is not None:
            stored = float(re.search(r"stored as #graph.block.*, (\S+) bits an", said)[1])
            assert bits[0] <= stored <= bits[1], (stored, bits)
        for m in rows:
            data = RNG.normal(size=(2, m, k) if batch else (m, k)).astype("f4")
            if m > 1:
                data[..., m // 2, :] = 0
            np.savez(path + ".in.npz", x=data)
            run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
                "--outputs", path + ".out.npz", "--guard")
            got = np.load(path + ".out.npz")[y].reshape(-1, n)
            data = data.reshape(-1, k)
            want = np.maximum((data if decoded else quantized(data)) @ kept + bias, 0)
            assert got.shape == want.shape
            # Sums of k products in f32; a quantized input may fall on the other
            # side of a border between two codes, once in a while.
            bound = 2e-6 * (np.abs(data) @ np.abs(kept) + 8 * np.abs(weight).max())
            step = 0 if decoded else (np.ptp(data) if data.size else 0) / 255 * \
                np.abs(weight).max()
            off = np.abs(got - want)
            assert (off <= bound + step * 1.01).all(), (spec, k, n, m, off.max())
            assert off.sum() <= bound.sum() + off.size * step * 0.01, (spec, k, n, m)


def check_siblings(weights, density=None):
    """Layers of one input are pruned one by one, though one product reads them."""
    k = weights[0].shape[0]
    model = Model()
    x = model.input("x", F, ["m", k])
    query, key, value = (model.node("MatMul", [x, model.constant(w)]) for w in weights)
    y = model.node("MatMul", [query, model.node("Transpose", [key], perm=[1, 0])])
    y = model.node("MatMul", [y, value])
    model.output(y, F, 2)
    data = RNG.normal(size=(9, k)).astype("f4")
    query, key, value = (
        data.astype("f8") @ (w if density is None else prune(w, 4, density)) for w in weights)
    want = query @ key.T @ value
    size = np.abs(want).max()
    assert size > 0
    spec = "block4x1" + (f":{density}" if density else "") + ":float"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model.build(), path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe", "--weights", spec,
            "--target", "x86:cpu=" + LEVEL)
        np.savez(path + ".in.npz", x=data)
        run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz", "--outputs",
            path + ".out.npz", "--guard")
        got = np.load(path + ".out.npz")[y]
    # Three sums of k products in f32, one after the other.
    assert np.abs(got - want).max() <= 2e-5 * size, (spec, np.abs(got - want).max(), size)


def check_damaged(decoded):
    """Lists that lead out of the input, or out of themselves, hurt no one else."""
    k, n = 600, 64
    weight = np.zeros((k, n), "f4")
    for strip in range(n // 4):
        # Rows of its own for each strip, so that its list can be found in the file.
        weight[37 * strip:37 * strip + 9, 4 * strip:4 * strip + 4] = RNG.normal(size=(9, 4))
    model = Model()
    x = model.input("x", F, ["m", k])
    y = model.node("MatMul", [x, model.constant(weight)])
    model.output(y, F, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model.build(), path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe", "--weights",
            "block4x1" + ":float" * decoded, "--target", "x86:cpu=" + LEVEL)
        with open(path + ".lathe", "rb") as file:
            whole = file.read()
        np.savez(path + ".in.npz", x=RNG.normal(size=(70, k)).astype("f4"))
        command = ["lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
                   "--outputs", path + ".out.npz", "--guard"]
        indices = np.arange(37, 46).astype("<u2").tobytes()
        offsets = np.arange(0, 3 * 17, 3).astype("<i4").tobytes()
        for old, new in [(indices, b"\xff" * len(indices)),
                         (indices, b"\x58\x02" * (len(indices) // 2)),
                         (offsets, b"\xff\xff\xff\x7f" * 17),
                         (offsets, b"\x00\x00\x00\x80" * 17),
                         (offsets, b"\x00\x00\x00\x80\xff\xff\xff\x7f" * 8 + b"\0" * 4)]:
            assert whole.count(old) == 1
            with open(path + ".lathe", "wb") as file:
                file.write(whole.replace(old, new))
            run(*command)
            assert np.load(path + ".out.npz")[y].shape == (70, n)


if __name__ == "__main__":
    for decoded in (False, True):
        check(768, 96, [1, 16, 17, 64, 65, 130], 0.1, decoded=decoded, lists=True)
        check(389, 65, [0, 1, 9, 100], 0.15, decoded=decoded)
        check(257, 31, [3, 70], 0.2, size=8, decoded=decoded)
        check(400, 200, [5, 64], 0.1, size=16, transposed=True, decoded=decoded)
        # All zero, a few strips of zeros, and all kept: that is a dense weight.
        check(320, 64, [1, 33], 0.0, decoded=decoded, lists=True)
        check(320, 64, [7], 0.2, empty=[0, 3, 15], decoded=decoded, lists=True)
        check(320, 70, [1, 7, 40], 1.0, decoded=decoded, lists=False)
        check(300, 64, [3], 0.05, batch=True, decoded=decoded)
        # 128 columns are whole panels: nothing but the elements, scales and sums.
        exact = (32, 32) if decoded else (8 + 64 / 320, 8 + 64 / 320)
        check(320, 128, [5], 1.0, decoded=decoded, lists=False,
              bits=(exact[0] - 0.01, exact[1] + 0.01))
        check(768, 128, [5], 0.1, decoded=decoded, lists=True,
              bits=(3.6, 3.9) if decoded else (1.2, 1.6))
        check_damaged(decoded)
    # The first has the smallest elements by far; all have a block that is not whole.
    check_siblings([RNG.normal(size=(256, 66)).astype("f4") * F(s) for s in (0.1, 1, 1)],
                   density=0.1)
    # Two blocks of each row, next to each other, of which every one is needed.
    sparse = [RNG.normal(size=(1024, 6)).astype("f4") for _ in range(3)]
    for weight in sparse:
        weight[:, :4] = 0
    check_siblings(sparse)
