# RUN: rm -rf %t && mkdir %t && cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Floats of 8 bits on a CPU, from ONNX files, against ml_dtypes and NumPy in
f64: every code to f32, f32 of all kinds to codes (with and without saturation),
quantized and dequantized tensors, products. Conversions are exact; f32 sums of
exact products differ by 1e-6 of the sum of magnitudes."""

import subprocess

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = {"e4m3": (TensorProto.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn),
         "e5m2": (TensorProto.FLOAT8E5M2, ml_dtypes.float8_e5m2)}


def run(name, nodes, inputs, outputs, arrays, weights=()):
    """Compiles and runs a model; the outputs, by name."""
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info(n, kind, dims) for n, kind, dims in inputs],
        [helper.make_tensor_value_info(n, kind, dims) for n, kind, dims in outputs],
        list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    model.ir_version = 10
    onnx.save(model, name + ".onnx")
    np.savez(name + ".npz", **arrays)
    for command in (["compile", name + ".onnx", "-o", name + ".lathe"],
                    ["run", name + ".lathe", "--inputs", name + ".npz",
                     "--outputs", name + "-out.npz"]):
        subprocess.run(["lathe", *command], check=True)
    return dict(np.load(name + "-out.npz"))


def check_casts(kind):
    number, dtype = KINDS[kind]
    codes = np.arange(256, dtype=np.uint8).view(dtype)
    most = float(ml_dtypes.finfo(dtype).max)
    rng = np.random.default_rng(3)
    # Codes, midpoints between them and what lies beside those.
    exact = codes.astype(np.float32)[np.isfinite(codes.astype(np.float32))]
    exact = np.unique(exact)
    middle = (exact[1:] + exact[:-1]) / 2
    x = np.concatenate([
        exact, middle, np.nextafter(middle, np.float32(np.inf)),
        np.nextafter(middle, np.float32(-np.inf)),
        rng.standard_normal(1001).astype(np.float32) * 100,
        [np.inf, -np.inf, np.nan, 1e-30, -1e-30, 1e30, most * 1.03, most * 1.2]
    ]).astype(np.float32)
    nodes = [helper.make_node("Cast", ["c"], ["wide"], to=TensorProto.FLOAT),
             helper.make_node("Cast", ["x"], ["narrow"], to=number),
             helper.make_node("Cast", ["x"], ["open"], to=number, saturate=0)]
    got = run("cast-" + kind, nodes,
              [("c", number, [256]), ("x", TensorProto.FLOAT, [len(x)])],
              [("wide", TensorProto.FLOAT, [256]), ("narrow", number, [len(x)]),
               ("open", number, [len(x)])], {"c": codes, "x": x})
    np.testing.assert_array_equal(got["wide"], codes.astype(np.float32))
    for name, value in (("narrow", np.clip(x, -most, most)), ("open", x)):
        mine = got[name].view(dtype).astype(np.float32)
        np.testing.assert_array_equal(mine, value.astype(dtype).astype(np.float32))


def check_quantized(kind):
    """QuantizeLinear, then a product of what DequantizeLinear makes of it."""
    number, dtype = KINDS[kind]
    rng = np.random.default_rng(5)
    for m, n, k in ((1, 1, 1), (5, 7, 33), (40, 24, 64)):
        x = rng.standard_normal((m, k)).astype(np.float32)
        w = rng.standard_normal((k, n)).astype(dtype)
        weights = [
            helper.make_tensor("w", number, w.shape, w.tobytes(), raw=True),
            numpy_helper.from_array(np.array(0.5, np.float32), "s"),
            numpy_helper.from_array(np.array(0.25, np.float32), "t"),
            helper.make_tensor("zero", number, [], b"\0", raw=True)]
        nodes = [helper.make_node("QuantizeLinear", ["x", "s", "zero"], ["q"]),
                 helper.make_node("DequantizeLinear", ["q", "s"], ["a"]),
                 helper.make_node("DequantizeLinear", ["w", "t"], ["b"]),
                 helper.make_node("MatMul", ["a", "b"], ["y"])]
        got = run(f"product-{kind}-{m}", nodes, [("x", TensorProto.FLOAT, [m, k])],
                  [("q", number, [m, k]), ("y", TensorProto.FLOAT, [m, n])],
                  {"x": x}, weights)
        q = (x / np.float32(0.5)).astype(dtype)
        np.testing.assert_array_equal(got["q"].view(np.uint8), q.view(np.uint8))
        a, b = q.astype("f8") * 0.5, w.astype("f8") * 0.25
        error, limit = abs(got["y"] - a @ b), 1e-6 * (abs(a) @ abs(b)) + 1e-30
        assert (error <= limit).all(), (kind, m, n, k, error.max())


for each in KINDS:
    check_casts(each)
    check_quantized(each)
