# RUN: %python %s
# REQUIRES: avx2
# A library with sanitizers does not load into a Python without.
# UNSUPPORTED: sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Merged projections against ONNX Runtime: grouped heads, biases that not all have,
transposed weights, several lengths; in int8 against the weights' own error."""

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

RNG = np.random.default_rng(7)
node = helper.make_node
HIDDEN, HEAD = 192, 32
TOLERANCE = 2e-5  # f32, sums of 192 products and a softmax
# A code is off by half a step of 127 of the largest weight and of 255 of the
# input's range; errors of 192 products add up as their root.
INT8_TOLERANCE = 2e-2


def build(heads, kv_heads, biased, transposed):
    """Spelled-out attention; `biased` names the projections that have a bias."""
    tensors, nodes = {}, []
    for name, count in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
        width = count * HEAD
        weight = RNG.standard_normal((HIDDEN, width)) / np.sqrt(HIDDEN)
        tensors["w" + name] = weight.T if transposed else weight
        source = "w" + name
        if transposed:
            nodes.append(node("Transpose", [source], [source + "t"], perm=[1, 0]))
            source += "t"
        nodes.append(node("MatMul", ["x", source], [name + "0"]))
        last = name + "0"
        if name in biased:
            tensors["b" + name] = RNG.standard_normal(width)
            nodes.append(node("Add", ["b" + name, last], [name + "1"]))
            last = name + "1"
        tensors["s" + name] = np.array([0, 0, count, HEAD], np.int64)
        nodes.append(node("Reshape", [last, "s" + name], [name + "2"]))
        last = name + "2"
        if count != heads:
            tensors |= {"axes": np.array([3]), "sr": np.array([0, 0, heads, HEAD]),
                        "r": np.array([1, 1, 1, heads // kv_heads, 1])}
            nodes += [node("Unsqueeze", [last, "axes"], [name + "3"]),
                      node("Expand", [name + "3", "r"], [name + "4"]),
                      node("Reshape", [name + "4", "sr"], [name + "5"])]
            last = name + "5"
        nodes.append(node("Transpose", [last], [name],
                          perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]))
    tensors["scale"] = np.array(HEAD ** -0.5)
    tensors["so"] = np.array([0, 0, heads * HEAD], np.int64)
    nodes += [node("MatMul", ["q", "k"], ["l0"]), node("Mul", ["l0", "scale"], ["l1"]),
              node("Softmax", ["l1"], ["p"], axis=-1), node("MatMul", ["p", "v"], ["o"]),
              node("Transpose", ["o"], ["o1"], perm=[0, 2, 1, 3]),
              node("Reshape", ["o1", "so"], ["y"])]
    initializers = [
        onnx.numpy_helper.from_array(
            value if value.dtype == np.int64 else value.astype(np.float32), key)
        for key, value in tensors.items()]
    info = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            nodes, "attention",
            [info("x", TensorProto.FLOAT, ["batch", "length", HIDDEN])],
            [info("y", TensorProto.FLOAT, ["batch", "length", heads * HEAD])],
            initializers),
        ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def check(model, tolerance, *flags):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model, path + ".onnx")
        done = subprocess.run(
            ["lathe", "compile", path + ".onnx", "-o", path + ".lathe", "-v",
             "--target", "x86:cpu=native", *flags],
            capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "one contraction with 2 siblings" in done.stderr, done.stderr
        session = onnxruntime.InferenceSession(
            path + ".onnx", providers=["CPUExecutionProvider"])
        mine = lathe.Model(path + ".lathe", threads=2)
        for batch, length in (1, 1), (2, 7), (3, 65), (0, 4):
            x = RNG.standard_normal((batch, length, HIDDEN)).astype(np.float32)
            want = session.run(None, {"x": x})[0]
            got = mine.run({"x": x})["y"]
            assert got.shape == want.shape
            if want.size:
                error = np.abs(got - want).max() / np.abs(want).max()
                assert error <= tolerance, (batch, length, flags, error)


for heads, kv_heads, biased in (6, 6, "qkv"), (6, 2, "qv"), (5, 1, ""), (4, 2, "k"):
    for transposed in (False, True):
        check(build(heads, kv_heads, biased, transposed), TOLERANCE)
check(build(6, 2, "qv", True), INT8_TOLERANCE, "--weights", "int8")
check(build(6, 6, "qkv", False), INT8_TOLERANCE, "--weights", "int8")
