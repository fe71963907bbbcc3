#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A step of decoding: attention of one query over many keys, 64 query heads that
share 8 key heads, beside FlashAttention 2 and cuDNN in PyTorch's
scaled_dot_product_attention. Bytes are those of keys and values; the floor is a
copy's rate. One bundle serves every batch and every number of keys.

    python3 benchmarks/gpu/decode.py --prepare FOLDER
    python3 benchmarks/gpu/decode.py FOLDER"""

import numpy as np

from harness import Case, main
from onnx_models import save

HEADS, KEY_HEADS = 64, 8
BIAS = -8.0
DTYPES = {"f16": "float16", "bf16": "bfloat16"}


def repeat(name):
    """Nodes that repeat each head of `name` for its group, as exporters do."""
    return [("Unsqueeze", [name, "two"], {}), ("Expand", [None, "group"], {}),
            ("Reshape", [None, "merged"], {})]


def sigmoid(d):
    """Nodes and weights."""
    nodes = repeat("k") + [
        ("Transpose", [None], {"perm": [0, 1, 3, 2]}), ("MatMul", ["q", None], {}),
        ("Mul", [None, "scale"], {}), ("Add", [None, "bias"], {}),
        ("Sigmoid", [None], {})]
    weights = {"two": np.array([2]),
               "group": np.array([1, 1, HEADS // KEY_HEADS, 1, 1]),
               "merged": np.array([0, HEADS, -1, d]),
               "scale": np.array(d**-.5, np.float32),
               "bias": np.array(BIAS, np.float32)}
    last = f"t{len(nodes) - 1}"
    return nodes + repeat("v") + [("MatMul", [last, None], {})], weights


def working(peers):
    """Those that run: which backend takes a shape differs between versions."""
    import torch
    kept = {}
    for name, run in peers.items():
        try:
            run()
            torch.cuda.synchronize()
            kept[name] = run
        except RuntimeError as error:
            print(f"  ({name}: {str(error).splitlines()[0][:100]})")
    return kept


def sdpa(backend, *given, **options):
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    with sdpa_kernel(getattr(SDPBackend, backend)):
        return torch.nn.functional.scaled_dot_product_attention(*given, **options)


def case(kind, batch, keys, d, dtype="f16"):
    sizes = {"q": ["b", HEADS, 1, d], "k": ["b", KEY_HEADS, "n", d],
             "v": ["b", KEY_HEADS, "n", d]}

    def write(path):
        nodes, weights = [("Attention", ["q", "k", "v"], {})], {}
        if kind == "sigmoid":
            nodes, weights = sigmoid(d)
        save(path, dtype, sizes, nodes, sizes["q"], weights)

    def inputs():
        import torch
        numbers = {"b": batch, "n": keys}
        return {name: torch.randn(*[numbers.get(size, size) for size in dims],
                                  device="cuda", dtype=getattr(torch, DTYPES[dtype]))
                for name, dims in sizes.items()}

    def peers(x):
        import torch
        q, k, v = x["q"], x["k"], x["v"]
        rows = q.view(batch, KEY_HEADS, -1, d)  # The heads of a group as queries.
        if kind == "sigmoid":
            run = lambda: torch.sigmoid(
                rows @ k.transpose(2, 3) * d**-.5 + BIAS) @ v
            return {"torch": run, "torch.compile": torch.compile(run)}
        return working({
            "FlashAttention 2": lambda: sdpa("FLASH_ATTENTION", q, k, v,
                                             enable_gqa=True),
            "FlashAttention 2, heads as rows":
                lambda: sdpa("FLASH_ATTENTION", rows, k, v),
            "cuDNN": lambda: sdpa("CUDNN_ATTENTION", q, k, v, enable_gqa=True),
            "cuDNN, heads as rows": lambda: sdpa("CUDNN_ATTENTION", rows, k, v)})

    bytes = 4 * batch * KEY_HEADS * keys * d
    return Case(f"decode-{kind}-{dtype}-d{d}-{batch}x{keys}", write, inputs, peers,
                0, bytes, bundle=f"decode-{kind}-{dtype}-d{d}")


SIZES = [(1, 4096), (1, 16384), (1, 32768), (1, 131072), (4, 4096), (4, 32768),
         (16, 4096), (16, 32768), (64, 4096), (64, 16384)]
CASES = [
    *(case("softmax", *size, 128) for size in SIZES),
    *(case("softmax", *size, 64) for size in SIZES),
    *(case("softmax", *size, 128, "bf16") for size in ((1, 4096), (16, 32768))),
    *(case("sigmoid", *size, d) for d in (64, 128)
      for size in ((1, 4096), (1, 32768), (16, 4096), (16, 32768))),
]

if __name__ == "__main__":
    main(CASES, __doc__)
