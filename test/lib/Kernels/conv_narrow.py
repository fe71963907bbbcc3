# RUN: rm -rf %t && mkdir %t && cd %t && %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions whose weights and inputs --precision narrows, as it does where a GPU
is a target, on the CPU: against the same model in f32. Three layers of sums of up
to 288 products, each tensor rounded once: 2e-3 (f16) and 1e-2 (bf16) of the largest
value. For x86 alone nothing is narrowed: the same numbers."""

import subprocess

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def make_model(path):
    """Dense, with groups, depthwise, a pool, of two images."""
    generator = np.random.default_rng(3)
    shapes = {"a": (32, 3, 3, 3), "b": (48, 16, 3, 3), "c": (48, 1, 5, 5),
              "d": (40, 48, 3, 3)}
    nodes = [("Conv", ["x", "a"], {"pads": [1] * 4, "strides": [2, 2]}),
             ("Relu", [None], {}),
             ("MaxPool", [None], {"kernel_shape": [3, 3], "pads": [1] * 4}),
             ("Conv", [None, "b"], {"pads": [1] * 4, "group": 2}),
             ("Conv", [None, "c"], {"pads": [2] * 4, "group": 48}),
             ("Relu", [None], {}), ("Conv", [None, "d"], {"pads": [1] * 4})]
    made, last = [], None
    for i, (op, inputs, attributes) in enumerate(nodes):
        result = f"t{i}" if i + 1 < len(nodes) else "y"
        made.append(helper.make_node(op, [last if name is None else name
                                          for name in inputs], [result], **attributes))
        last = result
    weights = [numpy_helper.from_array(
        (generator.standard_normal(shape) * np.prod(shape[1:])**-.5).astype(
            np.float32), name) for name, shape in shapes.items()]
    graph = helper.make_graph(
        made, "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 21, 18])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 40, 11, 9])],
        weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


def lathe(*arguments):
    done = subprocess.run(["lathe", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (done.args, done.stderr)


def run(*options):
    lathe("compile", "m.onnx", "-o", "m.lathe", *options)
    lathe("run", "m.lathe", "--device", "cpu", "--inputs", "in.npz", "--outputs",
          "out.npz")
    with np.load("out.npz") as arrays:
        return arrays["y"]


make_model("m.onnx")
np.savez("in.npz", x=np.random.default_rng(1).standard_normal(
    (2, 3, 21, 18)).astype(np.float32))
CPU = "x86:cpu=x86-64-v3"
want = run("--target", CPU)
assert np.array_equal(want, run("--target", CPU, "--precision", "f16"))
for precision, bound in (("f16", 2e-3), ("bf16", 1e-2)):
    error = abs(run("--target", CPU + ",cuda", "--precision", precision) - want).max()
    assert 0 < error <= bound * abs(want).max(), (precision, error)
