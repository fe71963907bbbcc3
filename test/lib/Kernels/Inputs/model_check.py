# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small ONNX models, compiled, run, and compared with the ONNX reference.

    model = Model()
    x = model.input("x", np.float32, ["n", 5])
    model.output(model.node("Relu", [x]), np.float32)
    model.check({"n": 3}, {"x": ...})

Kernels run between guard pages (`lathe run --guard`), at the level that
LATHE_CPU_LEVEL names or the best of this machine.
"""

import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

TYPES = {np.dtype(k): v for k, v in {
    "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64,
    "int32": TensorProto.INT32, "int16": TensorProto.INT16,
    "int8": TensorProto.INT8, "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16, "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64, "bool": TensorProto.BOOL}.items()}

# What `lathe run` takes as well, if it is set.
LEVEL = os.environ.get("LATHE_CPU_LEVEL", "native")


class Model:
    """Collects nodes; every output is compared on its own."""

    def __init__(self, opset=18):
        self.opset, self.inputs, self.outputs = opset, [], []
        self.nodes, self.constants, self.tolerances = [], [], {}

    def input(self, name, dtype, dims):
        self.inputs.append(helper.make_tensor_value_info(
            name, TYPES[np.dtype(dtype)], dims))
        return name

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(
            np.asarray(value), name))
        return name

    def node(self, op, inputs, results=1, **attributes):
        names = [f"{op}_{len(self.nodes)}_{i}" for i in range(results)]
        self.nodes.append(helper.make_node(
            op, inputs, names, name=f"n{len(self.nodes)}", **attributes))
        return names[0] if results == 1 else names

    def output(self, name, dtype, rank=None, tolerance=2e-6):
        dims = None if rank is None else [None] * rank
        self.outputs.append(helper.make_tensor_value_info(
            name, TYPES[np.dtype(dtype)], dims))
        self.tolerances[name] = tolerance

    def build(self):
        graph = helper.make_graph(self.nodes, "test", self.inputs,
                                  self.outputs, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=9)
        return onnx.shape_inference.infer_shapes(model)

    def check(self, *feeds, expected=None, selection=None, options=()):
        """Compiles once, then runs and compares each feed. `selection` must be that of
        the attention in the optimized graph. Returns what the compiler said."""
        model = self.build()
        reference = ReferenceEvaluator(model)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model")
            onnx.save(model, path + ".onnx")
            done = run("lathe", "compile", path + ".onnx", "-o", path + ".lathe",
                       "--target", "x86:cpu=" + LEVEL, *options,
                       *(["--dump-ir", path] if selection else []))
            if selection:
                with open(os.path.join(path, "2-optimize.mlir")) as text:
                    assert f"select(#graph.{selection}" in text.read(), selection
            for feed in feeds:
                np.savez(path + ".in.npz", **feed)
                run("lathe", "run", path + ".lathe", "--inputs",
                    path + ".in.npz", "--outputs", path + ".out.npz", "--guard")
                wanted = expected or dict(zip(
                    [o.name for o in self.outputs], reference.run(None, feed)))
                self.compare(np.load(path + ".out.npz"), wanted, feed)
        return done.stdout + done.stderr

    def compare(self, got, wanted, feed):
        failures = []
        for name, tolerance in self.tolerances.items():
            want, have = np.asarray(wanted[name]), got[name]
            if have.shape != want.shape or have.dtype != want.dtype:
                failures.append(f"{name}: {have.dtype}{have.shape}, expected "
                                f"{want.dtype}{want.shape}")
                continue
            kwargs = {"rtol": tolerance, "atol": tolerance, "equal_nan": True}
            if want.dtype.kind != "f":
                kwargs = {"rtol": 0, "atol": 0}
            close = np.isclose(have.astype("f8" if want.dtype.kind == "f"
                                           else want.dtype), want, **kwargs)
            if not close.all():
                at = tuple(np.argwhere(~close)[0])
                failures.append(
                    f"{name}: {(~close).sum()} of {close.size} differ, first "
                    f"at {at}: {have[at]}, expected {want[at]}")
        shapes = {k: v.shape for k, v in feed.items()}
        assert not failures, f"{shapes}\n" + "\n".join(failures)


def run(*command):
    """Runs a program that must succeed; returns what came of it."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, (
        " ".join(command) + "\n" + result.stderr[-4000:])
    return result
