# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which levels a bundle has: those that gain something for its model."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "Kernels",
                                "Inputs"))
from model_check import Model, run  # noqa: E402

F = np.float32
BOTH = ["x86-64-v3", "avx512-vnni"]


def build(k):
    model = Model()
    y = model.input("x", F, ["m", k])
    for _ in range(2):
        y = model.node("MatMul", [y, model.constant(np.ones((k, k), F))])
        y = model.node("Relu", [y])
    model.output(y, F, 2)
    return model.build()


def levels(k, *options):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(build(k), path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe", *options)
        text = subprocess.run(["lathe", "inspect", path + ".lathe"], check=True,
                              capture_output=True, text=True).stdout
        return [line.split()[1] for line in text.splitlines()
                if line.startswith("  x86 ")]


def check(found, expected):
    assert found == expected, f"{found}, expected {expected}"


if __name__ == "__main__":
    check(levels(64), BOTH)
    # Dot products and conversions of bf16; AMX takes 32 of k at once.
    check(levels(64, "--precision", "bf16"), [*BOTH, "avx512-bf16", "avx512-amx"])
    check(levels(30, "--precision", "bf16"), [*BOTH, "avx512-bf16"])
    # 64 of k. What the second layer alone reads is bf16.
    check(levels(64, "--weights", "int8"), [*BOTH, "avx512-bf16", "avx512-amx"])
    check(levels(64, "--weights", "int4:64"), [*BOTH, "avx512-bf16", "avx512-amx"])
    check(levels(32, "--weights", "int8"), BOTH)
    # A level that gains nothing is not named by whoever asks for it either.
    check(levels(64, "--target", "x86:cpu=avx512-amx"), ["avx512-vnni"])
