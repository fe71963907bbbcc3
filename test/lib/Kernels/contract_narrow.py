# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--precision bf16 and f16: linear layers against the same rounding in NumPy."""

import os
import sys
import tempfile

import ml_dtypes
import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model, run  # noqa: E402

RNG = np.random.default_rng()
F = np.float32
TYPES = {"bf16": ml_dtypes.bfloat16, "f16": np.float16}
LEVELS = ["x86-64-v3", "native"]


def build(k, n, weights):
    """relu(x) w + b, relu'd and multiplied again: the middle is rounded."""
    model = Model()
    y = model.node("Relu", [model.input("x", F, ["m", k])])
    for weight in weights:
        y = model.node("MatMul", [y, model.constant(weight)])
        y = model.node("Relu", [y])
    model.output(y, F, 2)
    return model.build(), y


def expected(x, weights, dtype):
    """Products in f64 of what is rounded: the first layer's input is not, if it
    is fused; both ways are within its rounding."""
    y = np.maximum(x, 0)
    for weight in weights:
        narrow = weight.astype(dtype).astype("f8")
        y = np.maximum(y.astype(dtype).astype("f8") @ narrow, 0).astype(F)
    return y


def check(k, n, precision, level):
    dtype = TYPES[precision]
    weights = [RNG.normal(size=(k, n)).astype(F) / k**0.5,
               RNG.normal(size=(n, 40)).astype(F) / n**0.5]
    # Half an ulp for the input, the middle and its weights, relative to the
    # size of the terms: 2^-9 for bf16, 2^-12 for f16.
    tolerance = 8 * float(ml_dtypes.finfo(dtype).eps)
    model, name = build(k, n, weights)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model, path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe",
            "--precision", precision, "--target", f"x86:cpu={level}")
        for m in [0, 1, 2, 7, 33]:
            x = RNG.normal(size=(m, k)).astype(F)
            np.savez(path + ".in.npz", x=x)
            run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
                "--outputs", path + ".out.npz")
            got, want = np.load(path + ".out.npz")[name], expected(x, weights, dtype)
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, atol=tolerance, rtol=tolerance,
                                       err_msg=f"{k}x{n} {precision} {level} {m}")


if __name__ == "__main__":
    for level in LEVELS:
        check(64, 96, "bf16", level)
        check(31, 70, "bf16", level)   # no pairs of k
        check(30, 65, "f16", level)
