# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Depthwise convolutions and pools that read beyond the borders of their input:
rows of one tile, of several and of a part of one; strides, dilations, uneven
padding, windows that begin behind the input; static and named sizes. Compared with
ONNX Runtime: sums of at most 49 products of normal numbers, f32, within 2e-5."""

import os
import sys

import numpy as np
import onnxruntime

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(31)
F = np.float32


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


def depthwise(model, x, channels, kernel, **attributes):
    inputs = [x, model.constant(normal(channels, 1, *kernel)),
              model.constant(normal(channels))]
    return model.node("Conv", inputs, group=channels,
                      kernel_shape=list(kernel), **attributes)


def add_nodes(model, x, channels, rank):
    """Every way to meet a border, in one model."""
    def whole(number):
        return [number] * rank
    pads = [1] + whole(2)[1:] + whole(1)
    yield depthwise(model, x, channels, whole(3), pads=whole(1) * 2)
    yield depthwise(model, x, channels, whole(5), pads=whole(2) * 2,
                    strides=whole(2))
    yield depthwise(model, x, channels, whole(3), pads=whole(2) * 2,
                    dilations=whole(2))
    yield depthwise(model, x, channels, whole(4), pads=pads, strides=whole(3))
    yield depthwise(model, x, channels, whole(1), strides=whole(2))
    if rank == 1:  # More than a kernel unrolls: the padded copy.
        yield depthwise(model, x, channels, [11], pads=[5, 5])
    shapes = [dict(kernel_shape=whole(3), strides=whole(2), pads=whole(1) * 2),
              dict(kernel_shape=whole(2), strides=whole(2)),
              dict(kernel_shape=whole(3), strides=whole(1), pads=pads)]
    for shape in shapes:
        for ceil in (0, 1):
            yield model.node("MaxPool", [x], ceil_mode=ceil, **shape)
            for include in (0, 1):
                yield model.node("AveragePool", [x], ceil_mode=ceil,
                                 count_include_pad=include, **shape)
    yield model.node("MaxPool", [x], kernel_shape=whole(2), dilations=whole(3),
                     pads=whole(1) * 2, strides=whole(2))


def check(shape, names=None):
    model = Model(opset=19)
    x = model.input("x", F, names or list(shape))
    for y in add_nodes(model, x, shape[1], len(shape) - 2):
        model.output(y, F, len(shape), 2e-5)
    session = onnxruntime.InferenceSession(
        model.build().SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"x": normal(*shape)}
    wanted = dict(zip([o.name for o in session.get_outputs()],
                      session.run(None, feed)))
    model.check(feed, expected=wanted)


if __name__ == "__main__":
    check((2, 5, 9, 7))
    check((1, 37, 6, 60))
    check((1, 16, 113, 29))
    check((2, 64, 4, 15), ["batch", 64, "height", "width"])
    check((1, 3, 31))
    check((1, 20, 4, 5, 14))
