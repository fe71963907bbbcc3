#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear layers of few rows, x W^T in bf16 with 1 to 64 rows: what counts is how
fast the weights are read. Beside cuBLAS, with W as it is and in int4 (groups of
128, inputs as they are), there beside tinygemm, too.

    python3 benchmarks/gpu/linear.py --prepare FOLDER
    python3 benchmarks/gpu/linear.py FOLDER

"of floor" is the share of the rate of a copy at which W, x and y pass, in the form
in which Lathe stores W. Runs take turns on copies of all of them that together
exceed the second-level cache."""

import numpy as np

from harness import Case, main
from onnx_models import save

SIZES = [(4096, 14336), (14336, 4096), (8192, 28672), (28672, 8192), (4096, 4096)]
ROWS = [1, 8, 16, 32, 64]
GROUP = 128


def random(*shape, scale=1.0):
    import torch
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16) * scale


def plain(m, n, k):
    """W is an input."""
    def inputs():
        return {"x": random(m, k), "w": random(n, k, scale=k**-.5)}

    def peers(x):
        import torch
        w, y = x["w"].t(), random(m, n)
        return {"cuBLAS": lambda: torch.mm(x["x"], w, out=y)}

    nodes = [("Transpose", ["w"], {"perm": [1, 0]}), ("MatMul", ["x", None], {})]
    return Case(f"bf16-{m}x{n}x{k}",
                lambda path: save(path, "bf16", {"x": ["m", k], "w": [n, k]},
                                  nodes, ["m", n]),
                inputs, peers, 2 * m * n * k, 2 * (m * k + n * k + m * n),
                bundle=f"bf16-{n}x{k}", is_cold=True)


def tile(n, k):
    """Codes -7 to 7 of one scale, so that int4 has them without loss; repeated, so
    that bundles pack well."""
    codes = np.random.default_rng(n + k).integers(-7, 8, (GROUP, GROUP))
    codes[0] = 7
    return codes.astype(np.float32) * 2.0**-9


def int4(m, n, k):
    """W is in the bundle."""
    def write(path):
        import ml_dtypes
        w = np.tile(tile(n, k).astype(ml_dtypes.bfloat16), (n // GROUP, k // GROUP))
        save(path, "bf16", {"x": ["m", k]}, [
            ("Transpose", ["w"], {"perm": [1, 0]}), ("MatMul", ["x", None], {})],
            ["m", n], {"w": w})

    def inputs():
        return {"x": random(m, k)}

    def peers(x):
        import torch
        w = torch.from_numpy(tile(n, k)).cuda().bfloat16().repeat(
            n // GROUP, k // GROUP)
        packed = torch.ops.aten._convert_weight_to_int4pack(
            torch.randint(0, 256, (n, k // 2), device="cuda", dtype=torch.uint8), 8)
        scales = random(k // GROUP, n, 2)
        y = random(m, n)
        return {"cuBLAS": lambda: torch.mm(x["x"], w.t(), out=y),
                "tinygemm": lambda: torch.ops.aten._weight_int4pack_mm(
                    x["x"], packed, GROUP, scales)}

    stored = n * k // 2 + 2 * n * k // GROUP
    return Case(f"int4-{m}x{n}x{k}", write, inputs, peers, 2 * m * n * k,
                2 * (m * k + m * n) + stored, ("--weights", "int4:float"),
                bundle=f"int4-{n}x{k}", is_cold=True, has_weights=True)


CASES = [*(plain(m, *size) for size in SIZES for m in ROWS),
         *(int4(m, *size) for size in SIZES[:4] for m in ROWS)]

if __name__ == "__main__":
    main(CASES, __doc__, groups={
        "bf16": "^bf16", "int4, 8192 x 28672": "^int4-.*28672",
        "int4, 4096 x 14336": "^int4-.*14336"})
