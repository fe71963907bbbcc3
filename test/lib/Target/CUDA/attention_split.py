# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention of few queries over many keys on the emulator, against NumPy in f64:
parts of the keys, and their merge. Weights and results are rounded to the element
type: 2 of its ulps of the largest value, 4 with sums of many."""

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

TYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32}


def lower(types, result, score, select, mask):
    """The plan of an attention: text."""
    operands = ", ".join(f'%{name}: {its} {{graph.name = "{name}"}}'
                         for name, its in types.items())
    masked = " mask %m" if mask else ""
    text = f"""func.func @f({operands}) -> ({result} {{graph.name = "y"}}) {{
  %y = graph.attention %q, %k, %v{masked} score(#graph.{score})
      select(#graph.{select}) : ({", ".join(types.values())}) -> {result}
  return %y : {result}
}}"""
    return subprocess.run(
        ["lathe-opt", "--graph-form-groups",
         "--convert-graph-to-plan=capability=gpu", "--canonicalize"],
        input=text, check=True, stdout=subprocess.PIPE, text=True).stdout


def run_plan(plan, inputs, result):
    """Runs the launches of a plan whose sizes are all known. How many there are."""
    buffers = {f"%arg{i}": array for i, array in enumerate(inputs)}
    for value, sizes in re.findall(
            r"(%\w+) = plan\.alloc : <f32, \(\) -> \((.*?)\)>", plan):
        buffers[value] = np.full([int(n) for n in sizes.split(",")], np.nan, "f4")
    launches = re.findall(r"plan\.launch \[#plan\.choice<kernel = @(\w+), grid = "
                          r"\(\) -> \((\d+), (\d+), (\d+)\)>\].*?reads\((.*?)\) "
                          r"writes\((.*?)\)", plan)
    kernels = Kernels("\n".join(re.findall(r"^  tile\.kernel .*?^  \}", plan,
                                           re.M | re.S)), "sm_80")
    for name, x, y, z, reads, writes in launches:
        given = [buffers[its] for its in reads.split(", ")]
        given += [buffers.get(its, result) for its in writes.split(", ")]
        kernels.run(name, given, (), (int(x), int(y), int(z)))
    return len(launches)


def check(rng, queries, keys, size, value_size, element, score, group=1,
          window=None, mask=None, batch=1, launches=2):
    scale = size ** -0.5
    select = "window<left = {}, right = {}>".format(*window) if window else "dense"
    heads = {"q": 2 * group, "k": 2, "v": 2}
    shapes = {name: (batch, heads[name], n, d) for name, n, d in [
        ("q", queries, size), ("k", keys, size), ("v", keys, value_size)]}
    kinds = dict.fromkeys(shapes, element)
    if mask:
        shapes["m"], kinds["m"] = (batch, 1, queries, keys), mask
    types = {name: "tensor<" + "x".join(map(str, (*shape, kinds[name]))) + ">"
             for name, shape in shapes.items()}
    arrays = {name: rng.standard_normal(shape).astype(TYPES.get(kinds[name], "f4"))
              for name, shape in shapes.items()}
    shape = (batch, 2 * group, queries, value_size)
    y = np.full(shape, np.nan, TYPES[element])
    forms = {"softmax": f"softmax<scale = {scale}>",
             "sigmoid": f"sigmoid<scale = {scale}, bias = -1.5>"}
    result = f"tensor<{'x'.join(map(str, shape))}x{element}>"
    plan = lower(types, result, forms[score], select, mask)
    sees, added = np.ones((queries, keys), bool), 0
    if mask == "i1":
        arrays["m"] = sees = arrays["m"] > -0.5
    elif mask:
        added = arrays["m"].astype("f8")
    assert run_plan(plan, arrays.values(), y) == launches
    if window:
        sees = sees & visible(queries, keys, window)
    want = attend(arrays, group, score, sees, added)
    error = abs(y.astype("f8") - want).max()
    most = most_error(element, want)
    assert error <= most, (queries, keys, size, value_size, element, score, group,
                           window, mask, error, most)


def main():
    rng = np.random.default_rng(7)
    for element, score in [("f16", "softmax"), ("bf16", "sigmoid")]:
        check(rng, 1, 256, 64, 64, element, score, group=8)
        check(rng, 1, 301, 128, 128, element, score, group=3)
        check(rng, 5, 290, 32, 48, element, score)
        check(rng, 3, 257, 16, 16, element, score, group=2, window=(-1, 0))
        check(rng, 4, 300, 16, 32, element, score, window=(70, 0))
    check(rng, 1, 320, 16, 16, "f16", "softmax", group=20)
    check(rng, 2, 270, 16, 16, "f16", "softmax", group=2, mask="i1")
    check(rng, 3, 270, 16, 16, "bf16", "softmax", mask="f32", batch=2)
    check(rng, 1, 256, 16, 16, "f16", "sigmoid", group=4, mask="f16")
    # So many heads that each one's keys are one part: a launch, and no merge.
    check(rng, 1, 300, 32, 48, "f16", "softmax", group=3, batch=52, launches=1)
    check(rng, 3, 260, 16, 16, "bf16", "sigmoid", batch=52, launches=1)


main()
