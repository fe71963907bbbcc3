# RUN: %python %s
# REQUIRES: avx512_bf16, !sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention for a matrix unit: V^T, written once, and the products, between guard
pages. Both scores, groups of heads, windows that start and end anywhere, block
lists. Where the machine has no AMX, an emulator stands in for it.

The oracle is NumPy in f64. Weights are rounded to bf16, the result too; powers,
sums of them and reciprocals are off by 7.6e-5 each."""

import ast
import os
import re
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np

X86 = os.path.join(os.path.dirname(__file__), "../Target/X86")
sys.path.insert(0, os.path.join(X86, "Inputs"))
from kernels import Kernels, load_emulator  # noqa: E402

BF16 = ml_dtypes.bfloat16
HEADS, KEY_HEADS = 4, 2
SCORES = {"softmax": "softmax<scale = {}>",
          "sigmoid": "sigmoid<scale = {}, bias = -1.5>"}

GRAPH = """
func.func @f(%q: tensor<2x4x{n}x{d}xbf16> {{graph.name = "q"}},
             %k: tensor<2x2x{n}x{d}xbf16> {{graph.name = "k"}},
             %v: tensor<2x2x{n}x{dv}xbf16> {{graph.name = "v"}})
    -> (tensor<2x4x{n}x{dv}xbf16> {{graph.name = "y"}})
    attributes {{graph.symbols = []}} {{
  %0 = graph.attention %q, %k, %v score(#graph.{score}) select(#graph.{select})
    : (tensor<2x4x{n}x{d}xbf16>, tensor<2x2x{n}x{d}xbf16>,
       tensor<2x2x{n}x{dv}xbf16>) -> tensor<2x4x{n}x{dv}xbf16>
  return %0 : tensor<2x4x{n}x{dv}xbf16>
}}
"""


def lower(**arguments):
    """The plan's launches as (kernel, grid, operands), what it allocates and
    what is constant by name, and the kernels."""
    plan = subprocess.run(
        ["lathe-opt", "-", "--graph-form-groups",
         "--convert-graph-to-plan=capability=amx"],
        input=GRAPH.format(**arguments), check=True, text=True,
        capture_output=True).stdout

    def numbers(text):
        return tuple(map(int, text.split(",")))

    launches = [(name, numbers(grid), reads.split(", ") + [write])
                for name, grid, reads, write in re.findall(
                    r"plan.launch \[#plan.choice<kernel = @(\w+), grid = \(\) -> "
                    r"\((.*?)\).*? reads\((.*?)\) writes\((.*?)\)", plan)]
    room = {name: np.full(numbers(shape), np.nan, BF16) for name, shape in re.findall(
        r"(%\w+) = plan.alloc : <bf16, \(\) -> \((.*?)\)>", plan)}
    lists = {name: np.array(ast.literal_eval(text), np.int32) for name, text in
             re.findall(r"(%\w+) = plan.constant dense<(.*?)> : tensor<.*?i32>", plan)}
    kernels = re.findall(r"^  tile\.kernel .*?^  }$", plan, re.M | re.S)
    return launches, room | lists, "\n".join(kernels)


def check(n, d, dv, score, select, visible, generator, scale=0.25):
    launches, buffers, text = lower(n=n, d=d, dv=dv, select=select,
                                    score=SCORES[score].format(scale))
    kernels = Kernels(text, "avx512-amx")
    q = generator.standard_normal((2, HEADS, n, d)).astype(BF16)
    k = generator.standard_normal((2, KEY_HEADS, n, d)).astype(BF16)
    v = generator.standard_normal((2, KEY_HEADS, n, dv)).astype(BF16)
    buffers |= {"%arg0": q, "%arg1": k, "%arg2": v}
    for name, grid, operands in launches:
        kernels.run(name, [buffers[operand] for operand in operands], grid=grid)
    result = buffers[launches[-1][2][-1]]

    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    k, v = (np.repeat(array, HEADS // KEY_HEADS, axis=1) for array in (k, v))
    logits = np.where(visible, q @ k.swapaxes(2, 3) * scale, -np.inf)
    if score == "softmax":
        most = np.maximum(logits.max(axis=-1, keepdims=True), -1e30)
        weights = np.exp(logits - most)
        weights /= np.maximum(weights.sum(axis=-1, keepdims=True), 1e-30)
    else:
        weights = 1 / (1 + np.exp(1.5 - logits))
    expected = weights @ v
    tolerance = (2.0 ** -8 + 3e-4) * (weights @ np.abs(v))
    tolerance += 2.0 ** -8 * np.abs(expected) + 1e-30
    error = np.abs(result.astype(np.float64) - expected)
    assert (error <= tolerance).all(), (n, d, dv, score, select,
                                        np.nanmax(error / tolerance),
                                        np.argwhere(~(error <= tolerance))[:4])


def main():
    generator = np.random.default_rng(29)
    place = np.arange(300)
    behind = place[:, None] - place[None, :]
    with tempfile.TemporaryDirectory() as folder:
        emulator = load_emulator(folder)
        for score in SCORES:
            for n, d, dv in ((1, 32, 16), (65, 32, 48), (128, 64, 64), (150, 32, 16),
                             (150, 128, 128), (300, 32, 32)):
                check(n, d, dv, score, "dense", True, generator)
            for n, left, right in ((70, -1, 0), (300, -1, 0), (300, 40, 0),
                                   (300, 150, 70), (300, -1, 33)):
                seen = behind[:n, :n] >= -right
                if left >= 0:
                    seen = seen & (behind[:n, :n] <= left)
                check(n, 32, 32, score, f"window<left = {left}, right = {right}>",
                      seen, generator)
            # Lists of blocks; queries that see nothing; blocks in which whole
            # steps of keys do not begin at their multiples.
            for n, block, lists, offsets, columns in (
                    (192, 64, [[1, 0, 0], [1, 0, 1], [0, 1, 0]], [0, 1, 3, 4],
                     [0, 0, 2, 1]),
                    (170, 64, [[1, 0, 0], [0, 0, 0], [0, 1, 1]], [0, 1, 1, 3],
                     [0, 1, 2]),
                    (320, 160, [[1, 0], [0, 1]], [0, 1, 2], [0, 1])):
                seen = np.kron(lists, np.ones((block, block)))[:n, :n] != 0
                check(n, 32, 32, score, f"block_list<block = {block}, heads = 1, "
                      f"rows = {len(lists)}, rowOffsets = {offsets}, "
                      f"columns = {columns}>", seen, generator, scale=0.8)
        del emulator


if __name__ == "__main__":
    main()
