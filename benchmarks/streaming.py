#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear layers with stored weights on one core, for few rows: how fast they stream
their stored bytes, beside a plain read loop and ONNX Runtime's MatMulNBits of as many
bits (accuracy level 4: int8 activations), all by turns in one process.

    streaming.py [FORMAT...] [--rows 1,4,16] [--shapes 4096x4096,4096x14336]
                 [--threads 1] [--cpu-time]

A format is one of `lathe compile --weights`, `keep` or `bf16`; int4 unless said. A
model is a chain of such layers, back and forth if they are not square, whose weights
together exceed the last cache. ONNX Runtime gets the codes of plain rounding: its time
does not depend on them; for floats it has MatMul.
"""

import argparse
import json
import os
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import harness

GROUP = 128
STORED = 100 << 20  # bytes of weights in a model, at least
# Of codes, beside scales.
BITS = {"keep": 32, "bf16": 16, "int8": 8, "int4": 4, "ternary": 2}


def layer_shapes(k, n, bits):
    count = max(2, -(-STORED * 8 // (k * n * bits)))
    return [(k, n) if i % 2 == 0 or k == n else (n, k) for i in range(count + count % 2)]


def save(path, nodes, weights, k, opsets):
    graph = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, path, save_as_external_data=True,
              location=os.path.basename(path) + ".data", size_threshold=1024)


def pack(weight, bits):
    """Codes and scales as MatMulNBits wants them: [n, k / g, bytes], [n, k / g]."""
    k, n = weight.shape
    groups = weight.T.reshape(n, k // GROUP, GROUP)
    half = 1 << bits - 1
    scale = np.abs(groups).max(axis=2, keepdims=True) / max(half - 1, 1)
    codes = np.clip(np.rint(groups / scale), -half, half - 1) + half
    codes = codes.astype(np.uint8).reshape(n, k // GROUP, -1, 8 // bits)
    packed = np.bitwise_or.reduce(
        codes << np.arange(0, 8, bits, dtype=np.uint8), axis=3).astype(np.uint8)
    return packed, scale[..., 0].astype(np.float32)


def make_models(k, n, bits):
    """The chain with f32 weights for Lathe, and what ONNX Runtime gets."""
    stem = os.path.join(harness.WORK, f"chain_{k}x{n}x{bits}")
    paths = stem + ".onnx", stem + ".nbits.onnx"
    if all(os.path.exists(path) for path in paths):
        return paths
    os.makedirs(harness.WORK, exist_ok=True)
    generator = np.random.default_rng(0)
    plain, packed = ([], []), ([], [])
    shapes = layer_shapes(k, n, bits)
    for i, (rows, columns) in enumerate(shapes):
        weight = generator.standard_normal((rows, columns), np.float32) / rows ** 0.5
        ends = ["x" if i == 0 else f"t{i}", "y" if i == len(shapes) - 1 else f"t{i + 1}"]
        plain[0].append(helper.make_node("MatMul", [ends[0], f"w{i}"], [ends[1]]))
        plain[1].append(numpy_helper.from_array(weight, f"w{i}"))
        if bits > 8:
            continue
        codes, scale = pack(weight, bits)
        packed[0].append(helper.make_node(
            "MatMulNBits", [ends[0], f"w{i}", f"s{i}"], [ends[1]], domain="com.microsoft",
            K=rows, N=columns, bits=bits, block_size=GROUP, accuracy_level=4))
        packed[1].extend([numpy_helper.from_array(codes, f"w{i}"),
                          numpy_helper.from_array(scale, f"s{i}")])
    opset = helper.make_opsetid("", 21)
    save(paths[0], *plain, k, [opset])
    if bits > 8:
        return paths[0], paths[0]
    save(paths[1], *packed, k, [opset, helper.make_opsetid("com.microsoft", 1)])
    return paths


def read_loop(size):
    """A function that reads `size` bytes that are in no cache."""
    library = harness._peak_library()
    data = np.ones(4 * size + 4096, np.uint8)
    start = data.ctypes.data + -data.ctypes.data % 512
    turn = [0]

    def run():
        turn[0] = (turn[0] + 1) % 3
        library.peak_read(start + turn[0] * (size // 512 * 512), size // 512 * 512, 1)
        return data  # which lives as long as this function
    return run


def count_stored(bundle):
    """Bytes of the weights, as the bundle holds them."""
    sizes = json.loads(harness.run_tool("inspect", bundle, "--json"))
    return sum(constant["size"] for constant in sizes["constants"])


def compare(k, n, rows, weights, threads, clock):
    bits = BITS[weights.split(":")[0]]
    model, packed = make_models(k, n, bits)
    options = {"keep": [], "bf16": ["--precision", "bf16"]}
    bundle = harness.compile_model(
        model, *options.get(weights, ["--weights", weights]), "--target", "x86:cpu=native")
    ours = harness.lathe_model(bundle, threads)
    theirs = harness.ort_session(packed, threads)
    shapes = layer_shapes(k, n, bits)
    stored = count_stored(bundle)
    read = read_loop(stored)
    for m in rows:
        x = np.random.default_rng(m).standard_normal((m, k)).astype(np.float32)
        peers = {"lathe": ours.bind({"x": x}), "read": read,
                 "ort": harness.bind_ort(theirs, {"x": x})}
        timings = harness.measure(peers, seconds=3.0, clock=clock)
        seconds = timings["lathe"].median
        yield [weights, f"{k}x{n}", m, f"{seconds / len(shapes) * 1e3:.3f}",
               f"{timings['ort'].median / len(shapes) * 1e3:.3f}",
               f"{stored / seconds * 1e-9:.1f}",
               f"{stored / timings['read'].median * 1e-9:.1f}",
               f"{harness.ratio(timings, 'read', 'lathe'):.2f}",
               f"{harness.ratio(timings, 'ort', 'lathe'):.2f}",
               f"{2e-9 * sum(r * c for r, c in shapes) * m / seconds:.0f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=["int4"])
    parser.add_argument("--rows", default="1,4,16")
    parser.add_argument("--shapes", default="4096x4096,4096x14336")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true",
                        help="count this thread's time only (busy machines, one thread)")
    options = parser.parse_args()
    print(harness.describe_machine(), "\n")
    clock = time.thread_time if options.cpu_time else time.perf_counter
    rows = [int(m) for m in options.rows.split(",")]
    for weights in options.formats:
        for shape in options.shapes.split(","):
            k, n = map(int, shape.split("x"))
            harness.print_table(
                ["weights", "shape", "rows", "Lathe ms", "ORT ms", "GB/s", "read GB/s",
                 "to read", "to ORT", "GOP/s"],
                compare(k, n, rows, weights, options.threads, clock))
            print()


if __name__ == "__main__":
    main()
