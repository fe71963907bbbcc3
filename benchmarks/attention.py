#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sigmoid and softmax attention on one core, f32, beside the same ops spelled out
in ONNX Runtime; sparse patterns beside Lathe's own dense attention; with --torch,
softmax beside PyTorch's scaled_dot_product_attention; with --bf16, both scores in
bf16 beside PyTorch's.

    attention.py [--quick] [--cpu-time] [--torch] [--bf16]

Each model is MatMul, Mul, [Add,] Softmax or Sigmoid, MatMul over 8 heads, as an
exporter writes it. The bias of the sigmoid is -ln(n) (Ramapuram et al., 2024).
"""

import os
import sys
import time

import numpy as np
import onnx
from onnx import TensorProto, helper

import harness

HEADS = 8
COLUMNS = ["d", "n", "ORT softmax ms", "ORT sigmoid ms", "Lathe softmax ms",
           "Lathe sigmoid ms", "sigmoid: to ORT", "sigmoid: to softmax", "of peak",
           "error"]


def make_model(score, dim, element=TensorProto.FLOAT):
    """Attention over dynamic lengths; the bias comes as an input."""
    def value(name):
        return helper.make_tensor_value_info(
            name, element, ["batch", HEADS, "seq", dim])
    nodes = [
        helper.make_node("Transpose", ["k"], ["kt"], name="transpose", perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "kt"], ["s"], name="scores"),
        helper.make_node("Mul", ["s", "scale"], ["scaled"], name="scale")]
    inputs = [value("q"), value("k"), value("v")]
    if score == "sigmoid":
        inputs.append(helper.make_tensor_value_info("bias", element, []))
        nodes += [helper.make_node("Add", ["scaled", "bias"], ["biased"], name="bias"),
                  helper.make_node("Sigmoid", ["biased"], ["p"], name="sigmoid")]
    else:
        nodes.append(helper.make_node("Softmax", ["scaled"], ["p"], name="softmax",
                                      axis=-1))
    nodes.append(helper.make_node("MatMul", ["p", "v"], ["o"], name="output"))
    scale = helper.make_tensor("scale", element, [], [dim ** -0.5])
    graph = helper.make_graph(nodes, score, inputs, [value("o")], [scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    os.makedirs(harness.WORK, exist_ok=True)
    path = os.path.join(harness.WORK, f"attention-{score}-{dim}-{element}.onnx")
    text = model.SerializeToString()
    if not os.path.exists(path) or open(path, "rb").read() != text:
        onnx.save(model, path)
    return path


def make_feeds(score, dim, length):
    generator = np.random.default_rng(0)
    feeds = {name: generator.standard_normal((1, HEADS, length, dim), np.float32)
             for name in "qkv"}
    if score == "sigmoid":
        feeds["bias"] = np.array(-np.log(length), np.float32)
    return feeds


def row(dim, length, peak, clock):
    peers, errors = {}, []
    for score in ("softmax", "sigmoid"):
        path = make_model(score, dim)
        feeds = make_feeds(score, dim, length)
        session = harness.ort_session(path, 1)
        model = harness.lathe_model(harness.compile_model(path), 1)
        run = model.bind(feeds)
        expected = {"o": session.run(None, feeds)[0]}
        errors.append(harness.max_error(run.run(), expected))
        peers["ort " + score] = harness.bind_ort(session, feeds)
        peers["lathe " + score] = run
    timings = harness.measure(peers, seconds=1.5, rounds=11, clock=clock)
    flops = 4 * HEADS * length * length * dim
    sigmoid = timings["lathe sigmoid"].median
    return [dim, length, *(harness.ms(timings[name].median) for name in
                           ("ort softmax", "ort sigmoid", "lathe softmax",
                            "lathe sigmoid")),
            f"{harness.ratio(timings, 'ort sigmoid', 'lathe sigmoid'):.2f} x",
            f"{harness.ratio(timings, 'lathe softmax', 'lathe sigmoid'):.2f} x",
            f"{flops / sigmoid / peak / 1e9 * 100:.0f} %", f"{max(errors):.1e}"]


# 8 of 64 blocks in most rows of 4096.
PATTERNS = ["window:block=64,local=4,sink=1", "s2:block=64,local=2,stride=13"]
SPARSE_COLUMNS = ["pattern", "score", "scores visited", "dense ms", "sparse ms",
                  "to dense", "error"]


def visible(pattern, length, head):
    """The mask that a pattern above makes."""
    name, _, rest = pattern.partition(":")
    number = {k: int(v) for k, _, v in (f.partition("=") for f in rest.split(","))}
    i, j = np.ogrid[:length, :length]
    i, j = i // number["block"], j // number["block"]
    if name == "window":
        return (abs(i - j) < number["local"]) | (j < number["sink"])
    step = max(1, number["stride"] // HEADS)
    return (abs(i - j) < number["local"]) | ((j + head * step) % number["stride"] == 0)


def attend(feeds, head, mask, score):
    """NumPy's answer for one head, in f64."""
    q, k, v = (feeds[name][0, head].astype("f8") for name in "qkv")
    logits = q @ k.T * q.shape[-1] ** -0.5
    if score == "sigmoid":
        weights = 1 / (1 + np.exp(-logits - feeds["bias"].astype("f8")))
        return np.where(mask, weights, 0) @ v
    weights = np.where(mask, np.exp(logits - logits.max(-1, keepdims=True)), 0)
    return weights / weights.sum(-1, keepdims=True) @ v


