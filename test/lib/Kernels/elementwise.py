# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise ops on every type and on sizes that are no whole vectors."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(7)
SIZES = [0, 1, 2, 15, 16, 17, 63, 65, 200]


def unary_floats():
    anywhere = ["Neg", "Abs", "Exp", "Sin", "Cos", "Tanh", "Sigmoid", "Erf",
                "Relu", "Floor", "Ceil", "Round", "Sign", "Atan", "Sinh",
                "Cosh", "Asinh", "Identity", "Gelu"]
    model = Model(opset=20)
    x = model.input("x", np.float32, ["n"])
    unit = model.input("u", np.float32, ["n"])
    for op in anywhere:
        model.output(model.node(op, [x]), np.float32, 1, 1e-5)
    for op in ["Asin", "Acos", "Atanh", "Tan"]:
        model.output(model.node(op, [unit]), np.float32, 1, 2e-5)
    positive = model.node("Abs", [x])
    for op in ["Sqrt", "Log"]:
        model.output(model.node(op, [positive]), np.float32, 1, 1e-5)
    model.output(model.node("IsNaN", [x]), bool, 1)
    model.output(model.node("IsInf", [x]), bool, 1)
    model.check(*[{"x": RNG.normal(size=n).astype("f4") * 4,
                   "u": RNG.uniform(-0.9, 0.9, n).astype("f4")}
                  for n in SIZES])


def special_floats():
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.5, 2.5],
                      dtype="f4")
    model = Model()
    x = model.input("x", np.float32, ["n"])
    y = model.input("y", np.float32, ["n"])
    for op in ["Max", "Min", "Add", "Sub", "Mul", "Div"]:
        model.output(model.node(op, [x, y]), np.float32, 1)
    for op in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]:
        model.output(model.node(op, [x, y]), bool, 1)
    for op in ["Relu", "Abs", "Neg", "Sign", "Floor", "Round"]:
        model.output(model.node(op, [x]), np.float32, 1)
    model.output(model.node("IsNaN", [x]), bool, 1)
    model.output(model.node("IsInf", [x]), bool, 1)
    a, b = np.meshgrid(values, values)
    with np.errstate(all="ignore"):
        model.check({"x": a.ravel(), "y": b.ravel()})


def integers():
    for dtype in [np.int8, np.uint8, np.int32, np.uint32, np.int64]:
        model = Model()
        x = model.input("x", dtype, ["n", 3])
        y = model.input("y", dtype, [3])
        for op in ["Add", "Sub", "Mul", "Max", "Min"]:
            model.output(model.node(op, [x, y]), dtype, 2)
        model.output(model.node("Mod", [x, y], fmod=0), dtype, 2)
        for op in ["Equal", "Less", "Greater"]:
            model.output(model.node(op, [x, y]), bool, 2)
        if np.dtype(dtype).kind == "i":
            model.output(model.node("Abs", [x]), dtype, 2)
            model.output(model.node("Sign", [x]), dtype, 2)
            model.output(model.node("Mod", [x, y], fmod=1), dtype, 2)
        info = np.iinfo(dtype)
        divisors = np.array([3, 7, 100]).astype(dtype)
        model.check(*[{
            "x": RNG.integers(info.min, info.max, (n, 3), dtype=dtype,
                              endpoint=True),
            "y": divisors} for n in [1, 5, 23]])


def casts():
    numbers = ["float32", "float16", "float64", "int8", "uint8", "int32",
               "int64", "bool"]
    from model_check import TYPES
    for source in numbers:
        model = Model()
        x = model.input("x", np.dtype(source), ["n"])
        for target in numbers:
            model.output(model.node("Cast", [x], to=TYPES[np.dtype(target)]),
                         np.dtype(target), 1, 1e-3)
        values = RNG.integers(0, 100, 37)
        model.check({"x": values.astype(source)})


def saturation():
    """Floats beyond an integer's range, which ONNX leaves open."""
    from model_check import TYPES
    values = np.array([1e20, -1e20, 300.7, -129.9, 2147483648.0, 0.999, -0.999],
                      dtype="f4")
    model, expected = Model(), {}
    x = model.input("x", np.float32, ["n"])
    for dtype in [np.int8, np.uint8, np.int32, np.int64]:
        name = model.node("Cast", [x], to=TYPES[np.dtype(dtype)])
        model.output(name, dtype, 1)
        info = np.iinfo(dtype)
        expected[name] = np.array(
            [max(info.min, min(info.max, int(v))) for v in values], dtype)
    model.check({"x": values}, expected=expected)


