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


def special_values(score):
    """NaN in a query is its own affair, NaN in a key everybody's; a key that nobody
    sees beside infinite logits; no keys, and no queries."""
    model = Model()
    q = model.input("q", F, [1, 1, "queries", 4])
    k = model.input("k", F, [1, 1, "keys", 4])
    v = model.input("v", F, [1, 1, "keys", 4])
    mask = model.input("mask", F, ["queries", "keys"])
    s = model.node("MatMul", [q, model.node("Transpose", [k], perm=[0, 1, 3, 2])])
    s = model.node("Add", [s, mask])
    p = model.node(score, [s], **({"axis": -1} if score == "Softmax" else {}))
    o = model.node("MatMul", [p, v])
    model.output(o, F, 4, 1e-5)

    def feed(queries, keys):
        return {"q": normal(1, 1, queries, 4), "k": normal(1, 1, keys, 4),
                "v": normal(1, 1, keys, 4), "mask": np.zeros((queries, keys), F)}

    one_query, one_key, far = feed(70, 150), feed(20, 70), feed(33, 65)
    one_query["q"][0, 0, 40] = np.nan
    one_key["k"][0, 0, 69, 2] = np.nan
    far["q"] *= F(1e4)
    far["k"] *= F(1e4)
    far["mask"][:, ::3] = -np.inf
    model.check(one_query, one_key, far, feed(1, 1))
    # Rows that see nothing are zeros, and so are sums over no keys.
    empty = feed(18, 66)
    empty["mask"][5:9] = -np.inf
    x = empty["q"][0, 0].astype("f8") @ empty["k"][0, 0].T.astype("f8")
    x = x + empty["mask"]
    if score == "Softmax":
        e = np.exp(x - np.maximum(x.max(-1, keepdims=True), -1e30))
        weights = e / np.maximum(e.sum(-1, keepdims=True), 1e-30)
    else:
        weights = 1 / (1 + np.exp(-x))
    model.check(empty, expected={o: (weights @ empty["v"][0]).astype("f4")[None]})
    model.check(feed(3, 0), expected={o: np.zeros((1, 1, 3, 4), F)})
    model.check(feed(0, 3), expected={o: np.zeros((1, 1, 0, 4), F)})


if __name__ == "__main__":
    attention(5)
    attention(32, mask="row")
    attention(8, mask="full")
    attention(16, score="Sigmoid")
    special_values("Softmax")
    special_values("Sigmoid")
