#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels that memory bounds, in f16, beside PyTorch's, torch.compile's and the
time of a copy.

    python3 benchmarks/gpu/memory.py --prepare FOLDER
    python3 benchmarks/gpu/memory.py FOLDER"""

import numpy as np

from harness import Case, main
from onnx_models import save

COLUMNS = 1024


def ones(size):
    return np.linspace(.5, 1.5, size, dtype=np.float16)


def case(rows, name, nodes, function, extra=(), weights=(), reads=1, writes=1,
         columns=COLUMNS, output=None, kept=()):
    """`function` maps (x, the others) to y, or all results, in torch. `rows` are
    of COLUMNS elements; others are as many bytes."""
    rows = rows * COLUMNS // columns

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
                                  nodes, output or dims, weights, kept),
                inputs, peers, 0, 2 * rows * columns * (reads + writes))


def layer_norm(x, g, b):
    import torch
    return torch.nn.functional.layer_norm(x, x.shape[-1:], g, b, 1e-5)


def sum_and_norm(x, r, g):
    import torch
    total = x + r
    return torch.nn.functional.rms_norm(total, x.shape[-1:], g, 1e-5), total


def gelu(x):
    import torch
    return torch.nn.functional.gelu(x)


def cases(rows):
    norm = [("LayerNormalization", ["x", "g", "b"], {"epsilon": 1e-5})]
    residual = [("Add", ["x", "r"], {}),
                ("RMSNormalization", [None, "g"], {"epsilon": 1e-5})]
    affine = lambda columns: {"g": ones(columns), "b": ones(columns)}
    return [
        *(case(rows, "layernorm", norm, layer_norm, weights=affine(columns),
               columns=columns) for columns in (COLUMNS, 8192)),
        case(rows, "rmsnorm-residual", residual,
             lambda *x: sum_and_norm(*x)[0], ["r"], {"g": ones(COLUMNS)}, reads=2),
        *(case(rows, "sum-and-rmsnorm", residual, sum_and_norm, ["r"],
               {"g": ones(columns)}, reads=2, writes=2, columns=columns, kept=[0])
          for columns in (COLUMNS, 4096)),
        case(rows, "softmax", [("Softmax", ["x"], {"axis": -1})],
             lambda x: x.softmax(-1)),
        case(rows, "gelu", [("Gelu", ["x"], {})], gelu),
        case(rows, "add", [("Add", ["x", "r"], {})], lambda x, r: x + r, ["r"],
             reads=2),
        case(rows, "transpose", [("Transpose", ["x"], {"perm": [1, 0]})],
             lambda x: x.t().contiguous(), output=[COLUMNS, rows]),
        case(rows, "row-sum", [("ReduceSum", ["x", "axis"], {"keepdims": 1})],
             lambda x: x.sum(1, keepdim=True), writes=0,
             weights={"axis": np.array([1])}, output=[rows, 1]),
    ]


# x of 16 MB, 128 MB and 1 GB.
CASES = [case for rows in (8192, 65536, 524288) for case in cases(rows)]

if __name__ == "__main__":
    main(CASES, __doc__)
