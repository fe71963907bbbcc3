# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions by Winograd's filtering: sizes that tiles do not divide, pads of all
kinds, batches, epilogues.

Outputs are of the order of 1. The larger tile errs by up to 2e-6 of the largest
output (lib/Kernels/Winograd.h), the smaller one and the sum in f32 by 5e-7.
"""

import os
import re
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(41)
F = np.float32
TOLERANCE = 1e-5


def normal(*shape, scale=1.0):
    return (RNG.normal(size=shape) * scale).astype("f4")


def conv(channels, outputs, sizes, tile, batches=(1,), pads=(1, 1, 1, 1),
         residual=False):
    """One model for all batches; `sizes` are those of an image, `tile` that which pays
    for them."""
    model = Model()
    x = model.input("x", F, ["n", channels, *sizes])
    weight = normal(outputs, channels, 3, 3, scale=1 / np.sqrt(9 * channels))
    y = model.node("Conv", [x, model.constant(weight), model.constant(normal(outputs))],
                   kernel_shape=[3, 3], pads=list(pads))
    if residual:
        y = model.node("Add", [y, x])
    y = model.node("Relu", [y])
    model.output(y, F, 4, TOLERANCE)
    if residual:
        # A second reader, with channels first.
        model.output(model.node("Reshape", [y, model.constant(np.array([0, -1]))]), F, 2,
                     TOLERANCE)
    said = model.check(*({"x": normal(n, channels, *sizes)} for n in batches),
                       options=["-v"])
    # Of all levels that are compiled.
    found = set(re.findall(r"kernel @(winograd\d|conv)", said))
    assert found == {f"winograd{tile}"}, (channels, outputs, sizes, found)


if __name__ == "__main__":
    # Tiles of four, whole ones and some that stick out.
    conv(64, 64, (56, 56), 4)
    conv(64, 128, (29, 30), 4, batches=(1, 2))
    # Tiles of two.
    conv(256, 256, (14, 14), 2, residual=True)
    conv(256, 192, (13, 11), 2, batches=(3, 0, 1))
    conv(512, 512, (7, 7), 2, batches=(1, 2))
    # Channels that vectors and panels do not divide.
    conv(100, 70, (19, 23), 4)
    conv(128, 130, (28, 27), 4, pads=(0, 1, 2, 3))
    conv(130, 130, (16, 16), 2, pads=(0, 0, 0, 0))
    conv(128, 128, (33, 5), 2, residual=True)
