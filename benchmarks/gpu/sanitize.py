#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every strategy at small shapes, at every level of a GPU: its results beside those
of the CPU, from one bundle, and what compute-sanitizer says of it.

    python3 benchmarks/gpu/sanitize.py --prepare FOLDER    writes and compiles models
    python3 benchmarks/gpu/sanitize.py FOLDER              memcheck, racecheck, synccheck
    python3 benchmarks/gpu/sanitize.py FOLDER --compare    results alone

Bounds are of the largest value of a result: 2e-5 in f32, 1e-2 where 16 bits are
stored or multiplied, 2e-2 where weights or activations are quantized."""

import argparse
import collections
import os
import re
import subprocess
import sys
import zlib

import numpy as np

from harness import ROOT, print_table, random_weights

TOOLS = ("memcheck", "racecheck", "synccheck")
LEVELS = ("sm_80", "sm_90a")
F32, F16 = np.float32, np.float16


class Case:
    """A few nodes in a row (op, inputs, attributes): None is the result of the node
    before. Inputs map names to dims, floats unless they are `integers`, below that
    number, or `truths`, of which most are true."""

    def __init__(self, name, nodes, inputs, weights=(), dtype=F16, options=(),
                 integers=(), truths=(), outputs=1, bound=None):
        self.name, self.nodes, self.inputs = name, nodes, inputs
        self.weights, self.dtype, self.options = dict(weights), dtype, options
        self.integers, self.truths, self.outputs = dict(integers), truths, outputs
        self.bound = bound or (2e-5 if dtype == F32 and not options else 1e-2)

    def random(self, seed):
        return np.random.default_rng(zlib.crc32(f"{self.name}{seed}".encode()))

    def make_inputs(self):
        generator, feeds = self.random("x"), {}
        for name, dims in self.inputs.items():
            feeds[name] = (
                generator.integers(0, self.integers[name], dims)
                if name in self.integers
                else generator.random(dims) < .7 if name in self.truths
                else generator.standard_normal(dims).astype(self.dtype))
        return feeds

    def write(self, path):
        import onnx
        from onnx import helper, numpy_helper
        kinds = {name: helper.np_dtype_to_tensor_dtype(array.dtype)
                 for name, array in self.make_inputs().items()}
        made, last = [], None
        for i, (op, operands, attributes) in enumerate(self.nodes):
            results = [f"t{i}"]
            if i + 1 == len(self.nodes):
                results = [f"y{j}" for j in range(self.outputs)]
            made.append(helper.make_node(
                op, [last if name is None else name for name in operands],
                results, **attributes))
            last = results[0]
        initializers = []
        for name, value in self.weights.items():
            if isinstance(value, tuple):
                seed = zlib.crc32(f"{self.name}{name}".encode())
                value = random_weights(value, seed, np.prod(value[1:])**-.5).astype(
                    self.dtype)
            initializers.append(numpy_helper.from_array(value, name))
        graph = helper.make_graph(
            made, self.name,
            [helper.make_tensor_value_info(name, kinds[name], dims)
             for name, dims in self.inputs.items()],
            [helper.make_empty_tensor_value_info(f"y{j}")
             for j in range(self.outputs)], initializers)
        model = helper.make_model(graph,
                                  opset_imports=[helper.make_opsetid("", 23)])
        model.ir_version = 10
        onnx.save(onnx.shape_inference.infer_shapes(model), path)


# What is run ------------------------------------------------------------------

def linear(name, rows, k, n, dtype=F16, then=(), **more):
    return Case(f"linear {name}", [("MatMul", ["x", "w"], {}),
                                   ("Add", [None, "b"], {}), *then],
                {"x": [rows, k]}, {"w": (k, n), "b": (n, )}, dtype, **more)


def attention(name, q, kv, nodes=None, extra=(), truths=(), **attributes):
    nodes = nodes or [("Attention", ["q", "k", "v", *extra], attributes)]
    inputs = {"q": q, "k": kv, "v": kv, **dict(extra)}
    weights = {"scale": np.array(q[-1]**-.5, F16), "bias": np.array(-3, F16)}
    used = {name for _, operands, _ in nodes for name in operands}
    return Case(f"attention {name}", nodes, inputs,
                {name: w for name, w in weights.items() if name in used},
                truths=truths)


def conv(name, x, w, dtype=F16, then=(), options=(), **attributes):
    return Case(f"conv {name}", [("Conv", ["x", "w", "b"], attributes), *then],
                {"x": x}, {"w": w, "b": (w[0], )}, dtype, options)


def one(op, x, extra=(), weights=(), dtype=F16, name="", outputs=1, **attributes):
    return Case(f"{op} {name}".strip(), [(op, ["x", *extra], attributes)],
                {"x": x}, weights, dtype, outputs=outputs)


SIGMOID = [("Transpose", ["k"], {"perm": [0, 1, 3, 2]}),
           ("MatMul", ["q", None], {}), ("Mul", [None, "scale"], {}),
           ("Add", [None, "bias"], {}), ("Sigmoid", [None], {}),
           ("MatMul", [None, "v"], {})]
GELU, RELU = ("Gelu", [None], {}), ("Relu", [None], {})
I64 = np.int64

CASES = [
    linear("f16 many rows", 300, 256, 512, then=[GELU]),
    linear("f16 odd", 70, 136, 200), linear("f16 one row", 1, 256, 512),
    linear("f16 few rows", 16, 512, 256), linear("f32", 33, 65, 130, F32),
    linear("f16 few rows, int4", 9, 512, 4224,
           options=("--weights", "int4:float")),
    linear("f32 to bf16", 130, 128, 256, F32, options=("--precision", "bf16")),
    linear("int8", 40, 256, 128, F32, options=("--weights", "int8"), bound=2e-2),
    linear("int4", 5, 256, 128, F32, options=("--weights", "int4"), bound=2e-2),
    # Clusters: the last one has fewer column tiles than programs.
    linear("f16, odd tiles", 5, 512, 4224), linear("f16, odd rows", 130, 256, 4160),
    linear("int8, odd tiles", 5, 512, 4224, F32, options=("--weights", "int8"),
           bound=2e-2),
    linear("int4, odd tiles", 5, 512, 4224, F32, options=("--weights", "int4"),
           bound=2e-2),
    Case("linear of 8-bit floats", [
        ("Cast", ["x"], {"to": 17}), ("Cast", [None], {"to": 10}),
        ("Cast", ["w"], {"to": 17}), ("Cast", [None], {"to": 10}),
        ("Transpose", [None], {"perm": [1, 0]}), ("MatMul", ["t1", None], {})],
        {"x": [130, 256]}, {"w": (136, 256)}),
    Case("matmul", [("MatMul", ["x", "z"], {})], {"x": [3, 65, 72],
                                                  "z": [3, 72, 136]}),
    attention("softmax 64", [1, 4, 130, 64], [1, 4, 190, 64]),
    attention("softmax 128 causal", [2, 2, 200, 128], [2, 2, 200, 128], is_causal=1),
    attention("softmax 32, groups", [1, 8, 65, 32], [1, 2, 65, 32]),
    attention("softmax 256", [1, 2, 70, 256], [1, 2, 129, 256]),
    attention("softmax 80", [1, 2, 50, 80], [1, 2, 50, 80]),
    attention("softmax 64, 197 keys", [1, 2, 197, 64], [1, 2, 197, 64]),
    attention("softmax 64, 300 keys", [1, 2, 257, 64], [1, 2, 300, 64]),
    attention("softmax 96", [1, 2, 70, 96], [1, 2, 130, 96]),
    attention("one query", [2, 8, 1, 64], [2, 2, 700, 64]),
    attention("sigmoid 64", [1, 4, 130, 64], [1, 4, 190, 64], SIGMOID),
    attention("mask", [1, 2, 66, 64], [1, 2, 96, 64],
              extra={"m": [66, 96]}),
    attention("mask of each head", [2, 4, 130, 64], [2, 4, 208, 64],
              extra={"m": [2, 4, 130, 208]}, truths="m"),
    attention("mask, causal, groups", [1, 8, 200, 128], [1, 2, 304, 128],
              extra={"m": [8, 200, 304]}, is_causal=1),
    attention("mask of truths, 80", [1, 2, 257, 80], [1, 2, 320, 80],
              extra={"m": [257, 320]}, truths="m"),
    attention("mask 256", [1, 2, 140, 256], [1, 2, 104, 256],
              extra={"m": [140, 104]}),
    attention("mask, odd lines", [1, 2, 70, 64], [1, 2, 197, 64],
              extra={"m": [70, 197]}),
    attention("mask of keys", [2, 2, 70, 64], [2, 2, 192, 64],
              extra={"m": [2, 1, 1, 192]}, truths="m"),
    attention("sigmoid, mask", [1, 4, 130, 96], [1, 4, 200, 96],
              SIGMOID[:-2] + [("Add", [None, "m"], {})] + SIGMOID[-2:],
              extra={"m": [130, 200]}),
    conv("3x3", [1, 64, 14, 14], (96, 64, 3, 3), pads=[1] * 4, then=[RELU]),
    conv("3x3, split", [1, 256, 7, 7], (64, 256, 3, 3), pads=[1] * 4),
    conv("7x7 of 3 channels", [2, 3, 33, 35], (64, 3, 7, 7), pads=[3] * 4,
         strides=[2, 2]),
    conv("5x5 dilated", [1, 24, 15, 17], (40, 24, 5, 5), pads=[4] * 4,
         dilations=[2, 2]),
    conv("1x1 with strides", [2, 32, 9, 9], (64, 32, 1, 1), strides=[2, 2]),
    conv("groups", [1, 32, 9, 9], (64, 8, 3, 3), group=4, pads=[1] * 4),
    conv("depthwise", [1, 40, 13, 12], (40, 1, 3, 3), group=40, pads=[1] * 4),
    conv("depthwise with strides", [1, 72, 13, 12], (72, 1, 5, 5), group=72,
         pads=[2] * 4, strides=[2, 2]),
    conv("of one dim", [2, 16, 50], (24, 16, 3), pads=[1, 1]),
    conv("f32", [1, 16, 12, 13], (40, 16, 3, 3), F32, pads=[1] * 4),
    one("MaxPool", [1, 64, 15, 17], kernel_shape=[3, 3], strides=[2, 2],
        pads=[1] * 4),
    one("AveragePool", [2, 24, 9, 9], kernel_shape=[2, 2], strides=[2, 2]),
    one("GlobalAveragePool", [2, 70, 7, 7]),
    one("LayerNormalization", [70, 768], ["g", "c"], {"g": (768, ), "c": (768, )}),
    one("RMSNormalization", [9, 1030], ["g"], {"g": (1030, )}),
    one("Softmax", [33, 1000]), one("Softmax", [5, 33, 7], axis=1, name="of columns"),
    one("LogSoftmax", [4, 77], dtype=F32),
    one("ReduceSum", [70, 1000], ["a"], {"a": np.array([0], I64)}, F32, "of columns"),
    one("ReduceMax", [3, 4, 500], ["a"], {"a": np.array([2], I64)}),
    one("ReduceMean", [3000], dtype=F32, name="of all"),
    one("ArgMax", [20, 300], axis=1), one("Gelu", [3, 1001]),
    one("Transpose", [70, 3, 130], perm=[2, 1, 0]),
    Case("Concat", [("Concat", ["x", "z"], {"axis": 1})], {"x": [9, 30],
                                                           "z": [9, 71]}),
    one("Slice", [20, 300], ["s", "e", "a"],
        {"s": np.array([3], I64), "e": np.array([290], I64),
         "a": np.array([1], I64)}),
    one("Pad", [3, 9, 20], ["p"], {"p": np.array([0, 2, 1, 0, 0, 3], I64)}),
    one("CumSum", [9, 300], ["a"], {"a": np.array(1, I64)}, F32),
    one("TopK", [9, 300], ["n"], {"n": np.array([7], I64)}, F32, outputs=2),
    Case("Gather", [("Gather", ["t", "x"], {})], {"x": [4, 30]},
         {"t": (500, 768)}, integers={"x": 500}),
    Case("ScatterND", [("ScatterND", ["x", "i", "u"], {"reduction": "add"})],
         {"x": [40, 8], "i": [70, 1], "u": [70, 8]}, dtype=F32,
         integers={"i": 40}),
    one("LSTM", [6, 3, 16], ["w", "r"], {"w": (1, 80, 16), "r": (1, 80, 20)}, F32,
        hidden_size=20),
    one("Resize", [1, 8, 9, 10], ["", "s"], {"s": np.array([1, 1, 2, 2], F32)},
        mode="nearest"),
]


# Running ----------------------------------------------------------------------

def path_of(case, folder):
    return os.path.join(folder, re.sub(r"[ ,]+", "-", case.name))


def prepare(cases, folder):
    os.makedirs(folder, exist_ok=True)
    build = os.environ.get("LATHE_BUILD", os.path.join(ROOT, "build"))
    bad = 0
    for case in cases:
        path = path_of(case, folder)
        case.write(path + ".onnx")
        done = subprocess.run(
            [os.path.join(build, "bin", "lathe"), "compile", path + ".onnx", "-o",
             path + ".lathe", "--target", "x86:cpu=x86-64-v3,cuda", *case.options],
            capture_output=True, text=True)
        os.remove(path + ".onnx")
        bad += done.returncode != 0
        print(case.name + ":", done.stderr.strip() or "compiled")
    return bad


def has_level(path, level):
    import lathe
    try:
        return lathe.Model(path, device="cuda", variant=level)
    except lathe.LatheError as error:
        if "variant" in str(error) or "level" in str(error):
            return None
        raise


def compare(cases, folder):
    """Runs everything; how far from the CPU's results it is, for each level."""
    import lathe
    rows = []
    for case in cases:
        path, row = path_of(case, folder) + ".lathe", [case.name]
        feeds = case.make_inputs()
        want = lathe.Model(path, device="cpu").run(feeds)
        for level in LEVELS:
            try:
                model = has_level(path, level)
                if model:
                    print(f"== {case.name} | {level}", flush=True)
                got = model.run(feeds) if model else None
            except lathe.LatheError as error:
                row.append(str(error).splitlines()[0])
                continue
            if got is None:
                row.append("")
                continue
            worst = max(np.abs(got[key].astype("f8") - value.astype("f8")).max() /
                        max(np.abs(value.astype("f8")).max(), 1e-30)
                        for key, value in want.items())
            row.append(f"{worst:.1e}" + ("" if worst <= case.bound else " WRONG"))
        rows.append(row)
    print_table(["case", *LEVELS], rows)
    return sum("WRONG" in cell or " " in cell for row in rows for cell in row[1:])


