# RUN: rm -rf %t && mkdir %t && cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lathe compile --target x86,cuda: every strategy's kernels assemble, launches say
what they need, and the CPU's variant is as it was."""

import json
import subprocess

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def lathe(*arguments):
    done = subprocess.run(["lathe", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (done.args, done.returncode, done.stderr)
    return done.stdout


def make_model(path):
    """A convolution, a pool, a norm, an attention, a product, a sum."""
    generator = np.random.default_rng(0)
    weights = {
        "filter": (32, 3, 3, 3), "scale": (32, ), "shift": (32, ), "wq": (32, 32),
        "wk": (32, 32), "wv": (32, 32), "wo": (32, 10)}
    nodes = [
        ("Conv", ["x", "filter"], "c", {"pads": [1, 1, 1, 1]}),
        ("Relu", ["c"], "r", {}),
        ("MaxPool", ["r"], "p", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Reshape", ["p", "shape"], "flat", {}),
        ("Transpose", ["flat"], "t", {"perm": [0, 2, 1]}),
        ("LayerNormalization", ["t", "scale", "shift"], "n", {}),
        ("MatMul", ["n", "wq"], "q", {}), ("MatMul", ["n", "wk"], "k", {}),
        ("MatMul", ["n", "wv"], "v", {}),
        ("Transpose", ["k"], "kt", {"perm": [0, 2, 1]}),
        ("MatMul", ["q", "kt"], "scores", {}),
        ("Softmax", ["scores"], "shares", {"axis": -1}),
        ("MatMul", ["shares", "v"], "a", {}), ("MatMul", ["a", "wo"], "o", {}),
        ("Tanh", ["o"], "y", {}), ("Asinh", ["y"], "s", {}),
        ("CumSum", ["s", "one"], "z", {}),
    ]
    arrays = {name: generator.standard_normal(size, np.float32)
              for name, size in weights.items()}
    arrays["shape"] = np.array([0, 32, 64], np.int64)
    arrays["one"] = np.array(1, np.int64)
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output], name=output, **attributes)
         for op, inputs, output, attributes in nodes], "mixed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 64, 10])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


make_model("m.onnx")
lathe("compile", "m.onnx", "-o", "m.lathe", "--target",
      "x86:cpu=x86-64-v3,cuda")
host, device = json.loads(lathe("inspect", "m.lathe", "--json"))["variants"]
assert (device["target"], device["level"]) == ("cuda", "sm_80"), device
assert device["features"] == ["sm_80"], device
assert all("threads" not in kernel for kernel in host["kernels"]), host
assert len(device["kernels"]) >= 6, device
for kernel in device["kernels"]:
    assert kernel["threads"] == 128, kernel
    assert kernel["shared_bytes"] <= 99 * 1024, kernel
lathe("verify", "m.lathe")

x = np.random.default_rng(1).standard_normal((2, 3, 16, 16), np.float32)
np.savez("in.npz", x=x)
lathe("run", "m.lathe", "--device", "cpu", "--inputs", "in.npz", "--outputs",
      "out.npz")
