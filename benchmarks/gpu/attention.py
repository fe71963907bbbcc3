#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Softmax and sigmoid attention in f16 beside the backends of PyTorch's
scaled_dot_product_attention (FlashAttention 2, cuDNN) and torch.compile.

    python3 benchmarks/gpu/attention.py --prepare FOLDER
    python3 benchmarks/gpu/attention.py FOLDER"""

import numpy as np

from harness import Case, main
from onnx_models import save


def scores(kind):
    """Nodes from q, kt (k transposed) and v."""
    nodes = [("Transpose", ["k"], {"perm": [0, 1, 3, 2]}),
             ("MatMul", ["q", None], {}), ("Mul", [None, "scale"], {})]
    if kind == "sigmoid":
        nodes += [("Add", [None, "bias"], {})]
    nodes += [("Softmax", [None], {"axis": -1}) if kind == "softmax" else
              ("Sigmoid", [None], {})]
    return nodes + [("MatMul", [None, "v"], {})]


def sdpa(backend, is_causal):
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def run(q, k, v):
        with sdpa_kernel(getattr(SDPBackend, backend)):
            return torch.nn.functional.scaled_dot_product_attention(
                q, k, v, is_causal=is_causal)
    return run


def case(kind, b, h, n, d, is_causal=False):
    shape = [b, h, n, d]
    bias = -float(np.log(n))

    def write(path):
        if is_causal:  # The operator says so; a mask would have to be read.
            save(path, "f16", {name: shape for name in "qkv"},
                 [("Attention", ["q", "k", "v"], {"is_causal": 1})], shape)
            return
        weights = {"scale": np.array(d**-.5, np.float16),
                   "bias": np.array(bias, np.float16)}
        if kind == "softmax":
            del weights["bias"]
        save(path, "f16", {name: shape for name in "qkv"},
             scores(kind), shape, weights)

    def inputs():
        import torch
        return {name: torch.randn(*shape, device="cuda", dtype=torch.float16)
                for name in "qkv"}

    def peers(x):
        import torch
        q, k, v = x["q"], x["k"], x["v"]
        if kind == "softmax":
            return {name: lambda run=sdpa(backend, is_causal): run(q, k, v)
                    for name, backend in (("FlashAttention 2", "FLASH_ATTENTION"),
                                          ("cuDNN", "CUDNN_ATTENTION"))}
        run = lambda q, k, v: torch.sigmoid(
            q @ k.transpose(2, 3) * d**-.5 + bias) @ v
        fast = torch.compile(run)
        return {"torch": lambda: run(q, k, v),
                "torch.compile": lambda: fast(q, k, v)}

    flops = 4 * b * h * n * n * d // (2 if is_causal else 1)
    name = f"{kind}{'-causal' if is_causal else ''}-{b}x{h}x{n}x{d}"
    return Case(name, write, inputs, peers, flops, 8 * b * h * n * d)


CASES = [
    *(case("softmax", 4, 16, 4096, d, is_causal) for d in (64, 128)
      for is_causal in (False, True)),
    case("softmax", 1, 16, 16384, 128), case("softmax", 32, 12, 128, 64),
    *(case("sigmoid", 4, 16, 4096, d) for d in (64, 128)),
    case("sigmoid", 1, 16, 16384, 64),
]

if __name__ == "__main__":
    main(CASES, __doc__)