def sanitize(folder, only):
    """A table of what each tool reports of each case."""
    found = collections.defaultdict(dict)
    for tool in TOOLS:
        done = subprocess.run(
            ["compute-sanitizer", "--tool", tool, sys.executable, __file__, folder,
             "--compare", "--only", only], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        key = None
        for line in done.stdout.splitlines():
            if line.startswith("== "):
                key = line[3:]
                found[key][tool] = []
            elif line.startswith("=========") and key:
                found[key][tool].append(line.strip("= "))
        print(f"-- {tool}:", *[line for line in done.stdout.splitlines()
                                if "SUMMARY" in line][-2:], sep="\n")
    rows, bad = [], 0
    for key, its in found.items():
        errors = [[line for line in its.get(tool, ["not run"])
                   if re.match(r"Error|Warning|Invalid|Race|Barrier|Program|not run|"
                               r"Uninit|Misaligned|Divergent", line)]
                  for tool in TOOLS]
        bad += any(errors)
        rows.append([key, *[f"{len(e)}: {e[0][:60]}" if e else "clean"
                            for e in errors]])
    print_table(["case | level", *TOOLS], rows)
    return bad


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--only", default="", help="cases that match this regex")
    given = parser.parse_args()
    cases = [case for case in CASES if re.search(given.only, case.name)]
    if given.prepare:
        sys.exit(prepare(cases, given.folder))
    sys.exit(min(compare(cases, given.folder) if given.compare
                 else sanitize(given.folder, given.only), 100))


if __name__ == "__main__":
    main()
