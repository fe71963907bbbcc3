#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Matrix products on tensor cores beside cuBLAS: x W^T at the 19 shapes that
schedules are judged by, x W, with bias and GELU, in 8-bit floats.

    python3 benchmarks/gpu/gemm.py --prepare FOLDER
    python3 benchmarks/gpu/gemm.py FOLDER

Both operands are inputs. Runs take turns on copies of them and of the result that
together exceed the second-level cache."""

from harness import Case, main
from onnx_models import save

DTYPES = {"f16": "float16", "bf16": "bfloat16", "f8e4m3": "float8_e4m3fn",
          "f8e5m2": "float8_e5m2"}
SHAPES = [
    (8192, 8192, 8192), (4096, 4096, 4096), (4096, 14336, 4096),
    (4096, 4096, 14336), (1024, 4096, 4096), (1024, 14336, 4096),
    (1024, 4096, 14336), (256, 4096, 4096), (256, 14336, 4096),
    (256, 4096, 14336), (4096, 768, 768), (4096, 3072, 768), (4096, 768, 3072),
    (16, 4096, 4096), (16, 14336, 4096), (16, 4096, 14336), (64, 4096, 4096),
    (64, 14336, 4096), (64, 4096, 14336)]


def random(dtype, *shape, scale=1.0):
    import torch
    made = torch.randn(*shape, device="cuda", dtype=torch.float16) * scale
    return made.to(getattr(torch, DTYPES[dtype]))


def product(m, n, k, dtype, transposed):
    """y = x w^T or x w."""
    def inputs():
        return {"x": random(dtype, m, k),
                "w": random(dtype, *((n, k) if transposed else (k, n)))}

    def peers(x):
        import torch
        w = x["w"].t() if transposed else x["w"]
        y = torch.empty(m, n, device="cuda", dtype=w.dtype)
        return {"cuBLAS": lambda: torch.mm(x["x"], w, out=y)}

    nodes = [("MatMul", ["x", "w"], {})]
    if transposed:
        nodes = [("Transpose", ["w"], {"perm": [1, 0]}), ("MatMul", ["x", None], {})]
    return Case(f"{'nt' if transposed else 'nn'}-{m}x{n}x{k}-{dtype}",
                lambda path: save(path, dtype, {
                    "x": [m, k], "w": [n, k] if transposed else [k, n]},
                    nodes, [m, n]),
                inputs, peers, 2 * m * n * k, 2 * (m * k + k * n + m * n),
                is_cold=True)


def linear(m, n, k, dtype):
    """y = gelu(x w^T + b)."""
    def inputs():
        return {"x": random(dtype, m, k), "w": random(dtype, n, k, scale=k**-.5),
                "b": random(dtype, n)}

    def peers(x):
        import torch
        from torch.nn import functional as F
        run = lambda x, w, b: F.gelu(F.linear(x, w, b), approximate="tanh")
        fast = torch.compile(run)
        return {"torch": lambda: run(**x), "torch.compile": lambda: fast(**x)}

    nodes = [("Transpose", ["w"], {"perm": [1, 0]}), ("MatMul", ["x", None], {}),
             ("Add", [None, "b"], {}), ("Gelu", [None], {"approximate": "tanh"})]
    return Case(f"gelu-{m}x{n}x{k}-{dtype}",
                lambda path: save(path, dtype,
                                  {"x": [m, k], "w": [n, k], "b": [n]},
                                  nodes, [m, n]),
                inputs, peers, 2 * m * n * k, 2 * (m * k + k * n + m * n),
                is_cold=True)


def scaled(m, n, k, dtype):
    """y = s t x w^T of 8-bit floats with a scale each, rounded to bf16."""
    import numpy as np
    scales = {"s": np.array(0.5, np.float32), "t": np.array(0.25, np.float32)}

    def inputs():
        return {"x": random(dtype, m, k), "w": random(dtype, n, k)}

    def peers(x):
        import torch
        s, t = (torch.tensor(float(scales[name]), device="cuda") for name in "st")
        w = x["w"].t()
        y = torch.empty(m, n, device="cuda", dtype=torch.bfloat16)
        return {"cuBLASLt": lambda: torch._scaled_mm(
            x["x"], w, scale_a=s, scale_b=t, out_dtype=torch.bfloat16, out=y)}

    nodes = [("DequantizeLinear", ["x", "s"], {}),
             ("DequantizeLinear", ["w", "t"], {}),
             ("Transpose", [None], {"perm": [1, 0]}), ("MatMul", ["t0", None], {}),
             ("Cast", [None], {"to": 16})]
    return Case(f"{dtype}-{m}x{n}x{k}",
                lambda path: save(path, "f32", {"x": [m, k], "w": [n, k]}, nodes,
                                  [m, n], scales,
                                  types={"x": dtype, "w": dtype, "y": "bf16"}),
                inputs, peers, 2 * m * n * k, m * k + k * n + 2 * m * n,
                is_cold=True)


CASES = [
    *(product(*shape, "bf16", True) for shape in SHAPES),
    *(product(*SHAPES[i], "f16", True) for i in (0, 1, 4, 10)),
    *(product(*SHAPES[i], "bf16", False) for i in (0, 1, 4, 10, 11, 12)),
    *(linear(*shape, "bf16") for shape in (
        (4096, 3072, 768), (4096, 768, 3072), (8192, 4096, 4096))),
    *(scaled(n, n, n, "f8e4m3") for n in (4096, 8192)),
]

if __name__ == "__main__":
    main(CASES, __doc__, groups={"the 19 shapes": "^nt-.*-bf16$"})
