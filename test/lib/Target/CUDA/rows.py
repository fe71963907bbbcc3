# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels that the strategies `reduce` and `pointwise` make for a GPU, on the
emulator, against NumPy: rows that share a program, rows of several warps, rows
longer than a program's registers, with columns that are wide or not; columns that are
combined; tiles that are transposed. f32 statistics of up to 40000 elements, of values
and results of order 1: 2e-5; an f16 result is rounded, too: 1e-3."""

import os
import re
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "Inputs"))
from emulator import Kernels  # noqa: E402

TYPES = {"f16": np.float16, "f32": np.float32}


def lower(text):
    """The one tile kernel of a graph, and its grid."""
    plan = subprocess.run(
        ["lathe-opt", "--graph-form-groups",
         "--convert-graph-to-plan=capability=gpu"], input=text, check=True,
        stdout=subprocess.PIPE, text=True).stdout
    kernel = plan[plan.index("tile.kernel"):plan.rindex("}")]
    assert kernel.count("tile.kernel") == 1, plan
    grid = re.search(r"grid = \(\) -> \((\d+), (\d+), (\d+)\)", plan)
    name = re.search(r"tile\.kernel @(\w+)", kernel)[1]
    return kernel, name, [int(number) for number in grid.groups()]


def run(body, inputs, shape, dtype):
    """The result of a function `body` of `inputs`, %x, %y, ..."""
    spelled = {name: "tensor<" + "x".join(map(str, value.shape)) + f"x{dtype}>"
               for name, value in inputs.items()}
    result = "tensor<" + "x".join(map(str, shape)) + f"x{dtype}>"
    operands = ", ".join(f'%{name}: {its} {{graph.name = "{name}"}}'
                         for name, its in spelled.items())
    text = f"""func.func @f({operands}) -> ({result} {{graph.name = "z"}}) {{
  {body.format(**spelled, z=result)}
  return %z : {result}
}}"""
    kernel, name, grid = lower(text)
    out = np.zeros(shape, TYPES[dtype])
    Kernels(kernel, "sm_80").run(name, [*inputs.values(), out], (), grid)
    return out


def check(what, got, want, dtype):
    error = abs(got.astype("f8") - want).max()
    assert error <= {"f32": 2e-5, "f16": 1e-3}[dtype] * max(1, abs(want).max()), \
        (what, got.shape, dtype, error)


def draw(rng, shape, dtype):
    return rng.standard_normal(shape).astype(TYPES[dtype])


def check_layer_norm(rng, rows, columns, dtype):
    x, scale, bias = (draw(rng, shape, dtype)
                      for shape in [(rows, columns), columns, columns])
    got = run("%z = graph.layer_norm %x scale %y bias %w axis 1 epsilon 1.0e-5 "
              ": ({x}, {y}, {w}) -> {z}", {"x": x, "y": scale, "w": bias},
              (rows, columns), dtype)
    x, scale, bias = x.astype("f8"), scale.astype("f8"), bias.astype("f8")
    x = x - x.mean(1, keepdims=True)
    want = x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-5) * scale + bias
    check("layer_norm", got, want, dtype)


def check_softmax(rng, rows, columns, dtype, axis=1):
    x = draw(rng, (rows, columns), dtype)
    got = run(f"%z = graph.softmax %x axis {axis} : {{x}}", {"x": x}, x.shape, dtype)
    want = np.exp(x.astype("f8") - x.max(axis, keepdims=True))
    check("softmax", got, want / want.sum(axis, keepdims=True), dtype)


def check_mean(rng, shape, dtype):
    """Of columns: pixels, channels last."""
    x = draw(rng, shape, dtype)
    got = run("%z = graph.reduce mean %x axes [1] : {x} -> {z}", {"x": x},
              (shape[0], shape[2]), dtype)
    check("mean", got, x.astype("f8").mean(1), dtype)


def check_add(rng, shape, permutation, dtype):
    """A transposed operand and a bias along the last dim."""
    x, bias = draw(rng, shape, dtype), draw(rng, shape[permutation[-1]], dtype)
    want = x.transpose(permutation).astype("f8") + bias
    got = run(f"%t = graph.transpose %x {list(permutation)} : {{x}} -> {{z}}\n"
              "  %z = graph.add %t, %y : ({z}, {y}) -> {z}",
              {"x": x, "y": bias}, want.shape, dtype)
    check("add", got, want, dtype)


def main():
    rng = np.random.default_rng(17)
    for dtype in TYPES:
        for rows, columns in [(1, 1), (5, 8), (37, 64), (3, 77), (7, 768),
                              (5, 1000), (3, 2048), (2, 5000), (1, 40000)]:
            check_layer_norm(rng, rows, columns, dtype)
            check_softmax(rng, rows, columns, dtype)
        for shape in [(1, 1, 1), (2, 49, 70), (1, 784, 24), (1, 5000, 8),
                      (3, 7, 500)]:
            check_mean(rng, shape, dtype)
        for rows, columns in [(3, 5), (100, 33), (1, 7), (700, 16)]:
            check_softmax(rng, rows, columns, dtype, axis=0)
        for shape, permutation in [((3, 5), (0, 1)), ((70, 130), (1, 0)),
                                   ((128, 192), (1, 0)), ((2, 9, 4, 64), (0, 2, 1, 3)),
                                   ((3, 40, 33), (0, 2, 1)), ((1, 4097), (0, 1)),
                                   ((65, 8, 24), (2, 1, 0))]:
            check_add(rng, shape, permutation, dtype)


main()
