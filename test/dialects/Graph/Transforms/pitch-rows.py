# RUN: %python %s
# REQUIRES: avx512_bf16, !sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rows farther apart change none of the numbers: a chain of norm, product, attention
and product, with and without --graph-pitch-rows, between guard pages."""

import os
import re
import subprocess
import sys

import ml_dtypes
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__),
                                "../../../lib/Target/X86/Inputs"))
from kernels import Kernels  # noqa: E402

GRAPH = """
func.func @f(%x: tensor<2x37x256xf32> {graph.name = "x"},
             %s: tensor<256xf32> {graph.name = "s"},
             %w: tensor<256x768xf32> {graph.name = "w"},
             %v: tensor<256x40xf32> {graph.name = "v"})
    -> (tensor<2x37x40xf32> {graph.name = "y"}) attributes {graph.symbols = []} {
  %0 = graph.layer_norm %x scale %s bias %s axis 2 epsilon 1.0e-5
    : (tensor<2x37x256xf32>, tensor<256xf32>, tensor<256xf32>) -> tensor<2x37x256xf32>
  %1 = graph.matmul %0, %w
    : (tensor<2x37x256xf32>, tensor<256x768xf32>) -> tensor<2x37x768xf32>
  %2 = graph.reshape %1 to affine_map<() -> (2, 37, 3, 4, 64)>
    : tensor<2x37x768xf32> -> tensor<2x37x3x4x64xf32>
  %3 = graph.transpose %2 [2, 0, 3, 1, 4]
    : tensor<2x37x3x4x64xf32> -> tensor<3x2x4x37x64xf32>
QKV  %7 = graph.attention %q, %k, %u score(#graph.softmax<scale = 0.125>)
      select(#graph.dense)
    : (tensor<2x4x37x64xf32>, tensor<2x4x37x64xf32>, tensor<2x4x37x64xf32>)
      -> tensor<2x4x37x64xf32>
  %8 = graph.transpose %7 [0, 2, 1, 3]
    : tensor<2x4x37x64xf32> -> tensor<2x37x4x64xf32>
  %9 = graph.reshape %8 to affine_map<() -> (2, 37, 256)>
    : tensor<2x37x4x64xf32> -> tensor<2x37x256xf32>
  %10 = graph.matmul %9, %v
    : (tensor<2x37x256xf32>, tensor<256x40xf32>) -> tensor<2x37x40xf32>
  return %10 : tensor<2x37x40xf32>
}
"""

PART = """  %{0}s = graph.slice %3 from affine_map<() -> ({1}, 0, 0, 0, 0)>
      size affine_map<() -> (1, 2, 4, 37, 64)> step [1, 1, 1, 1, 1]
    : tensor<3x2x4x37x64xf32> -> tensor<1x2x4x37x64xf32>
  %{0} = graph.reshape %{0}s to affine_map<() -> (2, 4, 37, 64)>
    : tensor<1x2x4x37x64xf32> -> tensor<2x4x37x64xf32>
"""

TYPES = {"f32": np.float32, "bf16": ml_dtypes.bfloat16}


def run(passes, arguments):
    """The result, and the shapes of what lies between the kernels."""
    text = GRAPH.replace("QKV", "".join(PART.format(*part)
                                        for part in (("q", 0), ("k", 1), ("u", 2))))
    plan = subprocess.run(
        ["lathe-opt", "-", "--graph-form-groups", "--graph-narrow-activations", *passes,
         "--convert-graph-to-plan=capability=avx512"],
        input=text, check=True, text=True, capture_output=True).stdout
    buffers, shapes = dict(arguments), []
    for name, element, shape in re.findall(
            r"(%\w+) = plan.alloc : <(\w+), \(\) -> \((.*?)\)>", plan):
        shapes.append(tuple(map(int, shape.split(", "))))
        buffers[name] = np.full(shapes[-1], np.nan, TYPES[element])
    kernels = Kernels("\n".join(re.findall(r"^  tile\.kernel .*?^  }$", plan, re.M | re.S)),
                      "avx512-bf16")
    for name, grid, reads, write in re.findall(
            r"plan.launch \[#plan.choice<kernel = @(\w+), grid = \(\) -> \((.*?)\).*? "
            r"reads\((.*?)\) writes\((.*?)\)", plan):
        operands = reads.split(", ") + [write]
        kernels.run(name, [buffers[operand] for operand in operands],
                    grid=tuple(map(int, grid.split(", "))))
    return buffers[write], shapes


def main():
    generator = np.random.default_rng(5)
    arguments = {f"%arg{i}": generator.standard_normal(shape).astype(np.float32)
                 for i, shape in enumerate(((2, 37, 256), (256, ), (256, 768), (256, 40)))}
    plain, lie = run([], arguments)
    pitched, apart = run(["--graph-pitch-rows"], arguments)
    # Queries, keys and values are stored head by head.
    heads = (2, 37, 3, 4, 64)
    assert lie == [(2, 37, 256), heads, (2, 37, 256), (2, 37, 40)], lie
    assert apart == [(2, 37, 288), heads, (2, 37, 288), (2, 37, 40)], apart
    assert np.isfinite(plain).all() and (plain == pitched).all()


if __name__ == "__main__":
    main()
