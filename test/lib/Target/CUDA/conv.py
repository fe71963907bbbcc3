# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions for a GPU on the emulator, against NumPy: as products of gathered
pixels (f16 with constant weights and no groups), of a copy where channels are no
multiple of 8, with k split; packed weights and computed ones, groups, strides,
pads, dilations. f32 sums of up to 1000 products of order 1: 1e-4; f16 results are
rounded, too: 2e-2 of values up to 100."""

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


def spell(shape, dtype):
    return "tensor<" + "x".join(map(str, shape)) + f"x{dtype}>"


def lower(x, w, out, dtype, stride, groups, is_constant, pad, dilation, level):
    w_type = spell(w.shape, dtype)
    constant = (f'  %w = graph.constant dense<"0x{w.tobytes().hex().upper()}"> : '
                f"{w_type} : {w_type}\n" if is_constant else "")
    given = "" if is_constant else f', %w: {w_type} {{graph.name = "w"}}'
    text = f"""func.func @f(%x: {spell(x, dtype)} {{graph.name = "x"}}{given})
    -> ({spell(out, dtype)} {{graph.name = "y"}}) {{
{constant}  %y = graph.conv %x, %w strides [{stride}, {stride}]
      dilations [{dilation}, {dilation}] pads [{pad}, {pad}, {pad}, {pad}]
      groups {groups} channels_last
      : ({spell(x, dtype)}, {w_type}) -> {spell(out, dtype)}
  return %y : {spell(out, dtype)}
}}"""
    return subprocess.run(
        ["lathe-opt", "--graph-form-groups",
         f"--convert-graph-to-plan=capability={level} plain-sums"], input=text,
        check=True, stdout=subprocess.PIPE, text=True).stdout


def numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def pack(w, blocks, outer, inner):
    """As `#plan.pack` says."""
    counts = [-(-size // block) for size, block in zip(w.shape, blocks)]
    padded = np.pad(w, [(0, count * block - size) for size, count, block
                        in zip(w.shape, counts, blocks)])
    split = padded.reshape([n for pair in zip(counts, blocks) for n in pair])
    return np.ascontiguousarray(split.transpose(
        [2 * d for d in outer] + [2 * d + 1 for d in inner]))


def run(plan, arguments, w):
    """Runs a program's launches; returns the result and their names."""
    kernels = Kernels(plan[plan.index("tile.kernel"):plan.rindex("}")], "sm_80")
    buffers, names = dict(zip(("%arg0", "%arg1"), arguments)), []
    for line in plan[:plan.index("tile.kernel")].splitlines():
        name = line.strip().split(" ")[0]
        if "plan.constant" in line:
            fields = re.search(r"blocks = \[(.*?)\], outer = \[(.*?)\], "
                               r"inner = \[(.*?)\]", line)
            buffers[name] = pack(w, *map(numbers, fields.groups()))
        elif "plan.alloc" in line:
            kind, dims = re.search(r"<(\w+), \(\) -> \((.*?)\)>", line).groups()
            # Nobody writes NaN: what is not written shows.
            buffers[name] = np.full(numbers(dims), np.nan, TYPES[kind])
        elif "plan.launch" in line:
            kernel, grid = re.search(r"kernel = @(\w+), grid = \(\) -> \((.*?)\)",
                                     line).groups()
            used = re.search(r"reads\((.*?)\) writes\((.*?)\)", line).groups()
            kernels.run(kernel, [buffers[value] for value
                                 in ", ".join(used).split(", ")], (), numbers(grid))
            names.append(kernel)
        elif "plan.return" in line:
            return buffers[line.split()[1]], names
    raise AssertionError(plan)


def convolve(x, w, stride, groups, pad, dilation):
    """In f64; channels last."""
    x = np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    kernel, outputs = w.shape[:2], w.shape[3] // groups
    height, width = ((x.shape[1 + i] - dilation * (kernel[i] - 1) - 1) // stride + 1
                     for i in range(2))
    y = np.zeros((x.shape[0], height, width, w.shape[3]))
    for i, j in itertools.product(*map(range, kernel)):
        part = x[:, i * dilation:, j * dilation:]
        part = part[:, :stride * height:stride, :stride * width:stride]
        part = part[:, :height, :width]
        for g in range(groups):
            channels = slice(g * w.shape[2], (g + 1) * w.shape[2])
            result = slice(g * outputs, (g + 1) * outputs)
            y[..., result] += (part[..., channels].astype("f8") @
                               w[i, j, :, result].astype("f8"))
    return y


def check(rng, dtype, size, channels, outputs, kernel, stride=1, groups=1,
          is_constant=True, pad=0, dilation=1, batch=2, level="gpu", parts=None):
    x = rng.standard_normal((batch, *size, channels)).astype(TYPES[dtype])
    w = rng.standard_normal((kernel, kernel, channels // groups, outputs))
    w = w.astype(TYPES[dtype])
    want = convolve(x, w, stride, groups, pad, dilation)
    plan = lower(x.shape, w, want.shape, dtype, stride, groups, is_constant, pad,
                 dilation, level)
    y, names = run(plan, [x, w], w)
    error = abs(y - want).max()
    case = (dtype, size, channels, outputs, kernel, stride, groups, is_constant,
            pad, dilation)
    assert error <= {"f32": 1e-4, "f16": 2e-2}[dtype] * max(1, abs(want).max() / 10), \
        (case, error)
    if parts is not None:
        assert len(names) == parts, (case, names)


def main():
    rng = np.random.default_rng(5)
    for dtype, is_constant in itertools.product(TYPES, (True, False)):
        check(rng, dtype, (9, 21), 3, 10, 3, 2, 1, is_constant)
        check(rng, dtype, (5, 7), 40, 70, 3, 1, 1, is_constant)
        check(rng, dtype, (3, 18), 24, 128, 2, 1, 2, is_constant)
    # In place: one launch. Borders, strides, dilations, one pixel, no row.
    check(rng, "f16", (7, 9), 64, 40, 3, pad=1, parts=1)
    check(rng, "f16", (9, 6), 40, 33, 3, 2, pad=1, parts=1)
    check(rng, "f16", (9, 11), 16, 8, 5, 2, pad=4, dilation=2, parts=1)
    check(rng, "f16", (5, 5), 48, 72, 1, 2, parts=1)
    check(rng, "f16", (1, 1), 8, 1, 3, pad=1, batch=1, parts=1)
    # A copy first: rows of windows of few channels, of an odd number of them.
    check(rng, "f16", (15, 13), 3, 64, 7, 2, pad=3, parts=2)
    check(rng, "f16", (6, 5), 1, 9, 3, pad=1, parts=2)
    check(rng, "f16", (7, 5), 20, 24, 3, pad=1, parts=2)
    check(rng, "f16", (8, 8), 3, 16, 4, 4, parts=2)
    # Few pixels of many channels: parts of k, and a launch that adds them up.
    check(rng, "f16", (4, 5), 256, 40, 3, pad=1, batch=1, level="gpu64", parts=2)


main()
