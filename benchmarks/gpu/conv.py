#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions of f16 with bias and ReLU, channels last in memory on both sides,
beside cuDNN's (PyTorch, channels_last): layers of ResNet-50 and MobileNetV3 at one
image and at 32, those that add a residual before the ReLU ("+r"), and forms that
have traps (groups, dilations, odd sizes).

    python3 benchmarks/gpu/conv.py --prepare FOLDER
    python3 benchmarks/gpu/conv.py FOLDER"""

from harness import Case, main, random_weights
from onnx_models import save


def convolution(batch, size, channels, outputs, kernel, stride=1, groups=1,
                dilation=1, residual=False):
    pad = dilation * (kernel - 1) // 2
    out = (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    inside = channels // groups
    weights = {
        "w": random_weights((outputs, inside, kernel, kernel), 1,
                            (inside * kernel**2)**-.5),
        "b": random_weights((1, outputs), 2, 0.1)[0]}

    def write(path):
        given = {"x": [batch, size, size, channels]}
        if residual:
            given["r"] = [batch, out, out, outputs]
        save(path, "f16", given, [
            ("Transpose", ["x"], {"perm": [0, 3, 1, 2]}),
            ("Conv", [None, "w", "b"],
             {"strides": [stride] * 2, "pads": [pad] * 4, "group": groups,
              "dilations": [dilation] * 2}),
            ("Transpose", [None], {"perm": [0, 2, 3, 1]}),
            *([("Add", [None, "r"], {})] if residual else []),
            ("Relu", [None], {}),
        ], [batch, out, out, outputs], weights)

    def inputs():
        import torch
        generator = torch.Generator("cuda").manual_seed(0)

        def draw(*shape):
            return torch.randn(shape, device="cuda", generator=generator).half()
        given = {"x": draw(batch, size, size, channels)}
        if residual:
            given["r"] = draw(batch, out, out, outputs)
        return given

    def peers(given):
        import torch
        w, b = (torch.from_numpy(weights[name]).cuda().half() for name in "wb")
        w = w.to(memory_format=torch.channels_last)
        x = given["x"].permute(0, 3, 1, 2)
        torch.backends.cudnn.benchmark = True

        def run():
            y = torch.conv2d(x, w, b, stride, pad, dilation, groups)
            if residual:
                y += given["r"].permute(0, 3, 1, 2)
            return torch.relu_(y).permute(0, 2, 3, 1)
        return {"cuDNN": run}

    name = f"{batch}x{size}x{channels}-{outputs}-{kernel}x{kernel}"
    name += f"-s{stride}" if stride > 1 else ""
    name += f"-g{groups}" if groups > 1 else ""
    name += f"-d{dilation}" if dilation > 1 else ""
    name += "+r" if residual else ""
    return Case(name, write, inputs, peers,
                flops=2 * batch * out**2 * outputs * inside * kernel**2,
                bytes=2 * batch *
                (size**2 * channels + out**2 * outputs * (2 if residual else 1)))


LAYERS = [(224, 3, 64, 7, 2), (56, 64, 64, 3), (56, 64, 256, 1), (56, 256, 64, 1),
          (56, 128, 128, 3, 2), (28, 128, 128, 3), (28, 128, 512, 1),
          (28, 512, 128, 1), (28, 256, 256, 3, 2), (14, 256, 256, 3),
          (14, 256, 1024, 1), (14, 1024, 256, 1), (14, 512, 512, 3, 2),
          (7, 512, 512, 3), (7, 512, 2048, 1), (7, 2048, 512, 1),
          (56, 256, 512, 1, 2), (28, 512, 1024, 1, 2), (14, 1024, 2048, 1, 2)]
RESIDUAL = [(56, 64, 256, 1), (28, 128, 512, 1), (14, 256, 1024, 1),
            (7, 512, 2048, 1)]
DEPTHWISE = [(112, 16, 3, 1), (56, 72, 3, 1), (28, 120, 5, 1), (14, 480, 3, 1),
             (14, 672, 5, 2), (7, 960, 5, 1)]

CASES = [convolution(batch, *layer) for batch in (1, 32) for layer in LAYERS]
CASES += [convolution(batch, *layer, residual=True) for batch in (1, 32)
          for layer in RESIDUAL]
CASES += [convolution(batch, size, channels, channels, kernel, stride, channels)
          for batch in (1, 32) for size, channels, kernel, stride in DEPTHWISE]
CASES += [convolution(2, 15, 48, 40, 3, 1, 1, 2), convolution(3, 13, 20, 70, 3),
          convolution(1, 9, 64, 128, 5, 2, 2), convolution(2, 17, 24, 9, 1, 2)]

if __name__ == "__main__":
    main(CASES, __doc__)
