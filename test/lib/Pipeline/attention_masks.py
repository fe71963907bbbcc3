# RUN: %python %s
# REQUIRES: avx2
# A library with sanitizers does not load into a Python without.
# UNSUPPORTED: sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Spelled-out attention whose hidden logits are replaced by a number, rows that see
nothing included, against ONNX Runtime; recognized or not, the answer is the model's."""

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

RNG = np.random.default_rng(11)
FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
node, info = helper.make_node, helper.make_tensor_value_info
HEADS, SIZE = 3, 16
TOLERANCE = 1e-5  # f32, a softmax over at most 33 keys


def check(fill, *, bias_after=False, second=None, recognized=True):
    """softmax(where(visible, q.k, fill) ...) . v"""
    nodes = [node("MatMul", ["q", "k"], ["s"]), node("Mul", ["s", "scale"], ["l"]),
             node("Where", ["visible", "l", "fill"], ["m"])]
    last = "m"
    if second is not None:
        nodes.append(node("Where", ["seen", last, "second"], ["m2"]))
        last = "m2"
    if bias_after:
        nodes.append(node("Add", [last, "bias"], ["b"]))
        last = "b"
    nodes += [node("Softmax", [last], ["p"], axis=-1), node("MatMul", ["p", "v"], ["y"])]
    constants = {"fill": np.float32(fill), "scale": np.float32(SIZE ** -0.5),
                 "second": np.float32(second or 0)}
    inputs = [info("q", FLOAT, ["n", HEADS, "s", SIZE]),
              info("k", FLOAT, ["n", HEADS, SIZE, "s"]),
              info("v", FLOAT, ["n", HEADS, "s", SIZE]),
              info("visible", BOOL, ["n", 1, "s", "s"])]
    if second is not None:
        inputs.append(info("seen", BOOL, ["n", 1, 1, "s"]))
    if bias_after:
        inputs.append(info("bias", FLOAT, ["n", 1, 1, "s"]))
    model = helper.make_model(
        helper.make_graph(nodes, "attention", inputs, [info("y", FLOAT, None)],
                          [onnx.numpy_helper.from_array(np.asarray(v), k)
                           for k, v in constants.items()]),
        ir_version=9, opset_imports=[helper.make_opsetid("", 17)])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model, path + ".onnx")
        done = subprocess.run(
            ["lathe", "compile", path + ".onnx", "-o", path + ".lathe", "-v",
             "--target", "x86:cpu=native"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert ("kernel @attention" in done.stderr) == recognized, done.stderr
        session = onnxruntime.InferenceSession(
            path + ".onnx", providers=["CPUExecutionProvider"])
        mine = lathe.Model(path + ".lathe", threads=1)
        for length in (1, 7, 33):
            feed = {"q": RNG.standard_normal((2, HEADS, length, SIZE)),
                    "k": RNG.standard_normal((2, HEADS, SIZE, length)),
                    "v": RNG.standard_normal((2, HEADS, length, SIZE))}
            feed = {k: (4 * v).astype(np.float32) for k, v in feed.items()}
            visible = RNG.random((2, 1, length, length)) < 0.5
            visible[0, 0, :: 2] = False  # rows that see nothing
            feed["visible"] = visible
            if second is not None:
                feed["seen"] = RNG.random((2, 1, 1, length)) < 0.5
            if bias_after:
                feed["bias"] = np.where(RNG.random((2, 1, 1, length)) < 0.5, 0, -1e4
                                        ).astype(np.float32)
            want = session.run(None, feed)[0]
            got = mine.run(feed)["y"]
            np.testing.assert_allclose(got, want, TOLERANCE, TOLERANCE * np.abs(want).max(),
                                       err_msg=f"{fill} {second} {bias_after} {length}")


check(-1e4)
check(-65504.0)
check(-1e9)
check(float(np.finfo(np.float32).min))
check(-1e4, bias_after=True, recognized=False)
check(-1e4, second=-1e9, recognized=False)
