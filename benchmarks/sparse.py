#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear layers with block-sparse int8 weights (4x1) on one core, beside oneDNN's
dense int8 and Lathe's own, all by turns in one process. Needs PyTorch.

    sparse.py [--rows 128] [--shapes 768x768,768x3072,3072x768] [--zeros 70,80,90]

Products: three layers that read one input, as queries, keys and values do, so that
what Lathe does to the input before (quantizing and transposing it) is a third for
each, and in the figures. oneDNN runs torch.ops.onednn.qlinear_pointwise on packed
weights and inputs that are quantized already; the better one of f32 and u8 results
counts.

Layers: one layer from f32 to f32, its input quantized at run time, beside PyTorch's
dynamically quantized linear on the faster one of its engines.
"""

import argparse
import ctypes
import os
import time
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import harness

LAYERS = 3


def make_model(k, n, layers):
    path = os.path.join(harness.WORK, f"sparse_{k}x{n}_{layers}.onnx")
    if os.path.exists(path):
        return path
    os.makedirs(harness.WORK, exist_ok=True)
    generator = np.random.default_rng(0)
    nodes, constants, outputs = [], [], []
    for i in range(layers):
        weight = generator.standard_normal((k, n), np.float32) / k ** 0.5
        constants += [numpy_helper.from_array(weight, f"w{i}"),
                      numpy_helper.from_array(weight[0].copy(), f"b{i}")]
        nodes += [helper.make_node("MatMul", ["x", f"w{i}"], [f"t{i}"]),
                  helper.make_node("Add", [f"t{i}", f"b{i}"], [f"y{i}"])]
        outputs.append(helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, None))
    graph = helper.make_graph(
        nodes, "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", k])], outputs,
        constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)],
                                ir_version=9), path)
    return path


def lathe_peer(k, n, layers, weights, x):
    bundle = harness.compile_model(make_model(k, n, layers), "--weights", weights,
                                   "--target", "x86:cpu=native")
    return harness.lathe_model(bundle, 1).bind({"x": x})


def onednn_product(m, k, n, dtype):
    x = torch.randint(0, 255, (m, k), dtype=torch.uint8)
    scales, zeros = torch.rand(n), torch.zeros(n, dtype=torch.int64)
    bias = torch.rand(n)
    packed = [torch.ops.onednn.qlinear_prepack(
        torch.randint(-127, 127, (n, k), dtype=torch.int8), [m, k])
        for _ in range(LAYERS)]

    def run():
        with torch.inference_mode():
            return [torch.ops.onednn.qlinear_pointwise(
                x, 0.01, 3, weight, scales, zeros, bias, 1.0, 0, dtype, "none", [], "")
                for weight in packed]
    return run


def dynamic_linear(x, k, n, engine):
    torch.backends.quantized.engine = engine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is to replace it
        layer = torch.ao.quantization.quantize_dynamic(
            torch.nn.Sequential(torch.nn.Linear(k, n)), {torch.nn.Linear},
            dtype=torch.qint8)
    values = torch.from_numpy(x)

    def run():
        with torch.inference_mode():
            return layer(values)
    return run


def keep_freed_memory():
    """PyTorch allocates results anew in each call. Given back to the system, their
    pages would cost it more than the products do."""
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    libc.mallopt(trim_threshold, 1 << 30)
    libc.mallopt(mmap_threshold, 32 << 20)


def best(timings, peers, ours):
    """How many times faster `ours` is than the fastest of `peers`."""
    return min(harness.ratio(timings, peer, ours) for peer in peers)


def compare(k, n, m, zeros, seconds, clock):
    x = np.random.default_rng(1).standard_normal((m, k)).astype(np.float32)
    formats = {z: f"block4x1:{(100 - z) / 100:g}" for z in zeros}
    products = {"f32": onednn_product(m, k, n, torch.float32),
                "u8": onednn_product(m, k, n, torch.uint8),
                "dense": lathe_peer(k, n, LAYERS, "int8", x)}
    layers = {engine: dynamic_linear(x, k, n, engine) for engine in ("onednn", "x86")}
    layers["dense"] = lathe_peer(k, n, 1, "int8", x)
    for z, weights in formats.items():
        products[z] = lathe_peer(k, n, LAYERS, weights, x)
        layers[z] = lathe_peer(k, n, 1, weights, x)
    product = harness.measure(products, seconds=seconds, clock=clock)
    layer = harness.measure(layers, seconds=seconds, clock=clock)
    for z in zeros:
        yield [f"{k}x{n}", m, f"{z} %",
               f"{product[z].median / LAYERS * 1e6:.0f}",
               f"{best(product, ('f32', 'u8'), z):.2f}",
               f"{harness.ratio(product, 'dense', z):.2f}",
               f"{layer[z].median * 1e6:.0f}",
               f"{best(layer, ('onednn', 'x86'), z):.2f}",
               f"{harness.ratio(layer, 'dense', z):.2f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="128")
    parser.add_argument("--shapes", default="768x768,768x3072,3072x768")
    parser.add_argument("--zeros", default="70,80,90")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--cpu-time", action="store_true",
                        help="processor time instead of elapsed, for a busy machine")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print(harness.describe_machine(), "\n")
    clock = time.process_time if options.cpu_time else time.perf_counter
    zeros = [int(z) for z in options.zeros.split(",")]
    rows = [row for shape in options.shapes.split(",")
            for m in options.rows.split(",")
            for row in compare(*map(int, shape.split("x")), int(m), zeros,
                               options.seconds, clock)]
    harness.print_table(["shape", "M", "zeros", "product us", "to oneDNN", "to own dense",
                         "layer us", "to PyTorch", "to own dense"], rows)


if __name__ == "__main__":
    main()
