# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Data movement: views, gathers, scatters, concats, pads, windows."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(13)
F = np.float32


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


def views():
    model = Model()
    x = model.input("x", F, ["a", 4, "b", 3])
    for perm in [[0, 2, 1, 3], [3, 2, 1, 0], [1, 0, 3, 2]]:
        t = model.node("Transpose", [x], perm=perm)
        model.output(t, F, 4)
        model.output(model.node("Exp", [t]), F, 4, 1e-5)
    flat = model.node("Reshape", [x, model.constant(np.array([0, 4, -1]))])
    model.output(model.node("Neg", [flat]), F, 3)
    model.output(flat, F, 3)
    for starts, ends, axes, steps in [([1], [4], [1], [2]),
                                      ([-1], [-5], [1], [-1]),
                                      ([0, 1], [2, 3], [1, 3], [1, 1])]:
        s = model.node("Slice", [x] + [model.constant(np.array(v)) for v in
                                       (starts, ends, axes, steps)])
        model.output(s, F, 4)
        model.output(model.node("Relu", [s]), F, 4)
    model.output(x, F, 4)
    model.check(*[{"x": normal(a, 4, b, 3)} for a, b in [(1, 1), (2, 19)]])


def gathers():
    model = Model()
    table = model.constant(normal(11, 40))
    i = model.input("i", np.int64, ["a", "b"])
    x = model.input("x", F, ["a", "b", 6])
    rows = model.node("Gather", [table, i], axis=0)
    model.output(rows, F, 3)
    model.output(model.node("Add", [rows, model.constant(normal(40))]), F, 3)
    model.output(model.node("Gather", [table, i], axis=1), F, 3)
    model.output(model.node("Gather", [x, model.constant(np.int64(-2))],
                            axis=2), F, 2)
    model.output(model.node("Gather", [x, model.constant(np.array([5, 0, 3]))],
                            axis=2), F, 3)
    e = model.input("e", np.int64, ["a", "b", 3])
    model.output(model.node("GatherElements", [x, e], axis=2), F, 3)
    t = model.input("t", np.int64, ["k", 2])
    model.output(model.node("GatherND", [table, t]), F, 1)
    model.output(model.node("GatherND", [x, t]), F, 2)
    model.check(*[{
        "i": RNG.integers(-11, 11, (a, b)), "x": normal(a, b, 6),
        "e": RNG.integers(-6, 6, (a, b, 3)),
        "t": np.stack([RNG.integers(0, a, 9), RNG.integers(0, b, 9)], 1)}
        for a, b in [(1, 1), (2, 18)]])


def gathers_from_nothing():
    """A dim of size 0 has no element: refused, unless none is asked for."""
    model = Model()
    table = model.input("table", F, ["n", 4])
    y = model.node("Gather", [table, model.input("i", np.int64, ["k"])], axis=0)
    model.output(y, F, 2)
    model.check({"table": normal(0, 4), "i": np.zeros(0, np.int64)},
                {"table": normal(1, 4), "i": np.array([0, -1])})
    try:
        model.check({"table": normal(0, 4), "i": np.array([0])},
                    expected={y: normal(1, 4)})
    except AssertionError as error:
        assert "a gather takes elements of a dim of size 0" in str(error), error
    else:
        raise AssertionError("an element of nothing")


def pads_beyond_the_source():
    """A mirror shows no more than there is."""
    model = Model()
    x = model.input("x", F, [2, "n"])
    y = model.node("Pad", [x, model.constant(np.array([0, 3, 0, 2]))], mode="reflect")
    model.output(y, F, 2)
    model.check({"x": normal(2, 4)}, {"x": normal(2, 9)})
    try:
        model.check({"x": normal(2, 3)}, expected={y: normal(2, 8)})
    except AssertionError as error:
        assert "too short for what is repeated" in str(error), error
    else:
        raise AssertionError("a mirror of nothing")


def scatters():
    for mode in ["none", "add", "max"]:
        model = Model()
        x = model.input("x", F, ["a", 7])
        i = model.input("i", np.int64, ["a", 3])
        u = model.input("u", F, ["a", 3])
        model.output(model.node("ScatterElements", [x, i, u], axis=1,
                                reduction=mode), F, 2)
        t = model.input("t", np.int64, ["k", 1])
        v = model.input("v", F, ["k", 7])
        model.output(model.node("ScatterND", [x, t, v], reduction=mode), F, 2,
                     1e-5)
        model.check(*[{
            "x": normal(a, 7), "u": normal(a, 3), "v": normal(k, 7),
            "i": np.stack([RNG.permutation(7)[:3] for _ in range(a)]),
            "t": RNG.permutation(a)[:k, None]} for a, k in [(1, 1), (20, 5)]])


def joins():
    model = Model(opset=19)
    x = model.input("x", F, ["a", "b"])
    y = model.input("y", F, ["a", 3])
    model.output(model.node("Concat", [x, y, x], axis=1), F, 2)
    model.output(model.node("Concat", [y, y], axis=0), F, 2)
    parts = model.node("Split", [y, model.constant(np.array([1, 2]))],
                       results=2, axis=1)
    for part in parts:
        model.output(part, F, 2)
    for pads in [[0, 1, 2, 0], [1, 1, 1, 1]]:
        model.output(model.node("Pad", [y, model.constant(np.array(pads)),
                                        model.constant(np.float32(1.5))]), F, 2)
    for mode in ["edge", "reflect", "wrap"]:
        model.output(model.node(
            "Pad", [y, model.constant(np.array([0, 1, 0, 2]))], mode=mode), F,
            2)
    model.output(model.node("Tile", [y, model.constant(np.array([2, 1]))]),
                 F, 2)
    model.check(*[{"x": normal(a, b), "y": normal(a, 3)}
                  for a, b in [(1, 1), (5, 70), (3, 0)]])


def windows():
    model = Model()
    x = model.input("x", F, ["a", 3, 14, 17])
    model.output(model.node("MaxPool", [x], kernel_shape=[2, 2],
                            strides=[2, 2]), F, 4)
    model.output(model.node("MaxPool", [x], kernel_shape=[3, 3],
                            strides=[2, 2], pads=[1, 1, 1, 1]), F, 4)
    model.output(model.node("AveragePool", [x], kernel_shape=[3, 3],
                            strides=[1, 2], pads=[1, 0, 1, 1]), F, 4, 1e-5)
    model.output(model.node("AveragePool", [x], kernel_shape=[3, 3],
                            pads=[1, 1, 1, 1], count_include_pad=1), F, 4, 1e-5)
    model.output(model.node("GlobalAveragePool", [x]), F, 4, 1e-5)
    model.check(*[{"x": normal(a, 3, 14, 17)} for a in [1, 2]])


for test in sys.argv[1:] or ["views", "gathers", "gathers_from_nothing",
                             "pads_beyond_the_source", "scatters", "joins",
                             "windows"]:
    globals()[test]()
    print(test, "ok")
