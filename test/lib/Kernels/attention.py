# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention, recognized in its spelled-out form: softmax and sigmoid, masks,
any number of queries and keys."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(19)
F = np.float32
HEADS = 3


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


def heads(model, x, size):
    shape = model.constant(np.array([0, 0, HEADS, size]))
    x = model.node("Reshape", [x, shape])
    return model.node("Transpose", [x], perm=[0, 2, 1, 3])


def attention(size, score="Softmax", mask=None):
    model = Model()
    q = model.input("q", F, ["batch", "queries", HEADS * size])
    k = model.input("k", F, ["batch", "keys", HEADS * size])
    v = model.input("v", F, ["batch", "keys", HEADS * size])
    qh, kh, vh = (heads(model, x, size) for x in (q, k, v))
    kt = model.node("Transpose", [kh], perm=[0, 1, 3, 2])
    s = model.node("MatMul", [qh, kt])
    s = model.node("Mul", [s, model.constant(F(size ** -0.5))])
    if score == "Sigmoid":
        s = model.node("Add", [s, model.constant(F(-2.0))])
    if mask:
        dims = {"row": ["batch", 1, 1, "keys"], "full": ["queries", "keys"]}
        s = model.node("Add", [s, model.input("mask", F, dims[mask])])
    p = model.node(score, [s], **({"axis": -1} if score == "Softmax" else {}))
    o = model.node("Transpose", [model.node("MatMul", [p, vh])],
                   perm=[0, 2, 1, 3])
    o = model.node("Reshape",
                   [o, model.constant(np.array([0, 0, HEADS * size]))])
    model.output(o, F, 3, 1e-5)

    def feed(b, s, t):
        feeds = {"q": normal(b, s, HEADS * size), "k": normal(b, t, HEADS * size),
                 "v": normal(b, t, HEADS * size)}
        if mask:
            shape = {"row": (b, 1, 1, t), "full": (s, t)}[mask]
            hidden = RNG.random(shape) < 0.3
            feeds["mask"] = np.where(hidden, F(-3.4028235e38), F(0)).astype(F)
        return feeds

    model.check(*[feed(*sizes) for sizes in [
        (1, 1, 1), (2, 7, 9), (1, 16, 16), (1, 17, 64), (1, 70, 130)]])


if __name__ == "__main__":
    attention(5)
    attention(32, mask="row")
    attention(8, mask="full")
    attention(16, score="Sigmoid")
