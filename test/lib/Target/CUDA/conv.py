# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions for a GPU on the emulator, against NumPy: packed weights and
computed ones, groups, strides, channels that are no multiple of a product's
depth. f32 sums of up to 1000 products of order 1: 1e-4; f16 results are rounded,
too: 2e-2 of values up to 100."""

import itertools
import os
import re
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "Inputs"))
from emulator import Kernels  # noqa: E402

TYPES = {"f16": np.float16, "f32": np.float32}
COLUMNS = 64  # Of a panel of weights.


def spell(shape, dtype):
    return "tensor<" + "x".join(map(str, shape)) + f"x{dtype}>"


def lower(x, w, out, dtype, stride, groups, is_constant):
    w_type = spell(w.shape, dtype)
    constant = (f'  %w = graph.constant dense<"0x{w.tobytes().hex().upper()}"> : '
                f"{w_type} : {w_type}\n" if is_constant else "")
    given = "" if is_constant else f', %w: {w_type} {{graph.name = "w"}}'
    text = f"""func.func @f(%x: {spell(x, dtype)} {{graph.name = "x"}}{given})
    -> ({spell(out, dtype)} {{graph.name = "y"}}) {{
{constant}  %y = graph.conv %x, %w strides [{stride}, {stride}] dilations [1, 1]
      pads [0, 0, 0, 0] groups {groups} channels_last
      : ({spell(x, dtype)}, {w_type}) -> {spell(out, dtype)}
  return %y : {spell(out, dtype)}
}}"""
    plan = subprocess.run(
        ["lathe-opt", "--graph-form-groups",
         "--convert-graph-to-plan=capability=gpu plain-sums"], input=text,
        check=True, stdout=subprocess.PIPE, text=True).stdout
    kernel = plan[plan.index("tile.kernel"):plan.rindex("}")]
    assert kernel.count("tile.kernel") == 1, plan
    grid = re.search(r"grid = \(\) -> \((\d+), (\d+), (\d+)\)", plan)
    name = re.search(r"tile\.kernel @(\w+)", kernel)[1]
    return kernel, name, [int(number) for number in grid.groups()]


def convolve(x, w, stride, groups):
    """In f64; channels last."""
    kernel, outputs = w.shape[:2], w.shape[3] // groups
    height, width = ((x.shape[1 + i] - kernel[i]) // stride + 1 for i in range(2))
    y = np.zeros((x.shape[0], height, width, w.shape[3]))
    for i, j in itertools.product(*map(range, kernel)):
        part = x[:, i:i + stride * height:stride, j:j + stride * width:stride]
        for g in range(groups):
            channels = slice(g * w.shape[2], (g + 1) * w.shape[2])
            result = slice(g * outputs, (g + 1) * outputs)
            y[..., result] += (part[..., channels].astype("f8") @
                               w[i, j, :, result].astype("f8"))
    return y


def pack(w):
    """[panels][kernel..][channels][columns]."""
    panels = -(-w.shape[3] // COLUMNS)
    padded = np.zeros((*w.shape[:3], panels * COLUMNS), w.dtype)
    padded[..., :w.shape[3]] = w
    return np.ascontiguousarray(np.moveaxis(
        padded.reshape(*w.shape[:3], panels, COLUMNS), 3, 0))


def check(rng, dtype, size, channels, outputs, kernel, stride, groups,
          is_constant):
    x = rng.standard_normal((2, *size, channels)).astype(TYPES[dtype])
    w = rng.standard_normal((kernel, kernel, channels // groups, outputs))
    w = w.astype(TYPES[dtype])
    want = convolve(x, w, stride, groups)
    text, name, grid = lower(x.shape, w, want.shape, dtype, stride, groups,
                             is_constant)
    y = np.zeros(want.shape, TYPES[dtype])
    is_packed = is_constant and (groups == 1 or outputs // groups % COLUMNS == 0)
    Kernels(text, "sm_80").run(name, [x, pack(w) if is_packed else w, y], (), grid)
    error = abs(y - want).max()
    assert error <= {"f32": 1e-4, "f16": 2e-2}[dtype] * max(1, abs(want).max() / 10), \
        (dtype, size, channels, outputs, kernel, stride, groups, error)


def main():
    rng = np.random.default_rng(5)
    for dtype, is_constant in itertools.product(TYPES, (True, False)):
        check(rng, dtype, (9, 21), 3, 10, 3, 2, 1, is_constant)
        check(rng, dtype, (5, 7), 40, 70, 3, 1, 1, is_constant)
        check(rng, dtype, (3, 18), 24, 128, 2, 1, 2, is_constant)


main()
