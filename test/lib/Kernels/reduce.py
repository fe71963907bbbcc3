# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions, softmax and norms along any axes, with odd and dynamic sizes."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(11)


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


def reductions():
    model = Model()
    x = model.input("x", np.float32, ["a", "b", 33])
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin",
               "ReduceProd"]:
        for axes, keep in [([2], 1), ([1], 0), ([0, 2], 0), ([0, 1, 2], 1),
                           ([0], 0)]:
            axis = model.constant(np.array(axes))
            rank = 3 if keep else 3 - len(axes)
            model.output(model.node(op, [x, axis], keepdims=keep), np.float32,
                         rank, 2e-4)
    model.check(*[{"x": normal(a, b, 33) * 0.5 + 1}
                  for a, b in [(1, 1), (2, 5), (3, 70), (7, 1)]])


def arguments():
    model = Model()
    x = model.input("x", np.float32, ["a", "b"])
    i = model.input("i", np.int32, ["a", "b"])
    for op in ["ArgMax", "ArgMin"]:
        for axis in [0, 1]:
            for last in [0, 1]:
                for source in [x, i]:
                    model.output(
                        model.node(op, [source], axis=axis, keepdims=axis,
                                   select_last_index=last), np.int64, 1 + axis)
    # Few distinct values: most rows have ties.
    model.check(*[{"x": RNG.integers(-3, 3, s).astype("f4"),
                   "i": RNG.integers(-3, 3, s).astype("i4")}
                  for s in [(1, 1), (5, 10), (3, 64), (70, 65), (2, 200)]])


def integers():
    model = Model()
    x = model.input("x", np.int32, ["a", 37])
    u = model.input("u", np.uint8, ["a", 37])
    for op in ["ReduceSum", "ReduceMax", "ReduceMin"]:
        for axis in [0, 1]:
            axes = model.constant(np.array([axis]))
            model.output(model.node(op, [x, axes], keepdims=0), np.int32, 1)
            if op != "ReduceSum":
                model.output(model.node(op, [u, axes], keepdims=0), np.uint8, 1)
    model.check(*[{"x": RNG.integers(-99, 99, (a, 37)).astype("i4"),
                   "u": RNG.integers(0, 255, (a, 37)).astype("u1")}
                  for a in [1, 9]])


def softmax():
    model = Model()
    x = model.input("x", np.float32, ["a", "b", "c"])
    for axis in [0, 1, 2]:
        model.output(model.node("Softmax", [x], axis=axis), np.float32, 3, 2e-6)
        model.output(model.node("LogSoftmax", [x], axis=axis), np.float32, 3,
                     1e-5)
    model.check(*[{"x": normal(*s) * 5}
                  for s in [(1, 1, 1), (2, 3, 5), (3, 17, 64), (2, 9, 131)]])


def norms():
    for width in [1, 5, 64, 384, 2500]:
        model = Model()
        x = model.input("x", np.float32, ["a", "b", width])
        r = model.input("r", np.float32, ["a", "b", width])
        scale, bias = (model.constant(normal(width)) for _ in range(2))
        model.output(model.node("LayerNormalization", [x, scale, bias],
                                epsilon=1e-5), np.float32, 3, 1e-4)
        total = model.node("Add", [x, r])
        y = model.node("LayerNormalization", [total, scale], axis=-1)
        model.output(model.node("Relu", [y]), np.float32, 3, 1e-4)
        model.check(*[{"x": normal(a, b, width), "r": normal(a, b, width)}
                      for a, b in [(1, 1), (2, 3)]])


def running_sums():
    model = Model()
    x = model.input("x", np.float32, ["a", "b", 5])
    for axis in [0, 1, 2]:
        for exclusive in [0, 1]:
            for reverse in [0, 1]:
                model.output(
                    model.node("CumSum", [x, model.constant(np.int64(axis))],
                               exclusive=exclusive, reverse=reverse),
                    np.float32, 3, 1e-5)
    model.check(*[{"x": normal(a, b, 5)} for a, b in [(1, 1), (3, 20)]])


for test in sys.argv[1:] or ["reductions", "arguments", "integers", "softmax",
                             "norms", "running_sums"]:
    globals()[test]()
    print(test, "ok")
