# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention in f64 by NumPy, and how far a kernel's result may be from it."""

import numpy as np


def visible(queries, keys, window):
    """Which keys each query sees: (left, right) of its own place, counted from the
    end; below 0 for any number."""
    distance = np.arange(keys) - (np.arange(queries)[:, None] + keys - queries)
    left, right = window
    return ((left < 0) | (distance >= -left)) & ((right < 0) | (distance <= right))


def attend(arrays, group, score, sees, added=0):
    """`arrays` are q, k, v of [batch, heads, n, size]; `group` query heads share a key
    head; `score` is the attribute's text: a sigmoid's bias is -1.5, a cap 2; `added` is
    an additive mask. A softmax of no keys is 0."""
    q, k, v = (arrays[name].astype("f8") for name in "qkv")
    k, v = (np.repeat(x, group, axis=1) for x in (k, v))
    logits = q @ k.swapaxes(2, 3) * q.shape[-1] ** -0.5
    if "cap" in score:
        logits = 2.0 * np.tanh(logits / 2.0)
    logits = logits + added
    if "sigmoid" in score:
        return sees / (1 + np.exp(1.5 - logits)) @ v
    logits = np.where(sees, logits, -np.inf)
    most = np.maximum(logits.max(axis=-1, keepdims=True), -1e30)
    shares = np.exp(logits - most)
    total = shares.sum(axis=-1, keepdims=True)
    return shares / np.where(total == 0, 1, total) @ v


def most_error(element, want):
    """1e-4 in f32; weights and results are rounded to 16 bits: 4 ulps of the largest
    value, or of 1."""
    if element == "f32":
        return 1e-4
    ulp = 2.0 ** -8 if element == "bf16" else 2.0 ** -11
    return 4 * ulp * max(abs(want).max(), 1)
