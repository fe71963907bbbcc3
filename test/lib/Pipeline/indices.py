# RUN: %python %s
# REQUIRES: avx2
# A library with sanitizers does not load into a Python without.
# UNSUPPORTED: sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Indices of gathers and scatters: in range as ONNX Runtime has it, out of range
an error that names node, index, place and size."""

import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from onnx_pair import lathe, load_pair  # noqa: E402

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, info = helper.make_node, helper.make_tensor_value_info
RNG = np.random.default_rng(4)


def load(nodes, inputs, outputs, folder, constants=(), options=()):
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name)
               for name, value in constants]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, tensors), ir_version=9,
        opset_imports=[helper.make_opsetid("", 18)])
    return load_pair(model, folder, *options)


def refuse(model, feed, *words):
    try:
        model.run(feed)
    except lathe.LatheError as error:
        for word in words:
            assert word in str(error), (word, str(error))
        return
    raise AssertionError(f"not refused: {words}")


def check(op, shape, indices, updates=None, **attributes):
    """`indices` is all in range; one of them at a time is put out of it."""
    size = shape[attributes.get("axis", 0)]
    inputs = [info("x", F, [None] * len(shape)),
              info("i", I, [None] * (indices.ndim - 1) + [indices.shape[-1]])]
    feed = {"x": RNG.normal(size=shape).astype("f4"), "i": indices}
    if updates is not None:
        inputs.append(info("u", F, [None] * updates.ndim))
        feed["u"] = updates
    with tempfile.TemporaryDirectory() as folder:
        reference, model = load(
            [node(op, list(feed), ["y"], name="the_node", **attributes)],
            inputs, [info("y", F, None)], folder)
        want = reference.run(None, feed)[0]
        np.testing.assert_allclose(model.run(feed)["y"], want, rtol=1e-6)
        place = tuple(np.array(indices.shape) - 1)
        if op in ("GatherND", "ScatterND"):
            size = shape[indices.shape[-1] - 1]
        for index in [size, -size - 1, 2**62]:
            wrong = indices.copy()
            wrong[place] = index
            at = ", ".join(map(str, place))
            refuse(model, dict(feed, i=wrong), "the_node", f"index {index} ",
                   f"[{at}]", f"size {size};")
        none = {**feed, "i": indices[:0]}
        if updates is not None:
            none["u"] = updates[:0]
        if op != "GatherElements":
            model.run(none)


def check_bodies():
    """In a branch that is not taken, nothing is checked."""
    gather = node("Gather", ["x", "i"], ["t"], name="in_branch")
    then = helper.make_graph([gather], "then", [], [info("t", F, None)])
    other = helper.make_graph([node("Identity", ["x"], ["e"])], "else", [],
                              [info("e", F, None)])
    with tempfile.TemporaryDirectory() as folder:
        _, model = load(
            [node("If", ["c"], ["y"], then_branch=then, else_branch=other)],
            [info("x", F, ["n"]), info("i", I, ["n"]), info("c", B, [])],
            [info("y", F, ["n"])], folder)
        feed = {"x": np.arange(3, dtype="f4"), "i": np.array([2, 0, 3])}
        model.run({**feed, "c": np.array(False)})
        refuse(model, {**feed, "c": np.array(True)}, "in_branch", "index 3 ")
    step = helper.make_graph(
        [node("Gather", ["x", "n"], ["a"], name="in_loop"),
         node("Add", ["s", "a"], ["t"]), node("Identity", ["k"], ["l"])],
        "body", [info("n", I, []), info("k", B, []), info("s", F, [])],
        [info("l", B, []), info("t", F, [])])
    with tempfile.TemporaryDirectory() as folder:
        _, model = load([node("Loop", ["m", "", "z"], ["y"], body=step)],
                        [info("x", F, ["n"]), info("m", I, [])],
                        [info("y", F, [])], folder,
                        [("z", np.float32(0))])
        x = np.arange(4, dtype="f4")
        assert model.run({"x": x, "m": np.array(4)})["y"] == 6
        refuse(model, {"x": x, "m": np.array(5)}, "in_loop", "index 4")


def check_sizes():
    """Indices and updates of sizes that do not fit the input are refused."""
    with tempfile.TemporaryDirectory() as folder:
        _, model = load(
            [node("GatherElements", ["x", "i"], ["y"], name="taken", axis=1)],
            [info("x", F, ["a", "b"]), info("i", I, ["c", "d"])],
            [info("y", F, None)], folder)
        x = np.arange(6, dtype="f4").reshape(2, 3)
        one = np.ones((1, 5), np.int64)
        assert (model.run({"x": x, "i": one})["y"] == 1).all()
        refuse(model, {"x": x, "i": np.zeros((5, 2), np.int64)}, "c = 5")
    with tempfile.TemporaryDirectory() as folder:
        _, model = load(
            [node("ScatterND", ["x", "i", "u"], ["y"], name="put")],
            [info("x", F, ["n", "m"]), info("i", I, ["k", 1]),
             info("u", F, ["q", "r"])], [info("y", F, None)], folder)
        i = np.arange(2)[:, None]
        for shape in ((1, 3), (2, 2), (3, 3)):
            refuse(model, {"x": x, "i": i, "u": np.ones(shape, "f4")}, "updates")


def check_unchecked():
    """Without the check, kernels stay inside of their buffers all the same."""
    unchecked = ["--unchecked-indices"]
    x = RNG.normal(size=(5, 7)).astype("f4")
    with tempfile.TemporaryDirectory() as folder:
        _, model = load([node("Gather", ["x", "i"], ["y"])],
                        [info("x", F, [5, 7]), info("i", I, ["k"])],
                        [info("y", F, None)], folder, options=unchecked)
        y = model.run({"x": x, "i": np.array([-2**62, -5, 4, 5, 2**62])})["y"]
        np.testing.assert_array_equal(y, x[[0, 0, 4, 4, 4]])
    with tempfile.TemporaryDirectory() as folder:
        _, model = load([node("ScatterND", ["x", "i", "u"], ["y"])],
                        [info("x", F, [5, 7]), info("i", I, [3, 1]),
                         info("u", F, [3, 7])],
                        [info("y", F, None)], folder, options=unchecked)
        u = np.ones((3, 7), "f4")
        y = model.run({"x": x, "i": np.array([[9], [2], [-9]]), "u": u})["y"]
        want = x.copy()
        want[2] = 1
        np.testing.assert_array_equal(y, want)


def main():
    check("Gather", (5, 7), RNG.integers(-5, 5, (3, 4)))
    check("Gather", (5, 7), RNG.integers(-7, 7, (2, 9)), axis=1)
    check("GatherElements", (5, 7), RNG.integers(-5, 5, (3, 6)), axis=0)
    check("GatherElements", (4, 3, 6), RNG.integers(-6, 6, (2, 3, 9)), axis=2)
    check("GatherND", (4, 3, 6), RNG.integers(-3, 3, (5, 2)))
    check("ScatterElements", (5, 7), RNG.permutation(7)[None, :6],
          RNG.normal(size=(1, 6)).astype("f4"), axis=1)
    check("ScatterND", (5, 7), np.array([[1], [-2], [0]]),
          RNG.normal(size=(3, 7)).astype("f4"))
    check_bodies()
    check_sizes()
    check_unchecked()


main()
