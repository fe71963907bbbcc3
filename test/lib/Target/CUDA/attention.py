# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention of long heads, whose products' operands fill the memory that threads
share, on the emulator, against NumPy; f32 sums of up to 1024 products: 1e-4."""

import os
import re
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "Inputs"))
from emulator import Kernels  # noqa: E402

MOST_BYTES = 99 * 1024


def lower(queries, keys, size, value_size):
    """The tile kernel of an attention, and its grid."""
    types = {"q": f"tensor<1x2x{queries}x{size}xf32>",
             "k": f"tensor<1x2x{keys}x{size}xf32>",
             "v": f"tensor<1x2x{keys}x{value_size}xf32>"}
    operands = ", ".join(f'%{name}: {its} {{graph.name = "{name}"}}'
                         for name, its in types.items())
    result = f"tensor<1x2x{queries}x{value_size}xf32>"
    text = f"""func.func @f({operands}) -> ({result} {{graph.name = "y"}}) {{
  %y = graph.attention %q, %k, %v score(#graph.softmax<scale = {size ** -0.5}>)
      select(#graph.dense) : ({", ".join(types.values())}) -> {result}
  return %y : {result}
}}"""
    plan = subprocess.run(
        ["lathe-opt", "--graph-form-groups",
         "--convert-graph-to-plan=capability=gpu"], input=text, check=True,
        stdout=subprocess.PIPE, text=True).stdout
    kernel = plan[plan.index("tile.kernel"):plan.rindex("}")]
    grid = re.search(r"grid = \(\) -> \((\d+), (\d+), (\d+)\)", plan)
    name = re.search(r"tile\.kernel @(\w+)", kernel)[1]
    return kernel, name, [int(number) for number in grid.groups()]


def check(rng, queries, keys, size, value_size):
    text, name, grid = lower(queries, keys, size, value_size)
    kernels = Kernels(text, "sm_80")
    _, shared = kernels.facts[name]
    assert shared <= MOST_BYTES, shared
    q, k, v = (rng.standard_normal((1, 2, n, d)).astype(np.float32)
               for n, d in [(queries, size), (keys, size), (keys, value_size)])
    y = np.zeros((1, 2, queries, value_size), np.float32)
    kernels.run(name, [q, k, v, y], (), grid)
    scores = q.astype("f8") @ k.astype("f8").swapaxes(2, 3) * size ** -0.5
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    want = shares / shares.sum(axis=-1, keepdims=True) @ v
    error = abs(y - want).max()
    assert error <= 1e-4, (queries, keys, size, value_size, error)


def main():
    rng = np.random.default_rng(31)
    for sizes in [(40, 70, 256, 256), (5, 33, 160, 256), (9, 50, 64, 512),
                  (9, 20, 1024, 1024)]:
        check(rng, *sizes)


main()
