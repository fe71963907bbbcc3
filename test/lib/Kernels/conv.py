# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions: strides, dilations, pads, groups, one to three dims."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(23)
F = np.float32


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


def conv(shape, outputs, kernel, constant=True, groups=1, **attributes):
    model = Model()
    x = model.input("x", F, list(shape))
    weight = normal(outputs, shape[1] // groups, *kernel)
    feed = {"x": normal(*shape)}
    if constant:
        w = model.constant(weight)
    else:
        w, feed["w"] = model.input("w", F, list(weight.shape)), weight
    inputs = [x, w, model.constant(normal(outputs))]
    y = model.node("Conv", inputs, group=groups, kernel_shape=list(kernel),
                   **attributes)
    model.output(model.node("Relu", [y]), F, len(shape), 2e-5)
    model.check(feed)


if __name__ == "__main__":
    conv((1, 1, 1, 1), 1, (1, 1))
    conv((2, 3, 9, 11), 5, (3, 3), pads=[1, 1, 1, 1])
    conv((1, 4, 8, 8), 70, (1, 1))
    conv((3, 20, 9, 6), 70, (1, 1), strides=[2, 3])
    conv((1, 64, 1, 7), 9, (1, 1), strides=[3, 2])
    conv((1, 6, 10, 9), 12, (3, 2), groups=3, strides=[2, 2],
         pads=[1, 0, 2, 1])
    conv((1, 20, 7, 7), 20, (3, 3), groups=20, pads=[1, 1, 1, 1])
    conv((1, 3, 12, 13), 8, (3, 3), dilations=[2, 2], pads=[2, 2, 2, 2])
    conv((2, 128, 4, 5), 256, (1, 1), groups=2)
    conv((1, 8, 30), 9, (5,), strides=[3], pads=[2, 1])
    conv((1, 2, 4, 5, 6), 3, (2, 3, 2), pads=[1, 0, 1, 0, 1, 0])
    conv((1, 3, 6, 6), 4, (3, 3), constant=False)