def sparse_row(pattern, score, dim, length, clock):
    path, feeds = make_model(score, dim), make_feeds(score, dim, length)
    options = ["--specialize", f"seq={length}"]
    sparse = ["--attention-pattern", pattern]
    run = {name: harness.lathe_model(harness.compile_model(path, *o), 1).bind(feeds)
           for name, o in (("dense", options), ("sparse", options + sparse))}
    masks = [visible(pattern, length, head) for head in range(HEADS)]
    got = run["sparse"].run()["o"][0, -1]
    error = harness.max_error({"o": got}, {"o": attend(feeds, HEADS - 1, masks[-1],
                                                       score)})
    timings = harness.measure(run, seconds=3, rounds=11, clock=clock)
    return [pattern, score, f"{np.mean([m.mean() for m in masks]) * 100:.1f} %",
            *(harness.ms(timings[name].median) for name in ("dense", "sparse")),
            f"{harness.ratio(timings, 'dense', 'sparse'):.2f} x", f"{error:.1e}"]


TORCH_COLUMNS = ["d", "n", "torch ms", "Lathe ms", "to torch", "of peak", "error"]


def torch_row(dim, length, peak, clock):
    import torch
    torch.set_num_threads(1)
    feeds = make_feeds("softmax", dim, length)
    q, k, v = (torch.from_numpy(feeds[name]) for name in "qkv")
    attention = torch.nn.functional.scaled_dot_product_attention
    run = harness.lathe_model(harness.compile_model(make_model("softmax", dim)),
                              1).bind(feeds)
    with torch.inference_mode():
        error = harness.max_error(run.run(), {"o": attention(q, k, v).numpy()})
        timings = harness.measure({"torch": lambda: attention(q, k, v), "lathe": run},
                                  seconds=1.5, rounds=11, clock=clock)
    flops = 4 * HEADS * length * length * dim
    return [dim, length, *(harness.ms(timings[n].median) for n in ("torch", "lathe")),
            f"{harness.ratio(timings, 'torch', 'lathe'):.2f} x",
            f"{flops / timings['lathe'].median / peak / 1e9 * 100:.0f} %",
            f"{error:.1e}"]


BF16_COLUMNS = ["d", "n", "torch ms", "softmax ms", "sigmoid ms", "softmax: to torch",
                "sigmoid: to torch", "sigmoid: to softmax", "error"]


def bf16_row(dim, length, clock):
    import ml_dtypes
    import torch
    torch.set_num_threads(1)
    peers = {}
    for score in ("sigmoid", "softmax"):
        feeds = {name: array.astype(ml_dtypes.bfloat16)
                 for name, array in make_feeds(score, dim, length).items()}
        path = make_model(score, dim, TensorProto.BFLOAT16)
        peers[score] = harness.lathe_model(harness.compile_model(path), 1).bind(feeds)
    wide = [torch.from_numpy(feeds[name].astype("f4")) for name in "qkv"]
    q, k, v = (array.bfloat16() for array in wide)
    attention = torch.nn.functional.scaled_dot_product_attention
    peers["torch"] = lambda: attention(q, k, v)
    with torch.inference_mode():
        got = np.asarray(peers["softmax"].run()["o"]).view(ml_dtypes.bfloat16)
        error = harness.max_error({"o": got.astype("f4").reshape(wide[2].shape)},
                                  {"o": attention(*wide).numpy()})
        timings = harness.measure(peers, seconds=1.5, rounds=11, clock=clock)
    return [dim, length,
            *(harness.ms(timings[n].median) for n in ("torch", "softmax", "sigmoid")),
            *(f"{harness.ratio(timings, a, b):.2f} x" for a, b in (
                ("torch", "softmax"), ("torch", "sigmoid"), ("softmax", "sigmoid"))),
            f"{error:.1e}"]


def main():
    print(harness.describe_machine(), "\n")
    lengths = [128, 256, 512, 1024, 2048, 4096]
    if "--quick" in sys.argv:
        lengths = [128, 512]
    # The time of the calling thread on its core: for a busy machine.
    clock = time.thread_time if "--cpu-time" in sys.argv else time.perf_counter
    peak = harness.peak_gflops()
    rows = []
    for dim in (32, 64):
        for length in lengths:
            try:
                rows.append(row(dim, length, peak, clock))
            except RuntimeError as error:
                print(f"d {dim}, n {length}: {error}", file=sys.stderr)
    harness.print_table(COLUMNS, rows)
    print()
    length = 1024 if "--quick" in sys.argv else 4096
    harness.print_table(SPARSE_COLUMNS, [
        sparse_row(pattern, score, 64, length, clock)
        for pattern in PATTERNS for score in ("softmax", "sigmoid")])
    if "--torch" in sys.argv:
        print()
        harness.print_table(TORCH_COLUMNS, [
            torch_row(dim, length, peak, clock)
            for dim in (32, 64, 128) for length in lengths])
    if "--bf16" in sys.argv:
        print()
        harness.print_table(BF16_COLUMNS, [
            bf16_row(dim, length, clock)
            for dim in (32, 64, 128) for length in lengths])
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
