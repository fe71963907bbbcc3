#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sigmoid and softmax attention beside PyTorch's scaled_dot_product_attention
(FlashAttention 2 and cuDNN, which compute softmax), in one process and in turns.

    python3 benchmarks/gpu/attention.py --prepare FOLDER
    python3 benchmarks/gpu/attention.py FOLDER

Every row of the table is one shape: TFLOP/s of the peers, and for each score function
TFLOP/s of Lathe, how many times faster it is than each peer, and its largest error
over that of PyTorch's unfused form in the same type, both against f32, on one head.
Scores are of N(0, 1) queries and keys over sqrt(d); the sigmoid's bias is -ln n."""

import dataclasses
import os
import re
import sys

import numpy as np

from harness import Timing, bind, make_parser, prepare, print_table
from onnx_models import save

SCORES = ("sigmoid", "softmax")
KINDS = {"f16": "float16", "bf16": "bfloat16"}


@dataclasses.dataclass(frozen=True)
class Shape:
    """One row. `keys` and `shared` (query heads of a key head) are as many as `n` and
    1 elsewhere; a window counts keys up to the query's own; `pattern` is that of
    `lathe compile`."""
    group: str
    dtype: str
    b: int
    h: int
    n: int
    d: int
    causal: bool = False
    scores: tuple = SCORES
    keys: int = 0
    shared: int = 1
    mask: str = ""
    window: int = 0
    pattern: str = ""
    compiled: bool = False

    @property
    def m(self):
        return self.keys or self.n

    @property
    def name(self):
        extra = [word for word in (
            f"keys{self.keys}" * (self.keys > 0), f"gqa{self.shared}" * (self.shared > 1),
            f"{self.mask}-mask" * bool(self.mask),
            f"window{self.window}" * (self.window > 0),
            re.sub(r"[^a-z0-9]+", "_", self.pattern), "causal" * self.causal) if word]
        return "-".join([f"{self.b}x{self.h}x{self.n}x{self.d}", *extra, self.dtype])

    def bundle(self, score):
        """Positions are compared in models of any size, which serve all shapes."""
        if self.isOpen(score):
            window = f"-window{self.window}" if self.window else "-causal"
            return f"{score}-any-{self.d}{window}-{self.dtype}"
        return f"{score}-{self.name}"

    def isOpen(self, score):
        return bool(self.window) or (self.causal and score == "sigmoid")

    def seen(self):
        """The share of scores that some key is seen by."""
        if self.window:
            return min(1.0, (self.window + 1) / self.m)
        return 0.5 if self.causal else 1.0

    def flops(self):
        return 4 * self.b * self.h * self.n * self.m * self.d * self.seen()

    def bias(self, score):
        return -8.0 if self.isOpen(score) else -float(np.log(self.m))


