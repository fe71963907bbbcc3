# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small models with 2^20 and more paths through them, or thousands of ops in a
row: each compiles in a moment and gives what NumPy gives.

All numbers are powers of two, or rounded as NumPy rounds them, so that results are
exact; but Newton's steps, which converge, to 1e-6.
"""

import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Most of it is for machines that others load: each takes less than 3 s alone.
SECONDS = 120
LEVEL = os.environ.get("LATHE_CPU_LEVEL", "native")


class Model:
    """A graph that grows op by op; `add` gives the new value's name."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def save(self, path, inputs, result):
        def info(name, shape):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        self.add("Identity", result)
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes, "deep",
            [info(name, value.shape) for name, value in inputs.items()],
            [info("y", None)], self.constants)
        onnx.save(helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def doublings(model, x):
    value = "x"
    for _ in range(64):
        value, x = model.add("Add", value, value), x + x
    return value, x


def newton(model, x):
    """1 / x by x' = x' * (2 - x * x')."""
    two = model.constant(np.float32(2))
    value = model.constant(np.float32(0.5))
    for _ in range(20):
        rest = model.add("Sub", two, model.add("Mul", "x", value))
        value = model.add("Mul", value, rest)
    return value, 1 / x


def overlapping_slices(model, x):
    """Each step reads the one before at two places, which do not merge."""
    value = "x"
    for step in range(24):
        size = x.shape[-1]
        bounds = [[0], [size - 1]], [[1], [size]]
        left, right = (
            model.add("Slice", value, *(model.constant(np.int64(b)) for b in bound),
                      model.constant(np.int64([1]))) for bound in bounds)
        value = model.add("Max" if step % 2 else "Min", left, right)
        pick = np.maximum if step % 2 else np.minimum
        x = pick(x[..., :-1], x[..., 1:])
    return value, x


def long_chain(model, x):
    half, value = model.constant(np.float32(0.5)), "x"
    for step in range(3000):
        value = model.add(*(("Abs", value) if step % 2 else ("Sub", value, half)))
        x = abs(x) if step % 2 else x - np.float32(0.5)
    return value, x


def softmax_of_doublings(model, x):
    """What a reduction would compute again in each of its passes."""
    value, scaled = "x", x * np.float32(2.0**-40)
    value = model.add("Mul", value, model.constant(np.float32(2.0**-40)))
    for _ in range(40):
        value, scaled = model.add("Add", value, value), scaled + scaled
    return model.add("ReduceMax", value, axes=[1], keepdims=1), scaled.max(
        1, keepdims=True)


def attention(model, x):
    """Logits and mask that are doubled 40 times between product and softmax."""
    small = np.float32(2.0**-40)
    heads = model.add("Reshape", "x", model.constant(np.int64([1, 2, 16, 20])))
    keys = model.add("Transpose", heads, perm=[0, 1, 3, 2])
    logits = model.add("Mul", model.add("MatMul", heads, keys),
                       model.constant(small * np.float32(0.125)))
    mask = model.add("Mul", model.add("ReduceMax", heads, axes=[3], keepdims=1),
                     model.constant(small))
    for _ in range(40):
        logits, mask = (model.add("Add", v, v) for v in (logits, mask))
    weights = model.add("Softmax", model.add("Add", logits, mask), axis=3)
    h = x.reshape(1, 2, 16, 20).astype(np.float64)
    scores = np.exp(h @ h.swapaxes(2, 3) * 0.125)
    return (model.add("MatMul", weights, heads),
            scores / scores.sum(-1, keepdims=True) @ h)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          timeout=SECONDS)
    assert done.returncode == 0, done.stderr or done.stdout


def check(build, folder):
    path = os.path.join(folder, build.__name__)
    rng = np.random.default_rng(7)
    x = rng.uniform(1, 1.5, (16, 40)).astype(np.float32)
    model = Model()
    result, want = build(model, x)
    model.save(path + ".onnx", {"x": x}, result)
    np.savez(path + ".in.npz", x=x)
    run("lathe", "compile", path + ".onnx", "-o", path + ".lathe", "--target",
        "x86:cpu=" + LEVEL)
    run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz", "--outputs",
        path + ".out.npz")
    got = np.load(path + ".out.npz")["y"]
    # Sums of 20 products and of 16 weights; Newton's last step.
    loose = {newton: 1e-6, attention: 1e-5}.get(build, 0.0)
    np.testing.assert_allclose(got, want, rtol=loose, err_msg=build.__name__)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for build in (doublings, newton, overlapping_slices, long_chain,
                      softmax_of_doublings, attention):
            check(build, folder)


if __name__ == "__main__":
    main()
