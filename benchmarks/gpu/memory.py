#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels that memory bounds, in f16, beside PyTorch's, torch.compile's and the
time of a copy.

    python3 benchmarks/gpu/memory.py --prepare FOLDER
    python3 benchmarks/gpu/memory.py FOLDER"""

import numpy as np

from harness import Case, main
from onnx_models import save

ROWS, COLUMNS = 65536, 1024


def ones(size):
    return np.linspace(.5, 1.5, size, dtype=np.float16)


def case(name, nodes, function, extra=(), weights=(), reads=1, rows=ROWS,
         columns=COLUMNS, output=None):
    """`function` maps (x, the others) to y in torch."""
    def inputs():
        import torch
        return {key: torch.randn(rows, columns, device="cuda",
                                 dtype=torch.float16) for key in ("x", *extra)}

    def peers(given):
        import torch
        given = list(given.values()) + [
            torch.from_numpy(w).cuda() for w in dict(weights).values()
            if w.dtype == np.float16 and w.ndim]
        fast = torch.compile(function)
        return {"torch": lambda: function(*given),
                "torch.compile": lambda: fast(*given)}

    dims = [rows, columns]
    return Case(f"{name}-{rows}x{columns}",
                lambda path: save(path, "f16", {key: dims
                                                for key in ("x", *extra)},
                                  nodes, output or dims, weights),
                inputs, peers, 0, 2 * rows * columns * (reads + 1))


def layer_norm(x, g, b):
    import torch
    return torch.nn.functional.layer_norm(x, x.shape[-1:], g, b, 1e-5)


def rms_norm(x, r, g):
    import torch
    return torch.nn.functional.rms_norm(x + r, x.shape[-1:], g, 1e-5)


def gelu(x):
    import torch
    return torch.nn.functional.gelu(x)


CASES = [
    case("layernorm", [("LayerNormalization", ["x", "g", "b"],
                        {"epsilon": 1e-5})], layer_norm,
         weights={"g": ones(COLUMNS), "b": ones(COLUMNS)}),
    case("layernorm", [("LayerNormalization", ["x", "g", "b"],
                        {"epsilon": 1e-5})], layer_norm, rows=8192, columns=8192,
         weights={"g": ones(8192), "b": ones(8192)}),
    case("rmsnorm-residual", [("Add", ["x", "r"], {}),
                              ("RMSNormalization", [None, "g"],
                               {"epsilon": 1e-5})], rms_norm, ["r"],
         {"g": ones(COLUMNS)}, reads=2),
    case("softmax", [("Softmax", ["x"], {"axis": -1})],
         lambda x: x.softmax(-1)),
    case("gelu", [("Gelu", ["x"], {})], gelu),
    case("add", [("Add", ["x", "r"], {})], lambda x, r: x + r, ["r"], reads=2),
    case("transpose", [("Transpose", ["x"], {"perm": [1, 0]})],
         lambda x: x.t().contiguous(), output=[COLUMNS, ROWS]),
    case("row-sum", [("ReduceSum", ["x", "axis"], {"keepdims": 1})],
         lambda x: x.sum(1, keepdim=True), reads=0,
         weights={"axis": np.array([1])}, output=[ROWS, 1]),
]

if __name__ == "__main__":
    main(CASES, __doc__)
