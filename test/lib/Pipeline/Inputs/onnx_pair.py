# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One model in ONNX Runtime and in Lathe."""

import os
import subprocess
import sys

import onnx
import onnxruntime

sys.path.insert(0, os.path.join(os.environ["LATHE_SOURCE"], "python"))
import lathe  # noqa: E402


def load_pair(model, folder, *options):
    """Writes `model` to `folder`, compiles it there for this machine, and returns
    a session of ONNX Runtime and a lathe.Model."""
    path = os.path.join(folder, "model")
    onnx.save(model, path + ".onnx")
    result = subprocess.run(
        ["lathe", "compile", path + ".onnx", "-o", path + ".lathe",
         "--target", "x86:cpu=native", *options],
        capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    session = onnxruntime.InferenceSession(
        path + ".onnx", providers=["CPUExecutionProvider"])
    return session, lathe.Model(path + ".lathe", threads=1)
