# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The systems that a model runs in beside Lathe, each at its best settings.

A peer is made of a model and a number of threads. `bind(feeds)` prepares a run
outside the clock: it returns a function without arguments, which returns the
outputs as a list. OpenVINO and PyTorch are used where they are installed
(tools/requirements-dev.txt).
"""

import importlib.util
import logging
import os
import sys

import numpy as np

import harness

ARCHITECTURES = os.path.join(harness.ROOT, "tools", "zoo")


class OnnxRuntime:
    """ONNX Runtime; with int8 weights, the form that its quantize_dynamic writes."""

    label = "ORT"

    def __init__(self, model, threads, weights="", **_):
        self.session = harness.ort_session(
            harness.quantize_dynamic(model) if weights else model, threads)

    def bind(self, feeds):
        run = harness.bind_ort(self.session, feeds)
        run.outputs = lambda: self.session.run(None, feeds)
        return run


class OpenVino:
    """OpenVINO with the latency hint, compiled for each shape by itself; with int8
    weights, on the QDQ form."""

    label = "OpenVINO"

    def __init__(self, model, threads, weights="", precision="f32", **_):
        import openvino
        self.openvino = openvino
        self.core = openvino.Core()
        self.model = quantize_static(model) if weights else model
        self.settings = {"PERFORMANCE_HINT": "LATENCY",
                         "INFERENCE_NUM_THREADS": threads,
                         "INFERENCE_PRECISION_HINT": precision}

    def bind(self, feeds):
        model = self.core.read_model(self.model)
        model.reshape({name: list(array.shape) for name, array in feeds.items()})
        compiled = self.core.compile_model(model, "CPU", self.settings)
        request = compiled.create_infer_request()
        for name, array in feeds.items():
            request.set_tensor(name, self.openvino.Tensor(array, shared_memory=True))

        def run():
            request.infer()
        run.outputs = lambda: (run(), [request.get_tensor(output).data.copy()
                                       for output in compiled.outputs])[1]
        return run


class Torch:
    """torch.compile of the PyTorch module that the ONNX file was exported from,
    with frozen weights, compiled for each shape by itself."""

    label = "torch.compile"

    def __init__(self, model, threads, precision="f32", module=None, **_):
        import torch
        import torch._inductor.config
        torch._inductor.config.freezing = True
        torch._dynamo.config.recompile_limit = 64
        torch.set_num_threads(threads)
        self.torch = torch
        self.threads = threads
        self.module = module()
        if precision == "bf16":
            self.module = self.module.to(torch.bfloat16)
        self.compiled = torch.compile(self.module, dynamic=False)

    def bind(self, feeds):
        torch = self.torch
        dtype = next(self.module.parameters()).dtype
        values = [torch.from_numpy(array) for array in feeds.values()]
        values = [v.to(dtype) if v.is_floating_point() else v for v in values]

        def run():
            torch.set_num_threads(self.threads)
            with torch.inference_mode():
                return self.compiled(*values)
        run.outputs = lambda: [run().float().numpy()]
        return run


def available(module=None, weights=""):
    """The peers that can be asked. PyTorch needs `module`, a function that builds
    one, and has no int8 form of dynamic shape that pays."""
    found = [OnnxRuntime]
    if importlib.util.find_spec("openvino"):
        found.append(OpenVino)
    if module and not weights and importlib.util.find_spec("torch"):
        found.append(Torch)
    return found


def quantize_static(model):
    """The QDQ form of a model, int8 activations and weights, in the work folder.
    Calibrated on random inputs: its speed is asked for, not its answers."""
    from onnxruntime.quantization import (
        CalibrationDataReader, QuantFormat, QuantType, quantize_static as quantize)
    logging.getLogger().setLevel(logging.ERROR)  # it advises on preprocessing
    path = harness.work_file(model, ".qdq.onnx")
    if harness.is_newer(path, model):
        return path
    session = harness.ort_session(model, 0)
    sizes = {dim: 8 for info in session.get_inputs() for dim in info.shape
             if isinstance(dim, str)}

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = [harness.make_inputs(model, session, sizes, seed)
                         for seed in range(4)]

        def get_next(self):
            return self.left.pop() if self.left else None

    quantize(model, path, Reader(), quant_format=QuantFormat.QDQ,
             activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
             per_channel=True)
    return path


# The PyTorch modules behind the models ----------------------------------------

def zoo_module(name):
    """A function that builds one of tools/zoo/architectures.py at its real size, as
    tools/zoo/export.py does."""
    def build():
        sys.path.insert(0, ARCHITECTURES)
        import architectures
        import torch
        torch.manual_seed(0)
        return architectures.ARCHITECTURES[name](True)[0].eval()
    return build


def folder_module(folder, inputs):
    """A function that reads a Hugging Face folder; the module takes `inputs` in
    their order and returns the last hidden state."""
    def build():
        sys.path.insert(0, ARCHITECTURES)
        import architectures
        import transformers
        model = transformers.AutoModel.from_pretrained(
            folder, attn_implementation="sdpa", add_pooling_layer=False)
        return architectures.Output(model.eval(), inputs)
    return build


def cosine(got, expected):
    """The least cosine between rows of the last dim."""
    got, expected = (a.reshape(-1, a.shape[-1]).astype(np.float64)
                     for a in (got, expected))
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((got * expected).sum(1) / np.maximum(norms, 1e-30)).min())
