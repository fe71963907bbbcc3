# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention on the emulator, against NumPy in f64.

f32: long heads, whose products' operands fill the memory that threads share; sums
of up to 1024 products: 1e-4. f16 and bf16: rows of queries, for the matrix unit;
weights and results are rounded to the element type: 2 of its ulps of the largest
value, 4 with sums of many."""

import ast
import os
import re
import subprocess
import sys

import ml_dtypes
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "Inputs"))
from attention_oracle import attend, most_error, visible  # noqa: E402
from emulator import Kernels  # noqa: E402

MOST_BYTES = 99 * 1024
TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
SOFTMAX = "softmax<scale = {scale}>"
CAPPED = "softmax<scale = {scale}, cap = 2.0>"
SIGMOID = "sigmoid<scale = {scale}, bias = -1.5>"


def lower(types, result, score, select, mask):
    """The tile kernel of an attention, its grid, its scalars and what it reads: names
    of operands, and tables."""
    operands = ", ".join(f'%{name}: {its} {{graph.name = "{name}"}}'
                         for name, its in types.items())
    masked = " mask %m" if mask else ""
    text = f"""func.func @f({operands}) -> ({result} {{graph.name = "y"}}) {{
  %y = graph.attention %q, %k, %v{masked} score(#graph.{score})
      select(#graph.{select}) : ({", ".join(types.values())}) -> {result}
  return %y : {result}
}}"""
    plan = subprocess.run(
        ["lathe-opt", "--graph-form-groups",
         "--convert-graph-to-plan=capability=gpu", "--canonicalize"],
        input=text, check=True, stdout=subprocess.PIPE, text=True).stdout
    kernel = plan[plan.index("tile.kernel"):plan.rindex("}")]
    grid = re.search(r"grid = \(\) -> \((\d+), (\d+), (\d+)\)", plan)
    name = re.search(r"tile\.kernel @(\w+)", kernel)[1]
    known = {f"%arg{i}": operand for i, operand in enumerate(types)}
    for value, numbers, shape in re.findall(
            r"(%\w+) = plan\.constant dense<(.*?)> .*?tensor<(.*?)xi32>", plan):
        sizes = [int(size) for size in shape.split("x")]
        known[value] = np.broadcast_to(
            np.array(ast.literal_eval(numbers), np.int32), sizes).copy()
    reads = re.search(r"reads\((.*?)\)", plan)[1].split(", ")
    used = re.search(r"scalars (#\w+|affine_map<.*?>) ", plan)[1]
    scalars = re.search(re.escape(used) + r" = affine_map<\(\) -> \((.*?)\)>", plan)
    numbers = lambda text: [int(number) for number in text.split(", ") if number]
    return (kernel, name, [int(number) for number in grid.groups()],
            numbers(scalars[1]), [known[read] for read in reads])


def check(rng, queries, keys, size, value_size, element="f32", score=SOFTMAX,
          window=None, mask=None, group=1, blocks=None):
    scale = size ** -0.5
    select = "dense"
    sees = np.ones((queries, keys), bool)
    if window:
        select = "window<left = {}, right = {}>".format(*window)
        sees = visible(queries, keys, window)
    if blocks:
        select, sees = blocks
    heads = {"q": 2 * group, "k": 2, "v": 2}
    shapes = {name: (1, heads[name], n, d) for name, n, d in [
        ("q", queries, size), ("k", keys, size), ("v", keys, value_size)]}
    kinds = dict.fromkeys(shapes, element)
    if mask:
        shapes["m"], kinds["m"] = (1, 1, queries, keys), mask
    types = {name: "tensor<" + "x".join(map(str, (*shape, kinds[name]))) + ">"
             for name, shape in shapes.items()}
    result = f"tensor<1x{2 * group}x{queries}x{value_size}x{element}>"
    text, name, grid, scalars, reads = lower(types, result, score.format(scale=scale),
                                              select, mask)
    kernels = Kernels(text, "sm_80")
    _, shared = kernels.facts[name]
    assert shared <= MOST_BYTES, shared
    dtype = TYPES[element]
    arrays = {name: rng.standard_normal(shape).astype(dtype)
              for name, shape in shapes.items() if name != "m"}
    y = np.full((1, 2 * group, queries, value_size), np.nan, dtype)
    added = 0
    if mask == "i1":
        arrays["m"] = rng.random(shapes["m"]) < 0.7
        sees = sees & arrays["m"]
    elif mask:
        arrays["m"] = added = rng.standard_normal(shapes["m"]).astype(TYPES[mask])
        added = added.astype("f8")
    reads = [arrays[read] if isinstance(read, str) else read for read in reads]
    kernels.run(name, [*reads, y], scalars, grid)
    want = attend(arrays, group, score, sees, added)
    error = abs(y.astype("f8") - want).max()
    most = most_error(element, want)
    assert error <= most, (queries, keys, size, value_size, element, score,
                           select, mask, error, most)


def check_rows(rng):
    for element, score in [("f16", SOFTMAX), ("bf16", SIGMOID)]:
        check(rng, 70, 77, 64, 64, element, score)
        check(rng, 64, 128, 32, 48, element, score, group=2)
        check(rng, 70, 131, 16, 16, element, score, window=(-1, 0))
    check(rng, 90, 75, 16, 16, "f16", SIGMOID, window=(20, 9))
    check(rng, 75, 150, 16, 16, "f16", SOFTMAX, window=(20, 9))
    check(rng, 5, 100, 64, 64, "f16", SOFTMAX)
    check(rng, 33, 1, 16, 16, "f16", SOFTMAX)
    check(rng, 40, 70, 16, 16, "f16", SOFTMAX, mask="i1")
    check(rng, 40, 70, 16, 16, "bf16", SIGMOID, mask="i1")
    check(rng, 40, 70, 16, 16, "f16", SOFTMAX, mask="f32")
    check(rng, 40, 70, 16, 16, "f16", SIGMOID, mask="f16")
    check(rng, 40, 70, 16, 16, "f16", CAPPED, mask="f32")
    check(rng, 70, 40, 256, 256, "f16", SOFTMAX)


def check_lists(rng):
    """Query blocks see a list of key blocks, causally or not."""
    for block, n, score in [(32, 150, SOFTMAX), (16, 90, SIGMOID)]:
        rows = -(-n // block)
        lists = [sorted({0, row, max(row - 2, 0)}) for row in range(rows)]
        sees = np.zeros((n, n), bool)
        for row, columns in enumerate(lists):
            for column in columns:
                sees[row * block:(row + 1) * block,
                     column * block:(column + 1) * block] = True
        for causal in (False, True):
            offsets = np.cumsum([0] + [len(columns) for columns in lists])
            flat = [column for columns in lists for column in columns]
            select = (f"block_list<block = {block}, heads = 1, rows = {rows}, "
                      f"rowOffsets = {offsets.tolist()}, columns = {flat}"
                      + (", right = 0>" if causal else ">"))
            seen = sees & np.tri(n, dtype=bool) if causal else sees
            check(rng, n, n, 32, 32, "f16", score, blocks=(select, seen))


def main():
    rng = np.random.default_rng(31)
    for sizes in [(40, 70, 256, 256), (5, 33, 160, 256), (9, 50, 64, 512),
                  (9, 20, 1024, 1024)]:
        check(rng, *sizes)
    check_rows(rng)
    check_lists(rng)


main()
