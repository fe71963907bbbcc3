# RUN: %python %s
# REQUIRES: avx2
# A library with sanitizers does not load into a Python without.
# UNSUPPORTED: sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Weights of a few bits that round by the moments of their inputs: the model errs less, on
inputs that the moments did not see."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

SOURCE = os.environ["LATHE_SOURCE"]
sys.path.insert(0, os.path.join(SOURCE, "python"))
import lathe  # noqa: E402

RNG = np.random.default_rng(5)
K, N, SIGNALS = 192, 96, 24
MIXTURE = RNG.standard_normal((SIGNALS, K)).astype(np.float32)


def draw(rows):
    """Channels that are mixtures of a few signals, as activations are."""
    return (RNG.standard_normal((rows, SIGNALS)) @ MIXTURE).astype(np.float32)


def make_model(path, weight):
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="layer")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", K])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", N])],
        [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, ir_version=10,
                                opset_imports=[helper.make_opsetid("", 21)]), path)


def compile_model(*options, fails=False):
    done = subprocess.run(["lathe", "compile", "m.onnx", "-o", "m.lathe", *options],
                          capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr


def error(weight, x):
    got = lathe.Model("m.lathe").run({"x": x})["y"]
    want = x @ weight
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def take_moments(*samples, model="m.onnx", fails=False):
    tool = os.path.join(SOURCE, "tools", "calibrate", "moments.py")
    done = subprocess.run([sys.executable, tool, model, "-o", "m.safetensors", *samples],
                          capture_output=True, text=True)
    assert (done.returncode == 1) == fails, done.stderr
    return done.stderr


def check_bad_samples():
    """Each mistake gets one line that names the file, and no traceback."""
    def refused(why, *samples, **kwargs):
        text = take_moments(*samples, fails=True, **kwargs)
        assert why in text and text.count("\n") == 1, text

    refused("gone.onnx: ", "s0.npz", model="gone.onnx")
    refused("gone.npz: ", "gone.npz")
    refused("m.onnx: no .npz file", "m.onnx")
    np.savez("b.npz", z=draw(4))
    refused("b.npz: no array named 'x'; it has z", "b.npz")
    np.savez("b.npz", x=draw(4)[:, 1:])
    refused("b.npz: ", "b.npz")
    np.savez("b.npz", x=draw(4) * np.nan)
    refused("b.npz: what 'x' holds is not finite", "b.npz")
    np.save("b.npy", draw(4))
    refused("b.npy: no .npz file", "b.npy")
    np.savez("b.npz", x=draw(4) * 0 + np.float32(3e38))
    refused("what 'layer' reads is too large", "b.npz")
    np.savez("b.npz", x=draw(0))
    refused("'layer' read no row", "b.npz")
    np.savez("b.npz", x=draw(4), unused=draw(1))
    take_moments("b.npz")


def check_bad_moments():
    """The layer and the file are named, and what is not used is said."""
    save_file({"layer": np.full((K, K), np.nan, np.float32)}, "nan.safetensors")
    text = compile_model("--weights", "int4", "--calibration", "nan.safetensors",
                         fails=True)
    assert "layer: nan.safetensors: the moments of the inputs are no finite" in text, text
    assert "loc(" not in text, text
    text = compile_model("--weights", "int8", "--calibration", "m.safetensors")
    assert "layer: " in text and "moments in m.safetensors are not used" in text, text
    text = compile_model("--calibration", "m.safetensors", fails=True)
    assert "no --weights is given" in text, text
    with open("plan.txt", "w", encoding="utf-8") as plan:
        plan.write("# none\nelsewhere int8\n")
    text = compile_model("--weights", "plan.txt", fails=True)
    assert "plan.txt:2: pattern 'elsewhere' matches no linear layer" in text, text
    assert "loc(" not in text, text


def check_blocks(weight, x):
    """What compensation makes grow is not cut off by 8 bits."""
    errors = []
    for weights in ("block4x1:0.3:float", "block4x1:0.3"):
        compile_model("--weights", weights, "--calibration", "m.safetensors")
        errors.append(error(weight, x))
    assert errors[1] < 1.1 * errors[0], errors


def main():
    weight = RNG.standard_normal((K, N)).astype(np.float32)
    make_model("m.onnx", weight)
    for i in range(3):
        np.savez(f"s{i}.npz", x=draw(200))
    take_moments(*(f"s{i}.npz" for i in range(3)))
    x = draw(100)
    for weights in ("int4:32", "int4:64", "ternary:32"):
        compile_model("--weights", weights)
        plain = error(weight, x)
        compile_model("--weights", weights, "--calibration", "m.safetensors")
        assert error(weight, x) < 0.6 * plain, (weights, error(weight, x), plain)

    check_blocks(weight, x)

    save_file({"elsewhere": np.eye(K, dtype=np.float32)}, "other.safetensors")
    text = compile_model("--weights", "int4", "--calibration", "other.safetensors",
                         fails=True)
    assert "no tensor is named as a layer" in text, text
    save_file({"layer": np.eye(8, dtype=np.float32)}, "small.safetensors")
    text = compile_model("--weights", "int4", "--calibration", "small.safetensors",
                         fails=True)
    assert "'layer' has moments of 8 inputs; the layer's weight has 192" in text, text
    save_file({"layer": np.ones((8, 4), np.float32)}, "flat.safetensors")
    text = compile_model("--weights", "int4", "--calibration", "flat.safetensors",
                         fails=True)
    assert "moments are square and of f32" in text, text
    check_bad_moments()
    check_bad_samples()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
