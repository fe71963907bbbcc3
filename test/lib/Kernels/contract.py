# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Products: linear layers and batched matmuls of any size and type."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(17)
F = np.float32


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


def linear(k, n):
    """x . w + b, activation, residual; every epilogue on one accumulator."""
    model = Model()
    x = model.input("x", F, ["batch", "seq", k])
    r = model.input("r", F, ["batch", "seq", n])
    w, b = model.constant(normal(k, n)), model.constant(normal(n))
    y = model.node("Add", [model.node("MatMul", [x, w]), b])
    y = model.node("Mul", [y, model.node("Sigmoid", [y])])
    model.output(model.node("Add", [y, r]), F, 3, 2e-5)
    model.check(*[{"x": normal(a, s, k), "r": normal(a, s, n)}
                  for a, s in [(1, 1), (1, 5), (2, 3), (1, 16), (3, 41)]])


def transposed_weight():
    model = Model()
    x = model.input("x", F, ["m", 19])
    w, b = model.constant(normal(70, 19)), model.constant(normal(70))
    y = model.node("Gemm", [x, w, b], transB=1, alpha=0.5, beta=2.0)
    model.output(y, F, 2, 2e-5)
    model.check(*[{"x": normal(m, 19)} for m in (1, 7, 100)])


def products(a, b, dtype=F, tolerance=2e-5):
    def value(shape):
        if np.dtype(dtype).kind == "f":
            return RNG.normal(size=shape).astype(dtype)
        return RNG.integers(-9, 9, shape).astype(dtype)

    model = Model()
    x, y = model.input("x", dtype, a), model.input("y", dtype, b)
    rank = max(len(a), len(b)) if min(len(a), len(b)) > 1 else \
        max(len(a), len(b)) - 1
    model.output(model.node("MatMul", [x, y]), dtype, rank, tolerance)
    model.check({"x": value(a), "y": value(b)})


def transposed_products():
    """The second operand lies across: it goes through panels."""
    model = Model()
    x = model.input("x", F, [2, "m", 20])
    y = model.input("y", F, [2, "n", 20])
    t = model.node("Transpose", [y], perm=[0, 2, 1])
    model.output(model.node("MatMul", [x, t]), F, 3, 2e-5)
    model.check(*[{"x": normal(2, m, 20), "y": normal(2, n, 20)}
                  for m, n in [(1, 1), (9, 70), (33, 17)]])


def weight_read_twice():
    """The weight is multiplied, in panels, and added, as it lies."""
    model = Model()
    x = model.input("x", F, ["m", 40])
    w = model.constant(normal(40, 40))
    y = model.node("MatMul", [x, w])
    row = model.node("ReduceMax", [w, model.constant(np.array([0]))], keepdims=1)
    model.output(model.node("Add", [y, row]), F, 2, 2e-5)
    square = model.node("MatMul", [model.input("z", F, [40, 40]), w])
    model.output(model.node("Add", [square, w]), F, 2, 2e-5)
    model.check(*[{"x": normal(m, 40), "z": normal(40, 40)} for m in (1, 7, 40)])


if __name__ == "__main__":
    for sizes in [(24, 24), (7, 5), (33, 70), (1, 1), (64, 130)]:
        linear(*sizes)
    transposed_weight()
    transposed_products()
    weight_read_twice()
    for shapes in [((5, 7), (7, 9)), ((2, 3, 5, 7), (3, 7, 70)),
                   ((3, 5, 7), (2, 1, 7, 4)), ((7,), (7, 9)), ((5, 7), (7,)),
                   ((4, 0), (0, 5))]:
        products(*shapes)
    products((6, 70), (70, 33), np.float16, 2e-2)
    products((6, 70), (70, 33), np.float64, 1e-12)
    products((6, 70), (70, 33), np.int32)
    products((6, 70), (70, 33), np.int64)
