#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Matrix products on tensor cores beside cuBLAS: products of two inputs, and
linear layers with bias and GELU.

    python3 benchmarks/gpu/gemm.py --prepare FOLDER
    python3 benchmarks/gpu/gemm.py FOLDER"""

import numpy as np

from harness import Case, main, random_weights
from onnx_models import save

DTYPES = {"f16": "float16", "bf16": "bfloat16"}


def linear_weights(n, k):
    return (random_weights((k, n), n + k, k**-.5).astype(np.float16),
            random_weights((1, n), 3, .1)[0].astype(np.float16))


def product(m, n, k, dtype):
    """y = a b, of inputs."""
    def inputs():
        import torch
        make = lambda *shape: torch.randn(
            *shape, device="cuda", dtype=getattr(torch, DTYPES[dtype]))
        return {"a": make(m, k), "b": make(k, n)}

    def peers(x):
        import torch
        return {"cuBLAS": lambda: torch.mm(x["a"], x["b"])}

    return Case(f"mm-{m}x{n}x{k}-{dtype}",
                lambda path: save(path, dtype, {"a": [m, k], "b": [k, n]},
                                  [("MatMul", ["a", "b"], {})], [m, n]),
                inputs, peers, 2 * m * n * k, 2 * (m * k + k * n + m * n))


def linear(m, n, k, activation):
    """y = gelu(x W + b), or without GELU, f16."""
    def write(path):
        w, b = linear_weights(n, k)
        nodes = [("MatMul", ["x", "w"], {}), ("Add", [None, "b"], {})]
        if activation:
            nodes.append(("Gelu", [None], {}))
        save(path, "f16", {"x": [m, k]}, nodes, [m, n], {"w": w, "b": b})

    def inputs():
        import torch
        return {"x": torch.randn(m, k, device="cuda", dtype=torch.float16)}

    def peers(x):
        import torch
        from torch.nn import functional as F
        w, b = (torch.from_numpy(array).cuda() for array in linear_weights(n, k))
        w = w.t().contiguous()
        run = lambda x: F.linear(x, w, b)
        if activation:
            run = lambda x: F.gelu(F.linear(x, w, b))
        fast = torch.compile(run)
        return {"torch": lambda: run(x["x"]),
                "torch.compile": lambda: fast(x["x"])}

    return Case(f"linear{'-gelu' if activation else ''}-{m}x{n}x{k}", write,
                inputs, peers, 2 * m * n * k, 2 * (m * k + k * n + m * n))


CASES = [
    *(product(n, n, n, dtype) for dtype in DTYPES for n in (2048, 4096, 8192)),
    product(4096, 14336, 4096, "bf16"),
    *(linear(*size, True) for size in (
        (128, 3072, 768), (4096, 3072, 768), (4096, 768, 3072),
        (8192, 4096, 4096))),
    *(linear(*size, False) for size in (
        (128, 768, 768), (1, 4096, 4096), (16, 4096, 4096))),
]

if __name__ == "__main__":
    main(CASES, __doc__)
