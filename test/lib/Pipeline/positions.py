# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--precision bf16 and f16 leave positions and angles as they are: rotary embeddings of
`position_ids`, in the forms that exporters give them, at lengths beyond what the narrow
types count to."""

import os
import sys
import tempfile

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "Kernels", "Inputs"))
from model_check import LEVEL, Model, run  # noqa: E402

RNG = np.random.default_rng(7)
F = np.float32
DIM = 32
FREQUENCIES = (1e4 ** -(np.arange(DIM // 2) / (DIM // 2))).astype(F)


def angles(model, form):
    """[1, s, DIM / 2] of position_ids [1, s]: an outer product with positions on either
    side, or a product by element."""
    ids = model.input("position_ids", np.int64, [1, "s"])
    positions = model.node("Cast", [ids], to=onnx.TensorProto.FLOAT)
    if form == "left":
        row = model.node("Unsqueeze", [positions, model.constant(np.array([1]))])
        frequencies = model.constant(FREQUENCIES.reshape(1, -1, 1))
        product = model.node("MatMul", [frequencies, row])
        return model.node("Transpose", [product], perm=[0, 2, 1])
    column = model.node("Unsqueeze", [positions, model.constant(np.array([2]))])
    op, shape = ("MatMul", (1, -1)) if form == "right" else ("Mul", (1, 1, -1))
    return model.node(op, [column, model.constant(FREQUENCIES.reshape(shape))])


def rotate(model, x, cos, sin):
    split = model.node("Split", [x], results=2, axis=2, num_outputs=2)
    turned = [model.node("Sub", [model.node("Mul", [split[0], cos]),
                                 model.node("Mul", [split[1], sin])]),
              model.node("Add", [model.node("Mul", [split[0], sin]),
                                 model.node("Mul", [split[1], cos])])]
    return model.node("Concat", turned, axis=2)


def build(form):
    """The scores of rotated queries and keys, which are linear in x."""
    model = Model()
    x = model.input("x", F, [1, "s", 48])
    angle = angles(model, form)
    cos, sin = model.node("Cos", [angle]), model.node("Sin", [angle])
    weights = RNG.normal(size=(2, 48, DIM)).astype(F) / 48 ** 0.5
    q, k = (rotate(model, model.node("MatMul", [x, model.constant(w)]), cos, sin)
            for w in weights)
    scores = model.node("MatMul", [q, model.node("Transpose", [k], perm=[0, 2, 1])])
    model.output(scores, F, 3)
    return model.build()


def check(form, precision):
    # On the way to a score each of at most 8 numbers is rounded to p bits, by u = 2^-p
    # of it at most. An error of e of a vector's norm turns it by e: 1 - cos < e^2 / 2.
    unit = {"bf16": 2.0**-8, "f16": 2.0**-11}[precision]
    bound = (8 * unit) ** 2 / 2
    model = build(form)
    reference = ReferenceEvaluator(model)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model, path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe",
            "--precision", precision, "--target", "x86:cpu=" + LEVEL)
        for length, start in [(0, 0), (1, 5), (300, 0), (300, 3000)]:
            feeds = {"x": RNG.normal(size=(1, length, 48)).astype(F),
                     "position_ids": np.arange(start, start + length)[None]}
            np.savez(path + ".in.npz", **feeds)
            run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
                "--outputs", path + ".out.npz")
            got, = np.load(path + ".out.npz").values()
            want, = reference.run(None, feeds)
            assert got.shape == want.shape
            if length == 0:
                continue
            a, b = got.astype("f8").reshape(length, -1), want.astype("f8").reshape(length, -1)
            norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            cosines = (a * b).sum(1) / norms
            assert (1 - cosines < bound).all(), (form, precision, length, start,
                                                 1 - cosines.min(), bound)


if __name__ == "__main__":
    for form in ["left", "right", "element"]:
        for precision in ["bf16", "f16"]:
            check(form, precision)
