# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention under constant masks that hide whole blocks: softmax and sigmoid,
boolean and additive masks, lists per head, blocks that are larger and smaller
than a kernel's, sizes that cut the last block, rows that see nothing.

The oracle is the ONNX reference (NumPy). Sums of up to 300 terms in f32 agree to
1e-5 of the largest value."""

import json
import os
import sys
import tempfile

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import LEVEL, Model, run  # noqa: E402

RNG = np.random.default_rng(23)
F = np.float32


def spread(blocks, block, queries, keys):
    """A mask of positions from one of blocks."""
    wide = np.repeat(np.repeat(blocks, block, axis=-2), block, axis=-1)
    return wide[..., :queries, :keys]


def blocks_of(heads, block, queries, keys, density=0.3, empty_rows=False):
    shape = (heads, -(-queries // block), -(-keys // block))
    blocks = RNG.random(shape) < density
    if not empty_rows:
        blocks[..., 0] = True
    return spread(blocks, block, queries, keys)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def requested(option, mask, size, score, heads, key_heads):
    """A pattern that is asked for, against a dense attention under `mask`; causal if
    no query sees the last key but the last."""
    length = mask.shape[1]
    model = Model(opset=23)
    q = model.input("q", F, [1, heads, length, size])
    k = model.input("k", F, [1, key_heads, length, size])
    v = model.input("v", F, [1, key_heads, length, size])
    is_causal = not mask[..., :-1, -1].any()
    if score == "Softmax":
        o = model.node("Attention", [q, k, v], is_causal=int(is_causal))
    else:
        kt = model.node("Transpose", [k], perm=[0, 1, 3, 2])
        s = model.node("Mul", [model.node("MatMul", [q, kt]),
                               model.constant(F(size ** -0.5))])
        o = model.node("MatMul", [model.node("Sigmoid", [s]), v])
    model.output(o, F, 4, 1e-5)
    feeds = {name: RNG.normal(size=(1, h, length, size)).astype("f4")
             for name, h in (("q", heads), ("k", key_heads), ("v", key_heads))}
    k64, v64 = (np.repeat(feeds[x].astype("f8"), heads // key_heads, axis=1)
                for x in "kv")
    logits = feeds["q"].astype("f8") @ k64.swapaxes(2, 3) * size ** -0.5
    logits = np.where(mask, logits, -np.inf)
    weights = softmax(logits) if score == "Softmax" else 1 / (1 + np.exp(-logits))
    model.check(feeds, expected={o: (weights @ v64).astype("f4")},
                selection="block_list", options=["--attention-pattern", option])


def pattern(heads, length, block, rule, causal):
    i, j = np.ogrid[:length, :length]
    mask = np.stack([rule(h, i // block, j // block) for h in range(heads)])
    return mask & (j <= i) if causal else mask


def attention(mask, size, score="Softmax", form="where", heads=2, key_heads=None,
              fill=-np.inf):
    """`mask` is [heads or 1, queries, keys], true where a key is visible."""
    model = Model()
    key_heads = key_heads or heads
    queries, keys = mask.shape[1:]
    q = model.input("q", F, ["batch", heads, queries, size])
    k = model.input("k", F, ["batch", key_heads, keys, size])
    v = model.input("v", F, ["batch", key_heads, keys, size])
    kr, vr = k, v
    if key_heads != heads:
        group = heads // key_heads
        wide = model.constant(np.array([1, key_heads, group, keys, size]))
        flat = model.constant(np.array([-1, heads, keys, size]))
        axes = model.constant(np.array([2]))

        def repeat(x):
            x = model.node("Unsqueeze", [x, axes])
            return model.node("Reshape", [model.node("Expand", [x, wide]), flat])
        kr, vr = repeat(k), repeat(v)
    kt = model.node("Transpose", [kr], perm=[0, 1, 3, 2])
    s = model.node("MatMul", [q, kt])
    s = model.node("Mul", [s, model.constant(F(size ** -0.5))])
    if score == "Sigmoid":
        s = model.node("Add", [s, model.constant(F(-1.5))])
    if form == "where":
        s = model.node("Where", [model.constant(mask[None]), s,
                                 model.constant(F(fill))])
    else:
        s = model.node("Add", [s, model.constant(np.where(mask, F(0), F(fill)))])
    p = model.node(score, [s], **({"axis": -1} if score == "Softmax" else {}))
    model.output(model.node("MatMul", [p, vr]), F, 4, 1e-5)

    def feed(batch):
        return {name: RNG.normal(size=(batch, h, n, size)).astype("f4")
                for name, h, n in (("q", heads, queries), ("k", key_heads, keys),
                                   ("v", key_heads, keys))}

    model.check(feed(1), feed(2), selection="block_list")


def check_damaged(length, block, *options):
    """Tables that lead out of the keys, or out of themselves, hurt no one else."""
    model = Model(opset=23)
    q, k, v = (model.input(name, F, [1, 2, length, 16]) for name in "qkv")
    o = model.node("Attention", [q, k, v], is_causal=1)
    model.output(o, F, 4)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        onnx.save(model.build(), path + ".onnx")
        run("lathe", "compile", path + ".onnx", "-o", path + ".lathe", "--target",
            "x86:cpu=" + LEVEL, "--attention-pattern",
            f"s2:block={block},local=1,stride=3", *options)
        with open(path + ".lathe", "rb") as file:
            whole = file.read()
        inspected = json.loads(run("lathe", "inspect", "--json", path + ".lathe").stdout)
        tables = [(inspected["segments"][c["segment"]]["offset"] + c["offset"], c["size"])
                  for c in inspected["constants"]]  # There are no weights.
        assert tables
        np.savez(path + ".in.npz", **{name: RNG.normal(size=(1, 2, length, 16)).astype(F)
                                      for name in "qkv"})
        for low, high in [(-2**31, 2**31), (0, 2**31), (-9, length + 9), (-9, 9)]:
            damaged = bytearray(whole)
            for offset, size in tables:
                damaged[offset:offset + size] = RNG.integers(
                    low, high, size // 4).astype("<i4").tobytes()
            with open(path + ".lathe", "wb") as file:
                file.write(damaged)
            run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
                "--outputs", path + ".out.npz", "--guard")
            assert np.load(path + ".out.npz")[o].shape == (1, 2, length, 16)


def main():
    # Blocks as large as a kernel's, and lists of each head.
    attention(blocks_of(2, 64, 256, 256), 32)
    attention(blocks_of(2, 64, 256, 256), 32, score="Sigmoid")
    # Small blocks: the lists of several query blocks are merged.
    attention(blocks_of(2, 16, 200, 200), 16, form="add")
    attention(blocks_of(1, 16, 130, 300), 8, score="Sigmoid", form="add",
              fill=-1e9)
    # Sizes that cut the last block; other keys than queries; few queries.
    attention(blocks_of(2, 32, 77, 171), 24, fill=-3.4028235e38)
    attention(blocks_of(1, 32, 9, 300), 5, score="Sigmoid")
    # Causal within the blocks.
    causal = np.tri(192, dtype=bool)
    attention(blocks_of(2, 64, 192, 192) & causal, 16)
    attention(blocks_of(2, 16, 192, 192) & causal, 16, score="Sigmoid")
    # Blocks that do not say all: the mask stays, blocks are skipped.
    attention(blocks_of(2, 64, 160, 192) & (RNG.random((2, 160, 192)) < 0.9)
              | (np.arange(192) == 0), 16)
    # Rows that see nothing. (NumPy's softmax of such a row is NaN.)
    attention(blocks_of(2, 64, 256, 256, empty_rows=True), 16, score="Sigmoid")
    # Query heads that share keys.
    mask = np.repeat(blocks_of(2, 32, 160, 160), 3, axis=0)
    attention(mask, 16, heads=6, key_heads=2)
    # Patterns that are asked for. In S2, heads differ, and groups share.
    window = pattern(1, 300, 32, lambda h, i, j: (abs(i - j) < 2) | (j < 1), True)
    requested("window:block=32,local=2,sink=1", window, 8, "Softmax", 4, 4)
    window = pattern(1, 256, 64, lambda h, i, j: abs(i - j) < 1, False)
    requested("window:block=64,local=1", window, 16, "Sigmoid", 2, 2)
    s2 = np.repeat(pattern(
        2, 270, 16, lambda h, i, j: (abs(i - j) < 2) | ((j + h * 2 + 1) % 4 == 0),
        True), 2, axis=0)
    requested("s2:block=16,local=2,stride=4,offset=1", s2, 8, "Softmax", 4, 2)
    # Blocks that no vector divides; longer than the input.
    odd = pattern(1, 70, 9, lambda h, i, j: (abs(i - j) < 3), True)
    requested("window:block=9,local=3", odd, 5, "Softmax", 2, 2)
    whole = pattern(1, 20, 128, lambda h, i, j: i == j, False)
    requested("window:block=128,local=1", whole, 4, "Sigmoid", 2, 2)
    for length, block in [(256, 64), (250, 16), (20, 16), (300, 9)]:
        check_damaged(length, block)
        check_damaged(length, block, "--precision", "bf16")


if __name__ == "__main__":
    main()
