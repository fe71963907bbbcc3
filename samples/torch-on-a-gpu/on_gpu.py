#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs a bundle on tensors of PyTorch, without copies (see README.md)."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                                "..", "python"))


def make_weight():
    return np.random.default_rng(0).standard_normal((512, 256)).astype(
        np.float16) / np.float16(16)


def write(path):
    """y = gelu(x W), for any number of rows."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["t"]),
         helper.make_node("Gelu", ["t"], ["y"])], "layer",
        [value("x", TensorProto.FLOAT16, ["rows", 512])],
        [value("y", TensorProto.FLOAT16, ["rows", 256])],
        [numpy_helper.from_array(make_weight(), "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 9
    onnx.save(model, path)


def run(path):
    import torch
    import lathe
    model = lathe.Model(path, device="cuda")
    x = torch.randn(100, 512, device="cuda", dtype=torch.float16)
    w = torch.from_numpy(make_weight()).cuda()

    def check(what, y):
        want = torch.nn.functional.gelu(x.float() @ w.float())
        error = ((y.float() - want).abs().max() / want.abs().max()).item()
        print(f"{what}: within {error:.1e} of PyTorch's f32")
        assert error < 2e-3  # f16 has 11 bits.

    # The result stays on the GPU, and PyTorch takes it as it is.
    check("a run", torch.from_dlpack(model.run({"x": x}, on_device=True)["y"]))

    # Queued between PyTorch's own work: nobody waits.
    y = torch.empty(100, 256, device="cuda", dtype=torch.float16)
    layer = model.bind({"x": x}, outputs={"y": y})
    for _ in range(3):
        x.normal_()
        layer.enqueue()
        z = y + 0
    check("queued", z)

    # A part of a graph of PyTorch's.
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream,
                          capture_error_mode="thread_local"):
        layer.enqueue(stream.cuda_stream)
        z = y + 0
    x.normal_()
    graph.replay()
    check("in a graph", z)


if __name__ == "__main__":
    if sys.argv[1] == "--write":
        write(sys.argv[2])
    else:
        run(sys.argv[1])