def broadcasting():
    model = Model()
    x = model.input("x", np.float32, ["a", 1, "c"])
    y = model.input("y", np.float32, ["b", 1])
    z = model.input("z", np.float32, [1])
    s = model.node("Add", [x, y])
    model.output(s, np.float32, 3)
    model.output(model.node("Mul", [model.node("Sub", [s, z]), x]),
                 np.float32, 3)
    mask = model.node("Greater", [x, y])
    model.output(model.node("Where", [mask, x, z]), np.float32, 3)
    model.output(model.node("And", [mask, model.node("Not", [mask])]), bool, 3)
    for_sizes = [(2, 3, 17), (1, 1, 1), (3, 1, 40), (1, 5, 3), (0, 2, 4)]
    model.check(*[{"x": RNG.normal(size=(a, 1, c)).astype("f4"),
                   "y": RNG.normal(size=(b, 1)).astype("f4"),
                   "z": RNG.normal(size=1).astype("f4")}
                  for a, b, c in for_sizes])


def halves():
    model = Model()
    x = model.input("x", np.float16, ["n"])
    y = model.input("y", np.float16, ["n"])
    model.output(model.node("Add", [x, y]), np.float16, 1, 1e-3)
    model.output(model.node("Mul", [model.node("Exp", [x]), y]),
                 np.float16, 1, 4e-3)
    model.check(*[{"x": RNG.normal(size=n).astype("f2"),
                   "y": RNG.normal(size=n).astype("f2")} for n in [1, 33]])


def powers():
    model = Model()
    x = model.input("x", np.float32, ["n"])
    y = model.input("y", np.float32, ["n"])
    i = model.input("i", np.int64, ["n"])
    model.output(model.node("Pow", [x, y]), np.float32, 1, 2e-5)
    model.output(model.node("Pow", [i, model.constant(np.int64(3))]),
                 np.int64, 1)
    model.output(model.node("Pow", [x, model.constant(np.float32(2))]),
                 np.float32, 1, 1e-5)
    model.check({"x": RNG.uniform(0.1, 4, 50).astype("f4"),
                 "y": RNG.uniform(-3, 3, 50).astype("f4"),
                 "i": RNG.integers(-9, 9, 50)})


def large_exponents():
    model = Model()
    x = model.input("x", np.int32, ["n"])
    e = model.input("e", np.int32, ["n"])
    y = model.node("Pow", [x, e])
    model.output(y, np.int32, 1)
    a, b = np.meshgrid(np.array([0, 1, -1, 2, -2, 12], "i4"),
                       np.array([0, 1, 31, 32, 33, 64, 101, 1 << 30], "i4"))
    model.check({"x": a.ravel(), "e": b.ravel()},
                expected={y: np.power(a.ravel(), b.ravel())})


def shifts():
    """By the width or more, everything is gone but the sign."""
    for dtype in [np.uint8, np.uint32, np.uint64]:
        bits = np.dtype(dtype).itemsize * 8
        model = Model()
        x, s = model.input("x", dtype, ["n"]), model.input("s", dtype, ["n"])
        left = model.node("BitShift", [x, s], direction="LEFT")
        right = model.node("BitShift", [x, s], direction="RIGHT")
        model.output(left, dtype, 1)
        model.output(right, dtype, 1)
        a, b = (m.ravel() for m in np.meshgrid(
            np.array([1, 5, 2**bits - 1], dtype),
            np.array([0, 1, bits - 1, bits, bits + 1, 200], dtype)))
        inside = b < bits
        model.check({"x": a, "s": b}, expected={
            left: np.where(inside, a << np.where(inside, b, 0).astype(dtype), 0).astype(dtype),
            right: np.where(inside, a >> np.where(inside, b, 0).astype(dtype), 0).astype(dtype)})


for test in sys.argv[1:] or ["unary_floats", "special_floats", "integers",
                             "casts", "saturation", "broadcasting", "halves",
                             "powers", "large_exponents", "shifts"]:
    globals()[test]()
    print(test, "ok")
