# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What stands around convolutions and pools in vision models, fused or not:
residual sums, hard-swish, SiLU, batch normalization, squeeze and excitation, means
over an image, channel shuffles, layouts that change and change back. Compared with
the ONNX reference, f32, within 5e-5 (sums of up to 300 products in a row)."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from model_check import Model  # noqa: E402

RNG = np.random.default_rng(37)
F = np.float32


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


class Block:
    """Nodes of one model over (batch, channels, height, width)."""

    def __init__(self, channels, batch=None):
        self.model, self.channels = Model(), channels
        self.x = self.model.input("x", F, [batch or "batch", channels, 7, 9])

    def conv(self, x, inputs, outputs, kernel=1, **attributes):
        weight = normal(outputs, inputs, kernel, kernel) / np.sqrt(inputs)
        pad = kernel // 2
        names = [x, self.model.constant(weight.astype("f4")),
                 self.model.constant(normal(outputs))]
        return self.model.node("Conv", names, pads=[pad] * 4, **attributes)

    def finish(self, *values):
        for value in values:
            self.model.output(value, F, 4, 5e-5)
        self.model.check(*({"x": normal(batch, self.channels, 7, 9)}
                           for batch in (1, 3)))


def inverted_residual():
    block = Block(12)
    node = block.model.node
    wide = node("HardSwish", [block.conv(block.x, 12, 40)])
    deep = node("HardSwish", [block.conv(wide, 1, 40, kernel=3, group=40)])
    mean = node("GlobalAveragePool", [deep])
    gate = node("Relu", [block.conv(mean, 40, 8)])
    gate = node("HardSigmoid", [block.conv(gate, 8, 40)], alpha=1 / 6)
    narrow = block.conv(node("Mul", [gate, deep]), 40, 12)
    block.finish(node("Add", [narrow, block.x]), deep)


def batch_norm_and_silu():
    block = Block(8)
    model = block.model
    y = model.node("Conv", [block.x, model.constant(normal(24, 8, 3, 3))],
                   pads=[1, 1, 1, 1])
    statistics = [model.constant(values) for values in (
        normal(24), normal(24), normal(24), np.abs(normal(24)) + F(0.5))]
    y = model.node("BatchNormalization", [y, *statistics])
    y = model.node("Mul", [y, model.node("Sigmoid", [y])])
    block.finish(y)


def pools():
    block = Block(20)
    node = block.model.node
    shape = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    most = node("MaxPool", [block.x], **shape)
    mean = node("AveragePool", [block.x], strides=[1, 1], **shape)
    # A residual sum and an activation behind a pool; a fork behind another.
    block.finish(node("Relu", [node("Add", [most, block.x])]),
                 node("Mul", [mean, node("Sigmoid", [mean])]),
                 node("Concat", [most, block.conv(mean, 20, 5)], axis=1))


def shuffle():
    block = Block(16)
    model, node = block.model, block.model.node
    first, second = node("Split", [block.conv(block.x, 16, 16)], results=2,
                         axis=1, num_outputs=2)
    y = node("Concat", [first, block.conv(second, 8, 8)], axis=1)
    sizes = [np.array(shape) for shape in ([0, 2, 8, 7, 9], [0, 16, 7, 9])]
    y = node("Reshape", [y, model.constant(sizes[0])])
    y = node("Transpose", [y], perm=[0, 2, 1, 3, 4])
    y = node("Reshape", [y, model.constant(sizes[1])])
    block.finish(block.conv(y, 16, 4))


def tokens():
    """Pixels to tokens, a linear layer, and back."""
    block = Block(6)
    model, node = block.model, block.model.node
    y = block.conv(block.x, 6, 10)
    y = node("Reshape", [y, model.constant(np.array([0, 10, 63]))])
    y = node("Transpose", [y], perm=[0, 2, 1])
    y = node("MatMul", [y, model.constant(normal(10, 10))])
    y = node("Softmax", [node("Transpose", [y], perm=[0, 2, 1])], axis=1)
    y = node("Reshape", [y, model.constant(np.array([0, 10, 7, 9]))])
    block.finish(block.conv(y, 10, 3, kernel=3))


if __name__ == "__main__":
    inverted_residual()
    batch_norm_and_silu()
    pools()
    shuffle()
    tokens()