def write(shape, score, path):
    """The spelled-out form, but softmax that the ONNX operator has a name for."""
    is_open = shape.isOpen(score)
    q = ["b", "h", "n", shape.d] if is_open else [shape.b, shape.h, shape.n, shape.d]
    k = q if is_open else [shape.b, shape.h // shape.shared, shape.m, shape.d]
    inputs = {"q": q, "k": k, "v": k}
    weights = {"scale": np.array(shape.d**-.5), "bias": np.array(shape.bias(score)),
               "none": np.array(-np.inf), "zero": np.array(0), "one": np.array(1),
               "axis": np.array([1]), "reach": np.array(shape.window)}
    nodes = [("Transpose", ["k"], {"perm": [0, 1, 3, 2]}),
             ("MatMul", ["q", None], {}), ("Mul", [None, "scale"], {})]
    if score == "sigmoid":
        nodes.append(("Add", [None, "bias"], {}))
    if is_open:
        # Places of keys, of queries, and which keys a query sees.
        logits, first = f"t{len(nodes) - 1}", len(nodes)
        nodes += [("Shape", ["q"], {"start": 2, "end": 3}), ("Squeeze", [None], {}),
                  ("Range", ["zero", None, "one"], {}),
                  ("Unsqueeze", [None, "axis"], {}),
                  ("LessOrEqual", [f"t{first + 2}", None], {})]
        if shape.window:
            nodes += [("Sub", [f"t{first + 3}", "reach"], {}),
                      ("GreaterOrEqual", [f"t{first + 2}", None], {}),
                      ("And", [f"t{first + 4}", None], {})]
        nodes.append(("Where", [None, logits, "none"], {}))
    nodes += [("Softmax", [None], {"axis": -1}) if score == "softmax" else
              ("Sigmoid", [None], {}), ("MatMul", [None, "v"], {})]
    if not is_open and (shape.causal or shape.mask or shape.shared > 1):
        operands = ["q", "k", "v"]
        if shape.mask:
            inputs["mask"] = [1, 1, shape.n, shape.m]
            operands.append("mask")
        nodes = [("Attention", operands, {"is_causal": int(shape.causal)})]
    named = {name for _, operands, _ in nodes for name in operands}
    weights = {name: array for name, array in weights.items() if name in named}
    save(path, shape.dtype, inputs, nodes, q, weights,
         types={"mask": "bool"} if shape.mask == "bool" else {})


class Model:
    """What `prepare` of the harness compiles."""

    def __init__(self, shape, score):
        self.bundle = shape.bundle(score)
        self.write = lambda path: write(shape, score, path)
        self.options = ["--attention-pattern", shape.pattern] if shape.pattern else []


# Running ---------------------------------------------------------------------

def make_inputs(shape):
    import torch
    kind = getattr(torch, KINDS[shape.dtype])
    sizes = {"q": (shape.h, shape.n), "k": (shape.h // shape.shared, shape.m),
             "v": (shape.h // shape.shared, shape.m)}
    x = {name: torch.randn(shape.b, *size, shape.d, device="cuda").to(kind)
         for name, size in sizes.items()}
    if shape.mask:
        seen = torch.rand(1, 1, shape.n, shape.m, device="cuda") < .7
        seen[..., 0] = True
        x["mask"] = seen if shape.mask == "bool" else \
            torch.zeros(seen.shape, device="cuda", dtype=kind).masked_fill(~seen, -1e4)
    return x


def get_mask(shape, x, rows=slice(None)):
    """Which keys queries see, or what is added to their logits."""
    import torch
    if shape.mask:
        return x["mask"][0, 0, rows]
    if not shape.causal and not shape.window:
        return None
    query = torch.arange(shape.n, device="cuda")[rows, None]
    key = torch.arange(shape.m, device="cuda")
    seen = key <= query
    return seen & (key >= query - shape.window) if shape.window else seen


def unfused(shape, score, q, k, v, mask):
    """On one head; the mask is True or False, or is added."""
    import torch
    logits = q @ k.T * shape.d**-.5
    if score == "sigmoid":
        logits = logits + shape.bias(score)
    if mask is not None and mask.dtype == torch.bool:
        logits = logits.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        logits = logits + mask
    weights = logits.sigmoid() if score == "sigmoid" else logits.softmax(-1)
    return weights @ v


def get_error(shape, score, x, y):
    """Ours over PyTorch's, of the first head's last queries."""
    rows = slice(max(shape.n - 2048, 0), shape.n)
    q, k, v = x["q"][0, 0, rows], x["k"][0, 0], x["v"][0, 0]
    mask = get_mask(shape, x, rows)
    want = unfused(shape, score, q.float(), k.float(), v.float(), mask)
    theirs = unfused(shape, score, q, k, v, mask).float()
    ours = y[0, 0, rows].float()
    return ((ours - want).abs().max() / (theirs - want).abs().max()).item()


def get_peers(shape, x):
    """FlashAttention 2 takes no mask and no window: there it computes all (or all
    causal) scores, and the memory-efficient kernel, which reads a mask, is a third."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    q, k, v = x["q"], x["k"], x["v"]

    def sdpa(backend, **how):
        def run():
            with sdpa_kernel(getattr(SDPBackend, backend)):
                return torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, enable_gqa=shape.shared > 1, **how)
        return run
    causal = shape.causal or bool(shape.window)
    peers = {"FA2": sdpa("FLASH_ATTENTION", is_causal=causal)}
    mask = get_mask(shape, x) if shape.mask or shape.window else None
    if mask is None:
        peers["cuDNN"] = sdpa("CUDNN_ATTENTION", is_causal=causal)
    else:
        peers["cuDNN"] = sdpa("CUDNN_ATTENTION", attn_mask=mask[None, None])
        peers["efficient"] = sdpa("EFFICIENT_ATTENTION", attn_mask=mask[None, None])
    if shape.compiled:
        peers["torch.compile"] = (lambda fast=torch.compile(
            lambda q, k, v: torch.sigmoid(q @ k.transpose(2, 3) * shape.d**-.5 +
                                          shape.bias("sigmoid")) @ v): fast(q, k, v))
    return {name: run for name, run in peers.items() if works(name, shape, run)}


def works(name, shape, run):
    import torch
    try:
        run()
        torch.cuda.synchronize()
        return True
    except Exception as error:  # pylint: disable=broad-except
        print(f"  ({shape.name}: no {name}: {str(error).splitlines()[0][:80]})")
        return False


def measure(shape, folder, budget_ms):
    x = make_inputs(shape)
    peers = get_peers(shape, x)
    names = list(peers)
    errors = {}
    for score in shape.scores:
        run, outputs = bind(os.path.join(folder, shape.bundle(score) + ".lathe"), x)
        run()
        if not shape.pattern:
            errors[score] = get_error(shape, score, x, next(iter(outputs.values())))
        peers[score] = run
    timing = Timing(peers, rounds=7, budget_ms=budget_ms)
    rate = lambda name: f"{shape.flops() / timing.median(name) / 1e9:.0f}"
    row = [shape.name, *(rate(name) if name in names else "" for name in (
        "FA2", "cuDNN", "efficient", "torch.compile"))]
    for score in SCORES:
        if score not in shape.scores:
            row += ["", "", "", ""]
            continue
        row += [rate(score), *(f"{timing.ratio(name, score):.2f}" if name in names
                               else "" for name in ("FA2", "cuDNN")),
                f"{errors[score]:.2f}" if score in errors else ""]
    return row


HEADER = ["shape", "FA2", "cuDNN", "efficient", "torch.compile",
          "sigmoid", "x FA2", "x cuDNN", "error", "softmax", "x FA2", "x cuDNN", "error"]


# Shapes ----------------------------------------------------------------------

def grid(dtype):
    """b * h * n is the same for all lengths."""
    for d, positions in ((64, 524288), (128, 262144)):
        for causal in (False, True):
            for n in (512, 1024, 2048, 4096, 8192, 16384):
                yield Shape("grid", dtype, positions // n // 16, 16, n, d, causal)


def others(dtype):
    only = {"group": "forms", "dtype": dtype, "scores": ("softmax",)}
    for d in (32, 80, 96, 256):
        yield Shape("forms", dtype, 4, 16, 4096, d)
        yield Shape(b=4, h=16, n=4096, d=d, causal=True, **only)
    for n in (77, 128, 197, 257, 1000, 1500):
        yield Shape("forms", dtype, 32, 12, n, 64)
    yield Shape(b=1, h=16, n=500, d=128, keys=901, **only)
    yield Shape(b=4, h=32, n=4096, d=128, shared=8, causal=True, **only)
    yield Shape(b=4, h=32, n=4096, d=128, shared=4, **only)
    for mask in ("bool", "additive"):
        yield Shape(b=4, h=16, n=2048, d=128, mask=mask, **only)
        yield Shape(b=4, h=16, n=2048, d=64, mask=mask, **only)
    yield Shape("forms", dtype, 1, 16, 16384, 128, window=1023)
    yield Shape("forms", dtype, 1, 16, 16384, 64, window=1023)


def sparse(dtype):
    """An eighth of all blocks, beside all of them."""
    whole = ("sparse", dtype, 1, 16, 16384, 128)
    yield Shape(*whole)
    for pattern in ("window:block=128,local=8,sink=1", "s2:block=128,local=1,stride=8",
                    "window:block=64,local=16,sink=2"):
        yield Shape(*whole, pattern=pattern)


def get_shapes():
    yield from grid("bf16")
    yield from others("f16")
    yield from sparse("f16")
    yield from grid("f16")
    for d in (64, 128):
        yield Shape("compiled", "f16", 4, 16, 4096, d, scores=("sigmoid",),
                    compiled=True)


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--only", default="",
                        help="shapes of which 'group/name' matches this regex")
    parser.add_argument("--budget", type=float, default=300,
                        help="milliseconds of device time for each shape")
    arguments = parser.parse_args()
    shapes = [shape for shape in get_shapes()
              if re.search(arguments.only, shape.group + "/" + shape.name)]
    if arguments.prepare:
        models = [Model(shape, score) for shape in shapes for score in shape.scores]
        sys.exit(prepare(models, arguments.folder))
    import torch
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; TFLOP/s")
    for group in dict.fromkeys(shape.group for shape in shapes):
        rows = []
        for shape in shapes:
            if shape.group != group:
                continue
            try:
                rows.append(measure(shape, arguments.folder, arguments.budget))
            except Exception as error:  # pylint: disable=broad-except
                print(f"{shape.name}: {type(error).__name__}: {error}")
        used = [i for i in range(len(HEADER)) if any(row[i] for row in rows)]
        print_table([HEADER[i] for i in used], [[row[i] for i in used] for row in rows])


if __name__ == "__main__":
    main()
