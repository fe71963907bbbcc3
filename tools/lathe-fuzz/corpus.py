# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The undamaged files that lathe-fuzz starts from.

    corpus.py BUILD FOLDER

writes FOLDER/onnx from the texts below (a new op, attribute or way of storing
deserves a line here), FOLDER/folders, and FOLDER/bundles, compiled from both by
BUILD/bin/lathe, some with options (STORED). Models that it does not compile serve as
ONNX files alone.
"""

import os
import pathlib
import subprocess
import sys

import onnx
from onnx import numpy_helper, parser

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ROOT / "test/lib/Frontend/HuggingFace/Inputs/folders.py"
FOLDER_KINDS = ["bert", "sharded", "distilbert", "vit"]

MODELS = {
    "transformer": """
        main (float[batch, seq, 8] x, int64[batch, seq] mask) => (float[B, S, 8] y)
        <float[8, 24] w = {WEIGHTS:192}, float[8] scale = {WEIGHTS:8},
         float[8, 8] o = {WEIGHTS:64}, int64[4] heads = {0, 0, 2, 4},
         int64[3] flat = {0, 0, 8}, int64[2] middle = {1, 2}> {
          n = LayerNormalization <epsilon = 0.00001> (x, scale)
          qkv = MatMul (n, w)
          q, k, v = Split <axis = 2, num_outputs = 3> (qkv)
          q1 = Reshape (q, heads)
          k1 = Reshape (k, heads)
          v1 = Reshape (v, heads)
          q2 = Transpose <perm = [0, 2, 1, 3]> (q1)
          k2 = Transpose <perm = [0, 2, 3, 1]> (k1)
          v2 = Transpose <perm = [0, 2, 1, 3]> (v1)
          s = MatMul (q2, k2)
          m1 = Cast <to = 1> (mask)
          m2 = Unsqueeze (m1, middle)
          s1 = Add (s, m2)
          p = Softmax <axis = -1> (s1)
          a = MatMul (p, v2)
          a1 = Transpose <perm = [0, 2, 1, 3]> (a)
          a2 = Reshape (a1, flat)
          h = Gemm_like (a2, o)
          y = Add (h, x)
        }
        <domain: "test", opset_import: ["" : 20]>
        Gemm_like (a, b) => (c) { m = MatMul (a, b)  c = Gelu (m) }""",
    "convolution": """
        main (float[batch, 3, height, 8] x) => (float[N, C, H, W] y)
        <float[4, 3, 3, 3] w = {WEIGHTS:108}, float[4] b = {WEIGHTS:4},
         float[4, 1, 3, 3] d = {WEIGHTS:36}, float[4] one = {1, 1, 1, 1}> {
          c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, b)
          n = BatchNormalization (c, one, b, b, one)
          r = Relu (n)
          d1 = Conv <group = 4, pads = [1, 1, 1, 1], auto_pad = "NOTSET"> (r, d)
          p = MaxPool <kernel_shape = [2, 2], ceil_mode = 1> (d1)
          g = GlobalAveragePool (p)
          y = Mul (p, g)
        }""",
    "shapes": """
        main (float[n, 6] x) => (float[N, M] y, int64[R] size)
        <int64[1] zero = {0}, int64[1] one = {1}, int64[1] minus = {-1},
         int64[1] three = {3}, int64[4] pads = {0, 1, 0, 1},
         int64[2] repeats = {2, 1}> {
          size = Shape (x)
          rows = Gather <axis = 0> (size, zero)
          more = Concat <axis = 0> (rows, three, minus)
          r = Reshape (x, more)
          f = Flatten <axis = 1> (r)
          s = Slice (f, zero, three, one)
          p = Pad <mode = "constant"> (s, pads)
          t = Tile (p, repeats)
          both = Concat <axis = 0> (rows, three)
          e = ConstantOfShape <value = float[1] {2.0}> (both)
          m = ReduceMean <keepdims = 1> (e, one)
          z = ReduceSum <keepdims = 1> (t, zero)
          y = Einsum <equation = "ij,ki->kj"> (z, m)
        }""",
    "branches": """
        main (float[n, 4] x, bool which) => (float[N, 4] y)
        <float[4] w = {WEIGHTS:4}> {
          y = If (which) <
            then_branch = yes () => (float[A, 4] a) { a = Mul (x, w) },
            else_branch = no () => (float[B, 4] b) {
              c = Add (x, w)
              b = Relu (c)
            }>
        }""",
    "loop": """
        main (float[4] x, int64 count) => (float[4] last, float[T, 4] all)
        <bool yes = {1}, float[4] w = {WEIGHTS:4}> {
          last, all = Loop (count, yes, x) <
            body = step (int64 i, bool go, float[4] s)
                => (bool on, float[4] t, float[4] out) {
              on = Identity (go)
              t = Add (s, w)
              out = Tanh (t)
            }>
        }""",
    "scan": """
        main (float[4] x, float[T, 4] steps) => (float[4] last, float[T, 4] all) {
          last, all = Scan <num_scan_inputs = 1,
            body = step (float[4] s, float[4] v) => (float[4] t, float[4] out) {
              t = Add (s, v)
              out = Sigmoid (t)
            }> (x, steps)
        }""",
    "recurrent": """
        main (float[T, 2, 3] x) => (float[T, 1, 2, 4] y)
        <float[1, 16, 3] w = {WEIGHTS:48}, float[1, 16, 4] r = {WEIGHTS:64},
         float[1, 12, 3] gw = {WEIGHTS:36}, float[1, 12, 4] gr = {WEIGHTS:48}> {
          a = LSTM <hidden_size = 4> (x, w, r)
          b = GRU <hidden_size = 4, linear_before_reset = 1> (x, gw, gr)
          y = Add (a, b)
        }""",
    "data": """
        main (float[n, 4] x, int64[k] at) => (int64[R, K] where, float[N, 2] top,
            int64[N, 2] index, float[U] values, float[n, 4] put)
        <int64[1] two = {2}, float[4] zeros = {0, 0, 0, 0}> {
          where = NonZero (x)
          top, index = TopK <axis = 1, largest = 1> (x, two)
          values = Unique (x)
          row = Expand (zeros, shape)
          k = Shape (at)
          four = Constant <value_ints = [4]> ()
          shape = Concat <axis = 0> (k, four)
          i = Unsqueeze (at, one)
          one = Constant <value_ints = [1]> ()
          put = ScatterND <reduction = "add"> (x, i, row)
        }""",
    "quantized": """
        main (float[n, 4] x) => (float[N, 3] y)
        <int8[4, 3] w = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12},
         float[3] scale = {0.1, 0.2, 0.3}, int8[3] zero = {0, 0, 0},
         float ws = {0.1}, uint8 wz = {128}> {
          d = DequantizeLinear <axis = 1> (w, scale, zero)
          q = QuantizeLinear (x, ws, wz)
          f = DequantizeLinear (q, ws, wz)
          y = MatMul (f, d)
        }""",
    "resize": """
        main (float[n, 2, 4, 4] x) => (float[N, C, H, W] y)
        <float[4] scales = {1, 1, 2, 2}, float[0] roi = {}> {
          r = Resize <mode = "linear",
              coordinate_transformation_mode = "half_pixel"> (x, roi, scales)
          a = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r)
          y = Clip (a, low, high)
          low = Constant <value_float = 0.0> ()
          high = Constant <value = float {6.0}> ()
        }""",
    "fused": """
        main (float[b, 4, s, 8] q, float[b, 2, t, 8] k, float[b, 2, t, 8] v)
            => (float[b, 4, s, 8] y)
        <float[8] g = {WEIGHTS:8}> {
          a = Attention <is_causal = 1, softcap = 5.0> (q, k, v)
          y = RMSNormalization <axis = -1> (a, g)
        }""",
    "listed": """
        main (float[1, 2, 96, 8] q) => (float[1, 2, 96, 8] y) {
          y = Attention <is_causal = 1> (q, q, q)
        }""",
    "encoded": """
        main (float[n, 64] x) => (float[N, 64] y)
        <float[64, 64] w = {WEIGHTS:4096}> { y = MatMul (x, w) }""",
}

# Ways of storing: bundles of these models, by options of `lathe compile`.
STORED = {
    "lists": ("listed", ["--attention-pattern", "window:block=16,local=2"]),
    "int8": ("encoded", ["--weights", "int8"]),
    "int4": ("encoded", ["--weights", "int4:64:zeros"]),
    "ternary": ("encoded", ["--weights", "ternary"]),
    "blocks": ("encoded", ["--weights", "block4x1:0.1"]),
    "bf16": ("encoded", ["--precision", "bf16"]),
}


def weights(count):
    """Numbers that differ, from a formula: bytes are the same everywhere."""
    return ", ".join(f"{(7 * i % 11 - 5) / 8}" for i in range(int(count)))


def parse(text):
    while "{WEIGHTS:" in text:
        head, tail = text.split("{WEIGHTS:", 1)
        count, tail = tail.split("}", 1)
        text = head + "{" + weights(count) + "}" + tail
    opset = 23 if "= Attention" in text else 20
    head = f'<ir_version: 10, opset_import: ["" : {opset}, "test" : 1]>\n'
    model = parser.parse_model(head + text)
    for node in model.graph.node:
        if node.op_type == "Gemm_like":
            node.domain = "test"
    # Tensors are stored in both ways.
    for tensor in model.graph.initializer[::2]:
        raw = numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)
        tensor.CopyFrom(raw)
    # Nodes may be written in any order above; a file needs one.
    return sort_nodes(model)


def sort_nodes(model):
    done, rest = [], list(model.graph.node)
    made = {name for node in rest for name in node.output}
    while rest:
        ready = [n for n in rest if not made.intersection(n.input)]
        assert ready, "the nodes wait for each other"
        done += ready
        rest = [n for n in rest if n not in ready]
        made = {name for node in rest for name in node.output}
    del model.graph.node[:]
    model.graph.node.extend(done)
    return model


def main(build, folder):
    folder = pathlib.Path(folder)
    for kind in ("onnx", "folders", "bundles"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    sources = {}
    for name, text in MODELS.items():
        model = parse(text)
        onnx.checker.check_model(model)
        sources[name] = folder / "onnx" / f"{name}.onnx"
        onnx.save(model, sources[name])
    for kind in FOLDER_KINDS:
        sources[kind] = folder / "folders" / kind
        subprocess.run([sys.executable, FOLDERS, kind, sources[kind]], check=True)
    lathe = os.path.join(build, "bin", "lathe")
    compiled = {name: (name, []) for name in sources} | STORED
    for name, (source, options) in compiled.items():
        bundle = folder / "bundles" / f"{name}.lathe"
        done = subprocess.run(
            [lathe, "compile", sources[source], "-o", bundle, "--target",
             "x86:cpu=x86-64-v3", *options], capture_output=True, text=True)
        if done.returncode:
            print(f"corpus: no bundle: {done.stderr.splitlines()[0]}")
    helper = os.path.join(build, "test", "runtime", "write-test-bundle")
    subprocess.run([helper, folder / "bundles" / "everything.lathe",
                    "everything"], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
