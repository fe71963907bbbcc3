# RUN: %python %s
# REQUIRES: avx2
# A library with sanitizers does not load into a Python without.
# UNSUPPORTED: sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sizes that only the data know, against ONNX Runtime; also clamped slices and
versions for some sizes."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

sys.path.insert(0, os.path.join(os.environ["LATHE_SOURCE"], "python"))
import lathe  # noqa: E402

F, I = TensorProto.FLOAT, TensorProto.INT64
node, info = helper.make_node, helper.make_tensor_value_info
RNG = np.random.default_rng(5)
TOLERANCE = 1e-6  # Data movement and single f32 operations.


def check(nodes, inputs, outputs, constants, *feeds, flags=(), refused=()):
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), k)
               for k, v in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "graph", inputs, outputs, tensors),
        ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model, path + ".onnx")
        result = subprocess.run(
            ["lathe", "compile", path + ".onnx", "-o", path + ".lathe",
             "--target", "x86:cpu=native", *flags],
            capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        session = onnxruntime.InferenceSession(
            path + ".onnx", providers=["CPUExecutionProvider"])
        mine = lathe.Model(path + ".lathe", threads=1)
        for feed in feeds:
            want = session.run(None, feed)
            got = mine.run(feed)
            for output, expected in zip(session.get_outputs(), want):
                have = got[output.name]
                assert have.shape == expected.shape, (
                    output.name, have.shape, expected.shape, feed)
                np.testing.assert_allclose(have, expected, TOLERANCE, TOLERANCE,
                                           err_msg=output.name)
        for feed, message in refused:
            try:
                mine.run(feed)
            except lathe.LatheError as error:
                assert message in str(error), error
            else:
                raise AssertionError(f"no error: {message}")


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def selections():
    """nonzero, compress, unique, and arithmetic on what they give."""
    nodes = [node("Greater", ["x", "zero"], ["mask"]),
             node("NonZero", ["mask"], ["where"]),
             node("Transpose", ["where"], ["places"]),
             node("GatherND", ["x", "places"], ["chosen"]),
             node("Exp", ["chosen"], ["y"]),
             node("Reshape", ["mask", "flat"], ["line"]),
             node("Compress", ["x", "line"], ["kept"]),
             node("Neg", ["kept"], ["minus"]),
             node("Floor", ["x"], ["low"]),
             node("Unique", ["low"], ["values", "", "inverse"], sorted=1),
             node("Add", ["values", "values"], ["double"])]
    check(nodes, [info("x", F, ["n", "m"])],
          [info("y", F, None), info("minus", F, None), info("double", F, None),
           info("inverse", I, None)],
          {"zero": np.float32(0), "flat": np.array([-1])},
          *[{"x": floats(n, m)} for n, m in [(3, 5), (1, 1), (17, 4)]],
          {"x": -np.abs(floats(2, 3))})


def reshapes():
    nodes = [node("Reshape", ["x", "shape"], ["y"]),
             node("Relu", ["y"], ["z"]),
             node("Shape", ["z"], ["s"])]
    feeds = [{"x": floats(6, 4), "shape": np.array(s)}
             for s in [(3, 8), (-1, 2), (0, -1), (24, 1), (2, 12)]]
    check(nodes, [info("x", F, ["n", 4]), info("shape", I, [2])],
          [info("z", F, None), info("s", I, [2])], {}, *feeds,
          refused=[({"x": floats(6, 4), "shape": np.array([5, 5])},
                    "must be equal")])


def expansions():
    nodes = [node("Expand", ["x", "shape"], ["y"]),
             node("ConstantOfShape", ["shape"], ["ones"],
                  value=onnx.numpy_helper.from_array(np.ones(1, np.float32))),
             node("Add", ["y", "ones"], ["z"])]
    check(nodes, [info("x", F, ["n", 1]), info("shape", I, [3])],
          [info("z", F, None)], {},
          *[{"x": floats(n, 1), "shape": np.array(s)}
            for n, s in [(3, (2, 3, 4)), (5, (1, 5, 1)), (2, (3, 2, 0))]])


def ranges():
    nodes = [node("Range", ["a", "b", "c"], ["i"]),
             node("Mul", ["i", "i"], ["j"]),
             node("Range", ["fa", "fb", "fc"], ["f"]),
             node("Neg", ["f"], ["g"])]
    feeds = [{"a": np.array(a), "b": np.array(b), "c": np.array(c),
              "fa": np.array(a, np.float32), "fb": np.array(b, np.float32),
              "fc": np.array(c / 2, np.float32)}
             for a, b, c in [(0, 7, 2), (5, -4, -3), (3, 3, 1), (4, 2, 1),
                             (0, 40, 1)]]
    check(nodes, [info(k, I, []) for k in "abc"] +
          [info("f" + k, F, []) for k in "abc"],
          [info("j", I, None), info("g", F, None)], {}, *feeds,
          refused=[(feeds[0] | {c: np.zeros((), feeds[0][c].dtype)}, "a size")
                   for c in ("c", "fc")])


def slices():
    """Bounds that are data: from the end, beyond both ends, backwards."""
    nodes = [node("Slice", ["x", "s", "e", "axes", "steps"], ["y"]),
             node("Slice", ["x", "s1", "e1", "first", "back"], ["z"]),
             node("Neg", ["y"], ["v"])]
    feeds = [{"x": floats(n, 9), "s": np.array(s), "e": np.array(e),
              "s1": np.array(s[:1]), "e1": np.array(e[:1])}
             for n in (1, 7)
             for s, e in [((0, 0), (7, 9)), ((-3, 2), (-1, 100)),
                          ((-100, -4), (3, -1)), ((5, 8), (2, 1)),
                          ((6, -1), (-9, 0))]]
    check(nodes, [info("x", F, ["n", 9]), info("s", I, [2]), info("e", I, [2]),
                  info("s1", I, [1]), info("e1", I, [1])],
          [info("v", F, None), info("z", F, None)],
          {"axes": np.array([0, -1]), "steps": np.array([1, 2]),
           "first": np.array([0]), "back": np.array([-2])}, *feeds)


def top_k():
    nodes = [node("TopK", ["x", "k"], ["values", "at"], axis=-1),
             node("Exp", ["values"], ["y"])]
    check(nodes, [info("x", F, ["n", 9]), info("k", I, [1])],
          [info("y", F, None), info("at", I, None)], {},
          *[{"x": floats(n, 9), "k": np.array([k])}
            for n, k in [(3, 4), (1, 9), (2, 0)]])


def clamps():
    """A bound that is a limit, and the far ends that exporters write."""
    nodes = [node("Slice", ["x", "zero", "limit", "one"], ["y"]),
             node("Slice", ["x", "zero", "far", "one"], ["z"]),
             node("Slice", ["x", "limit", "far", "one"], ["rest"])]
    check(nodes, [info("x", F, [2, "n"])],
          [info("y", F, None), info("z", F, None), info("rest", F, None)],
          {"zero": np.array([0]), "limit": np.array([40]),
           "one": np.array([1]), "far": np.array([10**9])},
          *[{"x": floats(2, n)} for n in (1, 39, 40, 41, 100)])


def near_clamps():
    """Windows near an end of a dim that may be shorter, both ways."""
    bounds = {"head": ([0], [5], [1]), "tail": ([-3], [10**9], [1]),
              "crop": ([2], [-2], [1]), "flip": ([-1], [-100], [-2]),
              "back": ([-2], [-6], [-1]), "odd": ([1], [9], [3])}
    nodes, constants = [], {"axis": np.array([1])}
    for name, window in bounds.items():
        constants |= {name + str(i): np.array(v) for i, v in enumerate(window)}
        nodes += [node("Slice", ["x", name + "0", name + "1", "axis", name + "2"],
                       [name]), node("Exp", [name], ["e" + name])]
    check(nodes, [info("x", F, ["n", "m"])],
          [info("e" + name, F, None) for name in bounds], constants,
          *[{"x": floats(2, m)} for m in (1, 2, 3, 4, 5, 6, 7, 16, 101)])


def versions():
    """Two sizes of two dims have versions; the others run as before."""
    nodes = [node("MatMul", ["x", "w"], ["y"]), node("Relu", ["y"], ["z"]),
             node("NonZero", ["z"], ["at"])]
    check(nodes, [info("x", F, ["n", "m", 4])],
          [info("z", F, ["n", "m", 4]), info("at", I, None)],
          {"w": np.eye(4, dtype=np.float32)},
          *[{"x": floats(n, m, 4)}
            for n, m in [(1, 8), (3, 8), (1, 16), (2, 16), (2, 5), (3, 1)]],
          flags=["--specialize", "n=1,3", "--specialize", "m=8,16"])


def unequal():
    """Dims of two names are taken to be equal, and that is said; a version
    where one of them is 1 takes ONNX's other case."""
    nodes = [node("Add", ["a", "b"], ["y"])]
    inputs = [info("a", F, ["n"]), info("b", F, ["m"])]
    one = {"a": floats(1), "b": floats(5)}
    check(nodes, inputs, [info("y", F, None)], {},
          {"a": floats(5), "b": floats(5)},
          refused=[(one, "--specialize NAME=1")])
    check(nodes, inputs, [info("y", F, None)], {},
          {"a": floats(5), "b": floats(5)}, one,
          flags=["--specialize", "n=1"])


for test in (selections, reshapes, expansions, ranges, slices, top_k, clamps, near_clamps,
             versions, unequal):
    test()
